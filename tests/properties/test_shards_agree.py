"""Reference and kernel, wired into a small exchange each, must say the same bytes and be in the same state, whatever they are asked."""

from collections import Counter, deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from matchers.accounts import shard as account_shard
from matchers.accounts.reference import shard as reference_account_shard
from matchers.accounts.reference.holds import pair_need
from matchers.books import shard as book_shard
from matchers.books.reference import shard as reference_book_shard
from matchers.rules.account_rules import DAY_NS
from matchers.rules.limits import DEFAULT_LIMITS, ShardLimits
from matchers.rules.outputs import BOOK_COMMAND_DTYPE, COMMAND_DTYPE, REPORT_DTYPE, python_rows, rows_of
from matchers.settlement import reference as reference_account_settlement
from matchers.settlement.reports import reports_of
from schemas.codec import FRAMES, Header, Rows, encode_frame
from schemas.enums import (
    AccountEventKind,
    BookCommandKind,
    CommandKind,
    ContingencyType,
    ExecFlag,
    ExecKind,
    OffsetType,
    OrdType,
    Phase,
    ReportKind,
    Side,
    TimeInForce,
)
from schemas.instruments import Instrument, InstrumentTable
from schemas.reject_reasons import Reason

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


EXTREME = (0, 1, -1, 255, 4_000_000_000, (1 << 63) - 1, -(1 << 63), 1 << 31, (1 << 31) + 1, 1 << 53, 1 << 60, (1 << 64) - 1)
TEXTS = (b"", b"\x80", b"a\0b", b"\x1f", b"\x7f", b"x" * 128, b"x" * 127 + b"\xff", b" ", b"~" * 9, b"12345678", b"1234567\n")


UPDATES = (CommandKind.ACCOUNT_UPDATE, CommandKind.ACCOUNT_STATUS, CommandKind.ACCOUNT_LIMITS)
TRAILING = (OrdType.TRAILING_STOP, OrdType.TRAILING_STOP_LIMIT)


def bust_of(trade: Values, now: int) -> Values:
    """The command that undoes a trade, as an operator makes it from the books' records."""
    own, contra = (trade["order_id"], trade["account"]), (trade["contra_order_id"], trade["contra_account"])
    buy, sell = (own, contra) if trade["side"] == Side.BUY else (contra, own)
    return {
        "kind": BookCommandKind.TRADE_BUST, "instrument": trade["instrument"], "trd_match_id": trade["trd_match_id"], "price": trade["price"],
        "order_qty": trade["qty"], "reason": Reason.CLEARLY_ERRONEOUS, "transact_time": now, "order_id": buy[0], "account": buy[1],
        "list_id": sell[0], "self_match_prevention_id": sell[1], "side": 0 if trade["flags"] & ExecFlag.UNCROSS else trade["side"],
    }  # fmt: skip


def hostile(pick: Callable[[int], int], command: Values, dtype: np.dtype[Any]) -> Values:
    """The command with one column at an extreme value that fits the column."""
    names = [name for name in dtype.names or () if name != "transact_time"]
    name = names[pick(len(names))]
    limits = np.iinfo(dtype[name])
    fitting = [value for value in EXTREME if limits.min <= value <= limits.max]
    return command | {name: fitting[pick(len(fitting))]}


