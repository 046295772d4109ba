"""Everybody who does nothing wrong: a crowd, market makers, large investors, and the look-alikes that no detector may report.

The crowd's sizes are lognormal with the quantiles of kishoreqwerty's aggregates of US trades (p50 20, p90 100, p99 about 400); arrivals are Poisson. It is
calibrated to those aggregates and to nothing else: how it behaves is ours.
"""

from collections.abc import Callable
from typing import Final

import numpy as np

from schemas.enums import Phase, TimeInForce
from streams.research.labelled.world import BUY, SECOND_NS, SELL, START_PX, Actor, World

CROWD: Final = 10_000
"""First account of the crowd."""
MAKERS: Final = 100
"""First account of the market makers; the others below the crowd follow it."""
FOLLOWERS: Final = 110
CONTROL: Final = 200
SIZE_MU, SIZE_SIGMA = np.log(20), np.log(5) / 1.2816
"""Of the logarithm of a size: median 20, p90 100."""
IMPACT_TICKS_MAX: Final = 5.0
RUMOUR_TICKS_MAX: Final = 150.0
"""How far from the market a rumour takes the value."""
PEER_SHARE: Final = 0.45
"""Of a move of what is worth much the same, how much is believed at once. Below a half, or two markets would drive one another away."""
VALUE_TICKS_PER_ROOT_S: Final = 0.4
"""The value around which the crowd quotes is a random walk."""


def size(world: World) -> int:
    """Lots of an ordinary order."""
    return max(1, int(world.rng.lognormal(SIZE_MU, SIZE_SIGMA)))


class Value:
    """What the crowd thinks the instrument is worth, in ticks."""

    def __init__(self, world: World) -> None:
        self._world, self._at, self.ticks, self._flow = world, world.now, float(START_PX), 0
        self._peers, self._shared = float(START_PX), 0.0

    def now(self) -> float:
        """Moved on to the present."""
        passed = (self._world.now - self._at) / SECOND_NS
        self._at = self._world.now
        self.ticks += self._world.rng.normal(0, VALUE_TICKS_PER_ROOT_S * np.sqrt(passed)) if passed else 0.0
        if self._world.peer is not None:
            best = self._world.peer.best
            before, self._peers = self._peers, (best[BUY] + best[SELL]) / 2
            known, self._shared = self._shared, self._world.shared
            self.ticks += PEER_SHARE * (self._peers - before) + self._shared - known
        taken, self._flow = self._world.flow - self._flow, self._world.flow
        if self._world.rumour:
            self.ticks += self._world.rumour * passed
            # nobody bids far from where the others trade, however good the story is
            middle = (self._world.best[BUY] + self._world.best[SELL]) / 2
            self.ticks = float(np.clip(self.ticks, middle - RUMOUR_TICKS_MAX, middle + RUMOUR_TICKS_MAX))
            return self.ticks
        # who takes may know something: half a tick for each usual level taken (Kyle's lambda), at most IMPACT_TICKS_MAX at once
        self.ticks += float(np.clip(0.5 * taken / self._world.usual_level, -IMPACT_TICKS_MAX, IMPACT_TICKS_MAX))
        # the market's own prices are news too, so that a push is followed for a while
        middle = (self._world.best[BUY] + self._world.best[SELL]) / 2
        towards = middle if self._world.belief is None else self._world.belief
        self.ticks += (towards - self.ticks) * (1 - np.exp(-passed / 8))
        return self.ticks


def crowd(world: World, value: Value, orders_per_s: float) -> Actor:
    """Many investors who each trade now and then: 70 % rest, the others take. Nine in ten of what rests are canceled some time later."""
    accounts = max(300, int(60 * orders_per_s))
    life_s = float(np.clip(60 / orders_per_s, 1.5, 20))
    rng = world.rng
    while True:
        yield float(rng.exponential(1 / orders_per_s))
        account, side = CROWD + int(accounts * rng.random() ** 1.5), BUY if rng.random() < 0.5 else SELL
        away = -1 if side == BUY else 1
        worth = value.now()
        if rng.random() < 0.3 and world.phase == Phase.CONTINUOUS:
            world.order(account, side, world.best[BUY + SELL - side] - away, size(world), immediate=True)
            continue
        price = round(worth) + away * (1 + int(rng.geometric(0.2)))
        order_id = world.order(account, side, price, size(world))
        if rng.random() < 0.9:
            world.cancel_later(account, order_id, float(rng.exponential(life_s)))


