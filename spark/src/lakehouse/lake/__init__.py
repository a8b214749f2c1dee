"""The lake without a JVM: where tables lie, how far they have come, which keys they hold."""

from lakehouse.lake.keys import Keys, live_keys, missing_keys
from lakehouse.lake.tables import Lake, TableState

__all__ = ["Keys", "Lake", "TableState", "live_keys", "missing_keys"]
