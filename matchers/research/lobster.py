"""LOBSTER message files as commands, and what a book should show after each message: a real session of a real exchange as a test of ours.

Source: lobsterdata.com, "Output". A message is time in seconds after midnight, type, order id, size, price x 10,000, direction (of the resting order); a row
of the order book file is ask price, ask size, bid price, bid size for levels 1, 2, ... after the message of the same row; an empty level has size 0.

| type | command |
|---|---|
| 1 new limit order | NEW_ORDER, LIMIT GTC |
| 2 partial cancel | REPLACE to what is left |
| 3 delete | CANCEL |
| 4 execution of a visible order | NEW_ORDER of the other side, LIMIT IOC, for that size at that price |
| 5 execution of a hidden order, 6 cross trade | none: the visible book stays |
| 7 halt: price -1 halt, 0 quoting, 1 trading again | TRADING_HALT; TRADING_RESUME, where an auction collects; change of session to CONTINUOUS |

The book begins as the first row of the order book file: the first message's own order, and for the rest of each level one order whose id nobody knows. A message
about an order from before the first row takes from that order of its price. What rested deeper than the file's levels is in no file: such messages are
counted and left out, and the book shows less than the exchange's did once the market gets there.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Final

from matchers.research.command_fields import BadCommand
from matchers.research.engines import BookEngine
from matchers.rules.outputs import BOOK_COMMAND_DTYPE, BookOutput, rows_of
from schemas.enums import TIME_IN_FORCE_UNCHANGED, BookCommandKind, ExecKind, OrdType, Phase, Side, TimeInForce
from schemas.instruments import Instrument, InstrumentTable
from schemas.limits import ORDER_QTY_LOTS_MAX, PRICE_TICKS_MAX
from schemas.reject_reasons import Reason
from schemas.units import NANOS_PER_SECOND, to_decimal

NEW, PARTIAL_CANCEL, DELETE, EXECUTION, HIDDEN_EXECUTION, CROSS, HALT = range(1, 8)
TICK: Final = Decimal("0.0001")
"""LOBSTER's unit of prices, so that they are ticks as they are."""
_COLUMNS: Final = ("time", "type", "order id", "size", "price", "direction")
_SEED_ACCOUNT, _MAKER, _TAKER = 1, 2, 3
_FIRST_OF_OURS: Final = 1 << 60
"""order_ids of orders that the file has not numbered."""

ARRIVED_UNSEEN: Final = "the file's best level was built while it was deeper than the levels that the file shows, so no message told of it"
LEFT_UNSEEN: Final = "our best level was taken down in the file's market while it was deeper than the levels that the file shows"
OTHER: Final = "not explained by depth beyond the file's levels"

Levels = Sequence[tuple[int, int, int]]
"""(side, price, size) of each level of a row of the order book file, best first on either side."""


@dataclass(frozen=True, slots=True)
class Message:
    """One row of a message file; time in ns after midnight."""

    time: int
    kind: int
    order_id: int
    size: int
    price: int
    side: int


@dataclass(frozen=True, slots=True)
class Quotes:
    """Best bid and ask: (price, size), (0, 0) where a side is empty."""

    bid: tuple[int, int]
    ask: tuple[int, int]


@dataclass
class Agreement:
    """How far the book's best bid and ask were those of the order book file."""

    rows: int = 0
    agree: int = 0
    """Rows with the same prices and sizes on both sides."""
    prices_agree: int = 0
    reasons: Counter[str] = field(default_factory=Counter)
    """Why the other rows differ."""
    left_out: Counter[str] = field(default_factory=Counter)
    """Messages without a command, by what they say."""
    differing_rows: list[int] = field(default_factory=list)
    """Row numbers from 1."""


def instrument_table(symbol: str) -> InstrumentTable:
    """One instrument with LOBSTER's tick and no limits but the system's."""
    one = Instrument(
        1, symbol, f"{symbol} (LOBSTER)", TICK, Decimal(1), Decimal(ORDER_QTY_LOTS_MAX), TICK * ORDER_QTY_LOTS_MAX * PRICE_TICKS_MAX, Decimal(1), 1
    )  # fmt: skip
    return InstrumentTable([one])


