"""A small exchange of two account shards and two book shards, wired once with the reference and once with the kernel: every frame goes through both."""

from collections import Counter, deque
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

import numpy as np

from matchers.accounts import shard as account_shard
from matchers.accounts.reference import shard as reference_account_shard
from matchers.accounts.reference.holds import pair_need
from matchers.books import shard as book_shard
from matchers.books.reference import shard as reference_book_shard
from matchers.rules.limits import ShardLimits
from matchers.rules.outputs import BOOK_COMMAND_DTYPE, COMMAND_DTYPE, python_rows, rows_of
from matchers.settlement import reference as reference_account_settlement
from matchers.settlement.reports import reports_of
from schemas.codec import Header, Rows, encode_frame
from schemas.enums import (
    AccountEventKind,
    ExecKind,
    Phase,
)
from schemas.instruments import Instrument, InstrumentTable

SHARDS = 2
NUMBERS = (1, 2, 5, 6)
TIGHT = ShardLimits(accounts_max=9, orders_max=120, open_orders_per_account_max=20, done_orders_max=60, updates_max=12, replaced_ids_max=5)
Values = dict[str, int]
Step = tuple[str, int, Rows, Rows, int, Rows]
"""(machine "account" | "report" | "book", shard, rows, cl_ord_id, reply partition, orig_cl_ord_id)"""


def instruments() -> InstrumentTable:
    """Reference 100 ticks, market orders within 80 to 120 (5: 85 to 115); a lot at a tick costs 100, 100, 10 and 1 minor units."""
    one, dime = Decimal(1), Decimal("0.1")
    lots = {1: one, 2: one, 5: dime, 6: dime * dime}
    more: dict[int, dict[str, Any]] = {
        1: {"no_cancel_seconds": 1},
        2: {"maker_fee": Decimal("0.0010"), "taker_fee": Decimal("0.0030"), "max_position": Decimal(600), "min_order_qty": Decimal(2)},
        5: {"collar_percent": 15, "maker_fee": Decimal("0.001"), "taker_fee": Decimal("0.005")},
        6: {"luld_tier": 1},
    }
    return InstrumentTable(
        Instrument(n, f"I{n}", "", one / 100, lots[n], 1000 * lots[n], Decimal(900), one, 20, **more[n]) for n in NUMBERS
    )


TABLE = instruments()


@dataclass
class Engine:
    """Two account shards and two book shards of one make, and all they said."""

    make: str
    limits: ShardLimits
    accounts: list[Any] = field(default_factory=list)
    books: list[Any] = field(default_factory=list)

    def __post_init__(self) -> None:
        modules: dict[str, tuple[Any, Any]] = {
            "reference": (reference_account_shard, reference_book_shard), "kernel": (account_shard, book_shard),
        }  # fmt: skip
        self.account_class, self.book_class = modules[self.make][0].AccountShard, modules[self.make][1].BookShard
        self.accounts = [self.account_class(shard, TABLE, SHARDS, self.limits) for shard in range(SHARDS)]
        self.books = [self.book_class(shard, TABLE, SHARDS, self.limits) for shard in range(SHARDS)]

    def apply(self, step: Step) -> Any:
        """One input frame."""
        machine, shard, rows, text, reply_partition, orig = step
        if machine == "account":
            return self.accounts[shard].apply_commands(rows, text, reply_partition, orig if orig.any() else None)
        return self.accounts[shard].apply_reports(rows) if machine == "report" else self.books[shard].apply(rows)

    def hashes(self) -> list[bytes]:
        """State hashes of the four shards."""
        return [machine.state_hash() for machine in (*self.accounts, *self.books)]

    def restored(self) -> "Engine":
        """The same engine again, from copies of its snapshots."""
        other = Engine(self.make, self.limits)
        copies = [{name: array.copy() for name, array in machine.snapshot().items()} for machine in (*self.accounts, *self.books)]
        other.accounts = [self.account_class.restore(shard, TABLE, copies[shard]) for shard in range(SHARDS)]
        other.books = [self.book_class.restore(shard, TABLE, copies[SHARDS + shard]) for shard in range(SHARDS)]
        return other


