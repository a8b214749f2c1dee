"""How many rejects a contract allows, and which rows that limit counts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import reduce
from operator import and_

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F  # noqa: N812

from lakehouse.engine.judge import OK, Counts
from lakehouse.engine.shape import FINGERPRINT
from lakehouse.errors import QuarantineLimitExceeded
from lakehouse.specs import Silver, Table

_GOOD = "_good_"


def need_within_limit(table: Table, block: Silver, counts: Counts, recount: Callable[[], Counts]) -> None:
    """Raise QuarantineLimitExceeded, naming the worst rule, where the contract allows fewer rejects.

    What was held before and is judged again was counted when it came. `recount` counts what `uncorrected` leaves of the
    rows; it is asked only where there are too many rejects without that.
    """
    if _is_within(block, counts):
        return
    left = recount()
    if not _is_within(block, left):
        raise _exceeded(table, block, left, counts.rows - counts.again - left.rows)


def uncorrected(judged: DataFrame, key: Sequence[str], latest_by: Sequence[str]) -> DataFrame:
    """Return judged rows less what was held before, and less rejects with a newer valid row or tombstone of their key.

    The bad rows of a run that was stopped come with every later one; corrected at the source, they would stop it again.
    One whose key cannot be read is never left out.
    """
    order = list(dict.fromkeys([*latest_by, "_ingested_at"]))
    names = dict.fromkeys([*key, *order])
    good = judged.where(OK).select(*[F.col(name).alias(_GOOD + name) for name in names])
    same = reduce(and_, [F.col(name) == F.col(_GOOD + name) for name in key])
    rejects = judged.where(~F.col(OK)).join(good, same & _newer(order), "left_anti")
    return judged.where(OK).unionByName(rejects).where(F.col(FINGERPRINT).isNull())


def _newer(order: Sequence[str]) -> Column:
    """Whether the good row comes after the reject; by Bronze's order where one of them does not say when it is from."""
    known = reduce(and_, [F.col(prefix + name).isNotNull() for prefix in ("", _GOOD) for name in order])
    by_all = _moment(order, _GOOD) > _moment(order, "")
    return F.when(known, by_all).otherwise(F.col(f"{_GOOD}_ingested_at") > F.col("_ingested_at"))


def _moment(order: Sequence[str], prefix: str) -> Column:
    return F.struct(*[F.col(prefix + name).alias(name) for name in order])


def _is_within(block: Silver, counts: Counts) -> bool:
    judged, rejected = _judged(counts)
    return rejected <= max(block.quarantine_limit * judged, block.quarantine_floor)


def _judged(counts: Counts) -> tuple[int, int]:
    """Return how many rows were judged for the first time, and how many of them were rejected."""
    return counts.rows - counts.tombstones - counts.again, counts.rejected - counts.rejected_again


def _exceeded(table: Table, block: Silver, counts: Counts, corrected: int) -> QuarantineLimitExceeded:
    judged, rejected = _judged(counts)
    worst = max((each for each in counts.rules if each.severity == "error"), key=lambda each: each.failed)
    others = f" {corrected} more count no longer: a newer row of their key is valid." if corrected else ""
    return QuarantineLimitExceeded(
        f"{rejected} of {judged} rows were rejected ({rejected / judged:.1%}); "
        f"most by {worst.rule} ({worst.failed}).{others}",
        where=table.full_name,
        allowed=f"at most {block.quarantine_limit:.1%} (quarantine_limit), or {block.quarantine_floor} rows "
        "(quarantine_floor)",
        remedy="the rejects are kept; correct the source or the contract, then run again; these rows are judged then "
        "too, and a reject no longer counts once a newer row of its key is valid; --quarantine-limit lets one run pass "
        "with more.",
    )
