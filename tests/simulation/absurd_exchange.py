"""Two account shards and two book shards behind their roles, fed frames that nobody in his right mind would send; beside each its readable twin.

What is sent is well made, or nearly: it is a dead letter, or it is applied, whatever numbers it has. No exception, no assertion, and the compiled
shard says the same bytes as the reference. What shards send is delivered, so absurd numbers go as far as they get.
"""

import random
from collections import Counter, deque
from dataclasses import dataclass, field
from typing import Any, Final, cast

import numpy as np
from customers import ACCOUNTS, NUMBERS, Commands, bust_of, simulated_instruments
from faults import World
from simulated_log import SimulatedLog
from virtual_time import VirtualLoop

from matchers.accounts.reference import shard as reference_account_shard
from matchers.books.reference import shard as reference_book_shard
from matchers.rules.outputs import BOOK_COMMAND_DTYPE, COMMAND_DTYPE, REPORT_DTYPE, AccountOutput, BookOutput, rows_of
from schemas import limits
from schemas.codec import Header, Rows, decode_frame, decode_record, encode_frame
from schemas.enums import BookCommandKind, CommandKind, ExecKind, Phase, ReportKind
from schemas.reject_reasons import Reason
from streams.host.shard_runner import Output, Record, ShardRunner
from streams.roles.hold_funds import HoldFunds
from streams.roles.match_orders import MatchOrders
from topics.catalogue import ACCOUNT_COMMANDS, BOOK_COMMANDS, DEAD_LETTERS, EXECUTIONS

SHARDS: Final = 2
START_NS: Final = 1_800_000_000_000_000_000
_BOUNDS: Final = (
    0, 1, 3, 127, 255, 1 << 16, 1 << 31, 1 << 32, 1 << 44, 1 << 62, 1 << 63, 1 << 64, limits.PRICE_TICKS_MAX, limits.ORDER_QTY_LOTS_MAX,
    limits.CASH_MINOR_MAX, limits.POSITION_LOTS_MAX, limits.OFFSET_TICKS_MAX, limits.OFFSET_BASIS_POINTS_MAX, limits.ORDERS_AT_ONCE_MAX,
    1_000_000_000, START_NS,
)  # fmt: skip
EXTREMES: Final = tuple(sorted({sign * bound + step for bound in _BOUNDS for sign in (1, -1) for step in (-1, 0, 1)}))
"""Both sides of every limit of the system and of every integer type."""
_FROM_ACCOUNTS: Final = (BookCommandKind.NEW_ORDER, BookCommandKind.CANCEL, BookCommandKind.REPLACE)


class _ReadableAccounts(reference_account_shard.AccountShard):
    """With the signatures of the compiled shard."""

    def apply_commands(
        self, rows: Rows, cl_ord_id: Rows, reply_partition: int, orig_cl_ord_id: Rows | None = None, *, copy: bool = True
    ) -> AccountOutput:
        return super().apply_commands(rows, cl_ord_id, reply_partition, orig_cl_ord_id)

    def apply_reports(self, rows: Rows, *, copy: bool = True) -> AccountOutput:
        return super().apply_reports(rows)


class _ReadableBooks(reference_book_shard.BookShard):
    """With the signature of the compiled shard."""

    def apply(self, rows: Rows, *, copy: bool = True) -> BookOutput:
        return super().apply(rows)


@dataclass
class Shard:
    """One partition in both makes."""

    topic: str
    partition: int
    compiled: ShardRunner
    readable: ShardRunner
    offset: int = 0
    waiting: deque[bytes] = field(default_factory=deque)


