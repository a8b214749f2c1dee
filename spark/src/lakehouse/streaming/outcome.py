"""What became of sent messages: counted for each partition, and written down line by line."""

from __future__ import annotations

import base64
import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TextIO

from lakehouse.audit.stream_rows import Sends
from lakehouse.streaming.messages import Message

_JSON = json.JSONEncoder(separators=(",", ":"))


@dataclass
class Outcome:
    """Counts of messages; `kinds` are those acknowledged, `next_offsets` the ends of what was, by partition."""

    first_offsets: Mapping[int, int]
    log: TextIO | None = None
    acknowledged: Counter[int] = field(default_factory=Counter)
    refused: Counter[int] = field(default_factory=Counter)
    kinds: Counter[str] = field(default_factory=Counter)
    next_offsets: dict[int, int] = field(default_factory=dict)

    def take(self, message: Message, partition: int, offset: int) -> None:
        """Count a message as acknowledged, and write it down."""
        self.acknowledged[partition] += 1
        self.kinds[message.kind] += 1
        self.next_offsets[partition] = max(self.next_offsets.get(partition, 0), offset + 1)
        if self.log is not None:
            self.log.write(_JSON.encode(_line(message, partition, offset)) + "\n")

    def refuse(self, partition: int) -> None:
        """Count a message that the broker did not want."""
        self.refused[partition] += 1

    def sends(self) -> list[Sends]:
        """Return the figures of each partition."""
        ends = {**self.first_offsets, **self.next_offsets}
        return [
            Sends(partition, first, ends[partition], self.acknowledged[partition], self.refused[partition])
            for partition, first in self.first_offsets.items()
        ]


def _line(message: Message, partition: int, offset: int) -> dict[str, Any]:
    return {
        "partition": partition,
        "offset": offset,
        "key": _base64(message.key),
        "value": _base64(message.value),
        "headers": [{"key": name, "value": _base64(value)} for name, value in message.headers],
        "kind": message.kind,
        "sent_at": message.sent_at,
    }


def _base64(value: bytes | None) -> str | None:
    return None if value is None else base64.b64encode(value).decode()
