"""An edge as a process for the tests, the thin exchange behind it, and gates before the stores that can be shut.

The thin exchange is the reference shards themselves on one loop, instead of the Faust roles, so that the tests show the edge's own
behaviour and can hold an answer back.
"""

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import urlsplit

import aiohttp
import numpy as np
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

from matchers.accounts.reference.shard import AccountShard
from matchers.books.reference.shard import BookShard
from matchers.market_data import MarketData
from matchers.settlement.reports import reports_of
from schemas.codec import FRAMES, Header, Rows, decode_frame, encode_frame
from schemas.enums import BookCommandKind, CommandKind, MarketDataKind, Phase
from schemas.instruments import load_instruments
from schemas.settings import Settings
from streams.process.record_keys import record_keys
from topics.catalogue import ACCOUNT_COMMANDS, EDGE_REPLIES, EXECUTIONS, MARKET_DATA
from topics.partitioning import account_shard, split_by
from topics.speakers import shards_of

SHARDS = 2
WAIT_S = 300.0


class ThinExchange:
    """Account shards, book shards and public prices on one loop: reads account.commands, writes edge.replies and market.data."""

    def __init__(self, settings: Settings) -> None:
        self.instruments = load_instruments(settings.instruments_file)
        self.accounts = [AccountShard(number, self.instruments, SHARDS) for number in range(SHARDS)]
        self.books = [BookShard(number, self.instruments, SHARDS) for number in range(SHARDS)]
        self.prices = [MarketData(len(self.instruments.rules)) for _ in range(SHARDS)]
        self.answering = asyncio.Event()
        self.answering.set()
        keys = record_keys(settings)
        self._signers = {topic.name: keys.signer(shards_of(topic)) for topic in (EDGE_REPLIES, EXECUTIONS, MARKET_DATA)}
        self.frames = 0
        self._made: defaultdict[str, int] = defaultdict(int)
        self._consumer = AIOKafkaConsumer(bootstrap_servers=settings.kafka_url, enable_auto_commit=False, auto_offset_reset="earliest")
        self.producer = AIOKafkaProducer(bootstrap_servers=settings.kafka_url, acks="all", linger_ms=0)

    async def run(self) -> None:
        """Until cancelled."""
        self._consumer.assign([TopicPartition(ACCOUNT_COMMANDS.name, number) for number in range(SHARDS)])
        await self._consumer.start()
        await self.producer.start()
        try:
            while True:
                batches = await self._consumer.getmany(timeout_ms=500)
                await self.answering.wait()
                for partition, records in batches.items():
                    for record in records:
                        self.frames += 1
                        frame = decode_frame(record.value, "order_command_frame")
                        await self._after(partition.partition, self.accounts[partition.partition].apply_commands(
                            frame.rows, frame.cl_ord_id, frame.header.reply_partition, frame.orig_cl_ord_id))  # fmt: skip
        finally:
            await self._consumer.stop()
            await self.producer.stop()

    def open_account(self, account: int, cash: int, shares: dict[int, int]) -> None:
        """Before the exchange runs."""
        rows = np.zeros(1 + len(shares), FRAMES["order_command_frame"].dtype)
        rows["kind"], rows["account"], rows["cash"][0] = CommandKind.ACCOUNT_UPDATE, account, cash
        rows["request_id"] = np.arange(1, len(rows) + 1)
        for row, (instrument, lots) in zip(rows[1:], shares.items(), strict=True):
            row["instrument"], row["order_qty"] = instrument, lots
        self.accounts[account_shard(account, SHARDS)].apply_commands(rows, np.zeros(len(rows), "S1"), -1)

    async def change_phase(self, phase: Phase) -> None:
        """Of every instrument."""
        rows = np.zeros(1, FRAMES["book_command_frame"].dtype)
        rows["kind"], rows["phase"], rows["transact_time"] = BookCommandKind.TRADING_SESSION_CHANGE, phase, time.time_ns()
        for number in range(SHARDS):
            await self._match(number, rows)

    async def tell_trades(self, instrument: int, seqs: Iterable[int]) -> None:
        """Trades of an instrument in market.data that nobody has matched, a frame each."""
        number = instrument % SHARDS
        for seq in seqs:
            rows = np.zeros(1, FRAMES["market_data_frame"].dtype)
            values = {
                "kind": MarketDataKind.TRADE,
                "instrument": instrument,
                "seq": seq,
                "price": 100,
                "qty": 1,
                "transact_time": time.time_ns(),
            }
            for name, value in values.items():
                rows[name] = value
            await self._emit(MARKET_DATA.name, number, "market_data_frame", rows, f"executions/{number}", time.time_ns())

    async def _after(self, shard: int, output: Any) -> None:
        await self._reply(shard, output)
        for number, chosen in split_by(output.book_commands["instrument"], SHARDS):
            await self._match(number, output.book_commands[chosen])

    async def _reply(self, shard: int, output: Any) -> None:
        mine = (output.reply_mask & np.uint64(1)) != 0
        if mine.any():
            await self._emit(EDGE_REPLIES.name, 0, "account_event_frame", output.replies[mine], f"account.commands/{shard}",
                             self.accounts[shard].log_time, output.reply_cl_ord_id[mine])  # fmt: skip

    async def _match(self, number: int, commands: Rows) -> None:
        executions = self.books[number].apply(commands).executions
        prices = self.prices[number].apply(executions)
        if len(prices):
            await self._emit(MARKET_DATA.name, number, "market_data_frame", prices, f"executions/{number}", self.prices[number].log_time)
        reports = reports_of(executions)
        for shard, chosen in split_by(reports["account"], SHARDS):
            await self._after(shard, self.accounts[shard].apply_reports(reports[chosen]))

    async def write(self, topic: str, partition: int, data: bytes) -> int:
        """Append a record as the shard that writes there does; its offset."""
        signed = self._signers[topic](topic, partition, data)
        return int((await self.producer.send_and_wait(topic, data, partition=partition, headers=signed)).offset)

    async def _emit(self, topic: str, partition: int, schema: str, rows: Rows, source: str, at: int, text: Rows | None = None) -> None:
        self._made[source] += 1
        data = encode_frame(schema, Header(source, self._made[source], 0, 0, at, -1), rows, text)
        await self.write(topic, partition, data)


