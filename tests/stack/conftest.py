"""Settings of a stack of the tests' own: fresh secrets, free ports, a state folder that is removed."""

from __future__ import annotations

import shutil
import tempfile
import uuid
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from types import ModuleType
from typing import Any

import psycopg2
import pytest
from modules import load

from lakehouse.settings import Settings
from lakehouse.stack.environment import init
from lakehouse.stack.ports import free_port
from lakehouse.stack.up import down

ROOT = Path(__file__).parents[2]
PORTS = tuple(name for name in Settings.model_fields if name.endswith("_port") and name != "spark_driver_port")


@pytest.fixture(scope="module")
def new_settings() -> Iterator[Callable[[], Settings]]:
    """Make settings of one more stack; whatever runs of it at the end is stopped."""
    made: list[Settings] = []
    folder = Path(tempfile.mkdtemp(prefix="lakehouse-stack-"))

    def make() -> Settings:
        home = folder / str(len(made))
        home.mkdir()
        init(home / ".env")
        ports = {name: free_port() for name in PORTS}
        made.append(Settings(_env_file=home / ".env", home=ROOT, state=home / "run", **ports))
        return made[-1]

    yield make
    for settings in made:
        down(settings)
    shutil.rmtree(folder)


@pytest.fixture(scope="module")
def minio(new_settings: Callable[[], Settings], object_store: ModuleType) -> Iterator[Settings]:
    """Settings whose MinIO alone runs, with its buckets and the jobs' user."""
    with object_store.running(new_settings()) as store:
        yield store.settings


@pytest.fixture
def settings(new_settings: Callable[[], Settings]) -> Settings:
    """Settings of a stack for one test."""
    return new_settings()


@pytest.fixture(scope="session")
def drill() -> ModuleType:
    """The module `drill`."""
    return load(Path(__file__).with_name("drill.py"))


@pytest.fixture(scope="session")
def browser() -> ModuleType:
    """The module `browser`."""
    return load(Path(__file__).with_name("browser.py"))


@pytest.fixture
def new_shop(drill: ModuleType, postgres: str, tmp_path: Path) -> Callable[[dict[str, str]], Any]:
    """Make a shop (see `drill.py`) on databases of its own, with a lake as the settings given say."""

    def make(lake: dict[str, str]) -> Any:
        name = uuid.uuid4().hex[:8]
        urls = []
        for database in (f"shop_{name}", f"audit_{name}"):
            with closing(psycopg2.connect(postgres)) as connection:
                connection.autocommit = True
                connection.cursor().execute(f"CREATE DATABASE {database}")
            urls.append(postgres.rpartition("/")[0] + f"/{database}")
        return drill.Shop(tmp_path / name, *urls, lake)

    return make
