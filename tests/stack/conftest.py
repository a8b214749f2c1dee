"""Settings of a stack of the tests' own: fresh secrets, free ports, a state folder that is removed."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from lakehouse.settings import Settings
from lakehouse.stack.environment import init
from lakehouse.stack.ports import free_port
from lakehouse.stack.up import down

ROOT = Path(__file__).parents[2]
PORTS = ("postgres_port", "minio_port", "minio_console_port", "airflow_port")


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


@pytest.fixture
def settings(new_settings: Callable[[], Settings]) -> Settings:
    """Settings of a stack for one test."""
    return new_settings()
