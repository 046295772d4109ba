"""Two markets of things that are worth much the same, with doors by which accounts come in and with news: what the second stage is measured on.

Each market is a `World` with an engine of its own; both go on in turn, a quarter of a second at a time. Each book is watched by a first stage of its own,
as two book shards would be. What those tell of parties, the sign-ins and the news go to one second stage, in the order in which they become known.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, Final

import numpy as np

from schemas.codec import Rows
from streams.research.labelled.baseline import Z_MIN, Baseline
from streams.research.labelled.crowd import add_controls, populate
from streams.research.labelled.injectors import PARTY, Party
from streams.research.labelled.markets import CLOSING_S, FRAME_ROWS, OPENING_S, Outcome, Scenario, session
from streams.research.labelled.world import (
    BUY,
    INSTRUMENT,
    OTHER_INSTRUMENT,
    SECOND_NS,
    SELL,
    START_NS,
    Actor,
    Label,
    World,
    instruments_of_both,
)
from surveillance import Owners, Place, TradingWatch
from surveillance.accounts.facts import Record, identified, news_record, sign_in_record
from surveillance.accounts.watch import AccountsWatch

STEP_S: Final = 0.25
INJECTED_AT_S: Final = 290.0
SESSION_S: Final = 660.0
AFTER_S: Final = 40.0
SHARED_TICKS_PER_ROOT_S: Final = 0.6
NEWS_LASTS_S: Final = 60.0
"""For so long everybody comes to believe it."""
CONFEDERATE: Final = 1_600
TRAVELLER, PAIR_MAKER, DAILY_FUND, UNWINDER_OF_PAIRS, CHANGED_DEVICE = range(300, 305)
HOME, ABROAD, THIEF = "home", "hotel", "elsewhere"
DOORS: Final = "doors"
"""Whoever tells of sign-ins and news."""


@dataclass
class Pair:
    """Both markets. `facts`: sign-ins and news that the second stage has not been told yet."""

    one: World
    other: World
    facts: list[Record] = field(default_factory=list)
    labels: list[Label] = field(default_factory=list)

    def sign_in(self, account: int, place: str) -> None:
        """An account is opened now."""
        self.facts.append(sign_in_record(DOORS, self.one.now, account, place, "the trading page"))

    def publish(self, world: World, ticks: float) -> None:
        """News that is worth so many ticks: everybody comes to believe it."""
        self.facts.append(news_record(DOORS, world.now, world.instrument, "Results are not what was expected"))
        world.add(_news(world, ticks))

    def label(self, pattern: str, accounts: tuple[int, ...], severity: float, began_at: int, orders: list[int]) -> None:
        """Note what was done until now."""
        self.labels.append(Label(pattern, accounts, severity, began_at, self.one.now, tuple(orders)))


def _news(world: World, ticks: float) -> Actor:
    world.belief = (world.best[BUY] + world.best[SELL]) / 2 + ticks
    yield NEWS_LASTS_S
    world.belief = None


# -- manipulators; each is an actor of the first world


def account_takeover(pair: Pair, party: Party, severity: float) -> Actor:
    """A thief opens somebody's account and trades with its own, which is nobody's: buys dear from it, sells cheap to it."""
    world, victim, began, ids = pair.one, party.accounts[0], pair.one.now, []
    pair.sign_in(victim, THIEF)
    yield 5.0 + float(world.own_rng.uniform(0, 10))
    for turn in range(10 + round(20 * severity)):
        side = BUY if turn % 2 else SELL
        away = 1 if side == SELL else -1
        # dearer than the market by up to two ticks: the account takes what is before it too
        price = world.best[side] + away * round(2 * severity)
        qty = party.lots(world, world.usual_level * (1 + 5 * severity))
        mine = world.order(CONFEDERATE, side, price, qty)
        yield 0.02 if not party.camouflage else float(world.own_rng.uniform(0.02, 0.3))
        ids.append(world.order(victim, BUY + SELL - side, price, round(qty + 4 * world.usual_level), immediate=True))
        yield 0.2
        if mine in world.open:
            world.cancel(CONFEDERATE, mine)
        yield float(world.own_rng.uniform(3, 6))
    pair.label("ACCOUNT_TAKEOVER", (victim, CONFEDERATE), severity, began, ids)


def ahead_of_news(pair: Pair, party: Party, severity: float) -> Actor:
    """Buys for a minute or two what it never traded, aggressively; then there is news that is far more than the market's noise.

    It takes a share of what takers trade, as it hides behind them (Kyle 1985), in orders that the best price can fill: the busier the market, the more.
    """
    world, began, ids = pair.one, pair.one.now, []
    sign = 1 if world.own_rng.random() < 0.5 else -1
    side = BUY if sign > 0 else SELL
    lots_a_second = max((0.08 + 0.24 * severity) * world.pace(), 0.01)  # in a market that stands still nothing is taken
    seen = [(0.0, sum(world.best) / 2)]
    while (passed := (world.now - began) / SECOND_NS) < 100.0:
        pause = max(min(100.0 / (8 + 16 * severity), world.usual_level / lots_a_second), 0.25)
        qty = max(world.usual_level * 0.5 * (0.3 + severity), lots_a_second * pause)
        ids.append(world.order(party.one(world), side, world.best[BUY + SELL - side], party.lots(world, qty), immediate=True))
        if passed - seen[-1][0] >= 5.0:
            seen.append((passed, sum(world.best) / 2))
        yield pause * float(world.own_rng.uniform(0.7, 1.3))
    yield float(world.own_rng.uniform(2, 20))
    noise = (sum((b - a) ** 2 for (_, a), (_, b) in pairwise(seen)) / seen[-1][0] * NEWS_LASTS_S) ** 0.5
    pair.publish(world, sign * max(25 + 50 * severity, (2 + 6 * severity) * noise))
    yield 130.0
    pair.label("AHEAD_OF_NEWS", party.accounts, severity, began, ids)


def cross_book(pair: Pair, party: Party, severity: float) -> Actor:
    """Shows much in one book, trades the other way in the other, takes back what was shown. Three to seven times."""
    shown_in, traded_in, began, ids = pair.one, pair.other, pair.one.now, []
    for turn in range(3 + round(4 * severity)):
        side = BUY if turn % 2 else SELL
        away = -1 if side == BUY else 1
        layers = []
        for level in range(2 + round(4 * severity)):
            account = party.one(shown_in)
            price = shown_in.best[side] + away * (2 + round(2 * (1 - severity)) + level)
            layers.append(
                (account, shown_in.order(account, side, price, party.lots(shown_in, shown_in.usual_level * (0.8 + 2 * severity))))
            )
        yield 1.0
        for _ in range(2):
            qty = party.lots(traded_in, max(traded_in.usual_level * (0.2 + 0.6 * severity), 30))
            ids.append(traded_in.order(party.one(traded_in), BUY + SELL - side, traded_in.best[side], qty, immediate=True))
            yield 1.0
        for account, order_id in layers:
            if order_id in shown_in.open:
                shown_in.cancel(account, order_id)
        ids += [order_id for _, order_id in layers]
        yield float(shown_in.own_rng.uniform(12, 25))
    pair.label("CROSS_BOOK", party.accounts, severity, began, ids)


PAIR_INJECTORS: Final[dict[str, Callable[[Pair, Party, float], Actor]]] = {
    "ACCOUNT_TAKEOVER": account_takeover, "AHEAD_OF_NEWS": ahead_of_news, "CROSS_BOOK": cross_book,
}  # fmt: skip


# -- look-alikes: nobody may be accused of these


def traveller(pair: Pair) -> Actor:
    """Opens its account from a hotel and trades as it did at home."""
    world, places = pair.one, iter((HOME, HOME, ABROAD))
    while True:
        pair.sign_in(TRAVELLER, next(places, ABROAD))
        for _ in range(8):
            yield float(world.own_rng.uniform(8, 16))
            side = BUY if world.own_rng.random() < 0.5 else SELL
            world.order(TRAVELLER, side, world.best[BUY + SELL - side], int(world.own_rng.integers(20, 60)), immediate=True)


def changed_device(pair: Pair) -> Actor:
    """A customer with a new telephone who makes up its mind to sell everything, at the market's prices, to whoever bids."""
    world = pair.other
    pair.sign_in(CHANGED_DEVICE, HOME)
    yield 240.0
    pair.sign_in(CHANGED_DEVICE, "new telephone")
    for _ in range(15):
        yield float(world.own_rng.uniform(4, 10))
        world.order(CHANGED_DEVICE, SELL, world.best[BUY], round(world.usual_level * 0.4), immediate=True)


