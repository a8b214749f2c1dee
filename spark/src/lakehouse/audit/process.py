"""Which process this is, and whether a process written down earlier still lives."""

from __future__ import annotations

import os
import socket
from dataclasses import dataclass
from functools import cache
from pathlib import Path

ENDED_STATES = ("Z", "X")


@dataclass(frozen=True)
class Process:
    """A process of one machine; `start` is the kernel's boot id and the start in clock ticks since that boot."""

    host: str
    pid: int
    start: str

    @classmethod
    def this(cls) -> Process:
        """Return the running process."""
        return cls(socket.gethostname(), os.getpid(), _start_of(os.getpid()) or "")

    def is_gone(self) -> bool:
        """Tell whether the process has ended for certain; of another machine's process that is never known here."""
        if self.host != socket.gethostname():
            return False
        try:
            start = _start_of(self.pid)
        except PermissionError:
            return False
        return start != self.start if start is not None else not _is_hidden(self.pid)


@cache
def _boot_id() -> str:
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()


def _start_of(pid: int) -> str | None:
    """Return boot id and start of a process, "" when it has ended but is not yet reaped, None when /proc has none."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return None
    # The second field is the program's name in parentheses and may hold spaces; field 3 is the state, 22 the start.
    after_name = stat.rpartition(")")[2].split()
    return "" if after_name[0] in ENDED_STATES else f"{_boot_id()}/{after_name[19]}"


def _is_hidden(pid: int) -> bool:
    """Tell whether a process lives that /proc does not show to this user (mounted with hidepid)."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return False
