"""Logging to stderr, one line a record, and the removal of secrets from whatever is logged or stored."""

from __future__ import annotations

import json
import logging
import re
import sys
from collections.abc import Callable, Iterable, Mapping
from typing import Any
from urllib.parse import quote, quote_plus, unquote, urlsplit

import structlog
from pydantic import SecretStr
from structlog.typing import EventDict, Processor, WrappedLogger

from lakehouse.settings import Settings

HIDDEN = "***"
_URL_PASSWORD = re.compile(r"(?<=://)([^\s:/@]*):[^\s/]+@")
_NAMED_SECRET = re.compile(
    r"(?i)((?:password|passwd|secret[._-]?(?:access[._-]?)?key)[\"']?\s*[=:]\s*)(\"[^\"]*\"|'[^']*'|[^\s&;,'\"}]+)"
)
_WEBHOOK = re.compile(r"(/api/(?:v\d+/)?webhooks/)[^\s\"'?]+")


def secrets_of(settings: Settings) -> tuple[str, ...]:
    """Return every secret value of the settings: secret fields, and of URLs the password or the webhook's token too."""
    fields = [getattr(settings, name) for name in type(settings).model_fields]
    held = [*fields, *settings.connections.values()]
    values = [value.get_secret_value() for value in held if isinstance(value, SecretStr)]
    passwords = [urlsplit(value).password or "" for value in values if "://" in value]
    tokens = [value.partition("?")[0].rpartition("/")[2] for value in values if "/webhooks/" in value]
    return tuple(sorted({value for value in [*values, *passwords, *tokens] if value}))


def redact(text: str, secrets: Iterable[str] = ()) -> str:
    """Return `text` without the given secrets (plain or URL-encoded) and without what looks like a password."""
    for spelling in sorted(_spellings(secrets), key=len, reverse=True):
        text = text.replace(spelling, HIDDEN)
    text = _URL_PASSWORD.sub(rf"\1:{HIDDEN}@", text)
    text = _NAMED_SECRET.sub(rf"\1{HIDDEN}", text)
    return _WEBHOOK.sub(rf"\1{HIDDEN}", text)


def _spellings(secrets: Iterable[str]) -> set[str]:
    ways = (str, unquote, quote, quote_plus, lambda each: quote(each, safe=""))
    return {way(secret) for secret in secrets if secret for way in ways}


def map_text(value: Any, change: Callable[[str], str]) -> Any:
    """Return a plain value with `change` applied to every text in it; what is no plain value is taken as its text."""
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, Mapping):
        return {change(str(key)): map_text(each, change) for key, each in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [map_text(each, change) for each in value]
    return change(str(value))


def configure(secrets: Iterable[str] = (), *, as_json: bool = False) -> None:
    """Send every record of structlog and of `logging` to stderr, redacted; `as_json` for machines."""
    hidden = tuple(secrets)

    def without_secrets(_: WrappedLogger, __: str, record: EventDict) -> EventDict:
        return {key: map_text(value, lambda text: redact(text, hidden)) for key, value in record.items()}

    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="%Y-%m-%dT%H:%M:%SZ", utc=True),
    ]
    renderer: Processor = structlog.processors.JSONRenderer() if as_json else _readable
    finish = structlog.stdlib.ProcessorFormatter.remove_processors_meta
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[finish, structlog.processors.format_exc_info, without_secrets, renderer],
        )
    )
    logging.basicConfig(handlers=[handler], level=logging.WARNING, force=True)
    logging.getLogger("lakehouse").setLevel(logging.INFO)
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *shared,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=False,
    )


def get_logger(name: str) -> structlog.stdlib.BoundLogger:
    """Return the logger of a module, named by its `__name__`."""
    logger: structlog.stdlib.BoundLogger = structlog.stdlib.get_logger(name)
    return logger


def _readable(_: WrappedLogger, __: str, record: EventDict) -> str:
    """Render `time level event key=value …` on one line; line breaks inside values are escaped."""
    time, level, event = (str(record.pop(key, "")) for key in ("timestamp", "level", "event"))
    pairs = [f"{key}={_value(value)}" for key, value in record.items()]
    return " ".join([time, f"{level:<7}", _one_line(event), *pairs]).rstrip()


def _value(value: Any) -> str:
    """Render text bare where it is one plain word, anything else as JSON."""
    plain = isinstance(value, str) and re.fullmatch(r"[\w.:/+@,*-]+", value)
    return str(value) if plain else json.dumps(value, ensure_ascii=False)


def _one_line(text: str) -> str:
    return text.replace("\r", "\\r").replace("\n", "\\n")
