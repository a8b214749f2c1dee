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


def call_verb(*words: str) -> Any:
    """Run `lakehouse WORDS --json` and return what it prints.

    Raises AirflowException with its last line where the exit code says that trying again can help, or where a signal
    ended it; else AirflowFailException.
    """
    last = ""
    with TemporaryFile("w+") as out, started(["lakehouse", *words, "--json"], out) as child:
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
def started(command: Sequence[str], out: IO[str]) -> Iterator[subprocess.Popen[str]]:
    """Start a program; when the caller is interrupted it is ended, with whatever it has started."""
    child = subprocess.Popen(command, stdout=out, stderr=subprocess.PIPE, text=True, start_new_session=True)
    try:
        yield child
    finally:
        if child.poll() is None:
            end_group(child)


def end_group(child: subprocess.Popen[str]) -> None:
    """Ask a program and its children to end; whoever has not in three seconds is killed."""
    with suppress(ProcessLookupError):
        os.killpg(child.pid, signal.SIGTERM)
        with suppress(subprocess.TimeoutExpired):
            child.wait(PATIENCE_SECONDS)
        os.killpg(child.pid, signal.SIGKILL)
    child.wait()
