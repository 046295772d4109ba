"""One simulated market of one instrument: actors send commands to the real book engine and see what it answers.

An actor is a generator: it sends orders, and yields how many seconds it waits. Time is simulated. A seed decides everything, so a world can be made
again, row for row. Prices in ticks, quantities in lots, times in ns.
"""

import heapq
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final

import numpy as np

from matchers.research.backtest import COMMAND_DTYPE, Backtest
from schemas.codec import Rows
from schemas.enums import BookCommandKind, ExecFlag, ExecKind, OrdType, Phase, SelfMatchPrevention, Side, TimeInForce
from schemas.instruments import Instrument, InstrumentTable

SECOND_NS: Final = 1_000_000_000
START_NS: Final = 1_800_000_000 * SECOND_NS
SLICE_NS: Final = 5_000_000
"""Commands of so much time are one call of the engine. Whoever waits less than that sees the book as it was before."""
START_PX: Final = 18_000
BUY, SELL = int(Side.BUY), int(Side.SELL)
INSTRUMENT: Final = 1
INSTRUMENTS: Final = InstrumentTable([
    Instrument(INSTRUMENT, "SIM", "simulated", Decimal("0.01"), Decimal(1), Decimal(1_000_000), Decimal(10**12), Decimal(180), 50),
])  # fmt: skip
OTHER_INSTRUMENT: Final = 2
_TABLES: Final = {
    INSTRUMENT: INSTRUMENTS,
    OTHER_INSTRUMENT: InstrumentTable([
        Instrument(OTHER_INSTRUMENT, "SIM2", "simulated", Decimal("0.01"), Decimal(1), Decimal(1_000_000), Decimal(10**12), Decimal(180), 50),
    ]),
}  # fmt: skip
_COLUMNS: Final = (
    "kind", "side", "ord_type", "time_in_force", "phase", "exec_inst", "self_match_prevention_instruction", "account", "order_id", "order_qty",
    "price", "transact_time", "self_match_prevention_id", "display_qty",
)  # fmt: skip
_PLACES: Final = tuple((COMMAND_DTYPE.names or ()).index(name) for name in _COLUMNS)
_INSTRUMENT_PLACE: Final = (COMMAND_DTYPE.names or ()).index("instrument")
_GONE: Final = (ExecKind.CANCELED, ExecKind.EXPIRED, ExecKind.REJECTED)

Actor = Generator[float, None, None]


def instruments_of_both() -> InstrumentTable:
    """Of a pair of markets."""
    return InstrumentTable([one for table in _TABLES.values() for one in table.by_number.values()])


@dataclass(frozen=True)
class Label:
    """What was done, by whom: the truth beside the rows. It is never part of them."""

    pattern: str
    accounts: tuple[int, ...]
    severity: float
    began_at: int
    """Log time, ns."""
    ended_at: int
    orders: tuple[int, ...]


def _row(command: tuple[int, ...], instrument: int) -> tuple[int, ...]:
    """A row of COMMAND_DTYPE from values of _COLUMNS: of few rows, several times as fast as column by column."""
    row = [0] * len(COMMAND_DTYPE.names or ())
    for place, value in zip(_PLACES, command, strict=True):
        row[place] = value
    row[_INSTRUMENT_PLACE] = 0 if command[0] == BookCommandKind.TIMER else instrument
    return tuple(row)


