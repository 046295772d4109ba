"""How the simulated traders behave: makers quote and requote, takers trade and sometimes err; manipulators are in streams.demo.manipulators. Seeded, no I/O.

Time is divided into ticks of 50 ms, and every tick is a function of the seed alone. So a seed defines a session: the same orders in the same
order, however they are sent. (Which of them trade depends on timing.)
"""

import random
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Final

from schemas.enums import OrdType, Side, TimeInForce
from schemas.instruments import InstrumentTable
from schemas.units import MINOR_PER_UNIT
from streams.demo.bad_orders import BadKind
from streams.demo.manipulators import Pattern, steps_of

TICK_S: Final = 0.05
FIRST_ACCOUNT: Final = 1_001
MAKERS_PERCENT: Final = 20
TRADERS_A_MANIPULATOR: Final = 4  # at most one of so many manipulates
MAKER_TURN_CHANCE: Final = 0.30  # a maker's turn is two orders, so makers send a little under half of all orders
BAD_CHANCE: Final = 0.03  # of a taker's turns
RESTING_MAX: Final = 2  # a taker's passive orders; more would look like layers
BIG_QTY: Final = 50_000  # costs more than anyone's money in every instrument, within the limits of all


class Channel(StrEnum):
    """How a trader's orders reach the exchange."""

    HTTP = "http"
    TOPIC = "topic"


class Role(StrEnum):
    """A trader's kind."""

    MAKER = "maker"
    TAKER = "taker"
    MANIPULATOR = "manipulator"


@dataclass(frozen=True)
class Trader:
    """One account and its owner's habits. `instrument`: the one that a maker quotes or a manipulator uses; 0: all. `pattern`: what it does there."""

    account: int
    role: Role
    channel: Channel
    instrument: int
    cash: int  # minor units, at the start
    lots: int  # of every instrument, at the start
    pattern: Pattern | None = None


@dataclass(frozen=True, slots=True)
class NewOrder:
    """An order to send, in lots and ticks. `bad` says what is deliberately wrong with it."""

    account: int
    cl_ord_id: str
    instrument: int
    side: Side
    ord_type: OrdType
    time_in_force: TimeInForce
    order_qty: int
    price: int = 0
    bad: BadKind | None = None
    self_match_prevention_id: int = 0
    """Orders with the same one do not trade with one another; 0: no such protection."""


@dataclass(frozen=True, slots=True)
class CancelOrder:
    """A cancel to send."""

    account: int
    cl_ord_id: str


Action = NewOrder | CancelOrder


