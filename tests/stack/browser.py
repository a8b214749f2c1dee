"""Pages in a real browser, where the machine has one: Chromium, driven by playwright-core in Node (see look.js)."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import psycopg2
import pytest
import requests

from lakehouse.audit.log import Audit
from lakehouse.audit.result import Ledger, RuleResult, TableResult
from lakehouse.settings import Settings
from lakehouse.stack.airflow import log_in

HERE = Path(__file__).parent
NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
PLAYWRIGHT = os.environ.get("LAKEHOUSE_PLAYWRIGHT") or "~/.cache/lakehouse/playwright"
OURS = "/plugin/lakehouse/lakehouse"


def need_browser() -> dict[str, str]:
    """What a job must be told of the machine; the test is skipped where something is missing."""
    chromium = os.environ.get("LAKEHOUSE_CHROMIUM") or next(filter(None, map(shutil.which, NAMES)), None)
    if chromium is None:
        pytest.skip("no Chromium on PATH or in LAKEHOUSE_CHROMIUM")
    playwright = Path(PLAYWRIGHT).expanduser() / "node_modules" / "playwright-core"
    if shutil.which("node") is None or not playwright.exists():
        pytest.skip(f"no node on PATH, or no playwright-core in {playwright.parent}: `make browser` installs it")
    return {"chromium": chromium, "playwright": str(playwright)}


def look(settings: Settings, run: str, at_work: str, pages: list[dict[str, Any]]) -> dict[str, Any]:
    """Log in, follow the links, look at the pages at two widths in light and dark, and return what was seen.

    Pictures are kept where LAKEHOUSE_PICTURES names a folder.
    """
    job = need_browser() | {
        "base": f"http://127.0.0.1:{settings.airflow_port}",
        "user": settings.airflow_user,
        "password": settings.airflow_password.get_secret_value(),
        "run": run,
        "atWork": at_work,
        "pages": pages,
        "out": os.environ.get("LAKEHOUSE_PICTURES", ""),
    }
    done = subprocess.run(
        ["node", str(HERE / "look.js")], input=json.dumps(job), capture_output=True, text=True, timeout=600, check=False
    )
    assert done.returncode == 0, done.stderr
    return dict(json.loads(done.stdout))


def pages(dag_run: str, run: str) -> list[dict[str, Any]]:
    """What a person looks at, each with what it must say; `framed` are ours, in Airflow's frame."""
    return [
        {"name": "runs", "path": "/plugin/lakehouse", "framed": True, "says": "Readers see publication"},
        {"name": "run", "path": f"{OURS}/runs/{run}", "framed": True, "says": "Where the time went", "height": 1000},
        {"name": "streams", "path": f"{OURS}/streams", "framed": True, "says": "olist.order_reviews", "height": 1100},
        {"name": "queries", "path": f"{OURS}/queries", "framed": True, "says": "quarantine_by_rule.sql"},
        {"name": "dags", "path": "/dags", "says": "medallion_pipeline"},
        {"name": "dag", "path": "/dags/medallion_pipeline", "says": "medallion_pipeline"},
        {"name": "trigger", "path": "/dags/medallion_pipeline", "clicks": ["Trigger Dag"], "says": "full.refresh"},
        {"name": "dag_run", "path": dag_run, "says": "quality_gate"},
    ]


def ask(settings: Settings, query: str, *parameters: str) -> list[tuple[Any, ...]]:
    """Run a statement on the audit database by a road of the test's own, and return its rows."""
    url = settings.need_audit_url()
    with closing(psycopg2.connect(url)) as connection, connection, connection.cursor() as cursor:
        cursor.execute(query, parameters)
        return cursor.fetchall()


@contextmanager
def at_work(settings: Settings, run: str) -> Iterator[str]:
    """Have a run at work while this is held: one table done, with rejects, and one begun."""
    name, rejected = "olist.silver.orders", RuleResult("delivered_has_a_date", "", "error", 992, 2)
    done = TableResult(name, "silver", "SUCCESS", Ledger(994, 992, quarantined=2), 992, rules=[rejected])
    with Audit(settings.need_audit_url()) as audit:
        audit.start_run(run, "olist", 1, "cli")
        audit.table_finished(run, 1, done)
        audit.table_started(run, 1, "gold", "olist.gold.fact_sales")
        yield run
    ask(settings, "DELETE FROM audit.runs WHERE run_id = %s RETURNING 1", run)


def check_pages(settings: Settings, run: str) -> None:
    """Look at the pages as a person does, the page of a run that Airflow has ended among them."""
    ((dag_run,),) = ask(settings, "SELECT DISTINCT link FROM audit.runs WHERE run_id = %s", run)
    base, token = f"http://127.0.0.1:{settings.airflow_port}", {"Authorization": f"Bearer {log_in(settings)}"}
    answers = [requests.get(f"{base}/lakehouse/", headers=each, timeout=10).status_code for each in ({}, token)]
    assert answers == [401, 200]
    with at_work(settings, "olist-at-work") as working:
        ((runs,),) = ask(settings, "SELECT count(DISTINCT run_id) FROM audit.runs")
        told = look(settings, run, working, pages(dag_run, run))
    assert told["errors"] == told["elsewhere"] == []
    assert told["wrongCookie"] == "/auth/login"
    assert told["landed"] == "/lakehouse/queries"
    assert told["menu"] == "Runs"
    assert len(told["runs"]) == runs
    assert told["theme"] == "dark"
    assert told["console"] == f"http://127.0.0.1:{settings.minio_console_port}"
    assert told["deep"] == f"{OURS}/runs/{run}"
    assert told["airflow"] == dag_run
    assert told["tab"] == f"/lakehouse/runs/{run}"
    assert told["refreshed"] == ["still the same element", True, 60, 120]
    check_ledger(settings, run, told["ledger"])
    check_pictures(told["pictures"])


def check_ledger(settings: Settings, run: str, lines: list[str]) -> None:
    """Every figure of every table stands in the page as it stands in the audit database."""
    figures = ask(
        settings,
        "SELECT split_part(table_name, '.', 3), input_rows, inserted, updated, unchanged, stale, duplicate, "
        "quarantined, deleted, output_rows, version_written "
        "FROM audit.run_logs WHERE run_id = %s AND status = 'SUCCESS'",
        run,
    )
    shown = [line.split("\t") for line in lines if "\tsuccess\t" in line]
    assert sorted([name, *rest[:-1]] for name, _, *rest in shown) == sorted(
        [name, *(f"{figure:,}" for figure in rest)] for name, *rest in figures
    )
    assert len(figures) == 32


def check_pictures(pictures: list[dict[str, Any]]) -> None:
    """Light is light and dark is dark; on ours every text can be read and nothing is wider than the screen."""
    assert len(pictures) == 4 * (1 + len(pages("", "")))
    assert [each for each in pictures if (each["brightness"] > 0.5) != (each["scheme"] == "light")] == []
    assert [each for each in pictures if each["faint"]] == []
    wide = {(each["name"], each["width"]): each["wide"] for each in pictures if each["framed"] and each["wide"] > 0}
    assert wide == {}, wide
    cut = {(each["name"], each["hidden"]) for each in pictures if each["width"] == 1280 and each["hidden"] > 0}
    assert cut == set(), "columns of the runs' table are out of sight"
