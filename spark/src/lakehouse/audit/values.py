"""Values as the audit database stores them: redacted, bounded, without what Postgres text cannot hold."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from lakehouse.log import map_text, redact

LONGEST_TEXT = 4_000


def text(value: str, secrets: Iterable[str]) -> str:
    """Return text without secrets, at most 4,000 characters; it is redacted before it is cut."""
    clean = _storable(redact(value, secrets))
    return clean if len(clean) <= LONGEST_TEXT else clean[: LONGEST_TEXT - 1] + "…"


def document(value: Any, secrets: Iterable[str]) -> str:
    """Return a plain value as JSON for a jsonb column, every text in it without secrets."""
    clean = map_text(value, lambda each: _storable(redact(each, secrets)))
    return json.dumps(clean, ensure_ascii=False, sort_keys=True)


def _storable(value: str) -> str:
    """Replace NUL characters and lone surrogates, which neither text nor jsonb takes."""
    return value.replace("\x00", "\ufffd").encode("utf-8", "replace").decode()
