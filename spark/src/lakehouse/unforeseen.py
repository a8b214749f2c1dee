"""What is told of an error that nobody foresaw, and where its trace is kept."""

from __future__ import annotations

import traceback
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path

from lakehouse.errors import Unforeseen
from lakehouse.log import get_logger, redact
from lakehouse.settings import Settings

log = get_logger(__name__)


def keep_trace(error: Exception, settings: Settings | None, secrets: Iterable[str] = ()) -> Unforeseen:
    """Append an error's trace to `logs/errors.log` of the state folder, and return what a person is told in its place.

    The trace goes to the program's own log where no such file can be written, or the settings are not known.
    """
    trace = redact("".join(traceback.format_exception(error)), secrets)
    kept = _append(settings.path(settings.state) / "logs" / "errors.log", trace) if settings else None
    if kept is None:
        log.error("unforeseen error", trace=trace)
    first = next(iter(redact(str(error), secrets).strip().splitlines()), "no word of it").rstrip(".")
    place = kept or "the log above"
    return Unforeseen(
        f"unforeseen {type(error).__name__}: {first[:300]}.",
        remedy=f"run again; if it comes back, report it with its trace, the last one in {place}.",
    )


def _append(file: Path, trace: str) -> Path | None:
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with file.open("a", encoding="utf-8") as sink:
            sink.write(f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}\n{trace}\n")
    except OSError:
        return None
    return file
