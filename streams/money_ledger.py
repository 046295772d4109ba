"""Follow the account shards' events and check each against the one before: nothing comes, goes or is held without a posting that says so. No I/O.

Every row of account.events carries the account's cash and position after it, and what of them is held. So for each account: cash now = cash before +
cash_delta - fee; for each of its positions the same in lots; what is held changes only by rows about an order, and an order (or list of orders) that
is over holds nothing. A short position keeps cash held by itself, a margin for each lot that is short once the held ones are gone. A kind of event
that MEANINGS does not know is a problem, never skipped.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import Enum
from typing import Final

import numpy as np

from schemas.codec import FRAMES, Frame, Rows
from schemas.enums import AccountEventKind
from schemas.instruments import InstrumentTable
from schemas.limits import CASH_MINOR_MAX


class Meaning(Enum):
    """What the postings of an event are."""

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

DTYPE: Final = FRAMES["account_event_frame"].dtype
COLUMNS: Final = (
    "kind", "seq", "account", "instrument", "order_id", "cash_delta", "shares_delta", "cash", "cash_held", "position", "position_held", "leaves_qty",
    "cum_qty", "submitted_at", "fee", "list_id",
)  # fmt: skip
"""Read of each row; a column that the schema does not have is zero."""
PROBLEMS_MAX: Final = 20
"""Kept with their words; all are counted."""
CASH: Final = 0
"""Stands for cash where an instrument number stands for its shares."""


@dataclass(frozen=True)
class Problem:
    """A row that does not follow from the ones before it, or two places that do not agree."""

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
    margin: int = 0
    """Shares: minor units of cash that they keep held, being short."""


@dataclass(slots=True)
class Hold:
    """What an order, or a list of orders, holds, and its open orders with their (leaves_qty, cum_qty)."""

    cash: int = 0
    lots: int = 0
    open: dict[int, tuple[int, int]] = field(default_factory=dict)


class MoneyLedger:
    """The accounts as their events tell of them."""

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
        self._trades: list[Rows] = []
        self._busts: list[Rows] = []

    def take(self, partition: int, offset: int, frame: Frame) -> None:
        """Follow one frame of account.events; frames of a partition in order, each once."""
        rows = frame.rows
        names = rows.dtype.names or ()
        columns = [rows[name].tolist() if name in names else [0] * len(rows) for name in COLUMNS]
        for index, values in enumerate(zip(*columns, strict=True)):
            self._follow(partition, offset, index, dict(zip(COLUMNS, values, strict=True)))
        self.rows += len(rows)
        for kept, meaning in ((self._trades, Meaning.TRADE), (self._busts, Meaning.BUST)):
            kinds = [kind for kind, found in _BY_KIND.items() if found is meaning]
            if len(settled := rows[np.isin(rows["kind"], kinds)]):
                kept.append(settled)

    def _follow(self, partition: int, offset: int, index: int, row: dict[str, int]) -> None:
        where = f"account.events/{partition} offset {offset:,}, row {index}"
        meaning = _BY_KIND.get(row["kind"])
        if meaning is None:
            self.problems.add(Problem(f"event kind {row['kind']} is unknown to this audit: use a newer program", where, row["account"]))
            return
        before = self._seqs.get(partition, 0)
        if row["seq"] != before + 1:
            self.problems.add(Problem(f"seq {row['seq']} follows {before}: events are missing or twice there", where, row["account"]))
        self._seqs[partition] = row["seq"]
        if meaning is Meaning.NONE and (row["cash_delta"] or row["shares_delta"] or row["fee"]):
            self.problems.add(Problem(f"{AccountEventKind(row['kind']).name} has a posting", where, row["account"], row["order_id"]))
        cash_held = self._move(where, row, CASH, row["cash_delta"] - row["fee"], row["cash"], row["cash_held"], meaning)
        lots_held = 0
        if row["instrument"]:
            lots_held = self._move(where, row, row["instrument"], row["shares_delta"], row["position"], row["position_held"], meaning)
            cash_held -= self._margin_change(row["account"], row["instrument"])
        if row["kind"] == AccountEventKind.ACCEPTED:
            self.orders[row["account"]] += 1
        if cash_held or lots_held or row["submitted_at"]:
            self._follow_hold(where, row, cash_held, lots_held)

    def _move(self, where: str, row: dict[str, int], what: int, delta: int, total: int, held: int, meaning: Meaning) -> int:
        """Check and note one amount; returns how much more of it is held than before."""
        key = (row["account"], what)
        amount = self.amounts.get(key)
        if amount is None:
            if not (delta or total or held):
                return 0
            amount = self.amounts[key] = Amount()
        name = "cash" if what == CASH else f"position in instrument {what}"
        if amount.total + delta != total:
            words = f"{name} was {amount.total}, {delta} were posted, and it is {total}"
            self.problems.add(Problem(words, where, row["account"], row["order_id"]))
        if held < 0:
            self.problems.add(Problem(f"{held} of its {name} are held", where, row["account"], row["order_id"]))
        change, amount.total, amount.held = held - amount.held, total, held
        if meaning is Meaning.OUTSIDE:
            amount.deposited += delta + (row["fee"] if what == CASH else 0)
        if what == CASH:
            amount.fees += row["fee"]
        return change

    def _margin_change(self, account: int, instrument: int) -> int:
        """How much more cash the position keeps held than before."""
        amount = self.amounts.get((account, instrument))
        if amount is None:
            return 0
        before, short = amount.margin, max(amount.held - amount.total, 0)
        amount.margin = min(short * self._margins.get(instrument, 0), CASH_MINOR_MAX)
        return amount.margin - before

    def _follow_hold(self, where: str, row: dict[str, int], cash: int, lots: int) -> None:
        """Note what the row holds or releases, and for which order."""
        account, order_id = row["account"], row["order_id"]
        if not row["submitted_at"]:
            self.problems.add(Problem(f"{cash} of its cash and {lots} lots more are held, for no known order", where, account, order_id))
            return
        key = (account, row["list_id"] or order_id)
        hold = self.holds.setdefault(key, Hold())
        hold.cash, hold.lots = hold.cash + cash, hold.lots + lots
        if hold.cash < 0 or hold.lots < 0:
            words = f"more of its hold is released than was held: {hold.cash} minor units, {hold.lots} lots are left"
            self.problems.add(Problem(words, where, account, order_id))
        if row["leaves_qty"]:
            hold.open[order_id] = (row["leaves_qty"], row["cum_qty"])
        else:
            hold.open.pop(order_id, None)
        if not hold.open:
            del self.holds[key]
            if hold.cash or hold.lots:
                words = f"the order is over and still holds {hold.cash} minor units and {hold.lots} lots"
                self.problems.add(Problem(words, where, account, order_id))

    def settled(self) -> tuple[Rows, Rows]:
        """The rows of trades, and of trades undone, so far."""
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
        """(account, CASH or instrument) -> amount, where it is not zero."""
        return {key: amount.total for key, amount in self.amounts.items() if amount.total}

    def check_holds(self) -> None:
        """What accounts hold is what their open orders hold and their short positions keep. Call once, at the end."""
        cash: Counter[int] = Counter()
        for (account, _), hold in self.holds.items():
            cash[account] += hold.cash
        for (account, what), amount in self.amounts.items():
            if what != CASH:
                cash[account] += amount.margin
        for (account, what), amount in self.amounts.items():
            if what == CASH and amount.held != cash[account]:
                words = f"{amount.held} minor units are held, its open orders and short positions need {cash[account]}"
                self.problems.add(Problem(words, account=account))


def _joined(parts: list[Rows]) -> Rows:
    return np.concatenate(parts) if parts else np.zeros(0, DTYPE)
