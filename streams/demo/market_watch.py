"""WebSocket clients of the public market data. Each follows every trade, and resumes where it was after a broken connection."""

import asyncio
import json
import time
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any, Final

import aiohttp

from streams.operate.accounts import ApiKey

RETRY_PAUSE_S: Final = 0.2
CHANNELS: Final = {"trades": ["*"], "quotes": ["*"], "bars": ["*"]}


@dataclass
class Seen:
    """What one client saw of one symbol. `missing` and `repeats` count sequence numbers that never arrived, or arrived again."""

    trade_ids: set[int] = field(default_factory=set)
    last_seq: int = 0
    last_price: Decimal = Decimal(0)
    qty: Decimal = Decimal(0)
    missing: int = 0
    repeats: int = 0


@dataclass
class Tape:
    """The newest trades and one symbol's book, for the live view."""

    trades: list[tuple[str, str, Decimal, int]] = field(default_factory=list)
    bids: dict[Decimal, int] = field(default_factory=dict)
    asks: dict[Decimal, int] = field(default_factory=dict)

    def book(self, depth: int) -> tuple[list[tuple[Decimal, int]], list[tuple[Decimal, int]]]:
        """The best levels, bids and asks."""
        return sorted(self.bids.items(), reverse=True)[:depth], sorted(self.asks.items())[:depth]


class MarketWatcher:
    """One client of /v2/iex that follows `symbols`. `book_symbol`: whose order book to follow too."""

    def __init__(self, name: str, edge_url: Callable[[], str], key: ApiKey, symbols: Iterable[str], book_symbol: str = "") -> None:
        self.name = name
        self._edge_url, self._key, self._book_symbol = edge_url, key, book_symbol
        self.seen = {symbol: Seen() for symbol in symbols}
        self.tape = Tape()
        self.update_ns: list[int] = []
        """From a trade's log time (when its order arrived) to its arrival here. Trades sent again by a resume are not counted."""
        self.messages: Counter[str] = Counter()
        self.connections = 0
        self.errors: list[str] = []
        self.subscribed = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._live_from_ns = 0

    def start(self) -> None:
        """Start following. `subscribed` is set when the edge has confirmed it."""
        self._task = asyncio.create_task(self._follow())

    async def close(self) -> None:
        """Disconnect."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    @property
    def trades(self) -> int:
        """Number of distinct trades seen."""
        return sum(len(seen.trade_ids) for seen in self.seen.values())

    async def _follow(self) -> None:
        async with aiohttp.ClientSession() as session:
            while True:
                try:
                    await self._one_connection(session)
                except (aiohttp.ClientError, TimeoutError, ConnectionError) as error:
                    self.errors.append(f"{type(error).__name__}: {error}")
                await asyncio.sleep(RETRY_PAUSE_S)

    async def _one_connection(self, session: aiohttp.ClientSession) -> None:
        url = self._edge_url().replace("http", "ws", 1) + "/v2/iex"
        async with session.ws_connect(url, heartbeat=20, max_msg_size=0) as socket:
            self.connections += 1
            self._live_from_ns = time.time_ns()
            await socket.send_json({"action": "auth", "key": self._key.key_id, "secret": self._key.secret})
            await socket.send_json(self._subscription())
            async for message in socket:
                if message.type not in (aiohttp.WSMsgType.TEXT, aiohttp.WSMsgType.BINARY):
                    break
                now = time.time_ns()
                for one in json.loads(message.data, parse_float=Decimal):
                    self._take(one, now)

    def _subscription(self) -> dict[str, Any]:
        """Everything; of each symbol the trades behind the last one seen (0: from the first)."""
        book = {"orderbooks": [self._book_symbol]} if self._book_symbol else {}
        return {"action": "subscribe", **CHANNELS, **book, "resume": {symbol: seen.last_seq for symbol, seen in self.seen.items()}}

    def _take(self, message: dict[str, Any], now: int) -> None:
        kind = message.get("T", "")
        self.messages[kind] += 1
        if kind == "t":
            self._trade(message, now)
        elif kind == "o":
            self._book(message)
        elif kind == "subscription":
            self.subscribed.set()
        elif kind == "error":
            self.errors.append(f"{message.get('code')} {message.get('msg')}")

    def _trade(self, message: dict[str, Any], now: int) -> None:
        seen, seq = self.seen[message["S"]], message["seq"]
        if seq <= seen.last_seq:
            seen.repeats += 1
            return
        seen.missing += seq - seen.last_seq - 1
        seen.last_seq, seen.last_price = seq, Decimal(message["p"])
        seen.trade_ids.add(message["i"])
        seen.qty += Decimal(message["s"])
        made_at = nanos_of(message["t"])
        if made_at >= self._live_from_ns:
            self.update_ns.append(now - made_at)
        self.tape.trades.append((message["t"][11:23], message["S"], Decimal(message["p"]), int(message["s"])))
        del self.tape.trades[:-20]

    def _book(self, message: dict[str, Any]) -> None:
        if message.get("r"):
            self.tape.bids.clear()
            self.tape.asks.clear()
        for levels, changes in ((self.tape.bids, message["b"]), (self.tape.asks, message["a"])):
            for level in changes:
                if level["s"]:
                    levels[Decimal(level["p"])] = int(level["s"])
                else:
                    levels.pop(Decimal(level["p"]), None)


def nanos_of(text: str) -> int:
    """Nanoseconds since 1970 of the edge's time texts, 2026-01-02T03:04:05.000000006Z."""
    seconds = datetime.fromisoformat(text[:19] + "+00:00").timestamp()
    return int(seconds) * 1_000_000_000 + int(text[20:29])
