"""Whose turn it is, of two runs of one pipeline; Airflow is a stand-in here, the audit database a real one."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psycopg2
import pytest

from lakehouse.audit.lease import hold
from lakehouse.audit.log import Audit
from lakehouse.audit.migrate import migrate
from lakehouse.dags import turn
from lakehouse.errors import LeaseHeld, RunInProgress

pytestmark = pytest.mark.postgres
LINK = "/dags/medallion_pipeline/runs/manual__1%2B00%3A00"


@pytest.fixture
def settings(database: str) -> Any:
    """As much of the settings as a turn asks for."""
    migrate(database, Path(__file__).parents[2] / "warehouse" / "migrations")
    return SimpleNamespace(need_audit_url=lambda: database)


@pytest.fixture
def audit(settings):
    with Audit(settings.need_audit_url()) as audit:
        yield audit


def context(run_type: str, *going: str, first: bool = True) -> dict[str, Any]:
    """A task's context: how its run began, which DAG runs go on at Airflow, and whether tasks come before it."""
    asked = SimpleNamespace(
        get_dr_count=lambda dag_id, run_ids, states: sum(f"{dag_id} {run}" in going for run in run_ids)
    )
    task = SimpleNamespace(upstream_task_ids=set() if first else {"fetch_holidays"})
    return {"dag_run": SimpleNamespace(run_type=run_type), "ti": asked, "task": task}


def wait(audit: Audit, run_id: str = "r1", link: str = LINK) -> None:
    """Leave a run RUNNING between two parts."""
    audit.end_part(run_id, audit.begin_part(run_id, "olist", "airflow", {}, link))


def test_nobody_at_work_is_ones_turn(settings, audit):
    turn.take_turn(settings, audit, "olist", "r2", context("manual"))


def test_a_persons_run_is_refused_beside_one_that_goes_on_and_says_which(settings, audit):
    wait(audit)
    going = "medallion_pipeline manual__1+00:00"
    with pytest.raises(RunInProgress, match=r"olist: run r1 \(by airflow\) since .* UTC is at work.*was refused"):
        turn.take_turn(settings, audit, "olist", "r2", context("manual", going))
    assert not audit.is_known("r2")
    turn.take_turn(settings, audit, "shop", "r2", context("manual", going))


@pytest.mark.parametrize("kind", ["scheduled", "backfill", "asset_triggered"])
def test_any_other_run_waits_until_that_one_has_ended(settings, audit, monkeypatch, kind):
    wait(audit)
    pauses = []

    def pause(seconds: float) -> None:
        pauses.append(seconds)
        if len(pauses) == 2:
            audit.finish_run("r1", 1, "SUCCESS")

    monkeypatch.setattr(turn, "time", SimpleNamespace(sleep=pause))
    turn.take_turn(settings, audit, "olist", "r2", context(kind, "medallion_pipeline manual__1+00:00"))
    assert len(pauses) == 2


def test_a_run_that_had_its_turn_is_tried_again_instead(settings, audit):
    wait(audit, "r2", LINK.replace("1", "2"))
    audit.fail_run("r2", "its task was cleared later")
    wait(audit)
    going = "medallion_pipeline manual__1+00:00"
    with pytest.raises(LeaseHeld, match="run r1"):
        turn.take_turn(settings, audit, "olist", "r2", context("manual", going, first=False))
    assert LeaseHeld.heals
    assert not RunInProgress.heals


@pytest.mark.parametrize("kind", ["manual", "backfill"])
def test_a_run_that_begins_once_more_waits_for_its_turn(settings, audit, monkeypatch, kind):
    wait(audit, "r2", LINK.replace("1", "2"))
    audit.fail_run("r2", "it was cleared later")
    wait(audit)
    monkeypatch.setattr(turn, "time", SimpleNamespace(sleep=lambda _: audit.finish_run("r1", 1, "SUCCESS")))
    turn.take_turn(settings, audit, "olist", "r2", context(kind, "medallion_pipeline manual__1+00:00"))
    assert audit.at_work("olist", "r2") == []


def test_a_row_of_a_run_that_airflow_no_longer_knows_holds_up_nobody(settings, audit):
    wait(audit)
    turn.take_turn(settings, audit, "olist", "r2", context("manual"))


def test_a_run_in_a_shell_is_at_work_while_it_holds_the_pipeline(settings, audit):
    with closing(psycopg2.connect(settings.need_audit_url())) as connection, connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO audit.runs (run_id, attempt, pipeline, trigger, status, host, pid, process_start) "
            "VALUES ('r1', 1, 'olist', 'cli', 'RUNNING', 'elsewhere', 1, 'x')"
        )
        connection.commit()
    with hold(settings.need_audit_url(), ["olist"], "r1", 1), pytest.raises(RunInProgress, match=r"run r1 \(by cli\)"):
        turn.take_turn(settings, audit, "olist", "r2", context("manual"))
    turn.take_turn(settings, audit, "olist", "r2", context("manual"))
