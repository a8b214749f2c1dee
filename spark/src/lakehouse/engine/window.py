"""Which stretch of a source's clock a run reads."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from lakehouse.engine.context import Options
from lakehouse.errors import ParameterError, StateError
from lakehouse.lake import TableState
from lakehouse.specs import Silver

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Window:
    """`[low, high)`; `reread`: Bronze may hold some of it already; `moves`: the horizon goes to `high`."""

    low: datetime | None
    high: datetime
    reread: bool
    moves: bool

    def whole(self, previous: datetime | None) -> Window:
        """Return the window that reads all rows once more; one that moves no horizon must not pass it either."""
        return Window(None, self.high if self.moves or previous is None else previous, reread=True, moves=self.moves)


def micros(moment: datetime) -> int:
    """Return microseconds since 1970, exactly."""
    return (moment - EPOCH) // timedelta(microseconds=1)


def horizon_of(state: TableState | None, table: str) -> datetime | None:
    """Return the horizon that a Bronze table's commits have reached; None where there is no table yet."""
    if state is None:
        return None
    if state.number is None:
        raise StateError(
            "the Bronze table exists, but none of its commits carries a horizon.",
            where=table,
            remedy="it was not written by this platform; move it away, or restore its log.",
        )
    return EPOCH + timedelta(microseconds=state.number)


def choose_window(block: Silver, options: Options, previous: datetime | None, horizon: datetime) -> Window:
    """Return what this run reads: from the last horizon (less the lag) to the new one, or what a person asked for.

    A window that was asked for moves no horizon. Reading everything again does, and so does any other run, unless
    a transaction that was open at the run before is open still: then both have the same horizon.
    """
    high = max(horizon, previous) if previous else horizon
    moves = previous is None or high > previous
    if options.window_from or options.window_to:
        if previous is None:
            raise ParameterError(
                "a window was given for a table that has never been loaded.", remedy="load it once first."
            )
        return Window(options.window_from, min(options.window_to or high, high), reread=True, moves=False)
    if previous is None or options.full_refresh:
        return Window(None, high, reread=previous is not None, moves=moves)
    return Window(previous - block.lag, high, reread=bool(block.lag), moves=moves)
