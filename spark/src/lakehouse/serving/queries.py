"""The audit queries as they are shipped, to be shown and copied."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Query:
    """A query by its file's name, what it answers (the comment on top), and its text without that."""

    name: str
    question: str
    text: str


def read_queries(folder: Path) -> list[Query]:
    """Return the queries of a folder by name; none where there is no such folder."""
    return [_read(path) for path in sorted(folder.glob("*.sql"))]


def _read(path: Path) -> Query:
    lines = path.read_text().splitlines()
    told = [line for line in lines if line.startswith("--")]
    question = " ".join(line.removeprefix("--").strip() for line in told)
    return Query(path.name, question, "\n".join(line for line in lines if not line.startswith("--")).strip())