def parse_message(line: str) -> Message:
    """A row of a message file. Raises BadCommand that names the column."""
    words = line.split(",")
    if len(words) < len(_COLUMNS):
        raise BadCommand(_COLUMNS[len(words)], f"is missing: {len(_COLUMNS)} columns are expected")
    try:
        time = int(to_decimal(words[0].strip()) * NANOS_PER_SECOND)
    except ValueError as error:
        raise BadCommand("time", str(error)) from None
    kind, order_id, size, price, direction = (_integer(name, word) for name, word in zip(_COLUMNS[1:], words[1:], strict=False))
    if not NEW <= kind <= HALT:
        raise BadCommand("type", f"{kind} is not 1 to 7")
    if direction not in (1, -1):
        raise BadCommand("direction", f"{direction} is neither 1 nor -1")
    return Message(time, kind, order_id, size, price, Side.BUY if direction == 1 else Side.SELL)


def parse_levels(line: str) -> Levels:
    """A row of the order book file. Raises BadCommand that names the column."""
    words = line.split(",")
    if not words or len(words) % 4:
        raise BadCommand("order book", f"{len(words)} columns are not four a level")
    numbers = [_integer(f"column {place + 1}", word) for place, word in enumerate(words)]
    found = []
    for place in range(0, len(numbers), 4):
        ask_price, ask_size, bid_price, bid_size = numbers[place : place + 4]
        found += [
            (side, price, size) for side, price, size in ((Side.SELL, ask_price, ask_size), (Side.BUY, bid_price, bid_size)) if size > 0
        ]
    return found


def _integer(name: str, word: str) -> int:
    try:
        return int(word)
    except ValueError:
        raise BadCommand(name, f"{word.strip()!r} is not a whole number") from None


def quotes_of(levels: Levels) -> Quotes:
    """Best bid and ask of a row of the order book file."""
    best = {side: next(((price, size) for one, price, size in levels if one == side), (0, 0)) for side in Side}
    return Quotes(best[Side.BUY], best[Side.SELL])


