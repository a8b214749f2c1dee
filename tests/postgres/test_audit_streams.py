"""Rows of streams: what a producer hands over, and what became of micro-batches."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from lakehouse.audit.result import Ledger
from lakehouse.audit.stream_rows import OffsetRange, Sends, StreamBatch
from lakehouse.errors import LedgerUnbalanced, ParameterError, StateError

pytestmark = pytest.mark.postgres
BEGAN = datetime(2026, 1, 1, tzinfo=UTC)
BATCH = StreamBatch(
    batch=0,
    table="olist.silver.order_reviews",
    started_at=BEGAN,
    ended_at=BEGAN + timedelta(seconds=2),
    offsets=[OffsetRange(0, 10, 15), OffsetRange(1, 0, 3)],
    ledger=Ledger(8, inserted=1, updated=2, stale=1, duplicate=1, quarantined=2, deleted=1),
    version_events=4,
    version_written=9,
    latency_p50_ms=800.5,
)


def figures(audit, run_id: str = "r1") -> list[tuple]:
    names = ("partition", "first_offset", "next_offset", "acknowledged", "refused")
    return [tuple(row[name] for name in names) for row in audit.sends_of(run_id)]


def test_a_run_at_work_says_where_it_began(audit):
    assert audit.sends_began("r1", "reviews", "id", {0: 10, 1: 0}) == [Sends(0, 10, 10), Sends(1, 0, 0)]
    assert figures(audit) == [(0, 10, 10, 0, 0), (1, 0, 0, 0, 0)]
    assert [(row["finished_at"], row["error"]) for row in audit.sends_of("r1")] == [(None, None)] * 2
    assert audit.sends_of("r2") == []


def test_what_was_sent_is_there_with_its_end_and_a_failure_with_its_words(audit):
    audit.sends_began("r1", "reviews", "id", {0: 10})
    audit.sends_finished("r1", "reviews", [Sends(0, 10, 15, 5, 1)], "no broker at postgresql://u:canary@h/d")
    ((row),) = audit.sends_of("r1")
    assert figures(audit) == [(0, 10, 15, 5, 1)]
    assert row["finished_at"] >= row["started_at"]
    assert "no broker" in row["error"]
    assert "canary" not in row["error"]


def test_who_asks_for_a_producers_run_is_told_where_it_is(audit):
    audit.sends_began("sent-1", "reviews", "id", {0: 10})
    with pytest.raises(ParameterError, match=r'"sent-1" is a run of a producer.*`lakehouse stream reconcile sent-1`'):
        audit.show("sent-1")


def test_another_attempt_is_told_what_the_first_one_sent_and_a_topic_made_anew_begins_anew(audit):
    audit.sends_began("r1", "reviews", "id", {0: 10})
    audit.sends_finished("r1", "reviews", [Sends(0, 10, 15, 5, 1)], "away")
    (earlier,) = audit.sends_began("r1", "reviews", "id", {0: 20})
    assert earlier == Sends(0, 10, 15, 5, 1)
    assert earlier + Sends(0, 20, 22, 2) == Sends(0, 10, 22, 7, 1)
    assert audit.sends_of("r1")[0]["finished_at"] is None
    assert audit.sends_began("r1", "reviews", "another id", {0: 3}) == [Sends(0, 3, 3)]


def test_more_messages_than_offsets_are_refused(audit):
    audit.sends_began("r1", "reviews", "id", {0: 10})
    with pytest.raises(StateError, match="stream_sends_range_holds_them"):
        audit.sends_finished("r1", "reviews", [Sends(0, 10, 12, 3)])


def test_what_never_began_cannot_be_finished(audit):
    with pytest.raises(StateError, match="never began"):
        audit.sends_finished("r1", "reviews", [Sends(0, 0, 1, 1)])


def test_a_micro_batch_is_one_row_written_twice_or_once(audit):
    audit.start_run("r1", "olist", 1, "cli")
    for latency in (800.5, None):
        audit.write_batch("r1", 1, replace(BATCH, latency_p50_ms=latency))
    (row,) = audit.batches_of("r1")
    assert row["offsets"] == [{"partition": 0, "from": 10, "to": 15}, {"partition": 1, "from": 0, "to": 3}]
    assert (row["received"], row["inserted"], row["updated"], row["unchanged"], row["deleted"]) == (8, 1, 2, 0, 1)
    assert (row["version_events"], row["version_written"], row["latency_p50_ms"]) == (4, 9, 800.5)
    assert row["latency_max_ms"] is None


def test_a_micro_batch_whose_ledger_does_not_balance_is_refused_here_and_by_the_table(audit, ask):
    audit.start_run("r1", "olist", 1, "cli")
    with pytest.raises(LedgerUnbalanced):
        audit.write_batch("r1", 1, replace(BATCH, ledger=Ledger(8, inserted=7)))
    assert audit.batches_of("r1") == []
    audit.write_batch("r1", 1, BATCH)
    with pytest.raises(Exception, match="stream_batches_ledger_balances"):
        ask("UPDATE audit.stream_batches SET inserted = 0")


def test_batches_of_a_run_come_in_their_order(audit):
    audit.start_run("r1", "olist", 1, "cli")
    for number in (2, 0, 1):
        audit.write_batch("r1", 1, replace(BATCH, batch=number))
    assert [row["batch"] for row in audit.batches_of("r1")] == [0, 1, 2]
