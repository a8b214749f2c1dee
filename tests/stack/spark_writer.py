"""A Spark driver that appends on command: one JSON object a line in, one out. Started by test_log_store.py.

in:  {"table": "s3a://bronze/t", "id": 7, "writer": "spark-1"}
out: {"ok": true} once Delta has acknowledged the commit, or {"ok": false, "error": "…"}
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from py4j.protocol import Py4JJavaError
from pyspark.errors import PySparkException
from pyspark.sql import SparkSession

from lakehouse.launch import spark_conf
from lakehouse.settings import load_settings
from lakehouse.specs.pipeline import Spark

# The same S3A file system under a second name, with the log store that Delta brings.
STOCK = {
    "spark.hadoop.fs.s3.impl": "org.apache.hadoop.fs.s3a.S3AFileSystem",
    "spark.delta.logStore.s3.impl": "io.delta.storage.S3SingleDriverLogStore",
}


def main() -> None:
    folder = {"spark.sql.warehouse.dir": str(Path.cwd() / "warehouse")}
    conf = spark_conf(load_settings(), Spark()) | STOCK | folder
    spark = SparkSession.builder.config(map=conf).getOrCreate()
    answer({"ok": True})
    for line in sys.stdin:
        told = json.loads(line)
        try:
            spark.sql(f"INSERT INTO delta.`{told['table']}` VALUES ({told['id']}, '{told['writer']}')")
        except (PySparkException, Py4JJavaError) as error:
            answer({"ok": False, "error": str(error)[:500]})
        else:
            answer({"ok": True})
    spark.stop()


def answer(value: dict[str, object]) -> None:
    sys.stdout.write(json.dumps(value) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
