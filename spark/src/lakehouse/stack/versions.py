"""Versions that must match: Python packages with each other and with the jars."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path

from lakehouse.stack.finding import Finding, judge

REBUILD = "remove .venv and run `make install`."
GATHER = "`make install` gathers the jars that spark/pom.xml names."


def examine_versions(jars: Path) -> Iterator[Finding]:
    """What must be of one version: the two Spark wheels, and the jars with the Python packages beside them."""
    spark, client = _installed("pyspark"), _installed("pyspark-client")
    yield judge("pyspark = pyspark-client", spark == client != "none", f"{spark} = {client}", REBUILD)
    for name, jar, beside in (
        ("Kafka connector = pyspark", _jar(jars, "spark-sql-kafka-0-10_2.13"), spark),
        ("Delta jar = delta-spark", _jar(jars, "delta-spark_*"), _installed("delta-spark")),
        ("hadoop-aws = Spark's Hadoop", _jar(jars, "hadoop-aws"), _jar(_bundled(), "hadoop-client-api")),
    ):
        yield judge(name, jar == beside != "none", f"{jar} = {beside}", GATHER)
    store = _jar(jars, "lakehouse-log-store")
    yield judge("Log store", store != "none", store, GATHER)


def _installed(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "none"


def _jar(folder: Path, name: str) -> str:
    """Version of the jar of that name, `none` where it is missing; of two, both are named."""
    found = sorted(path.stem.rpartition("-")[2] for path in folder.glob(f"{name}-[0-9]*.jar"))
    return " and ".join(found) or "none"


def _bundled() -> Path:
    """Folder of the jars that pyspark brings; looking for it does not import pyspark."""
    found = find_spec("pyspark")
    return Path(found.origin).parent / "jars" if found and found.origin else Path()
