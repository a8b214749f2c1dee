"""One thing that the doctor looked at."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Finding:
    """One thing looked at: whether it is fine, what was found, and the remedy (empty where it is fine)."""

    name: str
    ok: bool
    found: str
    remedy: str = ""


def judge(name: str, ok: bool, found: str, remedy: str) -> Finding:
    """Return a finding; the remedy is dropped where all is fine."""
    return Finding(name, ok, found, "" if ok else remedy)
