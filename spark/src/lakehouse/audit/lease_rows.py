"""The statements of a lease: the lock, who holds it, the fence."""

from __future__ import annotations

import hashlib
import os
import socket
from dataclasses import dataclass
from datetime import datetime

from lakehouse.audit.database import Cursor

_WRITE = """
INSERT INTO audit.leases AS lease
    (name, lock_key, run_id, attempt, fence, host, pid, backend_pid, acquired_at, released_at)
VALUES (%s, %s, %s, %s, 1, %s, %s, pg_backend_pid(), clock_timestamp(), NULL)
ON CONFLICT (name) DO UPDATE SET fence = lease.fence + 1, run_id = excluded.run_id, attempt = excluded.attempt,
    host = excluded.host, pid = excluded.pid, backend_pid = excluded.backend_pid,
    acquired_at = excluded.acquired_at, released_at = NULL
RETURNING fence
"""

# pg_locks shows a 64-bit key as two halves; the outer join keeps a session that has locked but not yet written its row.
_HOLDER = """
SELECT locks.pid, run_id, attempt, fence, host, leases.pid, acquired_at
FROM pg_locks AS locks
LEFT JOIN audit.leases ON leases.name = %(name)s AND leases.backend_pid = locks.pid AND leases.released_at IS NULL
WHERE locks.locktype = 'advisory' AND locks.granted AND locks.objsubid = 1
  AND locks.database = (SELECT oid FROM pg_database WHERE datname = current_database())
  AND ((locks.classid::bigint << 32) | locks.objid::bigint) = %(key)s
"""

_FENCE_OFF = "UPDATE audit.leases SET fence = fence + 1 WHERE name = %s AND fence = %s AND backend_pid = %s"
_RELEASE = "UPDATE audit.leases SET released_at = clock_timestamp() WHERE name = %s AND fence = %s"


@dataclass(frozen=True)
class Holder:
    """Who holds a name now; `backend_pid` is the server's process for the holder's session."""

    backend_pid: int
    run_id: str
    attempt: int
    fence: int
    host: str
    pid: int
    acquired_at: datetime


def lock_key(name: str) -> int:
    """Return the signed 64-bit number that Postgres locks for a name."""
    return int.from_bytes(hashlib.blake2b(f"lakehouse lease {name}".encode(), digest_size=8).digest(), signed=True)


def try_lock(cursor: Cursor, name: str) -> bool:
    """Take the lock for the session if it is free."""
    cursor.execute("SELECT pg_try_advisory_lock(%s)", [lock_key(name)])
    return cursor.fetchone() == (True,)


def write(cursor: Cursor, name: str, run_id: str, attempt: int) -> int:
    """Write down that this session holds a name, and return its fence: higher than any before it."""
    cursor.execute(_WRITE, [name, lock_key(name), run_id, attempt, socket.gethostname(), os.getpid()])
    (fence,) = cursor.fetchone() or (0,)
    return int(fence)


def holder(cursor: Cursor, name: str) -> Holder | int | None:
    """Return who holds a name: the server's process id while the holder has not said who it is, None when free."""
    cursor.execute(_HOLDER, {"name": name, "key": lock_key(name)})
    row = cursor.fetchone()
    if row is None:
        return None
    return int(row[0]) if row[1] is None else Holder(*row)


def fence_off(cursor: Cursor, name: str, found: Holder) -> None:
    """Raise the fence over a holder and then end its session, unless the name has changed hands since it was found."""
    cursor.execute(_FENCE_OFF, [name, found.fence, found.backend_pid])
    if cursor.rowcount == 1:
        cursor.execute("SELECT pg_terminate_backend(%s)", [found.backend_pid])


def fences(cursor: Cursor, names: list[str]) -> dict[str, int]:
    """Return the present fence of each name."""
    cursor.execute("SELECT name, fence FROM audit.leases WHERE name = ANY(%s)", [names])
    return dict(cursor.fetchall())


def release(cursor: Cursor, fences_held: dict[str, int]) -> None:
    """Write down the end of what is held, unless it has changed hands, and unlock it now: a session ends later."""
    for name, fence in fences_held.items():
        cursor.execute(_RELEASE, [name, fence])
    cursor.execute("SELECT pg_advisory_unlock_all()")
