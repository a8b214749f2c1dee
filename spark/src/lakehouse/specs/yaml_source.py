"""YAML as data only: no tags, no anchors, no doubled keys, no guessing of types, and a line for every value."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

MAX_BYTES = 1_000_000
MAX_DEPTH = 30
Location = tuple[str | int, ...]


class YamlProblem(Exception):
    """The text is not the YAML that specs are written in; `line` counts from 1."""

    def __init__(self, line: int, message: str) -> None:
        super().__init__(message)
        self.line, self.message = line, message


@dataclass
class YamlDocument:
    """Plain data with the line on which each value stands."""

    data: Any
    lines: dict[Location, int] = field(default_factory=dict)

    def line(self, location: Location) -> int:
        """Return the line of the value at `location`, or of the nearest one around it."""
        while location and location not in self.lines:
            location = location[:-1]
        return self.lines.get(location, 1)


class _PlainLoader(yaml.SafeLoader):
    """Only true/false, decimal numbers and null are typed; `no`, `on`, `0123` and dates stay text."""

    yaml_implicit_resolvers: dict[str, Any] = {}  # noqa: RUF012 - overrides PyYAML's own class attribute


_TYPED = {
    "tag:yaml.org,2002:bool": (r"^(?:true|false)$", "tf"),
    "tag:yaml.org,2002:int": (r"^[-+]?(?:0|[1-9][0-9]*)$", "-+0123456789"),
    "tag:yaml.org,2002:float": (r"^[-+]?(?:0|[1-9][0-9]*)\.[0-9]+$", "-+0123456789"),
    "tag:yaml.org,2002:null": (r"^(?:null|~|)$", ["n", "~", ""]),
}
for _tag, (_pattern, _first) in _TYPED.items():
    _PlainLoader.add_implicit_resolver(_tag, re.compile(_pattern), list(_first))


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
    """Read one YAML file as plain data; raises YamlProblem with the line of what is not taken."""
    text = read_text(path)
    document = YamlDocument(data=None)
    try:
        _refuse_graphs(text)
        loader = _PlainLoader(text)
        node = loader.get_single_node()
        document.data = _plain(loader, node, (), document.lines) if node is not None else None
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = mark.line + 1 if mark else 1
        raise YamlProblem(line, error.problem or "cannot be read as YAML") from None
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        raise YamlProblem(line, f"the character U+{ord(str(error.character)):04X} is not taken") from None
    return document


def _refuse_graphs(text: str) -> None:
    """Tags, anchors and deep nesting are refused before anything is composed: an alias bomb never grows."""
    depth = 0
    for event in yaml.parse(text, Loader=_PlainLoader):
        line = event.start_mark.line + 1 if event.start_mark else 1
        if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None):
            raise YamlProblem(line, "anchors and aliases are not taken; write the value again")
        tag = getattr(event, "tag", None)
        if tag:
            raise YamlProblem(line, f'the tag "{tag}" is not taken; write plain values')
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > MAX_DEPTH:
            raise YamlProblem(line, f"nested deeper than {MAX_DEPTH} levels")


def _plain(loader: _PlainLoader, node: yaml.Node, at: Location, lines: dict[Location, int]) -> Any:
    lines[at] = node.start_mark.line + 1
    if isinstance(node, yaml.MappingNode):
        return _mapping(loader, node, at, lines)
    if isinstance(node, yaml.SequenceNode):
        return [_plain(loader, item, (*at, index), lines) for index, item in enumerate(node.value)]
    try:
        return loader.construct_object(node)
    except ValueError:
        raise YamlProblem(node.start_mark.line + 1, "a number of that many digits is not taken") from None


def _mapping(loader: _PlainLoader, node: yaml.MappingNode, at: Location, lines: dict[Location, int]) -> dict[str, Any]:
    result: dict[str, Any] = {}
    for key_node, value_node in node.value:
        key, line = key_node.value, key_node.start_mark.line + 1
        if not isinstance(key, str):
            raise YamlProblem(line, "a key must be text")
        if key in result:
            raise YamlProblem(line, f'the key "{key}" stands twice')
        result[key] = _plain(loader, value_node, (*at, key), lines)
        lines[(*at, key)] = line
    return result
