"""Windows: any interleaving of transactions and runs reads each row once; the engine's choice against the model's."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import duckdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from modules import load

from lakehouse.engine.context import Options
from lakehouse.engine.jdbc import page_ranges, window_predicate
from lakehouse.engine.window import choose_window, horizon_of, micros
from lakehouse.errors import ParameterError, StateError
from lakehouse.lake import TableState
from lakehouse.source.stamps import stamp_of
from lakehouse.specs import Silver

model = load(Path(__file__).with_name("window_model.py"))
START = datetime(2018, 2, 17, tzinfo=UTC)
TRANSACTIONS = st.lists(
    st.builds(lambda begin, length, rows: model.Transaction(begin, begin + length, rows),
              st.integers(0, 40), st.integers(0, 30), st.integers(1, 3)),
    min_size=1, max_size=8,
)  # fmt: skip
RUNS = st.lists(st.integers(0, 90), max_size=8).map(sorted)


def block(lag: int = 0) -> Silver:
    return Silver(source="s.t", watermark="at", latest_by=["at"], lag=timedelta(minutes=lag))


def moment(minute: int) -> datetime:
    return START + timedelta(minutes=minute)


def read_by_the_engine(transactions, runs, lag: int) -> Counter:
    """Let the engine choose the windows of all runs, and count how often each row is read."""
    seen: Counter = Counter()
    previous = None
    for clock in runs:
        chosen = choose_window(block(lag), Options(), previous, moment(model.horizon(transactions, clock)))
        for row in model.readable(transactions, clock):
            if (chosen.low is None or chosen.low <= moment(row[0])) and moment(row[0]) < chosen.high:
                seen[row] += 1
        previous = chosen.high if chosen.moves else previous
    return seen


@given(TRANSACTIONS, RUNS)
@settings(max_examples=400, deadline=None)
def test_every_row_is_read_exactly_once_in_any_interleaving(transactions, runs):
    last = max([each.end for each in transactions] + runs) + 1
    seen = read_by_the_engine(transactions, [*runs, last], lag=0)
    assert seen == Counter(dict.fromkeys(model.readable(transactions, last), 1))


@given(TRANSACTIONS, RUNS, st.integers(1, 30))
@settings(max_examples=200, deadline=None)
def test_a_lag_misses_nothing(transactions, runs, lag):
    last = max([each.end for each in transactions] + runs) + 1
    assert set(read_by_the_engine(transactions, [*runs, last], lag)) == set(model.readable(transactions, last))


@given(st.none() | st.integers(0, 90), st.integers(0, 90), st.integers(0, 30))
def test_the_engine_chooses_the_window_of_the_model(previous, at, lag):
    before = None if previous is None else moment(previous)
    chosen = choose_window(block(lag), Options(), before, moment(at))
    low, high = model.window(previous, at, lag)
    moves = previous is None or high != previous
    assert (chosen.low, chosen.high, chosen.moves) == (None if low is None else moment(low), moment(high), moves)


@given(st.integers(0, 90), st.integers(0, 90), st.integers(0, 90), st.integers(0, 90))
def test_a_window_that_is_asked_for_never_moves_and_never_passes_the_horizon(previous, at, begin, end):
    options = Options(window_from=moment(begin), window_to=moment(end))
    chosen = choose_window(block(), options, moment(previous), moment(at))
    assert (chosen.moves, chosen.reread) == (False, True)
    assert chosen.high <= moment(max(previous, at))
    with pytest.raises(ParameterError):
        choose_window(block(), options, None, moment(at))


# Each goes round one change of the zone's clocks: back by an hour, by half an hour, at midnight; forward; none.
CHANGES = st.sampled_from(
    [
        ("America/Sao_Paulo", datetime(2018, 2, 18, 2, tzinfo=UTC)),
        ("America/Sao_Paulo", datetime(2018, 11, 4, 3, tzinfo=UTC)),
        ("Europe/Berlin", datetime(2026, 10, 25, 1, tzinfo=UTC)),
        ("Australia/Lord_Howe", datetime(2026, 4, 4, 15, tzinfo=UTC)),
        ("Asia/Tokyo", datetime(2026, 4, 4, 15, tzinfo=UTC)),
    ]
)
SECONDS = st.lists(st.integers(-3 * 3600, 3 * 3600), min_size=1, max_size=12).map(sorted)


@given(CHANGES, SECONDS, SECONDS, st.sampled_from(["timestamp_ntz", "date"]))
@settings(max_examples=400, deadline=None)
def test_what_a_wall_clock_stamps_is_read_exactly_once_also_where_it_is_set_back(change, stamped, runs, kind):
    zone, at = change
    rows, seen, low = Counter(stamped), Counter(), None
    for run in [*runs, 48 * 3600]:
        high = stamp_of(at + timedelta(seconds=run), kind, zone)
        for row in (second for second in rows.elements() if second < run):
            wall = (at + timedelta(seconds=row)).astimezone(ZoneInfo(zone)).replace(tzinfo=None)
            stamp = wall.date() if kind == "date" else wall
            seen[row] += (low is None or low <= stamp) and stamp < high
        low = high
    assert seen == rows


MICROSECONDS = st.lists(st.integers(0, 4_000_000), min_size=1, max_size=12).map(sorted)


@given(MICROSECONDS, MICROSECONDS, st.integers(0, 6), st.sampled_from(["timestamp", "timestamp_ntz"]))
@settings(max_examples=400, deadline=None)
def test_what_a_column_rounds_is_read_exactly_once(stamped, runs, digits, kind):
    unit = 10 ** (6 - digits)
    seen, low = Counter(), None
    for run in [*runs, 10_000_000]:
        high = stamp_of(START + timedelta(microseconds=run), kind, "UTC", digits)
        for row in (each for each in set(stamped) if each < run):
            stamp = START + timedelta(microseconds=(row + unit // 2) // unit * unit)
            stamp = stamp if kind == "timestamp" else stamp.replace(tzinfo=None)
            seen[row] += (low is None or low <= stamp) and stamp < high
        low = high
    assert seen == Counter(set(stamped))


def test_a_bound_waits_only_in_the_first_of_two_equal_hours():
    before, between, after = (datetime(2018, 2, 18, hour, 30, tzinfo=UTC) for hour in (0, 1, 2))
    stamps = [stamp_of(each, "timestamp_ntz", "America/Sao_Paulo") for each in (before, between, after)]
    assert stamps == [datetime(2018, 2, 17, *time) for time in ((22, 30), (23, 0), (23, 30))]
    assert stamp_of(between, "timestamp", "America/Sao_Paulo") == between


def test_a_table_whose_commits_carry_no_horizon_is_not_started_over():
    assert horizon_of(None, "t") is None
    assert horizon_of(TableState(3, micros(START)), "t") == START
    with pytest.raises(StateError, match="none of its commits carries a horizon"):
        horizon_of(TableState(3, None), "t")


@given(st.none() | st.integers(0, 9), st.integers(0, 9), st.booleans())
@settings(max_examples=60, deadline=None)
def test_the_sql_of_a_window_is_half_open(low, high, without_watermark):
    wanted = window_predicate(
        "at", None if low is None else moment(low), moment(high), without_watermark=without_watermark
    )
    minutes = [n for n in range(10) if (low is None or low <= n) and n < high]
    rows = "SELECT n, TIMESTAMPTZ '2018-02-17 00:00:00+00' + n * INTERVAL 1 MINUTE AS at FROM range(10) AS r(n)"
    rows = f"SELECT * FROM ({rows}) UNION ALL SELECT -1, NULL"
    found = duckdb.sql(f"SELECT n FROM ({rows}) WHERE {wanted} ORDER BY n").fetchall()
    assert [n for (n,) in found] == ([-1] if without_watermark else []) + minutes


@given(st.integers(0, 200), st.integers(1, 8))
def test_page_ranges_hold_every_page_once_also_those_added_meanwhile(pages, parts):
    ranges = page_ranges(pages, parts)
    assert len(ranges) == min(parts, pages) or ranges == ["TRUE"]
    assert pages > 1 or ranges == ["TRUE"], "a view has no pages, and no ctid"
    for page in range(pages + 5):
        tests = [each.replace("ctid", str(page)).replace("'(", "").replace(",0)'::tid", "") for each in ranges]
        assert sum(eval(test.replace("AND", "and").replace("TRUE", "True")) for test in tests) == 1
