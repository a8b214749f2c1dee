"""Where tables lie and what their newest commits say of their own progress, read with deltalake."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from deltalake import DeltaTable
from deltalake.exceptions import DeltaError, TableNotFoundError

from lakehouse.errors import LakehouseError, StateError, StoreUnavailable
from lakehouse.settings import Settings
from lakehouse.specs import Layer, Table

HISTORY = "_history"
EVENTS = "_events"
_LONG_AGO = datetime(1970, 1, 1, tzinfo=UTC)
# How deltalake words what the object store, not the log, has said.
_STORE_SIGNS = ("Generic S3 error", "error sending request", "operation timed out", "Error after")
# … and that one object is not there, though the store answers.
_GONE = r"Object at location .* not found"


@dataclass(frozen=True)
class TableState:
    """A table's newest version, and the number that its commits carry for one application id (None: never set).

    `restored`: the newest commit put an older version back. `made_at` and `committed_at`: when the table was made, and
    its newest version.
    """

    version: int
    number: int | None
    restored: bool = False
    made_at: datetime = _LONG_AGO
    committed_at: datetime = _LONG_AGO


class Lake:
    """The tables of one pipeline in the lake that the settings name."""

    def __init__(self, settings: Settings, pipeline: str) -> None:
        self.settings, self.pipeline = settings, pipeline

    def uri(self, layer: str, name: str) -> str:
        """Return where a table of a layer (or of `quarantine`) lies."""
        return self.settings.table_uri(layer, self.pipeline, name)

    def of(self, table: Table) -> str:
        """Return where a table lies."""
        return self.uri(table.layer, table.name)

    def bronze(self, table: Table) -> str:
        """Return where the Bronze table of a Silver table lies."""
        return self.uri(Layer.BRONZE, table.name)

    def events(self, table: Table) -> str:
        """Return where the events of a Silver table's stream are kept as they came."""
        return self.uri(Layer.BRONZE, table.name + EVENTS)

    def history(self, table: Table) -> str:
        """Return where every valid change of a Silver table is kept."""
        return self.uri(Layer.SILVER, table.name + HISTORY)

    def quarantine(self, table: Table) -> str:
        """Return where a Silver table's rejected rows are kept."""
        return self.uri("quarantine", table.name)

    def open(self, uri: str) -> DeltaTable | None:
        """Return a table at its newest version, or None where there is none.

        Raises StateError when something lies there that cannot be read: an unreadable table is never taken for a new
        one. Raises StoreUnavailable when the store does not answer.
        """
        try:
            return DeltaTable(uri, storage_options=self._storage_options(uri))
        except TableNotFoundError:
            self._refuse_remains(uri)
            return None
        except (DeltaError, OSError) as error:
            raise _told(uri, error) from error

    def state(self, uri: str, application: str) -> TableState | None:
        """Return version and progress of a table, or None where there is none yet."""
        table = self.open(uri)
        if table is None:
            return None
        with reading(uri):
            newest = next(iter(table.history(1)), {})
        restored = newest.get("operation") == "RESTORE"
        made, committed = _moment(table.metadata().created_time), _moment(newest.get("timestamp"))
        return TableState(table.version(), table.transaction_version(application), restored, made, committed)

    def made_at(self, uri: str, version: int) -> datetime | None:
        """Return when the table was made that has this version now, None where there is no table.

        Raises StateError when it has no such version, or none that can be read.
        """
        table = self.open(uri)
        if table is None:
            return None
        with reading(uri):
            table.load_as_version(version)
            return _moment(table.metadata().created_time)

    def next_number(self, uri: str, application: str) -> int:
        """Return the number after the last one of an application id on a table; 0 where it has none."""
        table = self.open(uri)
        last = table.transaction_version(application) if table is not None else None
        return 0 if last is None else last + 1

    def appended(self, uri: str, application: str, number: int, note: str) -> tuple[int, int]:
        """Return version and rows of the append that a table's newest commit was.

        Raises StateError when the newest commit is not the one with this number and this note: Delta left it out, for
        another attempt has made the number, or somebody else has written since.
        """
        table = self.open(uri)
        newest: dict[str, Any] = {}
        if table is not None and table.transaction_version(application) == number:
            with reading(uri):
                newest = table.history(1)[0]
        if table is None or newest.get("userMetadata") != note:
            raise StateError(
                f"the commit {application} {number} was left out or overtaken by another writer.",
                where=uri,
                remedy="run again; nothing of this run is published.",
            )
        return table.version(), int(newest["operationMetrics"]["numOutputRows"])

    def _refuse_remains(self, uri: str) -> None:
        """A folder with a log that holds no version is damage, not a new table."""
        if "://" in uri:
            return
        log = Path(uri) / "_delta_log"
        if any(log.glob("*.json")) or any(log.glob("*.parquet")):
            raise StateError(
                "there is a _delta_log, but no version of the table can be read from it.",
                where=uri,
                remedy="restore the log, or move the folder away to have the table made anew.",
            )

    def _storage_options(self, uri: str) -> dict[str, str] | None:
        if "://" not in uri:
            return None
        settings = self.settings
        return {
            "AWS_ENDPOINT_URL": settings.s3_endpoint,
            "AWS_REGION": settings.s3_region,
            "AWS_ACCESS_KEY_ID": settings.s3_access_key,
            "AWS_SECRET_ACCESS_KEY": settings.s3_secret_key.get_secret_value(),
            "AWS_ALLOW_HTTP": str(settings.s3_endpoint.startswith("http://")).lower(),
            "conditional_put": "etag",
            "timeout": "30s",
            "max_retries": "3",
            "retry_timeout": "30s",
        }


