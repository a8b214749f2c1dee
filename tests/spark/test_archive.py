"""The archive of the JVM's classes is what a driver maps; without one, or with another file, it starts all the same."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from lakehouse.launch import archive
from lakehouse.settings import Settings

ROOT = Path(__file__).parents[2]
STARTED = """
from lakehouse.engine.session import start_session
from lakehouse.settings import load_settings
from lakehouse.specs.pipeline import Spark
session = start_session(load_settings(), Spark(), "archive")
print(session.range(3).count())
"""


@pytest.mark.skipif(not Path("/proc/self/maps").exists(), reason="This machine does not tell what a process maps.")
def test_a_driver_maps_the_archive(spark: SparkSession) -> None:
    jvm = spark._jvm.java.lang.ProcessHandle.current().pid()  # type: ignore[union-attr]
    assert str(archive(Settings(_env_file=None, home=ROOT))) in Path(f"/proc/{jvm}/maps").read_text()


def test_a_driver_starts_without_it_and_says_nothing(tmp_path: Path) -> None:
    jars = tmp_path / "jars"
    jars.mkdir()
    for jar in (ROOT / "spark" / "jars").glob("*.jar"):
        (jars / jar.name).symlink_to(jar)
    (jars / "spark.jsa").write_text("of another time")
    environment = {"PATH": "/usr/bin:/bin", "LAKEHOUSE_HOME": str(ROOT), "LAKEHOUSE_JARS": str(jars)}
    ran = subprocess.run(
        [sys.executable, "-c", STARTED], capture_output=True, text=True, timeout=100, cwd=tmp_path, env=environment
    )
    assert (ran.returncode, ran.stdout.strip()) == (0, "3")
    assert "archive" not in ran.stderr
    assert "[error]" not in ran.stderr