class AbsurdExchange:
    """A function of its seed: draws frames, bends them, feeds them, compares, and delivers what comes of them."""

    def __init__(self, seed: int) -> None:
        self.rng = rng = random.Random(seed)
        self._loop = VirtualLoop()
        self._commands = Commands(World(seed, rng, self._loop, SimulatedLog(self._loop.now_ns)))
        self.counts = Counter[str]()
        self.trades: list[dict[str, int]] = []
        self.now_ns = START_NS
        self.updates = 0
        table = simulated_instruments()
        self.accounts, self.books = [], []
        for shard in range(SHARDS):
            funds, readable_funds = (HoldFunds(shard, table, SHARDS, SHARDS) for _ in range(2))
            readable_funds._accounts = cast("Any", _ReadableAccounts(shard, table, SHARDS))
            self.accounts.append(Shard(ACCOUNT_COMMANDS.name, shard, ShardRunner(funds), ShardRunner(readable_funds)))
            books, readable_books = (MatchOrders(shard, table, SHARDS, SHARDS) for _ in range(2))
            readable_books._books = cast("Any", _ReadableBooks(shard, table, SHARDS))
            self.books.append(Shard(BOOK_COMMANDS.name, shard, ShardRunner(books), ShardRunner(readable_books)))
        for shard in range(SHARDS):
            self._open(shard)

    def _open(self, shard: int) -> None:
        """Accounts with cash, shares and permission to sell short, and an open market."""
        accounts = [one for one in ACCOUNTS if one % SHARDS == shard]
        rows = [{"kind": CommandKind.ACCOUNT_UPDATE, "account": one, "instrument": n, "cash": 10_000_000, "order_qty": 500}
                for one in accounts for n in NUMBERS]  # fmt: skip
        rows += [{"kind": CommandKind.ACCOUNT_LIMITS, "account": one, "account_word": 1} for one in accounts]
        rows = [row | {"request_id": self.next_update()} for row in rows]
        self.feed(self.accounts[shard], encode_frame("order_command_frame", Header("operator"), rows_of(COMMAND_DTYPE, rows)))
        self._open_market(shard)

    def _open_market(self, shard: int) -> None:
        """Whatever was done to it."""
        common = {"kind": BookCommandKind.TRADING_SESSION_CHANGE, "transact_time": self.now_ns}
        rows = [
            common | {"kind": BookCommandKind.TRADING_RESUME},
            *(common | {"phase": one} for one in (Phase.OPENING_AUCTION, Phase.CONTINUOUS)),
        ]
        self.deliver(
            self.feed(self.books[shard], encode_frame("book_command_frame", Header("operator"), rows_of(BOOK_COMMAND_DTYPE, rows)))
        )

    def close(self) -> None:
        """The generator's loop, which never ran."""
        self._loop.close()

    # -- feeding

    def feed(self, shard: Shard, value: bytes) -> list[Output]:
        """One input to both makes: the same outputs, and the same state now and then; an input that is refused changes nothing."""
        record = Record(shard.topic, shard.partition, shard.offset, self.now_ns, None, value)
        shard.offset += 1
        before = shard.compiled.processor.state_hash()
        outputs = shard.compiled.feed(record)
        assert outputs == shard.readable.feed(record), f"{shard.topic}/{shard.partition} offset {record.offset}: the makes differ"
        refused = bool(outputs) and all(output.topic == DEAD_LETTERS.name for output in outputs)
        self.counts["dead letters" if refused else "frames applied"] += 1
        if refused:
            self.counts[decode_record(outputs[0].value)[1]["reason"]] += 1
            assert shard.compiled.processor.state_hash() == before, "a dead letter changed the state"
        return outputs

    def deliver(self, outputs: list[Output]) -> None:
        """To the shards that read them."""
        for output in outputs:
            if output.topic == BOOK_COMMANDS.name:
                self.books[output.partition].waiting.append(output.value)
            elif output.topic == ACCOUNT_COMMANDS.name:
                self.accounts[output.partition].waiting.append(output.value)
            elif output.topic == EXECUTIONS.name:
                self._note_trades(decode_frame(output.value).rows)

    def _note_trades(self, rows: Rows) -> None:
        trades = rows[rows["kind"] == ExecKind.TRADE]
        self.counts["trades"] += len(trades)
        for trade in trades[:2]:
            self.trades = [*self.trades[-20:], dict(zip(trades.dtype.names or (), trade.item(), strict=True))]

    def settle(self) -> None:
        """Until nothing is on its way."""
        while waiting := [shard for shard in (*self.accounts, *self.books) if shard.waiting]:
            shard = self.rng.choice(waiting)
            self.deliver(self.feed(shard, shard.waiting.popleft()))

    # -- what is sent

    def step(self) -> None:
        """One frame of a customer or an operator, bent or not; then what comes of it."""
        rng = self.rng
        self.now_ns += rng.choice((0, 1, 1_000_000, 1_000_000_000, -5_000_000_000, 86_400_000_000_000 if rng.random() < 0.02 else 0))
        shard = rng.randrange(SHARDS)
        if rng.random() < 0.1:
            self._open_market(shard)
        elif rng.random() < 0.8:
            self.deliver(self.feed(self.accounts[shard], self._bytes_bent(self.customers_frame(shard))))
        else:
            self.deliver(self.feed(self.books[shard], self._bytes_bent(self.operators_frame(shard))))
        self.settle()

    def customers_frame(self, shard: int) -> bytes:
        """Of order_command_frame, some of its numbers at a bound."""
        rng = self.rng
        drawn: list[tuple[dict[str, int], bytes]] = []
        for _ in range(rng.randint(1, 5)):
            account = rng.choice([one for one in ACCOUNTS if one % SHARDS == shard])
            drawn += self._commands.listed(account) if rng.random() < 0.15 else [self._customers_command(account)]
        rows = self._bent(rows_of(COMMAND_DTYPE, [values | {"transact_time": self.now_ns} for values, _ in drawn]))
        stray = rows["account"] % np.uint64(SHARDS) != shard
        if rng.random() < 0.9:  # mostly of this partition, else it is a dead letter
            rows["account"][stray] = rows["account"][stray] & ~np.uint64(1) | np.uint64(shard)
        text = np.array([text if rng.random() < 0.9 else self._text() for _, text in drawn], "S128")
        orig = np.array([self._orig(values) for values, _ in drawn], "S128")
        return encode_frame("order_command_frame", self._header("producer"), rows, text, orig if orig.any() else None)

    def _orig(self, command: dict[str, int]) -> bytes:
        """Cancels and replaces name their orders by it now and then."""
        if command["kind"] not in (CommandKind.CANCEL, CommandKind.REPLACE) or self.rng.random() < 0.5:
            return b""
        known = self._commands.texts[command["account"]]
        return self.rng.choice(known[-12:]) if known and self.rng.random() < 0.8 else self._text()

    def forged_reports(self, shard: int) -> bytes:
        """Reports in a book shard's name, of orders that are there or not, some of which could be true."""
        rng, accounts = self.rng, cast("Any", self.accounts[shard].readable.processor)._accounts
        orders = list(accounts.state.orders.values())
        drawn = []
        for _ in range(rng.randint(1, 4)):
            values = {
                "kind": rng.choice(list(ReportKind)),
                "reason": rng.choice(list(Reason)),
                "last_px": rng.choice((100, 95, 120, 0, -1)),
            }
            if orders:
                order = rng.choice(orders)
                lots = rng.randint(0, max(order.leaves_qty, 1))
                values |= {"order_id": order.order_id, "account": order.account.account, "instrument": order.instrument}
                values |= {"last_qty": rng.choice((lots, order.leaves_qty, order.terms.order_qty)), "leaves_qty": order.leaves_qty - lots}
            drawn.append(values)
        rows = self._bent(rows_of(REPORT_DTYPE, [values | {"transact_time": self.now_ns} for values in drawn]))
        rows["account"] = rows["account"] & ~np.uint64(1) | np.uint64(shard)
        return encode_frame("book_report_frame", Header("book.commands/0", self.accounts[shard].offset), rows)

    def _customers_command(self, account: int) -> tuple[dict[str, int], bytes]:
        rng = self.rng
        if rng.random() < 0.15:
            update = {"kind": CommandKind.ACCOUNT_UPDATE, "account": account, "instrument": rng.choice((0, *NUMBERS))}
            amounts = (0, 1000, -1000, 1 << 53, 1 << 60, -(1 << 60), -(1 << 63), (1 << 63) - 1)
            update["request_id"] = self.next_update() if rng.random() < 0.9 else rng.randint(0, self.updates)
            return update | {"cash": rng.choice((10_000_000, *amounts)), "order_qty": rng.choice((200, *amounts))}, b""
        if rng.random() < 0.08:
            word = {"kind": rng.choice((CommandKind.ACCOUNT_LIMITS, CommandKind.REGISTER_SESSION)), "account": account, "account_word": 1}
            return word | {"request_id": self.next_update()}, b""
        return self._commands.command(account)

    def next_update(self) -> int:
        """A request_id above all before."""
        self.updates += 1
        return self.updates

    def _text(self) -> bytes:
        return self.rng.choice((b"", b"\x80", b"a\0b", b"\x7f", b"x" * 128, b" ", b"o1"))

    def operators_frame(self, shard: int) -> bytes:
        """Of book_command_frame, without orders: funds would have to be held for them."""
        rng = self.rng
        drawn = [self._operators_command() for _ in range(rng.randint(1, 3))]
        rows = self._bent(rows_of(BOOK_COMMAND_DTYPE, [values | {"transact_time": self.now_ns} for values in drawn]))
        rows["kind"][np.isin(rows["kind"], _FROM_ACCOUNTS)] = BookCommandKind.TIMER
        return encode_frame("book_command_frame", self._header("operator"), rows)

    def _operators_command(self) -> dict[str, int]:
        rng = self.rng
        kind = rng.choice([one for one in BookCommandKind if one not in _FROM_ACCOUNTS])
        if kind == BookCommandKind.TRADE_BUST and self.trades:
            amounts = {"price": rng.choice((1 << 31, 100)), "order_qty": rng.choice((10_000_000, 1))}
            return bust_of(rng.choice(self.trades)) | (amounts if rng.random() < 0.7 else {})
        phase = rng.choice(list(Phase)) if rng.random() < 0.3 else Phase.CONTINUOUS
        return {"kind": kind, "phase": phase, "instrument": rng.choice((0, *NUMBERS)), "account": rng.choice((0, *ACCOUNTS))}

    def forged_orders(self, shard: int) -> bytes:
        """Orders straight to the books, in an account shard's name: what reports come of them must not be delivered."""
        rng = self.rng
        numbers = [number for number in NUMBERS if number % SHARDS == shard]
        drawn = []
        for at in range(rng.randint(1, 6)):
            values = self._commands.order() | {
                "account": rng.choice(ACCOUNTS),
                "order_id": rng.randint(1, 400) if at else rng.randint(1, 10**6),
            }
            if rng.random() < 0.3:
                values |= {"kind": rng.choice(_FROM_ACCOUNTS), "time_in_force": 255}
            drawn.append({name: value for name, value in values.items() if name in (BOOK_COMMAND_DTYPE.names or ())})
        rows = self._bent(rows_of(BOOK_COMMAND_DTYPE, [values | {"transact_time": self.now_ns} for values in drawn]))
        rows["instrument"] = rng.choice(numbers)
        return encode_frame("book_command_frame", Header("account.commands/0", self.books[shard].offset), rows)

    def _header(self, source: str) -> Header:
        rng = self.rng
        extremes = [value for value in EXTREMES if -(1 << 63) <= value < 1 << 63]
        if rng.random() < 0.9:
            return Header(source, reply_partition=rng.choice((-1, -1, 0, 1, 63)))
        number = rng.choice(extremes)
        small = max(min(number, (1 << 31) - 1), -(1 << 31))
        return Header(
            rng.choice((source, "", "x" * 1000, "\0", "book.commands/0", "account.commands/1", "executions/77")),
            number,
            small,
            number,
            number,
            rng.choice((-1, 0, 63, 64, small)),
        )

    def _bent(self, rows: Rows) -> Rows:
        """Some of the numbers at a bound of their type or of the system."""
        rng = self.rng
        for _ in range(rng.choice((0, 0, 0, 0, 1, 1, 2, 4))):
            name = rng.choice(rows.dtype.names or ())
            kind = np.iinfo(rows.dtype[name])
            fitting = [value for value in EXTREMES if kind.min <= value <= kind.max]
            rows[name][rng.randrange(len(rows)) if rng.random() < 0.8 else slice(None)] = rng.choice(fitting)
            self.counts["numbers at a bound"] += 1
        return rows

    def _bytes_bent(self, value: bytes) -> bytes:
        """Now and then with a few bytes other than they were sent."""
        rng = self.rng
        if rng.random() < 0.9:
            return value
        self.counts["frames with wrong bytes"] += 1
        bent = bytearray(value)
        for _ in range(rng.choice((1, 1, 2, 8))):
            at = rng.randrange(len(bent))
            match rng.randrange(4):
                case 0:
                    bent[at] = rng.randrange(256)
                case 1:
                    bent[at] ^= 1 << rng.randrange(8)
                case 2:
                    del bent[at : at + rng.randint(1, 16)]
                case _:
                    bent[at:at] = rng.randbytes(rng.randint(1, 16))
        return bytes(bent)
