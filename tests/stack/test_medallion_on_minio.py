"""The pipeline on the native stack: triggered over Airflow's REST API, run by Spark, its tables in MinIO."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import psutil
import psycopg2
import pyarrow as pa
import pytest
import requests
from deltalake import DeltaTable
from minio import Minio

from lakehouse.settings import Settings
from lakehouse.source.sample import write_sample
from lakehouse.stack.airflow import log_in
from lakehouse.stack.up import up

pytestmark = [pytest.mark.stack, pytest.mark.spark, pytest.mark.slow]
SCALE = 0.02
DAG = "medallion_pipeline"
LAYERS = ("bronze_ingestion", "silver_processing", "gold_modeling")
TASKS = (*LAYERS, "quality_gate", "publish")
SOURCES = (
    *("customers", "geolocation", "order_items", "order_payments", "order_reviews", "orders", "products", "sellers"),
    "product_category_name_translation",
)
FACTS = {"fact_sales": "order_items", "fact_orders": "orders", "fact_payments": "order_payments"}


class Stack:
    """The running stack, looked at past the code under test: by REST, by SQL, by MinIO's and Delta's own clients."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.base = f"http://127.0.0.1:{settings.airflow_port}/api/v2"
        self.headers = {"Authorization": f"Bearer {log_in(settings)}"}

    def ask(self, method: str, path: str, body: dict | None = None) -> requests.Response:
        return requests.request(method, f"{self.base}/{path}", json=body, headers=self.headers, timeout=30)

    def get(self, path: str) -> Any:
        answer = self.ask("GET", path)
        answer.raise_for_status()
        return answer.json()

    def trigger(self, dag: str, **asked: object) -> requests.Response:
        eventually(lambda: self.ask("GET", f"dags/{dag}").ok, 60)
        return self.ask("POST", f"dags/{dag}/dagRuns", {"logical_date": None, "conf": asked})

    def run(self, dag: str, seconds: float = 300, **asked: object) -> dict:
        """Trigger a DAG and wait until its run has ended."""
        answer = self.trigger(dag, **asked)
        assert answer.ok, answer.text
        path = f"dags/{dag}/dagRuns/{answer.json()['dag_run_id']}"
        eventually(lambda: self.get(path)["state"] in ("success", "failed"), seconds)
        return self.get(path)

    def tasks(self, run: dict) -> dict[str, tuple[str, int]]:
        """State and tries of each task of a run."""
        found = self.get(f"dags/{run['dag_id']}/dagRuns/{run['dag_run_id']}/taskInstances")["task_instances"]
        return {task["task_id"]: (task["state"], task["try_number"]) for task in found}

    def log(self, run: dict, task: str) -> str:
        return self.ask(
            "GET", f"dags/{run['dag_id']}/dagRuns/{run['dag_run_id']}/taskInstances/{task}/logs/1?full_content=true"
        ).text

    def returned(self, run: dict, task: str) -> Any:
        path = f"dags/{run['dag_id']}/dagRuns/{run['dag_run_id']}/taskInstances/{task}/xcomEntries/return_value"
        value = self.get(path)["value"]
        return json.loads(value) if isinstance(value, str) else value

    def sql(self, database: str, statement: str, *parameters: object) -> list[tuple]:
        password = self.settings.postgres_password.get_secret_value()
        url = f"postgresql://lakehouse:{password}@127.0.0.1:{self.settings.postgres_port}/{database}"
        with closing(psycopg2.connect(url)) as connection, connection.cursor() as cursor:
            cursor.execute(statement, parameters)
            return cursor.fetchall()

    def table(self, layer: str, name: str) -> DeltaTable:
        options = {
            "AWS_ENDPOINT_URL": f"http://127.0.0.1:{self.settings.minio_port}",
            "AWS_ACCESS_KEY_ID": self.settings.minio_root_user,
            "AWS_SECRET_ACCESS_KEY": self.settings.minio_root_password.get_secret_value(),
            "AWS_REGION": "us-east-1",
            "AWS_ALLOW_HTTP": "true",
        }
        return DeltaTable(f"s3://{layer}/olist/{name}", storage_options=options)

    def rows(self, layer: str, name: str) -> int:
        return pa.table(self.table(layer, name).scan()).num_rows

    def versions(self) -> dict[str, int]:
        """Version of every table that lies in the buckets, by `layer/name`."""
        client = self.minio()
        found = {
            (bucket, item.object_name.split("/")[1])
            for bucket in ("bronze", "silver", "gold", "quarantine")
            for item in client.list_objects(bucket, prefix="olist/")
        }
        return {f"{bucket}/{name}": self.table(bucket, name).version() for bucket, name in sorted(found)}

    def manifests(self) -> list[dict]:
        """Every publication, oldest first."""
        client = self.minio()
        objects = client.list_objects("ops", prefix="olist/publications/", recursive=True)
        return [json.loads(client.get_object("ops", each.object_name).read()) for each in objects]

    def minio(self) -> Minio:
        key = self.settings.minio_root_password.get_secret_value()
        address = f"127.0.0.1:{self.settings.minio_port}"
        return Minio(address, access_key=self.settings.minio_root_user, secret_key=key, secure=False)

    def jobs(self) -> list[int]:
        """Processes of this stack's Spark jobs: spark-submit, its JVM and the driver in Python."""
        return [
            process.pid
            for process in psutil.process_iter()
            if any("/spark/jobs/" in word for word in said(process, "cmdline", []))
            and said(process, "environ", {}).get("LAKEHOUSE_STATE") == str(self.settings.state)
        ]


