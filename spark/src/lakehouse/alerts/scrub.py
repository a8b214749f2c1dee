"""What leaves the house: words on causes, without the values of rows that errors like to quote.

A database or a parser puts the value that it choked on into its message, and that may be somebody's name, address or
number. Kept are names of tables, columns and rules; the whole text stays in the audit database.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from lakehouse.log import redact

LONGEST_CAUSE = 300
_ADDRESS = r"[\w.+-]+@[\w-]+(?:\.[\w-]+)+"
_UUID = r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\b"
_VALUES: tuple[tuple[re.Pattern[str], str], ...] = (
    (re.compile(r"(Key \([^)]*\)=)\(.*?\)(?= (?:already|is|conflicts|was)|\.|$)"), r"\1(…)"),
    (re.compile(r"((?:[Ff]ailing row contains|[Rr]ow:?) )\(.*\)"), r"\1(…)"),
    (re.compile(r"(invalid (?:input )?(?:syntax|value)[^:]{0,80}: )(\"(?:[^\"]|\"\")*\"|'[^']*')"), r"\1…"),
    (re.compile(r"((?:[Vv]alue|[Ii]nput|[Ss]tring)s? )(\"[^\"]*\"|'[^']*')"), r"\1…"),
    (re.compile(_ADDRESS), "…"),
    # Taxpayers' numbers of Brazil; then telephone, card and account numbers, which a date is not, nor a topic's UUID.
    (re.compile(r"(?<![\w-])(?:\d{3}\.\d{3}\.\d{3}|\d{2}\.\d{3}\.\d{3}/\d{4})-\d{2}(?!\w)"), "…"),
    (re.compile(rf"(?<![\w.:/-])(?!\(?\d{{4}}-\d{{2}}-\d{{2}}\b|{_UUID})\+?\(?\d[\d ()-]{{8,}}\d(?![\w:])"), "…"),
)


def without_values(text: str, secrets: Iterable[str] = ()) -> str:
    """Return a text on one line without secrets and without quoted values."""
    told = " ".join(redact(text, secrets).split())
    for pattern, instead in _VALUES:
        told = pattern.sub(instead, told)
    return told


def scrub(text: str, secrets: Iterable[str] = ()) -> str:
    """Return a text on one line without secrets and without quoted values, at most 300 characters."""
    told = without_values(text, secrets)
    return told if len(told) <= LONGEST_CAUSE else told[: LONGEST_CAUSE - 1] + "…"
