"""The whole job as people use it: DAGs over Airflow's REST API, the lake in MinIO, and what goes wrong in between."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from datetime import datetime
from pathlib import Path
from types import ModuleType
from typing import Any

import psutil
import psycopg2
import pyarrow as pa
import pytest
import requests
from pydantic import SecretStr

from lakehouse.audit.link import page_of
from lakehouse.audit.migrate import migrate
from lakehouse.dags.asked import platform_run_id
from lakehouse.lake import Lake
from lakehouse.publish.manifest import Manifest
from lakehouse.publish.store import current
from lakehouse.settings import Settings
from lakehouse.source.sample import write_sample
from lakehouse.source.simulate import simulate
from lakehouse.stack import airflow
from lakehouse.stack.airflow import log_in
from lakehouse.stack.layout import layout
from lakehouse.stack.parts import native_postgres
from lakehouse.stack.up import down, up

pytestmark = [pytest.mark.stack, pytest.mark.slow, pytest.mark.timeout(2400)]
ROOT = Path(__file__).parents[2]
PATIENCE = 1000


@pytest.fixture(scope="module")
def discord(fake_discord: ModuleType) -> Iterator[Any]:
    """The channel that the stack's runs are told to."""
    with fake_discord.running() as server:
        yield server


@pytest.fixture(scope="module")
def stack(
    new_settings: Callable[[], Settings], tmp_path_factory: pytest.TempPathFactory, discord: Any
) -> Iterator[Settings]:
    """A stack whose lake is MinIO, with made data for its source, an audit schema, and specs that may be edited."""
    made, folder = new_settings(), tmp_path_factory.mktemp("medallion")
    server = native_postgres(made, layout(made))
    told = {
        "raw": folder / "raw",
        "pipelines": folder / "pipelines",
        "lake": "s3a://{layer}",
        "s3_endpoint": f"http://127.0.0.1:{made.minio_port}",
        "audit_url": SecretStr(server.url("audit")),
        "connections": {"source": SecretStr(server.url("source"))},
        "discord_webhook_url": SecretStr(discord.url),
        "discord_hosts": discord.hosts,
    }
    settings = made.model_copy(update=told)
    write_sample(settings.raw, scale=0.01)
    shutil.copytree(ROOT / "spark" / "pipelines", settings.pipelines)
    spec = settings.pipelines / "olist" / "pipeline.yaml"
    spec.write_text(re.sub(r"https://[^/]*", "http://127.0.0.1:9", spec.read_text()))  # no test asks the Internet
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(airflow, "SILENCE_SECONDS", 15)
        tell_airflow(discord, folder, patch)
        up(settings)
    migrate(settings.need_audit_url(), ROOT / "warehouse" / "migrations")
    yield settings
    down(settings)


def tell_airflow(discord: Any, folder: Path, patch: pytest.MonkeyPatch) -> None:
    """Have every process of Airflow reach the local server as discord.com, and read a copy of the DAG files."""
    certificate = folder / "discord.pem"
    certificate.write_text(discord.certificate)
    shutil.copytree(ROOT / "airflow" / "dags", folder / "dags", ignore=shutil.ignore_patterns("__pycache__"))
    told = {"PYTHONPATH": str(Path(__file__).with_name("beside_airflow")), "DISCORD_CERTIFICATE": str(certificate)}
    told["AIRFLOW__CORE__DAGS_FOLDER"] = str(folder / "dags")
    if "LAKEHOUSE_TEST_DAILY" in os.environ:  # specs and DAG files are edited then; to read them takes a second of CPU
        told["AIRFLOW__DAG_PROCESSOR__MIN_FILE_PROCESS_INTERVAL"] = "5"
    environment = airflow.airflow_environment
    patch.setattr(airflow, "airflow_environment", lambda *of: environment(*of) | told)


def first_told(discord: Any, sign: str, run_id: str) -> float | None:
    """When a run's message first had this sign in its title, in seconds since 1970; None: it has not yet."""
    for *_, body, at in discord.requests:
        for embed in body.get("embeds", []):
            if embed["title"].startswith(sign) and embed["footer"]["text"].endswith(run_id):
                return float(at)
    return None