def said(process: psutil.Process, what: str, otherwise: Any) -> Any:
    try:
        return getattr(process, what)()
    except psutil.Error:
        return otherwise


def eventually(holds: Callable[[], bool], seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, f"not within {seconds} s"
        time.sleep(0.25)


@pytest.fixture(scope="module")
def stack(new_settings, tmp_path_factory) -> Stack:
    """A stack whose raw folder holds a small sample."""
    raw = tmp_path_factory.mktemp("raw")
    write_sample(raw, scale=SCALE)
    settings = new_settings().model_copy(update={"raw": raw})
    up(settings)
    return Stack(settings)


@pytest.fixture(scope="module")
def first(stack) -> dict:
    """The first run of the pipeline, on a source that `setup_source_db` has filled."""
    assert stack.run("setup_source_db", 120)["state"] == "success"
    run = stack.run(DAG)
    assert run["state"] == "success", {task: stack.log(run, task)[-3000:] for task in stack.tasks(run)}
    return run


def test_every_task_ends_well_at_its_first_try(stack, first):
    assert stack.tasks(first) == dict.fromkeys(TASKS, ("success", 1))


def test_bronze_holds_every_row_of_the_source(stack, first):
    theirs = {name: stack.sql("source", f"SELECT count(*) FROM olist.{name}")[0][0] for name in SOURCES}
    assert {name: stack.rows("bronze", name) for name in SOURCES} == theirs
    assert theirs["orders"] > 1000


def test_each_order_is_in_silver_or_in_quarantine(stack, first):
    valid = pa.table(stack.table("silver", "orders").scan(columns=["order_id"])).column("order_id").to_pylist()
    held = pa.table(stack.table("quarantine", "orders").scan(columns=["key"])).column("key").to_pylist()
    theirs = [order for (order,) in stack.sql("source", "SELECT order_id FROM olist.orders")]
    assert sorted([*valid, *set(held)]) == sorted(theirs)
    assert held


@pytest.mark.parametrize(("fact", "entity"), FACTS.items())
def test_a_fact_has_a_row_for_each_of_silver(stack, first, fact, entity):
    assert stack.rows("gold", fact) == stack.rows("silver", entity) > 0


def test_the_audit_has_one_run_of_all_layers_whose_ledgers_balance(stack, first):
    assert stack.sql("audit", "SELECT attempt, status, trigger FROM audit.runs") == [(1, "SUCCESS", "airflow")]
    sums = "inserted + updated + unchanged + stale + duplicate + quarantined + deleted"
    rows = stack.sql("audit", f"SELECT layer, count(*), bool_and(input_rows = {sums}) FROM audit.run_logs GROUP BY 1")
    assert {layer: (tables, balanced) for layer, tables, balanced in rows} == {
        "bronze": (9, True), "silver": (9, True), "gold": (12, True)
    }  # fmt: skip
    statuses = stack.sql("audit", "SELECT DISTINCT status FROM audit.run_logs")
    assert {status for (status,) in statuses} <= {"SUCCESS", "SKIPPED"}


def test_what_is_published_is_what_lies_in_the_buckets(stack, first):
    (manifest,) = stack.manifests()
    assert (manifest["number"], manifest["pipeline"]) == (1, "olist")
    lies = {name: version for name, version in stack.versions().items() if name.startswith(("silver", "gold"))}
    named = {name.removeprefix("olist.").replace(".", "/"): each for name, each in manifest["tables"].items()}
    assert named == {name: lies[name] for name in named}
    assert len(named) == 21
    assert stack.sql("audit", "SELECT number, tables FROM audit.publications") == [(1, manifest["tables"])]


def test_counts_are_in_the_log_and_returned(stack, first):
    source = stack.sql("source", "SELECT count(*) FROM olist.orders")[0][0]
    assert stack.returned(first, "bronze_ingestion")["olist.bronze.orders"]["in"] == source
    assert f"in {source:,}" in stack.log(first, "bronze_ingestion")
    assert "olist.gold.fact_sales" in stack.log(first, "gold_modeling")
    assert stack.returned(first, "publish") == {"publication": 1, "new": True}


def test_no_secret_is_in_a_log_or_a_template(stack, first):
    names = ("s3_secret_key", "postgres_password", "minio_root_password")
    secrets = [getattr(stack.settings, name).get_secret_value() for name in names]
    run = f"dags/{DAG}/dagRuns/{first['dag_run_id']}"
    told = [stack.log(first, task) for task in TASKS]
    told += [stack.ask("GET", f"{run}/taskInstances/{task}").text for task in TASKS]
    told += [path.read_text(errors="replace") for path in (stack.settings.state / "logs").rglob("*.log")]
    for secret in secrets:
        assert len(secret) > 20
        assert not [text for text in told if secret in text]


def test_an_unknown_table_is_refused_by_the_form(stack, first):
    answer = stack.trigger(DAG, tables=["silver.order"])
    assert answer.status_code in (400, 422)
    assert "silver.order" in answer.text


def test_a_window_that_ends_before_it_begins_fails_before_spark(stack, first):
    before = stack.versions()
    run = stack.run(DAG, 60, window_from="2018-08-02T00:00:00Z", window_to="2018-08-01T00:00:00Z")
    assert run["state"] == "failed"
    assert stack.tasks(run)["bronze_ingestion"] == ("failed", 1)
    assert "the window ends (2018-08-01" in stack.log(run, "bronze_ingestion")
    assert "Spark-Submit cmd" not in stack.log(run, "bronze_ingestion")
    assert stack.versions() == before


def test_a_second_run_changes_no_version(stack, first):
    before = stack.versions()
    run = stack.run(DAG)
    assert run["state"] == "success"
    assert stack.versions() == before
    assert len(stack.manifests()) == 1
    assert stack.returned(run, "publish") == {"publication": 1, "new": False}


def test_a_run_that_is_cancelled_leaves_no_process_and_the_next_one_ends_right(stack, first):
    before = {name: stack.rows("gold", name) for name in FACTS}
    run = stack.trigger(DAG, full_refresh=True).json()
    path = f"dags/{DAG}/dagRuns/{run['dag_run_id']}"
    eventually(lambda: stack.tasks(run).get("silver_processing", ("",))[0] == "running" and len(stack.jobs()) > 1, 180)
    assert stack.ask("PATCH", path, {"state": "failed"}).ok
    eventually(lambda: stack.jobs() == [], 60)
    eventually(lambda: stack.sql("audit", "SELECT count(*) FROM audit.runs WHERE status = 'RUNNING'") == [(0,)], 60)
    assert stack.sql("audit", "SELECT status FROM audit.runs ORDER BY started_at DESC LIMIT 1") == [("FAILED",)]
    assert len(stack.manifests()) == 1
    assert stack.run(DAG)["state"] == "success"
    assert {name: stack.rows("gold", name) for name in FACTS} == before


def test_the_raw_folder_is_as_it_was(stack, first):
    """Last: what ran read the sample and nothing else."""
    assert not list(Path(stack.settings.raw).glob("*.part"))
