"""What a part had started and left behind when it was killed: found by its session, and by the mark it was given."""

from __future__ import annotations

import os
import signal
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

# In the environment of a part that starts others, and so in theirs; its value is the part's name.
PART = "LAKEHOUSE_PART"


@dataclass(frozen=True)
class Process:
    """A living process: its parent, and the session that it belongs to."""

    pid: int
    parent: int
    session: int


def end_leftovers(marks: dict[str, str]) -> list[int]:
    """Kill what no process of our supervisor's looks after any more, and return the process ids.

    It is of our session, or, where it has begun its own, has these variables in its environment. A task of Airflow
    shows no environment: its title is written over it.
    """
    table = {process.pid: process for process in _processes()}
    supervisor, session = os.getppid(), os.getsid(0)
    left = [
        pid
        for pid, process in table.items()
        if not _is_under(pid, supervisor, table) and (process.session == session or _is_marked(pid, marks))
    ]
    for pid in left:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    return left


def _is_under(pid: int, ancestor: int, table: dict[int, Process]) -> bool:
    while pid in table and pid != ancestor:
        pid = table[pid].parent
    return pid == ancestor


def _processes() -> list[Process]:
    found = [_process(int(folder.name)) for folder in Path("/proc").iterdir() if folder.name.isdigit()]
    return [process for process in found if process is not None]


def _process(pid: int) -> Process | None:
    with suppress(ProcessLookupError, FileNotFoundError):
        state, parent, _, session = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[:4]
        return None if state == "Z" else Process(pid, int(parent), int(session))
    return None


def _is_marked(pid: int, marks: dict[str, str]) -> bool:
    wanted = {f"{name}={value}".encode() for name, value in marks.items()}
    with suppress(ProcessLookupError, FileNotFoundError, PermissionError):
        return wanted <= set(Path(f"/proc/{pid}/environ").read_bytes().split(b"\0"))
    return False
