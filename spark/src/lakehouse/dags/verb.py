"""Tasks that call a verb of the command line: its notes become the task's log, its JSON what the task returns."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from tempfile import TemporaryFile
from typing import IO, Any

from airflow.sdk.exceptions import AirflowException, AirflowFailException

from lakehouse.log import get_logger

log = get_logger(__name__)
HEALS = 75
PATIENCE_SECONDS = 3


def call_verb(*words: str, grace: float = PATIENCE_SECONDS) -> Any:
    """Run `lakehouse WORDS --json` and return what it prints; one that is to end has `grace` seconds for it.

    Raises AirflowException with its last line where the exit code says that trying again can help, or where a signal
    ended it; else AirflowFailException.
    """
    last = ""
    with TemporaryFile("w+") as out, started(["lakehouse", *words, "--json"], out, grace) as child:
        for line in child.stderr or ():
            last = line.strip() or last
            log.info(last)
        code = child.wait()
        out.seek(0)
        told = out.read()
    if code:
        kind = AirflowException if code == HEALS or code < 0 else AirflowFailException
        raise kind(last or f"`lakehouse {' '.join(words)}` ended with {code}.")
    return json.loads(told)


@contextmanager
def started(command: Sequence[str], out: IO[str], grace: float) -> Iterator[subprocess.Popen[str]]:
    """Start a program; when the caller is interrupted it is ended, with whatever it has started."""
    child = subprocess.Popen(command, stdout=out, stderr=subprocess.PIPE, text=True, start_new_session=True)
    try:
        yield child
    finally:
        if child.poll() is None:
            end_group(child, grace)


def end_group(child: subprocess.Popen[str], grace: float) -> None:
    """Ask a program to end; it, and what it has started, is killed when it has not after `grace` seconds.

    What it has started is not asked: a driver finishes its work by its JVM.
    """
    with suppress(ProcessLookupError):
        child.terminate()
        with suppress(subprocess.TimeoutExpired):
            child.wait(grace)
        os.killpg(child.pid, signal.SIGKILL)
    child.wait()
