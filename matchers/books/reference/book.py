"""What a book is made of, in plain Python: orders, price levels with their queues, sides, and the instrument's state.

An order is in one *place*: it rests in a level, or is dormant (stop), parked (peg), waits for another order (secondary) or for the closing auction.
A level has two queues in time priority: displayed orders, then hidden ones. An iceberg stands in the displayed queue with its `shown_qty`.
Market orders that wait for an uncross stand at a price of their own before every limit price.
"""

from bisect import bisect_left, insort
from dataclasses import dataclass, field
from typing import Final

from matchers.rules.order_tables import CALL_PHASES, STOP_TYPES, TRAILING_TYPES
from matchers.state.canonical_hash import Place
from schemas.enums import ExecInst, OrdType, Phase, Side
from schemas.field_rules import IMMEDIATE
from schemas.limits import PRICE_TICKS_MAX

MARKET_LEVEL: Final = {Side.BUY: PRICE_TICKS_MAX + 1, Side.SELL: 0}
"""The price at which market orders wait for an uncross: better than every limit."""

OPPOSITE: Final = {Side.BUY: Side.SELL, Side.SELL: Side.BUY}


@dataclass(eq=False)
class Order:
    """A live order. Columns as in the command; see state_hash.BOOK_ORDER_STATE for the units."""

    order_id: int
    account: int
    instrument: int
    side: int
    ord_type: int
    time_in_force: int
    order_qty: int
    leaves_qty: int
    price: int
    """Limit now; a market order's protection price (0: the collar's); a parked peg's is 0; a trailing stop limit's its distance from stop_px."""
    entry: int = 0
    place: int = Place.NOWHERE
    exec_inst: int = 0
    self_match_prevention_id: int = 0
    self_match_prevention_instruction: int = 0
    display_qty: int = 0
    """As asked for, lots; 0: all of it. It may be more than what is left: then all of that is displayed."""
    shown_qty: int = 0
    """What its level displays of it, lots; 0 unless it rests displayed."""
    min_qty: int = 0
    stop_px: int = 0
    offset: int = 0
    offset_type: int = 0
    peg_price_type: int = 0
    peg_limit: int = 0
    expire_time: int = 0
    oco_id: int = 0
    """order_id of the other of the pair, 0: none."""
    primary_id: int = 0
    """order_id of the order that this secondary waits for, 0: none."""
    secondaries: tuple[int, ...] = ()
    """order_ids of what waits for this one."""

    @property
    def cum_qty(self) -> int:
        """Executed, lots."""
        return self.order_qty - self.leaves_qty

    @property
    def hidden(self) -> bool:
        """Nothing of it is ever displayed."""
        return bool(self.exec_inst & ExecInst.HIDDEN)

    @property
    def level_price(self) -> int:
        """Where it rests."""
        return MARKET_LEVEL[Side(self.side)] if self.ord_type == OrdType.MARKET else self.price

    @property
    def tranche(self) -> int:
        """What it displays when it comes to rest: display_qty, or all that is left if that is less."""
        if self.hidden:
            return 0
        return min(self.display_qty or self.leaves_qty, self.leaves_qty)

    @property
    def displayed_qty(self) -> int:
        """What a row about it says that the market sees: its part of the LEVEL rows, now or, on its way into the book, once it rests there.

        0 of what is not to be seen: hidden, done, dormant, parked, waiting for another order, or never at rest under a price of its own (MARKET,
        MARKET_TO_LIMIT, IOC, FOK). What waits for the closing auction says what it will display there, as nothing but the phase tells that it has begun.
        """
        if self.ord_type not in (OrdType.LIMIT, OrdType.PEGGED) or not self.price or self.time_in_force in IMMEDIATE:
            return 0
        if self.place == Place.RESTING:
            return self.shown_qty
        return self.tranche if self.place in (Place.NOWHERE, Place.CLOSING) else 0

    @property
    def is_stop(self) -> bool:
        """A stop that is not elected yet."""
        return self.ord_type in STOP_TYPES

    @property
    def is_trailing(self) -> bool:
        """A stop whose stop_px moves."""
        return self.ord_type in TRAILING_TYPES


@dataclass
class Level:
    """Orders of one price in time priority."""

    displayed: list[Order] = field(default_factory=list)
    hidden: list[Order] = field(default_factory=list)

    @property
    def qty(self) -> int:
        """Displayed lots."""
        return sum(order.shown_qty for order in self.displayed)

    def orders(self) -> list[Order]:
        """All, in priority."""
        return self.displayed + self.hidden


