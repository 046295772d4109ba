"""Two shards in one process, grown and measured: what an order costs there, what memory, snapshots and a restore take. Used by bench_growth.py."""

import time
from collections.abc import Iterable, Iterator
from decimal import Decimal
from typing import Any, Final

import numpy as np
import psutil

from matchers.warm import warm
from schemas.codec import FRAMES, Header, Rows, encode_frame
from schemas.enums import BookCommandKind, CommandKind, OrdType, Phase, Side, TimeInForce
from schemas.instruments import Instrument, InstrumentTable
from streams.host.shard_runner import Output, Record, ShardRunner
from streams.host.snapshots import SnapshotStore
from streams.roles.hold_funds import HoldFunds
from streams.roles.match_orders import MatchOrders
from topics.catalogue import ACCOUNT_COMMANDS, BOOK_COMMANDS

FRAME_ROWS: Final = 4_000
REFERENCE_PX: Final = 10_000
SPREAD_TICKS: Final = 500
"""Resting orders are at so many prices of each side of each symbol, and beyond those at which the measured orders trade."""
_COMMAND: Final = FRAMES["order_command_frame"].dtype
_BOOK_COMMAND: Final = FRAMES["book_command_frame"].dtype


def instruments(count: int) -> InstrumentTable:
    """Instruments that set no order of these tapes a limit."""
    one, cent = Decimal(1), Decimal("0.01")
    return InstrumentTable(
        Instrument(n, f"I{n}", "", cent, one, Decimal(100_000), Decimal(10**9), Decimal(REFERENCE_PX) / 100, 20)
        for n in range(1, count + 1)
    )


class TwoShards:
    """One account shard and one book shard, each fed by its runner with encoded frames, the outputs of either carried to the other."""

    def __init__(self, accounts: int, symbols: int, frame_rows: int = FRAME_ROWS) -> None:
        self.accounts, self.symbols, self.frame_rows, self.posted, self.now = accounts, symbols, frame_rows, 0, 1
        self.table = instruments(symbols)
        self.hold, self.match = self.processors()
        self.offsets = {ACCOUNT_COMMANDS.name: 0, BOOK_COMMANDS.name: 0}
        row = np.zeros(1, _BOOK_COMMAND)
        row["kind"], row["phase"], row["transact_time"] = BookCommandKind.TRADING_SESSION_CHANGE, Phase.CONTINUOUS, 1
        self._feed([Output(BOOK_COMMANDS.name, 0, encode_frame("book_command_frame", Header("operator"), row))])

    def processors(self, holding: Any = None, matching: Any = None) -> tuple[ShardRunner, ShardRunner]:
        """The runners of both shards, empty or of their snapshots."""
        return ShardRunner(HoldFunds(0, self.table, 1, 1, 1), holding), ShardRunner(MatchOrders(0, self.table, 1, 1), matching)

    def _feed(self, waiting: list[Output]) -> None:
        runners = {ACCOUNT_COMMANDS.name: self.hold, BOOK_COMMANDS.name: self.match}
        while waiting:
            output = waiting.pop(0)
            self.wrote(output)
            if output.topic in runners:
                offset = self.offsets[output.topic]
                self.offsets[output.topic] = offset + 1
                waiting += runners[output.topic].feed(Record(output.topic, 0, offset, self.now, None, output.value))

    def wrote(self, output: Output) -> None:
        """Called with every record, of customers and shards."""

    def _header(self) -> Header:
        return Header("bench")

    def _frame(self, rows: Rows, names: Rows) -> Output:
        self.now += 1_000
        rows["transact_time"] = self.now
        return Output(ACCOUNT_COMMANDS.name, 0, encode_frame("order_command_frame", self._header(), rows, names))

    def send(self, frames: Iterable[Output]) -> None:
        """One by one, each followed by all that comes of it."""
        for frame in frames:
            self._feed([frame])

    def openings(self) -> Iterator[Output]:
        """Accounts, each with cash and with shares of one symbol."""
        for first in range(0, self.accounts, FRAME_ROWS):
            at = np.arange(first, min(first + FRAME_ROWS, self.accounts))
            rows = np.zeros(len(at), _COMMAND)
            rows["kind"], rows["account"], rows["instrument"] = CommandKind.ACCOUNT_UPDATE, 1 + at, 1 + at % self.symbols
            rows["cash"], rows["order_qty"], rows["request_id"] = 10**13, 1_000_000, 1
            yield self._frame(rows, np.zeros(len(at), "S1"))

    def orders(self, count: int, *, resting: bool) -> Iterator[Output]:
        """Orders of one lot by all accounts in turn, in a scattered order: resting ones, or sells and buys of one price, of which half trade."""
        for first in range(self.posted, self.posted + count, self.frame_rows):
            at = np.arange(first, min(first + self.frame_rows, self.posted + count))
            rows = np.zeros(len(at), _COMMAND)
            account = at * 7_919 % self.accounts
            buys = at % 2 == 0
            rows["kind"], rows["ord_type"], rows["time_in_force"] = CommandKind.NEW_ORDER, OrdType.LIMIT, TimeInForce.GTC
            rows["account"], rows["order_qty"], rows["side"] = 1 + account, 1, np.where(buys, Side.BUY, Side.SELL)
            if resting:
                away = 10 + at // 2 % SPREAD_TICKS
                rows["instrument"] = 1 + account % self.symbols
                rows["price"] = REFERENCE_PX + np.where(buys, -away, away)
            else:  # a sell of an account's own symbol, then a buy of the same by the next account
                seller = at // 2 * 2 * 7_919 % self.accounts
                rows["side"] = np.where(buys, Side.SELL, Side.BUY)
                rows["account"] = 1 + np.where(buys, seller, (seller + 1) % self.accounts)
                rows["instrument"], rows["price"] = 1 + seller % self.symbols, REFERENCE_PX
            yield self._frame(rows, np.char.add("order-", at.astype("U10")).astype("S"))
        self.posted += count


