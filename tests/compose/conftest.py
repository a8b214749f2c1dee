"""An engine, the images and the platform for the whole session; `make test-compose` lets them run."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import compose_bases
import compose_engine
import compose_platform
import pytest
from modules import load

from lakehouse.settings import Settings
from lakehouse.settings_example import CONTAINERS
from lakehouse.source.sample import write_sample
from lakehouse.stack.minio import fetch_minio

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
CACHE = Settings(_env_file=None).path(Path("~/.cache/lakehouse")) / "compose"


@pytest.fixture(scope="session")
def say(request: pytest.FixtureRequest) -> Callable[[str], None]:
    """Tell a person what takes so long, and how long it took."""
    manager = request.config.pluginmanager.getplugin("capturemanager")

    def tell(line: str) -> None:
        with manager.global_and_fixture_disabled():
            print(f"\n  {line}", file=sys.stderr, flush=True)

    return tell


@pytest.fixture(scope="session")
def client() -> Callable[..., str]:
    """`docker …` where no engine has to answer; skipped where there is no compose v2 and none can be fetched."""
    try:
        return compose_engine.client(CACHE).docker
    except compose_engine.NoEngine as error:
        pytest.skip(str(error))


@pytest.fixture(scope="session")
def engine(say: Callable[[str], None]) -> Iterator[Any]:
    """A Docker engine; where there can be none, that is said and what needs it is skipped."""
    CACHE.mkdir(parents=True, exist_ok=True)
    try:
        with compose_engine.engine(CACHE) as found:
            say(f"engine: {'unpacked into ' + str(CACHE) if found.ours else 'of this machine'}")
            yield found
    except compose_engine.NoEngine as error:
        say(f"NO DOCKER ENGINE: {error} Only the compose file and the Dockerfiles are checked.")
        pytest.skip(str(error))


@pytest.fixture(scope="session")
def raw(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a small made shop that containers may read, whoever they run as."""
    folder = tmp_path_factory.mktemp("compose")
    write_sample(folder / "raw", scale=0.01)
    for each in (folder, *folder.parents):
        if each.stat().st_uid == os.getuid() and each.is_relative_to(tmp_path_factory.getbasetemp().parent.parent):
            each.chmod(0o755)
    return folder / "raw"


@pytest.fixture(scope="session")
def platform(
    engine: Any, raw: Path, tmp_path_factory: pytest.TempPathFactory, say: Callable[[str], None]
) -> Iterator[Any]:
    """The core, up; containers, networks and volumes are gone afterwards."""
    images = {name.removeprefix("IMAGE_").lower(): value for name, value, _ in CONTAINERS if name.startswith("IMAGE_")}
    timed(say, "images", lambda: compose_bases.provide(engine, images, lambda: fetch_minio(CACHE.parent), say))
    with compose_platform.platform(engine, tmp_path_factory.mktemp("project"), raw) as made:
        timed(say, "build", lambda: made.compose("build", timeout=1500))
        core = [name for name in made.compose("config", "--services").split() if not name.startswith("kafka")]
        timed(say, "up until healthy", lambda: made.compose("up", "--detach", "--wait", "--no-build", *core))
        yield made
    left = engine.docker("ps", "-aq", "--filter", f"label=com.docker.compose.project={made.project}")
    assert left == ""
    for kind in ("volume", "network"):
        assert engine.docker(kind, "ls", "-q", "--filter", f"label=com.docker.compose.project={made.project}") == ""


def timed(say: Callable[[str], None], what: str, work: Callable[[], Any]) -> None:
    """Do some work and say how many seconds it took."""
    began = time.monotonic()
    work()
    say(f"{what}: {time.monotonic() - began:.0f} s")


@pytest.fixture(scope="session")
def eventually() -> Callable[..., None]:
    """Wait until something holds."""
    return compose_platform.eventually


@pytest.fixture(scope="session")
def oracle() -> ModuleType:
    """The module `gold_oracle`, which shares nothing with the platform."""
    return load(ROOT / "tests" / "oracle" / "gold_oracle.py")


@pytest.fixture(scope="session")
def agreement() -> ModuleType:
    """The module `agreement`."""
    return load(ROOT / "tests" / "oracle" / "agreement.py")
