"""Where the source's rows come from: a made sample, or files of a person; the schema itself remembers it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection
from dataclasses import asdict, dataclass
from pathlib import Path

from psycopg2 import extensions, sql

from lakehouse.source.made.marker import digest, is_ours, read_marker
from lakehouse.source.olist import TABLES

SCHEMA = "olist"
FILES = "the CSV files that a person put there"
# Public words, the same in every sample: a file with them says nothing of the others.
_ALIKE = TABLES["product_category_name_translation"].file


@dataclass(frozen=True)
class Origin:
    """Where rows come from: a sample by its scale and seed, or a person's files; and a digest of their contents.

    A corrected row changes the digest, and not the name: two origins are the same where their names are.
    """

    name: str
    digest: str

    @property
    def is_made(self) -> bool:
        """Whether the rows are invented."""
        return self.name != FILES


def origin_of(raw: Path) -> Origin | None:
    """Look at the CSV files of a folder; None where there is none."""
    named = (raw / f"{table.file}{end}" for table in TABLES.values() for end in ("", ".gz"))
    paths = [path for path in named if path.is_file()]
    return origin_of_files(raw, paths) if paths else None


def origin_of_files(raw: Path, paths: Collection[Path]) -> Origin:
    """Look at some files of a folder: they are its sample as long as one of them is as it was made."""
    marker = read_marker(raw)
    made = any(is_ours(path, marker) for path in paths if path.name != _ALIKE)
    name = f"a sample of scale {marker.scale:g}, seed {marker.seed}" if marker and made else FILES
    contents = " ".join(f"{path.name} {digest(path)}" for path in paths)
    return Origin(name, hashlib.sha256(contents.encode()).hexdigest())


def remembered(cursor: extensions.cursor) -> Origin | None:
    """Return the origin of the source's rows as its schema remembers it; None where it does not."""
    cursor.execute("SELECT obj_description(to_regnamespace(%s), 'pg_namespace')", [SCHEMA])
    (note,) = cursor.fetchone() or (None,)
    try:
        return Origin(**json.loads(note or ""))
    except (ValueError, TypeError):
        return None


def remember(cursor: extensions.cursor, origin: Origin) -> None:
    """Write the origin of the source's rows at their schema: it goes where the schema goes."""
    comment = sql.SQL("COMMENT ON SCHEMA {} IS {}")
    cursor.execute(comment.format(sql.Identifier(SCHEMA), sql.Literal(json.dumps(asdict(origin)))))
