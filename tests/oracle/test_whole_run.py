"""The command `lakehouse run` on a source of its own, against the oracle: a load and a day, each with kills."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import duckdb
import psycopg2
import pytest
from deltalake import DeltaTable

from lakehouse.audit.migrate import migrate
from lakehouse.source.load import setup_source
from lakehouse.source.sample import write_sample
from lakehouse.source.simulate import simulate

pytestmark = [pytest.mark.spark, pytest.mark.postgres, pytest.mark.slow, pytest.mark.timeout(1800)]
ROOT = Path(__file__).parents[2]


@dataclass
class Platform:
    """A source, an audit database and a lake of a test's own."""

    source: str
    audit: str
    state: Path

    def command(self) -> subprocess.Popen[str]:
        """Start a run as a person would; its process group is its own."""
        environment = os.environ | {
            "LAKEHOUSE_HOME": str(ROOT),
            "LAKEHOUSE_STATE": str(self.state),
            "LAKEHOUSE_LAKE": "",
            "LAKEHOUSE_AUDIT_URL": self.audit,
            "LAKEHOUSE_CONNECTIONS__SOURCE": self.source,
        }
        words = [str(Path(sys.executable).with_name("lakehouse")), "run", "olist", "--json", "--wait", "30"]
        return subprocess.Popen(
            words, env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True
        )

    def run(self) -> dict[str, Any]:
        """Run to the end; returns what --json prints."""
        process = self.command()
        out, told = process.communicate(timeout=900)
        assert process.returncode == 0, told[-3000:]
        return dict(json.loads(out))

    def table(self, layer: str, name: str) -> DeltaTable:
        """Open a table of the lake."""
        return DeltaTable(str(self.state / "lake" / layer / "olist" / name))

    def ask(self, query: str) -> list[tuple[Any, ...]]:
        """Ask the audit database."""
        with closing(psycopg2.connect(self.audit)) as connection, connection.cursor() as cursor:
            cursor.execute(query)
            return cursor.fetchall()

    def versions(self) -> dict[str, int]:
        """Return the newest version of every table in the lake."""
        logs = (self.state / "lake").glob("*/olist/*/_delta_log")
        return {str(log.parent): DeltaTable(str(log.parent)).version() for log in logs}


@pytest.fixture
def platform(postgres: str, database: str, tmp_path: Path) -> Platform:
    """A platform with a small shop in its source."""
    server, _, name = database.rpartition("/")
    with closing(psycopg2.connect(postgres)) as connection:
        connection.autocommit = True
        with connection.cursor() as cursor:
            cursor.execute(f"CREATE DATABASE {name}_audit")
    audit = f"{server}/{name}_audit"
    migrate(audit, ROOT / "warehouse" / "migrations")
    write_sample(tmp_path / "raw", scale=0.01)
    setup_source(database, tmp_path / "raw")
    return Platform(database, audit, tmp_path / "state")


@pytest.fixture
def agree(oracle: ModuleType, agreement: ModuleType) -> Callable[[Platform, duckdb.DuckDBPyConnection], None]:
    """Compare every Gold table with the oracle's."""

    def compare(platform: Platform, expected: duckdb.DuckDBPyConnection) -> None:
        agreement.compare(oracle, expected, lambda name: platform.table("gold", name))

    return compare


def test_a_load_a_quiet_run_and_a_day_agree_with_the_oracle_though_they_are_killed_anywhere(
    platform: Platform, oracle: ModuleType, agree: Callable[[Platform, duckdb.DuckDBPyConnection], None]
) -> None:
    expected = oracle.connect()
    oracle.take(expected, platform.source)
    kill_in(platform, "bronze", "silver", "gold")
    first = platform.run()
    agree(platform, expected)
    before = platform.versions()
    quiet = platform.run()
    assert platform.versions() == before
    assert {table["status"] for table in quiet["tables"]} == {"SKIPPED"}
    assert quiet["publication"]["number"] == first["publication"]["number"]
    simulate(platform.source, changes=0.05, seed=7)
    oracle.take(expected, platform.source)
    kill_in(platform, "silver", "gold")
    day = platform.run()
    assert day["publication"]["number"] == first["publication"]["number"] + 1
    agree(platform, expected)
    columns = "input_rows, inserted, updated, unchanged, stale, duplicate, quarantined, deleted"
    for rows, *ends in platform.ask(f"SELECT {columns} FROM audit.run_logs WHERE status = 'SUCCESS'"):
        assert rows == sum(ends)
    assert platform.ask("SELECT count(*) FROM audit.run_logs WHERE status = 'RUNNING'") == [(0,)]
    assert platform.ask("SELECT count(*) FROM audit.runs WHERE status = 'RUNNING'") == [(0,)]


def kill_in(platform: Platform, *layers: str) -> None:
    """Kill runs as soon as one table of a layer has a new version: each leaves another kind of half-done run behind."""
    for layer in layers:
        name = "fact_orders" if layer == "gold" else "orders"
        log = platform.state / "lake" / layer / "olist" / name / "_delta_log"
        before = set(log.glob("*.json"))
        process = platform.command()
        deadline = time.monotonic() + 240
        while set(log.glob("*.json")) == before and process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.02)
        assert process.poll() is None, process.communicate()[1][-3000:]
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        assert set(log.glob("*.json")) != before
