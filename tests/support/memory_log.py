"""A small exchange over a log in memory, run by the real processors: for tests of what reads the log afterwards."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace

import numpy as np

from schemas.codec import FRAMES, Header, decode_frame, encode_frame
from schemas.enums import BookCommandKind, CommandKind, OrdType, Phase, Side, TimeInForce
from schemas.instruments import load_instruments
from streams.host.read_log import Bounds, Log
from streams.host.shard_runner import Processor, Record, ShardRunner
from streams.host.snapshots import SnapshotStore
from streams.roles.hold_funds import HoldFunds
from streams.roles.match_orders import MatchOrders
from streams.roles.publish_market_data import PublishMarketData
from streams.roles.watch_accounts import WatchAccounts
from streams.roles.watch_trading import WatchTrading
from topics.catalogue import ACCESS_EVENTS, ACCOUNT_COMMANDS, BOOK_COMMANDS, DEAD_LETTERS, EDGE_REPLIES, PARTY_FACTS, SET_ASIDE, Topic
from topics.key_files import NO_KEYS
from topics.roles import HOLD_FUNDS, MATCH_ORDERS, PUBLISH_MARKET_DATA, WATCH_ACCOUNTS, WATCH_TRADING, changelog_topic

INSTRUMENTS = load_instruments(None)
SHARDS = 2
ROLES = tuple(
    (one.name, one.table, one.reads[0].name) for one in (HOLD_FUNDS, MATCH_ORDERS, PUBLISH_MARKET_DATA, WATCH_TRADING, WATCH_ACCOUNTS)
)
"""Role, table, input."""
START = 1_800_000_000_000_000_000
COMMAND = FRAMES["order_command_frame"].dtype
BOOK_COMMAND = FRAMES["book_command_frame"].dtype


class MemoryLog(Log):
    """Partitions as lists; a record's offset is its place. `low`: first offset that a partition still has. `now_ns`: when records are appended."""

    def __init__(self) -> None:
        self._keys = NO_KEYS
        self.parts: dict[tuple[str, int], list[Record]] = defaultdict(list)
        self.low: dict[tuple[str, int], int] = defaultdict(int)
        self.now_ns = START
        self.one_partition = {ACCESS_EVENTS.name, DEAD_LETTERS.name, EDGE_REPLIES.name, SET_ASIDE.name, PARTY_FACTS.name}

    def partitions(self, topic: Topic) -> int:
        return 1 if topic.name in self.one_partition else SHARDS

    def bounds(self, topic: str, partition: int) -> Bounds | None:
        if partition >= SHARDS or ("changelog" in topic and (topic, partition) not in self.parts):
            return None
        return Bounds(self.low[topic, partition], len(self.parts[topic, partition]))

    def offset_at(self, topic: str, partition: int, time_ms: int) -> int | None:
        later = (record.offset for record in self.parts[topic, partition] if record.time_ns // 1_000_000 >= time_ms)
        return next(later, None)

    def records(self, topic: str, partition: int, start: int, end: int) -> Iterator[Record]:
        yield from self.parts[topic, partition][start:end]

    def append(self, topic: str, partition: int, value: bytes, key: bytes | None = None) -> int:
        """Write a record; its offset."""
        part = self.parts[topic, partition]
        part.append(Record(topic, partition, len(part), self.now_ns, key, value))
        return len(part) - 1

    def change(self, topic: str, partition: int, offset: int, **columns: tuple[int, int]) -> None:
        """Overwrite column=(row, value) of a recorded frame."""
        part = self.parts[topic, partition]
        frame = decode_frame(part[offset].value)
        rows = frame.rows.copy()
        for name, (row, value) in columns.items():
            rows[name][row] = value
        part[offset] = replace(part[offset], value=encode_frame(frame.schema, frame.header, rows, frame.cl_ord_id))

    def take_away(self, topic: str, partition: int, offset: int) -> Record:
        """Remove a record as if it had never been written."""
        part = self.parts[topic, partition]
        gone = part.pop(offset)
        self.parts[topic, partition] = [replace(record, offset=place) for place, record in enumerate(part)]
        return gone

    def frames(self, topic: Topic, partition: int) -> list:
        """Every frame of a partition."""
        return [decode_frame(record.value) for record in self.parts[topic.name, partition]]


def processor_of(role: str, shard: int) -> Processor:
    """A shard without a state."""
    make: dict[str, Callable[[], Processor]] = {
        "hold-funds": lambda: HoldFunds(shard, INSTRUMENTS, SHARDS, SHARDS, 1), "match-orders": lambda: MatchOrders(shard, INSTRUMENTS, SHARDS, SHARDS),
        "publish-market-data": lambda: PublishMarketData(shard, INSTRUMENTS), "watch-trading": lambda: WatchTrading(shard, INSTRUMENTS),
        "watch-accounts": lambda: WatchAccounts(shard, INSTRUMENTS, SHARDS),
    }  # fmt: skip
    return make[role]()


class Exchange:
    """Two shards of each kind over a MemoryLog."""

    def __init__(self) -> None:
        self.log = MemoryLog()
        self.clock = START
        self._read: dict[tuple[str, int, str], int] = defaultdict(int)
        self._stores: dict[tuple[str, int], SnapshotStore] = defaultdict(SnapshotStore)
        self.updates = 1
        self.runners: dict[tuple[str, str, str, int], ShardRunner] = {}
        for role, table, topic in ROLES:
            for shard in range(1 if topic in self.log.one_partition else SHARDS):
                self.runners[role, table, topic, shard] = ShardRunner(processor_of(role, shard))

    def settle(self) -> None:
        """Let every shard work until none has anything to do."""
        busy = True
        while busy:
            busy = False
            for (role, _, topic, shard), runner in self.runners.items():
                part = self.log.parts[topic, shard]
                while self._read[topic, shard, role] < len(part):
                    busy = True
                    record = part[self._read[topic, shard, role]]
                    self._read[topic, shard, role] += 1
                    for output in runner.feed(record):
                        self.log.append(output.topic, output.partition, output.value)

    def snapshot(self) -> None:
        """Each shard writes one, as its role would."""
        for (role, table, _, shard), runner in self.runners.items():
            for key, value in self._stores[role, shard].changes(runner.processor.snapshot(), runner.meta()):
                self.log.append(changelog_topic(role, table), shard, value, key)

    def open_market(self) -> None:
        """Both book shards begin continuous trading."""
        for shard in range(SHARDS):
            rows = np.zeros(1, BOOK_COMMAND)
            rows["kind"], rows["phase"], rows["transact_time"] = BookCommandKind.TRADING_SESSION_CHANGE, Phase.CONTINUOUS, self.clock
            self.log.append(BOOK_COMMANDS.name, shard, encode_frame("book_command_frame", Header("operator", created_at=self.clock), rows))
        self.settle()

    def deposit(self, accounts: Iterable[int], cash: int, lots: int) -> None:
        """Cash in minor units, and lots of instruments 1 and 2, for each."""
        for account in accounts:
            rows = np.zeros(3, COMMAND)
            rows["kind"], rows["account"], rows["transact_time"] = CommandKind.ACCOUNT_UPDATE, account, self.clock
            self.updates += 3
            rows["request_id"] = self.updates + np.arange(3)
            rows["cash"], rows["instrument"], rows["order_qty"] = [cash, 0, 0], [0, 1, 2], [0, lots, lots]
            self._send(account, rows, [""] * 3)
        self.settle()

    def order(self, account: int, side: Side, qty: int, price: int, cl_ord_id: str, *, instrument: int = 1) -> None:
        """A DAY limit order; price in ticks."""
        rows = np.zeros(1, COMMAND)
        rows["kind"], rows["account"], rows["transact_time"] = CommandKind.NEW_ORDER, account, self._tick()
        rows["instrument"], rows["side"], rows["ord_type"], rows["time_in_force"] = instrument, side, OrdType.LIMIT, TimeInForce.DAY
        rows["order_qty"], rows["price"] = qty, price
        self._send(account, rows, [cl_ord_id])
        self.settle()

    def cancel(self, account: int, cl_ord_id: str) -> None:
        """By cl_ord_id."""
        rows = np.zeros(1, COMMAND)
        rows["kind"], rows["account"], rows["transact_time"] = CommandKind.CANCEL, account, self._tick()
        self._send(account, rows, [cl_ord_id])
        self.settle()

    def _send(self, account: int, rows: np.ndarray, texts: list[str]) -> None:
        value = encode_frame(
            "order_command_frame", Header("tests", created_at=self.clock), rows, np.array([text.encode() for text in texts])
        )
        self.log.append(ACCOUNT_COMMANDS.name, account % SHARDS, value)

    def wait(self, seconds: int) -> None:
        """Both clocks go on: the traders' and the log's."""
        self.clock += seconds * 1_000_000_000
        self.log.now_ns = self.clock

    def _tick(self) -> int:
        self.clock += 1_000
        return self.clock


def traded() -> Exchange:
    """Four accounts, trades across both account and both book shards, a partial fill, a cancel, refusals, an order that rests, two snapshots, bad bytes."""
    exchange = Exchange()
    exchange.open_market()
    exchange.deposit(range(1, 5), 10_000_000_000, 1_000)
    exchange.order(1, Side.SELL, 100, 18_000, "s1")
    exchange.order(2, Side.BUY, 40, 18_010, "b1")
    exchange.snapshot()
    exchange.order(3, Side.SELL, 10, 40_000, "s2", instrument=2)
    exchange.order(4, Side.BUY, 25, 40_000, "b2", instrument=2)
    exchange.log.append(ACCOUNT_COMMANDS.name, 0, b"not a record")
    exchange.cancel(4, "b2")
    exchange.cancel(4, "b2")
    exchange.order(9, Side.BUY, 1, 100, "nobody")
    exchange.snapshot()
    exchange.order(2, Side.BUY, 10, 17_000, "rests")
    return exchange
