"""The runs' pages over a real audit database: what they say, to whom, and that nothing in them is more than text."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from datetime import UTC, datetime
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from httpx import Response

from lakehouse.audit.log import Audit
from lakehouse.audit.result import CheckResult, Drift, Ledger, RuleResult, TableResult
from lakehouse.errors import SettingsError
from lakehouse.publish.store import publish, roll_back
from lakehouse.serving import reader
from lakehouse.serving.app import make_app
from lakehouse.serving.visitor import Visitor
from lakehouse.settings import Settings
from lakehouse.stack.ports import free_port

pytestmark = pytest.mark.postgres
ROOT = Path(__file__).parents[2]
DAG_RUN = "manual__2026-01-02T03:04:05+00:00"
LINK = "/dags/medallion_pipeline/runs/manual__2026-01-02T03%3A04%3A05%2B00%3A00"
NONE = "\u2013"
TRICK = "<script>alert(1)</script>\"'><img src=x onerror=alert(1)>"


class Rows(HTMLParser):
    """The rows of all tables: the texts of their cells."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.rows: list[list[str]] = []
        self._open = False
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "tr":
            self.rows.append([])
        elif tag in ("td", "th"):
            self.rows[-1].append("")
            self._open = True

    def handle_endtag(self, tag: str) -> None:
        self._open = self._open and tag not in ("td", "th")

    def handle_data(self, data: str) -> None:
        if self._open:
            self.rows[-1][-1] += data


def rows(answer: Response) -> list[list[str]]:
    return [[" ".join(cell.split()) for cell in row] for row in Rows(answer.text).rows]


def row(answer: Response, first: str) -> list[str]:
    (found,) = [each for each in rows(answer) if each[0] == first]
    return found


@pytest.fixture
def settings(audit_url: str, tmp_path: Path) -> Settings:
    return Settings(_env_file=None, home=ROOT, audit_url=audit_url, lake=f"{tmp_path}/lake/{{layer}}")


def client_of(load: Callable[[], Settings], visitor: Visitor = Visitor.WELCOME) -> TestClient:
    async def login(_: Any) -> Visitor:
        return visitor

    house = FastAPI()
    house.mount("/lakehouse", make_app(load, login))
    return TestClient(
        house, base_url="http://127.0.0.1/lakehouse/", follow_redirects=False, raise_server_exceptions=False
    )


@pytest.fixture
def client(settings: Settings) -> TestClient:
    return client_of(lambda: settings)


def orders(**more: Any) -> TableResult:
    told: dict[str, Any] = {
        "ledger": Ledger(5_031, 4_000, 900, 100, 10, 5, 12, 4),
        "rows_out": 4_900,
        "version_written": 3,
        "phases": {"write": 1.25, "plan": 0.25, "judge": 2.0},
        "contract_version": "1.4.0",
        "versions_read": {"olist.bronze.orders": 7},
        "window_to": datetime(2018, 9, 3, 9, 6, 57, tzinfo=UTC),
        "rules": [
            RuleResult("delivered_has_a_date", "", "error", 5_019, 12),
            RuleResult("status_known", "s", "error", 9, 0),
        ],
        "drift": [Drift("loyalty_tier", "added", "", "text", "evolve")],
    }
    return TableResult("olist.silver.orders", "silver", "SUCCESS", **(told | more))


@pytest.fixture
def good(audit: Audit, settings: Settings) -> Audit:
    """One run that Airflow started, of two tables and with a publication."""
    audit.begin_part("olist-r1", "olist", "airflow", {"tables": [], "full_refresh": True}, LINK)
    audit.table_finished("olist-r1", 1, TableResult("olist.bronze.orders", "bronze", "SKIPPED", note="nothing new"))
    audit.table_finished("olist-r1", 1, orders())
    late = CheckResult("olist.silver.orders", 3, "hours_since_the_newest", "warning", 30.5, False)
    audit.checks_found("olist-r1", [late, CheckResult("olist.silver.orders", 3, "some_rows", "error", 9, True)])
    audit.publication(publish(settings, "olist", "olist-r1", {"olist.silver.orders": 3}))
    audit.finish_run("olist-r1", 1, "SUCCESS")
    return audit


