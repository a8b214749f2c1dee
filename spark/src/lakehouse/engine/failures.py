"""Turning what Spark, py4j and the JVM raise into our errors; the log has the trace, the person its last cause."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

import duckdb
import pyarrow as pa
import structlog
from py4j.protocol import Py4JError, Py4JNetworkError
from pyspark.errors import PySparkException

from lakehouse.errors import (
    EngineGone,
    GateFailed,
    LakehouseError,
    LeaseLost,
    SourceError,
    SourceUnavailable,
    StateError,
    StoreUnavailable,
)
from lakehouse.source.unchanged import changed_meanwhile

log = structlog.get_logger(__name__)

_STORE = "check LAKEHOUSE_S3_ENDPOINT and the jobs' key, or the disk; the run can be repeated."
_SOURCE = "check LAKEHOUSE_CONNECTIONS__… and that the database is up; the run can be repeated."
# (pattern in the trace, class, what to do next); the first that is found decides.
_KNOWN: tuple[tuple[str, type[LakehouseError], str], ...] = (
    (r"No space left on device|XMinioStorageFull|storage backend has reached", StoreUnavailable, "free space; "
     "the run can be repeated."),
    (r"io\.delta\.exceptions\.Concurrent\w+|DELTA_CONCURRENT\w*", LeaseLost, "another writer committed to this "
     "table meanwhile; run again."),
    (r"GATE [\w.]+: rule", GateFailed, "correct the row or the rule; the table is as it was."),
    (r"PSQLException: .*(does not exist|permission denied|cannot be cast|invalid input|out of range)", SourceError,
     "compare the contract with the source."),
    (r"PSQLException: Bad value for type", SourceError, "it was written during the read; correct it at the source, or "
     "run again."),
    (r"PSQLException", SourceUnavailable, _SOURCE),
    (r"Bronze was changed by hand", StateError, "run with full_refresh to judge all of Bronze again."),
    (r"DELTA_(CHANGE_DATA_FILE_NOT_FOUND|LOG_FILE_NOT_FOUND|VERSION_NOT_FOUND|TRUNCATED|MISSING|FILE_NOT_FOUND)"
     r"|VersionNotFound|FAILED_READ_FILE|SparkFileNotFoundException", StateError,
     "a file that the log names is gone; restore it, or run with full_refresh for this table."),
    (r"S3Exception|SdkClientException|AWS\w+Exception|s3a://|ConnectException|NoRouteToHost", StoreUnavailable, _STORE),
)  # fmt: skip


def last_cause(error: BaseException) -> str:
    """Return the innermost `Caused by` of a Java trace, or the first line of the message."""
    text = str(error)
    causes = [line.strip() for line in re.findall(r"Caused by: (.+)", text)]
    line = causes[-1] if causes else next((line for line in text.splitlines() if line.strip()), type(error).__name__)
    return re.sub(r"^(?:[\w$]+\.)+(\w+): ", r"\1: ", line)[:500]


@contextmanager
def translated(where: str) -> Iterator[None]:
    """Raise what Spark raises inside the block as one of our errors, with the table's name."""
    try:
        yield
    except (Py4JNetworkError, ConnectionError) as error:
        raise EngineGone(
            f"the JVM that does Spark's work is gone: {last_cause(error)}.",
            where=where,
            remedy="see whether the machine has the memory that drivers may take; the run can be repeated.",
        ) from error
    except (Py4JError, PySparkException) as error:
        log.debug("spark failed", table=where, trace=str(error))
        trace = str(error)
        if changed := changed_meanwhile(trace, where):
            raise changed from error
        for pattern, kind, remedy in _KNOWN:
            if re.search(pattern, trace):
                raise kind(f"{last_cause(error)}.", where=where, remedy=remedy) from error
        raise LakehouseError(f"{last_cause(error)}.", where=where, remedy="the log holds the whole trace.") from error
    except (pa.ArrowException, duckdb.Error) as error:
        log.exception("the driver's own work failed", table=where)
        raise LakehouseError(f"{last_cause(error)}.", where=where, remedy="the log holds the whole trace.") from error