def pair_maker(pair: Pair) -> Actor:
    """Quotes both sides of both books, and takes back what it quoted in one when it trades in the other."""
    quotes: dict[int, list[int]] = {INSTRUMENT: [], OTHER_INSTRUMENT: []}
    while True:
        yield float(pair.one.own_rng.uniform(1.5, 4))
        for world in (pair.one, pair.other):
            for order_id in quotes[world.instrument]:
                if order_id in world.open:
                    world.cancel(PAIR_MAKER, order_id)
            quotes[world.instrument] = [
                world.order(PAIR_MAKER, side, world.best[side] + away * level, 60)
                for side, away in ((BUY, -1), (SELL, 1)) for level in range(3)
            ]  # fmt: skip


def daily_fund(pair: Pair) -> Actor:
    """A fund that buys the stock all day, before news and behind it."""
    while True:
        yield float(pair.one.own_rng.uniform(6, 12))
        pair.one.order(DAILY_FUND, BUY, pair.one.best[SELL], max(round(pair.one.usual_level * 0.4), 20), immediate=True)


def unwinder_of_pairs(pair: Pair) -> Actor:
    """Sells in one book with an order that follows the market, canceled again and again, and buys back as much in the other: an arbitrage that ends."""
    order_id, sold = 0, 0
    while True:
        yield float(pair.one.own_rng.uniform(1.5, 3))
        if order_id in pair.one.open:
            pair.one.cancel(UNWINDER_OF_PAIRS, order_id)
        order_id = pair.one.order(UNWINDER_OF_PAIRS, SELL, pair.one.best[SELL], 60)
        sold += 1
        if sold % 5 == 0:
            pair.other.order(UNWINDER_OF_PAIRS, BUY, pair.other.best[SELL], 60, immediate=True)


