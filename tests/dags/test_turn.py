"""Whose turn it is, of two runs of one pipeline; Airflow is a stand-in here, the audit database a real one."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, nullcontext
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psycopg2
import pytest
from airflow.sdk.exceptions import AirflowRescheduleException

from lakehouse.audit.lease import hold
from lakehouse.audit.log import Audit
from lakehouse.audit.migrate import migrate
from lakehouse.dags import ended, part, turn
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


def take_turn(settings, audit, pipeline: str, run_id: str, context: dict[str, Any]) -> int:
    """As a task's part does it: its row is there before any other may look."""
    return turn.take_turn(
        settings, audit, pipeline, run_id, context, lambda: audit.begin_part(run_id, pipeline, "airflow")
    )


def wait(audit: Audit, run_id: str = "r1", link: str = LINK) -> None:
    """Leave a run RUNNING between two parts."""
    audit.end_part(run_id, audit.begin_part(run_id, "olist", "airflow", {}, link))


def test_nobody_at_work_is_ones_turn(settings, audit):
    assert take_turn(settings, audit, "olist", "r2", context("manual")) == 1
    assert audit.is_known("r2")


def test_a_persons_run_is_refused_beside_one_that_goes_on_and_says_which(settings, audit):
    wait(audit)
    going = "medallion_pipeline manual__1+00:00"
    with pytest.raises(RunInProgress, match=r"olist: run r1 \(by airflow\) since .* UTC is at work.*was refused"):
        take_turn(settings, audit, "olist", "r2", context("manual", going))
    assert not audit.is_known("r2")
    take_turn(settings, audit, "shop", "r2", context("manual", going))


@pytest.mark.parametrize("kind", ["scheduled", "backfill", "asset_triggered"])
def test_any_other_run_waits_until_that_one_has_ended(settings, audit, monkeypatch, kind):
    wait(audit)
    pauses = []

    def pause(seconds: float) -> None:
        pauses.append(seconds)
        if len(pauses) == 2:
            audit.finish_run("r1", 1, "SUCCESS")

    monkeypatch.setattr(turn, "time", SimpleNamespace(sleep=pause))
    take_turn(settings, audit, "olist", "r2", context(kind, "medallion_pipeline manual__1+00:00"))
    assert len(pauses) == 2


def test_who_waits_for_long_leaves_its_slot_to_the_run_at_work(settings, audit, monkeypatch):
    wait(audit)
    pauses = []
    monkeypatch.setattr(turn, "time", SimpleNamespace(sleep=pauses.append))
    with pytest.raises(AirflowRescheduleException) as left:
        take_turn(settings, audit, "olist", "r2", context("backfill", "medallion_pipeline manual__1+00:00"))
    assert sum(pauses) == turn.SLOT_SECONDS
    assert timedelta(0) < left.value.reschedule_date - datetime.now(UTC) <= turn.AWAY
    assert not audit.is_known("r2")


def test_a_maintenance_at_work_is_waited_for_though_it_has_a_page_in_airflow(settings, audit, monkeypatch):
    wait(audit, "r2", LINK.replace("1", "2"))
    audit.start_run("m1", "olist", 1, "maintenance", link="/dags/maintenance/runs/1")
    lease = hold(settings.need_audit_url(), ["olist"], "m1", 1)
    monkeypatch.setattr(turn, "time", SimpleNamespace(sleep=lambda _: lease.release()))
    assert take_turn(settings, audit, "olist", "r2", context("scheduled", first=False)) == 1


def test_a_run_that_had_its_turn_is_tried_again_instead(settings, audit):
    wait(audit, "r2", LINK.replace("1", "2"))
    audit.fail_run("r2", "its task was cleared later")
    wait(audit)
    going = "medallion_pipeline manual__1+00:00"
    with pytest.raises(LeaseHeld, match="run r1"):
        take_turn(settings, audit, "olist", "r2", context("manual", going, first=False))
    assert LeaseHeld.heals
    assert not RunInProgress.heals