def test_without_a_run_it_says_how_to_make_one(client):
    answer = client.get("")
    assert answer.status_code == 200
    assert "No run yet." in answer.text
    assert "lakehouse run olist" in answer.text
    assert rows(answer) == []


def test_the_list_has_a_row_a_run(client, good):
    head, run = rows(client.get(""))
    assert head == [
        *("Status", "Run", "Published", "Started, UTC", "Duration", "Rows in", "Rows out", "Quarantined", "Drift"),
        "Tables written",
    ]
    assert run[:3] == ["success", run[1], "1 current"]
    assert run[1].startswith("olist r1 ")
    assert re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d", run[3])
    assert re.fullmatch(r"\d\.\d s", run[4])
    assert run[5:] == ["5,031", "4,900", "12", "1", "1 of 2"]


def test_a_run_shows_its_ledger_rules_drift_and_versions(client, good):
    answer = client.get("runs/olist-r1")
    assert answer.status_code == 200
    figures = ["5,031", "4,000", "900", "100", "10", "5", "12", "4", "4,900"]
    _, bronze, skipped, silver, table = rows(answer)[:5]
    assert bronze[0] == "bronze 1 table"
    assert skipped[:3] == ["orders", "skipped", "0"]
    assert [silver[0], *silver[2:11]] == ["silver 1 table", *figures]
    assert table == ["orders", "success", *figures, "3", "3.5 s"]
    assert ["olist.silver.orders", "delivered_has_a_date", NONE, "error", "12", "5,031", "0.24 %"] in rows(answer)
    assert "status_known" not in answer.text
    assert ["olist.silver.orders", "hours_since_the_newest", "warning", "30.5"] in rows(answer)
    assert "some_rows" not in answer.text
    assert ["olist.silver.orders", "loyalty_tier", "added", NONE, "text", "evolve"] in rows(answer)
    window = f"the beginning {NONE} 2018-09-03 09:06:57"
    assert ["olist.silver.orders", "1.4.0", window, "olist.bronze.orders 7", "3", NONE] in rows(answer)
    assert "full_refresh = true" in answer.text
    assert "tables =" not in answer.text
    assert f'href="{LINK}" target="_top"' in answer.text
    # In the order in which a table goes through them, whatever the database made of it.
    assert re.findall(r'aria-label="(plan [^"]*)"', answer.text) == ["plan 0.2 s, judge 2.0 s, write 1.2 s"]


def test_what_readers_see_is_the_manifest_and_not_the_newest_run(client, good, settings):
    good.publication(publish(settings, "olist", "olist-r2", {"olist.silver.orders": 4}))
    assert "current is 2" in client.get("runs/olist-r1").text
    assert row(client.get(""), "success")[2] == "1"
    roll_back(settings, "olist", 1, "olist-r3")
    assert "Readers see <b>publication 3</b>" in client.get("").text


def test_a_failure_is_told_with_its_cause_and_remedy_and_without_values(client, audit):
    error = (
        'olist.silver.orders: invalid input syntax for type date: "maria@example.com". Allowed: a date. '
        "Next: look at `lakehouse quarantine show olist.silver.orders`."
    )
    audit.start_run("olist-r1", "olist", 1, "cli")
    audit.table_failed("olist-r1", 1, "silver", "olist.silver.orders", error)
    audit.finish_run("olist-r1", 1, "FAILED", f"silver: {error}")
    answer = client.get("runs/olist-r1")
    (fault,) = re.findall(r'<div class="fault">(.*?)</div>', answer.text, re.DOTALL)
    assert re.findall(r"<h3>(.*?)</h3>", fault) == ["olist.silver.orders"]
    assert re.findall(r"<p[^>]*>(.*?)</p>", fault) == [
        "Invalid input syntax for type date: ….",
        "<b>Allowed</b> A date",
        "<b>Next</b> Look at <code>lakehouse quarantine show olist.silver.orders</code>.",
    ]
    assert "maria" not in answer.text
    assert row(client.get(""), "failed")[2] == NONE


