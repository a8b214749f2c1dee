"""The whole job as a person starts it: both DAGs over Airflow's REST API, the lake in MinIO."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import psycopg2
import pytest
import requests
from pydantic import SecretStr

from lakehouse.audit.log import Audit
from lakehouse.audit.migrate import migrate
from lakehouse.audit.result import Ledger, RuleResult, TableResult
from lakehouse.lake import Lake
from lakehouse.publish.manifest import Manifest
from lakehouse.publish.store import current
from lakehouse.settings import Settings
from lakehouse.source.sample import write_sample
from lakehouse.source.simulate import simulate
from lakehouse.stack.airflow import log_in
from lakehouse.stack.layout import layout
from lakehouse.stack.parts import native_postgres
from lakehouse.stack.up import down, up

pytestmark = [pytest.mark.stack, pytest.mark.slow, pytest.mark.timeout(900)]
ROOT = Path(__file__).parents[2]
PATIENCE = 400


@pytest.fixture(scope="module")
def stack(new_settings: Callable[[], Settings], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Settings]:
    """A stack whose lake is MinIO, with made data for its source and an audit schema."""
    made = new_settings()
    server = native_postgres(made, layout(made))
    told = {
        "raw": tmp_path_factory.mktemp("raw"),
        "lake": "s3a://{layer}",
        "s3_endpoint": f"http://127.0.0.1:{made.minio_port}",
        "audit_url": SecretStr(server.url("audit")),
        "connections": {"source": SecretStr(server.url("source"))},
    }
    settings = made.model_copy(update=told)
    write_sample(settings.raw, scale=0.01)
    up(settings)
    migrate(settings.need_audit_url(), ROOT / "warehouse" / "migrations")
    yield settings
    down(settings)


def trigger(settings: Settings, dag: str) -> dict[str, Any]:
    """Trigger a DAG as the UI does and wait for its end; returns the states of its tasks."""
    api = f"http://127.0.0.1:{settings.airflow_port}/api/v2/dags/{dag}"
    head = {"Authorization": f"Bearer {log_in(settings)}"}
    deadline = time.monotonic() + PATIENCE
    while requests.patch(api, headers=head, json={"is_paused": False}, timeout=10).status_code != 200:
        assert time.monotonic() < deadline, f"{dag} was not parsed"
        time.sleep(0.5)
    started = requests.post(f"{api}/dagRuns", headers=head, json={"logical_date": None, "conf": {}}, timeout=10)
    run = f"{api}/dagRuns/{started.json()['dag_run_id']}"
    while requests.get(run, headers=head, timeout=10).json()["state"] not in ("success", "failed"):
        assert time.monotonic() < deadline, f"{dag} did not end"
        time.sleep(0.5)
    tasks = requests.get(f"{run}/taskInstances", headers=head, timeout=10).json()["task_instances"]
    return {task["task_id"]: task["state"] for task in tasks}


def ask(settings: Settings, query: str) -> list[tuple[Any, ...]]:
    with closing(psycopg2.connect(settings.need_audit_url())) as connection, connection.cursor() as cursor:
        cursor.execute(query)
        return cursor.fetchall()


def shell(settings: Settings, *words: str) -> str:
    """What a verb prints in a shell where nobody has named a lake."""
    told = {"HOME": settings.home, "STATE": settings.state, "POSTGRES_PORT": settings.postgres_port}
    environment = {name: value for name, value in os.environ.items() if not name.startswith("LAKEHOUSE_")}
    environment |= {f"LAKEHOUSE_{name}": str(value) for name, value in told.items()}
    command = [str(Path(sys.executable).with_name("lakehouse")), *words, "--json"]
    done = subprocess.run(
        command, cwd=settings.state.parent, env=environment, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def first(stack: Settings) -> Manifest:
    """What readers see after both DAGs have run once."""
    assert set(trigger(stack, "setup_source_db").values()) == {"success"}
    assert set(trigger(stack, "medallion_pipeline").values()) == {"success"}
    found = current(stack, "olist")
    assert found is not None
    return found


def test_both_dags_over_the_api_end_in_a_publication_and_a_second_run_changes_nothing(
    stack: Settings, first: Manifest
) -> None:
    lake = Lake(stack, "olist")
    for name, version in first.tables.items():
        _, layer, table = name.split(".")
        found = lake.open(lake.uri(layer, table))
        assert found is not None
        assert found.version() == version
    assert ask(stack, "SELECT status FROM audit.runs") == [("SUCCESS",)]
    ends = "inserted + updated + unchanged + stale + duplicate + quarantined + deleted"
    assert ask(stack, f"SELECT count(*), bool_and(input_rows = {ends}) FROM audit.run_logs") == [(30, True)]
    assert ask(stack, "SELECT number FROM audit.publications") == [(first.number,)]
    assert set(trigger(stack, "medallion_pipeline").values()) == {"success"}
    assert current(stack, "olist") == first
    assert json.loads(shell(stack, "publications", "olist"))[0]["tables"] == first.tables
    held = sum(rule["rows"] for rule in json.loads(shell(stack, "quarantine", "rules", "olist.silver.order_items")))
    assert held > 0
    assert json.loads(shell(stack, "run", "olist"))["publication"]["number"] == first.number


@contextmanager
def at_work(settings: Settings, run: str) -> Iterator[None]:
    """Have a run at work while this is held: one table done, with rejects, and one begun."""
    name, rejected = "olist.silver.orders", RuleResult("delivered_has_a_date", "", "error", 992, 2)
    done = TableResult(name, "silver", "SUCCESS", Ledger(994, 992, quarantined=2), 992, rules=[rejected])
    with Audit(settings.need_audit_url()) as audit:
        audit.start_run(run, "olist", 1, "cli")
        audit.table_finished(run, 1, done)
        audit.table_started(run, 1, "gold", "olist.gold.fact_sales")
        yield
        audit.finish_run(run, 1, "SUCCESS")


def pages(dag_run: str, run: str) -> list[dict[str, Any]]:
    """What a person looks at, each with what it must say; `framed` are ours, in Airflow's frame."""
    ours = "/plugin/lakehouse/lakehouse"
    return [
        {"name": "runs", "path": "/plugin/lakehouse", "framed": True, "says": "Readers see publication"},
        {"name": "run", "path": f"{ours}/runs/{run}", "framed": True, "says": "Where the time went", "height": 1000},
        {"name": "queries", "path": f"{ours}/queries", "framed": True, "says": "quarantine_by_rule.sql"},
        {"name": "dags", "path": "/dags", "says": "medallion_pipeline"},
        {"name": "dag", "path": "/dags/medallion_pipeline", "says": "medallion_pipeline"},
        {"name": "trigger", "path": "/dags/medallion_pipeline", "clicks": ["Trigger Dag"], "says": "full.refresh"},
        {"name": "dag_run", "path": dag_run, "says": "quality_gate"},
    ]


