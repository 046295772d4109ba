"""What a person wants to see of one book: a frozen BookView, made of a reference book shard or of the canonical arrays of its snapshot.

Asked of the canonical state only (canonical_hash.py), so that nothing here depends on how an engine keeps its memory.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from matchers.state.canonical_hash import Place
from matchers.state.snapshot_head import head_values
from schemas.codec import Rows
from schemas.enums import OrdType, Phase, Side, TimeInForce


@dataclass(frozen=True, slots=True)
class OrderView:
    """A live order. Prices in ticks, quantities in lots."""

    order_id: int
    account: int
    side: Side
    ord_type: OrdType
    time_in_force: TimeInForce
    price: int
    leaves_qty: int
    shown_qty: int
    """What the market sees of it: less than leaves_qty for an iceberg, 0 for a hidden order."""
    entry: int
    """Time priority: the number of its entry in the shard."""
    stop_px: int
    place: Place


@dataclass(frozen=True, slots=True)
class LevelView:
    """One price, its orders in priority: displayed ones, then hidden ones."""

    price: int
    orders: tuple[OrderView, ...]

    @property
    def qty(self) -> int:
        """Displayed lots."""
        return sum(order.shown_qty for order in self.orders)

    @property
    def order_count(self) -> int:
        """Displayed orders."""
        return sum(1 for order in self.orders if order.shown_qty)

    @property
    def reserve_qty(self) -> int:
        """Lots that the market does not see: icebergs' reserves and hidden orders."""
        return sum(order.leaves_qty - order.shown_qty for order in self.orders)

    def qty_of(self, account: int) -> int:
        """Lots of one account, reserves included."""
        return sum(order.leaves_qty for order in self.orders if order.account == account)


@dataclass(frozen=True, slots=True)
class Indicative:
    """Where the book would uncross: ticks (0: nowhere), lots, and what is left over on which side."""

    price: int
    volume: int
    imbalance_side: Side | None
    imbalance: int


@dataclass(frozen=True, slots=True)
class BookView:
    """One instrument's book after a command. Times in ns; 0 where there is nothing to say."""

    instrument: int
    log_time: int
    seq: int
    """Of the shard's latest execution row."""
    phase: Phase
    phase_end: int
    reference_px: int
    last_px: int
    band_low: int
    band_high: int
    limit_side: Side | None
    """The side whose best price is at its band: the limit state."""
    indicative: Indicative
    bids: tuple[LevelView, ...]
    """Best first."""
    asks: tuple[LevelView, ...]
    market_orders: tuple[OrderView, ...]
    """They wait for an uncross, before every limit price."""
    waiting: tuple[OrderView, ...]
    """Not in the book now: dormant stops, parked pegs, secondaries, orders for the close; by entry."""

    def levels(self, side: Side) -> tuple[LevelView, ...]:
        """The levels of a side, best first."""
        return self.bids if side == Side.BUY else self.asks

    def level(self, price: int) -> list[tuple[Side, LevelView]]:
        """The levels at a price; two in a call phase, in which a book may be crossed."""
        return [(side, level) for side in Side for level in self.levels(side) if level.price == price]

    def count(self, place: Place) -> int:
        """Orders that wait in this place."""
        return sum(1 for order in self.waiting if order.place == place)


def view_book(arrays: Mapping[str, Rows], instrument: int) -> BookView:
    """The view of one book of a shard, from the arrays of its `snapshot()` (of the reference engine: canonical arrays).

    Raises KeyError if the shard has no such instrument.
    """
    names = arrays["books"].dtype.names or ()
    found = [row for row in arrays["books"].tolist() if row[names.index("instrument")] == instrument]
    if not found:
        raise KeyError(f"instrument {instrument} is not of this shard")
    book = dict(zip(names, found[0], strict=True))
    rows = arrays["orders"][arrays["orders"]["instrument"] == instrument]
    orders = {order.order_id: order for order in map(_order, _dicts(rows))}
    resting = [orders[order_id] for order_id in arrays["queue"]["order_id"].tolist() if order_id in orders]
    log_time, seq = head_values(arrays)
    return BookView(
        instrument, log_time, seq, Phase(book["phase"]), book["phase_end"], book["reference_px"], book["last_px"], book["band_low"], book["band_high"],
        _side(book["limit_side"]),
        Indicative(book["indicative_px"], book["indicative_volume"], _side(book["indicative_side"]), book["indicative_imbalance"]),
        _levels(resting, Side.BUY), _levels(resting, Side.SELL),
        tuple(order for order in resting if order.ord_type == OrdType.MARKET),
        tuple(order for order in orders.values() if order.place != Place.RESTING),
    )  # fmt: skip


def _dicts(rows: Rows) -> list[dict[str, Any]]:
    return [dict(zip(rows.dtype.names or (), row, strict=True)) for row in rows.tolist()]


def _side(number: int) -> Side | None:
    return Side(number) if number else None


def _order(row: dict[str, Any]) -> OrderView:
    return OrderView(
        row["order_id"], row["account"], Side(row["side"]), OrdType(row["ord_type"]), TimeInForce(row["time_in_force"]), row["price"],
        row["leaves_qty"], row["shown_qty"], row["entry"], row["stop_px"], Place(row["place"]),
    )  # fmt: skip


def _levels(resting: list[OrderView], side: Side) -> tuple[LevelView, ...]:
    """The queue is by price and priority already."""
    by_price: dict[int, list[OrderView]] = {}
    for order in resting:
        if order.side == side and order.ord_type != OrdType.MARKET:
            by_price.setdefault(order.price, []).append(order)
    return tuple(LevelView(price, tuple(orders)) for price, orders in by_price.items())
