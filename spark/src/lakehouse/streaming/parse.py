"""From events to Bronze rows of a contract: JSON read strictly, every value as its text, all that cannot be read told.

A value keeps its digits: numbers are taken as they are written, and whether one fits its column is for the contract's
cast to say. What is no JSON object, or has a value that no column can hold, is a dead letter with its reasons.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from lakehouse.specs import Table
from lakehouse.specs.model import Stream

_SHOWN = 200
# How deep a field may be nested that the contract does not name; Python's own limit is another one in each caller.
_DEEPEST, _DEEP = 100, "nested too deeply"
_TEXT = ("string",)


class Reason(NamedTuple):
    """Why an event cannot be read, as the quarantine keeps reasons."""

    rule: str
    column: str
    value: str | None


class Message(NamedTuple):
    """Key, value and headers of one event."""

    key: bytes | None
    value: bytes | None
    headers: Sequence[tuple[str, bytes | None]] = ()


@dataclass
class Read:
    """What an event says: its columns as texts and its unknown fields as JSON, or why it cannot be read."""

    columns: dict[str, str | None] = field(default_factory=dict)
    rescued: str | None = None
    unknown: Sequence[str] = ()
    reasons: list[Reason] = field(default_factory=list)


class _Number(str):
    """The text of a JSON number."""


class _Unreadable(ValueError):
    """Text that JSON allows, or Python's reader takes, and a table must not: NaN, a doubled name."""


class Parser:
    """Reads the events of one table by its contract."""

    def __init__(self, table: Table, stream: Stream) -> None:
        self._types = {column.name: column.type for column in table.columns}
        self._key, self._stream = table.key, stream

    def read(self, message: Message) -> Read:
        """Return what an event says; nothing is raised for its content."""
        if message.value is None:
            return self._tombstone(message)
        try:
            return self._object(message.key, message.value)
        except _Unreadable as error:
            return Read(reasons=[Reason("message_is_json", "", str(error)[:_SHOWN])])
        except RecursionError:
            return Read(reasons=[Reason("message_is_json", "", _DEEP)])

    def _object(self, key: bytes | None, value: bytes) -> Read:
        found = _object(value)
        # What is UTF-8 holds whole characters: half a one can only come of an escape.
        read, escaped = Read(), b"\\u" in value
        for name, kind in self._types.items():
            said = found.pop(name, None)
            if said is None or (type(said) is str and not escaped):
                read.columns[name] = said
            else:
                self._take(read, name, kind, said)
        _rescue(read, found)
        self._agree(read, key)
        return read

    def _take(self, read: Read, name: str, kind: str, value: Any) -> None:
        text = _as_text(value, kind)
        fits = text is not None and _is_unicode(text)
        read.columns[name] = text if fits else None
        if not fits:
            read.reasons.append(Reason(f"{name}_type", name, ascii(value)[:_SHOWN]))

    def _agree(self, read: Read, key: bytes | None) -> None:
        """The message key decides the partition, and so the order of a row's versions: it must say the same."""
        said = read.columns.get(self._stream.key)
        if said is not None and key != said.encode():
            told = None if key is None else ascii(key.decode(errors="backslashreplace"))[:_SHOWN]
            read.reasons.append(Reason("message_key", self._stream.key, told))

    def _tombstone(self, message: Message) -> Read:
        given = {**dict(message.headers), self._stream.key: message.key}
        read = Read(columns=dict.fromkeys(self._types))
        for name in self._key:
            with suppress(UnicodeDecodeError):
                read.columns[name] = (given.get(name) or b"").decode() or None
            if read.columns[name] is None:
                read.reasons.append(Reason("tombstone_names_its_row", name, None))
        return read


def _object(value: bytes) -> dict[str, Any]:
    """Return a JSON object's fields; raises _Unreadable saying what it is instead, RecursionError for a deep one."""
    try:
        found = _JSON.decode(value.decode())
    except UnicodeDecodeError as error:
        raise _Unreadable(f"no UTF-8 at byte {error.start}") from None
    except json.JSONDecodeError as error:
        raise _Unreadable(f"no JSON: {error}") from None
    if not isinstance(found, dict):
        raise _Unreadable("JSON, but no object")
    return found


def _refuse(constant: str) -> None:
    raise _Unreadable(f"no JSON: {constant}")


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        doubled = next(name for name, count in Counter(name for name, _ in pairs).items() if count > 1)
        raise _Unreadable(f"the field {ascii(doubled)[:60]} stands twice")
    return found


# One decoder: json.loads makes one a call, which takes longer than its work here.
_JSON = json.JSONDecoder(parse_int=_Number, parse_float=_Number, parse_constant=_refuse, object_pairs_hook=_once)


def _as_text(value: Any, kind: str) -> str | None:
    """Return a value's text, or None where a column of this type cannot hold it."""
    if isinstance(value, bool):
        return str(value).lower() if kind == "boolean" else None
    if isinstance(value, _Number):
        return str(value) if kind not in _TEXT else None
    return value if isinstance(value, str) else None


def _is_unicode(text: str) -> bool:
    """A lone half of a surrogate pair is a JSON escape, and no character."""
    return text.isascii() or not any("\ud800" <= letter <= "\udfff" for letter in text)


def _rescue(read: Read, others: dict[str, Any]) -> None:
    if not others:
        return
    read.unknown = tuple({ascii(name)[1:-1][:_SHOWN]: None for name in others})
    read.rescued = json.dumps(_plain(others), separators=(",", ":"))


def _plain(value: Any, depth: int = 0) -> Any:
    """Numbers go back as numbers where Python's keep every digit, else as their text."""
    if depth > _DEEPEST:
        raise _Unreadable(_DEEP)
    if isinstance(value, dict):
        return {name: _plain(each, depth + 1) for name, each in value.items()}
    if isinstance(value, list):
        return [_plain(each, depth + 1) for each in value]
    return _number(value) if isinstance(value, _Number) else value


def _number(text: str) -> Any:
    try:
        number = json.loads(text)
    except ValueError:  # more digits than Python makes an integer of
        return str(text)
    return number if json.dumps(number) == text else str(text)
