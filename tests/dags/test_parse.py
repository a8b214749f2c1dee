"""What Airflow finds when it reads the DAG files."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
LAYERS = {"bronze_ingestion": "bronze", "silver_processing": "silver", "gold_modeling": "gold"}
CANARY = "canary-secret-42"


@pytest.fixture(scope="module")
def found(dag_environment, run_script, olist_and_others, tmp_path_factory) -> dict:
    """The DAGs of olist and seven other folders, read with a secret in every setting that takes one."""
    folder = tmp_path_factory.mktemp("parse")
    database = f"postgresql://someone:{CANARY}@127.0.0.1:1/audit"
    environment = dag_environment(
        folder,
        PIPELINES=olist_and_others,
        LAKE="s3a://{layer}",
        S3_ENDPOINT="http://127.0.0.1:1",
        S3_ACCESS_KEY=f"{CANARY}-key",
        S3_SECRET_KEY=CANARY,
        AUDIT_URL=database,
        CONNECTIONS__SOURCE=database,
    )
    return run_script("parse.py", environment, folder)


@pytest.fixture
def medallion(found) -> dict:
    return found["dags"]["medallion_pipeline"]


def test_nothing_fails_to_import_and_nothing_heavy_is_imported(found):
    assert found["errors"] == {}
    assert {"pyspark", "py4j", "delta", "pandas", "numpy", "pyarrow"} & set(found["imported"]) == set()


def test_every_pipeline_folder_has_a_dag_of_its_own(found):
    assert sorted(found["dags"]) == [
        "aaa_pipeline",
        "broken_schedule_pipeline",
        "broken_table_pipeline",
        "broken_yaml_pipeline",
        "example_after_fact_sales",
        "maintenance",
        "medallion_pipeline",
        "medallion_pipeline_2",
        "no_yaml_pipeline",
        "setup_source_db",
        "shop_pipeline",
        "streaming_pipeline",
    ]


CHAIN = ["fetch_holidays", *LAYERS, "quality_gate", "publish", "export"]


def test_the_pipeline_is_seven_tasks_one_after_another(medallion):
    after = {name: set(task["downstream"]) for name, task in medallion["tasks"].items()}
    assert list(after) == CHAIN
    assert after == {name: {then} for name, then in pairwise(CHAIN)} | {"export": set()}


def test_every_task_of_a_run_links_to_the_audit(medallion):
    assert {tuple(task["links"]) for task in medallion["tasks"].values()} == {("AuditLink",)}


def test_each_gold_table_is_an_asset_that_publish_tells_of(medallion):
    tables = (ROOT / "spark" / "pipelines" / "olist" / "gold").glob("*.odcs.yaml")
    assert sorted(medallion["tasks"]["publish"]["outlets"]) == sorted(
        f"olist.gold.{path.name.removesuffix('.odcs.yaml')}" for path in tables
    )
    assert all(task["outlets"] == [] for name, task in medallion["tasks"].items() if name != "publish")


def test_the_example_waits_for_an_asset_that_there_is(found, medallion):
    example = found["dags"]["example_after_fact_sales"]
    assert "olist.gold.fact_sales" in example["schedule"]
    assert "olist.gold.fact_sales" in medallion["tasks"]["publish"]["outlets"]
    assert example["paused"]


def test_maintenance_is_daily_with_a_task_for_each_sound_pipeline(found):
    told = found["dags"]["maintenance"]
    assert sorted(told["tasks"]) == ["aaa", "medallion", "olist", "shop"]
    assert {task["pool"] for task in told["tasks"].values()} == {"spark"}
    assert told["schedule"] == "30 3 * * *"
    assert told["params"]["dry_run"]["default"] is False


def test_the_stream_is_simulated_from_its_topic_to_its_reconciliation(found):
    told = found["dags"]["streaming_pipeline"]
    side_by_side = {"review_consumer_task", "review_producer_task"}
    assert {name: set(task["downstream"]) for name, task in told["tasks"].items()} == {
        "reset_streaming_data": {"init_kafka_topic"},
        "init_kafka_topic": side_by_side,
        "review_consumer_task": {"reconcile"},
        "review_producer_task": {"reconcile"},
        "reconcile": set(),
    }
    assert (told["schedule"], told["max_active_runs"], told["paused"]) == ("None", 1, False)
    assert "olist.silver.order_reviews" in told["doc"]
    for task in told["tasks"].values():
        assert task["doc"]
        assert task["links"] == ["AuditLink"]
        assert task["pool"] == "default_pool", "a stream must not hold the slot of the batch"
    retries = {name: task["retries"] for name, task in told["tasks"].items()}
    assert (retries["review_consumer_task"], retries["review_producer_task"]) == (2, 0)


def test_the_streams_form_asks_how_much_how_fast_and_how_bad(found):
    params = found["dags"]["streaming_pipeline"]["params"]
    assert {name: (each["type"][-1], each["default"]) for name, each in params.items()} == {
        "reviews": ("integer", 1_000), "rate": ("number", 100), "bad_share": ("number", 0.05), "seed": ("integer", 42),
        "minutes": ("number", 0), "reset": ("boolean", False),
    }  # fmt: skip
    assert (params["bad_share"]["minimum"], params["bad_share"]["maximum"]) == (0, 1)
    assert params["reviews"]["minimum"] == 1


@pytest.mark.parametrize(("task", "layer"), LAYERS.items())
def test_a_layer_is_one_spark_application_in_the_pool(medallion, task, layer):
    told = medallion["tasks"][task]
    assert told["application"] == str(ROOT / "spark" / "jobs" / f"{layer}.py")
    assert Path(told["application"]).is_file()
    assert told["pool"] == "spark"
    assert told["conf"]["spark.delta.logStore.s3a.impl"] == "io.lakehouse.ConditionalCreateLogStore"
    assert "spark.master" not in told["conf"], "the connection names the master"


def test_limits_come_from_the_pipelines_file(medallion):
    assert medallion["timeout"] == 7200
    assert medallion["schedule"] == "0 0 * * *"
    assert medallion["start_date"] is None, "with one, Airflow would start a run as soon as it sees the DAG"
    for task in medallion["tasks"].values():
        assert (task["retries"], task["delay"], task["backoff"], task["timeout"]) == (2, 30, 2, 7200)
        assert task["owner"] == "commerce-data"


def test_the_form_offers_the_tables_and_a_window(medallion):
    params = medallion["params"]
    tables = params["tables"]
    assert tables["default"] == []
    assert tables["examples"] == tables["items"]["enum"]
    files = {f"{path.parent.name}.{path.name.removesuffix('.odcs.yaml')}"
             for path in (ROOT / "spark" / "pipelines" / "olist").glob("*/*.odcs.yaml")}  # fmt: skip
    assert set(tables["examples"]) == files
    for name, kind, default in (
        ("full_refresh", "boolean", False), ("window_from", "string", None), ("window_to", "string", None),
        ("quarantine_limit", "number", None), ("dry_run", "boolean", False),
    ):  # fmt: skip
        assert (params[name]["type"], params[name]["default"]) == (["null", kind], default)


def test_the_sources_form_offers_to_replace_what_is_there_and_does_not_unasked(found):
    ((name, param),) = found["dags"]["setup_source_db"]["params"].items()
    assert (name, param["type"], param["default"]) == ("replace", ["null", "boolean"], False)


def test_airflows_form_calls_no_param_required(found):
    for dag in found["dags"].values():
        assert all("null" in param["type"] for param in dag["params"].values())


def test_dags_and_tasks_say_what_they_do(found, medallion):
    contract = "(lakehouse/contracts/olist/silver/orders)"
    assert f"* [`orders`]{contract} from olist.orders: One row an order" in medallion["doc"]
    assert "* [`dim_date`](lakehouse/contracts/olist/gold/dim_date): Days from" in medallion["doc"]
    assert f"* [`olist.bronze.orders`]{contract}" in medallion["tasks"]["bronze_ingestion"]["doc"]
    assert "[`olist.gold.fact_sales`]" in medallion["tasks"]["gold_modeling"]["doc"]
    assert all(task["doc"] for task in medallion["tasks"].values())
    assert found["dags"]["setup_source_db"]["doc"]


def test_no_secret_is_in_what_airflow_stores_and_shows(found):
    for dag in found["dags"].values():
        assert CANARY not in str(dag)


def test_every_task_of_a_run_has_somebody_who_ends_the_run_when_it_fails(found):
    without = {name for name, dag in found["dags"].items() for task in dag["tasks"].values() if not task["gives_up"]}
    assert without == {"maintenance", "example_after_fact_sales"}, "maintenance ends its own runs, and that is no run"


@pytest.mark.parametrize(
    ("dag", "words"),
    [
        ("broken_table_pipeline", ["product_category_name_translation.odcs.yaml:", "update_at", "updated_at"]),
        ("broken_yaml_pipeline", ["broken_yaml/pipeline.yaml:"]),
        ("no_yaml_pipeline", ["no_yaml", "there is no pipeline.yaml"]),
        ("broken_schedule_pipeline", ["broken_schedule/pipeline.yaml", "every now and then"]),
    ],
)
def test_a_broken_spec_is_a_dag_that_says_what_is_wrong(found, dag, words):
    told = found["dags"][dag]
    assert list(told["tasks"]) == ["broken_specs"]
    assert told["tasks"]["broken_specs"]["retries"] == 0
    assert "broken" in told["tags"]
    assert told["schedule"] == ("None" if dag == "broken_table_pipeline" else "0 0 * * *"), "it fails when it would run"
    assert all(word in told["doc"] for word in words), told["doc"]


def test_a_second_pipeline_has_tasks_of_its_own(found):
    shop = found["dags"]["shop_pipeline"]
    assert list(shop["tasks"]) == CHAIN
    assert shop["params"]["tables"]["examples"] == ["silver.product_category_name_translation"]