def _mb(size: int) -> float:
    return round(size / 1e6, 2)


def _snapshot(store: SnapshotStore, runner: ShardRunner, table: dict[bytes, bytes]) -> tuple[float, float, int]:
    """(ms for which inputs would wait, ms for packing, bytes); stored in `table`."""
    began = time.thread_time()
    records = store.changes(runner.processor.snapshot(), runner.meta(hashed=False))
    taken = time.thread_time()
    size = 0
    for key, value in records:
        table[key] = value
        size += len(value)
    return (taken - began) * 1e3, (time.thread_time() - taken) * 1e3, size


def measured(accounts: int, symbols: int, resting: int, orders: int) -> Iterator[dict[str, Any]]:
    """A row for each shard: fill, trade `orders` orders, snapshot, restore; this process should do nothing else before or after."""
    warm()
    first_calls = TwoShards(2, 2)
    first_calls.send(first_calls.orders(8, resting=False))
    before = psutil.Process().memory_info().rss
    shards = TwoShards(accounts, symbols)
    shards.send(shards.openings())
    shards.send(shards.orders(resting, resting=True))
    memory = psutil.Process().memory_info().rss - before
    stores, tables = (SnapshotStore(), SnapshotStore()), (dict[bytes, bytes](), dict[bytes, bytes]())
    runners = (shards.hold, shards.match)
    first = [_snapshot(*one) for one in zip(stores, runners, tables, strict=True)]
    idle = [_snapshot(*one) for one in zip(stores, runners, tables, strict=True)]
    frames = list(shards.orders(orders, resting=False))
    wall, cpu = time.perf_counter(), time.process_time()
    shards.send(frames)
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    more = [_snapshot(*one) for one in zip(stores, runners, tables, strict=True)]
    common = {
        "accounts": accounts, "symbols": symbols, "resting_orders": resting, "ns_per_order": round(1e9 * cpu / orders),
        "orders_per_s": round(orders / wall), "memory_mb": _mb(memory),
    }  # fmt: skip
    rows = []
    for name, runner, snapshots in zip(("hold-funds", "match-orders"), runners, zip(first, idle, more, strict=True), strict=True):
        began = time.thread_time()
        runner.processor.state_hash()
        row: dict[str, Any] = {"shard": name, "state_mb": _mb(sum(array.nbytes for array in runner.processor.snapshot().values()))}
        row["hash_ms"] = round((time.thread_time() - began) * 1e3, 1)
        for which, (held_ms, packed_ms, size) in zip(("first", "idle", "after_orders"), snapshots, strict=True):
            row |= {f"{which}_held_ms": round(held_ms, 2), f"{which}_packed_ms": round(packed_ms, 1), f"{which}_mb": _mb(size)}
        rows.append(common | row)
    hashes = [runner.processor.state_hash() for runner in runners]
    positions = [runner.next_offset for runner in runners]
    del shards.hold, shards.match, runners, runner, stores
    for number, row in enumerate(rows):
        yield row | _restored(shards, number, tables[number], hashes[number], positions[number])


def _restored(shards: TwoShards, number: int, table: dict[bytes, bytes], state_hash: bytes, next_offset: int) -> dict[str, float]:
    """What reading a shard back takes; it must be what was stored."""
    began = time.thread_time()
    snapshot = SnapshotStore().load(table.get)
    loaded = time.thread_time()
    runner = shards.processors(*((snapshot, None) if number == 0 else (None, snapshot)))[number]
    restored = time.thread_time()
    assert runner.next_offset == next_offset and runner.processor.state_hash() == state_hash, "it is not the state that was stored"
    return {"load_s": round(loaded - began, 3), "restore_s": round(restored - loaded, 3), "stored_mb": _mb(sum(map(len, table.values())))}