def test_people_find_their_way_and_can_read_what_they_see(stack: Settings, first: Manifest, browser: Any) -> None:
    ((dag_run,),) = ask(stack, f"SELECT DISTINCT link FROM audit.runs WHERE run_id = '{first.run_id}'")
    base = f"http://127.0.0.1:{stack.airflow_port}/lakehouse/"
    token = {"Authorization": f"Bearer {log_in(stack)}"}
    assert [requests.get(base, headers=each, timeout=10).status_code for each in ({}, token)] == [401, 200]
    with at_work(stack, "olist-at-work"):
        told = browser.look(stack, first.run_id, "olist-at-work", pages(dag_run, first.run_id))
    assert told["errors"] == []
    assert told["elsewhere"] == []
    assert told["wrongCookie"] == "/auth/login"
    assert told["landed"] == "/lakehouse/queries"
    assert told["menu"] == "Runs"
    assert len(told["runs"]) == ask(stack, "SELECT count(DISTINCT run_id) FROM audit.runs")[0][0]
    assert told["theme"] == "dark"
    assert told["console"] == f"http://127.0.0.1:{stack.minio_console_port}"
    assert told["deep"] == f"/plugin/lakehouse/lakehouse/runs/{first.run_id}"
    classes = "inserted, updated, unchanged, stale, duplicate, quarantined, deleted"
    figures = ask(
        stack,
        f"SELECT split_part(table_name, '.', 3), input_rows, {classes}, output_rows, version_written "
        f"FROM audit.run_logs WHERE run_id = '{first.run_id}' AND status = 'SUCCESS'",
    )
    shown = [line.split("\t") for line in told["ledger"] if "\tsuccess\t" in line]
    assert sorted([name, *rest[:-1]] for name, _, *rest in shown) == sorted(
        [name, *(f"{figure:,}" for figure in rest)] for name, *rest in figures
    )
    assert len(figures) == 30
    assert told["airflow"] == dag_run
    assert told["refreshed"] == ["still the same element", True, 60, 120]
    assert told["tab"] == f"/lakehouse/runs/{first.run_id}"
    assert [each for each in told["pictures"] if (each["brightness"] > 0.5) != (each["scheme"] == "light")] == []
    assert [each for each in told["pictures"] if each["faint"]] == []
    assert [each for each in told["pictures"] if each["framed"] and each["wide"] > 0] == []


