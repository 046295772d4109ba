"""Hours of an edge's market-data sockets in minutes: clients come, resume, read slowly, and go, while everything is published.

    python tests/soak/soak_fanout.py --minutes 30

The edge's application serves on a real socket; rows go straight into its market view. What must be true for each client, across all of its connections:
each trade of its symbol once, in order, none missing; and in the end the book that it has put together from snapshots and changes is that of
the edge. Every third client is one of outcry.client over the native API: it checks the place of each push and the checksum of each book, and is cut
off at random. What an edge keeps to resume from is full before anything is measured, because filling it is growth that ends: resident memory after the
first quarter is compared with the end. The exit status is 0 only then.
"""

import asyncio
import json
import random
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import aiohttp
import click
import psutil

sys.path[:0] = [str(Path(__file__).parents[1])]  # the package `support`, as pytest finds it

from support.served_edge import Served, served, until  # noqa: E402  behind the path

from edge.gateway.limits import TRADES_KEPT_PER_SYMBOL  # noqa: E402
from edge.gateway.market.view import MarketRow  # noqa: E402
from outcry.client import AsyncClient  # noqa: E402
from schemas.enums import MarketDataKind, Side  # noqa: E402

DEPTH: Final = 10
PAST_S: Final = 10 * 3_600
"""What is kept at the beginning is spread over so long: more minutes than there are bars kept."""
NATIVE_EVERY: Final = 3
SYMBOLS: Final = 4
"""Of the built-in instruments, by number from 1."""
PRICES: Final = range(990, 1_010)
WAIT_S: Final = 30.0


class Market:
    """Random trades, quotes and levels; the seed decides all of them."""

    def __init__(self, seed: int) -> None:
        self._chances = random.Random(seed)
        self._seqs = Counter[tuple[int, int]]()
        self._empty = dict.fromkeys(MarketRow._fields, 0)

    def rows(self, count: int) -> list[MarketRow]:
        """The next ones."""
        return [self._row() for _ in range(count)]

    def past_rows(self) -> Iterator[list[MarketRow]]:
        """As many as an edge keeps, and some more, in their order, from PAST_S ago until now; a list of each time."""
        count, now = TRADES_KEPT_PER_SYMBOL + 10, time.time_ns()
        for number in range(count):
            at_ns = now - PAST_S * 1_000_000_000 * (count - number) // count
            kinds = (MarketDataKind.TRADE, MarketDataKind.QUOTE) if number % 3 == 0 else (MarketDataKind.TRADE,)
            yield [self._row(kind, symbol, at_ns) for symbol in range(1, SYMBOLS + 1) for kind in kinds]

    def _row(self, kind: MarketDataKind | None = None, number: int = 0, at_ns: int = 0) -> MarketRow:
        chances = self._chances
        kind = kind or chances.choice((MarketDataKind.TRADE, MarketDataKind.QUOTE, MarketDataKind.LEVEL))
        number = number or chances.randint(1, SYMBOLS)
        self._seqs[number, kind] += 1
        values: dict[str, int] = {
            "kind": int(kind), "instrument": number, "seq": self._seqs[number, kind], "transact_time": at_ns or time.time_ns(),
        }  # fmt: skip
        if kind is MarketDataKind.QUOTE:
            price = chances.choice(PRICES)
            values |= {"bid_px": price, "bid_qty": 1, "ask_px": price + 1, "ask_qty": 1}
        else:
            values |= {
                "price": chances.choice(PRICES),
                "qty": chances.randint(0 if kind is MarketDataKind.LEVEL else 1, 9),
                "side": chances.choice((1, 2)),
            }
        return MarketRow(**{**self._empty, **values})


