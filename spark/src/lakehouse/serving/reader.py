"""What the pages read, and how much patience they have with it."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

from anyio import CapacityLimiter, to_thread

from lakehouse.audit.history import Row
from lakehouse.audit.log import Audit
from lakehouse.errors import LakehouseError, ParameterError
from lakehouse.log import secrets_of
from lakehouse.publish.manifest import Manifest
from lakehouse.publish.store import current
from lakehouse.serving.patience import within
from lakehouse.serving.queries import Query, read_queries
from lakehouse.settings import Settings

T = TypeVar("T")
LONGEST_LIST = 50
# Reads at a time: the threads are those that Airflow's own requests run in, and an absent database holds one for 5 s.
_READS = 2
_STORE_PATIENCE_SECONDS = 2.0


class Reader:
    """Reads the audit database, the manifests and the queries; settings are read with the first page."""

    def __init__(self, load: Callable[[], Settings]) -> None:
        self._load = load

    @cached_property
    def settings(self) -> Settings:
        """The settings; raises SettingsError, and is tried again, where one is wrong."""
        return self._load()

    @cached_property
    def _audit(self) -> Audit:
        return Audit(self.settings.need_audit_url(), secrets_of(self.settings))

    @cached_property
    def _limits(self) -> tuple[CapacityLimiter, CapacityLimiter]:
        return CapacityLimiter(_READS), CapacityLimiter(1)

    async def runs(self, pipeline: str | None) -> list[Row]:
        """Return the newest runs, newest first; raises AuditUnavailable."""
        return await self._read(lambda: self._audit.overview(LONGEST_LIST, pipeline))

    async def run(self, run_id: str) -> dict[str, list[Row]]:
        """Return all that is known of a run; raises ParameterError for an unknown one, AuditUnavailable."""
        return await self._read(lambda: self._audit.show(run_id))

    async def run_of(self, dag_run_id: str, dag_id: str | None) -> str:
        """Return the id of the run behind a DAG run of Airflow; raises ParameterError when there is none."""
        found = await self._read(lambda: self._audit.run_of(dag_run_id, dag_id))
        if found is None:
            raise ParameterError(
                "this DAG run has touched no table of the lake so far.",
                where=f"DAG run {dag_run_id}",
                remedy="a run of a pipeline is listed as soon as its first task has begun.",
            )
        return found

    async def queries(self) -> list[Query]:
        """Return the audit queries, by name."""
        return await self._read(lambda: read_queries(self.settings.path(Path("warehouse/queries"))))

    async def manifest(self, pipeline: str) -> Manifest | LakehouseError | None:
        """Return what readers of a pipeline follow, None before the first publication, or why that is not known."""
        return await within(
            _STORE_PATIENCE_SECONDS,
            lambda: current(self.settings, pipeline),
            self._limits[1],
            "the lake's ops layer",
        )

    async def _read(self, work: Callable[[], T]) -> T:
        return await to_thread.run_sync(work, limiter=self._limits[0])


def places(settings: Settings) -> dict[str, Any]:
    """Return where people look further: MinIO's console, where the lake is in a MinIO that is known to have one."""
    local = settings.s3_endpoint.partition("://")[2].startswith(("127.0.0.1:", "localhost:"))
    native = f"http://127.0.0.1:{settings.minio_console_port}" if local else ""
    in_store = settings.table_uri("ops").startswith(("s3a://", "s3://"))
    return {"console": (settings.minio_console_url or native) if in_store else ""}
