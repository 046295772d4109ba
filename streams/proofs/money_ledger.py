"""Follow the account shards' events and check each against the one before: no amount changes or is held without a posting that says so. No I/O.

Every row of account.events has the account's cash and position after it, and how much of them is held. So for each account: cash now = cash before +
cash_delta - fee, and the same for each position in lots. Holds change only by rows about an order, and a finished order or list holds nothing. A short
position keeps cash held by itself: a margin for each lot that is short once the held ones are gone. A kind of event that MEANINGS does not know is a
problem; it is never skipped.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import Enum
from typing import Final

import numpy as np

from schemas.codec import Frame, Rows
from schemas.enums import AccountEventKind
from schemas.ids import EXCHANGE_ACCOUNT
from schemas.instruments import InstrumentTable
from schemas.limits import CASH_MINOR_MAX


class Meaning(Enum):
    """The meaning of an event's postings."""

    NONE = "no posting"
    OUTSIDE = "from or to outside"
    TRADE = "one side of a trade"
    BUST = "one side of a trade, undone"


MEANINGS: Final = {
    "ACCEPTED": Meaning.NONE, "REJECTED": Meaning.NONE, "DUPLICATE": Meaning.NONE, "CANCEL_PENDING": Meaning.NONE, "CANCEL_REJECTED": Meaning.NONE,
    "TRADE": Meaning.TRADE, "CANCELED": Meaning.NONE, "EXPIRED": Meaning.NONE, "BOOK_REJECTED": Meaning.NONE, "ACCOUNT_UPDATED": Meaning.OUTSIDE,
    "ACCOUNT_UPDATE_REJECTED": Meaning.NONE, "SESSION_REGISTERED": Meaning.NONE, "POSITION_STATE": Meaning.NONE, "ORDER_STATE": Meaning.NONE,
    "SESSION_REJECTED": Meaning.NONE, "REPLACE_PENDING": Meaning.NONE, "REPLACED": Meaning.NONE, "RESTATED": Meaning.NONE,
    "TRIGGERED": Meaning.NONE, "TRADE_BUSTED": Meaning.BUST, "ACCOUNT_STATUS_CHANGED": Meaning.NONE, "ACCOUNT_LIMITS_CHANGED": Meaning.NONE,
}  # fmt: skip
"""By name of AccountEventKind. A test shows that every kind is here."""
_BY_KIND: Final = {int(kind): MEANINGS[kind.name] for kind in AccountEventKind if kind.name in MEANINGS}

SIDE_DTYPE: Final = np.dtype(
    [
        ("trd_match_id", "<u8"), ("side", "u1"), ("account", "<u8"), ("order_id", "<u8"), ("instrument", "<u4"), ("last_px", "<i8"),
        ("last_qty", "<i8"), ("cash_delta", "<i8"), ("shares_delta", "<i8"), ("fee", "<i8"),
    ]
)  # fmt: skip
"""One side of a trade; 62 bytes."""
CHUNK_ROWS: Final = 65_536
"""Rows followed at a time; 280 B each = 18 MB."""
PROBLEMS_MAX: Final = 20
"""Problems kept with their text; all are counted."""
CASH: Final = 0
"""Stands for cash where an instrument number stands for its shares."""


@dataclass(frozen=True)
class Problem:
    """A row that does not follow from the ones before it, or two places that disagree."""

    what: str
    where: str = ""
    account: int = 0
    order_id: int = 0
    trd_match_id: int = 0

    def __str__(self) -> str:
        named = [
            f"{name} {value}"
            for name, value in (("account", self.account), ("order", self.order_id), ("trade", self.trd_match_id))
            if value
        ]
        return ": ".join(part for part in (self.where, ", ".join(named), self.what) if part)


@dataclass
class Problems:
    """The first problems, and how many there are."""

    first: list[Problem] = field(default_factory=list)
    count: int = 0

    def add(self, problem: Problem) -> None:
        """One more."""
        self.count += 1
        if len(self.first) < PROBLEMS_MAX:
            self.first.append(problem)


@dataclass(slots=True)
class Amount:
    """Cash (minor units) or shares (lots) of one account."""

    total: int = 0
    held: int = 0
    deposited: int = 0
    fees: int = 0


