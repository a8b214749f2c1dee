"""DAG runs by Airflow's own test run, with a stand-in for spark-submit and a real audit database."""

from __future__ import annotations

import json
import os
import re
from contextlib import closing
from pathlib import Path

import psycopg2
import pytest

from lakehouse.audit.migrate import migrate

pytestmark = pytest.mark.postgres
ROOT = Path(__file__).parents[2]
JOBS = ["bronze", "silver", "gold"]
DAG = "shop_pipeline"
HOPELESS = {"shop.silver.things": {"error": "shop.silver.things: price is no number.", "heals": False}}
PASSING = {"shop.silver.things": {"error": "source: no answer.", "heals": True}}
FORM = {"full_refresh": True, "tables": ["silver.product_category_name_translation"], "quarantine_limit": 0.5}
WINDOW = {"window_from": "2018-08-02T00:00:00Z", "window_to": "2018-08-01T00:00:00Z"}
CASES = {
    "well": {"dag": DAG},
    "asked": {"dag": DAG, "asked": FORM},
    "reversed": {"dag": DAG, "asked": WINDOW},
    "hopeless": {"dag": DAG, "jobs": {"silver": [[1, HOPELESS]]}},
    "both": {"dag": DAG, "jobs": {"silver": [[1, HOPELESS | {"other": {"error": "away.", "heals": True}}]]}},
    "passing": {"dag": DAG, "jobs": {"silver": [[75, PASSING]]}},
    "killed": {"dag": DAG, "jobs": {"gold": [[137, None], [137, None]]}},
    "killed_for_good": {"dag": DAG, "jobs": {"gold": [[137, None]] * 3}},
    "broken": {"dag": "broken_table_pipeline"},
    "planned": {"dag": DAG, "asked": {"dry_run": True}},
    "misspelt": {"dag": DAG, "asked": {"tabels": ["silver.things"]}},
    "no_holidays": {"dag": DAG, "jobs": {"holidays": [2, "error: no such seed."]}},
    "holidays_away": {"dag": DAG, "jobs": {"holidays": [75, "error: the audit is away."]}},
    "maintained": {"dag": "maintenance"},
    "maintenance_planned": {"dag": "maintenance", "asked": {"dry_run": True}},
    "maintenance_refused": {"dag": "maintenance", "jobs": {"maintain": [1, "error: no table is there."]}},
}


@pytest.fixture(scope="module")
def audit_url(postgres: str) -> str:
    """URL of an audit database for all cases."""
    with closing(psycopg2.connect(postgres)) as connection:
        connection.autocommit = True
        connection.cursor().execute("CREATE DATABASE dag_runs")
    url = postgres.rpartition("/")[0] + "/dag_runs"
    migrate(url, ROOT / "warehouse" / "migrations")
    return url


@pytest.fixture(scope="module")
def ran(dag_environment, run_script, new_pipeline, olist_and_others, audit_url, tmp_path_factory) -> dict:
    """What became of each case."""
    folder = tmp_path_factory.mktemp("runs")
    pipelines = folder / "pipelines"
    new_pipeline(pipelines, "shop", retry_delay="1s", retries="2")
    (pipelines / "broken_table").symlink_to(olist_and_others / "broken_table")
    (folder / "cases").write_text(json.dumps(CASES))
    environment = dag_environment(
        folder, PIPELINES=pipelines, AUDIT_URL=audit_url, CONNECTIONS__SOURCE=audit_url, S3_SECRET_KEY="canary-key"
    )
    environment |= {"CALLS": str(folder / "calls"), "CASE": str(folder / "case")}
    environment["PATH"] = f"{Path(__file__).parent}{os.pathsep}{environment['PATH']}"
    return run_script("cases.py", environment, folder, str(folder / "cases"))


def jobs(told: dict) -> list[str]:
    return [call["job"] for call in told["calls"]]


def option(call: dict, name: str) -> str:
    return call["words"][call["words"].index(name) + 1]


def attempts(told: dict) -> list[str]:
    return [option(call, "--attempt") for call in told["calls"]]


@pytest.fixture
def rows(audit_url, ran):
    """Gives the rows of audit.runs of a case whose jobs were called: (attempt, status, error)."""

    def rows(told: dict) -> list[tuple]:
        with closing(psycopg2.connect(audit_url)) as connection, connection.cursor() as cursor:
            statement = "SELECT attempt, status, error FROM audit.runs WHERE run_id = %s ORDER BY attempt"
            cursor.execute(statement, [option(told["calls"][0], "--run-id")])
            return cursor.fetchall()

    return rows


def test_a_run_submits_a_job_a_layer_and_is_one_success_in_the_audit(ran, rows):
    told = ran["well"]
    assert (told["state"], told["failed"]) == ("success", {})
    assert jobs(told) == JOBS
    assert len({option(call, "--run-id") for call in told["calls"]}) == 1
    assert rows(told) == [(1, "SUCCESS", None)]


def test_what_became_of_each_table_is_what_a_task_returns(ran):
    figures = {"status": "SUCCESS", "in": 3, "inserted": 2, "updated": 0, "unchanged": 0, "deleted": 0,
               "quarantined": 1, "out": 2, "seconds": 1.2, "version": 4}  # fmt: skip
    returned = ran["well"]["returned"]
    assert returned["silver_processing"] == {"shop.silver.things": figures}
    # There is no table in this lake, so there is nothing to judge and nothing to publish.
    assert returned["quality_gate"] == {}
    assert returned["publish"] == {"publication": None, "new": False}