class Api:
    """Airflow's REST API, used as its pages use it."""

    def __init__(self, settings: Settings) -> None:
        self.base = f"http://127.0.0.1:{settings.airflow_port}/api/v2"
        self.head = {"Authorization": f"Bearer {log_in(settings)}"}

    def call(self, method: str, path: str, **told: Any) -> requests.Response:
        return requests.request(method, f"{self.base}/{path}", headers=self.head, timeout=20, **told)

    def unpause(self, dag: str) -> None:
        said = lambda: self.call("PATCH", f"dags/{dag}", json={"is_paused": False}).status_code  # noqa: E731
        eventually(lambda: said() == 200, f"{dag} is parsed")

    def trigger(self, dag: str, conf: dict[str, Any] | None = None) -> str:
        """Trigger a DAG as the form does; return the path of its run."""
        self.unpause(dag)
        told = self.call("POST", f"dags/{dag}/dagRuns", json={"logical_date": None, "conf": conf or {}})
        assert told.ok, told.text
        return f"dags/{dag}/dagRuns/{told.json()['dag_run_id']}"

    def end(self, run: str) -> str:
        """Wait for a run's end; return its state."""
        eventually(lambda: self.state(run) in ("success", "failed"), f"{run} ends")
        return self.state(run)

    def state(self, run: str) -> str:
        return str(self.call("GET", run).json()["state"])

    def tasks(self, run: str) -> dict[str, tuple[str, int]]:
        """State and number of the last try, by task."""
        told = self.call("GET", f"{run}/taskInstances").json()["task_instances"]
        return {task["task_id"]: (task["state"], task["try_number"]) for task in told}

    def returned(self, run: str, task: str) -> Any:
        """What a task returned."""
        found = self.call("GET", f"{run}/taskInstances/{task}/xcomEntries/return_value?deserialize=true").json()[
            "value"
        ]
        return json.loads(found) if isinstance(found, str) else found

    def log(self, run: str, task: str) -> str:
        """What the log of a task's first try says."""
        lines = self.call("GET", f"{run}/taskInstances/{task}/logs/1").json()["content"]
        return "\n".join(" ".join([line["event"], *map(str, line.get("error_detail") or [])]) for line in lines)


@pytest.fixture
def api(stack: Settings) -> Api:
    return Api(stack)


def eventually(holds: Callable[[], Any], what: str, seconds: float = PATIENCE) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, f"not in {seconds} s: {what}"
        time.sleep(0.2)


def processes(settings: Settings, *words: str) -> list[psutil.Process]:
    """Processes of this stack with all these words in their command line."""
    found = []
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            if str(settings.state) in str(process.environ()) and all(word in str(process.cmdline()) for word in words):
                found.append(process)
    return found


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
        command, cwd=settings.state.parent, env=environment, capture_output=True, text=True, timeout=400, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


FINISHED = {"bronze_ingestion", "fetch_holidays", "gold_modeling", "publish", "quality_gate", "silver_processing"}
SMALL = "product_category_name_translation"


def is_all_well(tasks: dict[str, tuple[str, int]]) -> bool:
    return tasks == dict.fromkeys(FINISHED, ("success", 1)) | {"export": ("skipped", 1)}


def test_both_dags_end_in_a_publication_and_a_second_run_changes_nothing(stack: Settings, api: Api) -> None:
    api.unpause("example_after_fact_sales")
    assert api.end(api.trigger("setup_source_db")) == "success"
    run = api.trigger("medallion_pipeline")
    assert api.end(run) == "success"
    assert is_all_well(api.tasks(run))
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
    assert ask(stack, f"SELECT count(*), bool_and(input_rows = {ends}) FROM audit.run_logs") == [(32, True)]
    assert ask(stack, "SELECT number FROM audit.publications") == [(first.number,)]
    assert api.end(api.trigger("medallion_pipeline")) == "success"
    assert current(stack, "olist") == first
    assert json.loads(shell(stack, "publications", "olist"))[0]["tables"] == first.tables
    held = sum(rule["rows"] for rule in json.loads(shell(stack, "quarantine", "rules", "olist.silver.order_items")))
    assert held > 0
    assert json.loads(shell(stack, "run", "olist"))["publication"]["number"] == first.number


