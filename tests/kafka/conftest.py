"""One real broker for the session, a topic of its own for each test, and the other road to what a topic holds."""

from __future__ import annotations

import base64
import os
import shutil
import signal
import subprocess
import tempfile
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from kafka import KafkaConsumer, TopicPartition

from lakehouse.audit.log import Audit
from lakehouse.audit.migrate import migrate
from lakehouse.settings import Settings
from lakehouse.stack.kafka import KafkaServer, start, stop
from lakehouse.stack.kafka_jars import fetch_kafka
from lakehouse.stack.ports import free_port
from lakehouse.streaming.ensure import ensure_topics
from lakehouse.streaming.reviews import Review, read_reviews
from lakehouse.streaming.topics import Topic

ROOT = Path(__file__).parents[2]


@dataclass
class Broker:
    """A broker that can be killed and started again on its data."""

    server: KafkaServer
    log: Path
    process: subprocess.Popen[bytes]

    @property
    def bootstrap(self) -> str:
        return self.server.bootstrap

    def kill(self) -> None:
        os.kill(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def start(self) -> None:
        self.process = start(self.server, self.log)

    def messages(self, topic: str) -> list[dict[str, object]]:
        """Everything that a topic holds, in the form of the producer's own log but for the kind."""
        consumer = KafkaConsumer(bootstrap_servers=self.bootstrap, auto_offset_reset="earliest")
        partitions = [TopicPartition(topic, number) for number in sorted(consumer.partitions_for_topic(topic))]
        consumer.assign(partitions)
        consumer.seek_to_beginning(*partitions)
        ends = consumer.end_offsets(partitions)
        found: list[dict[str, object]] = []
        while any(consumer.position(partition) < ends[partition] for partition in partitions):
            for records in consumer.poll(timeout_ms=1000).values():
                found += [_line(record) for record in records]
        consumer.close()
        return found


def _line(record) -> dict[str, object]:
    return {
        "partition": record.partition,
        "offset": record.offset,
        "key": _base64(record.key),
        "value": _base64(record.value),
        "headers": [{"key": name, "value": _base64(value)} for name, value in record.headers],
        "sent_at": record.timestamp,
    }


def _base64(value: bytes | None) -> str | None:
    return None if value is None else base64.b64encode(value).decode()


@pytest.fixture(scope="session")
def broker() -> Iterator[Broker]:
    """A running broker on a data folder of its own."""
    settings = Settings(_env_file=None, home=ROOT)
    jars = fetch_kafka(settings.path(settings.cache), ROOT / "kafka" / "pom.xml")
    folder = Path(tempfile.mkdtemp(prefix="lakehouse-kafka-"))
    server = KafkaServer(jars, folder / "kafka", free_port(), free_port())
    made = Broker(server, folder / "log", start(server, folder / "log"))
    try:
        yield made
    finally:
        stop(made.process)
        shutil.rmtree(folder)


@pytest.fixture
def new_topic(broker: Broker) -> Callable[..., Topic]:
    """Make a topic; what is not said of it is as usual."""

    def make(**said: object) -> Topic:
        usual = {"name": f"t-{uuid.uuid4().hex[:8]}", "partitions": 3, "retention": "1d"}
        topic = Topic.model_validate(usual | said)
        ensure_topics(broker.bootstrap, [topic])
        return topic

    return make


@pytest.fixture
def topic(new_topic: Callable[..., Topic]) -> str:
    """The name of a topic of this test's own."""
    return new_topic().name


@pytest.fixture
def audit_url(database: str) -> str:
    """URL of a database of this test's own with the audit schema in it."""
    migrate(database, ROOT / "warehouse" / "migrations")
    return database


@pytest.fixture
def audit(audit_url: str) -> Iterator[Audit]:
    """The run log of this test's own database."""
    with Audit(audit_url) as audit:
        yield audit


@pytest.fixture(scope="session")
def reviews(tmp_path_factory: pytest.TempPathFactory) -> list[Review]:
    """Reviews of a made sample."""
    return read_reviews(tmp_path_factory.mktemp("raw"), 500)
