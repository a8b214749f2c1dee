"""The pictures in docs/images: `make pictures` takes them, from runs on a stack of their own."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import psycopg2
import pytest
import requests
from pydantic import SecretStr

from lakehouse.audit.migrate import migrate
from lakehouse.settings import Settings
from lakehouse.source.sample import write_sample
from lakehouse.source.simulate import simulate
from lakehouse.stack.airflow import log_in
from lakehouse.stack.layout import layout
from lakehouse.stack.parts import native_postgres
from lakehouse.stack.up import up

pytestmark = [
    pytest.mark.stack,
    pytest.mark.slow,
    pytest.mark.timeout(1800),
    pytest.mark.skipif(not os.environ.get("LAKEHOUSE_PICTURES"), reason="`make pictures` takes the pictures"),
]
ROOT = Path(__file__).parents[2]


@pytest.fixture
def shop(new_settings: Callable[[], Settings], tmp_path: Path, browser: Any) -> Settings:
    """A stack whose lake is MinIO, with made data for its source; where no browser can look at it, none is started."""
    browser.need_browser()
    made = new_settings()
    server = native_postgres(made, layout(made))
    databases = {
        "audit_url": SecretStr(server.url("audit")),
        "connections": {"source": SecretStr(server.url("source"))},
    }
    lake = {"lake": "s3a://{layer}", "s3_endpoint": f"http://127.0.0.1:{made.minio_port}"}
    settings = made.model_copy(update={"raw": tmp_path / "raw", **databases, **lake})
    write_sample(settings.raw, scale=0.01)
    up(settings)
    migrate(settings.need_audit_url(), ROOT / "warehouse" / "migrations")
    return settings


def run(settings: Settings, dag: str) -> str:
    """Run a DAG to its end; return its state."""
    api, head = f"http://127.0.0.1:{settings.airflow_port}/api/v2", {"Authorization": f"Bearer {log_in(settings)}"}
    while not requests.patch(f"{api}/dags/{dag}", headers=head, json={"is_paused": False}, timeout=10).ok:
        time.sleep(0.5)
    asked = {"logical_date": None, "conf": {}}
    begun = requests.post(f"{api}/dags/{dag}/dagRuns", headers=head, json=asked, timeout=10).json()["dag_run_id"]
    while True:
        state = requests.get(f"{api}/dags/{dag}/dagRuns/{begun}", headers=head, timeout=10).json()["state"]
        if state in ("success", "failed"):
            return str(state)
        time.sleep(0.5)


def change(url: str, statement: str) -> None:
    with closing(psycopg2.connect(url)) as connection, connection, connection.cursor() as cursor:
        cursor.execute(statement)


def test_a_first_load_a_day_with_a_new_column_and_a_day_of_wrong_payments(shop: Settings, browser: Any) -> None:
    source = shop.connection_url("source")
    assert run(shop, "setup_source_db") == run(shop, "medallion_pipeline") == "success"
    simulate(source, changes=0.02, seed=7)
    change(source, "ALTER TABLE olist.customers ADD COLUMN loyalty_tier text")
    change(source, "UPDATE olist.customers SET loyalty_tier = 'gold', updated_at = now() WHERE customer_id < '2'")
    assert run(shop, "medallion_pipeline") == "success"
    change(source, "UPDATE olist.order_payments SET payment_value = -1, updated_at = now() WHERE order_id < '8'")
    assert run(shop, "medallion_pipeline") == "failed"
    assert run(shop, "streaming_pipeline") == "success"
    take_pictures(shop, browser)


def take_pictures(shop: Settings, browser: Any) -> None:
    """Look at all pages that people see, and keep the pictures."""
    runs = "SELECT run_id, link FROM audit.runs WHERE pipeline = '{}' ORDER BY started_at"
    first, day, failed = browser.ask(shop, runs.format("olist"))
    ((stream, _),) = browser.ask(shop, runs.format("olist.stream.order_reviews"))
    login = {"#accessKey": shop.minio_root_user, "#secretKey": shop.minio_root_password.get_secret_value()}
    pages = [
        *browser.pages(day[1], first[0]),
        {"name": "run_failed", "path": f"{browser.OURS}/runs/{failed[0]}", "framed": True, "says": "Why it failed"},
        {"name": "run_drift", "path": f"/lakehouse/runs/{day[0]}", "says": "loyalty_tier", "height": 1600},
        {"name": "run_stream", "path": f"{browser.OURS}/runs/{stream}", "framed": True, "says": "Micro-batches"},
        {"name": "dag_run_failed", "path": failed[1], "says": "silver_processing"},
        {"name": "tab", "path": f"{failed[1]}/plugin/lakehouse-tables", "framed": True, "says": "Why it failed"},
        {"name": "task", "path": f"{day[1]}/tasks/silver_processing", "says": "inserted"},
        {"name": "contract", "path": "/lakehouse/contracts/olist/silver/orders", "says": "quarantine_limit"},
        {"name": "trigger_stream", "path": "/dags/streaming_pipeline", "clicks": ["Trigger Dag"], "says": "Bad events"},
        {"name": "trigger_maintenance", "path": "/dags/maintenance", "clicks": ["Trigger Dag"], "says": "ry run"},
        {
            "name": "minio",
            "path": f"http://127.0.0.1:{shop.minio_console_port}/login",
            "fill": login,
            "clicks": ["Login", "Acknowledge"],
            "says": "quarantine",
        },
    ]
    with browser.at_work(shop, "olist-20261121T161500-c0de") as working:
        told = browser.look(shop, first[0], working, pages)
    assert told["errors"] == []
