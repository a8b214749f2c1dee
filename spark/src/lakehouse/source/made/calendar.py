"""When people buy: months, weekdays, hours, and the one Friday in November."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, timedelta
from random import Random

from lakehouse.source.made.lots import Lot, split

DAY = 86_400
FIRST_DAY = date(2016, 9, 1)
BLACK_FRIDAY = date(2017, 11, 24)
_LAST_DAY = date(2020, 12, 31)
# Orders a month from September 2016 to October 2018, as published.
_MONTHS = (
    4, 324, 0, 1, 800, 1780, 2682, 2404, 3700, 3245, 4026, 4331, 4285, 4631, 7544, 5673,
    7269, 6728, 7211, 6939, 6873, 6167, 6292, 6512, 16, 4,
)  # fmt: skip
_WEEKDAYS = (16.2, 16.1, 15.6, 14.8, 14.2, 10.9, 12.0)
_HOURS = (24, 12, 5, 3, 2, 2, 5, 12, 30, 48, 62, 66, 60, 65, 66, 65, 67, 62, 58, 60, 62, 62, 58, 41)
_DAYS = [str(FIRST_DAY + timedelta(days)) for days in range((_LAST_DAY - FIRST_DAY).days)]
_TIMES = [f"{second // 3600:02d}:{second // 60 % 60:02d}:{second % 60:02d}" for second in range(DAY)]


def text(moment: int) -> str:
    """Return a moment, in seconds since the first day, as the wall-clock text of the files."""
    day, second = divmod(moment, DAY)
    return f"{_DAYS[day]} {_TIMES[second]}"


def purchases(orders: int, rng: Random) -> Iterator[int]:
    """Yield the moments of so many purchases in the order of time."""
    hour = Lot(list(enumerate(_HOURS)), rng.random)
    for day, count in _by_day(orders):
        yield from sorted(day * DAY + hour() * 3_600 + int(rng.random() * 3_600) for _ in range(count))


def _by_day(orders: int) -> Iterator[tuple[int, int]]:
    days = [FIRST_DAY + timedelta(number) for number in range((date(2018, 11, 1) - FIRST_DAY).days)]
    months = [(day.year - 2016) * 12 + day.month - 9 for day in days]
    weekdays = [_WEEKDAYS[day.weekday()] * (6 if day == BLACK_FRIDAY else 1) for day in days]
    wholes = [0.0] * len(_MONTHS)
    for month, weight in zip(months, weekdays, strict=True):
        wholes[month] += weight
    shares = [_MONTHS[month] * weight / wholes[month] for month, weight in zip(months, weekdays, strict=True)]
    return enumerate(split(orders, shares))
