"""The platform in containers, run for real: it comes up, keeps to itself, does the job, heals, and leaves nothing."""

from __future__ import annotations

import json
import os
import re
import socket
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from types import ModuleType
from typing import Any

import duckdb
import psycopg2
import pytest
from kafka import KafkaConsumer, KafkaProducer
from kafka.admin import KafkaAdminClient, NewTopic

from lakehouse.settings import Settings
from lakehouse.source.simulate import simulate
from lakehouse.stack.environment import RANDOM, init

pytestmark = [
    pytest.mark.stack,
    pytest.mark.slow,
    pytest.mark.timeout(1800),
    pytest.mark.skipif("LAKEHOUSE_TEST_COMPOSE" not in os.environ, reason="`make test-compose` runs it"),
]
LASTING = {
    "postgres", "minio", "spark-master", "spark-worker",
    "airflow-api-server", "airflow-scheduler", "airflow-dag-processor", "airflow-triggerer",
}  # fmt: skip
ONCE = {"minio-folder", "minio-init", "airflow-init"}
MIB = 2**20
ROOT = Path(__file__).parents[2]
# A driver as the jobs start it; it stays long enough for another to come.
DRIVER = (
    "import time; from lakehouse.engine.session import start_session; from lakehouse.settings import load_settings;"
    "from lakehouse.specs.pipeline import Spark; session = start_session(load_settings(), Spark(), 'a driver');"
    "rows = session.range(5).count(); time.sleep(8); print(rows)"
)


def test_compose_takes_the_file_with_an_engine_or_without(client: Any, tmp_path: Any) -> None:
    init(tmp_path / ".env")
    client(
        "compose", "-f", str(ROOT / "docker-compose.yaml"), "--env-file", str(tmp_path / ".env"), "config", "--quiet"
    )
    (tmp_path / ".env").write_text("")
    with pytest.raises(RuntimeError, match="is made by `make init`"):
        client("compose", "-f", str(ROOT / "docker-compose.yaml"), "--env-file", str(tmp_path / ".env"), "config")


@pytest.fixture(scope="module")
def expected(oracle: ModuleType) -> Iterator[duckdb.DuckDBPyConnection]:
    """What the oracle knows of the source, a day after the other."""
    with closing(oracle.connect()) as connection:
        yield connection


def source(platform: Any) -> str:
    return str(platform.settings.connection_url("source"))


def audit(platform: Any, query: str) -> list[tuple[Any, ...]]:
    with closing(psycopg2.connect(platform.settings.need_audit_url())) as connection, connection.cursor() as cursor:
        cursor.execute(query)
        return cursor.fetchall()


def test_every_container_is_healthy_or_has_done_its_work(platform: Any) -> None:
    states = {name: each["State"] for name, each in platform.services().items()}
    assert states.keys() == LASTING | ONCE
    assert {name for name, state in states.items() if state.get("Health", {}).get("Status") == "healthy"} == LASTING
    assert {name for name, state in states.items() if state["Status"] == "exited" and not state["ExitCode"]} == ONCE


def test_nothing_can_be_reached_from_beyond_this_machine(platform: Any) -> None:
    bound = {
        binding["HostIp"]
        for each in platform.services().values()
        for bindings in each["NetworkSettings"]["Ports"].values()
        for binding in bindings or []
    }
    assert bound == {"127.0.0.1"}
    with closing(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) as probe:
        probe.connect(("192.0.2.1", 9))  # sends nothing: it only asks for the address that would be used
        own = probe.getsockname()[0]
    for port in platform.ports.values():
        with closing(socket.socket()) as probe:
            probe.settimeout(2)
            assert probe.connect_ex((own, port)), port


@pytest.mark.parametrize("service", sorted(LASTING))
def test_no_process_of_a_container_has_root_or_a_capability(platform: Any, service: str) -> None:
    told = platform.execute(service, "sh", "-c", "cat /proc/[0-9]*/status").splitlines()
    values = {
        (line.split()[0], line.split()[1]) for line in told if line.startswith(("Uid:", "CapEff:", "NoNewPrivs:"))
    }
    assert {value for name, value in values if name == "CapEff:"} == {"0" * 16}
    assert {value for name, value in values if name == "NoNewPrivs:"} == {"1"}
    assert "0" not in {value for name, value in values if name == "Uid:"}