class Edge:
    """The process under test."""

    def __init__(self, settings: Settings, **environment: str) -> None:
        values = {
            "OUTCRY_HOME": str(settings.home), "OUTCRY_KAFKA_URL": settings.kafka_url, "OUTCRY_MYSQL_URL": settings.mysql_url,
            "OUTCRY_REDIS_URL": settings.redis_url, "OUTCRY_EDGE_PORT": "0", "OUTCRY_EDGE_DECISION_TIMEOUT_MS": "15000",
        }  # fmt: skip
        own = {name: value for name, value in os.environ.items() if not name.startswith("OUTCRY_")}
        self.ready_file = settings.run_dir / "edge.json"
        self.ready_file.unlink(missing_ok=True)
        self.log = settings.home / "edge-under-test.log"
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "streams", "worker", "edge"], env={**own, **values, **environment}, stderr=log, stdout=log
            )
        self.url = ""

    async def wait_until_ready(self) -> None:
        """Answers /readyz with 200."""
        await wait_for(lambda: self.ready_file.exists() or self.process.poll() is not None, "the edge announces itself")
        assert self.process.poll() is None, self.log.read_text()[-4_000:]
        self.url = f"http://127.0.0.1:{json.loads(self.ready_file.read_text())['port']}"
        async with aiohttp.ClientSession() as http:

            async def is_ready() -> bool:
                async with http.get(self.url + "/readyz") as response:
                    return response.status == 200

            await wait_for(is_ready, "the edge is ready")

    def stop(self) -> int:
        """TERM; the exit status."""
        self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise


