"""Many small files of a stream's tables into few, while it runs: each micro-batch leaves one in each of them."""

from __future__ import annotations

import time

from lakehouse.changes.compact import compact
from lakehouse.engine.allocator import give_back
from lakehouse.engine.context import Context
from lakehouse.log import get_logger
from lakehouse.specs import Table

log = get_logger(__name__)
# Micro-batches between two looks at the files, and how many files are many.
EVERY, MANY = 50, 40


def compact_many(table: Table, context: Context) -> float:
    """Compact the events, Silver and the quarantine where they have many files; return the seconds that it took.

    The caller holds the table and the stream: nobody else writes meanwhile.
    """
    began, lake = time.monotonic(), context.lake
    for uri in (lake.events(table), lake.of(table), lake.quarantine(table)):
        before = context.snapshot(uri)
        if before is not None and len(before.files) > MANY:
            context.guard()
            started, files = time.monotonic(), compact(before)
            log.info("compacted", table=uri, files=files, seconds=round(time.monotonic() - started, 1))
    # What reading them took; the allocators would keep it for the next time.
    give_back()
    return time.monotonic() - began