PAIR_CONTROLS: Final[dict[int, tuple[str, Callable[[Pair], Actor]]]] = {
    TRAVELLER: ("traveller", traveller), CHANGED_DEVICE: ("changed device", changed_device), PAIR_MAKER: ("maker of two books", pair_maker),
    DAILY_FUND: ("daily fund", daily_fund), UNWINDER_OF_PAIRS: ("pair that is unwound", unwinder_of_pairs),
}  # fmt: skip


def _shared_value(pair: Pair) -> Actor:
    """What both are worth is a random walk that everybody sees."""
    while True:
        pair.one.shared = pair.other.shared = pair.one.shared + float(pair.one.rng.normal(0, SHARED_TICKS_PER_ROOT_S * 0.5**0.5))
        yield 0.5


def _surprise(pair: Pair, at_s: float, ticks: float) -> Actor:
    """News of which nobody knew."""
    yield at_s
    pair.publish(pair.other, ticks)


# -- a session


def injected_pair(scenario: Scenario) -> Outcome:
    """Run the two markets of a scenario of the second stage."""
    pair, number = _pair(scenario.seed), 3 if scenario.camouflage and scenario.pattern != "ACCOUNT_TAKEOVER" else 1
    party = Party(tuple(range(PARTY, PARTY + number)), scenario.camouflage)
    actor = PAIR_INJECTORS[scenario.pattern](pair, party, scenario.severity)
    if scenario.pattern == "ACCOUNT_TAKEOVER":
        pair.one.add(_owner_at_home(pair, party.accounts[0]), 20.0)
    pair.one.add(actor, INJECTED_AT_S + pair.one.own_rng.uniform(0, 10))
    return _watched(pair, scenario.density, SESSION_S, [party.accounts] if number > 1 else [])


def _owner_at_home(pair: Pair, account: int) -> Actor:
    """What the account does before it is taken over: a small order now and then."""
    pair.sign_in(account, HOME)
    for _ in range(8):
        yield float(pair.one.own_rng.uniform(15, 30))
        pair.one.order(account, BUY, pair.one.best[SELL], int(pair.one.own_rng.integers(5, 30)), immediate=True)


def background_pair(density: float, seed: int, orders: int) -> Outcome:
    """Two markets without a manipulation, of about so many orders together, with news of which nobody knew."""
    pair, seconds = _pair(seed), max(orders / (2 * density), 420.0)
    pair.one.add(_surprise(pair, seconds * 0.7, 40.0))
    return _watched(pair, density, seconds, [])


