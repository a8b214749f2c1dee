"""Judging rows by all rules of a contract; a rejected row keeps every reason."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce

from pyspark.sql import Column, DataFrame, Row
from pyspark.sql import functions as F  # noqa: N812

from lakehouse.audit.result import RuleResult
from lakehouse.changes.decide import DELETE
from lakehouse.engine.shape import DERIVED, FINGERPRINT, RAW, cast_rules, found
from lakehouse.engine.unfit import UNFIT, unfit_text
from lakehouse.specs import Silver, Table

OK = "_ok"


@dataclass(frozen=True)
class Judgement:
    """One rule as an expression that is never NULL."""

    name: str
    column: str
    severity: str
    passes: Column


@dataclass(frozen=True)
class Counts:
    """What one pass over a judged batch found.

    `again` and `rejected_again`: rows among them that were held before, and are again. `duplicates`: valid rows and
    tombstones beyond the first of each key, where Spark has counted them.
    """

    rows: int
    tombstones: int
    rejected: int
    rules: list[RuleResult]
    again: int = 0
    rejected_again: int = 0
    duplicates: int = 0


def judgements(batch: DataFrame, table: Table, block: Silver) -> list[Judgement]:
    """Return all rules that a row of `batch` (Bronze columns) is judged by after typing."""

    def rule(name: str, column: str | None, severity: str, passes: Column) -> Judgement:
        return Judgement(name, column or "", severity, F.coalesce(passes, F.lit(False)))

    rules = [rule(f"{name}_type", name, "error", F.expr(test)) for name, test in cast_rules(batch, table).items()]
    rules += [rule(each.name, each.column, each.severity, F.expr(each.predicate)) for each in table.rules]
    rules += [rule(key.name, key.column, key.severity, found(key.column)) for key in table.foreign_keys]
    if block.on_null_watermark == "quarantine" and f"{block.watermark}_required" not in {each.name for each in rules}:
        stamped = F.col(RAW + block.watermark).isNotNull()
        rules.append(rule(f"{block.watermark}_required", block.watermark, "error", stamped))
    if block.stream is not None:
        # A source is read up to its own clock; an event from the future would stand above all that come after it.
        moment = F.col(block.watermark)
        passes = moment.isNull() | (moment <= F.col("_ingested_at") + F.expr("INTERVAL 1 DAY"))
        rules.append(rule(f"{block.watermark}_in_the_future", block.watermark, "error", passes))
    return rules


def judge(rows: DataFrame, rules: Sequence[Judgement]) -> DataFrame:
    """Add `_ok`: every rule of severity error holds, or the row is a tombstone, which has nothing to judge."""
    errors = [each.passes for each in rules if each.severity == "error"]
    holds = reduce(lambda left, right: left & right, errors, F.lit(True))
    return rows.withColumn(OK, (F.col("_op") == DELETE) | holds)


def count(judged: DataFrame, rules: Sequence[Judgement], key: Sequence[str]) -> Counts:
    """Count rows, rejects and each rule's failures in one pass; rows that were held before have a `_fingerprint`."""
    upsert = F.col("_op") != DELETE
    # Of 96 bits: by 64 alone two of a thousand million keys are the same once in 37 runs.
    identity = F.when(F.col(OK), F.xxhash64(*key)), F.when(F.col(OK), F.hash(*key))
    totals = [
        F.count(F.lit(1)).alias("rows"),
        F.count_if(~upsert).alias("tombstones"),
        F.count_if(~F.col(OK)).alias("rejected"),
        F.count_if(F.col(OK)).alias("identities"),
        F.count_distinct(*identity).alias("distinct"),
        F.count(FINGERPRINT).alias("again"),
        F.count_if(F.col(FINGERPRINT).isNotNull() & ~F.col(OK)).alias("rejected_again"),
    ]
    failures = [F.count_if(upsert & ~each.passes).alias(f"rule_{index}") for index, each in enumerate(rules)]
    row: Row = judged.agg(*totals, *failures).collect()[0]
    judged_rows = row["rows"] - row["tombstones"]
    results = []
    for index, each in enumerate(rules):
        failed = row[f"rule_{index}"]
        results.append(RuleResult(each.name, each.column, each.severity, judged_rows - failed, failed))
    again, duplicates = (row["again"], row["rejected_again"]), row["identities"] - row["distinct"]
    return Counts(row["rows"], row["tombstones"], row["rejected"], results, *again, duplicates)


def reasons(rules: Sequence[Judgement], columns: Sequence[str]) -> Column:
    """Return every reason of a row as an array of (rule, column, value, severity); `columns` are those of the frame."""

    def reason(each: Judgement) -> Column:
        names = (RAW + each.column, DERIVED + each.column, each.column)
        raw = next((name for name in names if name in columns), each.column)
        value = F.col(raw).cast("string") if raw in columns else F.lit(None).cast("string")
        if UNFIT in columns:
            value = F.coalesce(value, unfit_text(each.column))
        parts = [F.lit(each.name).alias("rule"), F.lit(each.column).alias("column"), value.alias("value")]
        return F.when(~each.passes, F.struct(*parts, F.lit(each.severity).alias("severity")))

    return F.array_compact(F.array(*[reason(each) for each in rules]))