async def wait_for(condition: Any, what: str, timeout_s: float = WAIT_S) -> None:
    """Until the condition (a function, perhaps async) holds."""
    deadline = time.monotonic() + timeout_s
    while True:
        value = condition()
        if await value if asyncio.iscoroutine(value) else value:
            return
        assert time.monotonic() < deadline, f"not within {timeout_s} s: {what}"
        await asyncio.sleep(0.02)


def key_of(account: int) -> dict[str, str]:
    """Headers of an account's key."""
    return {"APCA-API-KEY-ID": f"KEY{account}", "APCA-API-SECRET-KEY": f"secret-{account}"}


class Gate:
    """A TCP address before a server's: open, shut (connections are cut and refused), or silent (they stand, and nothing comes through)."""

    def __init__(self, url: str) -> None:
        self._upstream = urlsplit(url)
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()
        self._passing = asyncio.Event()
        self._port = 0

    @property
    def url(self) -> str:
        """The server's address through this gate."""
        credentials, _, _ = self._upstream.netloc.rpartition("@")
        return self._upstream._replace(netloc=f"{credentials}@127.0.0.1:{self._port}".removeprefix("@")).geturl()

    async def open(self) -> None:
        """Let everything through, from either of the other states; the port stays the same."""
        self._passing.set()
        if self._server is None:
            self._server = await asyncio.start_server(self._serve, "127.0.0.1", self._port)
            self._port = self._server.sockets[0].getsockname()[1]

    async def shut(self) -> None:
        """As if the server had died."""
        if self._server is not None:
            self._server.close()
            self._server = None
        for writer in tuple(self._writers):
            writer.transport.abort()

    async def silence(self) -> None:
        """As if the server hung."""
        self._passing.clear()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there = await asyncio.open_connection(self._upstream.hostname, self._upstream.port)
        self._writers |= {writer, there[1]}
        await asyncio.gather(self._pump(reader, there[1]), self._pump(there[0], writer))

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while data := await reader.read(1 << 16):
                await self._passing.wait()
                writer.write(data)
                await writer.drain()
        except OSError:
            pass  # cut; the other direction ends too
        finally:
            writer.close()
            self._writers.discard(writer)


async def call(
    edge: Edge, account: int, method: str, path: str, body: Any = None, data: bytes | None = None, token: str = ""
) -> tuple[int, Any, Any]:
    """(status, decoded body, headers) of one request of an account; with an operator token, of somebody who works here."""
    async with (
        aiohttp.ClientSession(headers={"Authorization": f"Bearer {token}"} if token else key_of(account)) as http,
        http.request(method, edge.url + path, json=body, data=data) as response,
    ):
        text = await response.read()
        return response.status, json.loads(text) if text else None, response.headers


def an_order(**changes: Any) -> dict[str, Any]:
    """A limit order that rests far from everything."""
    order = {"symbol": "AAPL", "qty": "1", "side": "buy", "type": "limit", "time_in_force": "gtc", "limit_price": "1.00"}
    return {name: value for name, value in {**order, **changes}.items() if value is not None}


async def withdraw_all(edge: Edge, account: int) -> None:
    """Nothing of the account is left in the books that the tests share."""
    await call(edge, account, "DELETE", "/v2/orders")

    async def is_empty() -> bool:
        return bool((await call(edge, account, "GET", "/v2/orders"))[1] == [])

    await wait_for(is_empty, "every order of the account is canceled")


@asynccontextmanager
async def updates_of(edge: Edge, account: int) -> AsyncIterator[Any]:
    """A function that waits for the account's next trade_updates, as many as it is asked for: their data."""
    async with aiohttp.ClientSession() as http, http.ws_connect(edge.url + "/stream") as stream:
        await stream.send_json({"action": "auth", "key": f"KEY{account}", "secret": f"secret-{account}"})
        await stream.send_json({"action": "listen", "data": {"streams": ["trade_updates"]}})
        for _ in range(2):
            await asyncio.wait_for(stream.receive(), WAIT_S)

        async def next_updates(count: int) -> list[dict[str, Any]]:
            return [json.loads((await asyncio.wait_for(stream.receive(), WAIT_S)).data)["data"] for _ in range(count)]

        yield next_updates