def market_maker(world: World, value: Value, account: int, every_s: float, levels: int = 3) -> Actor:
    """Quotes both sides, leans against its position by its prices, and quotes again when it pleases."""
    quotes: list[int] = []
    while True:
        yield float(world.rng.exponential(every_s))
        if world.phase != Phase.CONTINUOUS:
            continue
        for order_id in quotes:
            if order_id in world.open:
                world.cancel(account, order_id)
        middle = round(value.now())
        lots = 40 + int(world.rng.integers(0, 80))
        quotes = [
            world.order(account, side, middle + sign * (2 + level), lots)
            for level in range(levels) for side, sign in ((BUY, -1), (SELL, 1))
        ]  # fmt: skip


def follower(world: World, account: int) -> Actor:
    """A trend follower: buys after the price rose by four ticks in two seconds, sells after it fell, then waits."""
    seen: list[float] = []
    while True:
        yield 0.25 + float(world.rng.uniform(0, 0.05))
        seen = [*seen[-7:], (world.best[BUY] + world.best[SELL]) / 2]
        if world.phase == Phase.CONTINUOUS and abs(seen[-1] - seen[0]) >= 4:
            side = BUY if seen[-1] > seen[0] else SELL
            for _ in range(3):
                away = 1 if side == BUY else -1
                world.order(account, side, world.best[BUY + SELL - side] + 2 * away, 2 * size(world), immediate=True)
                yield 0.5
            seen = []
            yield 5.0


def populate(world: World, density: float) -> None:
    """A crowd and three market makers, `density` orders a second together, and six trend followers beside them."""
    value = Value(world)
    world.add(crowd(world, value, density * 0.7))
    for number in range(3):
        world.add(market_maker(world, value, MAKERS + number, every_s=18 / (density * 0.3)))
    for number in range(6):
        world.add(follower(world, FOLLOWERS + number))


# -- look-alikes: nobody may be accused of these


def slicer(world: World, account: int) -> Actor:
    """A large buyer that splits its order over the day (VWAP): aggressive, one side, and nothing sold afterwards."""
    while True:
        yield float(world.own_rng.uniform(3, 6))
        if world.phase == Phase.CONTINUOUS:
            world.order(account, BUY, world.best[SELL] + 1, int(world.own_rng.integers(30, 60)), immediate=True)


def disconnected(world: World, account: int) -> Actor:
    """A quoter whose session breaks: the operator takes all its orders out, also right after it traded."""
    while True:
        yield float(world.own_rng.uniform(4, 8))
        if world.phase != Phase.CONTINUOUS:
            continue
        for level in range(6):
            world.order(account, BUY, world.best[BUY] - 1 - level, 80)
        world.order(account, SELL, world.best[BUY], 10, immediate=True)
        yield 0.5
        world.mass_cancel(account)


def iceberg(world: World, account: int) -> Actor:
    """A seller that shows a tenth of what it has, and takes small buys beside it."""
    while True:
        yield float(world.own_rng.uniform(5, 10))
        if world.phase == Phase.CONTINUOUS:
            order_id = world.order(account, SELL, world.best[SELL] + 1, 500, display_qty=50)
            yield 4.0
            if order_id in world.open:
                world.cancel(account, order_id)


def grid(world: World, account: int) -> Actor:
    """A balanced grid on both sides, moved as a whole: its cancels follow its trades."""
    while True:
        yield float(world.own_rng.uniform(2, 4))
        if world.phase != Phase.CONTINUOUS:
            continue
        middle = (world.best[BUY] + world.best[SELL]) // 2
        ids = [world.order(account, side, middle + sign * (2 + n), 60) for n in range(5) for side, sign in ((BUY, -1), (SELL, 1))]
        world.order(account, SELL, world.best[BUY], 20, immediate=True)
        yield 1.5
        for order_id in ids:
            if order_id in world.open:
                world.cancel(account, order_id)


def prevented(world: World, account: int) -> Actor:
    """Two desks of an account that would meet: self-match prevention keeps them apart."""
    while True:
        yield float(world.own_rng.uniform(6, 12))
        if world.phase == Phase.CONTINUOUS:
            price = world.best[SELL] - 1
            order_id = world.order(account, SELL, price, 30)
            yield 0.2
            world.order(account, BUY, price, 30, immediate=True)
            yield 1.0
            if order_id in world.open:
                world.cancel(account, order_id)


def router(world: World, account: int) -> Actor:
    """Splits an order into immediate ones of like size."""
    while True:
        yield float(world.own_rng.uniform(10, 20))
        for _ in range(8):
            if world.phase == Phase.CONTINUOUS:
                world.order(account, SELL, world.best[BUY], 10, immediate=True)
            yield 0.3


def closing_buyer(world: World, account: int) -> Actor:
    """An index fund: a large order for the closing auction, entered early and kept."""
    yield 30.0
    world.order(account, BUY, world.best[SELL] + 20, 2_000, time_in_force=TimeInForce.CLS)