@pytest.mark.parametrize("kind", ["manual", "backfill"])
def test_a_run_that_begins_once_more_waits_for_its_turn(settings, audit, monkeypatch, kind):
    wait(audit, "r2", LINK.replace("1", "2"))
    audit.fail_run("r2", "it was cleared later")
    wait(audit)
    monkeypatch.setattr(turn, "time", SimpleNamespace(sleep=lambda _: audit.finish_run("r1", 1, "SUCCESS")))
    assert take_turn(settings, audit, "olist", "r2", context(kind, "medallion_pipeline manual__1+00:00")) == 2
    assert audit.at_work("olist", "r2") == []


def test_a_later_task_waits_for_a_run_in_a_shell_which_needs_no_slot_of_airflows(settings, audit, monkeypatch):
    wait(audit, "r2", LINK.replace("1", "2"))
    audit.start_run("r1", "olist", 1, "cli")
    lease = hold(settings.need_audit_url(), ["olist"], "r1", 1)
    monkeypatch.setattr(turn, "time", SimpleNamespace(sleep=lambda _: lease.release()))
    assert take_turn(settings, audit, "olist", "r2", context("scheduled", first=False)) == 1


def test_a_run_that_is_refused_ends_no_other(settings, audit, monkeypatch):
    wait(audit)
    monkeypatch.setattr(part, "load_settings", lambda: settings)
    monkeypatch.setattr(part, "secrets_of", lambda _: ())
    monkeypatch.setattr(part, "sending", lambda _: nullcontext())
    told = {"run_id": "manual__2", "task_instance": SimpleNamespace(task_id="fetch_holidays"), "exception": "refused"}
    part.give_up("olist", told | {"dag": SimpleNamespace(dag_id="medallion_pipeline")})
    (refused,) = audit.overview(1)
    assert (refused["status"], refused["error"]) == ("FAILED", "task fetch_holidays failed: refused")
    assert [each.run_id for each in audit.at_work("olist", "")] == ["r1"]


def test_of_two_runs_that_begin_at_once_one_begins(settings, audit):
    going = context("manual", "medallion_pipeline manual__1+00:00", "medallion_pipeline manual__2+00:00")
    links = {"r1": LINK, "r2": LINK.replace("1", "2")}

    def begin(run_id: str) -> str:
        with Audit(settings.need_audit_url()) as own:
            try:
                turn.take_turn(
                    settings, own, "olist", run_id, going,
                    lambda: own.begin_part(run_id, "olist", "airflow", {}, links[run_id]),
                )  # fmt: skip
            except RunInProgress:
                return "refused"
        return "begun"

    with ThreadPoolExecutor(2) as both:
        assert sorted(both.map(begin, links)) == ["begun", "refused"]


def test_a_run_that_is_ended_while_its_next_task_waits_has_ended(settings, audit, monkeypatch):
    monkeypatch.setattr(ended, "load_settings", lambda: settings)
    monkeypatch.setattr(ended, "secrets_of", lambda _: ())
    dag_run = SimpleNamespace(dag_id="medallion_pipeline", run_id="manual__1+00:00")
    audit.begin_part("r1", "olist", "airflow", {}, LINK)
    ended.hear(dag_run, "").join()
    assert [run["status"] for run in audit.overview()] == ["RUNNING"], "its part ends it"
    audit.end_part("r1", 1)
    ended.on_dag_run_failed(SimpleNamespace(dag_id="medallion_pipeline", run_id="manual__9"), "manually set")
    ended.hear(dag_run, "set to failed").join()
    (run,) = audit.overview()
    assert (run["status"], run["error"]) == ("FAILED", "ended in Airflow before its last task: set to failed")


def test_a_row_of_a_run_that_airflow_no_longer_knows_holds_up_nobody(settings, audit):
    wait(audit)
    take_turn(settings, audit, "olist", "r2", context("manual"))


def test_a_run_in_a_shell_is_at_work_while_it_holds_the_pipeline(settings, audit):
    with closing(psycopg2.connect(settings.need_audit_url())) as connection, connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO audit.runs (run_id, attempt, pipeline, trigger, status, host, pid, process_start) "
            "VALUES ('r1', 1, 'olist', 'cli', 'RUNNING', 'elsewhere', 1, 'x')"
        )
        connection.commit()
    with hold(settings.need_audit_url(), ["olist"], "r1", 1), pytest.raises(RunInProgress, match=r"run r1 \(by cli\)"):
        take_turn(settings, audit, "olist", "r2", context("manual"))
    take_turn(settings, audit, "olist", "r2", context("manual"))
