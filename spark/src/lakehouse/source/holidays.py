"""Public holidays from a REST API in the form of Nager.Date (`GET …/PublicHolidays/{year}/{country}`, version 3)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from typing import Any

import requests

# Seconds to connect, and between two bytes of an answer.
_PATIENCE = (3.0, 5.0)
_MOST_BYTES = 1 << 20


@dataclass(frozen=True)
class Fetched:
    """Days and names of the years that were answered; why the other years were not, by year."""

    rows: list[dict[str, str]]
    missing: dict[int, str]


def fetch_holidays(url: str, years: Iterable[int], country: str) -> Fetched:
    """Ask for each year; an answer that is no list of that year's holidays of that country counts as none.

    `url` has `{year}` in it; `country` has two letters, as `countryCode` of the answers. Holidays of single states, and
    those that are not public, are left out. Nothing is raised: after the first year for which nobody answers no
    other is asked for.
    """
    rows: list[dict[str, str]] = []
    missing: dict[int, str] = {}
    silent = ""
    for year in years:
        try:
            if not silent:
                rows += _of_year(url.format(year=year), year, country)
                continue
        except (requests.ConnectionError, requests.Timeout) as error:
            silent = f"nobody answers ({type(error).__name__})"
        except (requests.RequestException, ValueError, TypeError, KeyError) as error:
            missing[year] = str(error)[:200]
            continue
        missing[year] = silent
    return Fetched(rows, missing)


def _of_year(url: str, year: int, country: str) -> list[dict[str, str]]:
    answer = requests.get(url, timeout=_PATIENCE, allow_redirects=False, headers={"Accept": "application/json"})
    if answer.status_code != requests.codes.ok or len(answer.content) > _MOST_BYTES:
        raise ValueError(f"status {answer.status_code}, {len(answer.content)} bytes")
    holidays = answer.json()
    others = {str(each["countryCode"])[:20] for each in holidays} - {country}
    if others:
        raise ValueError(f"holidays of {', '.join(sorted(others))}, not of {country}")
    found = [_row(each, year) for each in holidays if each["global"] and "Public" in each["types"]]
    if not found:
        raise ValueError("no holiday at all")
    return sorted(found, key=lambda row: (row["date"], row["name"]))


def _row(holiday: dict[str, Any], year: int) -> dict[str, str]:
    day, name = date.fromisoformat(holiday["date"]), str(holiday["localName"]).strip()
    if day.year != year or not name:
        raise ValueError(f"{holiday['date']} {name!r} is no holiday of {year}")
    return {"date": day.isoformat(), "name": name}