def test_a_person_reads_a_line_a_table_and_finds_the_audit_from_a_task(stack: Settings, api: Api) -> None:
    (first,) = api.call("GET", "dags/medallion_pipeline/dagRuns?order_by=start_date&limit=1").json()["dag_runs"]
    run = f"dags/medallion_pipeline/dagRuns/{first['dag_run_id']}"
    log = api.log(run, "silver_processing")
    for name, rows in ask(stack, "SELECT table_name, min(input_rows) FROM audit.run_logs WHERE layer = 'silver' "
                                 "AND status = 'SUCCESS' GROUP BY table_name"):  # fmt: skip
        (line,) = [line for line in log.splitlines() if line.startswith(f"{name} ")]
        assert re.search(rf"in {rows:,} · .* s, v0\)$", line), line
    assert "WARN" not in log
    assert "incubator" not in log
    assert "no export target is configured" in str(api.call("GET", f"{run}/taskInstances/export/logs/1").json())
    link = api.call("GET", f"{run}/taskInstances/publish/links").json()["extra_links"]["Audit"]
    ((run_id,),) = ask(stack, "SELECT run_id FROM audit.runs ORDER BY started_at LIMIT 1")
    assert link == f"lakehouse/runs/{run_id}"


def test_a_published_gold_table_is_an_event_with_its_rows_and_starts_the_dag_that_waits_for_it(
    stack: Settings, api: Api
) -> None:
    events = api.call("GET", "assets/events?limit=100").json()["asset_events"]
    assert len(events) == len({event["name"] for event in events}) == 14, "one a Gold table, of the first run alone"
    (sales,) = [event["extra"] for event in events if event["name"] == "olist.gold.fact_sales"]
    lake = Lake(stack, "olist")
    table = lake.open(lake.uri("gold", "fact_sales"))
    assert table is not None
    rows = pa.table(table.scan()).num_rows
    assert (sales["rows"], sales["inserted"], sales["version"], sales["publication"]) == (rows, rows, 0, 1)
    (example,) = api.call("GET", "dags/example_after_fact_sales/dagRuns").json()["dag_runs"]
    assert example["state"] == "success"
    assert f"publication 1: {rows:,} rows" in api.log(
        f"dags/example_after_fact_sales/dagRuns/{example['dag_run_id']}", "read_news"
    )


def nothing_runs(settings: Settings) -> bool:
    """No row says RUNNING, nobody holds a lease, and no job is there."""
    rows = ask(
        settings,
        "SELECT FROM audit.runs WHERE status = 'RUNNING' UNION ALL SELECT FROM audit.run_logs WHERE status = 'RUNNING' "
        "UNION ALL SELECT FROM pg_locks WHERE locktype = 'advisory'",
    )
    return not rows and not processes(settings, "/spark/jobs/")


def test_a_run_is_one_message_that_was_edited(stack: Settings, discord: Any) -> None:
    runs = [run_id for (run_id,) in ask(stack, "SELECT run_id FROM audit.runs WHERE trigger = 'airflow'")]
    assert len(runs) == 2
    for run_id in runs:
        eventually(lambda run_id=run_id: first_told(discord, "🟠", run_id) or first_told(discord, "🟢", run_id), "told")
        (shown,) = [each for each in discord.shown() if each["footer"]["text"].endswith(run_id)]
        assert "succeeded" in shown["title"]
        assert "/dags/medallion_pipeline/runs/" in str(shown["fields"])
        assert first_told(discord, "🔵", run_id)