def _pair(seed: int) -> Pair:
    one, other = World(seed), World(seed + 1, OTHER_INSTRUMENT)
    one.peer, other.peer = other, one
    return Pair(one, other)


def _watched(pair: Pair, density: float, seconds: float, groups: Sequence[Sequence[int]]) -> Outcome:
    outcome = Outcome(density)
    for world in (pair.one, pair.other):
        world.ends_s = seconds - CLOSING_S
        populate(world, density)
        world.add(session(world, seconds))
    outcome.controls = add_controls(pair.one) | {account: name for account, (name, _) in PAIR_CONTROLS.items()}
    for _, control in PAIR_CONTROLS.values():
        pair.one.add(control(pair), OPENING_S + 5.0)
    pair.one.add(_shared_value(pair))
    sets = f"[[owner_set]]\neffective_from = 1\ngroups = {[list(group) for group in groups]}\n"
    stage = _Stages(sets)
    for world, rows in _frames(pair, seconds + 1):
        stage.take(world, rows)
        stage.tell(pair)
    stage.tell(pair)
    outcome.orders, outcome.rows = pair.one.orders + pair.other.orders, stage.rows
    outcome.labels, outcome.watch_cpu_s = pair.labels, stage.cpu_s
    outcome.alerts, outcome.naive_z = list(stage.newest.values()), stage.baseline.scores()
    outcome.flagged = {key for key, score in outcome.naive_z.items() if score >= Z_MIN}
    return outcome


class _Stages:
    """Two first stages, one second, and the baseline. `facts`: every record that the second stage was given, with its place."""

    def __init__(self, sets: str) -> None:
        self._first = {
            number: TradingWatch(instruments_of_both(), owners=Owners.of_toml(sets), for_accounts=True)
            for number in (INSTRUMENT, OTHER_INSTRUMENT)
        }
        self._second, self.baseline = AccountsWatch(instruments_of_both(), Owners.of_toml(sets)), Baseline()
        self._frames = dict.fromkeys(self._first, 0)
        self._seqs = dict.fromkeys(self._first, 1)
        self.rows, self.cpu_s = 0, 0.0
        self.newest: dict[str, dict[str, Any]] = {}
        self.facts: list[Record] = []

    def take(self, world: World, rows: Rows) -> None:
        """Executions of one book; book n is in partition n."""
        number, began = world.instrument, time.process_time()
        frame = self._frames[number]
        self._keep(self._first[number].apply(rows, Place("executions", number, frame, self._seqs[number])))
        index = 0
        for half in self._first[number].sums():
            for record in half.records():
                self._second_takes(identified(record, f"executions/{number}", frame, index))
                index += 1
        self._frames[number], self._seqs[number] = frame + 1, self._seqs[number] + len(rows)
        self.cpu_s += time.process_time() - began
        self.rows += len(rows)
        self.baseline.take(rows)

    def tell(self, pair: Pair) -> None:
        """Sign-ins and news."""
        for record in pair.facts:
            self._second_takes(record)
        pair.facts.clear()

    def _second_takes(self, record: Record) -> None:
        self.facts.append(record)
        self._keep(self._second.apply(record, Place("party.facts", 0, len(self.facts) - 1)))

    def _keep(self, alerts: list[dict[str, Any]]) -> None:
        for alert in alerts:
            self.newest[alert["alert_id"]] = alert


def _frames(pair: Pair, seconds: float) -> Iterator[tuple[World, Rows]]:
    """Executions in portions, book by book in turn, to the end or until some time after the manipulation."""
    waiting: dict[int, list[Rows]] = {INSTRUMENT: [], OTHER_INSTRUMENT: []}
    for step in range(1, round(seconds / STEP_S) + 1):
        over = bool(pair.labels) and pair.one.now > pair.labels[-1].ended_at + round(AFTER_S * SECOND_NS)
        last = over or step == round(seconds / STEP_S)
        for world in (pair.one, pair.other):
            parts = waiting[world.instrument]
            parts += world.run(step * STEP_S)
            if parts and (last or sum(map(len, parts)) >= FRAME_ROWS or (world.now - START_NS) % (5 * SECOND_NS) == 0):
                yield world, np.concatenate([part.view(np.uint8) for part in parts]).view(parts[0].dtype)
                parts.clear()
        if last:
            return
