"""Manipulators: one actor a pattern, with a severity from 0 to 1 that decides size, distance, speed and repetition.

What severity means does not depend on any detector's bound: at 0.1 most of them are hardly more than clumsy, at 1 they are flagrant. Where a pattern is a
share of the volume, sizes grow with what the market trades: a share of a busy market takes more. `Party` is the
camouflage: with it, a manipulator spreads its orders over linked accounts, varies sizes, and lets some of what it shows be executed.
"""

from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import Final

from schemas.enums import Phase
from streams.research.labelled.world import BUY, SECOND_NS, SELL, Actor, World

PARTY: Final = 1_000
"""First account of the manipulators."""
CUSTOMER: Final = 1_500
"""Account of the customer whose block is run ahead of."""
USUAL: Final = 30
"""Lots that are usual, as the crowd trades."""


@dataclass(frozen=True)
class Party:
    """Who manipulates: its accounts, and whether it hides."""

    accounts: tuple[int, ...]
    camouflage: bool

    def one(self, world: World) -> int:
        """The account for the next order."""
        return self.accounts[int(world.own_rng.integers(len(self.accounts)))] if self.camouflage else self.accounts[0]

    def lots(self, world: World, qty: float) -> int:
        """A size, varied by a fifth if it hides."""
        return max(1, round(qty * (world.own_rng.uniform(0.8, 1.2) if self.camouflage else 1)))


Inject = Callable[[World, Party, float], Actor]


def _gap(world: World) -> Generator[float, None, int]:
    """Wait, at most five seconds, for room between bid and ask; a price there, or the bid's if there is none."""
    for _ in range(100):
        if world.best[SELL] - world.best[BUY] >= 2:
            break
        yield 0.05
    return (world.best[BUY] + world.best[SELL]) // 2


def spoofing(world: World, party: Party, severity: float) -> Actor:
    """Shows one large order, trades a little on the other side, cancels. Two to six times."""
    began, ids = world.now, []
    for turn in range(2 + round(4 * severity)):
        side = BUY if turn % 2 else SELL
        away = -1 if side == BUY else 1
        account = party.one(world)
        shown = world.order(
            account, side, world.best[side] + away * (3 - round(2 * severity)), party.lots(world, world.usual_level * (1 + 11 * severity))
        )
        yield 1.0 - 0.7 * severity
        other = world.order(party.one(world), BUY + SELL - side, world.best[side], party.lots(world, USUAL), immediate=True)
        yield 1.5 - 1.3 * severity
        world.cancel(account, shown)
        ids += [shown, other]
        yield 6.0 - 4 * severity
    world.label("SPOOFING", party.accounts, severity, began, ids)


def layering(world: World, party: Party, severity: float) -> Actor:
    """Several orders at several prices, a trade on the other side, cancels. Two to five times."""
    began, ids = world.now, []
    for turn in range(2 + round(3 * severity)):
        side = BUY if turn % 2 else SELL
        away = -1 if side == BUY else 1
        layers = []
        for level in range(3 + round(4 * severity)):
            account = party.one(world)
            price = world.best[side] + away * (1 + round(2 * (1 - severity)) + level)
            layers.append((account, world.order(account, side, price, party.lots(world, world.usual_level * (0.5 + 2 * severity)))))
            yield 0.1
        yield 0.5
        ids.append(world.order(party.one(world), BUY + SELL - side, world.best[side], party.lots(world, USUAL), immediate=True))
        yield 2.0 - 1.5 * severity
        for account, order_id in layers:
            world.cancel(account, order_id)
        ids += [order_id for _, order_id in layers]
        yield 6.0 - 4 * severity
    world.label("LAYERING", party.accounts, severity, began, ids)


def wash_trade(world: World, party: Party, severity: float) -> Actor:
    """Rests an order inside the spread and takes it at once, with another account of its own if it has one."""
    began, ids = world.now, []
    for _ in range(1 + round(5 * severity)):
        price = yield from _gap(world)
        qty = party.lots(world, USUAL * (0.5 + 4 * severity))
        first, second = party.accounts[0], party.accounts[-1]
        ids.append(world.order(first, SELL, price, qty, unprevented=True))
        ids.append(world.order(second, BUY, price, qty, immediate=True, unprevented=True))
        yield 4.0
    world.label("WASH_TRADE", party.accounts, severity, began, ids)