def test_two_drivers_beside_each_other_both_get_their_cores(platform: Any, eventually: Any) -> None:
    with ThreadPoolExecutor() as pool:
        drivers = [
            pool.submit(platform.execute, "airflow-scheduler", "python", "-c", DRIVER, timeout=200) for _ in range(2)
        ]
        eventually(lambda: [each["cores"] for each in applications(platform)["activeapps"]] == [2, 2], 150, "no room")
        assert [driver.result().split()[-1] for driver in drivers] == ["5", "5"]


def test_spark_takes_no_driver_that_does_not_know_the_secret(platform: Any) -> None:
    """The driver of the test above, without the file that holds the secret: it gets no application."""
    before = len(applications(platform)["completedapps"])
    assert before >= 2
    stranger = ["env", "SPARK_CONF_DIR=/tmp", "timeout", "30", "python", "-c", DRIVER]
    with pytest.raises(RuntimeError, match=r"ended with 124"):
        platform.execute("airflow-scheduler", *stranger)
    now = applications(platform)
    assert (len(now["completedapps"]), now["activeapps"]) == (before, [])


def test_a_load_over_the_rest_api_agrees_with_the_oracle(
    platform: Any, oracle: ModuleType, agreement: ModuleType, expected: Any, say: Callable[[str], None]
) -> None:
    assert platform.wait(platform.trigger("setup_source_db")) == "success"
    oracle.take(expected, source(platform))
    began, pages = time.monotonic(), Pages(platform)
    assert platform.wait(platform.trigger("medallion_pipeline"), pages.look) == "success"
    say(f"medallion_pipeline, a load: {time.monotonic() - began:.0f} s")
    agreement.compare(oracle, expected, platform.gold)
    assert pages.seen == {"driver", "worker"}


def test_its_page_knows_what_readers_see(platform: Any) -> None:
    assert "Readers see <b>publication 1</b>" in platform.shown("/")


# The processes of all containers while a driver had executors.
AT_WORK: list[str] = []


class Pages:
    """Looks, from the host, at the pages that the master's own page links to."""

    def __init__(self, platform: Any) -> None:
        self.platform, self.seen = platform, set[str]()

    def look(self) -> None:
        master = self.platform.page("/").text
        for kind, pattern in (("driver", r'href="(/proxy/app-[^"/]+)'), ("worker", r'href="(/proxy/worker-[^"/]+)')):
            for link in re.findall(pattern, master):
                page = self.platform.page(f"{link}/{'jobs/' if kind == 'driver' else ''}")
                if page.ok and ("lakehouse olist" in page.text if kind == "driver" else "Spark Worker" in page.text):
                    self.seen.add(kind)


@pytest.mark.parametrize("service", ["spark-worker", "minio", "postgres"])
def test_a_kill_in_the_middle_of_a_run_ends_in_the_right_tables(
    platform: Any, oracle: ModuleType, agreement: ModuleType, expected: Any, eventually: Any,
    say: Callable[[str], None], service: str,
) -> None:  # fmt: skip
    simulate(source(platform), changes=0.05, seed=sorted(LASTING).index(service))
    oracle.take(expected, source(platform))
    began = time.monotonic()
    run = platform.trigger("medallion_pipeline")
    eventually(lambda: platform.task(run, "gold_modeling") == "running", 300, "Gold has not begun")
    eventually(
        lambda: json.loads(platform.page("/json/").text)["activeapps"], 60, "no driver has asked for the cluster"
    )
    AT_WORK.append(platform.compose("top"))
    back = platform.kill(service)
    state = platform.wait(run)
    say(f"{service} killed: healthy again in {back:.1f} s, its run ended in {state}, {time.monotonic() - began:.0f} s")
    if state == "failed":
        say(str(audit(platform, "SELECT attempt, status, error FROM audit.runs ORDER BY started_at DESC LIMIT 1")))
        assert platform.wait(platform.trigger("medallion_pipeline")) == "success"
    agreement.compare(oracle, expected, platform.gold)
    assert audit(platform, "SELECT count(*) FROM audit.run_logs WHERE status = 'RUNNING'") == [(0,)]
    assert audit(platform, "SELECT count(*) FROM audit.runs WHERE status = 'RUNNING'") == [(0,)]
    columns = "input_rows, inserted, updated, unchanged, stale, duplicate, quarantined, deleted"
    for rows, *ends in audit(platform, f"SELECT {columns} FROM audit.run_logs WHERE status = 'SUCCESS'"):
        assert rows == sum(ends)
    eventually(lambda: healthy(platform) == LASTING, 120, "not every container is healthy")


