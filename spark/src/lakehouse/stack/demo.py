"""`make demo`: the whole pipeline by Airflow's own test run, on an embedded Postgres and a local folder."""

from __future__ import annotations

import fcntl
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from pydantic import SecretStr

from lakehouse.audit.history import Row
from lakehouse.audit.migrate import migrate
from lakehouse.errors import ParameterError
from lakehouse.settings import Settings
from lakehouse.source.origin import origin_of
from lakehouse.source.simulate import simulate
from lakehouse.stack.demo_run import LOG, Tell, run_dags
from lakehouse.stack.demo_source import empty, need_of, origin_in
from lakehouse.stack.doctor import examine_java
from lakehouse.stack.errors import MissingTool, StackError
from lakehouse.stack.layout import Layout, layout, make_folders
from lakehouse.stack.parts import native_postgres
from lakehouse.stack.ports import HOST
from lakehouse.stack.postgres import PostgresServer
from lakehouse.stack.supervisor import ACTIVE, part_states
from lakehouse.stack.up import down, start_postgres_only

DAG = "medallion_pipeline"
SOURCE_DAG = "setup_source_db"


@dataclass(frozen=True)
class Demo:
    """What the demo did: a row of the run log for each table, the publication, where tables are, and the seconds."""

    run_id: str
    tables: list[Row]
    publication: int | None
    is_new: bool
    lake: str
    log: str
    seconds: float

    @property
    def new_rows(self) -> int:
        """Rows that came from the source."""
        return sum(row["input_rows"] for row in self.tables if row["layer"] == "bronze")

    @property
    def new_versions(self) -> int:
        """Tables that were written."""
        return sum(row["version_written"] is not None for row in self.tables)


def run_demo(settings: Settings, tell: Tell, changes: float = 0) -> Demo:
    """Fill the source where it needs it, run the pipeline, and stop what was started; data stays.

    `changes` is the share of orders that a simulated day touches before the run. Raises `StackError` with what the
    failed task said, or with what keeps Postgres from starting; `MissingTool` where there is no Java.
    """
    began = time.monotonic()
    need_java()
    place = layout(settings)
    make_folders(place)
    server = native_postgres(settings, place)
    settings = with_databases(settings, server)
    with alone(place), databases(settings, server, place, tell):
        applied = migrate(settings.need_audit_url(), settings.path(Path("warehouse/migrations")))
        tell(f"Audit database: {f'{len(applied)} migrations applied' if applied else 'up to date'}")
        first = prepare_source(settings, tell, changes)
        done = run_dags(settings, place, server, [*first, DAG], tell)
        return Demo(
            run_id=done.run_id,
            tables=done.tables,
            publication=done.returned["publish"]["publication"],
            is_new=done.returned["publish"]["new"],
            lake=settings.table_uri("{layer}"),
            log=str(place.log(LOG)),
            seconds=time.monotonic() - began,
        )


def need_java() -> None:
    """Raise `MissingTool` where Spark would find no Java: before anything is started, and in one line."""
    java = examine_java()
    if not java.ok:
        raise MissingTool(f"no Java that Spark runs on: {java.found}.", remedy=java.remedy)


def with_databases(settings: Settings, server: PostgresServer) -> Settings:
    """Return the settings with the native Postgres for each database that they do not name."""
    source = settings.connections.get("source", SecretStr(server.url("source")))
    return settings.model_copy(
        update={
            "audit_url": settings.audit_url or SecretStr(server.url("audit")),
            "connections": {**settings.connections, "source": source},
        }
    )


@contextmanager
def databases(settings: Settings, server: PostgresServer, place: Layout, tell: Tell) -> Iterator[None]:
    """Hold the native Postgres, if a database of the settings is in it; stopped again if it did not run before."""
    urls = [settings.need_audit_url(), settings.connection_url("source")]
    if not any((urlsplit(url).hostname, urlsplit(url).port) == (HOST, server.port) for url in urls):
        yield
        return
    part = start_postgres_only(settings)
    tell(f"Postgres: {'started' if part.started else 'runs'} at {part.address}")
    try:
        yield
    finally:
        others = [name for name, word in part_states(place).items() if word in ACTIVE and name != part.name]
        if part.started and not others:
            down(settings)


@contextmanager
def alone(place: Layout) -> Iterator[None]:
    """Hold the demo's lock; `StackError` while another demo of this state folder runs."""
    with (place.state / "demo.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise StackError("another demo runs.", where=str(place.state), remedy="wait until it has ended.") from None
        yield


def prepare_source(settings: Settings, tell: Tell, changes: float) -> list[str]:
    """Return the DAGs to run before the pipeline: none where the files are those of the last setup.

    Rows of another origin are dropped first. A simulated day changes what is there, so it needs an unchanged source.
    """
    url, raw = settings.connection_url("source"), settings.path(settings.raw)
    now, before = origin_of(raw), origin_in(url)
    need = need_of(now, before)
    if changes and need != "nothing":
        raise ParameterError("there is no shop to live a day in yet.", remedy="run the demo once without --changes.")
    if need == "replace" and now and before:
        empty(url)
        tell(f"Source: its schema is dropped, for it held {before.name} and {raw} holds {now.name}.")
        tell(
            "        The lake takes that for deletes; a table without deletes keeps its rows (remove it to begin anew)."
        )
    if need != "nothing":
        return [SOURCE_DAG]
    tell("Source: unchanged since its setup")
    if changes:
        day = simulate(url, changes=changes, seed=1)
        told = [f"{name} +{each.inserted} ~{each.updated} -{each.deleted}" for name, each in day.items()]
        tell(f"A day in the shop: {', '.join(told)}")
    return []
