"""The lake without a JVM: where tables lie, how far they have come, which keys they hold."""

from lakehouse.lake.keys import live_keys, missing_keys
from lakehouse.lake.tables import Lake, TableState

__all__ = ["Lake", "TableState", "live_keys", "missing_keys"]
