"""A replay of command objects through a book engine, without I/O: lines in, events and totals out.

Commands gather to frames; a frame is applied when it is full, or when a line names an order whose name the book has not decided yet, so that names mean what
they would mean one command at a time. Frames change nothing but speed: numbers of events and the state hash are those of single commands.
"""

from collections import Counter
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from matchers.research.command_lines import Command, CommandLines
from matchers.research.engines import BookEngine
from matchers.research.execution_lines import Event, ExecutionLines
from matchers.research.order_names import Asked, OrderNames, Unsettled
from matchers.rules.outputs import BOOK_COMMAND_DTYPE, rows_of
from schemas.codec import Rows
from schemas.enums import BookCommandKind, ExecKind
from schemas.instruments import InstrumentTable

FRAME_ROWS: Final = 4_096


@dataclass
class Totals:
    """What a replay did."""

    lines: int = 0
    commands: int = 0
    """A list counts its orders."""
    events: int = 0
    trades: int = 0
    rejects: int = 0
    """Refused orders, cancels and replaces."""
    lots: Counter[int] = field(default_factory=Counter)
    """Traded, by instrument number."""


class Replay:
    """Feeds command objects to an engine in frames. `want_events` False saves the time of making them."""

    def __init__(self, engine: BookEngine, instruments: InstrumentTable, *, frame_rows: int = FRAME_ROWS, want_events: bool = True) -> None:
        self.engine = engine
        self.totals = Totals()
        self._frame_rows = frame_rows
        self._want_events = want_events
        self._names = OrderNames()
        self._parser = CommandLines(instruments, self._names)
        self._lines = ExecutionLines(instruments, self._names)
        self._rows: list[dict[str, int]] = []
        self._asked: list[Asked] = []
        self._events: list[Event] = []
        self._last_list_id = 0

    def add(self, line: int, given: object) -> None:
        """Take one command object. Raises BadCommand, which leaves everything as it was before the line."""
        try:
            commands = self._parser.parse(given)
        except Unsettled:
            self.flush()
            commands = self._parser.parse(given)
        if len(self._rows) >= self._frame_rows and not self._continues_list(commands[0]):
            self.flush()
        if len(commands) > 1:
            self._number_list(commands)
        for command in commands:
            self._take(line, command)
        self.totals.lines += 1

    def flush(self) -> None:
        """Apply what waits."""
        if not self._rows:
            return
        rows, asked = rows_of(BOOK_COMMAND_DTYPE, self._rows), self._asked
        self._rows, self._asked = [], []
        out = self.engine.apply(rows)
        self._count(len(rows), out.executions)
        renamed = self._names.settle(asked, out.executions)
        if self._want_events:
            self._events += self._lines.events(out.executions, out.first_seq, asked, renamed)

    @property
    def events_waiting(self) -> int:
        """How many events take_events would give."""
        return len(self._events)

    def name_of(self, order_id: int) -> str | None:
        """The cl_ord_id of an order, as of the events made so far; None if it has none."""
        return self._names.newest_of(order_id)

    def take_events(self) -> list[Event]:
        """The events since the last call; those of commands that still wait come after flush()."""
        events, self._events = self._events, []
        return events

    def _continues_list(self, command: Command) -> bool:
        """Orders of a list that come one by one have to be in one frame."""
        list_id = command.columns.get("list_id", 0)
        return list_id != 0 and list_id == self._rows[-1].get("list_id", 0)

    def _number_list(self, commands: list[Command]) -> None:
        """Give a NewOrderList that has no list_id the next one."""
        if not commands[0].columns.get("list_id"):
            self._last_list_id += 1
            for command in commands:
                command.columns["list_id"] = self._last_list_id
        self._last_list_id = max(self._last_list_id, commands[0].columns["list_id"])

    def _take(self, line: int, command: Command) -> None:
        columns = command.columns
        if columns["kind"] == BookCommandKind.NEW_ORDER:
            columns["order_id"] = self._names.new_order(columns.get("order_id", 0), columns["instrument"], columns["side"])
        asked = Asked(
            line, columns["kind"], columns.get("account", 0), columns.get("order_id", 0), command.cl_ord_id, command.orig_cl_ord_id
        )
        self._names.wait(asked)
        self._rows.append(columns)
        self._asked.append(asked)

    def _count(self, commands: int, executions: Rows) -> None:
        totals, kinds = self.totals, executions["kind"]
        totals.commands += commands
        totals.events += len(executions)
        totals.rejects += int(np.count_nonzero((kinds == ExecKind.REJECTED) | (kinds == ExecKind.CANCEL_REJECTED)))
        trades = executions[kinds == ExecKind.TRADE]
        totals.trades += len(trades)
        for number in np.unique(trades["instrument"]).tolist():
            totals.lots[number] += int(trades["qty"][trades["instrument"] == number].sum())
