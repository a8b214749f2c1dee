"""When a DAG runs by itself."""

from __future__ import annotations

from datetime import timedelta

from airflow.sdk import CronTriggerTimetable

_NO_CRON = (None, "@once", "@continuous")


def from_next_tick(schedule: str | None) -> CronTriggerTimetable | str | None:
    """Return a schedule whose first run is at its next date.

    A string alone, and `run_immediately=False` too (Airflow 3.3), begins a new DAG with the date that has passed when
    less than a tenth of the time to the next one has gone since: a daily one with a run before there is a source.
    """
    if schedule in _NO_CRON:
        return schedule
    return CronTriggerTimetable(schedule, timezone="UTC", run_immediately=timedelta(0))
