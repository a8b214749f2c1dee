"""Discord's form of a message, within its limits; they count UTF-16 units, as the client does."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

TITLE, DESCRIPTION, FIELD_NAME, FIELD_VALUE, FOOTER = 256, 4096, 256, 1024, 2048
FIELDS, CONTENT, WHOLE = 25, 2000, 6000
COLOURS = {"running": 0x3B82F6, "success": 0x22C55E, "recovered": 0x14B8A6, "warning": 0xF59E0B, "failed": 0xDC2626}
_MARKED = re.compile(r"([\\`*_~|>#\[\]<@])")


@dataclass(frozen=True)
class Embed:
    """One message: `colour` is a name of COLOURS, `fields` are (name, value) in the order of their weight."""

    title: str
    colour: str
    description: str = ""
    fields: Sequence[tuple[str, str]] = ()
    footer: str = ""

    def payload(self) -> dict[str, Any]:
        """Return the body of a request; what is beyond the limits is cut, whole fields from the end first."""
        title, footer = cut(self.title, TITLE), cut(self.footer, FOOTER)
        room = WHOLE - length(title) - length(footer)
        description = cut(self.description, min(DESCRIPTION, room))
        embed = {
            "title": title,
            "description": description,
            "color": COLOURS[self.colour],
            "fields": _fitting(self.fields, room - length(description)),
            "footer": {"text": footer},
        }
        return {"content": "", "embeds": [embed], "allowed_mentions": {"parse": []}}

    def plain(self) -> dict[str, Any]:
        """Return the same in bare words, for when the form itself is refused."""
        told = "\n".join([self.title, self.description])
        return {"content": cut(told, CONTENT) or "…", "embeds": [], "allowed_mentions": {"parse": []}}


def _fitting(fields: Iterable[tuple[str, str]], room: int) -> list[dict[str, Any]]:
    taken: list[dict[str, Any]] = []
    for name, value in fields:
        each = {"name": cut(name, FIELD_NAME), "value": cut(value, FIELD_VALUE), "inline": False}
        room -= length(str(each["name"])) + length(str(each["value"]))
        if room < 0 or len(taken) == FIELDS:
            break
        taken.append(each)
    return taken


def length(text: str) -> int:
    """Return how long Discord takes a text to be."""
    return len(text.encode("utf-16-le", "surrogatepass")) // 2


def cut(text: str, limit: int) -> str:
    """Return the beginning of a text within a limit; a block of code that is cut open is closed again."""
    text = text.encode("utf-8", "replace").decode()
    if length(text) <= limit:
        return text
    mark, end = "…", "\n```"
    kept = _beginning(text, limit - length(mark))
    if kept.count("```") % 2:
        return _beginning(text, limit - length(mark + end)) + mark + end
    return kept + mark


def _beginning(text: str, limit: int) -> str:
    return text.encode("utf-16-le")[: 2 * max(limit, 0)].decode("utf-16-le", "ignore")


def bare(text: str) -> str:
    """Return text that Discord shows as it is, on one line: no mark-up, no mention, no link of its own."""
    return _MARKED.sub(r"\\\1", " ".join(text.split()))


def code(text: str) -> str:
    """Return text as a block of code that it cannot leave."""
    inside = text.replace("```", "`\u200b``")
    return f"```\n{inside}\n```"


@dataclass
class Grid:
    """Columns of text for a block of code: the first to the left, the others to the right."""

    head: Sequence[str]
    rows: list[Sequence[str]] = field(default_factory=list)

    def text(self) -> str:
        """Return the lines."""
        lines = [self.head, *self.rows]
        widths = [max(len(line[place]) for line in lines) for place in range(len(self.head))]
        shown = [
            "  ".join([line[0].ljust(widths[0]), *map(str.rjust, line[1:], widths[1:])]).rstrip() for line in lines
        ]
        return "\n".join(shown)
