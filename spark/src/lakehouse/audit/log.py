"""The run log: what ran, what became of every table, why something failed."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from lakehouse.audit import alert_rows, history, overview, run_rows, stream_rows, table_rows, values
from lakehouse.audit.database import Cursor, Database
from lakehouse.audit.link import page_of_this
from lakehouse.audit.repair import Abandoned, repair
from lakehouse.audit.result import CheckResult, TableResult
from lakehouse.audit.run_rows import AtWork, RunStatus
from lakehouse.errors import LakehouseError
from lakehouse.log import get_logger, redact
from lakehouse.publish.manifest import Manifest

log = get_logger(__name__)

_PUBLICATION = """
INSERT INTO audit.publications (pipeline, number, run_id, published_at, tables, rolled_back_to)
VALUES (%s, %s, %s, %s, %s, %s)
ON CONFLICT (pipeline, number) DO UPDATE SET run_id = excluded.run_id, published_at = excluded.published_at,
    tables = excluded.tables, rolled_back_to = excluded.rolled_back_to
"""


class Audit(Database):
    """Writes and reads the run log. Threads may share one; every call is one transaction and can be repeated.

    Texts are stored without `secrets` and the URL's own password, cut to 4,000 characters.
    Each call raises AuditUnavailable when the database is away after one new connection was tried.
    """

    def start_run(
        self,
        run_id: str,
        pipeline: str,
        attempt: int,
        trigger: str,
        params: Mapping[str, Any] | None = None,
        link: str | None = None,
    ) -> None:
        """Write that an attempt of a run began; a later process of the same attempt carries the row on.

        `link` is the path of the run at its scheduler; None: of the DAG run that this process works for, if any.
        """
        told, page = values.document(params or {}, self.secrets), page_of_this() if link is None else link
        self.transact(lambda cursor: run_rows.start(cursor, run_id, pipeline, attempt, trigger, told, page))

    def finish_run(self, run_id: str, attempt: int, status: RunStatus, error: str | None = None) -> None:
        """Write how an attempt ended; a failure's alert is stored with it. Raises StateError when it never began."""
        self.transact(lambda cursor: run_rows.finish(cursor, run_id, attempt, status, error, self.secrets))

    def finish_failed(self, run_id: str, attempt: int, error: BaseException) -> None:
        """Write that an attempt failed; an audit that cannot take it is logged, and hides nothing of what failed."""
        self._write_failure(run_id, error, lambda told: self.finish_run(run_id, attempt, "FAILED", told))

    def _write_failure(self, run_id: str, error: BaseException, write: Callable[[str], None]) -> None:
        try:
            write(str(error) if isinstance(error, LakehouseError) else repr(error))
        except LakehouseError as why:
            log.warning("the failure is not in the audit", run=run_id, error=redact(str(why), self.secrets))

    def follow_run(self, run_id: str, pipeline: str, attempt: int) -> None:
        """Store the alert of a run at work: its message is there from the start, whatever the run's end."""
        self.transact(lambda cursor: run_rows.follow(cursor, run_id, pipeline, attempt))

    def tell_progress(self, run_id: str, pipeline: str, attempt: int) -> None:
        """Have the message of a run at work edited, where it has one."""
        self.transact(lambda cursor: run_rows.tell_progress(cursor, run_id, pipeline, attempt))

    def begin_part(
        self,
        run_id: str,
        pipeline: str,
        trigger: str,
        params: Mapping[str, Any] | None = None,
        link: str | None = None,
    ) -> int:
        """Write that a part of a run began in this process, and return the attempt that it belongs to.

        That is the attempt left open by `end_part`, or else a new one: what still says RUNNING of the run is ended as
        replaced. So parts that follow each other are one attempt, and a part that is tried again begins the next.
        `link` is as for `start_run`.
        """
        told, page = values.document(params or {}, self.secrets), page_of_this() if link is None else link
        return self.transact(
            lambda cursor: run_rows.begin_part(cursor, run_id, pipeline, trigger, told, self.secrets, page)
        )

    def at_work(self, pipeline: str, run_id: str) -> list[AtWork]:
        """Return the other runs of a pipeline that say RUNNING, the longest first."""
        return self.transact(lambda cursor: run_rows.at_work(cursor, pipeline, run_id))

    def is_known(self, run_id: str) -> bool:
        """Tell whether a run has begun, ever."""
        return self.transact(lambda cursor: run_rows.is_known(cursor, run_id))

    def end_part(self, run_id: str, attempt: int) -> None:
        """Write that a part is done and that the run goes on with its next one: the run stays RUNNING."""
        self.transact(lambda cursor: run_rows.end_part(cursor, run_id, attempt))

    def fail_run(self, run_id: str, error: str) -> bool:
        """Set FAILED what says RUNNING of a run whose scheduler gave it up; tell whether there was anything."""
        return self.transact(lambda cursor: run_rows.fail(cursor, run_id, error, self.secrets))

    def fail_waiting(self, run_id: str, error: str) -> bool:
        """Set FAILED what waits for a run's next part, because the run was ended; tell whether there was anything."""
        return self.transact(lambda cursor: run_rows.fail_waiting(cursor, run_id, error, self.secrets))

    def table_started(self, run_id: str, attempt: int, layer: str, table: str) -> None:
        """Write that work on a table began; earlier attempts still RUNNING on it are ended as replaced."""
        row = table_rows.key(run_id, attempt, layer, table)
        self.transact(lambda cursor: table_rows.start(cursor, row))

    def table_finished(self, run_id: str, attempt: int, result: TableResult) -> None:
        """Write a table's result with its rules and drift; raises LedgerUnbalanced and writes nothing if it must."""
        result.ledger.check(result.table)
        row = table_rows.key(run_id, attempt, result.layer, result.table)
        self.transact(lambda cursor: table_rows.finish(cursor, row, result, self.secrets))

    def table_failed(self, run_id: str, attempt: int, layer: str, table: str, error: str) -> None:
        """Write that work on a table failed, and why."""
        row = table_rows.key(run_id, attempt, layer, table)
        self.transact(lambda cursor: table_rows.fail(cursor, row, error, self.secrets))

    def checks_found(self, run_id: str, checks: Sequence[CheckResult]) -> None:
        """Write what checks of whole tables found in a run, beside its newest row of each table."""
        self.transact(lambda cursor: table_rows.add_checks(cursor, run_id, checks))

    def publication(self, manifest: Manifest) -> None:
        """Copy a manifest; the copy follows the manifest when its number is known already."""
        told = values.document(manifest.tables, self.secrets)
        row = [manifest.pipeline, manifest.number, manifest.run_id, manifest.published_at, told]
        self.transact(lambda cursor: cursor.execute(_PUBLICATION, [*row, manifest.rolled_back_to]))

    def is_recorded(self, table: str, version: int, run_id: str) -> bool:
        """Tell whether a SUCCESS row of a run says that it wrote this version of a table.

        Another run may have written the same number of an earlier lake.
        """
        return self.transact(lambda cursor: table_rows.is_recorded(cursor, table, version, run_id))

    def record_found(
        self,
        run_id: str,
        attempt: int,
        result: TableResult,
        committed_at: datetime,
        found_by: str,
        batch: stream_rows.StreamBatch | None = None,
    ) -> None:
        """Write the row that a crash kept from being written, and a stream's micro-batch, from what the commit says.

        `committed_at` is the commit's own time. A run that the database has lost is added with status UNKNOWN.
        """
        result.ledger.check(result.table)
        told = replace(result, note=f"{result.note} (found by run {found_by})".strip())
        row = table_rows.key(run_id, attempt, result.layer, result.table)
        pipeline = result.table.partition(".")[0]

        def work(cursor: Cursor) -> None:
            table_rows.add_lost_run(cursor, run_id, attempt, pipeline, committed_at)
            table_rows.finish(cursor, row, told, self.secrets, committed_at)
            if batch is not None:
                stream_rows.write_batch(cursor, run_id, attempt, batch)

        self.transact(work)

    def repair(self, run_id: str, attempt: int, held: Collection[str] = ()) -> list[Abandoned]:
        """Set FAILED what says RUNNING and is not, on behalf of a run that holds the leases `held`; return it."""
        return self.transact(lambda cursor: repair(cursor, run_id, attempt, held, self.secrets))

    def runs(self, limit: int = 20, pipeline: str | None = None) -> list[history.Row]:
        """Return the newest attempts of runs, newest first, with the sums of their tables."""
        return self.transact(lambda cursor: history.runs(cursor, limit, pipeline))

    def usual_seconds(self, pipeline: str) -> dict[str, float]:
        """Return what each table of a pipeline usually takes."""
        return self.transact(lambda cursor: history.usual_seconds(cursor, pipeline))

    def overview(self, limit: int = 50, pipeline: str | None = None) -> list[history.Row]:
        """Return the newest runs, one row a run whatever its attempts, newest first; see `overview.overview`."""
        return self.transact(lambda cursor: overview.overview(cursor, limit, pipeline))

    def run_of(self, dag_run_id: str, dag_id: str | None = None) -> str | None:
        """Return the id of the run that Airflow started as this DAG run, or None."""
        return self.transact(lambda cursor: overview.run_of(cursor, dag_run_id, dag_id))

    def show(self, run_id: str) -> dict[str, list[history.Row]]:
        """Return all that is known of a run by part, see `history.show`; ParameterError if unknown."""
        return self.transact(lambda cursor: history.show(cursor, run_id))

    def alerts(self, limit: int = 20, *, pending: bool = False) -> list[history.Row]:
        """Return the newest alerts, newest first; with `pending` only those that are still to be sent."""
        return self.transact(lambda cursor: alert_rows.alerts(cursor, limit, pending=pending))

    def sends_began(self, run_id: str, topic: str, topic_id: str, firsts: Mapping[int, int]) -> list[stream_rows.Sends]:
        """Write that a run begins to send, and return what its earlier attempts sent; see `stream_rows.sends_began`."""
        return self.transact(lambda cursor: stream_rows.sends_began(cursor, run_id, topic, topic_id, firsts))

    def sends_moved(self, run_id: str, topic: str, sends: Sequence[stream_rows.Sends]) -> None:
        """Write how far a run that still sends has come; who waits for its end sees that it lives."""
        self.transact(lambda cursor: stream_rows.sends_moved(cursor, run_id, topic, sends))

    def sends_finished(
        self, run_id: str, topic: str, sends: Sequence[stream_rows.Sends], error: str | None = None
    ) -> None:
        """Write all that a run has sent, and why it ended early if it did; StateError where it never began."""
        self.transact(lambda cursor: stream_rows.sends_finished(cursor, run_id, topic, sends, error, self.secrets))

    def sends_failed(self, run_id: str, topic: str, sends: Sequence[stream_rows.Sends], error: BaseException) -> None:
        """Write all that a failed run has sent; an audit that cannot take it is logged, and hides nothing."""
        self._write_failure(run_id, error, lambda told: self.sends_finished(run_id, topic, sends, told))

    def sends_of(self, run_id: str) -> list[history.Row]:
        """Return a run's rows of audit.stream_sends by topic and partition; none where it sends nothing."""
        return self.transact(lambda cursor: stream_rows.sends_of(cursor, run_id))

    def write_batch(self, run_id: str, attempt: int, batch: stream_rows.StreamBatch) -> None:
        """Write what became of a micro-batch; raises LedgerUnbalanced and writes nothing if it must."""
        self.transact(lambda cursor: stream_rows.write_batch(cursor, run_id, attempt, batch))

    def batches_since(self, table: str, moment: datetime) -> list[history.Row]:
        """Return the micro-batches of a table that ended after a moment, of whatever run."""
        return self.transact(lambda cursor: stream_rows.batches_since(cursor, table, moment))

    def newest_batches(self, table: str, limit: int) -> list[history.Row]:
        """Return the newest micro-batches of a table, of whatever run, newest first, each with its seconds."""
        return self.transact(lambda cursor: stream_rows.newest_batches(cursor, table, limit))

    def batches_of(self, run_id: str) -> list[history.Row]:
        """Return a run's rows of audit.stream_batches in their order."""
        return self.transact(lambda cursor: stream_rows.batches_of(cursor, run_id))
