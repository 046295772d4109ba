"""The exchange behind a gateway, without Kafka: the real account shard, book and market data over lists of records, one partition each."""

import asyncio
import time
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import numpy as np

from edge.gateway.access.sessions import KeyRecord
from edge.gateway.accounts.command_producer import CommandProducer
from edge.gateway.accounts.reply_rows import reply_rows
from edge.gateway.accounts.view import Order
from edge.gateway.gateway import Gateway
from edge.gateway.market.view import MarketRow
from edge.gateway.stored.history import OrderFilter
from matchers.rules.outputs import BOOK_COMMAND_DTYPE, COMMAND_DTYPE, rows_of
from schemas.codec import Header, decode_frame, encode_frame
from schemas.enums import BookCommandKind, CommandKind, Phase
from schemas.errors import ServiceUnavailable
from schemas.instruments import load_instruments
from schemas.reject_reasons import Reason
from schemas.settings import Settings
from streams.host.shard_runner import Output, Record, ShardRunner
from streams.roles.hold_funds import HoldFunds
from streams.roles.match_orders import MatchOrders
from streams.roles.publish_market_data import PublishMarketData
from support.stored_answers import StoredAnswers
from support.trader_store import TradersInMemory
from topics.catalogue import ACCOUNT_COMMANDS, BOOK_COMMANDS, EDGE_REPLIES, EXECUTIONS, MARKET_DATA


class Records(StoredAnswers, TradersInMemory):
    """The stores of the edge: what a test puts in, or away."""

    def __init__(self) -> None:
        StoredAnswers.__init__(self)
        TradersInMemory.__init__(self)
        self.orders_by_id: dict[int, Order] = {}

    async def find_key(self, _key_id: str, _version_min: int) -> KeyRecord | None:
        """There is none."""
        return self._answer(None)

    async def orders(self, account: int, wanted: OrderFilter) -> list[Order]:
        """As the system of record."""
        return self._answer([one for one in self.orders_by_id.values() if one.account == account and wanted.admits(one)])

    async def order(self, account: int, order_id: int) -> Order | None:
        """As the system of record."""
        found = self.orders_by_id.get(order_id)
        return self._answer(found if found is not None and found.account == account else None)

    async def order_by_cl_ord_id(self, account: int, cl_ord_id: str) -> Order | None:
        """As the system of record."""
        mine = (one for one in self.orders_by_id.values() if one.account == account)
        return self._answer(next((one for one in mine if one.cl_ord_id == cl_ord_id), None))

    async def alerts(self, _wanted: Any) -> list[Any]:
        """None."""
        return self._answer([])

    def _answer(self, value: Any) -> Any:
        if self.is_away:
            raise ServiceUnavailable("MySQL at db.internal:3306/outcry does not answer")
        return value


