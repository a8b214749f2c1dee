"""`lakehouse demo` in a fresh state folder: once, again, and what keeps it from running."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psutil
import pyarrow as pa
import pytest
from deltalake import DeltaTable

from lakehouse.source.sample import write_sample
from lakehouse.stack.environment import init
from lakehouse.stack.ports import free_port, is_free

pytestmark = [pytest.mark.stack, pytest.mark.spark, pytest.mark.slow]
ROOT = Path(__file__).parents[2]
SCALE = 0.02


class Home:
    """A person's folder with a .env, where the demo is run from; a stack that did not end well left its lake's name."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.port = folder, free_port()
        init(folder / ".env")
        self.state = folder / "run"
        self.raw = folder / "raw"
        self.state.mkdir()
        nowhere = {"lake": "s3a://{layer}", "s3_endpoint": "http://127.0.0.1:9"}
        (self.state / "running-lake.json").write_text(json.dumps(nowhere))

    def demo(self, *words: str, **variables: str) -> subprocess.CompletedProcess[str]:
        settings = {"HOME": ROOT, "STATE": self.state, "RAW": self.raw, "POSTGRES_PORT": self.port}
        environment = {name: value for name, value in os.environ.items() if not name.startswith("LAKEHOUSE_")}
        environment |= {f"LAKEHOUSE_{name}": str(value) for name, value in settings.items()}
        return subprocess.run(
            [str(Path(sys.executable).with_name("lakehouse")), "demo", *words],
            cwd=self.folder,
            env=environment | {"PYTHONSAFEPATH": "1"} | variables,
            capture_output=True,
            text=True,
            timeout=900,
            check=False,
        )

    def versions(self) -> dict[str, int]:
        logs = sorted((self.state / "lake").glob("*/olist/*/_delta_log"))
        return {str(log.parent.relative_to(self.state / "lake")): DeltaTable(log.parent).version() for log in logs}

    def processes(self) -> list[str]:
        found = []
        for process in psutil.process_iter():
            try:
                line = " ".join(process.cmdline())
            except psutil.Error:
                continue
            if str(self.folder) in line:
                found.append(line)
        return found


@pytest.fixture(scope="module")
def home() -> Iterator[Home]:
    folder = Path(tempfile.mkdtemp(prefix="lakehouse-demo-"))
    home = Home(folder)
    write_sample(home.raw, scale=SCALE)
    yield home
    shutil.rmtree(folder)


@pytest.fixture(scope="module")
def first(home: Home) -> str:
    """What the first demo prints at its end."""
    done = home.demo()
    assert done.returncode == 0, done.stderr
    assert "olist.silver.orders" in done.stderr, "progress, table by table"
    return done.stdout


def test_the_demo_fills_every_table_and_says_where_they_are(home, first):
    versions = home.versions()
    assert len([name for name in versions if name.startswith("gold/")]) == 14
    for name, version in versions.items():
        layer, _, table = name.split("/")
        if layer == "gold":
            assert f"olist.gold.{table}" in first
            assert version >= 0
    assert f"{home.state}/lake/" in first
    assert "Published as 1" in first
    assert len(first.partition("Next:")[2].strip().splitlines()) == 3


def test_rows_on_the_screen_are_those_in_the_lake(home, first):
    orders = pa.table(DeltaTable(home.state / "lake" / "bronze" / "olist" / "orders").scan()).num_rows
    (line,) = [line for line in first.splitlines() if line.startswith("olist.bronze.orders")]
    assert line.split()[1:4] == [f"{orders:,}", f"{orders:,}", "0"]


def test_it_leaves_no_process_and_its_port_free(home, first):
    assert home.processes() == []
    assert is_free(home.port)


def test_a_second_demo_makes_no_row_and_no_version_and_says_so(home, first):
    before = home.versions()
    done = home.demo()
    assert done.returncode == 0, done.stderr
    assert home.versions() == before
    assert "0 new rows, 0 new versions" in done.stdout
    assert "publication 1 stands" in done.stdout
    assert "unchanged since its setup" in done.stderr
    assert home.processes() == []


def test_without_java_it_says_so_in_one_line_and_starts_nothing(home, first):
    done = home.demo(JAVA_HOME="/nowhere")
    assert done.returncode == 2
    assert "no Java that Spark runs on: none at /nowhere/bin/java." in done.stderr
    assert "apt-get install openjdk-17-jdk-headless" in done.stderr
    assert "Postgres" not in done.stderr


def test_a_demo_beside_another_is_refused(home, first):
    import fcntl

    with (home.state / "demo.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        done = home.demo()
    assert done.returncode == 1
    assert "another demo runs" in done.stderr


def test_a_failed_task_is_one_clear_line_and_everything_is_stopped(home, first):
    """Last: it spoils the files."""
    orders = home.raw / "olist_orders_dataset.csv"
    orders.write_text(orders.read_text().replace("order_purchase_timestamp", "bought", 1))
    before = home.versions()
    done = home.demo()
    assert done.returncode == 1
    assert "setup_source_db failed: setup_source" in done.stderr
    assert "order_purchase_timestamp" in done.stderr
    assert "Traceback" not in done.stderr
    assert home.versions() == before
    assert home.processes() == []
