"""Postgres refuses to run as root: what is put before its command where we are root."""

from __future__ import annotations

import os
import stat
from pathlib import Path

NOBODY = 65534
# Needed only to pass through folders that root keeps to itself, such as a checkout below /root; the weaker one first.
CAPABILITIES = (("dac_read_search", 2), ("dac_override", 1))


def unprivileged(*paths: Path) -> list[str]:
    """Return the words that run a command as nobody, able to enter `paths`; none where we are not root."""
    if os.geteuid() != 0:
        return []
    command = ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups"]
    capability = None if all(map(_open_to_all, paths)) else _capability()
    if capability:
        # Without the securebit, access(2) disregards the capability, and initdb does not find its own programs.
        command += [f"--inh-caps=+{capability}", f"--ambient-caps=+{capability}", "--securebits=+no_setuid_fixup"]
    return command


def give(path: Path) -> None:
    """Make nobody the owner of a file or folder, where we are root."""
    if os.geteuid() == 0:
        os.chown(path, NOBODY, NOBODY)


def _open_to_all(path: Path) -> bool:
    return all(folder.stat().st_mode & stat.S_IXOTH for folder in path.resolve().parents if folder.exists())


def _capability() -> str | None:
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("CapEff"))
    held = int(line.split()[1], 16)
    return next((name for name, bit in CAPABILITIES if held >> bit & 1), None)
