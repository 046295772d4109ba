"""The demo's manipulators: five kinds, each a script of what one account does when. No I/O, no dice: the steps are the same in every session.

What is shown stands out of reach of ordinary orders, so only the wash trades and what a manipulator really buys or sells trade with anybody.
"""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, Protocol

from schemas.enums import OrdType, Side, TimeInForce

FAR_TICKS: Final = 25
"""From the reference price: out of reach of ordinary orders."""
EPISODES_AT: Final = (0.3, 0.65)
"""Of the session, when each manipulator begins; they are half a second apart."""
MORE_EPISODES_AT: Final = (0.3, 0.475, 0.65, 0.825)
"""Of a session of LONG_TICKS and more: a fault that falls into one does not hide the others."""
LONG_TICKS: Final = 400
APART_TICKS: Final = 10


class Pattern(StrEnum):
    """What a manipulator does, named as its alert."""

    LAYERING = "LAYERING"
    SPOOFING = "SPOOFING"
    WASH_TRADE = "WASH_TRADE"
    PINGING = "PINGING"
    QUOTE_STUFFING = "QUOTE_STUFFING"


class Hand(Protocol):
    """How a manipulator acts on its instrument. Prices in ticks from the reference price of the moment, sizes in lots."""

    def enter(
        self, side: Side, qty: int, away_ticks: int, *, ord_type: OrdType = OrdType.LIMIT, lifetime: TimeInForce = TimeInForce.DAY,
        meets_itself: bool = False,
    ) -> None:  # fmt: skip
        """Send an order; what can rest is remembered."""

    def withdraw(self) -> None:
        """Cancel all that is remembered."""


Deed = Callable[[Hand], None]


@dataclass(frozen=True)
class Step:
    """A deed, some ticks after the beginning."""

    tick: int
    deed: Deed


def _sell(qty: int) -> Deed:
    return lambda hand: hand.enter(Side.SELL, qty, 0, ord_type=OrdType.MARKET, lifetime=TimeInForce.IOC)


def _bid(qty: int, away_ticks: int) -> Deed:
    return lambda hand: hand.enter(Side.BUY, qty, -away_ticks)


def _withdraw(hand: Hand) -> None:
    hand.withdraw()


def _layering() -> list[Step]:
    """Bids at six prices, two sales into the buyers that they attract, and the bids are gone."""
    layers = [Step(number, _bid(400, FAR_TICKS + 3 * number)) for number in range(6)]
    return [*layers, Step(12, _sell(60)), Step(18, _sell(60)), Step(26, _withdraw)]


def _spoofing() -> list[Step]:
    """One bid that is many times what usually stands at the touch, a small sale, and the bid is gone; twice."""
    once = ((0, _bid(3_000, FAR_TICKS)), (8, _sell(20)), (16, _withdraw))
    return [Step(tick + start, deed) for start in (0, 24) for tick, deed in once]


def _wash(hand: Hand) -> None:
    """What others leave of the first order, the second one takes."""
    hand.enter(Side.SELL, 300, 0, meets_itself=True)
    hand.enter(Side.BUY, 300, 0, lifetime=TimeInForce.IOC, meets_itself=True)
    hand.withdraw()


def _wash_trades() -> list[Step]:
    """A sale and a purchase of one size and price, sent together; four times."""
    return [Step(number * 10, _wash) for number in range(4)]


def _pinging() -> list[Step]:
    """Single shares are bought at once, six times; then a large order comes."""
    pings = [
        Step(number * 4, lambda hand: hand.enter(Side.BUY, 1, 0, ord_type=OrdType.MARKET, lifetime=TimeInForce.IOC)) for number in range(6)
    ]
    return [*pings, Step(26, lambda hand: hand.enter(Side.BUY, 600, 4)), Step(40, _withdraw)]


def _flash(hand: Hand) -> None:
    for _ in range(28):
        hand.enter(Side.BUY, 10, -2 * FAR_TICKS)
        hand.withdraw()


def _stuffing() -> list[Step]:
    """112 orders within a fifth of a second, each canceled at once: also across the end of a second, one of the two has a flood."""
    return [Step(number, _flash) for number in range(4)]


SCRIPTS: Final[dict[Pattern, Callable[[], list[Step]]]] = {
    Pattern.LAYERING: _layering, Pattern.SPOOFING: _spoofing, Pattern.WASH_TRADE: _wash_trades, Pattern.PINGING: _pinging,
    Pattern.QUOTE_STUFFING: _stuffing,
}  # fmt: skip


def steps_of(pattern: Pattern, session_ticks: int) -> list[Step]:
    """What a manipulator does in a session, in order: its script in each episode."""
    later, shares = list(Pattern).index(pattern) * APART_TICKS, EPISODES_AT if session_ticks < LONG_TICKS else MORE_EPISODES_AT
    return [Step(int(share * session_ticks) + later + step.tick, step.deed) for share in shares for step in SCRIPTS[pattern]()]
