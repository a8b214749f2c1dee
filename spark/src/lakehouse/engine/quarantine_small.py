"""The quarantine of a small change set: rejects kept once each, and closed when their key was deleted."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc
from pyspark.sql import functions as F  # noqa: N812
from pyspark.sql.pandas.types import from_arrow_schema

from lakehouse.audit.result import TableResult
from lakehouse.changes.definition import new_table
from lakehouse.changes.files import FILE, ROW, Snapshot
from lakehouse.changes.query import numbered, query
from lakehouse.changes.write import Change, Commit, commit_change
from lakehouse.engine.context import Context
from lakehouse.engine.progress import Progress
from lakehouse.engine.quarantine import CLOSED, HELD, RELEASED, held_rows
from lakehouse.engine.shape import FINGERPRINT
from lakehouse.engine.window import micros
from lakehouse.errors import StateError
from lakehouse.specs import Silver, Table
from lakehouse.specs.model import RESCUED


def keep_rejects(table: Table, context: Context, rejects: pa.Table, result: TableResult) -> None:
    """Add rejected rows, in the quarantine's shape; one that is there already gets its newest sight and reasons."""
    uri = context.lake.quarantine(table)
    numbers = query(
        "SELECT min(n) AS n FROM f GROUP BY fingerprint ORDER BY n", f=numbered(rejects, ["fingerprint"], "n")
    ).column("n")
    rejects = rejects.take(numbers)
    commit = commit_of_rejects(table, context, result)
    held = context.snapshot(uri) or _new_quarantine(context, uri, rejects.schema)
    seen = held.read(among={"fingerprint": rejects.column("fingerprint").unique()})
    pairs = query(
        "SELECT r.n AS n, s.n AS s FROM r LEFT JOIN s ON r.fingerprint = s.fingerprint ORDER BY r.n",
        r=numbered(rejects, ["fingerprint"], "n"), s=numbered(seen, ["fingerprint"], "n"),
    )  # fmt: skip
    known = pairs.filter(pc.is_valid(pairs.column("s")))
    fresh = rejects.take(pairs.filter(pc.is_null(pairs.column("s"))).column("n"))
    before = seen.take(known.column("s"))
    again = _with(rejects.take(known.column("n")), {"first_seen": before.column("first_seen")})
    commit_change(held, Change(fresh, again, before, held.none()), commit)


def commit_of_rejects(table: Table, context: Context, result: TableResult) -> Commit:
    """Return the commit of one judgement's rejects.

    Rows are told apart by their fingerprint. By its number a second judgement, by a corrected contract, would be taken
    for a repeat of the first.
    """
    return context.commit(f"quarantine:{table.name}:{context.run_id}", micros(context.started), result)


def _new_quarantine(context: Context, uri: str, schema: pa.Schema) -> Snapshot:
    if context.lake.open(uri) is not None:
        raise StateError("the quarantine is not as this platform writes it.", where=uri,
                         remedy="move it away; a run with full_refresh fills a new one.")  # fmt: skip
    return new_table(context.settings, uri, schema)


def close_held(table: Table, context: Context, tombstones: pa.Table, result: TableResult) -> None:
    """Mark what is held of keys that were deleted since (`_key`, `_ingested_at`): it is not looked for again."""
    held = context.snapshot(context.lake.quarantine(table))
    if held is None:
        return
    mine = held.read(among={"key": tombstones.column("_key").unique(), "status": pa.array([HELD])})
    if not mine.num_rows:
        return
    found = query(
        "SELECT q.n FROM q WHERE EXISTS (SELECT 1 FROM t WHERE t._key = q.key AND q.ingested_at <= t._ingested_at) "
        "ORDER BY q.n",
        q=_keys(mine), t=tombstones.select(["_key", "_ingested_at"]),
    )  # fmt: skip
    if found.num_rows:
        commit = context.commit(f"closed:{table.name}:{context.run_id}", micros(context.started), result)
        _mark(held, mine.take(found.column("n")), CLOSED, context, commit)


def with_held(rows: pa.Table, table: Table, block: Silver, context: Context, progress: Progress) -> pa.Table:
    """Return rows of Bronze with those that `progress` has of the quarantine, which alone have a `_fingerprint`."""
    schema = from_arrow_schema(rows.schema, prefer_timestamp_ntz=True)
    held = held_rows(context.spark, context.lake.quarantine(table), schema, block)
    found = held.where(F.col(FINGERPRINT).isin(*progress.held)).toArrow()
    for name in [FINGERPRINT, *([RESCUED] if block.stream else [])]:
        rows = rows.append_column(name, pa.nulls(rows.num_rows, pa.string()))
    return pa.concat_tables([rows, found.select(rows.column_names).cast(rows.schema)])


def release(table: Table, context: Context, fingerprints: pa.ChunkedArray, result: TableResult) -> None:
    """Mark held rows as released; called after the commit that took them in."""
    uri = context.lake.quarantine(table)
    if len(fingerprints) and context.lake.open(uri) is not None:
        mark(uri, fingerprints, RELEASED, context, context.aside(uri, f"release:{table.name}", result))


def mark(uri: str, fingerprints: pa.ChunkedArray, status: str, context: Context, commit: Commit) -> None:
    """Give those of these rows that are held another status; without any there is no commit."""
    held = context.snapshot(uri)
    if held is None:
        return
    mine = held.read(among={"fingerprint": fingerprints.unique(), "status": pa.array([HELD])})
    if mine.num_rows:
        _mark(held, mine, status, context, commit)


def _mark(held: Snapshot, before: pa.Table, status: str, context: Context, commit: Commit) -> None:
    rows, count = before.drop_columns([FILE, ROW]), before.num_rows
    now = {
        "status": pa.array([status] * count),
        "last_seen": pa.array([context.started] * count, pa.timestamp("us", "UTC")),
        "run_id": pa.array([context.run_id] * count),
    }
    commit_change(held, Change(held.none(), _with(rows, now), before, held.none()), commit)


def _keys(rows: pa.Table) -> pa.Table:
    ingested = pc.struct_field(rows.column("origin"), "ingested_at")
    return numbered(rows.append_column("ingested_at", ingested), ["key", "ingested_at"], "n")


def _with(rows: pa.Table, columns: dict[str, pa.Array]) -> pa.Table:
    for name, values in columns.items():
        rows = rows.set_column(rows.schema.get_field_index(name), name, values)
    return rows