@pytest.mark.skipif(not os.environ.get("LAKEHOUSE_PICTURES"), reason="`make pictures` takes the pictures of the docs")
def test_the_pictures_of_the_docs(stack: Settings, first: Manifest, browser: Any) -> None:
    """A first load, a day with a new column in the source, and a day when half of the payments are wrong."""
    shop = stack.connection_url("source")
    simulate(shop, changes=0.02, seed=7)
    change(shop, "ALTER TABLE olist.customers ADD COLUMN loyalty_tier text")
    change(shop, "UPDATE olist.customers SET loyalty_tier = 'gold', updated_at = now() WHERE customer_id < '2'")
    assert set(trigger(stack, "medallion_pipeline").values()) == {"success"}
    change(shop, "UPDATE olist.order_payments SET payment_value = -1, updated_at = now() WHERE order_id < '8'")
    assert trigger(stack, "medallion_pipeline")["silver_processing"] == "failed"
    take_pictures(stack, first, browser)


def take_pictures(stack: Settings, first: Manifest, browser: Any) -> None:
    _, day, failed = ask(stack, "SELECT run_id, link FROM audit.runs WHERE link <> '' ORDER BY started_at")
    ours = "/plugin/lakehouse/lakehouse/runs"
    more = [
        {"name": "run_failed", "path": f"{ours}/{failed[0]}", "framed": True, "says": "Why it failed"},
        {"name": "run_drift", "path": f"{ours}/{day[0]}", "framed": True, "says": "loyalty_tier", "height": 1600},
        {"name": "dag_run_failed", "path": failed[1], "says": "silver_processing"},
        minio_console(stack),
    ]
    with at_work(stack, "olist-20261121T161500-c0de"):
        told = browser.look(stack, first.run_id, "olist-20261121T161500-c0de", [*pages(day[1], first.run_id), *more])
    assert told["errors"] == []


def minio_console(stack: Settings) -> dict[str, Any]:
    login = {"#accessKey": stack.minio_root_user, "#secretKey": stack.minio_root_password.get_secret_value()}
    address = f"http://127.0.0.1:{stack.minio_console_port}/login"
    return {"name": "minio", "path": address, "fill": login, "clicks": ["Login", "Acknowledge"], "says": "quarantine"}


def change(url: str, statement: str) -> None:
    with closing(psycopg2.connect(url)) as connection, connection, connection.cursor() as cursor:
        cursor.execute(statement)