def test_a_run_at_work_is_asked_for_again_and_one_that_ended_is_not(client, audit):
    audit.start_run("olist-r1", "olist", 1, "cli")
    begun = client.get("runs/olist-r1").text
    assert '<main data-refresh="2">' in begun
    assert "It has begun, and no table yet." in begun
    assert '<main data-refresh="4">' in client.get("").text
    audit.table_started("olist-r1", 1, "bronze", "olist.bronze.orders")
    assert row(client.get("runs/olist-r1"), "orders")[1] == "running"
    audit.table_finished("olist-r1", 1, TableResult("olist.bronze.orders", "bronze", "SKIPPED"))
    audit.finish_run("olist-r1", 1, "SUCCESS")
    assert "<main>" in client.get("runs/olist-r1").text
    assert '<main data-refresh="30">' in client.get("").text


def test_a_run_tried_again_is_one_row_and_keeps_what_its_first_attempt_did(client, audit):
    audit.start_run("olist-r1", "olist", 1, "cli")
    audit.table_finished("olist-r1", 1, orders())
    audit.table_failed("olist-r1", 1, "gold", "olist.gold.fact_sales", "away")
    audit.finish_run("olist-r1", 1, "FAILED", "gold: away")
    audit.start_run("olist-r1", "olist", 2, "cli")
    audit.table_finished("olist-r1", 2, TableResult("olist.silver.orders", "silver", "SKIPPED"))
    audit.table_finished("olist-r1", 2, TableResult("olist.gold.fact_sales", "gold", "SKIPPED"))
    audit.finish_run("olist-r1", 2, "SUCCESS")
    (_, listed) = rows(client.get(""))
    assert listed[0] == "success"
    assert "attempt 2" in listed[1]
    assert listed[5:8] == ["5,031", "4,900", "12"]
    answer = client.get("runs/olist-r1")
    assert row(answer, "orders attempt 1")[1:3] == ["success", "5,031"]
    assert row(answer, "fact_sales")[1:3] == ["skipped", "0"]
    assert [each[:2] for each in rows(answer)[-2:]] == [["1", "failed"], ["2", "success"]]
    assert "Why it failed" not in answer.text


def test_a_pipeline_has_its_own_list(client, good):
    good.start_run("shop-r1", "shop", 1, "cli")
    assert [each[1].split()[0] for each in rows(client.get(""))[1:]] == ["shop", "olist"]
    assert [each[1].split()[0] for each in rows(client.get("?pipeline=olist"))[1:]] == ["olist"]
    assert "No run of this pipeline yet." in client.get("?pipeline=other").text


def test_a_run_is_found_by_airflows_own_names(client, good):
    found = client.get("runs", params={"dag_id": "medallion_pipeline", "dag_run_id": DAG_RUN})
    assert (found.status_code, found.headers["location"]) == (303, "/lakehouse/runs/olist-r1")
    assert client.get("runs", params={"dag_run_id": DAG_RUN}).status_code == 303
    assert client.get("runs").headers["location"] == "/lakehouse/"
    for told in ({"dag_id": "pipeline", "dag_run_id": DAG_RUN}, {"dag_run_id": DAG_RUN[-5:]}, {"dag_run_id": "%"}):
        missing = client.get("runs", params=told)
        assert missing.status_code == 404
        assert "has touched no table" in missing.text


@pytest.mark.parametrize("begin", ["start_run", "begin_part"])
def test_what_a_task_of_airflow_starts_is_found_by_its_dag_run(client, audit, monkeypatch, begin):
    monkeypatch.setenv("AIRFLOW_CTX_DAG_ID", "streaming_pipeline")
    monkeypatch.setenv("AIRFLOW_CTX_DAG_RUN_ID", DAG_RUN)
    words = ("olist.reviews", 1, "airflow") if begin == "start_run" else ("olist.reviews", "airflow")
    getattr(audit, begin)("stream-1", *words)
    found = client.get("runs", params={"dag_id": "streaming_pipeline", "dag_run_id": DAG_RUN})
    assert (found.status_code, found.headers["location"]) == (303, "/lakehouse/runs/stream-1")


