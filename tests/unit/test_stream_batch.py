"""What is made up of a micro-batch's commit, and its row where the clock went back."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pyarrow as pa
import pytest

from lakehouse.audit.result import Ledger, TableResult
from lakehouse.engine import recover
from lakehouse.engine.stream import Pending
from lakehouse.engine.stream_batch import Sum
from lakehouse.lake.notes import Note
from lakehouse.streaming.events import Event, Origin, as_table

BEGAN = datetime(2026, 1, 1, 12, tzinfo=UTC)
RESULT = TableResult("shop.silver.reviews", "silver", "SUCCESS", Ledger(7, inserted=4, quarantined=3))
TOLD = {"batch": 1, "started_at": BEGAN.isoformat(), "offsets": [[0, 4, 7]], "version_events": 2}
NOTE = Note(
    9, BEGAN + timedelta(seconds=1), "lost", 1, RESULT, 0, 0, 0, TOLD | {"ledger": vars(Ledger(3, quarantined=3))}
)


class Audit:
    """Keeps what is written to it."""

    def is_recorded(self, *_: object) -> bool:
        return False

    def record_found(self, *row: Any) -> None:
        self.row = row


def recorded(note: Note, monkeypatch: pytest.MonkeyPatch) -> tuple[Any, ...]:
    audit: Any = Audit()
    monkeypatch.setattr(recover, "last_note", lambda *_: note)
    recover.record_lost(audit, None, "uri", RESULT.table, "next")
    return audit.row


def test_the_sum_of_a_run_stays_where_its_lost_micro_batch_wrote_no_row(monkeypatch):
    _, _, result, _, _, batch = recorded(NOTE, monkeypatch)
    assert (result.ledger, result.note) == (RESULT.ledger, "")
    assert batch.ledger == Ledger(3, quarantined=3)


def test_a_commit_by_spark_says_only_what_it_wrote(monkeypatch):
    note = replace(NOTE, result=replace(RESULT, ledger=Ledger()), inserted=5, batch=None)
    _, _, result, _, _, batch = recorded(note, monkeypatch)
    assert (result.ledger, batch) == (Ledger(5, inserted=5), None)
    assert "from the commit alone" in result.note


def test_a_micro_batch_ends_after_it_began_whatever_the_clock_does(monkeypatch):
    batch = recorded(replace(NOTE, committed_at=BEGAN - timedelta(hours=1)), monkeypatch)[-1]
    assert batch.ended_at == batch.started_at == BEGAN
    run = Sum(RESULT)
    run.started_at = datetime.now(UTC) + timedelta(hours=1)
    events = as_table([Event(0, 0, 0, None, b"{}")], Origin("topic", "id", "run"), BEGAN)
    progress: Any = None
    row = run.end(Pending(progress, pa.table(events), 0), replace(RESULT, ledger=Ledger(1, inserted=1)))
    assert row.ended_at == row.started_at
