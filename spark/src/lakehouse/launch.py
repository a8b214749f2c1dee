"""How a Spark driver is started, whoever starts it: the same settings for spark-submit, the CLI and the tests."""

from __future__ import annotations

from lakehouse.settings import Settings
from lakehouse.specs.pipeline import Spark

# C1 alone keeps 48 MB of code by default; a load compiles more, and a full cache ends all compiling.
JVM_SHORT = "-XX:+UseSerialGC -XX:TieredStopAtLevel=1 -XX:ReservedCodeCacheSize=256m -Xss4m"
JVM_LONG = "-Xss4m"
LOG_STORE = "io.lakehouse.ConditionalCreateLogStore"


def spark_conf(settings: Settings, spark: Spark) -> dict[str, str]:
    """Return the Spark properties of a driver; none of them is a secret, for a process list shows them."""
    jars = f"{settings.path(settings.jars)}/*"
    java = JVM_SHORT if settings.spark_jit == "short" else JVM_LONG
    return {
        "spark.master": settings.spark_master,
        "spark.driver.memory": settings.spark_driver_memory,
        "spark.driver.extraClassPath": jars,
        "spark.executor.extraClassPath": jars,
        "spark.driver.extraJavaOptions": f"{java} -Duser.timezone=UTC",
        "spark.executor.extraJavaOptions": "-Duser.timezone=UTC",
        "spark.driver.host": "127.0.0.1",
        "spark.driver.bindAddress": "127.0.0.1",
        "spark.ui.enabled": str(settings.spark_ui).lower(),
        "spark.ui.showConsoleProgress": "false",
        "spark.log.level": "ERROR",
        "spark.sql.session.timeZone": "UTC",
        "spark.sql.ansi.enabled": "true",
        "spark.sql.shuffle.partitions": str(spark.shuffle_partitions),
        "spark.sql.extensions": "io.delta.sql.DeltaSparkSessionExtension",
        "spark.sql.catalog.spark_catalog": "org.apache.spark.sql.delta.catalog.DeltaCatalog",
        "spark.databricks.delta.snapshotPartitions": "1",
        "spark.sql.execution.arrow.pyspark.enabled": "true",
        # A local relation is computed row by row while planning: right for hundreds of rows, slow for many.
        "spark.sql.execution.arrow.localRelationThreshold": "256k",
        "spark.sql.execution.arrow.maxRecordsPerBatch": "100000",
        "spark.databricks.delta.properties.defaults.enableDeletionVectors": "true",
        "spark.delta.logStore.s3a.impl": LOG_STORE,
        "spark.sql.parquet.compression.codec": "zstd",
        "spark.sql.sources.parallelPartitionDiscovery.parallelism": "2",
        **(_s3(settings) if settings.lake.startswith("s3a://") else {}),
    }


def _s3(settings: Settings) -> dict[str, str]:
    return {
        "spark.hadoop.fs.s3a.endpoint": settings.s3_endpoint,
        "spark.hadoop.fs.s3a.endpoint.region": settings.s3_region,
        "spark.hadoop.fs.s3a.path.style.access": "true",
        "spark.hadoop.fs.s3a.connection.ssl.enabled": str(settings.s3_endpoint.startswith("https")).lower(),
        "spark.hadoop.fs.s3a.bucket.probe": "0",
        # Hadoop 3.5's own choice, "analytics", can wait for a block for ever (analytics-accelerator-s3 #369).
        "spark.hadoop.fs.s3a.input.stream.type": "classic",
        "spark.hadoop.fs.s3a.attempts.maximum": "5",
        "spark.hadoop.fs.s3a.connection.establish.timeout": "5s",
        "spark.hadoop.fs.s3a.connection.timeout": "30s",
        "spark.hadoop.fs.s3a.retry.limit": "4",
    }