def _moment(milliseconds: int | None) -> datetime:
    return datetime.fromtimestamp(milliseconds / 1000, UTC) if milliseconds else _LONG_AGO


def put_back(uri: str) -> StateError:
    """Return the refusal of a table whose newest commit put an older version back."""
    return StateError(
        "the table was put back to an older version, and its rows are not those that its commits speak of.",
        where=uri,
        remedy="run with full_refresh for this table; to show readers an older state, `lakehouse rollback`.",
    )


@contextmanager
def reading(uri: str) -> Iterator[None]:
    """Raise what deltalake, DuckDB or Arrow raises while a table is read as StoreUnavailable or StateError."""
    import duckdb  # not before: both bring numpy, and a DAG file is parsed without
    import pyarrow as pa

    try:
        yield
    except (DeltaError, duckdb.Error, pa.ArrowException, OSError) as error:
        raise _told(uri, error) from error


def _told(uri: str, error: Exception) -> LakehouseError:
    if re.search(_GONE, str(error)):
        return StateError(
            f"a file that the table's log names is gone: {_first_line(error)}.",
            where=uri,
            remedy="restore it; where a data file is lost for good, run with full_refresh for this table.",
        )
    if isinstance(error, OSError) or any(sign in str(error) for sign in _STORE_SIGNS):
        return _unavailable(uri, error)
    of_log = isinstance(error, DeltaError)
    return StateError(
        f"{'the log' if of_log else 'a file'} of the table cannot be read: {_first_line(error)}.",
        where=uri,
        remedy=f"restore the missing or damaged file{' under _delta_log' if of_log else ''}; nothing was started over.",
    )


def _unavailable(uri: str, error: BaseException) -> StoreUnavailable:
    code = re.search(r"<Code>(.*?)</Code>|status(?: code)?:? (\d{3})", str(error))
    said = f"{code[1] or code[2]}: " if code else ""
    return StoreUnavailable(
        f"the store does not answer: {said}{_first_line(error)}.",
        where=uri,
        remedy="check LAKEHOUSE_S3_ENDPOINT and the jobs' key, or the disk; the run can be repeated.",
    )


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:300].rstrip(".")
