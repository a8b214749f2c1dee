"""How long a page waits for what may be away."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import anyio
from anyio import CapacityLimiter, to_thread

from lakehouse.errors import LakehouseError

T = TypeVar("T")


async def within(
    seconds: float, work: Callable[[], T], limiter: CapacityLimiter, what: str, remedy: str = ""
) -> T | LakehouseError:
    """Return what `work` returns in a thread, or why there is nothing: an error of ours, or no answer in time.

    Work that is given up goes on in its thread and keeps its place in `limiter`, whose queue counts as waiting too.
    """
    try:
        with anyio.fail_after(seconds):
            return await to_thread.run_sync(work, limiter=limiter, abandon_on_cancel=True)
    except TimeoutError:
        return LakehouseError(f"{what} did not answer in {seconds:.0f} s.", remedy=remedy)
    except LakehouseError as error:
        return error