def test_settings_reach_a_job_by_the_environment_and_stand_in_no_command(ran, audit_url):
    for call in ran["well"]["calls"]:
        assert call["audit"] == audit_url
        line = " ".join(call["words"])
        assert "canary-key" not in line
        assert audit_url not in line
        assert re.search(r":[^\s/]+@", line) is None
        assert option(call, "--master") == "local[2]"
        assert "--part" in call["words"]


def test_what_was_asked_reaches_every_job(ran):
    for call in ran["asked"]["calls"]:
        assert "--full-refresh" in call["words"]
        assert option(call, "--tables") == "silver.product_category_name_translation"
        assert option(call, "--quarantine-limit") == "0.5"
        assert {"--from", "--to", "--dry-run"} & set(call["words"]) == set()
    assert all("--quarantine-limit" not in call["words"] for call in ran["well"]["calls"])


def test_a_window_that_ends_before_it_begins_starts_no_job_and_is_failed_in_the_audit(ran, audit_url):
    told = ran["reversed"]
    assert (told["state"], jobs(told)) == ("failed", [])
    assert "the window ends (2018-08-01" in told["failed"]["fetch_holidays"]
    assert "\n" not in told["failed"]["fetch_holidays"], "one line, where the person is looking"
    with closing(psycopg2.connect(audit_url)) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT status, error FROM audit.runs WHERE params ->> 'window_to' = '2018-08-01T00:00:00Z'")
        ((status, error),) = cursor.fetchall()
    assert status == "FAILED"
    assert "the window ends (2018-08-01" in error


@pytest.mark.parametrize("case", ["hopeless", "both"])
def test_what_does_not_heal_is_not_tried_again(ran, rows, case):
    told = ran[case]
    assert (told["state"], jobs(told)) == ("failed", ["bronze", "silver"])
    assert told["failed"]["silver_processing"].startswith("shop.silver.things: price is no number.")
    assert [row[:2] for row in rows(told)] == [(1, "FAILED")]
    assert "price is no number" in rows(told)[0][2]


def test_what_heals_is_tried_again_as_the_next_attempt(ran, rows):
    told = ran["passing"]
    assert (told["state"], jobs(told)) == ("success", ["bronze", "silver", "silver", "gold"])
    assert attempts(told) == ["1", "1", "2", "2"]
    assert rows(told) == [(1, "FAILED", "task silver_processing: source: no answer."), (2, "SUCCESS", None)]


def test_a_job_that_ended_without_a_word_is_tried_again(ran, rows):
    told = ran["killed"]
    assert (told["state"], jobs(told)) == ("success", ["bronze", "silver", "gold", "gold", "gold"])
    assert attempts(told) == ["1", "1", "1", "2", "3"]
    assert [row[:2] for row in rows(told)] == [(1, "FAILED"), (2, "FAILED"), (3, "SUCCESS")]


def test_tries_have_an_end_and_nothing_stays_running(ran, rows):
    told = ran["killed_for_good"]
    assert (told["state"], attempts(told)) == ("failed", ["1", "1", "1", "2", "3"])
    assert [row[1] for row in rows(told)] == ["FAILED"] * 3
    assert "137" in rows(told)[-1][2]


def test_a_broken_specs_dag_fails_with_what_is_wrong(ran):
    told = ran["broken"]
    assert told["state"] == "failed"
    assert "update_at" in told["failed"]["broken_specs"]
    assert "product_category_name_translation.odcs.yaml:" in told["failed"]["broken_specs"]


def test_a_run_fetches_the_holidays_first_and_exports_nothing_without_a_target(ran):
    told = ran["well"]
    assert told["verbs"] == [["holidays", "fetch", "--pipeline", "shop", "--json"]]
    assert told["returned"]["fetch_holidays"] == {"verb": "holidays"}
    assert "export" not in told["returned"]
    assert told["skipped"] == ["export"]


def test_a_dry_run_asks_every_layer_for_its_plan_and_publishes_nothing(ran, rows):
    told = ran["planned"]
    assert (told["state"], jobs(told), told["verbs"]) == ("success", JOBS, [])
    assert all("--dry-run" in call["words"] for call in told["calls"])
    assert told["returned"]["bronze_ingestion"] == {"shop.bronze.things": {"rows": 3}}
    assert told["skipped"] == ["quality_gate"]
    assert {"publish", "export"} & set(told["returned"]) == set()
    assert rows(told) == [(1, "SUCCESS", None)]


def test_a_param_that_the_form_does_not_have_is_refused_with_the_nearest(ran):
    told = ran["misspelt"]
    assert (told["state"], jobs(told)) == ("failed", [])
    assert 'tabels unknown. Did you mean "tables"?' in told["failed"]["fetch_holidays"]


def test_a_verbs_exit_code_decides_whether_it_is_tried_again(ran):
    for case, calls in (("no_holidays", 1), ("holidays_away", 3)):
        told = ran[case]
        assert (told["state"], jobs(told), len(told["verbs"])) == ("failed", [], calls)
        assert told["failed"]["fetch_holidays"].startswith("error: ")


def test_maintenance_calls_the_verb_for_each_sound_pipeline(ran):
    ((*words, run_option, run_id, attempt_option, attempt, as_json),) = ran["maintained"]["verbs"]
    assert (ran["maintained"]["state"], words) == ("success", ["maintain", "--pipeline", "shop"])
    assert (run_option, attempt_option, attempt, as_json) == ("--run-id", "--attempt", "1", "--json")
    assert run_id.startswith("shop-maintenance-")
    assert ran["maintenance_planned"]["verbs"][0][:4] == [*words, "--dry-run"]
    refused = ran["maintenance_refused"]
    assert (refused["state"], refused["failed"]) == ("failed", {"shop": "error: no table is there."})
    assert len(refused["verbs"]) == 1
