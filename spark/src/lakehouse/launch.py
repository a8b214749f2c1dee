"""How a Spark driver is started, whoever starts it: the same settings for spark-submit, the CLI and the tests."""

from __future__ import annotations

from pathlib import Path

from lakehouse.settings import Settings
from lakehouse.specs.pipeline import Spark

# C1 alone keeps 48 MB of code by default; a load compiles more, and a full cache ends all compiling.
JVM_SHORT = "-XX:+UseSerialGC -XX:TieredStopAtLevel=1 -XX:ReservedCodeCacheSize=256m -Xss4m"
JVM_LONG = "-Xss4m"
# A driver's calls, and its blocks, each have this many ports to choose from.
PORTS = 16
# What Spark keeps of queries and jobs for its UI: a thousand of each, also where there is none.
_FORGETFUL = {
    "spark.sql.ui.retainedExecutions": "10",
    "spark.ui.retainedJobs": "10",
    "spark.ui.retainedStages": "10",
    "spark.ui.retainedTasks": "100",
}
LOG_STORE = "io.lakehouse.ConditionalCreateLogStore"


def archive(settings: Settings) -> Path:
    """Return the file of the JVM's archived classes (see `lakehouse.engine.archive`); it need not be there."""
    return settings.path(settings.jars) / "spark.jsa"


def spark_conf(settings: Settings, spark: Spark) -> dict[str, str]:
    """Return the Spark properties of a driver; none of them is a secret, for a process list shows them."""
    jars = f"{settings.path(settings.jars)}/*"
    java = JVM_SHORT if settings.spark_jit == "short" else JVM_LONG
    return {
        "spark.master": settings.spark_master,
        "spark.driver.memory": settings.spark_driver_memory,
        "spark.driver.extraClassPath": jars,
        "spark.executor.extraClassPath": jars,
        "spark.driver.extraJavaOptions": f"{java} -Duser.timezone=UTC {_logging(settings)}{_archived(settings)}",
        "spark.executor.extraJavaOptions": f"{java} -Duser.timezone=UTC",
        "spark.driver.host": settings.spark_driver_host,
        "spark.driver.bindAddress": "127.0.0.1" if settings.spark_driver_host == "127.0.0.1" else "0.0.0.0",  # noqa: S104
        "spark.ui.enabled": str(settings.spark_ui).lower(),
        "spark.ui.showConsoleProgress": "false",
        **({} if settings.spark_ui else _FORGETFUL),
        "spark.log.level": "ERROR",
        # It asks the JVM five things more a function call, to name our own lines in errors: half of a plan's time.
        "spark.python.sql.dataFrameDebugging.enabled": "false",
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
        # Maintenance cleans the log: Delta's own clean-up knows nothing of published versions.
        "spark.databricks.delta.properties.defaults.enableExpiredLogCleanup": "false",
        "spark.delta.logStore.s3a.impl": LOG_STORE,
        "spark.sql.parquet.compression.codec": "zstd",
        # Spark's own choice, INT96, has no statistics, and other readers misread it before 1677 and after 2262.
        "spark.sql.parquet.outputTimestampType": "TIMESTAMP_MICROS",
        "spark.sql.sources.parallelPartitionDiscovery.parallelism": "2",
        **(_s3(settings) if settings.lake.startswith("s3a://") else {}),
        **(_cluster(settings) if settings.spark_master.startswith("spark://") else {}),
    }


def _archived(settings: Settings) -> str:
    """Return the option that maps archived classes; the JVM says nothing where they are of other jars."""
    file = archive(settings)
    return f' "-XX:SharedArchiveFile={file}" -Xlog:disable -Xlog:all=error:stderr' if file.exists() else ""


def _cluster(settings: Settings) -> dict[str, str]:
    """Return what a standalone cluster is asked for, so that two drivers beside each other both get their share."""
    first = settings.spark_driver_port
    return {
        "spark.cores.max": str(settings.spark_cores),
        "spark.executor.memory": settings.spark_executor_memory,
        "spark.driver.port": str(first),
        "spark.driver.blockManager.port": str(first + PORTS if first else 0),
        # A driver beside another takes the next ports.
        "spark.port.maxRetries": str(PORTS - 1),
    }


def _logging(settings: Settings) -> str:
    """Return JVM options that send its log to `logs/spark.log` of the state folder."""
    file = settings.path(settings.state) / "logs" / "spark.log"
    configuration = Path(__file__).with_name("log4j2.properties").as_uri()
    return f'-Dlog4j2.configurationFile={configuration} "-Dlakehouse.spark.log={file}"'


def _s3(settings: Settings) -> dict[str, str]:
    return {
        "spark.hadoop.fs.s3a.endpoint": settings.s3_endpoint,
        "spark.hadoop.fs.s3a.endpoint.region": settings.s3_region,
        "spark.hadoop.fs.s3a.path.style.access": "true",
        "spark.hadoop.fs.s3a.connection.ssl.enabled": str(settings.s3_endpoint.startswith("https")).lower(),
        "spark.hadoop.fs.s3a.bucket.probe": "0",
        # Hadoop 3.5's own choice, "analytics", can wait for a block for ever (analytics-accelerator-s3 #369).
        "spark.hadoop.fs.s3a.input.stream.type": "classic",
        # Each multiplies the others: with the defaults a store that answers 503 is waited for beyond any task's time.
        "spark.hadoop.fs.s3a.attempts.maximum": "3",
        "spark.hadoop.fs.s3a.retry.limit": "3",
        "spark.hadoop.fs.s3a.retry.throttle.limit": "3",
        "spark.hadoop.fs.s3a.connection.establish.timeout": "5s",
        "spark.hadoop.fs.s3a.connection.timeout": "20s",
        "spark.hadoop.fs.s3a.connection.request.timeout": "20s",
    }
