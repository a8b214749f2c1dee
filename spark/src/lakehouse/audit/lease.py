"""Leases: what must not run twice at once is held by one session of the audit database, and fenced by a number."""

from __future__ import annotations

import time
from collections.abc import Collection
from contextlib import closing
from typing import Self, TypeGuard

import psycopg2

from lakehouse.audit import lease_rows
from lakehouse.audit.database import Connection, connect, unavailable
from lakehouse.audit.lease_rows import Holder
from lakehouse.errors import AuditUnavailable, LeaseHeld, LeaseLost, LeaseSessionLost
from lakehouse.log import get_logger

log = get_logger(__name__)

# How long an ended session may take to go, and a session that has the lock to say who it is.
TAKEOVER_SECONDS = 10.0
# How long a batch run, or maintenance, waits for a stream to leave a table.
TURN_SECONDS = 30.0
_PAUSE_SECONDS = 0.05
# The server notices a lost host by the same figures as the client (database.py), and never ends an idle holder.
_OPTIONS = (
    "-c timezone=UTC -c statement_timeout=15s -c idle_session_timeout=0 -c tcp_keepalives_idle=10"
    " -c tcp_keepalives_interval=5 -c tcp_keepalives_count=3 -c tcp_user_timeout=30000"
)


def hold(
    url: str, names: Collection[str], run_id: str, attempt: int, wait_seconds: float = 0, turn_seconds: float = 0
) -> Lease:
    """Take every name for an attempt of a run, or none.

    Waits up to `wait_seconds` for another run, then raises LeaseHeld saying who it is; for each name after the first at
    least `turn_seconds`: who has a pipeline finds its tables held by nothing but a stream's micro-batch. An earlier
    attempt of the same run is not waited for: it is fenced and its session ended. Raises AuditUnavailable when the
    database is away.
    """
    lease = Lease(url, run_id, attempt)
    deadline = time.monotonic() + wait_seconds
    try:
        for name in sorted(set(names)):  # one order for everybody: two runs never wait for each other
            lease.take(name, deadline)
            deadline = max(deadline, time.monotonic() + turn_seconds)
    except psycopg2.Error as error:
        lease.release()
        raise unavailable(url, error) from error
    except BaseException:
        lease.release()
        raise
    return lease


class Lease:
    """Names held by this process until `release` or the end of its session, whichever comes first."""

    def __init__(self, url: str, run_id: str, attempt: int) -> None:
        self.run_id, self.attempt = run_id, attempt
        self.fences: dict[str, int] = {}
        self._url = url
        self._connection = self._connect()

    def _connect(self) -> Connection:
        connection = connect(self._url, f"lakehouse lease {self.run_id}"[:63], _OPTIONS)
        connection.autocommit = True
        return connection

    def take(self, name: str, deadline: float) -> None:
        """Take one name, until `deadline` (of the monotonic clock); `hold` is what callers want."""
        patience = max(deadline, time.monotonic() + TAKEOVER_SECONDS)
        with self._connection.cursor() as cursor:
            while not lease_rows.try_lock(cursor, name):
                found = lease_rows.holder(cursor, name)
                if self._replaces(found):
                    lease_rows.fence_off(cursor, name, found)
                elif isinstance(found, Holder):
                    patience = deadline
                if time.monotonic() >= patience:
                    raise _held(name, found)
                time.sleep(_PAUSE_SECONDS)
            self.fences[name] = lease_rows.write(cursor, name, self.run_id, self.attempt)

    def _replaces(self, found: Holder | int | None) -> TypeGuard[Holder]:
        """Tell whether a holder is an earlier attempt of the same run."""
        return isinstance(found, Holder) and found.run_id == self.run_id and found.attempt < self.attempt

    def check(self) -> None:
        """Raise LeaseLost unless this session still holds every name; to be called before each commit.

        Of a session that is gone, LeaseSessionLost where no later holder is known.
        """
        try:
            moved = self._moved(self._connection)
        except psycopg2.Error as error:
            raise self._session_lost(f"its session is gone ({' '.join(str(error).split())})") from error
        if moved:
            raise self._lost(f"{', '.join(moved)} went to a later holder")

    def _moved(self, connection: Connection) -> list[str]:
        with connection.cursor() as cursor:
            now = lease_rows.fences(cursor, list(self.fences))
        return [name for name, fence in self.fences.items() if now.get(name) != fence]

    def _session_lost(self, why: str) -> LeaseLost:
        try:
            with closing(self._connect()) as connection:
                moved = self._moved(connection)
        except (psycopg2.Error, AuditUnavailable):
            moved = []
        if moved:
            return self._lost(f"{why}, and {', '.join(moved)} went to a later holder")
        return LeaseSessionLost(
            f"run {self.run_id}, attempt {self.attempt} no longer holds its lease: {why}.",
            remedy="run again when the audit database answers; this attempt commits nothing more.",
        )

    def release(self) -> None:
        """Let go of every name; a session that is gone has done so already."""
        try:
            if not self._connection.closed:
                with self._connection.cursor() as cursor:
                    lease_rows.release(cursor, self.fences)
        except psycopg2.OperationalError:
            log.warning("lease ended by the server", run_id=self.run_id, names=sorted(self.fences))
        finally:
            self._connection.close()

    def _lost(self, why: str) -> LeaseLost:
        return LeaseLost(
            f"run {self.run_id}, attempt {self.attempt} no longer holds its lease: {why}.",
            remedy="nothing more is committed by this attempt; `lakehouse runs` shows which one goes on.",
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.release()


def _held(name: str, found: Holder | int | None) -> LeaseHeld:
    if isinstance(found, Holder):
        since = found.acquired_at.strftime("%Y-%m-%d %H:%M:%S UTC")
        who = f"run {found.run_id}, attempt {found.attempt}, on {found.host} (pid {found.pid}) since {since}"
    else:
        who = f"a session that does not say who it is (process {found} of the database server)"
    return LeaseHeld(
        f"held by {who}.", where=name, remedy="wait until that run has ended, or end it; its lease ends with it."
    )
