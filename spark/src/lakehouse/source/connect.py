"""The one place that opens connections to a source, and that turns what Postgres says into our errors."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any

import psycopg2
from psycopg2 import errorcodes, extensions

from lakehouse.errors import SourceError, SourceUnavailable
from lakehouse.log import redact
from lakehouse.source.unchanged import changed_meanwhile

CONNECT_TIMEOUT_S = 10
# Refusals that a second try cannot heal; everything else that fails while connecting may pass.
_REFUSALS = {
    "password authentication failed": "correct the user or the password in LAKEHOUSE_CONNECTIONS__… of .env.",
    "no password supplied": "put the password into the URL in LAKEHOUSE_CONNECTIONS__… of .env.",
    "no pg_hba.conf entry": "allow this user and address in the server's pg_hba.conf.",
    "does not exist": "correct the name in LAKEHOUSE_CONNECTIONS__… of .env, or create it on the server.",
    "permission denied for database": "GRANT CONNECT ON DATABASE … TO the user.",
    "invalid integer value": "correct the port in LAKEHOUSE_CONNECTIONS__… of .env.",
    "server does not support SSL": "leave out sslmode from the URL, or switch SSL on in the server.",
}
_PREAMBLE = re.compile(r"^connection to server .*? failed: (FATAL:\s*)?")
# Connection, resources, operator, system, rollback (deadlock), a lock that was not had in time.
_PASSING_CLASSES = ("08", "53", "57", "58", "40", "55P03")
_REMEDIES = {
    errorcodes.INSUFFICIENT_PRIVILEGE: "GRANT the right to the user of the connection.",
    errorcodes.READ_ONLY_SQL_TRANSACTION: "use the address of the primary server.",
}


@contextmanager
def reading(url: str) -> Iterator[extensions.connection]:
    """Hold a read-only connection whose statements each are a transaction of their own.

    Raises `SourceUnavailable` when the source is away, `SourceError` when it refuses.
    """
    with closing(_connect(url)) as connection, translated(url):
        connection.set_session(readonly=True, autocommit=True)
        yield connection


@contextmanager
def transaction(url: str, *, readonly: bool = False) -> Iterator[extensions.connection]:
    """Hold one transaction: committed at the end of the block, rolled back when anything is raised in it."""
    with closing(_connect(url)) as connection, translated(url):
        connection.set_session(readonly=readonly)
        with connection:
            yield connection


@contextmanager
def reading_by(connection_or_url: extensions.connection | str) -> Iterator[extensions.connection]:
    """Take a connection as it is, or hold one of our own for a URL."""
    if isinstance(connection_or_url, str):
        with reading(connection_or_url) as connection:
            yield connection
    else:
        with translated(connection_or_url.dsn):
            yield connection_or_url


@contextmanager
def translated(url: str) -> Iterator[None]:
    """Raise what psycopg2 raises inside the block as `SourceError` or `SourceUnavailable`."""
    try:
        yield
    except psycopg2.Error as error:
        raise source_error(error, url) from error


def source_error(error: psycopg2.Error, url: str) -> SourceError | SourceUnavailable:
    """Return our error for one of psycopg2 that came after connecting; whether it heals follows from its SQLSTATE."""
    if changed := changed_meanwhile(str(error), place(url)):
        return changed
    said = error.diag.message_primary or str(error).strip().partition("\n")[0] or type(error).__name__
    lost = error.pgcode is None and isinstance(error, psycopg2.OperationalError | psycopg2.InterfaceError)
    if lost or (error.pgcode or "").startswith(_PASSING_CLASSES):
        return SourceUnavailable(
            f"{_hidden(said, url)}.", where=place(url), remedy="try again when the source answers."
        )
    remedy = _REMEDIES.get(error.pgcode or "") or error.diag.message_hint
    return SourceError(f"{_hidden(said, url)}.", where=place(url), remedy=remedy)


def place(url: str) -> str:
    """Return `source host:port/database` of a URL or a connection's settings: what an error may show of it."""
    parts = _settings(url)
    return f"source {parts.get('host', 'localhost')}:{parts.get('port', 5432)}/{parts.get('dbname', '')}"


def _connect(url: str) -> extensions.connection:
    try:
        connection: extensions.connection = psycopg2.connect(
            url,
            **_unsaid(url, connect_timeout=str(CONNECT_TIMEOUT_S), application_name="lakehouse"),
            client_encoding="UTF8",
            # how text becomes a time is the session's: one zone and one order of day and month, whatever the server's
            options="-c TimeZone=UTC -c DateStyle=ISO,YMD -c IntervalStyle=iso_8601 -c extra_float_digits=1",
            keepalives_idle=30,
        )
    except psycopg2.Error as error:
        raise _refusal(error, url) from None
    return connection


def _unsaid(url: str, **usual: str) -> dict[str, Any]:
    """Return the usual parameters that a URL does not set."""
    return {name: value for name, value in usual.items() if name not in _settings(url)}


def _refusal(error: psycopg2.Error, url: str) -> SourceError | SourceUnavailable:
    """Return the error for a connection that could not be made. What libpq says of an unreadable URL is not shown."""
    if not isinstance(error, psycopg2.OperationalError):
        return SourceError(
            "the connection's URL cannot be read.", where=place(url), allowed="postgresql://user@host/db"
        )
    first_line = str(error).strip().partition("\n")[0]
    said = _hidden(_PREAMBLE.sub("", first_line) or "no answer", url)
    for words, remedy in _REFUSALS.items():
        if words in said:
            return SourceError(f"{said}.", where=place(url), remedy=remedy)
    return SourceUnavailable(f"{said}.", where=place(url), remedy="see that the source runs and can be reached.")


def _hidden(text: str, url: str) -> str:
    return redact(text, [url, _settings(url).get("password", "")])


def _settings(url: str) -> dict[str, str]:
    try:
        return dict(extensions.parse_dsn(url))
    except psycopg2.ProgrammingError:
        return {}
