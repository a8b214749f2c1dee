"""What the allocators keep of memory that a long-lived driver has given back: theirs to reuse, a limit's to count.

Source: mallopt(3) and malloc_trim(3) of the GNU C library; another C library has neither, and nothing is done there.
"""

from __future__ import annotations

import ctypes
import os

import pyarrow as pa

_M_ARENA_MAX = -8
_ARENAS = 2


def keep_little() -> None:
    """Have threads share two arenas, in this process and those that it starts; for before the threads are there."""
    os.environ.setdefault("MALLOC_ARENA_MAX", str(_ARENAS))
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_M_ARENA_MAX, _ARENAS)


def give_back_columns() -> None:
    """Return what Arrow's pool holds free to the system; a millisecond."""
    pa.default_memory_pool().release_unused()


def give_back() -> None:
    """Return what is free to the system, Arrow's and the C library's."""
    give_back_columns()
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)
