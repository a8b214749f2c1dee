"""Events as rows of their table: what a producer says of the time ends no run."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from lakehouse.streaming.events import Event, Origin, as_table


@pytest.mark.parametrize("stamp", [-(10**18), -1, 0, 1_700_000_000_000, 1_700_000_000_000_000, 10**18])
def test_any_number_is_a_moment_that_can_be_shown(stamp):
    rows = as_table([Event(0, 0, stamp, b"k", None)], Origin("t", "id", "r"), datetime(2026, 1, 1, tzinfo=UTC))
    (shown,) = rows.column("timestamp").to_pylist()
    if abs(stamp) < 10**13:
        assert shown.timestamp() * 1000 == stamp
    else:
        assert shown.year in (1, 9999)