class Customers:
    """Makes commands; `pick(n)` chooses a number below n."""

    def __init__(self, pick: Callable[[int], int], exchange: Exchange, *, lists: bool = True) -> None:
        self.pick, self.exchange, self.lists = pick, exchange, lists
        self.earlier: dict[int, list[tuple[Values, bytes]]] = {shard: [] for shard in range(SHARDS)}

    def order(self, shard: int) -> Values:
        """One order, mostly a good one."""
        pick, qty = self.pick, 1 + self.pick(30)
        ord_type = OrdType.LIMIT if pick(2) else list(OrdType)[pick(len(OrdType))]
        times = (
            TimeInForce.DAY,
            TimeInForce.DAY,
            TimeInForce.GTC,
            TimeInForce.IOC,
            TimeInForce.FOK,
            TimeInForce.OPG,
            TimeInForce.CLS,
            TimeInForce.GTD,
        )
        made: Values = {
            "kind": CommandKind.NEW_ORDER, "side": 1 + pick(2), "order_qty": qty, "time_in_force": times[pick(8)] if pick(2) else TimeInForce.DAY,
            "ord_type": ord_type, "locate": pick(3) == 0,
        }  # fmt: skip
        if ord_type in (OrdType.LIMIT, OrdType.STOP_LIMIT) or (ord_type == OrdType.PEGGED and pick(2)):
            made["price"] = 95 + pick(11)
        if ord_type == OrdType.TRAILING_STOP_LIMIT:
            made["price"] = pick(6)
        if ord_type in (OrdType.STOP, OrdType.STOP_LIMIT) or (ord_type in TRAILING and pick(2)):
            made["stop_px"] = 94 + pick(13)
        if ord_type in TRAILING:
            made |= {"offset": 1 + pick(5)} if pick(2) else {"offset": 1 + pick(400), "offset_type": OffsetType.BASIS_POINTS}
        if ord_type == OrdType.PEGGED:
            made |= {"offset": pick(5) - 2, "peg_price_type": (2, 4, 5)[pick(3)]}
        if made["time_in_force"] == TimeInForce.GTD:
            made["expire_time"] = self.exchange.now + 1 + pick(60)
        if pick(8) == 0:
            made["exec_inst"] = 1 + pick(4)
        if pick(8) == 0:
            made["display_qty"] = 1 + pick(qty)
        if pick(10) == 0:
            made["min_qty"] = 1 + pick(qty)
        if pick(4) == 0:
            made |= {"self_match_prevention_id": 1 + pick(2), "self_match_prevention_instruction": pick(6)}
        return made

    def replacement(self) -> Values:
        """A replace, mostly of price and quantity."""
        pick = self.pick
        made: Values = {"kind": CommandKind.REPLACE, "order_qty": pick(40), "time_in_force": 255 if pick(4) else pick(8)}
        if pick(2):
            made["price"] = 94 + pick(13)
        for column in ("stop_px", "display_qty", "offset", "expire_time"):
            if pick(10) == 0:
                made[column] = 1 + pick(100)
        return made

    def operator_command(self) -> Values:
        """What the exchange decides about an account."""
        pick = self.pick
        if pick(2):
            return {"kind": CommandKind.ACCOUNT_STATUS, "account_word": (0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 2, 3)[pick(15)]}
        if pick(3) == 0:
            return {"kind": CommandKind.ACCOUNT_LIMITS, "account_word": pick(9) == 0, "order_qty": pick(2) * (200 + pick(500))}
        rate = (0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1_000_000_000, 2)[pick(12)]
        limits = {"order_qty": rate, "min_qty": pick(10), "cash": (pick(3) == 0) * 100_000}
        return {"kind": CommandKind.ACCOUNT_LIMITS, "account_word": pick(4) > 0, "instrument": 0} | limits

    def command(self, shard: int) -> tuple[Values, bytes]:
        """One command of an account of this shard."""
        pick = self.pick
        self.exchange.now += pick(3) + (pick(900) == 0) * DAY_NS
        text = b"c%d" % pick(500)
        common = self.common(shard)
        what, ids = pick(100), self.exchange.order_ids[shard]
        named = self.own_order(shard) if pick(4) else {"order_id": ids[pick(len(ids))] if pick(3) else 0}
        if what < 50:
            made = common | self.order(shard)
        elif what < 63:
            made = common | named | {"kind": CommandKind.CANCEL}
        elif what < 78:
            made = common | named | self.replacement()
            text = b"r%d" % pick(5_000) if pick(4) else text
        elif what < 82 and self.earlier[shard]:
            made, text = self.earlier[shard][pick(len(self.earlier[shard]))]
        elif what < 84:
            made = common | {"kind": CommandKind.REGISTER_SESSION}
        elif what < 88:
            made = common | self.operator_command()
        else:
            lots = pick(100) - 40
            made = common | {"kind": CommandKind.ACCOUNT_UPDATE, "cash": 2_000 * (pick(100) - 30), "order_qty": lots if pick(2) else 0}
        if made["kind"] in UPDATES and what >= 84:
            self.exchange.updates += 1
            made["request_id"] = self.exchange.updates if pick(12) else pick(self.exchange.updates + 3)
        if pick(12) == 0:
            made = hostile(pick, made, COMMAND_DTYPE)
            if made["kind"] in UPDATES and made["request_id"] < 1 << 53:  # a high one that is taken would be the account's last
                made["request_id"] = min(made["request_id"], self.exchange.updates)
        if pick(25) == 0:
            text = TEXTS[pick(len(TEXTS))]
        if made["account"] % SHARDS != shard and made["kind"] != CommandKind.ACCOUNT_UPDATE:
            made |= {"account": made["account"] - made["account"] % SHARDS + shard}  # the wrong partition: shells keep these away
        self.earlier[shard] = [*self.earlier[shard][-40:], (made, text)]
        return made, text

    def orig(self, shard: int, command: Values) -> bytes:
        """Now and then a cancel or replace names its order by one of the ids that it has, had or waits for."""
        pick, machine = self.pick, self.exchange.reference.accounts[shard]
        if command["kind"] not in (CommandKind.CANCEL, CommandKind.REPLACE) or pick(3):
            return b""
        command["order_id"] = command.get("order_id", 0) if pick(8) == 0 else 0
        account = machine.state.accounts.get(command["account"])
        if account is None or not account.open_orders or pick(6) == 0:
            return (b"c%d" % pick(500), TEXTS[pick(len(TEXTS))])[pick(2)]
        orders = list(account.open_orders.values())
        order = orders[pick(len(orders))]
        return order.next_id.text if order.next_id and pick(3) == 0 else order.cl_ord_id

    def own_order(self, shard: int) -> Values:
        """An open order, by its number and its account's, if there is one."""
        accounts = [one for one in self.exchange.reference.accounts[shard].state.accounts.values() if one.open_orders]
        if not accounts:
            return {}
        account = accounts[self.pick(len(accounts))]
        orders = list(account.open_orders.values())
        return {"account": account.account, "order_id": orders[self.pick(len(orders))].order_id}

    def common(self, shard: int) -> Values:
        """Whose command it is, of which instrument, and when."""
        pick = self.pick
        return {
            "account": shard + SHARDS * pick(6), "request_id": pick(1000), "transact_time": self.exchange.now, "instrument": NUMBERS[pick(4)],
        }  # fmt: skip

    def listed(self, shard: int) -> list[tuple[Values, bytes]]:
        """The orders of a list, mostly a good one."""
        pick, common = self.pick, self.common(shard)
        kind = (ContingencyType.OCO, ContingencyType.OTO, ContingencyType.BRACKET)[pick(3)]
        side, qty, price = 1 + pick(2), 2 + pick(20), 96 + pick(9)
        limit = {"ord_type": OrdType.LIMIT, "price": price, "side": side}
        stop = (
            {"ord_type": OrdType.STOP, "stop_px": 95 + pick(11), "side": side}
            if pick(2)
            else limit | {"ord_type": OrdType.STOP_LIMIT, "stop_px": 100}
        )
        legs: list[Values] = [dict(limit), dict(stop)]
        if kind != ContingencyType.OCO:
            first = {"ord_type": OrdType.LIMIT, "price": 98 + pick(6)} if pick(2) else {"ord_type": OrdType.MARKET}
            legs = [first | {"side": 3 - side if pick(4) else side}, *legs[: 1 if kind == ContingencyType.OTO else 2]]
        number = 1 + pick(3)
        made = []
        for at, leg in enumerate(legs):
            shape = {
                "kind": CommandKind.NEW_ORDER,
                "contingency_type": kind,
                "list_id": number,
                "order_qty": qty if pick(3) else 1 + pick(30),
            }
            command = common | shape | leg | {"locate": pick(3) == 0}
            if pick(30) == 0:
                command = hostile(pick, command, COMMAND_DTYPE)
                command["account"] = command["account"] - command["account"] % SHARDS + shard
            made.append((command, b"l%d" % pick(300) if pick(8) else b"l%d" % at))
        if pick(6) == 0:
            made = made[: 1 + pick(len(made))]
        return made

    def frame(self, shard: int, frame_rows: int) -> list[tuple[Values, bytes]]:
        """Rows of one frame."""
        rows: list[tuple[Values, bytes]] = []
        for _ in range(1 + self.pick(frame_rows)):
            rows += self.listed(shard) if self.lists and self.pick(9) == 0 else [self.command(shard)]
        return rows

    def act(self, frame_rows: int) -> None:
        """One frame of some kind through the exchange."""
        pick, exchange = self.pick, self.exchange
        shard, what = pick(SHARDS), pick(20)
        if what < 9:
            commands, text = zip(*self.frame(shard, frame_rows), strict=True)
            commands = [dict(one) for one in commands]
            orig = [self.orig(shard, one) for one in commands]
            exchange.ask(shard, commands, list(text), pick(6) - 1 if pick(30) else (64, -5, 63, 1 << 31)[pick(4)], orig)
        elif what < 14:
            exchange.run_books(shard, 1 + pick(2 * frame_rows), self.operators(shard, frame_rows))
        else:
            exchange.settle(shard)

    def operators(self, shard: int, frame_rows: int) -> list[Values]:
        """Now and then a session change, a mass cancel, a bust, time, or rows that nobody should send."""
        pick, exchange = self.pick, self.exchange
        now = exchange.now
        instrument = [n for n in NUMBERS if n % SHARDS == shard][pick(2)] if pick(3) else 0
        common = {"transact_time": now, "instrument": instrument}
        if pick(200 // frame_rows + 3) == 0:
            phase = {"phase": (1, 1, 1, 3, 3, 4, 4, 0, 2, 99)[pick(10)], "expire_time": (now + 40) * pick(2)}
            return [common | {"kind": BookCommandKind.TRADING_SESSION_CHANGE} | phase]
        if pick(4) == 0:
            common |= {"instrument": 0}
            change = common | {"kind": BookCommandKind.TRADING_SESSION_CHANGE}
            return [
                common | {"kind": BookCommandKind.TRADING_RESUME},
                change | {"phase": Phase.OPENING_AUCTION},
                change | {"phase": Phase.CONTINUOUS},
            ]
        what = pick(24)
        if what < 2:
            return [common | {"kind": BookCommandKind.MASS_CANCEL, "account": pick(8), "side": pick(3)}]
        if what == 2:
            return [
                common | {"kind": (BookCommandKind.TRADING_HALT, BookCommandKind.TRADING_RESUME)[pick(2)], "phase": (6, 7, 0, 1)[pick(4)]}
            ]
        if what == 3 and exchange.trades and pick(2):
            return [bust_of(exchange.trades[pick(len(exchange.trades))], now)]
        if what < 7:
            return [{"kind": BookCommandKind.TIMER, "transact_time": now}, {"kind": (0, 11, 255)[pick(3)], "order_id": 5, "account": 1}]
        return []

    def opening(self) -> None:
        """Accounts with money and shares, and open markets."""
        for shard in range(SHARDS):
            deposits = [
                {
                    "kind": CommandKind.ACCOUNT_UPDATE,
                    "account": shard + SHARDS * k,
                    "instrument": n,
                    "order_qty": (60, 300, 20)[k - 1],
                    "cash": (600_000, 3_000_000, 200_000)[k - 1],
                }
                for k in range(1, 4)
                for n in NUMBERS
            ]
            deposits += [{"kind": CommandKind.ACCOUNT_LIMITS, "account": shard + SHARDS * k, "account_word": 1} for k in (1, 2)]
            self.exchange.updates = max(self.exchange.updates, len(deposits))
            deposits = [one | {"request_id": 1 + at} for at, one in enumerate(deposits)]
            self.exchange.ask(shard, deposits, [b""] * len(deposits), -1)
            self.exchange.run_books(shard, 0, [{"kind": BookCommandKind.TRADING_SESSION_CHANGE, "phase": Phase.CONTINUOUS}])


def joined(steps: list[Step]) -> list[Step]:
    """The same inputs with neighbouring frames of one machine and reply partition made one."""
    out: list[Step] = []
    for machine, shard, rows, text, partition, orig in steps:
        at = next((k for k in range(len(out) - 1, -1, -1) if (out[k][0] == "book") == (machine == "book") and out[k][1] == shard), None)
        if at is not None and out[at][0] == machine and out[at][4] == partition:
            earlier = out[at]
            together = [np.concatenate(pair) for pair in ((earlier[2], rows), (earlier[3], text), (earlier[5], orig))]
            out[at] = (machine, shard, together[0], together[1], partition, together[2])
        else:
            out.append((machine, shard, rows, text, partition, orig))
    return out


def split(steps: list[Step]) -> list[Step]:
    """The same inputs, a frame per row."""
    return [
        (machine, shard, rows[k : k + 1], text[k : k + 1], partition, orig[k : k + 1])
        for machine, shard, rows, text, partition, orig in steps
        for k in range(len(rows))
    ]


def all_rows(steps: list[Step], engine: Engine) -> list[bytes]:
    """Per shard, all that the steps make it say as one row of bytes a stream, command_index left out."""
    streams: dict[tuple[str, int], list[bytes]] = {}
    for step in steps:
        out = engine.apply(step)
        if step[0] == "book":
            rows = out.executions.copy()
            rows["command_index"] = 0
            parts = {"executions": rows}
        else:
            parts = {"events": out.events, "replies": out.replies, "masks": out.reply_mask, "book_commands": out.book_commands}
        for name, rows in parts.items():
            streams.setdefault((name, step[1]), []).extend(repr(row).encode() for row in rows.tolist())
    return [repr(name).encode() + b"".join(rows) for name, rows in sorted(streams.items())]


@pytest.mark.slow
@settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(st.data())
def test_reference_and_kernel_say_the_same_in_every_short_story(data: st.DataObject) -> None:
    """Small enough to be shrunk: hypothesis chooses every number."""
    exchange = Exchange(
        ShardLimits(accounts_max=4, orders_max=6, open_orders_per_account_max=3, done_orders_max=2, updates_max=3, replaced_ids_max=2)
    )
    customers = Customers(lambda n: data.draw(st.integers(0, n - 1)), exchange)
    customers.opening()
    for _ in range(data.draw(st.integers(1, 12))):
        customers.act(3)
    exchange.come_to_rest()


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(4))
def test_reference_and_kernel_agree_over_long_sessions(seed: int, capsys: pytest.CaptureFixture[str]) -> None:
    """At least 40,000 rows in all, with little room in the shards, extreme values, session changes; then replay, restore and other frame sizes."""
    exchange = Exchange(TIGHT if seed % 2 else DEFAULT_LIMITS)
    rng = np.random.default_rng(seed)
    numbers: Iterator[int] = iter(())

    def pick(n: int) -> int:
        nonlocal numbers
        for number in numbers:
            return number % n
        numbers = iter(rng.integers(0, 1 << 40, 1 << 16).tolist())
        return pick(n)

    lists = seed != 0  # a list is of one frame, so where frames end shows with them
    customers = Customers(pick, exchange, lists=lists)
    customers.opening()
    frame_rows = (12, 40, 3, 120)[seed]
    middle: tuple[int, Engine, Engine] | None = None
    while exchange.commands < 10_000:
        customers.act(frame_rows)
        if middle is None and exchange.commands > 5_000:
            middle = len(exchange.steps), exchange.reference.restored(), exchange.kernel.restored()
            assert middle[1].hashes() == exchange.reference.hashes() == middle[2].hashes() == exchange.kernel.hashes()
    exchange.come_to_rest()
    final = exchange.kernel.hashes()
    assert middle is not None
    for restored in middle[1:]:
        for step, said in zip(exchange.steps[middle[0] :], exchange.said[middle[0] :], strict=True):
            assert encoded(restored.apply(step)) == said, "a restored shard goes on differently"
        assert restored.hashes() == final
    framings = (exchange.steps,) if lists else (exchange.steps, joined(exchange.steps), split(exchange.steps))
    replays = [Engine("kernel", exchange.kernel.limits) for _ in framings]
    told = [all_rows(steps, engine) for steps, engine in zip(framings, replays, strict=True)]
    assert all(one == told[0] for one in told), "how commands are framed shows in the events"
    assert all(engine.hashes() == final for engine in replays)
    trades = sum(book.state.last_trade for book in exchange.reference.books)
    with capsys.disabled():
        print(f"\n  seed {seed}: {exchange.commands} rows in {len(exchange.steps)} frames checked, {trades} trades", end=" ")
    assert trades > 200


