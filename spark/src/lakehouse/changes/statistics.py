"""A data file's statistics, as the log keeps them for readers that skip files."""

from __future__ import annotations

import json
import re
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

_COLUMNS, _PREFIX = 32, 32
# Above any text that begins like it: the greatest code point, unless the text itself goes on with that.
_TIE_BREAKER = "\U0010ffff"


def statistics(rows: pa.Table) -> str:
    """Return rows, bounds and NULLs of the first 32 columns as JSON; nested columns have none."""
    low: dict[str, Any] = {}
    high: dict[str, Any] = {}
    nulls: dict[str, int] = {}
    for name in rows.column_names[:_COLUMNS]:
        column = rows.column(name)
        if pa.types.is_nested(column.type):
            continue
        nulls[name] = column.null_count
        least, greatest = _bounds(column)
        if least is not None and greatest is not None:
            low[name], high[name] = least, greatest
    found = {"numRecords": rows.num_rows, "minValues": low, "maxValues": high, "nullCount": nulls, "tightBounds": True}
    return json.dumps(found, separators=(",", ":"), ensure_ascii=False)


def loosened(stats: str) -> str:
    """Return a file's statistics once some of its rows are deleted: bounds hold, but may not be reached.

    All else stays as it was written: a decimal has more digits than Python's floats.
    """
    if "tightBounds" in json.loads(stats):
        return re.sub(r'"tightBounds"\s*:\s*true', '"tightBounds":false', stats)
    return f'{stats.rstrip().removesuffix("}")},"tightBounds":false}}'


def _bounds(column: pa.ChunkedArray) -> tuple[Any, Any]:
    """Return the least and the greatest value as the log keeps them, each None where it cannot."""
    if column.null_count == len(column) or pa.types.is_boolean(column.type):
        return None, None
    # NaN is above every number to Spark, and no number to Arrow.
    if pa.types.is_floating(column.type) and pc.any(pc.is_nan(column)).as_py():
        return None, None
    try:
        found = pc.min_max(column).as_py()
    except (OverflowError, ValueError):  # a year that Python has not
        return None, None
    return _lower(found["min"]), _upper(found["max"])


def _lower(value: Any) -> Any:
    if isinstance(value, str):
        return value[:_PREFIX]
    return _moment(value) if isinstance(value, datetime) else _number(value)


def _upper(value: Any) -> Any:
    if isinstance(value, str):
        if len(value) <= _PREFIX:
            return value
        return value[:_PREFIX] + _TIE_BREAKER if _TIE_BREAKER not in value else None
    return _moment(_whole_millisecond(value)) if isinstance(value, datetime) else _number(value)


def _whole_millisecond(value: datetime) -> datetime:
    """Readers take bounds as whole milliseconds; the last one of year 9999 has no next."""
    more = -value.microsecond % 1000
    return value + timedelta(microseconds=more) if value.year < 9999 else value


def _moment(value: datetime) -> str | None:
    """A moment after the last whole millisecond of all has no bound above."""
    if value.year == 9999 and value.microsecond % 1000:
        return None
    return value.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _number(value: Any) -> Any:
    """JSON's own numbers only: a decimal that a double cannot hold exactly, infinity and bytes have no bound."""
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, Decimal):
        digits = len(value.as_tuple().digits)
        return float(value) if digits <= 15 else None
    if isinstance(value, float):
        return value if value - value == 0 else None
    return value if isinstance(value, int) else None
