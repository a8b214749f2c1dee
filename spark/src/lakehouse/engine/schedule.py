"""Tables side by side, each after those that it reads."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait

from lakehouse.specs import Table


def run_in_order(
    tables: Sequence[Table], work: Callable[[Table], bool], side_by_side: int, skipped: Callable[[Table, str], None]
) -> None:
    """Call `work` for each table once those of its own layer that it reads are done.

    `work` returns False for a failure: tables that read the failed one are not run, and `skipped` is told why; all
    others go on. What `work` raises ends everything.
    """
    waiting = {table.name: table for table in tables}
    needs = {table.name: {name for name in table.inputs if name in waiting} for table in tables}
    failed: set[str] = set()
    running: dict[Future[bool], str] = {}
    with ThreadPoolExecutor(max_workers=side_by_side) as pool:
        while waiting or running:
            for name in [name for name in waiting if needs[name] & failed]:
                table = waiting.pop(name)
                skipped(table, f"it reads {', '.join(sorted(needs[name] & failed))}, which failed")
                failed.add(name)
            ready = [name for name in waiting if not needs[name] & (waiting.keys() | set(running.values()))]
            for name in ready:
                running[pool.submit(work, waiting.pop(name))] = name
            if not running:
                continue
            done, _ = wait(running, return_when=FIRST_COMPLETED)
            for future in done:
                name = running.pop(future)
                if not future.result():
                    failed.add(name)