def test_a_run_beside_another_is_refused_and_a_cancelled_one_leaves_nothing_at_work(
    stack: Settings, api: Api, discord: Any, record_property: Callable[[str, object], None]
) -> None:
    before = current(stack, "olist")
    run = api.trigger("medallion_pipeline", {"full_refresh": True, "tables": [f"silver.{SMALL}"]})
    at_work = "SELECT layer FROM audit.run_logs WHERE status = 'RUNNING'"
    eventually(lambda: ask(stack, at_work), "the run is at work")
    refused = api.trigger("medallion_pipeline")
    assert api.end(refused) == "failed"
    words = r"olist: run olist-manual-\S+ \(by airflow\) since .* is at work; this one was refused"
    assert re.search(words, api.log(refused, "fetch_holidays"))
    eventually(lambda: ask(stack, at_work) and processes(stack, "/spark/jobs/"), "a job is at work")
    ((layer,),) = ask(stack, at_work)
    task = {"bronze": "bronze_ingestion", "silver": "silver_processing"}[layer]
    cancelled = api.call("PATCH", f"{run}/taskInstances/{task}", json={"new_state": "failed"})
    assert cancelled.ok, cancelled.text
    eventually(lambda: nothing_runs(stack), "nothing is at work any more", 60)
    told = (f"task {task}: ended by Airflow: its state was set there, or Airflow itself was stopped or away.",)
    assert ask(stack, "SELECT error FROM audit.run_logs WHERE status = 'FAILED'") == [told]
    (other,) = set(ask(stack, "SELECT error FROM audit.runs WHERE status = 'FAILED'")) - {told}
    assert re.search(f"^task fetch_holidays failed: {words}", other[0])
    assert api.end(run) == "failed"
    assert current(stack, "olist") == before
    run_id = platform_run_id("olist", run.rpartition("/")[2])
    eventually(lambda: first_told(discord, "🔴", run_id), "the cancelled run is told", 30)
    ended = datetime.fromisoformat(api.call("GET", f"{run}/taskInstances/{task}").json()["end_date"])
    seconds = (first_told(discord, "🔴", run_id) or 0) - ended.timestamp()
    record_property("from the task's end to its message, s", round(seconds, 2))
    assert seconds < 5
    refusal = platform_run_id("olist", refused.rpartition("/")[2])
    eventually(lambda: first_told(discord, "🔴", refusal), "the refused run is told", 30)


def test_bad_values_are_refused_in_the_form_or_by_the_first_task(stack: Settings, api: Api) -> None:
    for conf in ({"tables": ["silver.order"]}, {"window_from": "yesterday"}, {"quarantine_limit": 5}):
        told = api.call("POST", "dags/medallion_pipeline/dagRuns", json={"logical_date": None, "conf": conf})
        assert (told.status_code, next(iter(conf)) in told.json()["detail"]) == (400, True)
    window = {"window_from": "2018-08-02T00:00:00Z", "window_to": "2018-08-01T00:00:00Z"}
    run = api.trigger("medallion_pipeline", window)
    assert api.end(run) == "failed"
    assert "the window ends (2018-08-01T00:00:00+00:00) before it begins" in api.log(run, "fetch_holidays")
    assert {state for task, (state, _) in api.tasks(run).items() if task != "fetch_holidays"} == {"upstream_failed"}


def versions(settings: Settings) -> dict[str, int]:
    """The newest version of every table that is published."""
    lake, found = Lake(settings, "olist"), {}
    for name in published(settings).tables:
        _, layer, table = name.split(".")
        there = lake.open(lake.uri(layer, table))
        assert there is not None
        found[name] = there.version()
    return found


def published(settings: Settings) -> Manifest:
    manifest = current(settings, "olist")
    assert manifest is not None
    return manifest


@pytest.mark.daily
def test_a_dry_run_says_what_would_come_and_maintenance_keeps_what_is_published(stack: Settings, api: Api) -> None:
    day = simulate(stack.connection_url("source"), changes=0.01, seed=3)
    before, readable = versions(stack), published(stack)
    run = api.trigger("medallion_pipeline", {"dry_run": True})
    assert api.end(run) == "success"
    plan = api.returned(run, "bronze_ingestion")
    orders = day["orders"]
    assert plan["olist.bronze.orders"]["rows"] == orders.inserted + orders.updated + orders.deleted
    said = api.trigger("maintenance", {"dry_run": True})
    assert api.end(said) == "success"
    assert (versions(stack), published(stack)) == (before, readable)
    done = api.trigger("maintenance")
    assert api.end(done) == "success"
    lake = Lake(stack, "olist")
    for name, version in readable.tables.items():
        _, layer, table = name.split(".")
        there = lake.open(lake.uri(layer, table))
        assert there is not None
        there.load_as_version(version)
        assert pa.table(there.scan()).num_rows > 0, name


