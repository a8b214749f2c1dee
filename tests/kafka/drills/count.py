"""What a drill has to leave, told by the producer's own lines alone, and what the tables hold, told by DuckDB.

Nothing of what is under test is used: the lines are JSON, the tables are read by deltalake, and "the newest answer of
a review stays, unless it is a tombstone" is a dictionary.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
from deltalake import DeltaTable

from lakehouse.streaming.troubles import TROUBLES, End

Key = tuple[str, str]


@dataclass(frozen=True)
class Answer:
    """A review's state from a moment on; `score` is None where it was deleted. `offset` is -1 beside the stream."""

    key: Key
    at: datetime
    offset: int
    score: int | None


@dataclass(frozen=True)
class Line:
    """One acknowledged message."""

    partition: int
    offset: int
    kind: str
    sent_at: int
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes | None], ...]

    @property
    def place(self) -> str:
        return f"{self.partition}/{self.offset}"

    def is_rejected(self, orders: set[str]) -> bool:
        """Whether it is trouble that the quarantine gets, or of an order that is not there."""
        trouble = TROUBLES.get(self.kind)
        if trouble is not None and trouble.end is End.QUARANTINED:
            return True
        return self.value is not None and self.answer.key[1] not in orders

    @property
    def answer(self) -> Answer:
        if self.value is None:  # Kafka keeps milliseconds; a tombstone comes after all that stands in its own.
            at = datetime.fromtimestamp(self.sent_at // 1_000_000, UTC)
            at += timedelta(microseconds=self.sent_at % 1_000_000 // 1000 * 1000 + 999)
            return Answer((dict(self.headers)["review_id"].decode(), self.key.decode()), at, self.offset, None)
        said = json.loads(self.value)
        moment = datetime.fromisoformat(said["updated_at"])
        return Answer((said["review_id"], said["order_id"]), moment, self.offset, said["review_score"])


def lines_of(log: Path) -> list[Line]:
    """What a producer's log says."""
    return [
        Line(
            said["partition"], said["offset"], said["kind"], said["sent_at"],
            _bytes(said["key"]), _bytes(said["value"]),
            tuple((header["key"], _bytes(header["value"])) for header in said["headers"]),
        )
        for said in map(json.loads, log.read_text().splitlines())
    ]  # fmt: skip


def with_unanswered(lines: list[Line], messages: Iterable[dict[str, Any]]) -> list[Line]:
    """Add what a topic holds beside the acknowledged messages: those whose answer was lost, and were sent again."""
    known = {(line.partition, line.offset) for line in lines}
    twins = {(line.key, line.value, line.headers): line for line in lines}
    more = []
    for said in messages:
        if (said["partition"], said["offset"]) not in known:
            headers = tuple((header["key"], _bytes(header["value"])) for header in said["headers"])
            twin = twins[_bytes(said["key"]), _bytes(said["value"]), headers]
            more.append(replace(twin, partition=said["partition"], offset=said["offset"]))
    return sorted([*lines, *more], key=lambda line: (line.partition, line.offset))


def _bytes(text: str | None) -> bytes | None:
    return None if text is None else base64.b64decode(text)


def newest(answers: Iterable[Answer]) -> dict[Key, int]:
    """The score of every review that is there in the end."""
    found: dict[Key, Answer] = {}
    for answer in answers:
        held = found.get(answer.key)
        if held is None or (answer.at, answer.offset) > (held.at, held.offset):
            found[answer.key] = answer
    return {key: answer.score for key, answer in found.items() if answer.score is not None}


class Tables:
    """The tables of a lake, asked by DuckDB; `lake` is where a layer is, `options` is how a store is reached."""

    def __init__(self, lake: str, options: dict[str, str] | None = None) -> None:
        self.lake, self.options = lake, options

    def open(self, layer: str, name: str) -> DeltaTable | None:
        """A table's newest version, if there is a table."""
        place = f"{self.lake.format(layer=layer)}/olist/{name}"
        there = DeltaTable.is_deltatable(place, self.options)
        return DeltaTable(place, storage_options=self.options) if there else None

    def ask(self, layer: str, name: str, columns: Iterable[str], statement: str) -> list[tuple[Any, ...]]:
        """The answer to a statement about `t`, the newest version of a table; none where there is no table."""
        table = self.open(layer, name)
        if table is None:
            return []
        with duckdb.connect() as con:
            con.execute("SET TimeZone = 'UTC'")
            con.register("t", pa.table(table.scan(columns=list(columns))))
            return con.execute(statement).fetchall()

    def version(self, layer: str, name: str) -> int:
        """The newest version of a table, -1 where there is no table."""
        table = self.open(layer, name)
        return -1 if table is None else table.version()

    def compactions(self) -> int:
        """How often files of the stream's tables were put together."""
        names = [("bronze", "order_reviews_events"), ("silver", "order_reviews"), ("quarantine", "order_reviews")]
        tables = [self.open(layer, name) for layer, name in names]
        entries = [entry for table in tables if table is not None for entry in table.history()]
        return sum(entry["operation"] == "OPTIMIZE" for entry in entries)

    def answers(self) -> list[Answer]:
        """Every review in Silver."""
        columns = ["review_id", "order_id", "updated_at", "review_score"]
        rows = self.ask("silver", "order_reviews", columns, f"SELECT {', '.join(columns)} FROM t")
        return [Answer((review, order), at.astimezone(UTC), -1, score) for review, order, at, score in rows]

    def orders(self) -> set[str]:
        """Every order in Silver."""
        return {order for (order,) in self.ask("silver", "orders", ["order_id"], "SELECT order_id FROM t")}

    def events(self) -> list[tuple[Any, ...]]:
        """Partition, offset, key, value and headers of every event in Bronze, in their order."""
        columns = ["partition", "offset", "key", "value", "headers"]
        rows = self.ask(
            "bronze", "order_reviews_events", columns,
            'SELECT "partition", "offset", key, value, headers FROM t ORDER BY ALL',
        )  # fmt: skip
        return [(*row, tuple((each["name"], each["value"]) for each in headers)) for *row, headers in rows]

    def rejected(self) -> list[str]:
        """Partition/offset of the events in the quarantine, one for each of its rows."""
        statement = (
            "SELECT regexp_extract(origin.source, '^kafka:[^/]*/(.*)', 1) FROM t WHERE origin.source ^@ 'kafka:'"
        )
        return [source for (source,) in self.ask("quarantine", "order_reviews", ["origin"], statement)]
