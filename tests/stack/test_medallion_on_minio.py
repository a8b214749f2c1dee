"""The whole job as a person starts it: both DAGs over Airflow's REST API, the lake in MinIO."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import psycopg2
import pytest
import requests
from pydantic import SecretStr

from lakehouse.audit.migrate import migrate
from lakehouse.lake import Lake
from lakehouse.publish.store import current
from lakehouse.settings import Settings
from lakehouse.source.sample import write_sample
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


def test_both_dags_over_the_api_end_in_a_publication_and_a_second_run_changes_nothing(stack: Settings) -> None:
    assert set(trigger(stack, "setup_source_db").values()) == {"success"}
    assert set(trigger(stack, "medallion_pipeline").values()) == {"success"}
    first = current(stack, "olist")
    assert first is not None
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


def test_people_find_their_way_and_can_read_what_they_see(stack: Settings, browser: Any) -> None:
    ((run,),) = ask(stack, "SELECT run_id FROM audit.runs WHERE link <> '' ORDER BY started_at LIMIT 1")
    browser.check_pages(stack, run)