def test_review_events_come_into_the_same_table_and_are_compared(stack: Settings, api: Api) -> None:
    run = api.trigger("streaming_pipeline", {"reviews": 600, "rate": 200, "bad_share": 0.1})
    assert api.end(run) == "success"
    done = ("init_kafka_topic", "review_consumer_task", "review_producer_task", "reconcile")
    assert api.tasks(run) == dict.fromkeys(done, ("success", 1)) | {"reset_streaming_data": ("skipped", 1)}
    ((sent,),) = ask(stack, "SELECT sum(next_offset - first_offset) FROM audit.stream_sends")
    assert ask(stack, "SELECT sum(received) FROM audit.stream_batches") == [(sent,)]
    ran = ask(stack, "SELECT DISTINCT status, link FROM audit.runs WHERE run_id LIKE 'stream-%'")
    assert ran == [("SUCCESS", page_of("streaming_pipeline", run.rpartition("/")[2]))]
    lake = Lake(stack, "olist")
    events, silver = (
        lake.open(lake.uri("bronze", "order_reviews_events")),
        lake.open(lake.uri("silver", "order_reviews")),
    )
    assert events is not None
    assert silver is not None
    places = pa.table(events.scan(columns=["partition", "offset"])).to_pylist()
    assert len(places) == len({(each["partition"], each["offset"]) for each in places}) == sent
    ((written,),) = ask(stack, "SELECT sum(inserted + updated) FROM audit.stream_batches")
    mine = [
        each for each in pa.table(silver.scan(columns=["_run_id"])).to_pylist() if each["_run_id"].startswith("stream-")
    ]
    assert 0 < len(mine) <= written
    found = api.returned(run, "reconcile")
    assert found["ledger"]["quarantined"] > 0
    shell(stack, "run", "olist", "--tables", "gold.fact_reviews")
    query = "SELECT inserted + updated > 0 FROM audit.run_logs WHERE table_name = 'olist.gold.fact_reviews' "
    told = ask(stack, query + "ORDER BY started_at DESC LIMIT 1")
    assert told == [(True,)]


@pytest.mark.daily
def test_specs_that_are_broken_during_a_run_end_it_with_what_is_wrong_and_once_repaired_it_recovers(
    stack: Settings, api: Api, discord: Any
) -> None:
    contract, before = stack.pipelines / "olist" / "silver" / "sellers.odcs.yaml", current(stack, "olist")
    sound = contract.read_text()
    run = api.trigger("medallion_pipeline", {"full_refresh": True, "tables": [f"silver.{SMALL}"]})
    eventually(lambda: api.tasks(run).get("bronze_ingestion", ("", 0))[0] == "running", "the run is at work")
    contract.write_text(sound.replace("watermark: updated_at", "watermark: no_such"))
    assert api.end(run) == "failed"
    eventually(lambda: nothing_runs(stack), "nothing is at work any more", 60)
    run_id = platform_run_id("olist", run.rpartition("/")[2])
    ((error,),) = ask(stack, f"SELECT error FROM audit.runs WHERE run_id = '{run_id}'")
    assert re.search(r"sellers\.odcs\.yaml:\d+.*no_such", error), error
    assert any("no_such" in api.log(run, task) for task, (state, _) in api.tasks(run).items() if state == "failed")
    assert current(stack, "olist") == before
    eventually(lambda: first_told(discord, "🔴", run_id), "the broken run is told", 30)
    contract.write_text(sound)
    task_names = lambda: str(api.call("GET", "dags/medallion_pipeline/tasks").json())  # noqa: E731
    eventually(lambda: "fetch_holidays" in task_names(), "the DAG is what it was")
    again = api.trigger("medallion_pipeline")
    assert api.end(again) == "success"
    run_id = platform_run_id("olist", again.rpartition("/")[2])
    eventually(lambda: first_told(discord, "🟢 olist recovered", run_id), "the recovery is told", 30)


