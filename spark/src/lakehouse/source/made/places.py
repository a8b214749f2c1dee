"""Cities, their zip prefixes, and the geolocation readings taken there."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from random import Random

from lakehouse.source.made.lots import facts, split

PREFIXES = 7_500  # at scale 1 and above; a country does not get more of them when a shop grows
READINGS = 1_000_163  # geolocation rows at scale 1
_ABROAD = ("38.7223", "-9.1393")  # some readings of the real file lie in Portugal


@dataclass(frozen=True, slots=True)
class Place:
    """A zip prefix with its town; `lived` and `sold` weigh how many customers and sellers are there."""

    zip: str
    city: str
    spelled: str
    state: str
    lat: float
    lng: float
    lived: float
    sold: float

    @property
    def columns(self) -> str:
        """The fields `zip,city,state` of a customer or a seller."""
        return f"{self.zip},{self.city},{self.state}"


def plain(text: str) -> str:
    """Return a name without its accents."""
    return "".join(letter for letter in unicodedata.normalize("NFD", text) if not unicodedata.combining(letter))


def places(scale: float, rng: Random) -> list[Place]:
    """Return the zip prefixes of all cities in the order of their numbers; at least one each."""
    cities = facts("cities.csv")
    states = {row["state"]: row for row in facts("states.csv")}
    shares = {state: sum(float(city["share"]) for city in cities if city["state"] == state) for state in states}
    found: list[Place] = []
    for city in cities:
        state = states[city["state"]]
        part = float(city["share"]) / shares[city["state"]]
        wanted = PREFIXES * min(scale, 1) * part * float(state["customers"]) / 99_441
        found += _prefixes(city, round(wanted), part * float(state["customers"]), part * float(state["sellers"]), rng)
    return sorted(found, key=lambda place: place.zip)


def _prefixes(city: dict[str, str], wanted: int, lived: float, sold: float, rng: Random) -> Iterator[Place]:
    first, last = int(city["zip_first"]), int(city["zip_last"])
    count = min(max(wanted, 1), last - first + 1)
    weights = [rng.random() ** 2 + 0.02 for _ in range(count)]
    whole = sum(weights)
    for index, weight in enumerate(weights):
        yield Place(
            zip=f"{first + index * (last - first + 1) // count:05d}",
            city=plain(city["city"]),
            spelled=city["city"],
            state=city["state"],
            lat=float(city["lat"]) + rng.uniform(-0.06, 0.06),
            lng=float(city["lng"]) + rng.uniform(-0.06, 0.06),
            lived=lived * weight / whole,
            sold=sold * weight / whole,
        )


def readings(where: list[Place], scale: float, rng: Random) -> Iterator[str]:
    """Yield the lines of the geolocation file: at least one reading a prefix, about a quarter of them repeated."""
    counts = split(round(READINGS * scale) - len(where), [place.lived for place in where])
    for place, count in zip(where, counts, strict=True):
        yield from _readings_at(place, count + 1, rng.random)


def _readings_at(place: Place, count: int, draw: Callable[[], float]) -> Iterator[str]:
    usual, accented, joined = (f"{name},{place.state}\n" for name in (place.city, place.spelled, _joined(place.city)))
    line = ""
    for _ in range(count):
        kind = draw()
        if kind > 0.26 or not line:
            town = accented if kind > 0.82 else joined if kind > 0.818 else usual
            lat = place.lat + (draw() + draw() - 1) * 0.03
            lng = place.lng + (draw() + draw() - 1) * 0.03
            line = f"{place.zip},{lat!r},{lng!r},{town}"
            if 0.5 < kind < 0.5001:
                line = f"{place.zip},{_ABROAD[0]},{_ABROAD[1]},{town}"
        yield line


def _joined(name: str) -> str:
    return name.replace(" ", "")
