"""One lake with reviews and their orders for all drills, made once; each drill has a copy, and a topic of its own."""

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

from lakehouse.audit.migrate import migrate
from lakehouse.source.load import setup_source
from lakehouse.source.sample import write_sample

ROOT = Path(__file__).parents[3]
TOPIC = "olist_reviews_stream"


stream, count = (load(Path(__file__).with_name(f"{name}.py")) for name in ("stream", "count"))


def new_database(server: str, template: str = "template1") -> str:
    """URL of a database with what another one holds."""
    name = f"t_{uuid.uuid4().hex[:12]}"
    with closing(psycopg2.connect(server)) as connection:
        connection.autocommit = True
        connection.cursor().execute(f"CREATE DATABASE {name} TEMPLATE {template.rpartition('/')[2]}")
    return server.rpartition("/")[0] + f"/{name}"


def first_lake_in(folder: Path, postgres: str, variables: dict[str, str]) -> Any:
    """A lake after its first batch: what all drills begin with."""
    write_sample(folder / "raw", scale=0.01)
    shutil.copytree(ROOT / "spark" / "pipelines", folder / "pipelines")
    urls = new_database(postgres), new_database(postgres)
    setup_source(urls[0], folder / "raw")
    migrate(urls[1], ROOT / "warehouse" / "migrations")
    made = stream.Stream(folder, "", urls, variables, count)
    words = ("--tables", "customers,orders,order_reviews", "--no-publish")
    made.ends(made.start("run", "olist", "--layers", "bronze,silver", *words))
    return made


def with_topic(folder: Path, topic: str) -> None:
    """Let the reviews of a folder's pipeline come by a topic of their own."""
    contract = folder / "pipelines" / "olist" / "silver" / "order_reviews.odcs.yaml"
    contract.write_text(contract.read_text().replace(TOPIC, topic))


@pytest.fixture(scope="session")
def first_lake(postgres: str) -> Iterator[Any]:
    """A lake in a folder, made once."""
    folder = Path(tempfile.mkdtemp(prefix="lakehouse-drills-"))
    yield first_lake_in(folder, postgres, {})
    shutil.rmtree(folder)


@pytest.fixture
def drill(first_lake: Any, postgres: str, broker: Any, new_topic: Callable[..., Any]) -> Iterator[Any]:
    """A stream that has not begun; what runs of it at the end is killed."""
    folder, topic = Path(tempfile.mkdtemp(prefix="lakehouse-drill-")), new_topic().name
    for name in ("raw", "pipelines", "run"):
        shutil.copytree(first_lake.folder / name, folder / name)
    with_topic(folder, topic)
    urls = tuple(new_database(postgres, url) for url in (first_lake.source_url, first_lake.audit_url))
    made = stream.Stream(folder, topic, urls, {"KAFKA_BOOTSTRAP": broker.bootstrap}, count)
    yield made
    made.close()
    shutil.rmtree(folder)


@pytest.fixture
def store(object_store: ModuleType) -> Iterator[Any]:
    """A MinIO that runs."""
    folder = Path(tempfile.mkdtemp(prefix="lakehouse-drill-"))
    with object_store.running(object_store.settings_in(folder)) as store:
        yield store
    shutil.rmtree(folder)


@pytest.fixture
def drill_in_store(store: Any, postgres: str, broker: Any, new_topic: Callable[..., Any]) -> Iterator[Any]:
    """A stream that has not begun, of a lake in an object store."""
    folder, topic = Path(tempfile.mkdtemp(prefix="lakehouse-drill-")), new_topic().name
    first = first_lake_in(folder, postgres, store.lake)
    with_topic(folder, topic)
    variables = {"KAFKA_BOOTSTRAP": broker.bootstrap, **store.lake}
    tables = count.Tables("s3://{layer}", store.reader)
    made = stream.Stream(folder, topic, (first.source_url, first.audit_url), variables, count, tables)
    yield made
    made.close()
    shutil.rmtree(folder)
