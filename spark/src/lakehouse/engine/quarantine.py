"""Rejected rows: kept once each with their raw payload, their origin and all their reasons, until they are released."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F  # noqa: N812
from pyspark.sql.types import StringType, StructField, StructType

from lakehouse.engine import delta
from lakehouse.engine.bronze_rows import UPSERT
from lakehouse.engine.judge import OK, Judgement, reasons
from lakehouse.engine.shape import FINGERPRINT, RAW
from lakehouse.engine.text_rows import as_source_has_them
from lakehouse.engine.unfit import UNFIT
from lakehouse.specs import Silver
from lakehouse.specs.model import RESCUED
from lakehouse.streaming.events import STREAMED
from lakehouse.streaming.rows import IDENTITY

# What is held is looked for again and replayed; what was released, or whose key was deleted since, is not.
HELD, RELEASED, CLOSED = "quarantined", "released", "deleted"
# Spark's own formats cut microseconds and leave out NULLs.
_JSON = {
    "timestampFormat": "yyyy-MM-dd'T'HH:mm:ss.SSSSSSXXX",
    "timestampNTZFormat": "yyyy-MM-dd'T'HH:mm:ss.SSSSSS",
    "ignoreNullFields": "false",
}


def key_of(key: Sequence[str]) -> Column:
    """Return a judged row's key as one text, as the source has it."""
    return F.concat_ws("\x1f", *[F.col(RAW + name).cast("string") for name in key])


@dataclass(frozen=True)
class Occasion:
    """When, by which run and under which contract version a row was rejected."""

    contract: str
    run_id: str
    seen: datetime


def rejection(
    columns: Sequence[str], rules: Sequence[Judgement], key: Sequence[str], occasion: Occasion
) -> dict[str, Column]:
    """Return the columns of the quarantine table as expressions over a judged row with these columns."""
    raw = [F.col(name).alias(name.removeprefix(RAW)) for name in columns if name.startswith(RAW)]
    payload = F.to_json(F.struct(*raw), _JSON)
    if UNFIT in columns:
        whole = F.to_json(F.struct(*raw, F.col(UNFIT)), _JSON)
        payload = F.when(F.col(UNFIT).isNull(), payload).otherwise(whole)
    known = [F.col(name) for name in (FINGERPRINT, IDENTITY) if name in columns]
    fingerprint = F.coalesce(*known, F.md5(payload.cast("binary")))
    if RESCUED in columns:
        whole = F.to_json(F.struct(*raw, F.col(RESCUED)), _JSON)
        payload = F.when(F.col(RESCUED).isNull(), payload).otherwise(whole)
    has_key = F.lit(True)
    for name in key:
        has_key = has_key & F.col(RAW + name).isNotNull()
    return {
        "fingerprint": fingerprint,
        "key": F.when(has_key, key_of(key)),
        "payload": payload,
        "reasons": reasons(rules, columns),
        "origin": F.struct(*[F.col(f"_{name}").alias(name) for name in ("source", "run_id", "ingested_at")]),
        "contract_version": F.lit(occasion.contract),
        "status": F.lit(HELD),
        "first_seen": F.lit(occasion.seen),
        "last_seen": F.lit(occasion.seen),
        "run_id": F.lit(occasion.run_id),
    }


def held_rows(spark: SparkSession, uri: str, bronze: StructType, block: Silver) -> DataFrame:
    """Return what is held, in the shape of Bronze rows with their `_fingerprint`, to be judged again.

    Of a stream's rows, whose payloads are texts, those that a row of the source can be; a table with a stream has
    `_rescued` too.
    """
    fields = [field for field in bronze.fields if field.name == UNFIT or not field.name.startswith("_")]
    fields += [StructField(RESCUED, StringType())] if block.stream else []
    held = delta.read(spark, uri).where(F.col("status") == HELD)
    streamed = F.col("origin.source").startswith(STREAMED)
    texts = _unpacked(held.where(streamed), StructType([StructField(field.name, StringType()) for field in fields]))
    rows = _unpacked(held.where(~streamed), StructType(fields))
    return rows.unionByName(as_source_has_them(texts, bronze, block.timezone))


def _unpacked(held: DataFrame, fields: StructType) -> DataFrame:
    row = F.from_json("payload", fields, {**_JSON, "mode": "FAILFAST"})
    return held.select(row.alias("row"), "origin", "fingerprint").select(
        "row.*",
        F.lit(UPSERT).alias("_op"),
        F.col("origin.run_id").alias("_run_id"),
        F.col("origin.ingested_at").alias("_ingested_at"),
        F.col("origin.source").alias("_source"),
        F.col("fingerprint").alias(FINGERPRINT),
    )


def passed_again(judged: DataFrame) -> DataFrame:
    """Return the fingerprints of rows that came from the quarantine and passed this time."""
    passed = judged.where(F.col(FINGERPRINT).isNotNull() & F.col(OK))
    return passed.select(F.col(FINGERPRINT).alias("fingerprint"))


def passed_among(judged: DataFrame, held: DataFrame, key: Sequence[str], fingerprint: Column) -> DataFrame:
    """Return the fingerprints of rows of all of Bronze that passed and whose key is held; they bring none of their own.

    `held`: rows of the quarantine. `fingerprint`: what a judged row would have there.
    """
    keys = held.where(F.col("status") == HELD).select(F.col("key").alias("_held")).distinct()
    passed = judged.where(F.col(OK) & (F.col("_op") == UPSERT))
    return passed.join(F.broadcast(keys), key_of(key) == F.col("_held"), "left_semi").select(
        fingerprint.alias("fingerprint")
    )
