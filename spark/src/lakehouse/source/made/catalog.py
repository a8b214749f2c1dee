"""Products, their categories, and the sellers who sell them."""

from __future__ import annotations

from collections.abc import Iterator
from math import exp
from random import Random
from statistics import NormalDist

from lakehouse.source.made.lots import Lot, facts, identifier
from lakehouse.source.made.places import Place

# What people typed into the seller's city; the first ones matter most, they are there in the smallest sample.
_JUNK = (
    "vendas@lojaexemplo.com.br",
    "08012345",
    "{city} / {state}",
    "{city} - {state}",
    "{city}/{city}",
    "{city}, {state}, brasil",
)
_JUNK_EVERY = 100
_NO_MEASURES_EVERY, _NO_WEIGHT_EVERY = 8_000, 8_000


def translations() -> Iterator[str]:
    """Yield the lines of the translation file, which at the source begins with a byte-order mark and has CRLF ends."""
    for row in facts("categories.csv"):
        if row["english"]:
            yield f"{row['category']},{row['english']}\r\n"


class Catalog:
    """Products by number: what a product costs and who sells it follows from its number, nothing is kept in memory."""

    def __init__(self, products: int, sellers: list[Place], seed: int) -> None:
        self.products, self._sellers, self._seed = products, sellers, seed
        prices = (exp(4.42 + 0.88 * NormalDist().inv_cdf((step + 0.5) / 1024)) for step in range(1024))
        self._prices = [max(100 * round(price), 100) - 10 for price in prices]

    def popular(self, lot: float) -> int:
        """Return the number of a product for a lot from 0 to 1: few products sell much, some never."""
        return int(self.products * lot**1.8)

    def price(self, product: int) -> int:
        """Return the price in cents."""
        return self._prices[_mixed(product) & 1023]

    def seller(self, product: int) -> int:
        """Return the number of the product's seller: few sellers have many products."""
        return int(len(self._sellers) * (_mixed(product) / 2**32) ** 2.2)

    def seller_state(self, seller: int) -> str:
        """Return the state a seller is in."""
        return self._sellers[seller].state

    def product_id(self, product: int) -> str:
        """Return the id of a product."""
        return identifier("product", product, self._seed)

    def seller_id(self, seller: int) -> str:
        """Return the id of a seller."""
        return identifier("seller", seller, self._seed)

    def product_lines(self, rng: Random) -> Iterator[str]:
        """Yield the lines of the products file."""
        category = Lot([(row["category"], float(row["share"])) for row in facts("categories.csv")], rng.random)
        for product in range(self.products):
            yield f"{self.product_id(product)},{_described(product, category(), rng)},{_measured(product, rng)}\n"

    def seller_lines(self) -> Iterator[str]:
        """Yield the lines of the sellers file."""
        for seller, place in enumerate(self._sellers):
            yield f"{self.seller_id(seller)},{place.zip},{_city(seller, place)},{place.state}\n"


def _mixed(number: int) -> int:
    """Return a number below 2**32 that looks drawn by lot (Knuth's multiplicative hash, its halves swapped)."""
    spread = (number * 2654435761 + 12345) & 0xFFFFFFFF
    return (spread >> 16) | ((spread & 0xFFFF) << 16)


def _described(product: int, category: str, rng: Random) -> str:
    if rng.random() < 0.0185 or product % _NO_WEIGHT_EVERY == 61:
        return ",,,"
    name, text = int(rng.triangular(20, 64, 56)), int(min(exp(rng.gauss(6.4, 0.75)) + 4, 3_992))
    return f"{category},{name},{text},{min(1 + int(rng.expovariate(0.85)), 20)}"


def _measured(product: int, rng: Random) -> str:
    if product % _NO_MEASURES_EVERY == 60:
        return ",,,"
    weight = 0 if product % _NO_MEASURES_EVERY == 62 else int(min(exp(rng.gauss(6.6, 1.25)) + 2, 40_425))
    length, height, width = (int(min(exp(rng.gauss(mean, 0.5)) + least, 105)) for mean, least in _SIDES)
    return f"{weight},{length},{height},{width}"


_SIDES = ((3.0, 7), (2.4, 2), (2.8, 6))


def _city(seller: int, place: Place) -> str:
    turn, rest = divmod(seller, _JUNK_EVERY)
    if rest != 2:
        return place.city
    junk = _JUNK[turn % len(_JUNK)].format(city=place.city, state=place.state.lower())
    return f'"{junk}"' if "," in junk else junk
