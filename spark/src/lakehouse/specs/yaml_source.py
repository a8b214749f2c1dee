"""YAML as data only: no tags, no anchors, no doubled keys, no guessing of types, and a line for every value."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from yaml.reader import Reader

MAX_BYTES = 1_000_000
MAX_DEPTH = 30
Location = tuple[str | int, ...]

# libyaml's parser is ten times as fast; only its events are used, so that no loader's own idea of types comes in.
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_INTEGER = re.compile(r"[-+]?(?:0|[1-9][0-9]*)")
_DECIMAL = re.compile(r"[-+]?(?:0|[1-9][0-9]*)\.[0-9]+")
_WORDS = {"true": True, "false": False, "null": None, "~": None, "": None}


class YamlProblem(Exception):
    """The text is not the YAML that specs are written in; `line` counts from 1."""

    def __init__(self, line: int, message: str) -> None:
        super().__init__(message)
        self.line, self.message = line, message


@dataclass
class YamlDocument:
    """Plain data with the line on which each value stands (of a mapping's value: the line of its key)."""

    data: Any
    lines: dict[Location, int] = field(default_factory=dict)

    def line(self, location: Location) -> int:
        """Return the line of the value at `location`, or of the nearest one around it."""
        while location and location not in self.lines:
            location = location[:-1]
        return self.lines.get(location, 1)


def read_text(path: Path) -> str:
    """Read a file of a spec as UTF-8 text of a sane size; raises YamlProblem with the line of what is not taken."""
    size = path.stat().st_size
    if size > MAX_BYTES:
        raise YamlProblem(1, f"the file has {size} bytes; at most {MAX_BYTES} are read")
    raw = path.read_bytes()
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise YamlProblem(raw[: error.start].count(b"\n") + 1, "not UTF-8") from None


def read_yaml(path: Path) -> YamlDocument:
    """Read one YAML file as plain data; raises YamlProblem with the line of what is not taken.

    Only `true`, `false`, `null`, decimal integers and decimal fractions are typed; `no`, `on`, `0123`, `1e3` and dates
    stay the text that they are.
    """
    text = read_text(path)
    if odd := Reader.NON_PRINTABLE.search(text):
        line = text.count("\n", 0, odd.start()) + 1
        raise YamlProblem(line, f"the character U+{ord(odd[0]):04X} is not taken")
    try:
        return _document(yaml.parse(text, Loader=_LOADER))
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        said = ", ".join(part for part in (error.context, error.problem) if part)
        raise YamlProblem(mark.line + 1 if mark else 1, said or "cannot be read as YAML") from None


def _document(events: Iterator[yaml.Event]) -> YamlDocument:
    document = YamlDocument(data=None)
    begun = False
    for event in events:
        if isinstance(event, yaml.DocumentStartEvent):
            if begun:
                raise YamlProblem(_line(event), "a second document begins; a file holds one")
            begun = True
            document.data = _value(next(events), events, (), document.lines)
    return document


def _value(event: yaml.Event, events: Iterator[yaml.Event], at: Location, lines: dict[Location, int]) -> Any:
    """Build the value that begins with `event`; anchors are refused where they stand, so an alias never grows."""
    line = lines[at] = _line(event)
    if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None):
        raise YamlProblem(line, "anchors and aliases are not taken; write the value again")
    if tag := getattr(event, "tag", None):
        raise YamlProblem(line, f'the tag "{tag}" is not taken; write plain values')
    if len(at) > MAX_DEPTH:
        raise YamlProblem(line, f"nested deeper than {MAX_DEPTH} levels")
    if isinstance(event, yaml.ScalarEvent):
        return _scalar(event)
    if isinstance(event, yaml.SequenceStartEvent):
        items: list[Any] = []
        while not isinstance(event := next(events), yaml.SequenceEndEvent):
            items.append(_value(event, events, (*at, len(items)), lines))
        return items
    return _mapping(events, at, lines)


def _mapping(events: Iterator[yaml.Event], at: Location, lines: dict[Location, int]) -> dict[str, Any]:
    result: dict[str, Any] = {}
    while not isinstance(event := next(events), yaml.MappingEndEvent):
        line = _line(event)
        if not isinstance(event, yaml.ScalarEvent):
            _value(event, events, at, {})
            raise YamlProblem(line, "a key must be text")
        if event.anchor or event.tag:
            raise YamlProblem(line, "a key has no anchor and no tag")
        key = str(event.value)
        if key in result:
            raise YamlProblem(line, f'the key "{key}" stands twice')
        result[key] = _value(next(events), events, (*at, key), lines)
        lines[(*at, key)] = line
    return result


def _scalar(event: yaml.ScalarEvent) -> Any:
    text, plain = str(event.value), event.implicit[0]
    if not plain:
        return text
    if text in _WORDS:
        return _WORDS[text]
    try:
        if _INTEGER.fullmatch(text):
            return int(text)
    except ValueError:
        raise YamlProblem(_line(event), "a number of that many digits is not taken") from None
    return float(text) if _DECIMAL.fullmatch(text) else text


def _line(event: yaml.Event) -> int:
    return event.start_mark.line + 1 if event.start_mark else 1
