"""Fixtures of the tests with a JVM: one Spark session for all of them, small lakes of their own, the models."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from types import ModuleType
from typing import Any

import psycopg2
import pytest
from modules import load

from lakehouse.audit.migrate import migrate
from lakehouse.engine.context import INTERPRETED
from lakehouse.engine.session import start_session
from lakehouse.launch import spark_conf
from lakehouse.settings import Settings
from lakehouse.specs.pipeline import Spark

ROOT = Path(__file__).parents[2]
# Of a few rows: to compile a query, or to plan it anew while it runs, costs twice what running it does. Whole runs (the
# oracle's, the stack's, the drills) leave Spark as people have it.
FEW_ROWS = INTERPRETED | {"spark.sql.adaptive.enabled": "false"}
Ask = Callable[..., list[tuple[Any, ...]]]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.spark)


@pytest.fixture(scope="session")
def spark():
    """The one session, started as every driver is, on a machine that says it is in São Paulo."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TZ", "America/Sao_Paulo")
        patch.setattr("lakehouse.engine.session.spark_conf", lambda *given: spark_conf(*given) | FEW_ROWS)
        session = start_session(Settings(_env_file=None, home=ROOT), Spark(), "tests")
    yield session
    session.stop()


@pytest.fixture(scope="session")
def audit_url(postgres: str) -> str:
    """URL of one audit database for all tests; their runs have names of their own."""
    url = new_database(postgres, "audit")
    migrate(url, ROOT / "warehouse" / "migrations")
    return url


@pytest.fixture
def house(tmp_path: Path, spark, audit_url: str):
    """Makes lakes: `house(contracts, source=url)`; see `house.py`."""
    return house_maker(tmp_path, spark, audit_url)


@pytest.fixture(scope="module")
def module_house(tmp_path_factory, spark, audit_url: str):
    """The same for the tests of one module together."""
    return house_maker(tmp_path_factory.mktemp("house"), spark, audit_url)


def house_maker(folder: Path, spark, audit_url: str):
    def make(contracts: dict[str, Any] | Path, source: str | None = None, **settings: Any):
        made = kit().House(folder / uuid.uuid4().hex[:6], spark, audit_url, contracts, source)
        made.settings = made.settings.model_copy(update=settings)
        return made

    return make


def kit() -> ModuleType:
    return load(Path(__file__).with_name("house.py"))


@pytest.fixture(scope="session")
def build() -> ModuleType:
    """The module `house`: short forms of contracts."""
    return kit()


@pytest.fixture(scope="session")
def models() -> Callable[[str], ModuleType]:
    """Loads a model by its name: plain Python, written from the design and not from the engine."""
    return lambda name: load(ROOT / "tests" / "model" / f"{name}.py")


def new_database(postgres: str, prefix: str) -> str:
    name = f"{prefix}_{uuid.uuid4().hex[:8]}"
    with closing(psycopg2.connect(postgres)) as connection:
        connection.autocommit = True
        connection.cursor().execute(f"CREATE DATABASE {name}")
    return postgres.rpartition("/")[0] + f"/{name}"


@pytest.fixture
def ask(database: str) -> Iterator[Ask]:
    """Runs one statement on the source database and returns its rows."""
    with closing(psycopg2.connect(database)) as connection:
        connection.autocommit = True

        def run(statement: str, *parameters: Any) -> list[tuple[Any, ...]]:
            with connection.cursor() as cursor:
                cursor.execute(statement, parameters or None)
                return cursor.fetchall() if cursor.description else []

        yield run
