"""The Spark session of a driver."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from py4j.protocol import Py4JError
from pyspark.sql import SparkSession

from lakehouse.errors import SettingsError
from lakehouse.launch import spark_conf
from lakehouse.settings import Settings
from lakehouse.specs.pipeline import Spark


def start_session(settings: Settings, spark: Spark, name: str) -> SparkSession:
    """Start (or, under spark-submit, join) the driver's session; secrets go in after the JVM is up."""
    if not any(settings.path(settings.jars).glob("delta-spark*.jar")):
        raise SettingsError(
            f"no jars in {settings.path(settings.jars)}.", remedy="`make install` gathers them from spark/pom.xml."
        )
    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
    session = session_of(spark_conf(settings, spark), name)
    if settings.lake.startswith("s3a://"):
        hadoop = session.sparkContext._jsc.hadoopConfiguration()
        hadoop.set("fs.s3a.access.key", settings.s3_access_key)
        hadoop.set("fs.s3a.secret.key", settings.s3_secret_key.get_secret_value())
    return session


def session_of(conf: dict[str, str], name: str) -> SparkSession:
    """Start or join a session with these properties."""
    builder = SparkSession.builder.appName(name)
    for key, value in conf.items():
        builder = builder.config(key, value)
    session = builder.getOrCreate()
    session.sparkContext.setLogLevel("ERROR")
    return session


def stop_session(session: SparkSession) -> None:
    """End a session and its JVM; one that is gone already hides no error that is on its way."""
    with suppress(Py4JError, OSError):
        session.stop()


@contextmanager
def same_interrupt() -> Iterator[None]:
    """Keep what Ctrl-C does: in the main thread PySpark would have it break a micro-batch off."""
    before = signal.getsignal(signal.SIGINT)
    try:
        yield
    finally:
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGINT, before)
