"""What happens in the market, as events. Prices are in ticks, quantities in lots, times in ns. No I/O.

An event is told to many clients. `encoded` is where a protocol keeps the bytes that it has made of one, by a name of its own, so that
each encoding is made once, when it is first wanted, and lives as long as the event.
"""

from dataclasses import dataclass, field
from enum import Enum, auto
from typing import NamedTuple

from schemas.enums import Phase
from schemas.instruments import Instrument
from schemas.reject_reasons import Reason


@dataclass(slots=True, eq=False)
class _Event:
    """Of one instrument. `seq` is dense within the instrument and the kind of event; `at` is the time of the book."""

    instrument: Instrument
    seq: int
    at: int
    encoded: dict[str, bytes] = field(default_factory=dict, init=False, repr=False)

    @property
    def symbol(self) -> str:
        """The instrument's."""
        return self.instrument.symbol


@dataclass(slots=True, eq=False)
class Trade(_Event):
    """`taker`: the side that came in, a Side; 0 in an auction."""

    trd_match_id: int
    price: int
    qty: int
    taker: int
    phase: Phase


@dataclass(slots=True, eq=False)
class TradeBust(_Event):
    """A trade that is undone; its sequence is one of its own."""

    trd_match_id: int
    price: int
    qty: int
    reason: Reason


@dataclass(slots=True, eq=False)
class Quote(_Event):
    """Best prices of both sides. Not firm outside continuous trading: they may be crossed, and nobody trades at them."""

    bid_px: int
    bid_qty: int
    ask_px: int
    ask_qty: int
    is_firm: bool


@dataclass(slots=True, eq=False)
class Bar(_Event):
    """A minute, or another span of trades that begins at `at`; `notional` is in ticks x lots."""

    open_px: int
    high_px: int
    low_px: int
    close_px: int
    qty: int
    trades: int
    notional: int


class UpdatedBar(Bar):
    """A minute that was told, as it is without a trade that has been busted since."""

    __slots__ = ()


class DailyBar(Bar):
    """The day so far, told when a minute ends."""

    __slots__ = ()


@dataclass(slots=True, eq=False)
class Status(_Event):
    """The phase that the instrument is in now, and why."""

    phase: Phase
    reason: Reason


@dataclass(slots=True, eq=False)
class Auction(_Event):
    """Where a call phase would uncross now; `side`, a Side, has the imbalance, 0 where there is none."""

    price: int
    qty: int
    imbalance_qty: int
    side: int


class BandUpdate(Enum):
    """Why price bands are told."""

    OPENING = auto()
    INTRADAY = auto()
    REOPENING = auto()
    SUSPENDED = auto()
    """None during a halt or a pause."""
    OUTSIDE_HOURS = auto()
    """None outside continuous trading."""


@dataclass(slots=True, eq=False)
class Bands(_Event):
    """Between which prices the instrument may trade; both 0 where there are none."""

    low_px: int
    high_px: int
    update: BandUpdate


class Level(NamedTuple):
    """A price and how much rests there."""

    price: int
    qty: int


@dataclass(slots=True, eq=False)
class BookLevels(_Event):
    """Levels of the book: those that have changed, of which a quantity of 0 takes one away, or with `is_whole` the best ones as they are."""

    bids: tuple[Level, ...]
    asks: tuple[Level, ...]
    is_whole: bool = False


MarketEvent = Trade | TradeBust | Quote | Bar | UpdatedBar | DailyBar | Status | Auction | Bands | BookLevels
"""Closed: a protocol matches on it and ends with `assert_never`."""
