"""The note that a sample leaves beside its files, so that nobody's own files are taken for made ones."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path

from lakehouse.errors import SourceError

NAME = ".sample"
_MAKER = 1  # raised when the same seed gives other bytes


@dataclass(frozen=True)
class Marker:
    """What was made: scale and seed, rows by table, SHA-256 by file name."""

    scale: float
    seed: int
    rows: dict[str, int]
    files: dict[str, str]
    maker: int = _MAKER

    def is_of(self, scale: float, seed: int) -> bool:
        """Whether these files are what this version makes of a scale and a seed."""
        return (self.maker, self.scale, self.seed) == (_MAKER, scale, seed)

    def write(self, folder: Path) -> None:
        """Leave the note in a folder."""
        (folder / NAME).write_text(json.dumps(asdict(self), indent=1) + "\n")


def read_marker(folder: Path) -> Marker | None:
    """Return a folder's note; None where there is none, `SourceError` where it is not one of ours."""
    try:
        return Marker(**json.loads((folder / NAME).read_text()))
    except FileNotFoundError:
        return None
    except (ValueError, TypeError) as error:
        raise SourceError("is not the note of a sample.", where=str(folder / NAME), remedy="remove it.") from error


def digest(path: Path) -> str:
    """Return the SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def is_ours(path: Path, marker: Marker | None) -> bool:
    """Whether a file is byte for byte what the note says."""
    known = marker.files.get(path.name) if marker else None
    return known is not None and not path.is_symlink() and path.is_file() and digest(path) == known
