"""Track which orders each owner has, and recently had, in each instrument. Bounded, and a function of the rows alone.

Detectors read it; `TradingWatch` feeds it. An order is kept while it is open, then until its interest has faded (see `interest`), then
while a detector holds it. Beyond the limit the oldest order is forgotten.
"""

from collections import OrderedDict, deque
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from schemas.codec import Rows
from schemas.enums import Side

BOTH_SIDES: Final = (int(Side.BUY), int(Side.SELL))
_SIDES: Final = sum(BOTH_SIDES)

ORDER_DTYPE: Final = np.dtype(
    [
        ("order_id", "<u8"), ("account", "<u8"), ("instrument", "<u4"), ("side", "u1"), ("rests", "u1"), ("flagged", "u1"), ("faded", "u1"),
        ("price", "<i8"), ("order_qty", "<i8"), ("leaves_qty", "<i8"), ("display_qty", "<i8"), ("traded_qty", "<i8"),
        ("interest_qty", "<i8"), ("placed_at", "<i8"), ("ended_at", "<i8"), ("owner", "<u8"), ("seq", "<u8"), ("offset", "<i8"), ("immediate", "u1"),
    ]
)  # fmt: skip


@dataclass(frozen=True)
class Tracking:
    """How much is remembered. Every bound is inclusive."""

    orders_max: int = 1_000_000
    """Orders in memory, ~300 B each; then the oldest is forgotten."""
    interest_ns: int = 10_000_000_000
    """How long after its end an order counts as its owner's interest: longer than a market maker takes to quote again."""


@dataclass(slots=True, eq=False)
class TrackedOrder:
    """One order as the book reported it: ticks, lots, ns. Fields as in ORDER_DTYPE, and `held`: how many episodes refer to it."""

    order_id: int
    account: int
    instrument: int
    side: int
    rests: int  # 0: it never rests (MARKET, IOC, ...) or not yet (a stop before its election, ...)
    flagged: int  # 1: part of an alert; it counts for nothing any more
    faded: int  # 1: its interest is over
    price: int
    order_qty: int
    leaves_qty: int  # 0 once it has ended
    display_qty: int  # of leaves_qty, what the market sees as the book has said
    traded_qty: int
    interest_qty: int
    placed_at: int
    ended_at: int  # 0: still open
    owner: int  # its account's owner group, see surveillance.owners
    seq: int  # of the row that brought it: number in the book shard, and offset of the first record that had it
    offset: int
    immediate: int  # 1: what does not trade at once is canceled (IOC, FOK)
    held: int = 0

    def row(self) -> tuple[int, ...]:
        """A row of ORDER_DTYPE."""
        return (
            self.order_id, self.account, self.instrument, self.side, self.rests, self.flagged, self.faded,
            self.price, self.order_qty, self.leaves_qty, self.display_qty, self.traded_qty, self.interest_qty, self.placed_at, self.ended_at,
            self.owner, self.seq, self.offset, self.immediate,
        )  # fmt: skip


def other_side(side: int) -> int:
    """BUY for SELL, SELL for BUY."""
    return _SIDES - side


class Holding:
    """One owner in one instrument. open: resting orders by side, in order of entry; ended: orders whose interest has not faded; interest: lots by side.

    By side: of three, the first is of no side. Most orders of a crowd make one of these.
    """

    __slots__ = ("ended", "interest", "open")

    def __init__(self) -> None:
        self.open: tuple[dict[int, TrackedOrder], ...] = ({}, {}, {})
        self.ended: tuple[dict[int, TrackedOrder], ...] = ({}, {}, {})
        self.interest = [0, 0, 0]

    def is_empty(self) -> bool:
        """Whether nothing is known of it any more."""
        _, buys, sells = self.open
        _, to_buy, to_sell = self.interest
        return not (buys or sells or to_buy or to_sell)

    def interest_since(self, side: int, since: int) -> int:
        """Lots of interest on a side, without orders that ended before `since`. At most `interest`."""
        still = sum(order.interest_qty for order in self.open[side].values())
        return still + sum(order.interest_qty for order in self.ended[side].values() if order.ended_at >= since)


