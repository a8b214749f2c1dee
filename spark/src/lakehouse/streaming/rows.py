"""Events of a topic in the shape of Bronze rows, and the dead letters among them in the shape of the quarantine."""

from __future__ import annotations

import base64
import hashlib
import json
from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from lakehouse.changes.decide import DELETE
from lakehouse.specs import Table
from lakehouse.specs.model import RESCUED, Stream
from lakehouse.streaming.parse import Message, Parser, Read

UNREADABLE = "unreadable"
# By it a row's event is told from others in the quarantine, in whatever types the row is judged.
IDENTITY = "_identity"
_TIMESTAMP = pa.timestamp("us", "UTC")
_REASON = pa.struct([(name, pa.string()) for name in ("rule", "column", "value", "severity")])
_ORIGIN = pa.struct([("source", pa.string()), ("run_id", pa.string()), ("ingested_at", _TIMESTAMP)])
DEAD_LETTERS = pa.schema(
    [
        ("fingerprint", pa.string()), ("key", pa.string()), ("payload", pa.string()), ("reasons", pa.list_(_REASON)),
        ("origin", _ORIGIN), ("contract_version", pa.string()), ("status", pa.string()), ("first_seen", _TIMESTAMP),
        ("last_seen", _TIMESTAMP), ("run_id", pa.string()),
    ]
)  # fmt: skip
_PLACE = ("_op", "_run_id", "_ingested_at", "_source")


@dataclass(frozen=True)
class Occasion:
    """By which run, when and under which contract version dead letters are kept."""

    run_id: str
    seen: datetime


@dataclass
class Rows:
    """`rows` as Bronze has them; `dead` letters; `ignored` events that mean nothing; unknown fields, with counts."""

    rows: pa.Table
    dead: pa.Table
    ignored: int = 0
    unknown: Counter[str] = field(default_factory=Counter)
    failed: Counter[tuple[str, str]] = field(default_factory=Counter)


def bronze_schema(table: Table) -> pa.Schema:
    """Return the columns of rows made from events: every value as text."""
    texts = [(column.name, pa.string()) for column in table.columns]
    place = [("_op", pa.string()), ("_run_id", pa.string()), ("_ingested_at", _TIMESTAMP), ("_source", pa.string())]
    return pa.schema([*texts, (RESCUED, pa.string()), (IDENTITY, pa.string()), *place])


def as_rows(events: pa.Table, table: Table, stream: Stream, watermark: str, occasion: Occasion) -> Rows:
    """Read events (see `events.EVENTS`) by a contract.

    A tombstone is stamped with the end of Kafka's own millisecond, so that it comes after what stands before it.
    """
    wanted = events
    if stream.tombstones == "ignore":
        wanted = events.filter(pc.not_equal(events.column("_op"), DELETE))
    parser, messages = Parser(table, stream), _messages(wanted)
    read = [parser.read(message) for message in messages]
    for number, message in enumerate(messages):
        if message.value is None and not read[number].reasons:
            moment = wanted.column("timestamp")[number].as_py() + timedelta(microseconds=999)
            read[number].columns[watermark] = moment.isoformat()
    good = [number for number, each in enumerate(read) if not each.reasons]
    dead = [number for number, each in enumerate(read) if each.reasons]
    identities = [_identity(messages[number]) for number in good]
    return Rows(
        rows=_bronze(wanted.take(pa.array(good, pa.int64())), [read[number] for number in good], identities, table),
        dead=_dead_letters(wanted.take(pa.array(dead, pa.int64())), [read[number] for number in dead], table, occasion),
        ignored=events.num_rows - wanted.num_rows,
        unknown=Counter(name for each in read for name in each.unknown),
        failed=Counter((reason.rule, reason.column) for each in read for reason in each.reasons),
    )


def _messages(events: pa.Table) -> list[Message]:
    # Column by column: a row as a dictionary takes longer than what is read from it.
    columns = [events.column(name).to_pylist() for name in ("key", "value", "headers")]
    return [
        Message(key, value, [(header["name"], header["value"]) for header in headers or ()])
        for key, value, headers in zip(*columns, strict=True)
    ]


def _bronze(events: pa.Table, read: list[Read], identities: list[str], table: Table) -> pa.Table:
    columns = {name: pa.array([each.columns[name] for each in read], pa.string()) for name in table.column_names}
    columns[RESCUED] = pa.array([each.rescued for each in read], pa.string())
    columns[IDENTITY] = pa.array(identities, pa.string())
    columns |= {name: events.column(name) for name in _PLACE}
    return pa.table(columns, schema=bronze_schema(table))


def _dead_letters(events: pa.Table, read: list[Read], table: Table, occasion: Occasion) -> pa.Table:
    letters = [_letter(event, each, table, occasion) for event, each in zip(events.to_pylist(), read, strict=True)]
    return pa.Table.from_pylist(letters, schema=DEAD_LETTERS)


def _letter(event: dict[str, Any], read: Read, table: Table, occasion: Occasion) -> dict[str, Any]:
    return {
        "fingerprint": _identity(Message(event["key"], event["value"])),
        "key": None,
        "payload": _payload(event),
        "reasons": [{**reason._asdict(), "severity": "error"} for reason in read.reasons],
        "origin": {"source": event["_source"], "run_id": event["_run_id"], "ingested_at": event["_ingested_at"]},
        "contract_version": table.version,
        "status": UNREADABLE,
        "first_seen": occasion.seen,
        "last_seen": occasion.seen,
        "run_id": occasion.run_id,
    }


def _identity(message: Message) -> str:
    """Return a digest of an event's key and value: what comes twice is kept once."""
    parts = [b"\0" if part is None else b"\1" + part for part in (message.key, message.value)]
    return hashlib.md5(b"".join([len(parts[0]).to_bytes(8), *parts]), usedforsecurity=False).hexdigest()


def _payload(event: dict[str, Any]) -> str:
    """Return key, value and headers as JSON: as text where they are UTF-8, else as base64."""
    headers = [{"name": header["name"], **_bytes(header["value"])} for header in event["headers"] or []]
    message = {"key": _bytes(event["key"]), "value": _bytes(event["value"]), "headers": headers}
    return json.dumps(message, separators=(",", ":"))


def _bytes(value: bytes | None) -> dict[str, str | None]:
    if value is None:
        return {"text": None}
    try:
        return {"text": value.decode()}
    except UnicodeDecodeError:
        return {"base64": base64.b64encode(value).decode()}
