"""`lakehouse` that is killed, and its JVM with it, right before or after the nth call of a function.

Run in a process group of its own: python kill_at.py MODULE FUNCTION before|after NTH lakehouse's words …
"""

from __future__ import annotations

import importlib
import os
import signal
import sys
from collections.abc import Callable
from typing import Any

from lakehouse.cli import main
from lakehouse.engine import stream_compact, stream_run

# A compaction is due after every micro-batch, once a table has three files.
stream_run.EVERY, stream_compact.MANY = 1, 2


def killing(function: Callable[..., Any], when: str, nth: int) -> Callable[..., Any]:
    """The function, ending everything at its nth call."""
    calls = 0

    def call(*words: Any, **named: Any) -> Any:
        nonlocal calls
        calls += 1
        if (calls, when) == (nth, "before"):
            os.killpg(0, signal.SIGKILL)
        found = function(*words, **named)
        if (calls, when) == (nth, "after"):
            os.killpg(0, signal.SIGKILL)
        return found

    return call


if __name__ == "__main__":
    module, name, when, nth, *words = sys.argv[1:]
    owner: Any = importlib.import_module(module)
    *path, last = name.split(".")
    for part in path:
        owner = getattr(owner, part)
    setattr(owner, last, killing(getattr(owner, last), when, int(nth)))
    sys.argv = ["lakehouse", *words]
    main()
