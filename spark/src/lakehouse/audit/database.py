"""One connection to the audit database, made again once when it is lost, and its errors in our words."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from typing import Any, Self, TypeAlias, TypeVar
from urllib.parse import urlsplit

import psycopg2
import psycopg2.extensions

from lakehouse.errors import AuditUnavailable, LakehouseError, StateError
from lakehouse.log import redact

Connection: TypeAlias = psycopg2.extensions.connection
Cursor: TypeAlias = psycopg2.extensions.cursor
T = TypeVar("T")

# Given up: a connect after 5 s, a silent peer after 10 + 3 * 5 s, bytes sent and not acknowledged after 15 s.
_PATIENCE: dict[str, Any] = {
    "connect_timeout": 5,
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 15_000,
}
_OPTIONS = "-c timezone=UTC -c statement_timeout=60s -c lock_timeout=30s"
_NO_SCHEMA = (
    psycopg2.errors.UndefinedTable,
    psycopg2.errors.UndefinedColumn,
    psycopg2.errors.InvalidSchemaName,
)


def connect(url: str, application: str, options: str = "") -> Connection:
    """Open a connection that gives up in seconds; raises AuditUnavailable, never showing the password."""
    try:
        connection: Connection = psycopg2.connect(url, application_name=application, options=options, **_PATIENCE)
    except psycopg2.Error as error:
        raise unavailable(url, error) from None
    return connection


def unavailable(url: str, error: psycopg2.Error) -> LakehouseError:
    """Return the error to raise for what the audit database or the way to it said."""
    said = redact(" ".join(str(error).split()), password_of(url))
    if isinstance(error, _NO_SCHEMA):
        return AuditUnavailable(
            f"the audit schema is missing or older than this program: {said}.",
            where=place(url),
            remedy="apply the migrations with `lakehouse migrate`.",
        )
    if isinstance(error, psycopg2.IntegrityError | psycopg2.DataError):
        return StateError(f"the audit database refuses the row: {said}.", where=place(url))
    return AuditUnavailable(
        f"the audit database cannot be used: {said}.",
        where=place(url),
        remedy="see that it runs and that LAKEHOUSE_AUDIT_URL names it; then run again, nothing is done twice.",
    )


def password_of(url: str) -> tuple[str, ...]:
    """Return the password in a URL as a list of secrets: one or none."""
    password = urlsplit(url).password
    return (password,) if password else ()


def place(url: str) -> str:
    """Return host, port and database of a URL, without user and password."""
    parts = urlsplit(url)
    return f"postgresql://{parts.hostname or ''}:{parts.port or 5432}{parts.path}"


class Database:
    """Runs transactions one after another on one connection; threads may share it."""

    def __init__(self, url: str, secrets: Iterable[str] = ()) -> None:
        self.url = url
        self.secrets = (*secrets, *password_of(url))
        self._connection: Connection | None = None
        self._turn = threading.Lock()

    def transact(self, work: Callable[[Cursor], T]) -> T:
        """Return what `work` returns, committed; when the connection was lost, `work` is done once more on a new one.

        `work` must give the same end when done twice: a connection can be lost after the commit, before its answer.
        """
        with self._turn:
            known_to_work = self._connection is not None
            try:
                return self._transaction(work)
            except psycopg2.Error as error:
                if not (known_to_work and self._is_lost()):
                    raise unavailable(self.url, error) from error
            try:
                return self._transaction(work)
            except psycopg2.Error as error:
                raise unavailable(self.url, error) from error

    def _transaction(self, work: Callable[[Cursor], T]) -> T:
        if self._connection is None or self._is_lost():
            self._connection = connect(self.url, "lakehouse audit", _OPTIONS)
        with self._connection, self._connection.cursor() as cursor:
            return work(cursor)

    def _is_lost(self) -> bool:
        return self._connection is not None and self._connection.closed != 0

    def close(self) -> None:
        """Close the connection; the next transaction opens one again."""
        with self._turn:
            if self._connection is not None:
                self._connection.close()
                self._connection = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: Any) -> None:
        self.close()
