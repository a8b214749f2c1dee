"""Making a table equal to what it should be, by writing only the rows that differ."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pyspark.sql import DataFrame
from pyspark.sql import functions as F  # noqa: N812

from lakehouse.audit.result import Ledger
from lakehouse.changes.write import Commit
from lakehouse.engine import delta
from lakehouse.engine.delta import ACTION
from lakehouse.engine.latest import HASH
from lakehouse.errors import GateFailed, LedgerUnbalanced
from lakehouse.specs.rules import quoted


def differences(desired: DataFrame, held: DataFrame, key: Sequence[str]) -> DataFrame:
    """Return `desired` with an `_action`, and a delete for each row of `held` that it lacks.

    Both hold the key and `_hash`; a delete's other columns are NULL.
    """
    before = held.select(*[F.col(name).alias(f"_held_{name}") for name in key], F.col(HASH).alias("_held_hash"))
    same = [F.col(name) == F.col(f"_held_{name}") for name in key]
    joined = desired.join(before, same, "full_outer")
    action = (
        F.when(F.col(HASH).isNull(), "delete")
        .when(F.col("_held_hash").isNull(), "insert")
        .when(F.col(HASH) == F.col("_held_hash"), "unchanged")
        .otherwise("update")
    )
    identity = {name: F.coalesce(name, f"_held_{name}") for name in key}
    columns = [identity.get(name, F.col(name)).alias(name) for name in desired.columns]
    return joined.select(*columns, action.alias(ACTION))


def need_unique(rows: DataFrame, key: Sequence[str], table: str) -> None:
    """Raise GateFailed where a key stands on more than one row."""
    counted = rows.groupBy(*[F.col(quoted(name)) for name in key]).agg(F.count(F.lit(1)).alias("n"))
    found = counted.where("n > 1").orderBy(*[F.col(quoted(name)) for name in key]).limit(1).collect()
    if found:
        raise multiplied(table, key, found[0].asDict())


def multiplied(table: str, key: Sequence[str], example: Mapping[str, Any]) -> GateFailed:
    """Return the refusal of rows of which one key has several; `example` is a key and its `n` rows."""
    shown = ", ".join(f"{name}={example[name]}" for name in key)
    return GateFailed(
        f"the SQL makes several rows for one key ({', '.join(key)}): {example['n']} for {shown}.",
        where=table,
        remedy="aggregate before joining: a join multiplies rows. The table is as it was.",
    )


def apply(
    desired: DataFrame, held: DataFrame, uri: str, key: Sequence[str], commit: Commit, table: str, small: int
) -> Ledger:
    """Write the differences in one commit, or none where there are none; returns what became of the rows."""
    actions = delta.settle(differences(desired, held, key), small)
    need_unique(actions.frame.where(F.col(ACTION) != "delete"), key, table)
    rows = actions.frame.groupBy(ACTION).agg(F.count(F.lit(1)).alias("n")).collect()
    counts = {row[ACTION]: row["n"] for row in rows}
    insert, update, gone = (counts.get(name, 0) for name in ("insert", "update", "delete"))
    if update or gone:
        written = delta.merge_actions(desired.sparkSession, uri, actions, key, commit)
        if (written.inserted, written.updated, written.deleted) != (insert, update, gone):
            raise LedgerUnbalanced(f"Delta wrote {written}, but {counts} were decided.", where=table)
    elif insert:
        delta.append(actions.frame.where(F.col(ACTION) == "insert").drop(ACTION), uri, commit)
    actions.release()
    total = sum(counts.values())
    return Ledger(rows_in=total, inserted=insert, updated=update, deleted=gone, unchanged=counts.get("unchanged", 0))
