"""Fixtures of the tests that need a real Postgres."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import psycopg2
import pytest

from lakehouse.audit.log import Audit
from lakehouse.audit.migrate import migrate

MIGRATIONS = Path(__file__).parents[2] / "warehouse" / "migrations"
Ask = Callable[..., list[tuple[Any, ...]]]


@pytest.fixture
def audit_url(database: str) -> str:
    """URL of a database of this test's own with the audit schema in it."""
    migrate(database, MIGRATIONS)
    return database


@pytest.fixture
def audit(audit_url: str) -> Iterator[Audit]:
    """The run log of this test's own database."""
    with Audit(audit_url) as audit:
        yield audit


@pytest.fixture
def ask(database: str) -> Iterator[Ask]:
    """Runs one statement on a connection of the test's own and returns its rows: the other road to the truth."""
    with closing(psycopg2.connect(database)) as connection:
        connection.autocommit = True

        def run(statement: str, *parameters: Any) -> list[tuple[Any, ...]]:
            with connection.cursor() as cursor:
                cursor.execute(statement, parameters or None)
                return cursor.fetchall() if cursor.description else []

        yield run