def encoded(out: Any) -> list[bytes]:
    """An output as the frames that a shell would send, header included."""
    if hasattr(out, "executions"):
        return [encode_frame("execution_frame", Header("x", first_seq=out.first_seq), out.executions)]
    head = Header("x", first_seq=out.first_seq)
    return [
        encode_frame("account_event_frame", head, out.events, out.event_cl_ord_id, out.event_orig_cl_ord_id),
        encode_frame("account_event_frame", head, out.replies, out.reply_cl_ord_id, out.reply_orig_cl_ord_id),
        out.reply_mask.tobytes(),
        encode_frame("book_command_frame", head, out.book_commands),
        f"{out.event_cl_ord_id.dtype} {out.reply_cl_ord_id.dtype} {out.reply_mask.dtype}".encode(),
        repr(out.refused).encode(),
    ]


class Exchange:
    """Drives a reference and a kernel engine alike, queues what goes between shards, and checks after every frame."""

    def __init__(self, limits: ShardLimits = TIGHT) -> None:
        self.reference, self.kernel = Engine("reference", limits), Engine("kernel", limits)
        self.to_books: list[deque[Values]] = [deque() for _ in range(SHARDS)]
        self.to_accounts: list[deque[Rows]] = [deque() for _ in range(SHARDS)]
        self.steps: list[Step] = []
        self.said: list[list[bytes]] = []
        self.commands = self.now = self.deposited = self.updates = 0
        self.forged = False
        """Whether reports were fed that no book has made."""
        self.posted: Counter[int] = Counter()
        self.trades: deque[Values] = deque(maxlen=40)
        self.busted = False
        self.sellers: set[int] = set()
        """Accounts that might ever sell short."""
        self.last = [0] * (2 * SHARDS)
        self.order_ids = [deque([0], maxlen=300) for _ in range(SHARDS)]

    def apply(
        self, machine: str, shard: int, rows: Rows, text: Rows | None = None, reply_partition: int = -1, orig: Rows | None = None
    ) -> Any:
        """One frame through both engines; their outputs must be the same bytes."""
        none = np.zeros(len(rows), "S8")
        step = (machine, shard, rows, none if text is None else text, reply_partition, none if orig is None else orig)
        expected, got = self.reference.apply(step), self.kernel.apply(step)
        self.steps.append(step)
        self.said.append(encoded(expected))
        assert self.said[-1] == encoded(got), f"step {len(self.steps)} {machine} {shard}: {python_rows(rows)}"
        assert self.forged or machine != "report" or not expected.refused, expected.refused
        self.commands += len(rows)
        self._dense(machine, shard, expected)
        return expected

    def _dense(self, machine: str, shard: int, out: Any) -> None:
        """Rows of a shard are numbered without gaps."""
        at = shard if machine != "book" else SHARDS + shard
        rows = out.executions if machine == "book" else out.events
        assert out.first_seq == self.last[at] + 1
        if machine != "book":
            assert out.events["seq"].tolist() == list(range(out.first_seq, out.first_seq + len(rows)))
        self.last[at] += len(rows)

    def ask(self, shard: int, commands: list[Values], text: list[bytes], reply_partition: int, orig: list[bytes] | None = None) -> Any:
        """A frame of customers' commands; what the shard said."""
        origs = None if orig is None else np.array(orig, "S128")
        out = self.apply("account", shard, rows_of(COMMAND_DTYPE, commands), np.array(text, "S128"), reply_partition, origs)
        accepted = out.events[out.events["kind"] == AccountEventKind.ACCOUNT_UPDATED]
        self.deposited += int(accepted["cash_delta"].sum())
        for instrument, lots in zip(accepted["instrument"].tolist(), accepted["shares_delta"].tolist(), strict=True):
            self.posted[instrument] += lots
        allowed = out.events[(out.events["kind"] == AccountEventKind.ACCOUNT_LIMITS_CHANGED) & (out.events["instrument"] == 0)]
        self.sellers |= set(allowed["account"][allowed["account_word"] != 0].tolist())
        self.order_ids[shard].extend(out.events["order_id"][out.events["kind"] == AccountEventKind.ACCEPTED].tolist())
        for command in python_rows(out.book_commands):
            self.to_books[command["instrument"] % SHARDS].append(command)
        return out

    def run_books(self, shard: int, most: int, extra: list[Values]) -> None:
        """Up to `most` waiting commands of a book shard, behind `extra` ones (session changes, time, junk)."""
        rows = extra + [self.to_books[shard].popleft() for _ in range(min(most, len(self.to_books[shard])))]
        frame = rows_of(BOOK_COMMAND_DTYPE, rows)
        out = self.apply("book", shard, frame)
        reports = reports_of(out.executions, frame)
        assert reports.tobytes() == reference_account_settlement.reports_of(out.executions, frame).tobytes()
        self.trades.extend(python_rows(out.executions[out.executions["kind"] == ExecKind.TRADE]))
        self.busted |= bool((out.executions["kind"] == ExecKind.TRADE_BUSTED).any())
        for home in range(SHARDS):
            if len(mine := reports[reports["account"] % np.uint64(SHARDS) == home]):
                self.to_accounts[home].append(mine)
        self._never_crossed()

    def settle(self, shard: int) -> None:
        """The next waiting report frame of an account shard."""
        if self.to_accounts[shard]:
            self.apply("report", shard, self.to_accounts[shard].popleft())
            self._holds()

    def come_to_rest(self) -> None:
        """Deliver all that is under way, then check what must hold at rest."""
        while any(self.to_books) or any(self.to_accounts):
            for shard in range(SHARDS):
                if self.to_books[shard]:
                    self.run_books(shard, 1 << 20, [])
                self.settle(shard)
        open_orders = {
            o.order_id: (o.leaves_qty, o.side, o.instrument)
            for a in self.reference.accounts
            for o in a.state.orders.values()
            if o.leaves_qty
        }
        resting = {o.order_id: (o.leaves_qty, o.side, o.instrument) for b in self.reference.books for o in b.state.orders.values()}
        assert open_orders == resting, "accounts and books disagree on what is open"
        fees = sum(shard.state.fees_minor for shard in self.reference.accounts)
        cash = sum(a.cash for shard in self.reference.accounts for a in shard.state.accounts.values())
        assert cash + fees == self.deposited, "cash came or went"
        shares: Counter[int] = Counter()
        for position in (p for shard in self.reference.accounts for p in shard.state.positions.values()):
            shares[position.instrument] += position.position
        assert +shares == +self.posted and -shares == -self.posted, "shares came or went"
        self._holds()
        assert self.reference.hashes() == self.kernel.hashes()

    def _never_crossed(self) -> None:
        for book in (book for shard in self.reference.books for book in shard.state.books.values()):
            bid, ask = (side.top()[0] for side in book.sides.values())
            assert book.phase != Phase.CONTINUOUS or not bid or not ask or bid < ask, (
                f"instrument {book.instrument} is crossed: {bid} {ask}"
            )

    def _holds(self) -> None:
        """Holds are what open orders and short positions require by their definition, and never more than there is, but for busted trades."""
        for shard in self.reference.accounts:
            for account in shard.state.accounts.values():
                cash, held = 0, Counter[int]()
                for order in account.open_orders.values():
                    pair = pair_need(shard.state, order)
                    if order.oco is None or order.oco.order_id > order.order_id:
                        cash += pair.cash
                        held[order.instrument] += pair.shares
                for position in account.positions:
                    assert position.position_held == held[position.instrument]
                    short = max(position.position_held - position.position, 0)
                    assert not short or account.account in self.sellers or self.busted, "only who may sells short"
                    cash += short * TABLE.rules[position.instrument]["short_margin_minor"]
                assert account.cash_held == cash
                assert account.available >= 0 or self.busted, f"account {account.account} owes"
