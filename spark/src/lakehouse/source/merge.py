"""Brings a table to the rows of a staged file and touches only what differs, so that nothing else is stamped anew."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from psycopg2 import extensions, sql

from lakehouse.errors import SourceError
from lakehouse.source.olist import INTEGER, MONEY, Table
from lakehouse.source.schema import names

# What the type of a column would round or refuse; NaN is greater than every number in Postgres.
_INEXACT = {
    INTEGER: "({0} <> trunc({0}) OR abs({0}) > 2147483647)",
    MONEY: "({0} <> round({0}, 2) OR abs({0}) >= 10000000000)",
}


@dataclass(frozen=True)
class Change:
    """Rows that a merge wrote or removed."""

    inserted: int = 0
    updated: int = 0
    deleted: int = 0

    @property
    def any(self) -> bool:
        """Whether the table is not what it was."""
        return bool(self.inserted or self.updated or self.deleted)


def create_stage(cursor: extensions.cursor, table: Table) -> sql.Identifier:
    """Make a temporary table for a file's rows. Its numbers have no bounds: `51.0` and `12.345` arrive as written."""
    stage = sql.Identifier("pg_temp", f"stage_{table.name}")
    columns = [
        sql.SQL("{} {}").format(sql.Identifier(name), sql.SQL("numeric" if name in table.exact else kind))
        for name, kind in table.columns.items()
    ]
    key = [sql.SQL("PRIMARY KEY ({})").format(names(table.key))] if table.key else []
    cursor.execute(sql.SQL("CREATE TEMP TABLE {} ({})").format(stage, sql.SQL(", ").join([*columns, *key])))
    return stage


def merge_stage(
    cursor: extensions.cursor, target: sql.Identifier, stage: sql.Identifier, table: Table, *, where: str
) -> Change:
    """Merge a staged file. With a key: insert and update, and leave rows alone that the file does not have.

    Without a key the table becomes the file's rows, each as often as the file has it, unless the file has none.
    Raises `SourceError` for a number that its column cannot hold exactly.
    """
    for column in table.exact:
        _refuse_inexact(cursor, stage, table, column, where)
    cursor.execute(sql.SQL("ANALYZE {}").format(stage))
    return _merge_by_key(cursor, target, stage, table) if table.key else _replace_bag(cursor, target, stage, table)


def _refuse_inexact(cursor: extensions.cursor, stage: sql.Identifier, table: Table, column: str, where: str) -> None:
    kind = table.columns[column]
    test = sql.SQL(_INEXACT[kind]).format(sql.Identifier(column))
    cursor.execute(
        sql.SQL("SELECT {}, {} FROM {} WHERE {} LIMIT 1").format(sql.Identifier(column), names(table.key), stage, test)
    )
    if row := cursor.fetchone():
        key = ", ".join(f"{name} {value}" for name, value in zip(table.key, row[1:], strict=True))
        raise SourceError(
            f"{column} of the row with {key} is {str(row[0])[:60]}.",
            where=where,
            allowed=f"what {kind} holds without rounding",
            remedy="correct that row.",
        )


def _merge_by_key(cursor: extensions.cursor, target: sql.Identifier, stage: sql.Identifier, table: Table) -> Change:
    typed = [sql.SQL("{}::{}").format(sql.Identifier(name), sql.SQL(kind)) for name, kind in table.columns.items()]
    others = [sql.Identifier(name) for name in table.columns if name not in table.key]
    sets = [sql.SQL("{0} = EXCLUDED.{0}").format(other) for other in others]
    # EXCEPT takes two NULLs for equal; a plain ON CONFLICT would lock and rewrite the header of every unchanged row
    cursor.execute(
        sql.SQL("""
WITH written AS (
    INSERT INTO {target} ({columns})
    SELECT {typed} FROM {stage} EXCEPT SELECT {columns} FROM {target}
    ON CONFLICT ({key}) DO UPDATE SET {sets}
    RETURNING xmax = 0 AS is_new)
SELECT count(*) FILTER (WHERE is_new), count(*) FILTER (WHERE NOT is_new) FROM written""").format(
            target=target,
            stage=stage,
            columns=names(list(table.columns)),
            typed=sql.SQL(", ").join(typed),
            key=names(table.key),
            sets=sql.SQL(", ").join(sets),
        )
    )
    inserted, updated = cursor.fetchone() or (0, 0)
    return Change(inserted, updated)


def _replace_bag(cursor: extensions.cursor, target: sql.Identifier, stage: sql.Identifier, table: Table) -> Change:
    """Make a table without a key equal to the stage: the n-th copy of a row is told apart by its number n."""
    rows, digest = _digest(cursor, stage, table)
    if not rows or _digest(cursor, target, table) == (
        rows,
        digest,
    ):  # a file without rows is no order to delete them all
        return Change()
    parts = {"target": target, "stage": stage, "columns": names(list(table.columns))}
    said = "ROW({columns})::text"
    numbered = f"SELECT {{columns}}, {said} AS said, row_number() OVER (PARTITION BY {said}) AS nth"
    have, want = f"{numbered}, ctid AS place FROM {{target}}", f"{numbered} FROM {{stage}}"
    cursor.execute(
        sql.SQL(f"""
WITH have AS ({have}), want AS ({want})
DELETE FROM {{target}} WHERE ctid IN (
    SELECT place FROM have WHERE NOT EXISTS (SELECT FROM want WHERE want.said = have.said AND want.nth = have.nth))
""").format(**parts)
    )
    deleted = cursor.rowcount
    cursor.execute(
        sql.SQL(f"""
WITH have AS ({have}), want AS ({want})
INSERT INTO {{target}} ({{columns}})
SELECT {{columns}} FROM want WHERE NOT EXISTS (
    SELECT FROM have WHERE have.said = want.said AND have.nth = want.nth)""").format(**parts)
    )
    return Change(inserted=cursor.rowcount, deleted=deleted)


def _digest(cursor: extensions.cursor, of: sql.Identifier, table: Table) -> tuple[int, Decimal | None]:
    """Return the row count and the sum of the rows' hashes: equal for equal bags of rows, whatever their order."""
    columns = names(list(table.columns))
    cursor.execute(sql.SQL("SELECT count(*), sum(hashtextextended(ROW({})::text, 0)) FROM {}").format(columns, of))
    rows, digest = cursor.fetchone() or (0, None)
    return rows, digest
