"""Statistics of data files: bounds that hold as readers order values, or none."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime
from decimal import Decimal

import pyarrow as pa
import pytest

from lakehouse.changes.statistics import loosened, statistics

NAN = float("nan")
YEAR_20000 = 569_000_000_000_000_000


def bounds(values, kind):
    found = json.loads(statistics(pa.table({"c": pa.array(values, kind)})))
    return found["minValues"].get("c"), found["maxValues"].get("c")


@pytest.mark.parametrize(
    ("values", "kind", "expected"),
    [
        ([3, None, -2], pa.int32(), (-2, 3)),
        ([None, None], pa.int32(), (None, None)),
        ([True, False], pa.bool_(), (None, None)),
        ([1.5, -2.5], pa.float64(), (-2.5, 1.5)),
        ([1.5, NAN], pa.float64(), (None, None)),  # Spark: NaN is the greatest
        ([1.5, float("inf")], pa.float64(), (None, None)),
        ([Decimal("1.25"), Decimal("-3.50")], pa.decimal128(12, 2), (-3.5, 1.25)),
        ([Decimal("1234567890123456.78")], pa.decimal128(18, 2), (None, None)),
        ([date(2018, 2, 17)], pa.date32(), ("2018-02-17", "2018-02-17")),
        ([YEAR_20000], pa.timestamp("us", "UTC"), (None, None)),
        ([-YEAR_20000], pa.timestamp("us"), (None, None)),
        ([datetime(2018, 2, 17, 1, 2, 3, 4567, UTC)], pa.timestamp("us", "UTC"),
         ("2018-02-17T01:02:03.004Z", "2018-02-17T01:02:03.005Z")),
        ([datetime(9999, 12, 31, 23, 59, 59, 999999, UTC)], pa.timestamp("us", "UTC"), (None, None)),
        ([b"a"], pa.binary(), (None, None)),
        (["b" * 40, "a" * 40], pa.string(), ("a" * 32, "b" * 32 + "\U0010ffff")),
        (["\U0010ffff" * 40], pa.string(), (None, None)),
    ],
)  # fmt: skip
def test_bounds(values, kind, expected):
    assert bounds(values, kind) == expected


def test_nulls_are_counted_and_nested_columns_left_out():
    table = pa.table({"a": [None, 1], "b": [[1], None], "c": pa.nulls(2, pa.string())})
    found = json.loads(statistics(table))
    assert (found["numRecords"], found["nullCount"]) == (2, {"a": 1, "c": 2})


@pytest.mark.parametrize("end", ["}", ',"tightBounds":true}', ', "tightBounds" : true }', ',"tightBounds":false}'])
def test_loosened_statistics_keep_every_digit(end):
    stats = '{"numRecords":2,"minValues":{"d":1234567890123456.78},"maxValues":{"d":9999999999999999.99}' + end
    now = loosened(stats)
    assert '"d":1234567890123456.78' in now
    assert '"d":9999999999999999.99' in now
    assert json.loads(now)["tightBounds"] is False
