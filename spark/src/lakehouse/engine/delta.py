"""Reading and committing Delta tables; every commit carries a number for one application id and a note."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import pyarrow as pa
from delta.tables import DeltaTable
from pyspark.sql import Column, DataFrame, DataFrameWriter, SparkSession
from pyspark.sql.pandas.types import from_arrow_schema

from lakehouse.changes.write import Commit
from lakehouse.specs.rules import quoted

_TXN_APP = "spark.databricks.delta.write.txnAppId"
_TXN_VERSION = "spark.databricks.delta.write.txnVersion"
_NOTE = "spark.databricks.delta.commitInfo.userMetadata"
_MATERIALIZE = "spark.databricks.delta.merge.materializeSource"
ACTION = "_action"


@dataclass(frozen=True)
class Written:
    """Rows that a commit inserted, updated and deleted, as Delta counted them."""

    inserted: int = 0
    updated: int = 0
    deleted: int = 0


def read(spark: SparkSession, uri: str, version: int | None = None) -> DataFrame:
    """Return a table, at a version if one is given."""
    reader = spark.read.format("delta")
    return (reader.option("versionAsOf", version) if version is not None else reader).load(uri)


def read_changes(spark: SparkSession, uri: str, first: int, last: int) -> DataFrame:
    """Return the changes of versions `first` to `last`, both included, with Delta's `_change_type`."""
    reader = spark.read.format("delta").option("readChangeFeed", "true")
    return reader.option("startingVersion", first).option("endingVersion", last).load(uri)


def append(frame: DataFrame, uri: str, commit: Commit, *, evolve: bool = False) -> None:
    """Append rows in one commit, making the table with a change feed where there is none.

    Delta leaves the write out, without a word, when the application has committed this number before; an observation
    on `frame` would then never be answered.
    """
    writer = _writer(frame, commit).mode("append").option("delta.enableChangeDataFeed", "true")
    (writer.option("mergeSchema", "true") if evolve else writer).save(uri)


def replace(frame: DataFrame, uri: str, commit: Commit) -> None:
    """Put rows in the place of all that a table holds, in one commit, with the columns that they have."""
    _writer(frame, commit).mode("overwrite").option("overwriteSchema", "true").save(uri)


def _writer(frame: DataFrame, commit: Commit) -> DataFrameWriter:
    return (
        frame.write.format("delta")
        .option("txnAppId", commit.application)
        .option("txnVersion", str(commit.number))
        .option("userMetadata", commit.note)
    )


def local(spark: SparkSession, rows: pa.Table) -> DataFrame:
    """Return rows of the driver as a frame; times without a zone stay so.

    One chunk a column: Spark takes an empty batch among others for the end of them.
    """
    return spark.createDataFrame(rows.combine_chunks(), from_arrow_schema(rows.schema, prefer_timestamp_ntz=True))


@dataclass(frozen=True)
class Settled:
    """Rows computed once: few ones travel with every further plan, many are cached and read from there."""

    frame: DataFrame
    local: bool

    def release(self) -> None:
        """Give the memory of cached rows back."""
        if not self.local:
            self.frame.unpersist()


def settle(frame: DataFrame, small: int) -> Settled:
    """Compute rows once. Up to `small` of them become a local relation: the plans after it forget how they were made.

    Without that a plan that uses a frame twice in each of four steps computes it sixteen times.
    """
    head = frame.limit(small + 1).toArrow()
    if head.num_rows > small:
        return Settled(frame.persist(), local=False)
    return Settled(frame.sparkSession.createDataFrame(head.combine_chunks(), frame.schema), local=True)


def merge_actions(spark: SparkSession, uri: str, actions: Settled, key: Sequence[str], commit: Commit) -> Written:
    """Apply rows that say in `_action` what becomes of them (insert, update, delete; others are left) in one commit.

    A MERGE reads its source twice and it must be the same both times: Delta writes down what is no local relation.
    """
    changed = actions.frame.where(f"{ACTION} IN ('insert', 'update', 'delete')")
    columns = [name for name in changed.columns if name != ACTION]
    values: dict[str, str | Column] = {quoted(name): f"s.{quoted(name)}" for name in columns}
    same_key = " AND ".join(f"t.{quoted(name)} = s.{quoted(name)}" for name in key)
    with _carrying(spark, commit, materialize="none" if actions.local else "auto"):
        outcome = (
            DeltaTable.forPath(spark, uri)
            .alias("t")
            .merge(changed.alias("s"), same_key)
            .whenMatchedDelete(f"s.{ACTION} = 'delete'")
            .whenMatchedUpdate(f"s.{ACTION} = 'update'", set=values)
            .whenNotMatchedInsert(f"s.{ACTION} = 'insert'", values=values)
            .execute()
        )
    row = outcome.collect()[0]
    return Written(row["num_inserted_rows"], row["num_updated_rows"], row["num_deleted_rows"])


@contextmanager
def _carrying(spark: SparkSession, commit: Commit, materialize: str) -> Iterator[None]:
    """MERGE takes a commit's number and note from the session; each table has a session of its own."""
    settings = {_TXN_APP: commit.application, _TXN_VERSION: str(commit.number), _NOTE: commit.note}
    settings[_MATERIALIZE] = materialize
    for key, value in settings.items():
        spark.conf.set(key, value)
    try:
        yield
    finally:
        for key in settings:
            spark.conf.unset(key)


def row_hash(columns: Sequence[str]) -> str:
    """Return SQL for a hash of columns that tells NULL from every value, and one column's NULL from another's."""
    flags = ", ".join(f"isnull({quoted(name)})" for name in columns)
    return f"xxhash64({', '.join(quoted(name) for name in columns)}, {flags})"
