"""What the source's catalog says of a table: columns with their exact types, and the primary key."""

from __future__ import annotations

import re
from dataclasses import dataclass

from psycopg2 import extensions

from lakehouse.errors import SourceError, did_you_mean
from lakehouse.source.connect import place, reading

# Tables, partitioned and foreign tables, views and materialised views: all that can be read by SELECT.
_RELATION = """
SELECT c.oid FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname = %s AND c.relname = %s AND c.relkind IN ('r', 'p', 'f', 'v', 'm')"""
_RELATIONS = """
SELECT c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname = %s AND c.relkind IN ('r', 'p', 'f', 'v', 'm') ORDER BY 1"""
_SCHEMAS = "SELECT nspname FROM pg_namespace WHERE nspname !~ '^pg_' AND nspname <> 'information_schema' ORDER BY 1"
_COLUMNS = """
SELECT attname, format_type(atttypid, atttypmod), NOT attnotnull FROM pg_attribute
WHERE attrelid = %s AND attnum > 0 AND NOT attisdropped ORDER BY attnum"""
_KEY = """
SELECT a.attname FROM pg_index i
CROSS JOIN unnest(i.indkey::int[]) WITH ORDINALITY AS k(attnum, position)
JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.attnum
WHERE i.indrelid = %s AND i.indisprimary ORDER BY k.position"""


@dataclass(frozen=True)
class Column:
    """A column; `type` is Postgres's full spelling: `numeric(12,2)`, `timestamp without time zone`, `text`."""

    name: str
    type: str
    nullable: bool

    @property
    def digits(self) -> int:
        """Return how many digits of a second a time of this type keeps; what has more is rounded to them."""
        found = re.match(r"time\w*\((\d)\)", self.type)
        return int(found[1]) if found else 6


def columns(url: str, schema: str, table: str) -> list[Column]:
    """Return a table's columns in their order; `SourceError` with the tables there are when it is missing."""
    with reading(url) as connection, connection.cursor() as cursor:
        relation = _relation(cursor, url, schema, table)
        cursor.execute(_COLUMNS, [relation])
        return [Column(*row) for row in cursor.fetchall()]


def primary_key(url: str, schema: str, table: str) -> list[str]:
    """Return the columns of a table's primary key in the key's order; empty where it has none."""
    with reading(url) as connection, connection.cursor() as cursor:
        relation = _relation(cursor, url, schema, table)
        cursor.execute(_KEY, [relation])
        return [name for (name,) in cursor.fetchall()]


def _relation(cursor: extensions.cursor, url: str, schema: str, table: str) -> int:
    cursor.execute(_RELATION, [schema, table])
    if found := cursor.fetchone():
        return int(found[0])
    cursor.execute(_RELATIONS, [schema])
    tables = [name for (name,) in cursor.fetchall()]
    if tables:
        raise SourceError(
            f"there is no table {schema}.{table}.{did_you_mean(table, tables)}",
            where=place(url),
            allowed=", ".join(tables),
        )
    cursor.execute(_SCHEMAS)
    schemas = [name for (name,) in cursor.fetchall()]
    raise SourceError(
        f"schema {schema} has no tables.{did_you_mean(schema, [name for name in schemas if name != schema])}",
        where=place(url),
        allowed=f"schemas {', '.join(schemas)}",
        remedy="make and fill it with setup_source_db, or correct the schema's name.",
    )