def test_a_run_that_is_not_there_is_named_and_the_nearest_too(client, good):
    answer = client.get("runs/olist-r2")
    assert answer.status_code == 404
    assert "There is no such run" in answer.text
    assert "Did you mean &#34;olist-r1&#34;?" in answer.text


def test_the_queries_are_those_of_the_warehouse(client):
    answer = client.get("queries")
    files = sorted((ROOT / "warehouse" / "queries").glob("*.sql"))
    assert [re.findall(rf'<h2 id="{file.name}">', answer.text) != [] for file in files] == [True] * len(files)
    texts = [
        text.replace("&gt;", ">").replace("&lt;", "<").replace("&#39;", "'")
        for text in re.findall(r"<pre[^>]*>(.*?)</pre>", answer.text, re.DOTALL)
    ]
    assert all(text.strip() in file.read_text() for text, file in zip(texts, files, strict=True))


def test_whatever_stands_in_the_database_is_text(client, audit):
    name = f"olist.silver.{TRICK}"
    told = orders(
        rules=[RuleResult(TRICK, TRICK, TRICK, 1, 1)],
        drift=[Drift(TRICK, TRICK, TRICK, TRICK, TRICK)],
        phases={TRICK: 1.0},
        versions_read={TRICK: 1},
        contract_version=TRICK,
        note=TRICK,
    )
    audit.begin_part(TRICK, TRICK, TRICK, {TRICK: TRICK}, "javascript:alert(1)")
    audit.table_finished(
        TRICK,
        1,
        TableResult(name, TRICK, **{key: value for key, value in vars(told).items() if key not in ("table", "layer")}),
    )
    audit.finish_run(TRICK, 1, "FAILED", f"{TRICK} `{TRICK}` Allowed: {TRICK}. Next: {TRICK}")
    audit.begin_part("r2", "olist", "cli", {}, "//evil.example/x")
    pages = [
        client.get(path).text for path in ("", f"runs/{TRICK.replace('<', '%3C')}", "runs/r2", f"?pipeline={TRICK}")
    ]
    assert "Why it failed" in pages[1]
    for page in pages:
        assert "<img" not in page
        assert "<script>" not in page
        assert "alert(1)" in page or "r2" in page
        assert not re.search(r'(?:href|src)="(?!/lakehouse/|/dags/|/")', page)
        assert not re.search(r"\s(?:style|on\w+)=", re.sub(r">[^<]*<", "><", re.sub(r'"[^"]*"', '""', page)))


def test_nothing_comes_from_elsewhere_and_nothing_is_kept(client, good):
    for path in ("", "runs/olist-r1", "queries", "runs/none"):
        head = client.get(path).headers
        policy = dict(part.strip().partition(" ")[::2] for part in head["content-security-policy"].split(";"))
        assert (policy["default-src"], policy["frame-ancestors"]) == ("'self'", "'self'")
        assert not {"script-src", "style-src"} & policy.keys()
        assert (head["cache-control"], head["x-content-type-options"]) == ("no-store", "nosniff")


@pytest.mark.parametrize(
    "path", ["", "runs/olist-r1", "runs?dag_run_id=x", "streams", "queries", "runs/none", "?pipeline=x"]
)
def test_no_page_is_for_everyone(settings, good, path):
    stranger = client_of(lambda: settings, Visitor.UNKNOWN)
    told = stranger.get(path)
    assert told.status_code == 401
    sent = stranger.get(path, headers={"Sec-Fetch-Dest": "document"})
    assert sent.status_code == 303
    assert sent.headers["location"].startswith("/api/v2/auth/login?next=%2Flakehouse%2F")
    framed = stranger.get(path, headers={"Sec-Fetch-Dest": "iframe"})
    assert framed.status_code == 401
    assert 'href="/api/v2/auth/login?next=%2Fplugin%2Flakehouse%2Flakehouse%2F' in framed.text
    refused = client_of(lambda: settings, Visitor.REFUSED).get(path)
    assert refused.status_code == 403
    for answer in (told, sent, framed, refused):
        assert "olist" not in re.sub(r'href="[^"]*"', "", answer.text)
        assert "SELECT" not in answer.text


