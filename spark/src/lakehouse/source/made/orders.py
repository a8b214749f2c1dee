"""Orders in the order of time, each with its customer, items, payments and reviews, as lines of five files."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from random import Random

from lakehouse.source.made.calendar import DAY, purchases, text
from lakehouse.source.made.catalog import Catalog
from lakehouse.source.made.lots import Lot
from lakehouse.source.made.places import Place
from lakehouse.source.made.reviews import Reviewers

ORDERS = 99_441  # at scale 1
_STATUSES = {
    "delivered": 97_020, "shipped": 1_113, "canceled": 629, "unavailable": 612,
    "invoiced": 316, "processing": 303, "created": 5, "approved": 2,
}  # fmt: skip
_ITEMS = {1: 88_860, 2: 7_520, 3: 1_320, 4: 505, 5: 204, 6: 198, 7: 22, 8: 8, 10: 8, 12: 5, 15: 2, 20: 1, 21: 1}
_PAYMENTS = {1: 96_480, 2: 2_380, 3: 300, 4: 110, 5: 52, 6: 36, 7: 28, 9: 20, 11: 17, 15: 8, 22: 5, 29: 2}
_TYPES = {"credit_card": 768, "boleto": 198, "voucher": 19, "debit_card": 15}
_INSTALLMENTS = {
    1: 25_400, 2: 12_400, 3: 10_460, 4: 7_100, 5: 5_240, 6: 3_920, 7: 1_630, 8: 4_270, 9: 640, 10: 5_330, 12: 130,
}  # fmt: skip
_AWKWARD_EVERY = 3_000  # one delivered order in so many lacks its delivery date, one its carrier date, one its approval
_PEOPLE_KEPT = 20_000  # customers who may come back; a fixed number, so that memory does not grow with the shop
_COMES_BACK = 0.034


@dataclass(slots=True)
class _Order:
    number: int
    id: str
    status: str
    bought: int
    approved: int | None = None
    carrier: int | None = None
    delivered: int | None = None
    estimated: int = 0
    total: int = 0


class Orders:
    """Makes orders one by one; `lines` yields, an order at a time, the lines of each file by table name."""

    def __init__(self, count: int, catalog: Catalog, where: list[Place], rng: Random) -> None:
        self._count, self._catalog, self._rng, self._draw = count, catalog, rng, rng.random
        self._reviewers = Reviewers(rng)
        self._home = Lot([(place, place.lived) for place in where], rng.random)
        self._status, self._type = Lot(_STATUSES.items(), rng.random), Lot(_TYPES.items(), rng.random)
        self._items, self._payments = Lot(_ITEMS.items(), rng.random), Lot(_PAYMENTS.items(), rng.random)
        self._installments = Lot(_INSTALLMENTS.items(), rng.random)
        self._people: list[tuple[str, Place]] = []

    def lines(self) -> Iterator[dict[str, list[str]]]:
        """Yield the lines of one order after the other."""
        for number, bought in enumerate(purchases(self._count, self._rng)):
            person, home = self._customer()
            customer_id = self._id()
            order = _Order(number, self._id(), self._status(), bought)
            products = self._choose(order)
            kind = self._type()
            self._travel(order, home, products, by_slip=kind == "boleto")
            items = list(self._item_lines(order, home, products))
            yield {
                "customers": [f"{customer_id},{person},{home.columns}\n"],
                "order_items": items,
                "order_payments": list(self._payment_lines(order, kind)),
                "orders": [_order_line(order, customer_id)],
                "order_reviews": list(self._review_lines(order)),
            }

    def _id(self) -> str:
        return f"{self._rng.getrandbits(128):032x}"

    def _customer(self) -> tuple[str, Place]:
        """Return a person and where the parcel goes: some people come back, and one in ten of those has moved."""
        if self._people and self._draw() < _COMES_BACK:
            place = int(self._draw() * len(self._people))
            person, home = self._people[place]
            if self._draw() < 0.1:
                home = self._home()
                self._people[place] = person, home
            return person, home
        new = self._id(), self._home()
        if len(self._people) < _PEOPLE_KEPT:
            self._people.append(new)
        elif self._draw() < 0.2:
            self._people[int(self._draw() * _PEOPLE_KEPT)] = new
        return new

    def _choose(self, order: _Order) -> list[int]:
        """Return the numbers of the products ordered: none for what is unavailable and for some of what is canceled."""
        draw = self._draw
        if order.number % _AWKWARD_EVERY in (150, 151, 152):
            order.status = "delivered"
        if draw() < {"unavailable": 0.98, "canceled": 0.26}.get(order.status, 0):
            return []
        popular = self._catalog.popular
        products = [popular(draw())]
        for _ in range(self._items() - 1):
            products.append(products[-1] if draw() < 0.72 else popular(draw()))
        return products

    def _travel(self, order: _Order, home: Place, products: list[int], *, by_slip: bool) -> None:
        """Set the order's moments as far as its status has come."""
        rng, status = self._rng, order.status
        far = bool(products) and self._catalog.seller_state(self._catalog.seller(products[0])) != home.state
        order.estimated = (order.bought // DAY + int(rng.triangular(*((12, 52, 24) if far else (8, 38, 14))))) * DAY
        if status == "created" or (status == "canceled" and self._draw() < 0.22):
            return
        wait = rng.uniform(10, 60) * 3_600 if by_slip else rng.uniform(10, 30) * 60
        order.approved = order.bought + int(wait)
        if status not in ("delivered", "shipped") and not (status == "canceled" and self._draw() < 0.12):
            return
        order.carrier = order.approved + int((0.2 + rng.expovariate(0.4)) * DAY)
        if status == "delivered":
            order.delivered = order.carrier + int((1 + rng.lognormvariate(2.05 if far else 1.25, 0.65)) * DAY)

    def _item_lines(self, order: _Order, home: Place, products: list[int]) -> Iterator[str]:
        limit = text((order.approved or order.bought) + (4 + int(self._draw() * 4)) * DAY)
        for position, product in enumerate(products, 1):
            seller = self._catalog.seller(product)
            price = self._catalog.price(product)
            far = self._catalog.seller_state(seller) != home.state
            freight = int((600 if not far else 1_150) + self._rng.expovariate(1 / 600)) + price // 40
            order.total += price + freight
            yield (
                f"{order.id},{position},{self._catalog.product_id(product)},{self._catalog.seller_id(seller)},"
                f"{limit},{_money(price)},{_money(freight)}\n"
            )

    def _payment_lines(self, order: _Order, kind: str) -> Iterator[str]:
        """Yield payments that add up to items and freight; all but the first of them are by voucher."""
        if order.status == "canceled" and not order.total and self._draw() < 0.02:
            yield f"{order.id},1,not_defined,1,0.00\n"
            return
        due = order.total or 1_000 + int(self._draw() * 20_000)
        count = self._payments()
        for position in range(1, count + 1):
            paid = due if position == count else int(due * (0.3 + 0.5 * self._draw()))
            due -= paid
            method = "voucher" if position > 1 else kind
            rates = self._installments() if method == "credit_card" else 1
            yield f"{order.id},{position},{method},{rates},{_money(paid)}\n"

    def _review_lines(self, order: _Order) -> Iterator[str]:
        late = order.delivered is None or order.delivered > order.estimated
        return self._reviewers.lines(order.id, order.delivered or order.estimated, late=late)


def _order_line(order: _Order, customer_id: str) -> str:
    moments = [order.approved, order.carrier, order.delivered]
    awkward = order.number % _AWKWARD_EVERY
    if awkward in (150, 151, 152):
        moments[152 - awkward] = None
    times = ",".join("" if moment is None else text(moment) for moment in moments)
    return f"{order.id},{customer_id},{order.status},{text(order.bought)},{times},{text(order.estimated)}\n"


def _money(cents: int) -> str:
    return f"{cents // 100}.{cents % 100:02d}"
