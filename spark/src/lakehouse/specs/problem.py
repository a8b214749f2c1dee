"""What is wrong with a spec, and where."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Problem:
    """One problem; `line` counts from 1."""

    path: Path
    line: int
    message: str

    def __str__(self) -> str:
        """Return `file:line: message`, with the file as seen from the working folder where it lies below it."""
        path = self.path.relative_to(Path.cwd()) if self.path.is_relative_to(Path.cwd()) else self.path
        return f"{path}:{self.line}: {self.message}"
