"""Messages of a topic as people may see them: what a contract calls personal, or does not know, is left out."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from lakehouse.specs import Table
from lakehouse.streaming.events import Event

PERSONAL = "personal"
HIDDEN = "…"
_KEY, _VALUE = 64, 200


@dataclass(frozen=True)
class ShownMessage:
    """A message by its place: its key, the beginning of its value and seconds since its Kafka timestamp.

    `note` says what stands for a value that is not shown, else "".
    """

    partition: int
    offset: int
    seconds: float
    key: str
    value: str
    note: str


def personal_columns(table: Table) -> list[str]:
    """Return the columns whose values nobody is shown."""
    return [column.name for column in table.columns if column.classification == PERSONAL]


def shown_message(event: Event, table: Table, now: datetime) -> ShownMessage:
    """Return a message as it may be shown; nothing is raised for its content."""
    _, stream = table.need_stream()
    seconds = max(0.0, (now - datetime.fromtimestamp(event.timestamp / 1000, UTC)).total_seconds())
    key = HIDDEN if stream.key in personal_columns(table) else _text(event.key, _KEY)
    value, note = _value(event.value, table)
    return ShownMessage(event.partition, event.offset, seconds, key, value, note)


def _value(value: bytes | None, table: Table) -> tuple[str, str]:
    if value is None:
        return "", "no value: a tombstone"
    try:
        fields = json.loads(value)
    except (ValueError, RecursionError):
        fields = None
    if not isinstance(fields, dict):
        return "", f"{len(value):,} bytes that are no JSON object: not shown"
    open_columns = set(table.column_names) - set(personal_columns(table))
    told = {name[:_KEY]: _shown(each, open_=name in open_columns) for name, each in fields.items()}
    return _cut(json.dumps(told, ensure_ascii=False), _VALUE), ""


def _shown(value: Any, *, open_: bool) -> Any:
    """Nothing says what an unknown field holds, or a list; what is null says nothing of anybody."""
    return value if value is None or (open_ and not isinstance(value, (dict, list))) else HIDDEN


def _text(content: bytes | None, most: int) -> str:
    return "" if content is None else _cut(content[: 4 * most].decode("utf-8", "replace"), most)


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else text[:most] + HIDDEN