@pytest.mark.slow
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(st.data())
def test_a_refused_command_changes_nothing_but_its_own_numbers(data: st.DataObject) -> None:
    """One row per frame; if the only event is a refusal by this shard, the state hash is what it was, in both engines."""
    exchange = Exchange()
    customers = Customers(lambda n: data.draw(st.integers(0, n - 1)), exchange)
    customers.opening()
    refusals = {AccountEventKind.REJECTED, AccountEventKind.CANCEL_REJECTED, AccountEventKind.ACCOUNT_UPDATE_REJECTED}
    for _ in range(8):
        shard = data.draw(st.integers(0, SHARDS - 1))
        command, text = customers.command(shard)
        if data.draw(st.booleans()):
            command = hostile(customers.pick, command, COMMAND_DTYPE) | {"account": command["account"]}
        before = exchange.reference.hashes(), exchange.kernel.hashes()
        out = exchange.ask(shard, [command], [text], -1, [customers.orig(shard, command)])
        if set(out.events["kind"].tolist()) <= refusals:  # a repeated update has no event at all, only its answer
            assert (exchange.reference.hashes(), exchange.kernel.hashes()) == before


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(st.data())
def test_no_report_stops_an_account_shard_or_makes_money_that_is_not_there(data: st.DataObject) -> None:
    """Reports that no book has made, true ones with one number bent: each is applied or left out whole, by both engines, and nobody owes anything for it."""
    exchange = Exchange()
    exchange.forged = True
    pick: Callable[[int], int] = lambda n: data.draw(st.integers(0, n - 1))  # noqa: E731  one name for both users
    customers = Customers(pick, exchange)
    customers.opening()
    for _ in range(data.draw(st.integers(1, 8))):
        customers.act(4)
        shard = pick(SHARDS)
        known = [order for order in exchange.reference.accounts[shard].state.orders.values() if order.leaves_qty or not pick(4)]
        forged = [forged_report(pick, known[pick(len(known))], exchange.now) for _ in range(1 + pick(3)) if known]
        for row, report in enumerate(forged):
            before = exchange.kernel.accounts[shard].state_hash()
            out = exchange.apply("report", shard, rows_of(REPORT_DTYPE, [report]))
            assert not out.refused or exchange.kernel.accounts[shard].state_hash() == before, (
                f"report {row} was left out and changed something"
            )
    assert exchange.reference.hashes() == exchange.kernel.hashes()
    for shard in range(SHARDS):
        for account in exchange.reference.accounts[shard].state.accounts.values():
            assert account.available >= 0 or exchange.busted, f"account {account.account} owes"


