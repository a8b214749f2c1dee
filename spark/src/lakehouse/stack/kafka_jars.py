"""The jars of Kafka: fetched once by Maven into a cache outside the checkout, and never near Spark's."""

from __future__ import annotations

import tempfile
from pathlib import Path

from lakehouse.stack.binaries import MAVEN, place_whole, pom_property
from lakehouse.stack.tools import need_tool, run_tool


def kafka_home(cache: Path, pom: Path) -> Path:
    """Return the folder of the broker's jars once they have been fetched; `pom` is kafka/pom.xml."""
    return cache / "kafka" / pom_property(pom, "kafka.version")


def fetch_kafka(cache: Path, pom: Path) -> Path:
    """Return the same folder, filled: the first call downloads 43 MB."""
    home = kafka_home(cache, pom)
    if not home.exists():
        home.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=home.parent) as work:
            _download(pom, Path(work) / "jars")
            place_whole(Path(work) / "jars", home)
    return home


def _download(pom: Path, folder: Path) -> None:
    command = [need_tool("mvn", MAVEN), "-B", "-q", "-f", str(pom), "dependency:copy-dependencies@broker"]
    run_tool([*command, f"-Dbroker.to={folder}"], what="Fetching Kafka by Maven")
