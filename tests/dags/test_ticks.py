"""A DAG begins at its schedule's next date, also where one has just passed; Airflow's own timetable is asked."""

from __future__ import annotations

from datetime import UTC, datetime

import pendulum
import pytest
from airflow.serialization.decoders import decode_timetable
from airflow.serialization.encoders import encode_timetable
from airflow.timetables import trigger
from airflow.timetables.base import TimeRestriction

from lakehouse.dags.ticks import from_next_tick


@pytest.mark.parametrize(
    ("now", "first"), [((22, 0, 30), 23), ((22, 2, 23), 23), ((22, 12, 0), 23), ((22, 23, 59), 23), ((23, 0, 1), 24)]
)
def test_a_daily_dag_that_airflow_has_never_run_waits_for_the_next_midnight(monkeypatch, now, first):
    monkeypatch.setattr(trigger, "utcnow", lambda: pendulum.datetime(2026, 11, *now))
    timetable = decode_timetable(encode_timetable(from_next_tick("@daily")))
    told = timetable.next_dagrun_info(
        last_automated_data_interval=None, restriction=TimeRestriction(earliest=None, latest=None, catchup=False)
    )
    assert told.run_after == datetime(2026, 11, first, tzinfo=UTC)


@pytest.mark.parametrize("schedule", [None, "@once", "@continuous"])
def test_what_is_no_cron_stays_as_it_is(schedule):
    assert from_next_tick(schedule) == schedule
