"""From pydantic's errors to problems in the words of the spec: what was read, where, what is allowed."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

from pydantic import BaseModel, ValidationError

from lakehouse.errors import did_you_mean
from lakehouse.specs.model import Full, Incremental, Scd2
from lakehouse.specs.problem import Problem
from lakehouse.specs.yaml_source import Location, YamlDocument

KINDS: dict[str, type[BaseModel]] = {"scd2": Scd2, "incremental": Incremental, "full": Full}


def explained(
    error: ValidationError, path: Path, document: YamlDocument, prefix: Location, model: type[BaseModel] | None
) -> Iterator[Problem]:
    """Yield one problem for each error; `model` is None for a Gold block, whose kind stands first in the location."""
    for item in error.errors(include_url=False):
        location: Location = item["loc"]
        if model is None and location and location[0] in KINDS:
            # A discriminated union puts the chosen kind into the location; the file has no such level.
            kind, location = KINDS[str(location[0])], location[1:]
        else:
            kind = model or Full
        yield Problem(path, document.line(_in_file(document, (*prefix, *location))), _worded(item, location, kind))


def _in_file(document: YamlDocument, location: Location) -> Location:
    """Drop what pydantic adds at the end (`[key]`, the tried member of a union): it is no place in the file."""
    while location and location not in document.lines:
        location = location[:-1]
    return location


def _worded(item: Any, location: Location, model: type[BaseModel]) -> str:
    name, read = ".".join(str(part) for part in location) or "the document", item["input"]
    shown = "" if isinstance(read, dict | list) else f" Read: {_short(read)}."
    match item["type"]:
        case "extra_forbidden":
            known = _fields(model, location)
            return f"{name} is not known.{did_you_mean(str(location[-1]), known)} Known: {', '.join(known)}."
        case "missing":
            return f"{name} is missing."
        case "union_tag_not_found":
            return f"kind is missing. Allowed: {', '.join(KINDS)}."
        case "union_tag_invalid":
            tag = item["ctx"]["tag"]
            return f'kind is "{tag}".{did_you_mean(tag, KINDS)} Allowed: {", ".join(KINDS)}.'
        case "literal_error":
            allowed = re.findall(r"'([^']*)'", item["ctx"]["expected"])
            return f"{name} is {_short(read)}.{did_you_mean(str(read), allowed)} Allowed: {', '.join(allowed)}."
        case "model_type" | "dict_type" | "model_attributes_type":
            return f"{name} must be a mapping.{shown}"
    message = str(item["msg"]).removeprefix("Value error, ").removeprefix("Input ")
    return f"{name}: {message}.{shown}"


def _short(value: object) -> str:
    text = str(value) if len(str(value)) <= 80 else f"{str(value)[:80]}…"
    return f'"{text}"' if isinstance(value, str) else text


def _fields(model: type[BaseModel], location: Location) -> list[str]:
    """Return the names allowed where `location` ends, as far as the model tells."""
    for part in location[:-1]:
        field = next((each for name, each in model.model_fields.items() if part in (name, each.alias)), None)
        if field is not None:
            model = next(_models(field.annotation), model)
    return [field.alias or name for name, field in model.model_fields.items()]


def _models(annotation: Any) -> Iterator[type[BaseModel]]:
    """Yield the models within an annotation such as `list[Lookup]` or `dict[Name, Input]`."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for inner in get_args(annotation):
        yield from _models(inner)
