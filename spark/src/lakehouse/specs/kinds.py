"""Kinds of values in specs: durations, shares, names, zones; what is none of them is refused in words."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Annotated
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import AfterValidator, BeforeValidator, Field

_UNITS = {"ms": "milliseconds", "s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


def _duration(value: object) -> object:
    if isinstance(value, timedelta):
        return value
    matched = re.fullmatch(r"([0-9]{1,9})(ms|s|m|h|d)", str(value))
    if matched is None:
        raise ValueError("no duration; write a whole number and ms, s, m, h or d, such as 30s")
    return timedelta(**{_UNITS[matched[2]]: int(matched[1])})


def _percent(value: object) -> object:
    if not isinstance(value, str):
        return value
    matched = re.fullmatch(r"([0-9]{1,3}(?:\.[0-9]+)?)%", value)
    if matched is None:
        raise ValueError("no share; write a percentage such as 5%")
    return float(matched[1]) / 100


def _identifier(value: str) -> str:
    if not value.replace("_", "a").isalnum() or not value.isascii() or value[0].isdigit() or len(value) > 63:
        raise ValueError("no plain name; use letters, digits and _, at most 63")
    return value


def _source_table(value: str) -> str:
    parts = value.split(".")
    if len(parts) != 2:
        raise ValueError("not of the form schema.table")
    return ".".join(_identifier(part) for part in parts)


def _topic(value: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9._-]{1,249}", value) or value in (".", ".."):
        raise ValueError("no name of a topic; use letters, digits, dots, _ and -, at most 249")
    return value


def _zone(value: str) -> str:
    try:
        ZoneInfo(value)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ValueError("no time zone; write a name such as America/Sao_Paulo") from None
    return value


Duration = Annotated[timedelta, BeforeValidator(_duration)]
Share = Annotated[float, BeforeValidator(_percent), Field(ge=0, le=1)]
Name = Annotated[str, AfterValidator(_identifier)]
SourceTable = Annotated[str, AfterValidator(_source_table)]
Zone = Annotated[str, AfterValidator(_zone)]
Topic = Annotated[str, AfterValidator(_topic)]
