"""The queries people paste into psql: each runs, and says what the rows say."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import pytest

from lakehouse.audit.lease import hold
from lakehouse.audit.log import Audit
from lakehouse.audit.result import Ledger, RuleResult, TableResult
from lakehouse.audit.stream_rows import OffsetRange, Sends, StreamBatch
from lakehouse.publish.manifest import Manifest

pytestmark = pytest.mark.postgres
QUERIES = Path(__file__).parents[2] / "warehouse" / "queries"
NAMES = sorted(path.stem for path in QUERIES.glob("*.sql"))
SEEN_TO = datetime(2018, 1, 2, tzinfo=UTC)


def orders(run: int, *, rejected: int) -> TableResult:
    return TableResult(
        table="olist.silver.orders",
        layer="silver",
        status="SUCCESS",
        ledger=Ledger(rows_in=10, inserted=10 - rejected, quarantined=rejected),
        rows_out=10 - rejected,
        version_written=run,
        phases={"read": 1.0, "merge": 3.0},
        window_to=SEEN_TO,
        rules=[RuleResult("delivered_has_a_date", "", "error", 10 - rejected, rejected)],
    )


@pytest.fixture
def day(audit: Audit) -> Audit:
    """Two runs of orders with 1 and 4 rejects and one failure, three publications of two tables."""
    for run, rejected in ((1, 1), (2, 4)):
        audit.start_run(f"r{run}", "olist", 1, "cli")
        audit.table_finished(f"r{run}", 1, orders(run, rejected=rejected))
    audit.table_failed("r2", 1, "gold", "olist.gold.fact_sales", "x")
    audit.finish_run("r1", 1, "SUCCESS")
    audit.finish_run("r2", 1, "FAILED", "gold: x")
    for number, versions in enumerate(({"a": 1, "b": 1}, {"a": 2, "b": 1}, {"a": 2, "b": 1, "c": 0}), start=1):
        audit.publication(Manifest(number, "olist", f"r{number}", datetime(2026, 1, number, tzinfo=UTC), versions))
    return audit


@pytest.fixture
def answer(ask, database):
    """Runs a shipped query by its name and returns its rows."""
    return lambda name: ask((QUERIES / f"{name}.sql").read_text())


def test_every_query_is_tested_and_described():
    readme = (QUERIES.parent / "README.md").read_text()
    tested = Path(__file__).read_text()
    assert len(NAMES) == 9
    for name in NAMES:
        assert f"`{name}.sql`" in readme
        assert f'answer("{name}")' in tested
        assert (QUERIES / f"{name}.sql").read_text().startswith("-- ")


def test_last_runs(day, answer):
    rows = [(row[0], row[4], *row[7:]) for row in answer("last_runs")]
    assert rows == [("r2", "FAILED", 2, 10, 6, 4, "gold: x"), ("r1", "SUCCESS", 1, 10, 9, 1, None)]


def test_ledger_of_a_run(day, answer):
    assert answer("ledger_of_a_run") == [
        ("silver", "olist.silver.orders", "SUCCESS", 10, 6, 0, 0, 0, 0, 4, 0, 6, 2),
        ("gold", "olist.gold.fact_sales", "FAILED", *[0] * 9, None),
    ]


def test_quarantine_by_rule(day, answer):
    rows = [row[:6] for row in answer("quarantine_by_rule")]
    assert rows == [("olist.silver.orders", "delivered_has_a_date", "", "error", 5, Decimal("25.00"))]


def test_slowest_tables(day, answer):
    assert answer("slowest_tables") == [("silver", "olist.silver.orders", 2, Decimal("8.0"), Decimal("4.0"), "merge")]


def test_freshness_counts_a_look_that_found_nothing_as_fresh(day, answer):
    day.start_run("r3", "olist", 1, "cli")
    day.table_finished("r3", 1, TableResult("olist.silver.orders", "silver", "SKIPPED"))
    ((layer, table, checked, changed, up_to, age),) = answer("freshness")
    assert (layer, table, up_to) == ("silver", "olist.silver.orders", SEEN_TO)
    assert checked > changed
    assert age.total_seconds() < 60


def test_unbalanced_is_empty_and_would_not_be_if_a_row_were_lost(day, answer, ask):
    assert answer("unbalanced") == []
    ask("ALTER TABLE audit.run_logs DROP CONSTRAINT run_logs_ledger_balances")
    ask("UPDATE audit.run_logs SET inserted = inserted - 1 WHERE run_id = 'r1'")
    assert answer("unbalanced") == [("r1", 1, "silver", "olist.silver.orders", 10, 9)]


def test_who_holds_a_lease(day, answer, audit_url):
    assert answer("who_holds_a_lease") == []
    with hold(audit_url, ["olist"], "r4", 2):
        assert [row[:3] for row in answer("who_holds_a_lease")] == [("olist", "r4", 2)]
    assert answer("who_holds_a_lease") == []


def test_stream_of_a_run(day, answer):
    assert answer("stream_of_a_run") == []
    day.sends_began("r2", "reviews", "id", {0: 100, 1: 0})
    day.sends_finished("r2", "reviews", [Sends(0, 100, 108, 7, 1), Sends(1, 0, 5, 5)])
    for number, (first, end) in enumerate([(100, 103), (103, 106)]):
        taken = [OffsetRange(0, first, end)]
        day.write_batch("r2", 1, StreamBatch(number, "t", SEEN_TO, SEEN_TO, taken, Ledger(3, 3)))
    assert answer("stream_of_a_run") == [
        ("r2", "reviews", 0, 100, 108, 7, 1, 2, 106, 2, True, None),
        ("r2", "reviews", 1, 0, 5, 5, 0, 0, None, 5, True, None),
    ]


def test_publications_count_what_changed_against_the_one_before(day, answer):
    rows = [(row[1], *row[5:]) for row in answer("publications")]
    assert rows == [(3, 3, 1), (2, 2, 1), (1, 2, 2)]