def recruit(count: int, instruments: InstrumentTable) -> list[Trader]:
    """`count` traders, at least three: a fifth makers (each instrument gets some), takers, and of the last ones up to five manipulate, each in its own way."""
    assert count >= 3
    numbers = sorted(instruments.by_number)
    makers = max(1, count * MAKERS_PERCENT // 100)
    found = []
    for index in range(count):
        role = Role.MAKER if index < makers else Role.TAKER
        # pairs, so that each channel has accounts of every shard
        channel = Channel.HTTP if index // 2 % 2 == 0 else Channel.TOPIC
        instrument = numbers[index % len(numbers)] if role is Role.MAKER else 0
        cash, lots = (2_000_000, 20_000) if role is Role.MAKER else (1_000_000, 4_000)
        found.append(Trader(FIRST_ACCOUNT + index, role, channel, instrument, cash * MINOR_PER_UNIT, lots))
    patterns = list(Pattern)[: max(1, count // TRADERS_A_MANIPULATOR)]
    for place, (pattern, one) in enumerate(zip(patterns, found[-len(patterns) :], strict=True)):
        number = numbers[place % len(numbers)]
        found[place - len(patterns)] = Trader(
            one.account, Role.MANIPULATOR, Channel.TOPIC, number, 4_000_000 * MINOR_PER_UNIT, 4_000, pattern
        )
    return found


@dataclass
class _Memory:
    """What a trader remembers: its resting orders, oldest first, and how many orders it has sent."""

    resting: deque[str] = field(default_factory=deque)
    orders: int = 0


class Crowd:
    """All traders together, sending `rate` orders per second for `session_s` seconds."""

    def __init__(self, seed: int, traders: list[Trader], instruments: InstrumentTable, rate: float, session_s: float) -> None:
        self._random = random.Random(seed)  # noqa: S311  a simulation wants to be repeatable, not secret
        self._prefix = f"demo{seed}"
        self._instruments = instruments
        self._rate = rate
        self._makers = [trader for trader in traders if trader.role is Role.MAKER]
        self._takers = [trader for trader in traders if trader.role is Role.TAKER]
        self._memory = {trader.account: _Memory() for trader in traders}
        self._prices = {one.number: one.price_to_ticks(one.reference_price) for one in instruments}
        self._anchors = dict(self._prices)
        self._ticks, self._budget = 0, 0.0
        script = [
            (step.tick, trader, step.deed)
            for trader in traders
            if trader.pattern
            for step in steps_of(trader.pattern, int(session_s / TICK_S))
        ]
        self._script = deque(sorted(script, key=lambda one: one[0]))

    def until(self, elapsed_s: float) -> Iterator[Action]:
        """All actions of the ticks that end by `elapsed_s` and were not returned before."""
        while (self._ticks + 1) * TICK_S <= elapsed_s:
            self._ticks += 1
            self._move_prices()
            yield from self._manipulate()
            self._budget += self._rate * TICK_S
            while self._budget >= 1:
                for action in self._one_turn():
                    self._budget -= isinstance(action, NewOrder)
                    yield action

    # ---- the market as everybody sees it

    def _move_prices(self) -> None:
        """A random walk of at most one tick per step, pulled back to the opening price."""
        for number, price in self._prices.items():
            pull = (self._anchors[number] - price) / 400
            step = self._random.random()
            self._prices[number] = price + (step < 0.25 + pull / 4) - (step > 0.75 + pull / 4)

    # ---- one trader's turn

    def _one_turn(self) -> list[Action]:
        maker = not self._takers or self._random.random() < MAKER_TURN_CHANCE
        if maker:
            return self._quote(self._random.choice(self._makers))
        return self._take(self._random.choice(self._takers))

    def _quote(self, trader: Trader) -> list[Action]:
        """Cancel the old quote and send a new one on both sides."""
        memory = self._memory[trader.account]
        actions: list[Action] = [CancelOrder(trader.account, one) for one in memory.resting]
        memory.resting.clear()
        middle, half = self._prices[trader.instrument], self._random.randint(2, 6)
        for side, price in ((Side.BUY, middle - half), (Side.SELL, middle + half)):
            qty = self._random.randint(5, 25) * 10
            order = self._order(trader, trader.instrument, side, OrdType.LIMIT, TimeInForce.DAY, qty, price)
            memory.resting.append(order.cl_ord_id)
            actions.append(order)
        return actions

    def _take(self, trader: Trader) -> list[Action]:
        memory, dice = self._memory[trader.account], self._random.random()
        number = self._random.choice(list(self._prices))
        side = self._random.choice((Side.BUY, Side.SELL))
        qty, middle = self._random.randint(1, 60), self._prices[number]
        if dice < BAD_CHANCE:
            return [self._bad(trader, number, side, qty, middle)]
        if dice < 0.30:
            return [self._order(trader, number, side, OrdType.MARKET, TimeInForce.IOC, qty)]
        if dice < 0.70:
            reach = 10 if side == Side.BUY else -10
            return [self._order(trader, number, side, OrdType.LIMIT, TimeInForce.IOC, qty, middle + reach)]
        actions: list[Action] = []
        while len(memory.resting) >= RESTING_MAX:
            actions.append(CancelOrder(trader.account, memory.resting.popleft()))
        distance = self._random.randint(1, 12)
        lifetime = self._random.choice((TimeInForce.DAY, TimeInForce.GTC))
        order = self._order(
            trader, number, side, OrdType.LIMIT, lifetime, qty, middle - distance if side == Side.BUY else middle + distance
        )
        memory.resting.append(order.cl_ord_id)
        return [*actions, order]

    def _bad(self, trader: Trader, number: int, side: Side, qty: int, price: int) -> NewOrder:
        kind = self._random.choice(list(BadKind))
        limits = self._instruments.by_number[number]
        above = limits.qty_to_lots(limits.max_order_qty) + 1
        side = {BadKind.NO_MONEY: Side.BUY, BadKind.NO_SHARES: Side.SELL}.get(kind, side)
        qty = {BadKind.NO_MONEY: BIG_QTY, BadKind.NO_SHARES: BIG_QTY, BadKind.ABOVE_QUANTITY_LIMIT: above}.get(kind, qty)
        opening = kind is BadKind.MARKET_TO_LIMIT_OPG
        lifetime = TimeInForce.OPG if opening else TimeInForce.DAY
        return self._order(
            trader, number, side, OrdType.MARKET_TO_LIMIT if opening else OrdType.LIMIT, lifetime, qty, 0 if opening else price, bad=kind
        )

    def _order(
        self,
        trader: Trader,
        instrument: int,
        side: Side,
        ord_type: OrdType,
        time_in_force: TimeInForce,
        qty: int,
        price: int = 0,
        bad: BadKind | None = None,
    ) -> NewOrder:
        memory = self._memory[trader.account]
        memory.orders += 1
        cl_ord_id = f"{self._prefix}-{trader.account}-{memory.orders}"
        return NewOrder(trader.account, cl_ord_id, instrument, side, ord_type, time_in_force, qty, price, bad, trader.account)

    # ---- manipulators

    def _manipulate(self) -> Iterator[Action]:
        while self._script and self._script[0][0] <= self._ticks:
            _, trader, deed = self._script.popleft()
            hand = _Hand(self, trader)
            deed(hand)
            yield from hand.actions


class _Hand:
    """What a manipulator does in one step: see streams.demo.manipulators.Hand."""

    def __init__(self, crowd: Crowd, trader: Trader) -> None:
        self._crowd, self._trader = crowd, trader
        self._resting = crowd._memory[trader.account].resting
        self.actions: list[Action] = []

    def enter(
        self, side: Side, qty: int, away_ticks: int, *, ord_type: OrdType = OrdType.LIMIT, lifetime: TimeInForce = TimeInForce.DAY,
        meets_itself: bool = False,
    ) -> None:  # fmt: skip
        """Send an order; what can rest is remembered."""
        number = self._trader.instrument
        price = 0 if ord_type is OrdType.MARKET else self._crowd._prices[number] + away_ticks
        order = self._crowd._order(self._trader, number, side, ord_type, lifetime, qty, price)
        self.actions.append(replace(order, self_match_prevention_id=0) if meets_itself else order)
        if lifetime is TimeInForce.DAY:
            self._resting.append(order.cl_ord_id)

    def withdraw(self) -> None:
        """Cancel all that is remembered."""
        self.actions += [CancelOrder(self._trader.account, one) for one in self._resting]
        self._resting.clear()