def applications(platform: Any) -> dict[str, list[Any]]:
    """What Spark's master knows of drivers: active and completed ones."""
    return dict(json.loads(platform.page("/json/").text))


def healthy(platform: Any) -> set[str]:
    found = platform.services().items()
    return {name for name, each in found if each["State"].get("Health", {}).get("Status") == "healthy"}


def test_kafka_of_the_profile_streaming_keeps_a_message_over_a_kill(platform: Any) -> None:
    """Its page is not started: no stand-in can be made of its image."""
    platform.compose("up", "--detach", "--wait", "--no-build", "kafka")
    servers = f"127.0.0.1:{platform.ports['KAFKA']}"
    with closing(KafkaAdminClient(bootstrap_servers=servers)) as admin:
        admin.create_topics([NewTopic("reviews", num_partitions=1, replication_factor=1)])
    with closing(KafkaProducer(bootstrap_servers=servers, acks="all")) as producer:
        producer.send("reviews", b"five stars").get(timeout=30)
    platform.kill("kafka")
    options = {"auto_offset_reset": "earliest", "consumer_timeout_ms": 30_000}
    with closing(KafkaConsumer("reviews", bootstrap_servers=servers, **options)) as consumer:
        assert next(iter(consumer)).value == b"five stars"


def test_a_stream_and_a_batch_of_the_same_table_beside_each_other(platform: Any, say: Callable[[str], None]) -> None:
    platform.compose("up", "--detach", "--wait", "--no-build", "kafka")
    simulate(source(platform), changes=0.05, seed=9)
    asked = {"reviews": 20_000, "rate": 400, "bad_share": 0.05}
    began, stream = time.monotonic(), platform.trigger("streaming_pipeline", asked)
    batch = platform.trigger("medallion_pipeline")
    assert platform.wait(batch) == platform.wait(stream) == "success"
    say(f"20,000 events, and a batch beside them: {time.monotonic() - began:.0f} s")
    taken = "received, inserted + updated + unchanged + stale + duplicate + quarantined + deleted"
    rows = audit(platform, f"SELECT {taken} FROM audit.stream_batches")
    ((sent,),) = audit(platform, "SELECT sum(next_offset - first_offset) FROM audit.stream_sends")
    assert "not known now" not in platform.shown("/streams")
    # What is too large for a broker is part of the trouble, and is not sent.
    assert 19_900 < sum(received for received, _ in rows) == sent <= 20_000
    assert [row for row in rows if row[0] != row[1]] == []
    beside = "SELECT count(*) FROM audit.stream_batches AS s JOIN audit.runs AS r ON r.pipeline = 'olist'"
    assert audit(platform, f"{beside} AND s.ended_at > r.started_at AND s.started_at < r.ended_at")[0][0] > 0


def test_no_container_was_out_of_memory_and_none_came_near(platform: Any, say: Callable[[str], None]) -> None:
    used = {}
    for name in sorted(LASTING):
        assert not platform.state(name)["OOMKilled"], name
        peak = "cat /sys/fs/cgroup/memory.peak 2>/dev/null || cat /sys/fs/cgroup/memory/memory.max_usage_in_bytes"
        used[name] = int(platform.execute(name, "sh", "-c", peak)) // MIB
    say(f"peak MiB, page cache included: {used}, together {sum(used.values())}")


def test_no_secret_is_in_a_layer_a_process_list_or_a_log(platform: Any) -> None:
    settings: Settings = platform.settings
    ours = ("lakehouse-spark:test", "lakehouse-airflow:test")
    told = {
        "layers": platform.engine.docker("image", "inspect", *ours)
        + "".join(platform.engine.docker("history", "--no-trunc", image) for image in ours),
        "processes": "".join([platform.compose("top"), *AT_WORK]),
        "logs": platform.compose("logs", "--no-color"),
    }
    assert "CoarseGrainedExecutorBackend" in told["processes"], "no executor was at work when they were listed"
    for name in RANDOM:
        value = getattr(settings, name)
        secret = value if isinstance(value, str) else value.get_secret_value()
        if name != "s3_access_key":
            assert [where for where, text in told.items() if secret in text] == [], name
