"""The JVM's classes, archived once: a driver that maps them is ready in half the time (JDK's application CDS).

The archive is made from what a small job of the platform's own kind has loaded. The JVM checks it against the jars
when it starts, and loads classes from those where it does not fit.

Run: python -m lakehouse.engine.archive
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import pyarrow as pa
from delta.tables import DeltaTable
from pyspark import SparkContext
from pyspark.sql import SparkSession

from lakehouse.engine.session import session_of
from lakehouse.launch import archive, spark_conf
from lakehouse.settings import Settings, load_settings
from lakehouse.specs.pipeline import Spark

# Casts, windows, structs and joins: what contracts and Gold tables are made of.
_JUDGED = """
SELECT *, row_number() OVER (PARTITION BY k ORDER BY v DESC) AS rn, try_cast(at AS timestamp) AS ts,
       regexp_replace(k, 'a', 'b') AS kk, sum(v) OVER (PARTITION BY k) AS sv, named_struct('a', k, 'b', v) AS st
FROM given
"""
_CHANGED = """
SELECT given.k, sum(v) AS v, max(at) AS at, collect_list(struct(v)) AS l, 1 AS rn
FROM given JOIN (SELECT DISTINCT k FROM given) AS keys USING (k) GROUP BY given.k
"""


def make_archive(settings: Settings) -> Path:
    """Write the archive beside the jars, whole or not at all, and return its path."""
    target = archive(settings)
    target.unlink(missing_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent) as work:
        made = Path(work) / target.name
        conf = spark_conf(settings, Spark())
        conf["spark.driver.extraJavaOptions"] += f' "-XX:ArchiveClassesAtExit={made}" -Xlog:disable'
        spark = session_of(conf, "lakehouse archive")
        _work(spark, f"{work}/table")
        spark.stop()
        _end_jvm()
        made.replace(target)
    return target


def _work(spark: SparkSession, uri: str) -> None:
    rows = 300
    given = pa.table({"k": ["a", "b", "c"] * 100, "v": list(range(rows)), "at": ["2018-01-01 00:00:00"] * rows})
    spark.createDataFrame(given).createOrReplaceTempView("given")
    write = spark.sql(_JUDGED).write.format("delta").mode("append")
    write.option("delta.enableChangeDataFeed", "true").save(uri)
    merge = DeltaTable.forPath(spark, uri).alias("t").merge(spark.sql(_CHANGED).alias("s"), "t.k = s.k AND t.rn = s.rn")
    merge.whenMatchedUpdate(set={"v": "s.v"}).whenNotMatchedInsert(values={"k": "s.k", "v": "s.v"}).execute()
    spark.read.format("delta").load(uri).filter("k = 'a'").orderBy("v").toArrow()


def _end_jvm() -> None:
    """End the JVM and wait for it: it writes the archive as its last deed."""
    gateway = SparkContext._gateway
    if gateway is not None:
        gateway.shutdown()
        gateway.proc.stdin.close()
        gateway.proc.wait()


if __name__ == "__main__":
    make_archive(load_settings())
