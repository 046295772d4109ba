"""Erroneous order ("fat finger"): a price far through the market, or a size that neither the market nor the account has shown before.

Securities Exchange Act Rule 15c3-5 asks for controls against it. An auction has no touch to be far from, so only continuous trading is looked at.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from schemas.enums import Phase, Side
from schemas.instruments import Instrument
from surveillance.contract import Detector, Finding, Measure, order_evidence
from surveillance.market import Market
from surveillance.orders import OrderTracker, TrackedOrder
from surveillance.wording import VERBS


@dataclass(frozen=True)
class ErroneousOrderParameters:
    """When an order is no wish. Every bound is inclusive."""

    price_percent_min: int = 5
    """A limit through the last price: a buy above it, a sell below it."""
    size_min: int = 80
    """Lots : usual order of the book (a followed median)."""
    own_size_min: int = 10
    """Lots : the owner's largest order in this book so far."""
    own_orders_min: int = 20
    """Orders of the owner before its own size says anything."""
    owners_max: int = 200_000
    """Owners remembered; further ones are not."""


class ErroneousOrderDetector(Detector):
    """The number and the largest of each owner's orders, by instrument."""

    name: ClassVar[str] = "erroneous_order"
    version: ClassVar[int] = 2
    rule_refs: ClassVar[tuple[str, ...]] = ("SEC Rule 15c3-5", "FINRA 5210")

    def __init__(self, tracker: OrderTracker, market: Market, parameters: ErroneousOrderParameters | None = None) -> None:
        super().__init__(tracker, market)
        self.parameters = parameters or ErroneousOrderParameters()
        self._known: dict[tuple[int, int], list[int]] = {}  # -> [orders, largest lots]

    def placed(self, order: TrackedOrder, now: int) -> Sequence[Finding]:
        """Is it unlike the market, or unlike the owner?"""
        rules, key = self.parameters, (order.instrument, order.owner)
        known = self._known.get(key)
        if known is None:
            known = [0, 0]
            if len(self._known) < rules.owners_max:
                self._known[key] = known
        count, largest = known
        known[0], known[1] = count + 1, max(largest, order.order_qty)
        book = self.market.books[order.instrument]
        if book.phase != Phase.CONTINUOUS:
            return ()
        measures = []
        last_px = book.last_px
        if order.rests and last_px and book.best[3 - order.side]:
            beyond = order.price - last_px if order.side == Side.BUY else last_px - order.price
            if beyond * 100 >= last_px * rules.price_percent_min:
                measures.append(Measure("price through the last trade", beyond * 100 // last_px, rules.price_percent_min, "percent"))
        if (
            count >= rules.own_orders_min
            and order.order_qty >= largest * rules.own_size_min
            and order.order_qty >= rules.size_min * book.order_qty
        ):
            measures.append(Measure("size to the owner's largest", order.order_qty // max(largest, 1), rules.own_size_min, "times"))
            measures.append(Measure("size to usual order", order.order_qty // max(book.order_qty, 1), rules.size_min, "times"))
        return (self._finding(order, last_px, tuple(measures)),) if measures else ()

    def _finding(self, order: TrackedOrder, last_px: int, measures: tuple[Measure, ...]) -> Finding:
        qty, price = order.order_qty, order.price

        def steps(names: Instrument) -> tuple[str, ...]:
            return (
                f"Account {order.account} entered an order to {VERBS[order.side][0]} {names.qty_text(qty)} {names.symbol} at {names.price_text(price)}; "
                f"the last trade was at {names.price_text(last_px)}.",
                *(
                    f"Its {one.name}: {one.value} {'%' if one.unit == 'percent' else 'times'}; reported from {one.bound} on."
                    for one in measures
                ),
            )

        return Finding(
            "ERRONEOUS_ORDER", order.instrument, order.owner, order.side, (order.instrument, order.order_id), 550 + 100 * len(measures), order.placed_at,
            steps, (order_evidence("ORDER", order),), measures,
        )  # fmt: skip

    def state(self) -> Any:
        """Counts by owner."""
        return [[*key, *known] for key, known in self._known.items()]

    def load(self, state: Any) -> None:
        """The opposite."""
        self._known = {(instrument, owner): [count, largest] for instrument, owner, count, largest in state}