class LobsterReplay:
    """Turns messages into commands and watches the engine's best bid and ask."""

    def __init__(self, engine: BookEngine) -> None:
        self._engine = engine
        self._total: dict[int, int] = {}
        """order_id -> order_qty now: what a REPLACE counts from."""
        self._seed: dict[tuple[int, int], int] = {}
        """(side, price) -> order_id of the order whose id nobody knows."""
        self._next_id = _FIRST_OF_OURS
        self._best = {int(side): (0, 0) for side in Side}
        self._displayed: dict[tuple[int, int], int] = {}
        """(side, price) -> lots that our book displays there."""
        self._shown: dict[tuple[int, int], int] = {}
        """The file's row before: (side, price) -> size."""
        self._arrived: set[tuple[int, int]] = set()
        """(side, price) that came into the file's sight other than in our book."""
        self._left: set[tuple[int, int]] = set()
        """(side, price) that went out of the file's sight, deeper than all that it shows."""
        self.commands = self.trades = self.volume = 0
        self.agreement = Agreement()

    def begin(self, first: Message, levels: Levels) -> BookOutput:
        """Open the book as the first row of the order book file shows it, and apply the first message's order as part of it."""
        commands = [{"kind": BookCommandKind.TRADING_SESSION_CHANGE, "phase": Phase.CONTINUOUS, "transact_time": first.time}]
        for side, price, size in levels:
            own = first.size if first.kind == NEW and (first.side, first.price) == (side, price) else 0
            if size > own:
                self._seed[side, price] = self._next_id
                commands.append(self._order(self._new_id(), _SEED_ACCOUNT, side, price, size - own, first.time))
        self._shown = {(side, price): size for side, price, size in levels}
        if not levels or first.kind == NEW:
            commands += self.commands_of(first)
        return self._apply(commands)

    def commands_of(self, message: Message) -> list[dict[str, int]]:
        """The commands that a message stands for; none where the visible book stays as it is, or where its order is in no file."""
        if message.kind == NEW:
            return [self._order(message.order_id, _MAKER, message.side, message.price, message.size, message.time)]
        if message.kind == EXECUTION:
            other = Side.SELL if message.side == Side.BUY else Side.BUY
            return [
                self._order(self._new_id(), _TAKER, other, message.price, message.size, message.time) | {"time_in_force": TimeInForce.IOC}
            ]
        if message.kind in (HIDDEN_EXECUTION, CROSS):
            self.agreement.left_out["executions of hidden orders" if message.kind == HIDDEN_EXECUTION else "cross trades"] += 1
            return []
        if message.kind == HALT:
            return [_HALTS[message.price] | {"transact_time": message.time}] if message.price in _HALTS else []
        return self._reduction(message)

    def step(self, message: Message, expected: Levels | None, number: int) -> BookOutput:
        """Apply one message, and compare with what the order book file says of it."""
        out = self._apply(self.commands_of(message))
        if expected is not None:
            self._compare(expected, number)
        return out

    @property
    def best(self) -> Quotes:
        """Best bid and ask of the engine's book."""
        return Quotes(self._best[Side.BUY], self._best[Side.SELL])

    def _reduction(self, message: Message) -> list[dict[str, int]]:
        """A delete, or a replace to what is left of an order of the file or of one from before it."""
        order_id, size, account = message.order_id, message.size, _MAKER
        if order_id not in self._total:
            account, order_id = _SEED_ACCOUNT, self._seed.get((message.side, message.price), 0)
            if not order_id:
                self.agreement.left_out["cancels of orders from below the first row's depth"] += 1
                return []
        named = {"instrument": 1, "account": account, "order_id": order_id, "side": message.side, "transact_time": message.time}
        self._total[order_id] = max(self._total[order_id] - size, 0)
        if not self._total[order_id] or (message.kind == DELETE and account == _MAKER):
            return [named | {"kind": BookCommandKind.CANCEL}]
        changed = {"order_qty": self._total[order_id], "time_in_force": TIME_IN_FORCE_UNCHANGED}
        return [named | {"kind": BookCommandKind.REPLACE} | changed]

    def _order(self, order_id: int, account: int, side: int, price: int, size: int, time: int) -> dict[str, int]:
        self._total[order_id] = size
        return {
            "kind": BookCommandKind.NEW_ORDER, "instrument": 1, "account": account, "order_id": order_id, "side": side, "ord_type": OrdType.LIMIT,
            "time_in_force": TimeInForce.GTC, "price": price, "order_qty": size, "transact_time": time,
        }  # fmt: skip

    def _new_id(self) -> int:
        self._next_id += 1
        return self._next_id - 1

    def _apply(self, commands: list[dict[str, int]]) -> BookOutput:
        out = self._engine.apply(rows_of(BOOK_COMMAND_DTYPE, commands))
        executions = out.executions
        self.commands += len(commands)
        for kind, side, price, qty in zip(*(executions[name].tolist() for name in ("kind", "side", "price", "qty")), strict=True):
            if kind == ExecKind.TOP:
                self._best[side] = (price, qty)
            elif kind == ExecKind.LEVEL:
                self._displayed[side, price] = qty
            elif kind == ExecKind.TRADE:
                self.trades += 1
                self.volume += qty
        return out

    def _compare(self, expected: Levels, number: int) -> None:
        self._watch_depth(expected)
        ours, theirs = self.best, quotes_of(expected)
        self.agreement.rows += 1
        self.agreement.prices_agree += (ours.bid[0], ours.ask[0]) == (theirs.bid[0], theirs.ask[0])
        if ours == theirs:
            self.agreement.agree += 1
            return
        self.agreement.differing_rows.append(number)
        differing = [(Side.BUY, ours.bid[0], theirs.bid[0])] if ours.bid != theirs.bid else []
        differing += [(Side.SELL, ours.ask[0], theirs.ask[0])] if ours.ask != theirs.ask else []
        self.agreement.reasons[self._reason(differing)] += 1

    def _watch_depth(self, expected: Levels) -> None:
        """Note the levels that come into the file's sight, or go out of it, behind the last that it shows."""
        shown = {(side, price): size for side, price, size in expected}
        self._arrived.update(key for key in shown.keys() - self._shown.keys() if shown[key] != self._displayed.get(key, 0))
        deepest = {side: price for side, price, _ in expected}
        for side, price in self._shown.keys() - shown.keys():
            if side in deepest and (price < deepest[side] if side == Side.BUY else price > deepest[side]):
                self._left.add((side, price))
        self._shown = shown

    def _reason(self, differing: list[tuple[Side, int, int]]) -> str:
        """Of the sides that differ, (side, our best price, the file's); OTHER unless depth explains each of them."""
        found = OTHER
        for side, ours, theirs in differing:
            if (side, theirs) in self._arrived:
                found = ARRIVED_UNSEEN
            elif (side, ours) in self._left:
                found = LEFT_UNSEEN
            else:
                return OTHER
        return found


_HALTS: Final = {
    -1: {"kind": BookCommandKind.TRADING_HALT, "instrument": 1, "phase": Phase.HALTED, "reason": Reason.REGULATORY_HALT},
    0: {"kind": BookCommandKind.TRADING_RESUME, "instrument": 1, "phase": Phase.VOLATILITY_AUCTION},
    1: {"kind": BookCommandKind.TRADING_SESSION_CHANGE, "instrument": 1, "phase": Phase.CONTINUOUS},
}