@dataclass
class BookSide:
    """Levels by price; `keys` are the prices sorted so that the best is first (negated for buys)."""

    side: int
    levels: dict[int, Level] = field(default_factory=dict)
    keys: list[int] = field(default_factory=list)

    def _key(self, price: int) -> int:
        return -price if self.side == Side.BUY else price

    def prices(self) -> list[int]:
        """All prices, best first."""
        return [abs(key) for key in self.keys]

    @property
    def best(self) -> int | None:
        """Best price, hidden orders and waiting market orders included."""
        return abs(self.keys[0]) if self.keys else None

    def reaches(self, price: int, limit: int) -> bool:
        """Whether an order of the other side with this limit can trade at `price`."""
        return self._key(price) <= self._key(limit)

    def add(self, order: Order) -> None:
        """Behind the others of its price and queue."""
        price = order.level_price
        if price not in self.levels:
            insort(self.keys, self._key(price))
            self.levels[price] = Level()
        level = self.levels[price]
        (level.hidden if order.hidden else level.displayed).append(order)

    def remove(self, order: Order) -> None:
        """Take the order out, and its level if that is empty then."""
        price = order.level_price
        level = self.levels[price]
        (level.hidden if order.hidden else level.displayed).remove(order)
        if not level.displayed and not level.hidden:
            del self.levels[price]
            del self.keys[bisect_left(self.keys, self._key(price))]

    def shown(self, price: int) -> tuple[int, int]:
        """(displayed lots, displayed orders) of a price."""
        level = self.levels.get(price)
        return (level.qty, len(level.displayed)) if level else (0, 0)

    def top(self) -> tuple[int, int, int]:
        """(price, lots, orders) of the best displayed limit price; zeros if nothing is displayed."""
        for price in self.prices():
            if price != MARKET_LEVEL[Side(self.side)] and self.levels[price].displayed:
                return price, *self.shown(price)
        return 0, 0, 0

    def peg_reference(self) -> int:
        """Best price of a displayed limit order that is not pegged itself; 0: there is none."""
        for price in self.prices():
            if price != MARKET_LEVEL[Side(self.side)] and any(order.ord_type != OrdType.PEGGED for order in self.levels[price].displayed):
                return price
        return 0


@dataclass
class Book:
    """One instrument: its phase, prices, bands and orders."""

    instrument: int
    reference_px: int
    """Previous close, ticks."""
    phase: Phase = Phase.CLOSED
    rpt_seq: int = 0
    last_px: int = 0
    """Of this trading day, ticks; 0: no trade yet."""
    phase_end: int = 0
    """ns; when a TIMER ends the call phase. 0: a command does."""
    session_close: int = 0
    """ns; end of continuous trading, 0: not known."""
    extended: int = 0
    """1: this auction has been extended already."""
    indicative: tuple[int, int, int, int] = (0, 0, 0, 0)
    """Last published: price, volume, imbalance side, imbalance."""
    luld_reference: int = 0
    luld_moved_at: int = 0
    band_low: int = 0
    band_high: int = 0
    limit_side: int = 0
    limit_since: int = 0
    peg_bid: int = 0
    peg_ask: int = 0
    """The references at which pegs were last repriced; -1: reprice in any case."""
    trades_by_second: dict[int, tuple[int, int]] = field(default_factory=dict)
    """Second -> (sum of prices, trades): the five minutes of the LULD reference price."""
    sides: dict[int, BookSide] = field(default_factory=lambda: {side: BookSide(side) for side in Side})
    stops: dict[int, list[Order]] = field(default_factory=lambda: {side: [] for side in Side})
    """Dormant stops with a stop_px: buys by lowest, sells by highest, then by entry. Trailing ones without a stop_px yet are in `trailing` only."""
    trailing: list[Order] = field(default_factory=list)
    """By entry."""
    pegs: list[Order] = field(default_factory=list)
    """Resting and parked, by entry."""

    @property
    def in_call(self) -> bool:
        """Orders rest without matching."""
        return self.phase in CALL_PHASES

    def tops(self) -> list[tuple[int, int, int]]:
        """Best displayed buy, best displayed sell."""
        return [side.top() for side in self.sides.values()]