def unwinder(world: World, account: int) -> Actor:
    """Sells a position with many resting orders that follow the market; it buys nothing."""
    order_id = 0
    while True:
        yield float(world.own_rng.uniform(0.8, 1.6))
        if world.phase != Phase.CONTINUOUS:
            continue
        if order_id in world.open:
            world.cancel(account, order_id)
        order_id = world.order(account, SELL, world.best[SELL], 40)


def busy_maker(world: World, account: int) -> Actor:
    """Quotes close to the middle on both sides and takes whenever it likes a price: two of them meet often, by chance."""
    quotes: list[int] = []
    while True:
        yield float(world.own_rng.uniform(1.0, 3.0))
        if world.phase != Phase.CONTINUOUS:
            continue
        for order_id in quotes:
            if order_id in world.open:
                world.cancel(account, order_id)
        side = BUY if world.own_rng.random() < 0.5 else SELL
        if world.own_rng.random() < 0.4:
            world.order(account, side, world.best[BUY + SELL - side], int(world.own_rng.integers(10, 60)), immediate=True)
            yield 0.1
        quotes = [
            world.order(account, side, world.best[side], int(world.own_rng.integers(20, 80))) for side in (BUY, SELL)
        ]  # fmt: skip


def rebalancer(world: World, account: int) -> Actor:
    """An index fund that must be done by the close: equal slices in the last minute, the rest in the closing auction, nothing back."""
    yield max(world.ends_s - 60.0 - 5.0, 0.0)
    while world.phase == Phase.CONTINUOUS and world.ends_s:
        world.order(account, SELL, world.best[BUY], int(world.own_rng.integers(15, 25)), immediate=True)
        world.order(account, SELL, world.best[SELL], int(world.own_rng.integers(15, 25)))
        yield 2.0


def broker(world: World, account: int) -> Actor:
    """A member whose desk hedges after blocks of its customer, and trades both ways at other times. See BROKERS_CUSTOMER."""
    while True:
        for _ in range(4):
            yield float(world.own_rng.uniform(4, 8))
            if world.phase == Phase.CONTINUOUS:
                side = BUY if world.own_rng.random() < 0.5 else SELL
                world.order(account, side, world.best[BUY + SELL - side], int(world.own_rng.integers(5, 30)), immediate=True)
        if world.phase == Phase.CONTINUOUS:
            side = BUY if world.own_rng.random() < 0.5 else SELL
            world.order(account + BROKERS_CUSTOMER, side, world.best[BUY + SELL - side], round(5 * world.usual_level), immediate=True)
            yield 1.0
            world.order(account, side, world.best[BUY + SELL - side], 40, immediate=True)


BROKERS_CUSTOMER: Final = 50
"""Account of a broker's customer, counted from the broker's own."""


CONTROLS: Final[dict[str, Callable[[World, int], Actor]]] = {
    "VWAP slicer": slicer, "disconnects": disconnected, "iceberg": iceberg, "balanced grid": grid, "self-match prevention": prevented,
    "router": router, "closing auction": closing_buyer, "unwinding": unwinder,
    "busy maker": busy_maker, "other busy maker": busy_maker, "index rebalance": rebalancer, "broker": broker,
}  # fmt: skip
"""By what they look like. More stand in every market: market makers, who meet one another, trend followers, and the crowd."""


def add_controls(world: World) -> dict[int, str]:
    """All of them, each with an account of its own: account -> name."""
    accounts = {CONTROL + number: name for number, name in enumerate(CONTROLS)}
    for account, name in accounts.items():
        world.add(CONTROLS[name](world, account), after_s=5.0)
    return accounts | {account + BROKERS_CUSTOMER: name for account, name in accounts.items() if CONTROLS[name] is broker}


def honest_members() -> list[tuple[list[int], list[int]]]:
    """(own accounts, customers' accounts) of the members among the look-alikes."""
    brokers = [CONTROL + number for number, control in enumerate(CONTROLS.values()) if control is broker]
    return [([account], [account + BROKERS_CUSTOMER]) for account in brokers]


def halt(world: World, at_s: float) -> Actor:
    """The operator halts the market, takes out the orders of a quoter that had just traded, and goes on five seconds later."""
    account = CONTROL + list(CONTROLS).index("disconnects")
    yield at_s
    for level in range(6):
        world.order(account, BUY, world.best[BUY] - 1 - level, 120)
    world.order(account, SELL, world.best[BUY], 10, immediate=True)
    yield 0.5
    world.go_to(Phase.HALTED)
    yield 0.5
    world.mass_cancel(account)
    yield 5.0
    world.go_to(Phase.CONTINUOUS)
