"""A data file's statistics, as the log keeps them for readers that skip files."""

from __future__ import annotations

import json
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
        if column.null_count < len(column) and not pa.types.is_boolean(column.type):
            bounds = pc.min_max(column).as_py()
            least, greatest = _lower(bounds["min"]), _upper(bounds["max"])
            if least is not None and greatest is not None:
                low[name], high[name] = least, greatest
    found = {"numRecords": rows.num_rows, "minValues": low, "maxValues": high, "nullCount": nulls, "tightBounds": True}
    return json.dumps(found, separators=(",", ":"), ensure_ascii=False)


def loosened(stats: str) -> str:
    """Return a file's statistics once some of its rows are deleted: bounds hold, but may not be reached."""
    return json.dumps({**json.loads(stats), "tightBounds": False}, separators=(",", ":"), ensure_ascii=False)


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
    """JSON's own numbers only: a decimal that a double cannot hold exactly, NaN and bytes have no bound."""
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, Decimal):
        digits = len(value.as_tuple().digits)
        return float(value) if digits <= 15 else None
    if isinstance(value, float):
        return value if value - value == 0 else None
    return value if isinstance(value, int) else None