@dataclass
class Watcher:
    """One client over all of its connections."""

    symbol: str
    chances: random.Random
    seq: int = 0
    """Of the last trade."""
    book: dict[str, dict[float, int]] = field(default_factory=lambda: {"b": {}, "a": {}})
    counts: Counter[str] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)
    has_begun: bool = False

    async def live(self, edge: Served, stop: asyncio.Event) -> None:
        """Connect, listen for a while, leave; until it is told to stop. Then once more, to the end of what there is."""
        while not stop.is_set():
            await self._listen(edge, self.chances.expovariate(0.5), stop)
        self.book = {"b": {}, "a": {}}
        await self._listen(edge, 0.0, stop)

    async def _listen(self, edge: Served, seconds: float, stop: asyncio.Event) -> None:
        view = edge.gateway.market.symbols[self.symbol]
        self.counts["connections"] += 1
        # by its session: a TestClient keeps every WebSocket that it has ever opened, which looks like a leak of the edge's
        async with edge.client.session.ws_connect(edge.client.make_url("/ws/public-prices"), max_msg_size=0) as ws:
            names = [self.symbol]
            resume = {self.symbol: self.seq} if self.has_begun else {}
            if not self.has_begun:
                self.seq, self.has_begun = view.seqs.get(MarketDataKind.TRADE, 0), True
            await ws.send_json(
                {"action": "subscribe", "trades": names, "quotes": names, "orderbooks": names, "resume": resume or {self.symbol: self.seq}}
            )
            until = time.monotonic() + seconds
            while (time.monotonic() < until and not stop.is_set()) or (stop.is_set() and not self._has_all(view)):
                message = await asyncio.wait_for(ws.receive(), WAIT_S)
                if message.type is not aiohttp.WSMsgType.TEXT:
                    self.counts["let go"] += 1
                    return
                for one in json.loads(message.data):
                    self._take(one)
                if self.chances.random() < 0.002:
                    self.counts["slow"] += 1
                    await asyncio.sleep(self.chances.uniform(0, 1.0))

    def _has_all(self, view: Any) -> bool:
        return self.seq == view.seqs.get(MarketDataKind.TRADE, 0) and self.book == as_told(view)

    def _take(self, one: dict[str, Any]) -> None:
        kind = one["T"]
        self.counts[kind] += 1
        if kind == "t":
            if one["seq"] != self.seq + 1:
                self.faults.append(f"{self.symbol}: trade {one['seq']} after {self.seq}")
            self.seq = one["seq"]
        elif kind == "gap":
            self.faults.append(f"{self.symbol}: {one}")
        elif kind == "o":
            if one["r"]:
                self.book = {"b": {}, "a": {}}
            for side in self.book:
                for level in one[side]:
                    self.book[side][level["p"]] = level["s"]
                    if not level["s"]:
                        del self.book[side][level["p"]]


@dataclass
class NativeWatcher:
    """The same of the native API; the client resumes and checks by itself."""

    symbol: str
    chances: random.Random
    seq: int = 0
    counts: Counter[str] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)
    best: tuple[list[tuple[str, str]], list[tuple[str, str]]] = ([], [])
    """Bids and asks, as they were told last."""

    async def live(self, edge: Served, stop: asyncio.Event) -> None:
        """Read, and be cut off now and then; at the end read what there is."""
        view = edge.gateway.market.symbols[self.symbol]
        names = (f"trades.{self.symbol}", f"book.{self.symbol}.{DEPTH}.50ms")
        async with AsyncClient(edge.origin) as client:
            await client.subscribe(*names)
            reading = asyncio.create_task(self._read(client))
            while not stop.is_set():
                with suppress(TimeoutError):
                    await asyncio.wait_for(stop.wait(), self.chances.expovariate(0.5))
                cut = client._link._ws
                if cut is not None and not stop.is_set():
                    self.counts["cut off"] += 1
                    await cut.close()
            try:
                await until(lambda: self._has_all(view), f"{self.symbol}: the native client has everything")
            except AssertionError as error:
                self.faults.append(f"{error}: {self.seq} of {view.seqs}, {self.best}")
            reading.cancel()
            if client.resubscribed:
                self.faults.append(f"{self.symbol}: {client.resubscribed} pushes did not fit")

    async def _read(self, client: AsyncClient) -> None:
        async for push in client:
            if push.book is not None:
                self.counts["books"] += 1
                self.best = push.book.best_bids(), push.book.best_asks()
                continue
            if self.seq and push.seq != self.seq + 1 and not (push.snapshot and push.seq == self.seq):
                self.faults.append(f"{self.symbol}: native trade {push.seq} after {self.seq}{' (snapshot)' if push.snapshot else ''}")
            self.seq = push.seq
            self.counts["native trades"] += 1

    def _has_all(self, view: Any) -> bool:
        book, one = view.book(DEPTH), view.instrument
        told = tuple([(one.price_text(price), one.qty_text(qty)) for price, qty, *_ in side] for side in (book.bids, book.asks))
        return self.seq == view.seqs.get(MarketDataKind.TRADE, 0) and self.best == told


