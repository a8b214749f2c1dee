"""How far the source may be read: no transaction that began before the horizon is still to commit."""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import datetime, timedelta

from psycopg2 import extensions

from lakehouse.errors import SourceError
from lakehouse.source.connect import place, reading_by

# A row is stamped with now(), the arrival of its transaction's first statement; pg_stat_activity shows that transaction
# some microseconds later. A transaction stamped before t that is in nobody's sight yet has this long to show itself.
_SETTLE_S = 0.05
_WARN_AFTER = timedelta(minutes=5)

# A walsender only streams and an autovacuum worker only cleans; everyone else may stamp rows. An ended transaction
# leaves this view after its rows became visible, so one that is not here can be read. A session that has its statement
# but shows no transaction yet will stamp with that statement's start.
_OTHERS = """
SELECT pid, coalesce(xact_start, CASE WHEN state = 'active' THEN query_start END) AS began,
       NOT (pg_has_role('pg_read_all_stats', 'USAGE') OR coalesce(pg_has_role(usesysid, 'USAGE'), false)) AS hidden
FROM pg_stat_activity
WHERE datname = current_database() AND pid <> pg_backend_pid()
  AND coalesce(backend_type, 'hidden') NOT IN ('autovacuum worker', 'walsender')
ORDER BY began, pid"""
_PREPARED = "SELECT gid FROM pg_prepared_xacts WHERE database = current_database() ORDER BY gid"


@dataclass(frozen=True)
class Horizon:
    """Rows stamped before `at` are all there to be read; `clock` is the source's time when this was found out.

    `oldest_open` is the start of the oldest transaction still open, `held_by` the process ids of those that began then.
    `prepared` names transactions prepared for a two-phase commit: their start is unknown, so nothing is read beyond
    what has been. `where` is the source.
    """

    at: datetime
    clock: datetime
    where: str
    oldest_open: datetime | None = None
    held_by: tuple[int, ...] = ()
    prepared: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()

    def reach(self, previous: datetime | None) -> datetime:
        """Return how far a table may be read that has been read up to `previous`.

        Raises `SourceError` where the clock is behind `previous`, or where nobody can say how far a first load may go.
        """
        if previous is not None and previous > self.clock:
            raise self._set_back(previous)
        if not self.prepared:
            return self.at
        if previous is None:
            raise SourceError(
                f"transaction {self.prepared[0]!r} is prepared for a two-phase commit, and nobody can say when it "
                "began.",
                where=self.where,
                remedy="COMMIT PREPARED or ROLLBACK PREPARED it, then load for the first time.",
            )
        return previous

    def _set_back(self, previous: datetime) -> SourceError:
        return SourceError(
            f"the source's clock says {self.clock}, but rows up to {previous} have been read: it was set back, or "
            "another server answers. Rows that are stamped until it has passed that moment would never be read.",
            where=self.where,
            remedy=f"correct the clock, or wait until it has passed {previous}; then read what was stamped meanwhile: "
            f"`lakehouse run … --from {_moment(self.clock)} --to {_moment(previous)}`.",
        )


def fix_horizon(connection_or_url: extensions.connection | str) -> Horizon:
    """Return the horizon of the source, in its own clock, exact to the microsecond.

    Read with a snapshot taken after this returns. A connection of the caller's must not be inside a transaction that
    the caller goes on to read with. Raises `SourceError` where open transactions cannot be seen.
    """
    with reading_by(connection_or_url) as connection, connection.cursor() as cursor:
        where = place(connection.dsn)
        clock = _clock(cursor, where)
        time.sleep(_SETTLE_S)
        oldest, held_by = _oldest_open(cursor, where)
        # after the open ones: a transaction that is prepared in between is seen in one of the two lists
        cursor.execute(_PREPARED)
        prepared = tuple(gid for (gid,) in cursor.fetchall())
    at = min(clock, oldest) if oldest else clock
    return Horizon(at, clock, where, oldest, held_by, prepared, _warnings(clock, oldest, held_by, prepared))


def _clock(cursor: extensions.cursor, where: str) -> datetime:
    cursor.execute("SELECT clock_timestamp(), pg_is_in_recovery()")
    clock, is_replica = cursor.fetchone() or (None, None)
    if is_replica:
        raise SourceError(
            "the source is a replica, which does not know the transactions that are open on its primary.",
            where=where,
            remedy="use the address of the primary server.",
        )
    assert isinstance(clock, datetime)  # noqa: S101 - a function without a FROM gives one row
    return clock


def _oldest_open(cursor: extensions.cursor, where: str) -> tuple[datetime | None, tuple[int, ...]]:
    cursor.execute("SELECT pg_stat_clear_snapshot()")
    cursor.execute(_OTHERS)
    others = cursor.fetchall()
    if hidden := [pid for pid, _, is_hidden in others if is_hidden]:
        cursor.execute("SELECT quote_ident(current_user)")
        (user,) = cursor.fetchone() or ("…",)
        raise SourceError(
            f"user {user} may not see whether other sessions have a transaction open (process {hidden[0]}).",
            where=where,
            remedy=f"as an administrator of the source: GRANT pg_read_all_stats TO {user};",
        )
    starts = [start for _, start, _ in others if start is not None]
    oldest = min(starts, default=None)
    return oldest, tuple(pid for pid, start, _ in others if start is not None and start == oldest)


def _warnings(
    clock: datetime, oldest: datetime | None, held_by: tuple[int, ...], prepared: tuple[str, ...]
) -> tuple[str, ...]:
    found = []
    if prepared:
        found.append(f"the horizon stays where it is: prepared transactions {', '.join(prepared)} are not ended")
    if oldest and clock - oldest > _WARN_AFTER:
        found.append(f"process {held_by[0]} has a transaction open for {_age(clock - oldest)}: newer rows wait for it")
    return tuple(found)


def _moment(moment: datetime) -> str:
    return moment.isoformat().replace("+00:00", "Z")


def _age(age: timedelta) -> str:
    return str(timedelta(seconds=int(age.total_seconds())))