@pytest.mark.daily
@pytest.mark.parametrize(("more", "said"), [("# a remark\n", ""), ("dag = (\n", "SyntaxError")])
def test_a_dag_file_edited_during_a_run_loses_nothing(stack: Settings, api: Api, more: str, said: str) -> None:
    """Where Python cannot read it Airflow says so, and the run waits for its repair between two tasks."""
    file = stack.pipelines.parent / "dags" / "lakehouse_dags.py"
    sound = file.read_text()
    run = api.trigger("medallion_pipeline", {"full_refresh": True, "tables": [f"silver.{SMALL}"]})
    eventually(lambda: api.tasks(run).get("bronze_ingestion", ("", 0))[0] == "running", "the run is at work")
    file.write_text(sound + more)
    errors = lambda: api.call("GET", "importErrors").json()["import_errors"]  # noqa: E731
    if said:
        eventually(lambda: [said in error["stack_trace"] for error in errors()] == [True], "the page of DAGs says it")
        eventually(lambda: api.tasks(run)["bronze_ingestion"] == ("success", 1), "what is at work ends well")
        time.sleep(5)
        assert (api.state(run), api.tasks(run)["silver_processing"][0]) == ("running", None)
    else:
        assert api.end(run) == "success"
    file.write_text(sound)
    assert api.end(run) == "success"
    assert is_all_well(api.tasks(run))
    eventually(lambda: not errors(), "the file is read again")


def test_people_find_their_way_and_can_read_what_they_see(stack: Settings, browser: Any) -> None:
    ((run,),) = ask(stack, "SELECT run_id FROM audit.runs WHERE link <> '' ORDER BY started_at LIMIT 1")
    browser.check_pages(stack, run)


@pytest.mark.daily
def test_a_backfill_reads_its_date_alone_though_the_scheduler_is_killed_in_it(stack: Settings, api: Api) -> None:
    """Of more dates than Airflow has slots. Last: Airflow then begins the scheduled run of today."""
    keys = move_to_2018(stack)
    place = layout(stack)
    command = ["airflow", "backfill", "create", "--dag-id", "medallion_pipeline", "--from-date", "2018-07-28"]
    words = [*command, "--to-date", "2018-08-01", "--dag-run-conf", json.dumps({"tables": [f"silver.{SMALL}"]})]
    environment = airflow.airflow_environment(stack, place, native_postgres(stack, place))
    subprocess.run(words, env=environment, check=True, capture_output=True, timeout=200)
    eventually(lambda: processes(stack, "/spark/jobs/bronze.py"), "Bronze is at work")
    (scheduler,) = processes(stack, "airflow", "scheduler")
    workers = scheduler.children(recursive=True)
    scheduler.kill()
    dates = ("07-28", "07-29", "07-30", "07-31", "08-01")
    runs = [f"dags/medallion_pipeline/dagRuns/backfill__2018-{date}T00:00:00+00:00" for date in dates]
    assert [api.end(run) for run in runs] == ["success"] * len(runs)
    assert not any(worker.is_running() for worker in workers)
    assert max(api.tasks(run)["bronze_ingestion"][1] for run in runs) >= 2
    ((run_id,),) = ask(stack, "SELECT run_id FROM audit.runs WHERE trigger = 'airflow' AND status = 'SUCCESS' "
                              "AND run_id LIKE 'olist-backfill-2018-08-01%'")  # fmt: skip
    lake = Lake(stack, "olist")
    bronze = lake.open(lake.uri("bronze", SMALL))
    assert bronze is not None
    read = [row for row in pa.table(bronze.scan()).to_pylist() if row["_run_id"] == run_id]
    assert sorted(row["product_category_name"] for row in read) == keys
    told = ask(stack, f"SELECT DISTINCT table_name FROM audit.run_logs WHERE run_id = '{run_id}' AND input_rows > 0")
    assert told == [(f"olist.bronze.{SMALL}",), (f"olist.silver.{SMALL}",)]


def move_to_2018(settings: Settings) -> list[str]:
    """Say of three rows of the source that they were changed on 1 August 2018; return their keys."""
    with closing(psycopg2.connect(settings.connection_url("source"))) as connection, connection.cursor() as cursor:
        cursor.execute(f"ALTER TABLE olist.{SMALL} DISABLE TRIGGER USER")
        cursor.execute(
            f"UPDATE olist.{SMALL} SET updated_at = '2018-08-01T12:00:00Z' WHERE product_category_name IN "
            f"(SELECT min(product_category_name) FROM olist.{SMALL} GROUP BY left(product_category_name, 1) LIMIT 3) "
            "RETURNING product_category_name"
        )
        keys = sorted(key for (key,) in cursor.fetchall())
        cursor.execute(f"ALTER TABLE olist.{SMALL} ENABLE TRIGGER USER")
        connection.commit()
    assert len(keys) == 3
    return keys
