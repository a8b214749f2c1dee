"""Apply the numbered SQL files of the audit schema, each once, all in one transaction."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path

import psycopg2

from lakehouse.audit.database import Cursor, connect, place, unavailable
from lakehouse.errors import SettingsError, StateError

MIGRATIONS = Path("warehouse/migrations")
_NAME = re.compile(r"(\d{4})_[a-z0-9_]+\.sql")
_LOCK = 4_703_919_738_795_935_661  # Any number will do; it must be the same in every version of this program.
_LOCK_TIMEOUT = "60s"

_BOOKKEEPING = """
CREATE SCHEMA IF NOT EXISTS audit;
CREATE TABLE IF NOT EXISTS audit.schema_migrations (
    name       text        PRIMARY KEY,
    checksum   text        NOT NULL,
    applied_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
"""


@dataclass(frozen=True)
class Migration:
    """A numbered file: its name, its text, and the SHA-256 of the text with line ends as `\\n`."""

    name: str
    sql: str
    checksum: str


def migrate(url: str, folder: Path = MIGRATIONS) -> list[str]:
    """Bring the audit schema up to date and return the names applied now, in order; none when there was nothing to do.

    Two processes at once take turns. Raises StateError when an applied file has changed or is missing from `folder`.
    """
    migrations = read_migrations(folder)
    connection = connect(url, "lakehouse migrate", f"-c lock_timeout={_LOCK_TIMEOUT} -c client_min_messages=warning")
    try:
        with connection, connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_xact_lock(%s)", [_LOCK])
            return _apply(cursor, migrations, place(url))
    except psycopg2.Error as error:
        raise unavailable(url, error) from error
    finally:
        connection.close()


def read_migrations(folder: Path) -> list[Migration]:
    """Return the files of a folder in their order; raises SettingsError when there are none or two share a number."""
    names = sorted(path.name for path in folder.glob("*.sql"))
    numbers = [match.group(1) for name in names if (match := _NAME.fullmatch(name))]
    if not names or len(set(numbers)) != len(names):
        raise SettingsError(
            f"no usable migrations: {', '.join(names) or 'no .sql files'}.",
            where=str(folder.resolve()),
            allowed="one file a number, such as 0001_runs.sql",
            remedy="let LAKEHOUSE_HOME name the checkout that holds warehouse/migrations.",
        )
    texts = [(folder / name).read_text(encoding="utf-8") for name in names]
    return [
        Migration(name, text, hashlib.sha256(text.encode()).hexdigest())
        for name, text in zip(names, texts, strict=True)
    ]


def _apply(cursor: Cursor, migrations: list[Migration], where: str) -> list[str]:
    cursor.execute(_BOOKKEEPING)
    cursor.execute("SELECT name, checksum FROM audit.schema_migrations ORDER BY name")
    applied = dict(cursor.fetchall())
    _refuse_changes(applied, migrations, where)
    pending = [migration for migration in migrations if migration.name not in applied]
    for migration in pending:
        _execute(cursor, migration)
    return [migration.name for migration in pending]


def _execute(cursor: Cursor, migration: Migration) -> None:
    """Run one file and note it; raises StateError, naming the file, for SQL that the server does not take."""
    try:
        cursor.execute(migration.sql)
    except (psycopg2.ProgrammingError, psycopg2.IntegrityError, psycopg2.DataError) as error:
        raise StateError(
            " ".join(str(error).split()), where=migration.name, remedy="correct the file; no migration was applied."
        ) from error
    cursor.execute(
        "INSERT INTO audit.schema_migrations (name, checksum) VALUES (%s, %s)", [migration.name, migration.checksum]
    )


def _refuse_changes(applied: dict[str, str], migrations: list[Migration], where: str) -> None:
    """Raise StateError unless what was applied is the unchanged beginning of `migrations`."""
    beginning = {migration.name: migration.checksum for migration in migrations[: len(applied)]}
    if beginning == applied:
        return
    differing = sorted(name for name in {*beginning, *applied} if beginning.get(name) != applied.get(name))
    raise StateError(
        f"applied migrations differ from the files: {', '.join(differing)}.",
        where=where,
        allowed="new files after the last applied one; an applied file never changes",
        remedy="take back the change (or use the program's newer version) and put a new change into a new file.",
    )
