"""A run of its own beside a scheduler's: it waits for the leases, and for a run whose tasks are still to come."""

from __future__ import annotations

import time
from collections.abc import Collection

from lakehouse.audit.lease import TURN_SECONDS, Lease, hold
from lakehouse.audit.log import Audit
from lakehouse.errors import LeaseHeld

_PAUSE_SECONDS = 0.5


def hold_alone(
    url: str, audit: Audit, pipeline: str, names: Collection[str], run_id: str, attempt: int, wait_seconds: float = 0
) -> Lease:
    """Take the leases of a pipeline and its tables (`names`), when no run of its scheduler is at work on it.

    Between two of its tasks a scheduler's run holds no lease. Waits up to `wait_seconds`, then raises LeaseHeld.
    """
    deadline = time.monotonic() + wait_seconds
    while True:
        left = max(0.0, deadline - time.monotonic())
        lease = hold(url, names, run_id, attempt, left, TURN_SECONDS)
        try:
            other = next((each for each in audit.at_work(pipeline, run_id) if each.has_tasks_to_come()), None)
        except BaseException:
            lease.release()
            raise
        if other is None:
            return lease
        lease.release()
        if time.monotonic() >= deadline:
            raise LeaseHeld(
                f"{other} is between two of its tasks.",
                where=pipeline,
                remedy="wait until it has ended (`lakehouse run --wait SECONDS`), or end it at its scheduler; "
                "ten minutes after the last sign of it, it is no hindrance any more.",
            )
        time.sleep(_PAUSE_SECONDS)
