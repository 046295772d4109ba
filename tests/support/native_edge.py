"""The native API over a whole exchange in memory: real HTTP and WebSockets, the real shards, no Kafka."""

import asyncio
import json
import time
import zlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

import aiohttp
import msgpack

from edge.gateway.accounts.command_producer import CommandProducer
from edge.native.desk import DESK, Desk
from schemas.enums import Phase
from support.exchange_in_memory import Exchange
from support.served_edge import WAIT_S, Served, served


@dataclass
class NativeEdge:
    """An edge, and the exchange behind it."""

    served: Served
    exchange: Exchange
    desk: Desk

    @asynccontextmanager
    async def socket(self, key: int | None = None, *, packed: bool = False) -> AsyncIterator["NativeSocket"]:
        """A connection; logged on as the account with this number."""
        protocol = "outcry.v1.msgpack" if packed else "outcry.v1.json"
        async with self.served.client.ws_connect("/ws/v1", protocols=(protocol,), autoping=True) as ws:
            socket = NativeSocket(ws, packed)
            assert (await socket.next())["event"] == "hello"
            if key is not None:
                told = await socket.ask("session.logon", key=f"KEY{key}", secret=f"secret-{key}")
                assert told["ok"], told
            yield socket


@dataclass
class NativeSocket:
    """A client that checks nothing; `kept` are pushes that came while an answer was waited for."""

    ws: aiohttp.ClientWebSocketResponse
    packed: bool = False
    kept: list[dict[str, Any]] = field(default_factory=list)
    ids: int = 0

    async def send(self, message: Any) -> None:
        """Any value."""
        if self.packed:
            await self.ws.send_bytes(msgpack.packb(message))
        else:
            await self.ws.send_str(json.dumps(message))

    async def next(self) -> dict[str, Any]:
        """The next message, heartbeats apart."""
        async with asyncio.timeout(WAIT_S):
            while True:
                message = await self.ws.receive()
                assert message.type in (aiohttp.WSMsgType.TEXT, aiohttp.WSMsgType.BINARY), message
                told = msgpack.unpackb(message.data) if self.packed else json.loads(message.data)
                if told.get("event") != "heartbeat":
                    return told

    async def push(self) -> dict[str, Any]:
        """The next push of a channel."""
        if self.kept:
            return self.kept.pop(0)
        while "ch" not in (told := await self.next()):
            pass
        return told

    async def pushes(self, count: int) -> list[dict[str, Any]]:
        """So many."""
        return [await self.push() for _ in range(count)]

    async def ask(self, op: str, **fields: Any) -> dict[str, Any]:
        """The answer to a request."""
        self.ids += 1
        await self.send({"id": self.ids, "op": op, **fields})
        return await self.answer(self.ids)

    async def answer(self, request_id: Any) -> dict[str, Any]:
        """To the request with this id."""
        while (told := await self.next()).get("id", ...) != request_id:
            self.kept.append(told)
        return told

    async def closed(self) -> int | None:
        """The code of the close."""
        while True:
            message = await asyncio.wait_for(self.ws.receive(), WAIT_S)
            if message.type in (aiohttp.WSMsgType.CLOSE, aiohttp.WSMsgType.CLOSED, aiohttp.WSMsgType.CLOSING):
                return self.ws.close_code
            if message.type in (aiohttp.WSMsgType.TEXT, aiohttp.WSMsgType.BINARY) and not self.packed:
                self.kept.append(json.loads(message.data))


def an_order(**more: Any) -> dict[str, Any]:
    """A limit order for the day."""
    order = {"symbol": "AAPL", "side": "buy", "ord_type": "limit", "time_in_force": "day", "order_qty": "10", "price": "180.00"}
    return order | more


async def _no_order(*_: Any) -> None:
    """The system of record knows of none that memory does not."""


@asynccontextmanager
async def native_edge(phase: Phase = Phase.CONTINUOUS, **settings: Any) -> AsyncIterator[NativeEdge]:
    """Accounts 1 and 2 have 10,000.00 and 50 shares of AAPL each; their keys are KEY1 and KEY2."""
    async with served(**settings) as edge:
        gateway = edge.gateway
        gateway.log_id = "log-1"
        edge.stores.order = edge.stores.order_by_cl_ord_id = _no_order
        exchange: Any = Exchange(gateway)
        gateway.accounts.producer = producer = CommandProducer(
            exchange,
            1,
            "edge-0",
            0,
            time.time_ns,
            lambda command, error: gateway.accounts.pending.give_up(command, TimeoutError(repr(error))),
        )
        for account in (1, 2):
            exchange.open_account(account, 100_000_000, 50)
        exchange.phase(phase)
        try:
            yield NativeEdge(edge, exchange, edge.client.app[DESK])
        finally:
            await producer.close(1)


class Follower:
    """A client's own picture of its channels; `take` asserts what the protocol promises of each push."""

    def __init__(self) -> None:
        self.seqs: dict[str, int] = {}
        self.books: dict[str, dict[str, dict[str, str]]] = {}
        self.items: dict[str, list[dict[str, Any]]] = {}
        """Of streams: everything once."""
        self.snapshots: dict[str, int] = {}
        self.checksums = 0

    def take(self, push: dict[str, Any]) -> None:
        """A push of any channel."""
        name, seq = push["ch"], push["seq"]
        if push.get("snapshot"):
            assert push["prev"] is None
            self.snapshots[name] = self.snapshots.get(name, 0) + 1
            if name.startswith("book."):
                self.books[name] = {side: dict(push[side]) for side in ("b", "a")}
        else:
            assert push["prev"] == self.seqs[name], (self.seqs[name], push)
            assert seq > push["prev"]
            self.items.setdefault(name, []).append(push)
            if name.startswith("book."):
                for side in ("b", "a"):
                    for price, qty in push[side]:
                        if qty == "0":
                            del self.books[name][side][price]
                        else:
                            self.books[name][side][price] = qty
        self.seqs[name] = seq
        if name.startswith("book."):
            assert push["cs"] == self.checksum(name), push
            self.checksums += 1

    def checksum(self, name: str) -> int:
        """Kraken's rule, over the client's own book."""
        asks = sorted(self.books[name]["a"].items(), key=lambda level: Decimal(level[0]))[:10]
        bids = sorted(self.books[name]["b"].items(), key=lambda level: -Decimal(level[0]))[:10]
        return zlib.crc32("".join(text.replace(".", "").lstrip("0") for level in asks + bids for text in level).encode())