def matched_orders(world: World, party: Party, severity: float) -> Actor:
    """Two parties, not linked, who enter opposite orders of one size within a moment of one another. Four to sixteen times."""
    began, ids = world.now, []
    a, b = party.accounts[0], party.accounts[-1]
    for turn in range(4 + round(12 * severity)):
        price = yield from _gap(world)
        qty = max(1, round(USUAL * (1 + 3 * severity)))
        ids.append(world.order(a if turn % 2 else b, SELL, price, qty))
        yield 0.01
        ids.append(world.order(b if turn % 2 else a, BUY, price, qty, immediate=not party.camouflage))
        yield 3.0
    world.label("MATCHED_ORDERS", (a, b), severity, began, ids)


def circular_trading(world: World, party: Party, severity: float) -> Actor:
    """Three to five parties pass the same lots around."""
    members = party.accounts[: 3 + round(2 * severity)]
    began, ids = world.now, []
    for _ in range(3 + round(7 * severity)):
        qty = max(1, round(USUAL * (1 + 3 * severity)))
        for at, seller in enumerate(members):
            price = yield from _gap(world)
            ids.append(world.order(seller, SELL, price, qty))
            ids.append(world.order(members[(at + 1) % len(members)], BUY, price, qty, immediate=True))
            yield 1.5
    world.label("CIRCULAR_TRADING", members, severity, began, ids)


def marking_the_close(world: World, party: Party, severity: float) -> Actor:
    """Buys aggressively in the last seconds before the closing auction. It begins 2 to 12 s before the end (see evaluate)."""
    began, ids = world.now, []
    while world.phase == Phase.CONTINUOUS:
        pause = 0.35 - 0.25 * severity
        # beside what everybody trades, three times severity: 70 % of the volume, as Athena's, is about 0.8
        qty = party.lots(world, max(USUAL * (2 + 10 * severity), 3 * severity * world.pace() * pause))
        ids.append(world.order(party.one(world), BUY, world.best[SELL] + 1 + round(4 * severity), qty, immediate=True))
        yield pause
    world.label("MARKING_THE_CLOSE", party.accounts, severity, began, ids)


def painting_the_tape(world: World, party: Party, severity: float) -> Actor:
    """Small buys that each lift the price, and small passive sales that give the lots back."""
    began, ids = world.now, []
    for _ in range(12 + round(40 * severity)):
        account = party.one(world)
        ids.append(world.order(account, SELL, world.best[SELL] + 1, 4))
        price = world.best[SELL]
        ids.append(world.order(party.one(world), BUY, price, party.lots(world, 3), immediate=True))
        yield 0.4
        ids.append(world.order(party.one(world), SELL, world.best[BUY], 2, immediate=True))
        yield 1.6 - severity
    world.label("PAINTING_THE_TAPE", party.accounts, severity, began, ids)


