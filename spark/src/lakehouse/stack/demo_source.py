"""Which CSV files the demo's source was filled from: the same are not loaded again, for others it is begun anew."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

from psycopg2 import sql

from lakehouse.source.connect import reading, transaction
from lakehouse.source.made.marker import digest, is_ours, read_marker
from lakehouse.source.olist import TABLES

SCHEMA = "olist"
FILES = "the CSV files that a person put there"
# What the source needs: nothing, a load, or a load into an emptied schema.
Need = Literal["nothing", "setup", "replace"]


@dataclass(frozen=True)
class Origin:
    """Where rows come from: a sample by its scale and seed, or a person's files; and a digest of their contents."""

    name: str
    digest: str


def origin_of(raw: Path) -> Origin | None:
    """Look at the CSV files of a folder; None where there is none."""
    named = (raw / f"{table.file}{end}" for table in TABLES.values() for end in ("", ".gz"))
    paths = [path for path in named if path.is_file()]
    if not paths:
        return None
    marker = read_marker(raw)
    made = marker is not None and all(is_ours(path, marker) for path in paths)
    name = f"a sample of scale {marker.scale:g}, seed {marker.seed}" if marker and made else FILES
    contents = " ".join(f"{path.name} {digest(path)}" for path in paths)
    return Origin(name, hashlib.sha256(contents.encode()).hexdigest())


def need_of(now: Origin | None, before: Origin | None) -> Need:
    """Tell what the source needs.

    A load puts back what the shop has changed since, so unchanged files are not loaded again. It updates rows and
    never deletes one, so rows of another origin have to go first.
    """
    if now is None or before is None:
        return "setup"
    if now == before:
        return "nothing"
    return "setup" if now.name == before.name else "replace"


def remembered(url: str) -> Origin | None:
    """Return the origin of the source's rows as its schema remembers it; None where it does not."""
    with reading(url) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT obj_description(to_regnamespace(%s), 'pg_namespace')", [SCHEMA])
        (note,) = cursor.fetchone() or (None,)
    try:
        return Origin(**json.loads(note or ""))
    except (ValueError, TypeError):
        return None


def remember(url: str, origin: Origin) -> None:
    """Write the origin of the source's rows at their schema: it goes where the schema goes."""
    with transaction(url) as connection, connection.cursor() as cursor:
        comment = sql.SQL("COMMENT ON SCHEMA {} IS {}")
        cursor.execute(comment.format(sql.Identifier(SCHEMA), sql.Literal(json.dumps(asdict(origin)))))


def empty(url: str) -> None:
    """Drop the source's schema with its rows."""
    with transaction(url) as connection, connection.cursor() as cursor:
        cursor.execute(sql.SQL("DROP SCHEMA IF EXISTS {} CASCADE").format(sql.Identifier(SCHEMA)))
