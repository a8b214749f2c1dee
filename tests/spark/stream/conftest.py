"""A shop whose reviews come by a topic too, one broker for all tests, and the stream run in the tests' own session."""

from __future__ import annotations

import json
import shutil
import threading
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import ModuleType
from typing import Any

import duckdb
import psycopg2
import pytest
from kafka import KafkaProducer
from modules import load
from pydantic import SecretStr

from lakehouse.audit.migrate import migrate
from lakehouse.audit.stream_rows import StreamBatch
from lakehouse.engine.stream_end import Bounds
from lakehouse.engine.stream_run import StreamOutcome, StreamRequest, run_stream

ROOT = Path(__file__).parents[3]


kafka = load(ROOT / "tests" / "kafka" / "conftest.py")
broker, new_topic, topic = kafka.broker, kafka.new_topic, kafka.topic

COLUMNS = [
    "review_id string key",
    "order_id string key -> orders.order_id",
    "review_score tinyint required",
    "review_comment_message string",
    "review_answer_timestamp timestamp",
    "updated_at timestamp required",
]
BRONZE = (
    "review_id string, order_id string, review_score smallint, review_comment_message string, "
    "review_answer_timestamp timestamp_ntz, updated_at timestamp"
)
START = datetime(2026, 1, 1, tzinfo=UTC)


def contracts(build: ModuleType, topic: str, **stream: Any) -> dict[str, Any]:
    """Orders, and reviews of them from a table and a topic."""
    score = build.rule("score_from_1_to_5", "review_score BETWEEN 1 AND 5")
    block = {
        "source": "shop.reviews", "watermark": "updated_at", "latest_by": ["updated_at"],
        "orphans": {"order_id": "error"}, "quarantine_limit": "50%",
        "stream": {"topic": topic, "key": "order_id", "tombstones": "delete", **stream},
    }  # fmt: skip
    orders = build.contract(
        ["order_id string key", "updated_at timestamp required"],
        source="shop.orders", watermark="updated_at", latest_by=["updated_at"],
    )  # fmt: skip
    return {"silver.orders": orders, "silver.reviews": build.contract(COLUMNS, [score], **block)}


@dataclass
class Shop:
    """A lake with orders o0 to o99 and one review r0 of o0, and what sends to, and takes from, its topic."""

    house: Any
    bootstrap: str
    topic: str

    def begin(self) -> None:
        """Bring the first batch of the source."""
        self.house.bring_text(
            "orders", "order_id string, updated_at timestamp",
            [(f"o{n}", START.isoformat(), "upsert") for n in range(100)],
        )  # fmt: skip
        self.bring_reviews([("r0", "o0", "3", "from the source", None, START.isoformat())])
        self.house.ok("silver")

    def bring_reviews(self, rows: list[tuple[Any, ...]], operation: str = "upsert") -> None:
        self.house.bring_text("reviews", BRONZE, [(*row, operation) for row in rows])

    def send(self, *messages: Any, partition: int | None = None) -> None:
        """Send events: a dictionary as JSON with its order as key, (key, value, headers) as it is."""
        producer = KafkaProducer(bootstrap_servers=self.bootstrap, acks="all")
        for message in messages:
            key, value, headers = message if isinstance(message, tuple) else (*event(message), [])
            producer.send(self.topic, key=key, value=value, headers=headers, partition=partition).get(10)
        producer.close()

    def take(self, bounds: Bounds | None = None, run_id: str | None = None, **options: Any) -> StreamOutcome:
        """Run the stream; up to what the topic holds unless it is told otherwise."""
        stop = options.pop("stop", None) or threading.Event()
        name = run_id or f"stream-{uuid.uuid4().hex[:8]}"
        request = StreamRequest(name, "reviews", bounds or Bounds(), "test", **options)
        settings = self.house.settings.model_copy(update={"kafka_bootstrap": self.bootstrap})
        self.batches: list[StreamBatch] = []
        return run_stream(settings, self.house.catalog, request, stop, self.batches.append, self.house.spark)

    def silver(self, columns: str = "review_id, review_score, review_comment_message") -> list[tuple[Any, ...]]:
        return self._query(self.house.lake.uri("silver", "reviews"), f"SELECT {columns} FROM t ORDER BY ALL")

    def quarantine(self, columns: str = "payload, reasons, origin, status") -> list[tuple[Any, ...]]:
        return self._query(self.house.lake.uri("quarantine", "reviews"), f"SELECT {columns} FROM t ORDER BY ALL")

    def events(self, columns: str = "*") -> list[tuple[Any, ...]]:
        uri = self.house.lake.uri("bronze", "reviews_events")
        return self._query(uri, f'SELECT {columns} FROM t ORDER BY "partition", "offset"')

    def _query(self, uri: str, statement: str) -> list[tuple[Any, ...]]:
        con = duckdb.connect()
        con.execute("SET TimeZone = 'UTC'")
        con.register("t", self.house.spark.read.format("delta").load(uri).toArrow())
        return con.execute(statement).fetchall()

    def ask(self, statement: str, *parameters: Any) -> list[tuple[Any, ...]]:
        with psycopg2.connect(self.house.settings.need_audit_url()) as connection, connection.cursor() as cursor:
            cursor.execute(statement, parameters or None)
            return cursor.fetchall()


def event(said: dict[str, Any]) -> tuple[bytes | None, bytes]:
    key = said.get("order_id")
    return None if key is None else str(key).encode(), json.dumps(said).encode()


def review(number: int, score: Any = 5, minutes: float = 60, **more: Any) -> dict[str, Any]:
    """An event of review r<number> of order o<number>, written so many minutes after the source's first rows."""
    moment = (START + timedelta(minutes=minutes)).isoformat()
    return {
        "review_id": f"r{number}", "order_id": f"o{number}", "review_score": score,
        "review_comment_message": f"at {minutes}", "review_answer_timestamp": moment, "updated_at": moment, **more,
    }  # fmt: skip


@pytest.fixture(scope="session")
def say() -> Callable[..., dict[str, Any]]:
    return review


@pytest.fixture(scope="module")
def begun(module_house, build) -> Any:
    """The lake that every shop of the module begins with."""
    made = Shop(module_house(contracts(build, "none-yet")), "", "")
    made.begin()
    return made.house


@pytest.fixture
def new_shop(house, build, broker, new_topic, database, begun) -> Callable[..., Shop]:
    """Make a shop; what is not said of its stream is as usual."""

    def make(**stream: Any) -> Shop:
        topic = new_topic().name
        # Of its own: a lost audit row is missed by the table's name and version.
        migrate(database, ROOT / "warehouse" / "migrations")
        lake = house(contracts(build, topic, **stream), audit_url=SecretStr(database))
        shutil.copytree(begun.settings.state / "lake", lake.settings.state / "lake")
        lake.batches = begun.batches
        return Shop(lake, broker.bootstrap, topic)

    return make


@pytest.fixture
def shop(new_shop) -> Shop:
    return new_shop()