@dataclass(slots=True)
class Hold:
    """What an order, or a list of orders, holds, and its open orders with their (leaves_qty, cum_qty)."""

    cash: int = 0
    lots: int = 0
    open: dict[int, tuple[int, int]] = field(default_factory=dict)


@dataclass(frozen=True)
class Chunk:
    """Rows of several frames, with the place of each."""

    rows: Rows
    partitions: Rows
    offsets: Rows
    places: Rows
    """In its frame, from 0."""

    @classmethod
    def of(cls, frames: list[tuple[int, int, Rows]]) -> "Chunk":
        """(partition, offset, rows) of each frame."""
        sizes = [len(rows) for _, _, rows in frames]
        return cls(
            np.concatenate([rows for _, _, rows in frames]),
            np.repeat([partition for partition, _, _ in frames], sizes),
            np.repeat([offset for _, offset, _ in frames], sizes),
            np.concatenate([np.arange(size) for size in sizes]),
        )

    def __getitem__(self, name: str) -> Rows:
        """A column; zeros if the schema does not have it."""
        if name in (self.rows.dtype.names or ()):
            column: Rows = self.rows[name]
            return column
        return np.zeros(len(self.rows), np.int64)

    def means(self, meaning: Meaning) -> Rows:
        """Which rows are of a kind with this meaning."""
        kinds = [kind for kind, found in _BY_KIND.items() if found is meaning]
        return np.isin(self["kind"], kinds)

    def problem(self, problems: Problems, row: int, what: str) -> None:
        """Note a problem with one row."""
        where = f"account.events/{self.partitions[row]} offset {self.offsets[row]:,}, row {self.places[row]}"
        problems.add(Problem(what, where, int(self["account"][row]), int(self["order_id"][row])))