def forged_report(pick: Callable[[int], int], order: Any, now: int) -> Values:
    """A report of the order that fits, or nearly."""
    kind, lots = 1 + pick(10), 1 + pick(max(order.leaves_qty, 1))
    asked = order.terms.order_qty
    fitting: dict[int, Values] = {
        ReportKind.TRADE: {"last_px": 90 + pick(25), "last_qty": lots, "leaves_qty": order.leaves_qty - lots, "aggressor": pick(2)},
        ReportKind.REPLACED: {"last_px": 90 + pick(25), "last_qty": asked, "leaves_qty": asked - order.cum_qty},
        ReportKind.RESTATED: {"last_px": 90 + pick(25), "last_qty": lots, "leaves_qty": order.leaves_qty - lots},
        ReportKind.TRIGGERED: {"last_px": 90 + pick(25), "leaves_qty": order.leaves_qty, "ord_type": 1 + pick(2)},
    }
    reasons = (
        Reason.NONE,
        Reason.REQUESTED_BY_CUSTOMER,
        Reason.REPLACED_TO_NOTHING,
        Reason.MARKET_TO_LIMIT,
        Reason.PRICE_BAND,
        Reason.MARKET_CLOSED,
    )
    report = {
        "kind": kind,
        "order_id": order.order_id,
        "account": order.account.account,
        "instrument": order.instrument,
        "transact_time": now,
    }
    report |= {"reason": reasons[pick(len(reasons))]} | fitting.get(kind, {"last_qty": order.leaves_qty})
    if kind == ReportKind.TRADE_BUSTED:
        report["last_qty"] = 0  # a good one would be an operator's word, and leave the account owing
    if pick(3) == 0:
        report = hostile(pick, report, REPORT_DTYPE)
    return report


def test_frames_of_every_dtype_are_those_of_the_schemas() -> None:
    """What shards give out can be encoded as it is."""
    engine = Engine("kernel", TIGHT)
    out = engine.accounts[0].apply_commands(np.zeros(0, COMMAND_DTYPE), np.zeros(0, "S1"), -1)
    assert (out.events.dtype, out.book_commands.dtype) == (FRAMES["account_event_frame"].dtype, FRAMES["book_command_frame"].dtype)