class Exchange:
    """Its log and its shards. It is to the CommandProducer what Kafka's producer is."""

    def __init__(self, gateway: Gateway) -> None:
        table = load_instruments(None)
        self._gateway = gateway
        self._readers = {
            ACCOUNT_COMMANDS.name: ShardRunner(HoldFunds(0, table, 1, 1, 1)),
            BOOK_COMMANDS.name: ShardRunner(MatchOrders(0, table, 1, 1)),
            EXECUTIONS.name: ShardRunner(PublishMarketData(0, table)),
        }
        self.log: dict[str, list[Record]] = {}
        self.stopped: set[str] = set()
        """Topics that nobody reads for now."""

    async def append(self, topic: str, partition: int, value: bytes) -> None:
        """Append, and read on."""
        assert partition == 0
        self.add(topic, value)
        asyncio.get_running_loop().call_soon(self.run)

    def add(self, topic: str, value: bytes) -> None:
        """At the end of the topic."""
        records = self.log.setdefault(topic, [])
        records.append(Record(topic, 0, len(records), time.time_ns(), None, value))

    def run(self) -> None:
        """Each shard reads what there is for it, until nobody has anything to do."""
        work = deque(self._readers)
        while work:
            topic = work.popleft()
            runner = self._readers[topic]
            while topic not in self.stopped and runner.next_offset < len(self.log.get(topic, [])):
                for output in runner.feed(self.log[topic][runner.next_offset]):
                    self._take(output)
                    if output.topic in self._readers:
                        work.append(output.topic)

    def _take(self, output: Output) -> None:
        assert output.value is not None
        self.add(output.topic, output.value)
        if output.topic == EDGE_REPLIES.name:
            self._gateway.accounts.take_rows(reply_rows(decode_frame(output.value)))
        if output.topic == MARKET_DATA.name:
            self._gateway.tell_market(self._gateway.market.apply(map(MarketRow._make, decode_frame(output.value).rows.tolist())))

    def commands(self, kind: CommandKind) -> int:
        """How many of this kind are in the log."""
        frames = (decode_frame(record.value or b"") for record in self.log.get(ACCOUNT_COMMANDS.name, []))
        return sum(int(np.count_nonzero(one.rows["kind"] == kind)) for one in frames if one.schema == "order_command_frame")

    def phase(self, phase: Phase) -> None:
        """An operator's word."""
        rows = rows_of(
            BOOK_COMMAND_DTYPE, [{"kind": BookCommandKind.TRADING_SESSION_CHANGE, "phase": phase, "transact_time": time.time_ns()}]
        )
        self.add(BOOK_COMMANDS.name, encode_frame("book_command_frame", Header("operator"), rows))
        self.run()

    def halt(self) -> None:
        """An operator halts every instrument."""
        halted = {
            "kind": BookCommandKind.TRADING_HALT,
            "phase": Phase.HALTED,
            "reason": Reason.REGULATORY_HALT,
            "transact_time": time.time_ns(),
        }
        self.add(BOOK_COMMANDS.name, encode_frame("book_command_frame", Header("operator"), rows_of(BOOK_COMMAND_DTYPE, [halted])))
        self.run()

    def open_account(self, account: int, cash: int, shares: int) -> None:
        """With cash in minor units, and shares of AAPL."""
        common = {"kind": CommandKind.ACCOUNT_UPDATE, "account": account, "transact_time": time.time_ns()}
        rows = [common | {"request_id": 1, "cash": cash}, common | {"request_id": 2, "instrument": 1, "order_qty": shares}]
        header = Header("operator", 0, 0, 0, time.time_ns(), -1)
        self.add(
            ACCOUNT_COMMANDS.name, encode_frame("order_command_frame", header, rows_of(COMMAND_DTYPE, rows), np.array([b"", b""], "S"))
        )
        self.run()


@asynccontextmanager
async def trading(phase: Phase = Phase.CONTINUOUS, **settings: Any) -> AsyncIterator[tuple[Gateway, Exchange, Records]]:
    """A gateway and an exchange: accounts 1 and 2 have 10,000.00 and 50 shares of AAPL each."""
    stores: Any = Records()
    gateway = Gateway(Settings(**settings), stores, stores, stores, stores)
    exchange = Exchange(gateway)
    kafka: Any = exchange
    gateway.accounts.producer = producer = CommandProducer(
        kafka, 1, "edge-0", 0, time.time_ns, lambda command, error: gateway.accounts.pending.give_up(command, TimeoutError(repr(error)))
    )
    for account in (1, 2):
        exchange.open_account(account, 100_000_000, 50)
    exchange.phase(phase)

    async def sweep() -> None:
        while True:
            await asyncio.sleep(0.005)
            gateway.accounts.pending.expire()

    sweeping = asyncio.create_task(sweep())
    try:
        yield gateway, exchange, stores
    finally:
        sweeping.cancel()
        await asyncio.gather(sweeping, return_exceptions=True)
        await producer.close(1)


async def until(condition: Callable[[], bool]) -> None:
    """Until it holds; others make it so."""
    async with asyncio.timeout(120):
        while not condition():  # noqa: ASYNC110
            await asyncio.sleep(0.001)