class MoneyLedger:
    """The accounts according to their events. Frames are gathered and followed CHUNK_ROWS at a time: call `follow` before reading any result."""

    def __init__(self, instruments: InstrumentTable) -> None:
        rules = instruments.rules
        margins = rules["short_margin_minor"].tolist() if "short_margin_minor" in (rules.dtype.names or ()) else [0] * len(rules)
        self._margins: dict[int, int] = dict(enumerate(margins))
        self.amounts: dict[tuple[int, int], Amount] = {}
        """(account, CASH or instrument)."""
        self.holds: dict[tuple[int, int], Hold] = {}
        """(account, list_id or order_id), of orders that are not over."""
        self.orders: Counter[int] = Counter()
        """Orders accepted, by account."""
        self.problems = Problems()
        self.rows = 0
        self._seqs: dict[int, int] = {}
        self._waiting: list[tuple[int, int, Rows]] = []
        self._waiting_rows = 0
        self._trades: list[Rows] = []
        self._busts: list[Rows] = []

    def take(self, partition: int, offset: int, frame: Frame) -> None:
        """One frame of account.events; frames of a partition in order, each once."""
        self._waiting.append((partition, offset, frame.rows))
        self._waiting_rows += len(frame.rows)
        if self._waiting_rows >= CHUNK_ROWS:
            self.follow()

    def follow(self) -> None:
        """Check the gathered frames, and update the accounts."""
        waiting, self._waiting, self._waiting_rows = self._waiting, [], 0
        if not waiting:
            return
        chunk = Chunk.of(waiting)
        self._check_kinds_and_seqs(chunk)
        for kept, meaning in ((self._trades, Meaning.TRADE), (self._busts, Meaning.BUST)):
            if len(rows := chunk.rows[chunk.means(meaning)]):
                kept.append(_sides(rows))
        accepted = chunk["account"][chunk["kind"] == AccountEventKind.ACCEPTED]
        for account, count in zip(*(part.tolist() for part in np.unique(accepted, return_counts=True)), strict=True):
            self.orders[account] += count
        cash_held = self._move(chunk, np.arange(len(chunk.rows)), None, chunk["cash_delta"] - chunk["fee"], "cash", "cash_held")
        with_shares = np.flatnonzero(chunk["instrument"])
        lots_held, margin = np.zeros_like(cash_held), np.zeros_like(cash_held)
        lots_held[with_shares] = self._move(
            chunk, with_shares, "instrument", chunk["shares_delta"][with_shares], "position", "position_held", margin
        )
        self._follow_holds(chunk, cash_held - margin, lots_held)
        self.rows += len(chunk.rows)

    def _check_kinds_and_seqs(self, chunk: "Chunk") -> None:
        known = np.isin(chunk["kind"], list(_BY_KIND))
        for row in np.flatnonzero(~known).tolist():
            chunk.problem(self.problems, row, f"event kind {chunk['kind'][row]} is unknown to this audit: use a newer version")
        posted = (chunk["cash_delta"] != 0) | (chunk["shares_delta"] != 0) | (chunk["fee"] != 0)
        for row in np.flatnonzero(posted & chunk.means(Meaning.NONE)).tolist():
            chunk.problem(self.problems, row, f"{AccountEventKind(int(chunk['kind'][row])).name} has a posting")
        for partition in np.unique(chunk.partitions).tolist():
            rows = np.flatnonzero(chunk.partitions == partition)
            seqs = chunk["seq"][rows].astype(np.int64)
            before = np.concatenate([[self._seqs.get(partition, 0)], seqs[:-1]])
            for at in np.flatnonzero(seqs != before + 1).tolist():
                chunk.problem(self.problems, int(rows[at]), f"seq {seqs[at]} follows {before[at]}: events are missing or twice there")
            self._seqs[partition] = int(seqs[-1])

    def _move(
        self, chunk: "Chunk", wanted: Rows, by: str | None, delta: Rows, total_name: str, held_name: str, margin: Rows | None = None
    ) -> Rows:
        """Check and note cash, or the positions `by` instrument, of the rows `wanted`. Returns the change of the hold by each row.

        `margin` (of all rows of the chunk) gets how much more cash each row's position keeps held.
        """
        account, total, held = (chunk[name][wanted] for name in ("account", total_name, held_name))
        what = np.zeros(len(wanted), np.int64) if by is None else chunk[by][wanted]
        order = np.lexsort((what, account))  # stable: rows of an account and instrument stay in their order
        first = np.ones(len(order), bool)
        first[1:] = (np.diff(account[order]) != 0) | (np.diff(what[order]) != 0)
        starts = np.flatnonzero(first)
        keys = list(zip(account[order][starts].tolist(), what[order][starts].tolist(), strict=True))
        amounts = [self.amounts.get(key) or Amount() for key in keys]
        was, was_held = np.empty_like(total), np.empty_like(held)
        was[order[1:]], was_held[order[1:]] = total[order[:-1]], held[order[:-1]]
        was[order[starts]], was_held[order[starts]] = [one.total for one in amounts], [one.held for one in amounts]
        for at in np.flatnonzero((was + delta != total) | (held < 0)).tolist():
            name = "cash" if by is None else f"position in instrument {what[at]}"
            words = f"{name} was {was[at]}, {delta[at]} were posted, and it is {total[at]}"
            chunk.problem(self.problems, int(wanted[at]), f"{held[at]} of its {name} are held" if held[at] < 0 else words)
        if margin is not None:
            rates = np.array([self._margins.get(number, 0) for number in what.tolist()], np.int64)
            margin[wanted] = _margin_of(total, held, rates) - _margin_of(was, was_held, rates)
        self._note(chunk, wanted, order, starts, keys, amounts, delta, is_cash=by is None)
        return held - was_held

    def _note(
        self,
        chunk: "Chunk",
        wanted: Rows,
        order: Rows,
        starts: Rows,
        keys: list[tuple[int, int]],
        amounts: list[Amount],
        delta: Rows,
        *,
        is_cash: bool,
    ) -> None:
        """Set each amount to that of its last row in the chunk."""
        if not len(starts):
            return
        ends = np.append(starts[1:], len(order)) - 1
        fee = chunk["fee"][wanted] if is_cash else np.zeros(len(wanted), np.int64)
        outside = np.where(chunk.means(Meaning.OUTSIDE)[wanted], delta + fee, 0)
        names = ("cash", "cash_held") if is_cash else ("position", "position_held")
        last = (chunk[name][wanted][order][ends].tolist() for name in names)
        sums = (np.add.reduceat(values[order], starts).tolist() for values in (outside, fee))
        for key, amount, total, held, deposited, fees in zip(keys, amounts, *last, *sums, strict=True):
            amount.total, amount.held = total, held
            amount.deposited += deposited
            amount.fees += fees
            if total or held or deposited or fees or key in self.amounts:
                self.amounts[key] = amount

    def _follow_holds(self, chunk: "Chunk", cash: Rows, lots: Rows) -> None:
        """Note what each row holds or releases, and for which order."""
        wanted = np.flatnonzero((cash != 0) | (lots != 0) | (chunk["submitted_at"] != 0))
        names = ("account", "order_id", "list_id", "leaves_qty", "cum_qty", "submitted_at")
        columns = [chunk[name][wanted].tolist() for name in names]
        holds = self.holds
        for row, more_cash, more_lots, account, order_id, list_id, leaves, cum, submitted_at in zip(
            wanted.tolist(), cash[wanted].tolist(), lots[wanted].tolist(), *columns, strict=True
        ):
            if not submitted_at:
                words = f"{more_cash} of its cash and {more_lots} lots more are held, for no known order"
                chunk.problem(self.problems, row, words)
                continue
            key = (account, list_id or order_id)
            hold = holds.get(key)
            if hold is None:
                hold = holds[key] = Hold()
            hold.cash, hold.lots = hold.cash + more_cash, hold.lots + more_lots
            if hold.cash < 0 or hold.lots < 0:
                words = f"more of its hold is released than was held: {hold.cash} minor units, {hold.lots} lots are left"
                chunk.problem(self.problems, row, words)
            if leaves:
                hold.open[order_id] = (leaves, cum)
                continue
            hold.open.pop(order_id, None)
            if not hold.open:
                del holds[key]
                if hold.cash or hold.lots:
                    words = f"the order is over and still holds {hold.cash} minor units and {hold.lots} lots"
                    chunk.problem(self.problems, row, words)

    def settled(self) -> tuple[Rows, Rows]:
        """SIDE_DTYPE rows of trades, and of trades undone, so far."""
        self._trades, self._busts = [_joined(self._trades)], [_joined(self._busts)]
        return self._trades[0], self._busts[0]

    def open_orders(self) -> Iterator[tuple[int, tuple[int, int, int]]]:
        """(order_id, (account, leaves_qty, cum_qty)) of each order that is not over."""
        for (account, _), hold in self.holds.items():
            for order_id, (leaves, cum) in hold.open.items():
                yield order_id, (account, leaves, cum)

    def sums(self) -> dict[int, Amount]:
        """All accounts together, by CASH or instrument."""
        found: dict[int, Amount] = {}
        for (_, what), amount in self.amounts.items():
            total = found.setdefault(what, Amount())
            total.total += amount.total
            total.held += amount.held
            total.deposited += amount.deposited
            total.fees += amount.fees
        return found

    def balances(self) -> dict[tuple[int, int], int]:
        """(account, CASH or instrument) -> amount, where it is not zero; fees are the cash of EXCHANGE_ACCOUNT."""
        found = {key: amount.total for key, amount in self.amounts.items() if amount.total}
        fees = sum(amount.fees for amount in self.amounts.values())
        return found | ({(EXCHANGE_ACCOUNT, CASH): fees} if fees else {})

    def check_holds(self) -> None:
        """Check that accounts hold what their open orders and short positions need. Call once, at the end."""
        cash: Counter[int] = Counter()
        for (account, _), hold in self.holds.items():
            cash[account] += hold.cash
        for (account, what), amount in self.amounts.items():
            if what != CASH and amount.held > amount.total:
                cash[account] += min((amount.held - amount.total) * self._margins.get(what, 0), CASH_MINOR_MAX)
        for (account, what), amount in self.amounts.items():
            if what == CASH and amount.held != cash[account]:
                words = f"{amount.held} minor units are held, its open orders and short positions need {cash[account]}"
                self.problems.add(Problem(words, account=account))


def _margin_of(total: Rows, held: Rows, rates: Rows) -> Rows:
    """Cash that positions keep held: the rate for each lot that is short once the held ones are gone."""
    short, most = np.maximum(held - total, 0), CASH_MINOR_MAX // np.maximum(rates, 1)
    return np.where(short > most, CASH_MINOR_MAX, np.minimum(short, most) * rates)


def _sides(events: Rows) -> Rows:
    """account_event_frame rows of trades or busts as SIDE_DTYPE: a fifth of the memory."""
    sides = np.zeros(len(events), SIDE_DTYPE)
    for name in SIDE_DTYPE.names or ():
        if name in (events.dtype.names or ()):
            sides[name] = events[name]
    return sides


def _joined(parts: list[Rows]) -> Rows:
    return np.concatenate([np.zeros(0, SIDE_DTYPE), *parts])
