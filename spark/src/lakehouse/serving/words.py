"""Figures, instants and errors as the pages write them."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime

from markupsafe import Markup, escape

from lakehouse.alerts.run_message import duration
from lakehouse.alerts.scrub import without_values

# A word, and no name of something.
_WORD = re.compile(r"[a-z]+[ ,]")
FILTERS = ("count", "duration", "latency", "marked", "moment", "share", "short_moment")
__all__ = ["FILTERS", "Fault", "count", "duration", "latency", "marked", "moment", "share", "short_moment"]


@dataclass(frozen=True)
class Fault:
    """An error taken apart again: what happened and where, what is allowed, what to do next; or ""."""

    cause: str
    allowed: str
    remedy: str

    @classmethod
    def of(cls, text: str, secrets: Iterable[str] = ()) -> Fault:
        """Read what `LakehouseError` wrote; values of rows that it quotes are left out."""
        told, _, remedy = without_values(text, secrets).partition(" Next: ")
        cause, _, allowed = told.partition(" Allowed: ")
        return cls(cause, allowed.removesuffix("."), remedy)


def marked(text: str) -> Markup:
    """Return a sentence with a capital, escaped, and with what stands between back-ticks as code."""
    capital = text[:1].upper() if _WORD.match(text) else text[:1]  # an address or a table's name is left as it is
    parts = [escape(part) for part in (capital + text[1:]).split("`")]
    if len(parts) % 2 == 0:  # the last one is never closed
        parts[-2:] = [Markup("`").join(parts[-2:])]
    pieces = [Markup("<code>{}</code>").format(part) if place % 2 else part for place, part in enumerate(parts)]
    return Markup("").join(pieces)


def short_moment(instant: datetime) -> str:
    """Return an instant in UTC to the minute, without its year."""
    return f"{instant.astimezone(UTC):%m-%d %H:%M}"


def count(number: int) -> str:
    """Return a whole number with its thousands apart."""
    return f"{number:,}"


def latency(milliseconds: float | None) -> str:
    """Return milliseconds as people say them, a dash where they are not known."""
    if milliseconds is None:
        return "\u2013"
    return f"{milliseconds:.0f} ms" if round(milliseconds) < 1000 else duration(milliseconds / 1000)


def share(part: int, whole: int) -> str:
    """Return a part of a whole in percent; what is more than nothing never reads 0 %."""
    if not whole or not part:
        return "0 %"
    percent = 100 * part / whole
    return "< 0.01 %" if percent < 0.01 else f"{percent:.2f} %"


def moment(instant: datetime) -> str:
    """Return an instant in UTC to the second."""
    return f"{instant.astimezone(UTC):%Y-%m-%d %H:%M:%S}"
