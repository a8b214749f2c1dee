"""A moment as a watermark column says it: an instant, or what a clock on the wall of the source shows."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

_WALL = ("timestamp_ntz", "date")


def stamp_of(moment: datetime, kind: str, zone: str, digits: int = 6) -> date:
    """Return the bound that stands for `moment` in a watermark column of the Spark type `kind`.

    Nothing that is stamped at `moment` or later holds less, also where the column rounds to so many `digits` of a
    second. Where the clocks of `zone` are set back they show an hour twice: until it has passed for good the bound
    stays at its beginning, and the rows of that hour wait.
    """
    if kind not in _WALL:
        return _floor(moment, digits)
    wall = _earliest_wall(moment, ZoneInfo(zone))
    return wall.date() if kind == "date" else _floor(wall, digits)


def _floor(moment: datetime, digits: int) -> datetime:
    return moment.replace(microsecond=moment.microsecond - moment.microsecond % 10 ** (6 - digits))


def _earliest_wall(moment: datetime, zone: ZoneInfo) -> datetime:
    """Return the earliest time that a clock in `zone` shows at `moment` or after it."""
    local = moment.astimezone(zone)
    repeated = _offset(local) - _offset(local.replace(fold=1))
    before, after = moment, moment + repeated
    while after - before > timedelta.resolution:
        middle = before + (after - before) // 2
        if _offset(middle.astimezone(zone)) == _offset(local):
            before = middle
        else:
            after = middle
    return after.astimezone(zone).replace(tzinfo=None)


def _offset(local: datetime) -> timedelta:
    return local.utcoffset() or timedelta()
