"""The broker as a part of the native stack: supervised, brought back, its data kept."""

from __future__ import annotations

import os
import shutil
import signal
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from lakehouse.settings import Settings
from lakehouse.stack.ports import free_port, is_free
from lakehouse.stack.up import down, start_kafka_only
from lakehouse.streaming.ensure import ensure_topics
from lakehouse.streaming.facts import topic_facts
from lakehouse.streaming.topics import load_topics

pytestmark = pytest.mark.kafka
ROOT = Path(__file__).parents[2]


@pytest.fixture
def settings() -> Iterator[Settings]:
    """Settings of a stack of this test's own."""
    folder = Path(tempfile.mkdtemp(prefix="lakehouse-kafka-part-"))
    names = [name for name in Settings.model_fields if name.endswith("_port") and name != "spark_driver_port"]
    made = Settings(_env_file=None, home=ROOT, state=folder / "run", **{name: free_port() for name in names})
    yield made
    down(made)
    shutil.rmtree(folder)


def listening(port: int) -> tuple[int, str]:
    """Process id and address of who listens on a port."""
    found = [each for each in psutil.net_connections("tcp") if each.status == psutil.CONN_LISTEN]
    return next((each.pid, each.laddr.ip.removeprefix("::ffff:")) for each in found if each.laddr.port == port)


def test_a_part_that_is_killed_comes_back_with_its_topics(settings):
    part = start_kafka_only(settings)
    assert (part.name, part.started, part.address) == ("kafka", True, settings.brokers())
    assert not start_kafka_only(settings).started
    ensure_topics(settings.brokers(), load_topics(ROOT / "kafka" / "topics.yaml"))
    before = topic_facts(settings.brokers(), "olist_reviews_stream")
    for port in (settings.kafka_port, settings.kafka_controller_port):
        pid, address = listening(port)
        assert address == "127.0.0.1"
    os.kill(pid, signal.SIGKILL)
    deadline = time.monotonic() + 20
    while psutil.pid_exists(pid) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert start_kafka_only(settings).state == "running"
    assert topic_facts(settings.brokers(), "olist_reviews_stream") == before
    assert down(settings) == ["kafka"]
    assert is_free(settings.kafka_port)
    assert (settings.state / "kafka" / "cluster-id").read_text() in (
        settings.state / "kafka" / "log" / "meta.properties"
    ).read_text()