def test_every_route_but_the_looks_is_behind_the_login(settings):
    app = make_app(lambda: settings, client_of)
    paths = {route.path for route in app.routes}
    contract = "/contracts/{pipeline}/{layer}/{table}"
    assert paths == {"/", "/runs", "/runs/{run_id:path}", "/streams", "/queries", contract, "/static"}
    stranger = client_of(lambda: settings, Visitor.UNKNOWN)
    for path in ("", "runs", "runs/x", "streams", "queries", "contracts/olist/silver/orders"):
        assert stranger.get(path, headers={"Accept": "application/json"}).status_code == 401
    assert stranger.get("static/page.css").status_code == 200
    assert stranger.get("static/../app.py").status_code in (401, 404)
    assert stranger.get("static/%2e%2e/app.py").status_code == 404


def test_they_only_read(client):
    for path in ("", "runs/x", "streams", "queries"):
        assert client.post(path).status_code == 405
        assert client.delete(path).status_code == 405


def test_an_audit_database_that_is_away_is_a_line_and_no_trace(settings):
    url = f"postgresql://someone:canary-password@127.0.0.1:{free_port()}/audit"
    away = client_of(
        lambda: settings.model_copy(update={"audit_url": Settings(_env_file=None, audit_url=url).audit_url})
    )
    for path in ("", "runs/olist-r1"):
        answer = away.get(path)
        assert answer.status_code == 503
        assert "The audit database is away" in answer.text
        assert "Connection refused" in answer.text
        assert "Traceback" not in answer.text
        assert "canary-password" not in answer.text
    assert away.get("queries").status_code == 200


def test_an_audit_database_without_its_schema_says_what_to_do(client, ask):
    ask("DROP SCHEMA audit CASCADE")
    answer = client.get("")
    assert answer.status_code == 503
    assert "<code>lakehouse migrate</code>" in answer.text


def test_it_works_again_when_the_setting_is_there(settings):
    told = [SettingsError("LAKEHOUSE_AUDIT_URL is not set."), settings]

    def load() -> Settings:
        found = told[0]
        if isinstance(found, SettingsError):
            raise found
        return found

    client = client_of(load)
    assert client.get("").status_code == 503
    told.pop(0)
    assert client.get("").status_code == 200


def test_a_fault_of_its_own_is_a_page_without_a_trace(settings):
    client = client_of(lambda: 1 / 0)
    answer = client.get("")
    assert answer.status_code == 500
    assert "ZeroDivisionError" not in answer.text
    assert "a fault of its own" in answer.text


def test_a_store_that_is_away_keeps_no_page_waiting(settings, good, monkeypatch):
    monkeypatch.setattr(reader, "_STORE_PATIENCE_SECONDS", 0.5)
    away = {"lake": "s3a://{layer}", "s3_endpoint": f"http://127.0.0.1:{free_port()}", "s3_access_key": "a"}
    client = client_of(lambda: settings.model_copy(update=away))
    for path in ("", "runs/olist-r1"):
        began = time.monotonic()
        answer = client.get(path)
        assert time.monotonic() - began < 2
        assert answer.status_code == 200
        assert "What readers see is not known now" in answer.text
    assert row(client.get(""), "success")[2] == "1"


def test_the_console_is_linked_where_the_lake_is_in_minio(settings, audit):
    lake = {"lake": "s3a://{layer}", "s3_endpoint": f"http://127.0.0.1:{free_port()}"}
    native = client_of(lambda: settings.model_copy(update=lake)).get("queries").text
    assert 'href="http://127.0.0.1:59001" target="_blank" rel="noopener noreferrer"' in native
    named = lake | {"minio_console_url": "https://minio.example"}
    assert 'href="https://minio.example"' in client_of(lambda: settings.model_copy(update=named)).get("queries").text
    other = lake | {"s3_endpoint": "https://s3.example"}
    for bare in (settings, settings.model_copy(update=other)):
        assert "MinIO" not in client_of(lambda bare=bare: bare).get("queries").text