def momentum_ignition(world: World, party: Party, severity: float) -> Actor:
    """Buys through the book with several large orders, then sells into what follows."""
    began, ids, bought = world.now, [], 0
    for _ in range(3 + round(5 * severity)):
        qty = party.lots(world, world.usual_level * (1 + 5 * severity))
        ids.append(world.order(party.one(world), BUY, world.best[SELL] + 1 + round(2 * severity), qty, immediate=True))
        bought += qty
        yield 0.5 - 0.4 * severity
    # sells above nearly all that it paid, to those who follow
    price = world.best[SELL] - 1
    for _ in range(4):
        ids.append(world.order(party.one(world), SELL, max(price, world.best[BUY]), max(bought // 4, 1)))
        yield 1.0
    yield 20.0
    world.label("MOMENTUM_IGNITION", party.accounts, severity, began, ids)


def ramping(world: World, party: Party, severity: float) -> Actor:
    """Buys more than anybody for some minutes, always a little higher, then sells a part of it."""
    began, ids, bought, pace = world.now, [], 0, world.pace()
    for _ in range(120):
        qty = party.lots(world, max(world.usual_level * (0.3 + 2 * severity), severity * pace))
        ids.append(world.order(party.one(world), BUY, world.best[SELL] + 1 + round(2 * severity), qty, immediate=True))
        bought += qty
        yield 1.0
    for _ in range(20):
        ids.append(world.order(party.one(world), SELL, world.best[BUY] - 1, max(bought // 60, 1), immediate=True))
        yield 0.5
    world.label("RAMPING", party.accounts, severity, began, ids)


def quote_stuffing(world: World, party: Party, severity: float) -> Actor:
    """Thousands of orders away from the market, each canceled a moment later, for one to five seconds."""
    began, ids = world.now, []
    pause = 1 / (60 + 400 * severity)
    for _ in range(round((1 + 4 * severity) / pause)):
        account = party.one(world)
        order_id = world.order(account, BUY, world.best[BUY] - 15, party.lots(world, USUAL))
        ids.append(order_id)
        world.cancel_later(account, order_id, 0.02)
        yield pause
    world.label("QUOTE_STUFFING", party.accounts, severity, began, ids)


def order_to_trade(world: World, party: Party, severity: float) -> Actor:
    """A strategy that changes its mind a thousand times a trade; slow enough to be no flood."""
    began, ids = world.now, []
    for turn in range(1_200 + round(1_000 * severity)):
        account = party.one(world)
        order_id = world.order(account, BUY if turn % 2 else SELL, world.best[BUY] - 12 if turn % 2 else world.best[SELL] + 12, USUAL)
        ids.append(order_id)
        world.cancel_later(account, order_id, 0.3)
        yield 0.05
    world.label("ORDER_TO_TRADE", party.accounts, severity, began, ids)


def unbalanced_cancel(world: World, party: Party, severity: float) -> Actor:
    """Shows and cancels bids all the time, and sells at every chance."""
    began, ids = world.now, []
    for turn in range(60 + round(100 * severity)):
        account = party.one(world)
        order_id = world.order(account, BUY, world.best[BUY] - 2, party.lots(world, USUAL))
        ids.append(order_id)
        yield 0.6
        world.cancel(account, order_id)
        if turn % 5 == 0:
            ids.append(world.order(party.one(world), SELL, world.best[BUY], party.lots(world, USUAL / 2), immediate=True))
        yield 0.2
    world.label("UNBALANCED_CANCEL", party.accounts, severity, began, ids)


def erroneous_order(world: World, party: Party, severity: float) -> Actor:
    """Ordinary orders, then one at a wrong price or of a wrong size."""
    began = world.now
    for _ in range(25):
        order_id = world.order(party.accounts[0], BUY, world.best[BUY] - 3, USUAL)
        yield 0.4
        world.cancel(party.accounts[0], order_id)
    if world.own_rng.random() < 0.5:
        wrong = world.order(party.accounts[0], BUY, round(world.best[SELL] * (1.02 + 0.15 * severity)), USUAL)
    else:
        wrong = world.order(party.accounts[0], BUY, world.best[BUY] - 1, round(USUAL * (20 + 400 * severity)))
    yield 1.0
    world.label("ERRONEOUS_ORDER", party.accounts[:1], severity, began, [wrong])


def pinging(world: World, party: Party, severity: float) -> Actor:
    """Lots of one share at successive prices, then a large order."""
    began, ids = world.now, []
    for turn in range(4 + round(8 * severity)):
        ids.append(world.order(party.one(world), BUY, world.best[SELL] - turn % 2, 1, immediate=True))
        yield 0.6
    ids.append(world.order(party.one(world), BUY, world.best[SELL], 1, immediate=True))
    yield 2.0 - 1.5 * severity
    ids.append(world.order(party.one(world), BUY, world.best[SELL] + 1, party.lots(world, USUAL * (1 + 12 * severity))))
    yield 1.0
    world.label("PINGING", party.accounts, severity, began, ids)


def indicative_price(world: World, party: Party, severity: float) -> Actor:
    """In the opening auction, a large order far through the market that is taken back before the uncross (see evaluate for the phases)."""
    began, ids = world.now, []
    for _ in range(1 + round(2 * severity)):
        account = party.one(world)
        price = round(world.best[SELL] * (1.005 + 0.05 * severity)) + 20
        standing = sum(lots for _, lots in world.open.values())  # it takes more to move a price at which many would trade
        order_id = world.order(account, BUY, price, party.lots(world, max(USUAL * (20 + 200 * severity), 1.2 * severity * standing)))
        ids.append(order_id)
        yield 1.0
        world.cancel(account, order_id)
        yield 0.5
    world.label("INDICATIVE_PRICE", party.accounts, severity, began, ids)


def front_running(world: World, party: Party, severity: float) -> Actor:
    """A member buys for itself, offers that a little higher, and only then enters its customer's block. One to three times."""
    began, ids = world.now, []
    for _ in range(1 + round(2 * severity)):
        bought, first_px = 0, world.best[SELL]
        for _ in range(3):
            qty = party.lots(world, world.usual_level * (0.3 + severity))
            ids.append(world.order(party.one(world), BUY, world.best[SELL] + 1, qty, immediate=True))
            bought += qty
            yield 0.3 + 2 * (1 - severity)
        price = max(world.best[SELL] - 1, first_px + 2)
        ids += [world.order(party.one(world), SELL, price + step, max(bought // 3, 1)) for step in range(3)]
        yield 0.1
        world.order(CUSTOMER, BUY, price + 6, round(world.usual_level * (3 + 8 * severity)), immediate=True)
        yield 2.0
        left = [order_id for order_id in ids if order_id in world.open]
        for order_id in left:
            account, lots = world.open[order_id]
            world.cancel(account, order_id)
            ids.append(world.order(account, SELL, world.best[BUY], lots, immediate=True))
        yield 12.0
    world.label("FRONT_RUNNING", party.accounts, severity, began, ids)


def floor_and_ceiling(world: World, party: Party, severity: float) -> Actor:
    """Bids at one price, just above the others, again and again as the bids are executed, for 80 to 140 s in which others would pay less."""
    began, ids, price = world.now, [0], (world.best[BUY] + world.best[SELL]) // 2
    world.belief = price - 2.0
    while world.now < began + (80 + 60 * severity) * SECOND_NS:
        if ids[-1] not in world.open:
            ids.append(world.order(party.one(world), BUY, price, party.lots(world, world.usual_level * (0.2 + severity))))
        yield 0.05
    world.belief = None
    if ids[-1] in world.open:
        world.cancel(world.open[ids[-1]][0], ids[-1])
    world.label("FLOOR_AND_CEILING", party.accounts, severity, began, ids[1:])


def pump_and_dump(world: World, party: Party, severity: float) -> Actor:
    """Buys quietly, has a rumour drive the price up by 1.5 to 7.5 %, sells to those who believe it; then the price comes back.

    The rumour takes a minute; where few trade up to 100 s, and the price may stay behind.
    """
    began, ids, bought, pace = world.now, [], 0, world.pace()
    for _ in range(20):
        qty = party.lots(world, max(world.usual_level, pace) * (0.2 + severity))
        ids.append(world.order(party.one(world), BUY, world.best[SELL], qty, immediate=True))
        bought += qty
        yield 1.0
    rise = world.best[BUY] * (0.015 + 0.06 * severity)
    target, world.rumour = world.best[BUY] + 0.6 * rise, rise / 60
    yield 60.0
    for _ in range(40):
        if world.best[BUY] >= target:
            break
        yield 1.0
    world.rumour = 0.0
    for _ in range(20):
        ids.append(world.order(party.one(world), SELL, world.best[BUY], max(bought // 24, 1), immediate=True))
        yield 0.6
    world.rumour = -world.best[BUY] * (0.015 + 0.06 * severity) / 50
    yield 45.0
    world.rumour = 0.0
    yield 2.0
    world.label("PUMP_AND_DUMP", party.accounts, severity, began, ids)


INJECTORS: Final[dict[str, Inject]] = {
    "LAYERING": layering, "SPOOFING": spoofing, "WASH_TRADE": wash_trade, "MATCHED_ORDERS": matched_orders, "CIRCULAR_TRADING": circular_trading,
    "MARKING_THE_CLOSE": marking_the_close, "PAINTING_THE_TAPE": painting_the_tape, "MOMENTUM_IGNITION": momentum_ignition, "RAMPING": ramping,
    "QUOTE_STUFFING": quote_stuffing, "ORDER_TO_TRADE": order_to_trade, "UNBALANCED_CANCEL": unbalanced_cancel, "ERRONEOUS_ORDER": erroneous_order,
    "PINGING": pinging, "INDICATIVE_PRICE": indicative_price, "FRONT_RUNNING": front_running, "FLOOR_AND_CEILING": floor_and_ceiling,
    "PUMP_AND_DUMP": pump_and_dump,
}  # fmt: skip
NOT_LINKED: Final = ("MATCHED_ORDERS", "CIRCULAR_TRADING")
"""Patterns of several parties: their accounts are in no owner set."""