class OrderTracker:
    """All orders of one book shard that matter.

    Interest of a side = what the account itself wanted to trade there: order_qty of its resting orders that are open or ended less than
    `interest_ns` ago, and what its MARKET and IOC orders traded in that time (the rest of them was never in the book).
    """

    def __init__(self, tracking: Tracking) -> None:
        self._orders_max = tracking.orders_max
        self._interest_ns = tracking.interest_ns
        self._orders: OrderedDict[int, TrackedOrder] = OrderedDict()
        self._ended: deque[TrackedOrder] = deque()
        self._holdings: dict[tuple[int, int], Holding] = {}

    def __len__(self) -> int:
        return len(self._orders)

    def known(self, order_id: int) -> TrackedOrder:
        """An order that must be there: a snapshot's."""
        order = self._orders.get(order_id)
        assert order is not None, f"order {order_id} is not among the tracked orders of the snapshot"
        return order

    def holding(self, order: TrackedOrder) -> Holding:
        """The account's orders and interest; empty if nothing is known."""
        return self._holdings.get((order.owner, order.instrument)) or Holding()

    def get(self, order_id: int) -> TrackedOrder | None:
        """The order, or None if it is not known (any more)."""
        return self._orders.get(order_id)

    def place(self, order: TrackedOrder) -> TrackedOrder | None:
        """Take a new order; returns the order that was forgotten for it, if any."""
        if order.order_id in self._orders:
            return None
        forgotten = self._forget_oldest() if len(self._orders) >= self._orders_max else None
        self._insert(order)
        return forgotten

    def trade(self, order: TrackedOrder, qty: int, leaves_qty: int, now: int) -> None:
        """`qty` lots of the order were executed, `leaves_qty` are left."""
        order.traded_qty += qty
        order.leaves_qty = leaves_qty
        order.display_qty = min(order.display_qty, leaves_qty)
        if not order.rests:
            order.interest_qty += qty
            # made anew if need be: a MARKET order that has not traded yet is neither open nor interest, so nothing may be known of its account
            self._holding_for(order).interest[order.side] += qty
        if leaves_qty == 0:
            self.end(order, now)

    def enter(self, order: TrackedOrder, price: int, display_qty: int, now: int) -> None:
        """The order rests at `price` like a new one, displaying `displayed`: it was triggered, or lost its priority by a replace."""
        self.holding(order).open[order.side].pop(order.order_id, None)
        self._drop_interest(order)
        del self._orders[order.order_id]
        order.rests, order.price, order.placed_at, order.display_qty = 1, price, now, display_qty
        order.interest_qty = 0 if order.flagged else order.order_qty
        self._insert(order)

    def resize(self, order: TrackedOrder, order_qty: int, leaves_qty: int) -> None:
        """The order got another quantity. At most what is left is displayed."""
        if order.rests and not order.flagged:
            order.interest_qty += order_qty - order.order_qty
            self.holding(order).interest[order.side] += order_qty - order.order_qty
        order.order_qty, order.leaves_qty, order.display_qty = order_qty, leaves_qty, min(order.display_qty, leaves_qty)

    def end(self, order: TrackedOrder, now: int) -> None:
        """The order left the market."""
        if order.ended_at:
            return
        order.ended_at, order.leaves_qty, order.display_qty = now, 0, 0
        holding = self.holding(order)
        holding.open[order.side].pop(order.order_id, None)
        if order.interest_qty:
            holding.ended[order.side][order.order_id] = order
        self._ended.append(order)

    def flag(self, order: TrackedOrder) -> None:
        """The order was part of an alert: from now on it does not count as genuine interest."""
        self._drop_interest(order)
        order.flagged = 1

    def fade(self, now: int) -> None:
        """Forget orders whose interest is over at `now`."""
        if not self._ended:
            return
        horizon = now - self._interest_ns
        while self._ended and self._ended[0].ended_at < horizon:
            order = self._ended.popleft()
            if self._orders.get(order.order_id) is not order:
                continue  # forgotten before
            self._drop_interest(order)
            order.faded = 1
            self._delete_if_done(order)

    def hold(self, order: TrackedOrder) -> None:
        """Keep the order until it is released as often as it was held."""
        order.held += 1

    def release(self, order: TrackedOrder) -> None:
        """The opposite of hold."""
        assert order.held > 0
        order.held -= 1
        self._delete_if_done(order)

    def snapshot(self) -> dict[str, Rows]:
        """orders: ORDER_DTYPE rows in order of entry; ended: ids in order of their end."""
        rows = np.array([order.row() for order in self._orders.values()], ORDER_DTYPE)
        ended = [order.order_id for order in self._ended if self._orders.get(order.order_id) is order]
        return {"orders": rows, "ended": np.array(ended, "<u8")}

    def restore(self, arrays: dict[str, Any]) -> None:
        """Restore the state of a snapshot into this new tracker. Holds are not part of it: their owners hold again."""
        assert not self._orders
        for row in arrays["orders"].tolist():
            self._insert(TrackedOrder(*row))
        self._ended.extend(self._orders[order_id] for order_id in arrays["ended"].tolist())

    def _insert(self, order: TrackedOrder) -> None:
        self._orders[order.order_id] = order
        holding = self._holding_for(order)
        holding.interest[order.side] += order.interest_qty
        if order.ended_at:
            if order.interest_qty:
                holding.ended[order.side][order.order_id] = order
        elif order.rests:
            holding.open[order.side][order.order_id] = order

    def _holding_for(self, order: TrackedOrder) -> Holding:
        """To put something into."""
        key = (order.owner, order.instrument)
        holding = self._holdings.get(key)
        if holding is None:
            holding = self._holdings[key] = Holding()
        return holding

    def _forget_oldest(self) -> TrackedOrder:
        _, order = self._orders.popitem(last=False)
        self._drop_interest(order)
        self.holding(order).open[order.side].pop(order.order_id, None)
        self._delete_holding_if_empty(order)
        return order

    def _drop_interest(self, order: TrackedOrder) -> None:
        if order.interest_qty:
            holding = self.holding(order)
            holding.interest[order.side] -= order.interest_qty
            if order.ended_at:
                holding.ended[order.side].pop(order.order_id, None)
            order.interest_qty = 0

    def _delete_if_done(self, order: TrackedOrder) -> None:
        if order.faded and not order.held and self._orders.get(order.order_id) is order:
            del self._orders[order.order_id]
        self._delete_holding_if_empty(order)

    def _delete_holding_if_empty(self, order: TrackedOrder) -> None:
        key = (order.owner, order.instrument)
        holding = self._holdings.get(key)
        if holding is not None and holding.is_empty():
            del self._holdings[key]