class World:
    """The market. `rng`: for the crowd; manipulators have one of their own, so that the crowd does not change with what is injected."""

    def __init__(self, seed: int, instrument: int = INSTRUMENT) -> None:
        self.instrument = instrument
        self.rng, self.own_rng = np.random.default_rng([seed, 0]), np.random.default_rng([seed, 1])
        self.now = START_NS
        self.labels: list[Label] = []
        self.best = [0, START_PX - 2, START_PX + 2]
        """By Side, what the best price is or last was."""
        self.usual_level = 100.0
        """Lots at the touch, a median that is followed."""
        self.flow = 0
        """Lots taken by buyers less lots taken by sellers, ever."""
        self.rumour = 0.0
        """Ticks a second by which everybody thinks that the value changes, because somebody said so."""
        self.peer: World | None = None
        """The market of something that is worth much the same: what its price does is news here."""
        self.shared = 0.0
        """Ticks by which what is known of both has moved the value, ever."""
        self.belief: float | None = None
        """What everybody comes to think the value is, in ticks; None: what the market says."""
        self.ends_s = 0.0
        """When continuous trading ends, s since the beginning; 0: not known."""
        self.open: dict[int, tuple[int, int]] = {}
        """Orders in the book -> (account, lots left)."""
        self.orders = 0
        self.phase = int(Phase.CLOSED)
        self._engine = Backtest(_TABLES[instrument])
        self._queue: list[tuple[int, int, Actor]] = []
        self._commands: list[tuple[int, ...]] = []
        self._entered = self._taken = 0

    # -- what actors do

    def add(self, actor: Actor, after_s: float = 0.0) -> None:
        """Let an actor begin."""
        self._entered += 1
        heapq.heappush(self._queue, (self.now + round(after_s * SECOND_NS), self._entered, actor))

    def order(
        self, account: int, side: int, price: int, qty: int, *, immediate: bool = False, market: bool = False, display_qty: int = 0, unprevented: bool = False,
        time_in_force: int = TimeInForce.DAY,
    ) -> int:  # fmt: skip
        """Send a new order; its id. `unprevented`: it may trade with orders of its own account."""
        self.orders += 1
        prevention = SelfMatchPrevention.NONE if unprevented else SelfMatchPrevention.DEFAULT
        self._send(
            BookCommandKind.NEW_ORDER, side, OrdType.MARKET if market else OrdType.LIMIT, TimeInForce.IOC if immediate or market else time_in_force, 0, 0,
            prevention, account, self.orders, max(int(qty), 1), 0 if market else max(int(price), 1), 0, account, display_qty,
        )  # fmt: skip
        return self.orders

    def cancel(self, account: int, order_id: int) -> None:
        """Ask for a cancel."""
        self._send(BookCommandKind.CANCEL, 0, 0, 0, 0, 0, 0, account, order_id, 0, 0, 0, 0, 0)

    def cancel_later(self, account: int, order_id: int, after_s: float) -> None:
        """Ask for a cancel some seconds later, if the order is still there."""
        self.add(self._leave(account, order_id, after_s))

    def _leave(self, account: int, order_id: int, after_s: float) -> Actor:
        yield after_s
        if order_id in self.open:
            self.cancel(account, order_id)

    def mass_cancel(self, account: int) -> None:
        """The operator cancels all orders of an account: its session broke."""
        self._send(BookCommandKind.MASS_CANCEL, 0, 0, 0, 0, 0, 0, account, 0, 0, 0, 0, 0, 0)

    def go_to(self, phase: int) -> None:
        """The operator changes the phase."""
        self.phase = int(phase)
        self._send(BookCommandKind.TRADING_SESSION_CHANGE, 0, 0, 0, phase, 0, 0, 0, 0, 0, 0, 0, 0, 0)

    def label(self, pattern: str, accounts: tuple[int, ...], severity: float, began_at: int, orders: list[int]) -> None:
        """Note what was done until now."""
        self.labels.append(Label(pattern, accounts, severity, began_at, self.now, tuple(orders)))

    def pace(self) -> float:
        """Lots that takers have traded a second since the beginning."""
        return self._taken / max((self.now - START_NS) / SECOND_NS, 1.0)

    def inside(self, side: int) -> int:
        """The best price of a side."""
        return self.best[side]

    # -- the clock

    def run(self, until_s: float) -> Iterator[Rows]:
        """Run to a time since the beginning; the executions, a call of the engine at a time."""
        end = START_NS + round(until_s * SECOND_NS)
        while self._queue and self._queue[0][0] <= end:
            slice_end = self._queue[0][0] + SLICE_NS
            while self._queue and self._queue[0][0] < slice_end:
                at, _, actor = heapq.heappop(self._queue)
                self.now = max(self.now, at)
                wait_s = next(actor, None)
                if wait_s is not None:
                    self._entered += 1
                    heapq.heappush(self._queue, (at + max(round(wait_s * SECOND_NS), 1), self._entered, actor))
            if self._commands:
                yield self._apply()
        self.now = max(self.now, end)
        self._send(BookCommandKind.TIMER, *[0] * 13)
        yield self._apply()

    def _send(self, *values: int) -> None:
        self._commands.append(values)
        if values[11] == 0:
            self._commands[-1] = (*values[:11], self.now, *values[12:])

    def _apply(self) -> Rows:
        rows = np.array([_row(command, self.instrument) for command in self._commands], COMMAND_DTYPE)
        self._commands.clear()
        executions = self._engine.apply(rows)
        self._see(executions)
        return executions

    def _see(self, executions: Rows) -> None:
        columns = executions[
            [
                "kind",
                "side",
                "order_id",
                "account",
                "contra_order_id",
                "contra_account",
                "price",
                "leaves_qty",
                "contra_leaves_qty",
                "qty",
                "flags",
            ]
        ]
        kept: list[tuple[Any, ...]] = columns.tolist()
        known = self.open
        for kind, side, order_id, account, contra_order_id, contra_account, price, leaves_qty, contra_leaves_qty, qty, flags in kept:
            if kind == ExecKind.TOP:
                if price:
                    self.best[side] = price
                    self.usual_level *= 1.02 if qty > self.usual_level else 1 / 1.02
            elif kind == ExecKind.NEW:
                known[order_id] = (account, leaves_qty)
            elif kind == ExecKind.TRADE:
                if not flags & ExecFlag.UNCROSS:
                    self.flow += qty if side == BUY else -qty
                    self._taken += qty
                for one, owner, left in ((order_id, account, leaves_qty), (contra_order_id, contra_account, contra_leaves_qty)):
                    if left:
                        known[one] = (owner, left)
                    else:
                        known.pop(one, None)
            elif kind in _GONE:
                known.pop(order_id, None)
