"""Fixtures of all test folders: one embedded Postgres for the session, a fresh database for each test."""

from __future__ import annotations

import os
import shutil
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from types import ModuleType
from typing import Any

import psycopg2
import pytest
from modules import load

from lakehouse.settings import Settings
from lakehouse.stack.binaries import fetch_postgres
from lakehouse.stack.ports import free_port
from lakehouse.stack.postgres import PostgresServer, running

ROOT = Path(__file__).parents[1]
# Nothing in a test outlives it, so nothing has to reach the disk.
UNSAFE = ("fsync=off", "synchronous_commit=off", "full_page_writes=off", "max_connections=200")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Leave out what takes minutes and whose like `make test` runs."""
    for item in items:
        if "LAKEHOUSE_TEST_DAILY" not in os.environ and item.get_closest_marker("daily"):
            item.add_marker(pytest.mark.skip(reason="`.ci/daily` runs it"))


@pytest.fixture(scope="session")
def postgres() -> Iterator[str]:
    """URL (with password) of database `postgres` of one running server; its user may do everything."""
    settings = Settings(_env_file=None, home=ROOT)
    home = fetch_postgres(settings.path(settings.cache), ROOT / "spark" / "pom.xml")
    folder = Path(tempfile.mkdtemp(prefix="lakehouse-postgres-"))
    folder.chmod(0o755)
    server = PostgresServer(home, folder / "data", free_port(), password=uuid.uuid4().hex, options=UNSAFE)
    try:
        with running(server, folder / "log"):
            yield server.url()
    finally:
        shutil.rmtree(folder)


@pytest.fixture
def database(postgres: str) -> Iterator[str]:
    """URL of an empty database of this test's own, dropped afterwards."""
    name = f"t_{uuid.uuid4().hex[:12]}"
    _run(postgres, f"CREATE DATABASE {name}")
    yield postgres.rpartition("/")[0] + f"/{name}"
    _run(postgres, f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture(scope="session")
def fake_discord() -> ModuleType:
    """The module `tests/fake_discord.py`: a local server that behaves as Discord's webhooks do."""
    return load(ROOT / "tests" / "fake_discord.py")


@pytest.fixture(scope="session")
def object_store() -> ModuleType:
    """The module `tests/object_store.py`: a MinIO that can be killed."""
    return load(ROOT / "tests" / "object_store.py")


@pytest.fixture
def discord(fake_discord: ModuleType, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A running one. Only here its address on loopback and its certificate are taken: no setting can do that."""
    with fake_discord.running() as server:
        fake_discord.let_in(server, monkeypatch.setattr)
        yield server


def _run(url: str, statement: str) -> None:
    with closing(psycopg2.connect(url)) as connection:
        connection.autocommit = True
        with connection.cursor() as cursor:
            cursor.execute(statement)