def as_told(view: Any) -> dict[str, dict[float, int]]:
    """The edge's book as a client has it."""
    tick = float(view.instrument.tick_size)
    sides = {"b": view.levels[Side.BUY], "a": view.levels[Side.SELL]}
    return {name: {round(price * tick, 6): qty for price, (qty, _) in levels.items()} for name, levels in sides.items()}


async def soak(seconds: float, clients: int, seed: int, rows_per_s: int = 300) -> dict[str, Any]:
    """Run; what was found."""
    async with served() as edge:
        names = [view.instrument.symbol for view in edge.gateway.market.symbols.values() if view.instrument.number <= SYMBOLS]
        stop, market, process = asyncio.Event(), Market(seed), psutil.Process()
        edge.gateway.log_id = "log-1"
        for rows in market.past_rows():
            edge.gateway.market.apply(rows)
        chances = [random.Random(f"{seed}/{number}") for number in range(clients)]
        readers = [Watcher(names[n % SYMBOLS], chances[n]) for n in range(clients) if n % NATIVE_EVERY]
        native = [NativeWatcher(names[n // NATIVE_EVERY % SYMBOLS], chances[n]) for n in range(0, clients, NATIVE_EVERY)]
        watchers: list[Watcher | NativeWatcher] = [*readers, *native]
        tasks = [asyncio.create_task(one.live(edge, stop)) for one in watchers]
        began, published, memory = time.monotonic(), 0, 0
        while (passed := time.monotonic() - began) < seconds:
            due = int(passed * rows_per_s)
            edge.gateway.tell_market(edge.gateway.market.apply(market.rows(due - published)))
            published = due
            if not memory and passed > seconds / 4:
                memory = process.memory_info().rss
            await asyncio.sleep(0.01)
        grown = process.memory_info().rss - memory
        stop.set()
        edge.gateway.tell_market(edge.gateway.market.apply(market.rows(100)))
        await asyncio.gather(*tasks)
        counts = sum((one.counts for one in watchers), Counter[str]())
        books = [one.book == as_told(edge.gateway.market.symbols[one.symbol]) for one in readers]
        fan_out = edge.state.fan_out
        return {
            "seed": seed, "seconds": round(seconds), "clients": clients, "rows": published, **counts, "conflated": fan_out.conflated, "evicted": fan_out.evicted,
            "memory_mb": round(memory / 1e6, 1), "grown_mb": round(grown / 1e6, 1), "wrong_books": books.count(False),
            "faults": [fault for one in watchers for fault in one.faults],
        }  # fmt: skip


@click.command()
@click.option("--minutes", type=float, default=30.0, show_default=True)
@click.option("--clients", type=int, default=60, show_default=True)
@click.option("--seed", type=int, default=1, show_default=True)
@click.option(
    "--grown-mb-max", type=float, default=20.0, show_default=True, help="Resident memory may grow so much after the first quarter."
)
def main(minutes: float, clients: int, seed: int, grown_mb_max: float) -> None:
    """Clients come and go; nothing is missing."""
    found = asyncio.run(soak(minutes * 60, clients, seed))
    print(json.dumps(found))
    sys.exit(bool(found["faults"] or found["wrong_books"] or found["grown_mb"] > grown_mb_max))


if __name__ == "__main__":
    main()
