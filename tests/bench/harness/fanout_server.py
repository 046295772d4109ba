"""A server process of bench_fanout: quotes of many symbols to whoever subscribes, by the edge's own application or by a baseline.

Commands are JSON lines on stdin, each answered by one on stdout. `edge` is the application with everything but Kafka and stores: rows go into the
market view and on to the hub. `await` is aiohttp with `await ws.send_bytes` for each client, `broadcast` the library websockets.
"""

import asyncio
import gc
import itertools
import json
import resource
import sys
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import psutil
import uvloop
from aiohttp import web
from websockets.asyncio.server import ServerConnection, broadcast, serve
from websockets.exceptions import ConnectionClosed

from edge.alpaca.market_data.messages import json_of
from edge.alpaca.market_data.subscriptions import JSON
from edge.app import make_app, make_state
from edge.gateway.market.consumer import MarketConsumer
from edge.gateway.market.events import MarketEvent
from edge.gateway.market.view import MarketRow, MarketView
from edge.gateway.stored.stores import EdgeStores
from edge.http.listening import listen, new_runner
from schemas.enums import MarketDataKind
from schemas.instruments import InstrumentTable, load_instruments
from schemas.settings import Settings
from streams.process.garbage import look_rarely

COMMON = (
    'tick_size = "0.01"\nlot_size = "1"\nmax_order_qty = "100"\nmax_notional = "5000"\nreference_price = "10.00"\nprotection_percent = 20\n'
)


def symbol(number: int) -> str:
    """By its number from 1."""
    return f"S{number:04}"


def write_instruments(path: Path, count: int) -> None:
    """A file of so many."""
    path.write_text(
        "".join(f'[[instrument]]\nnumber = {n}\nsymbol = "{symbol(n)}"\nname = "{symbol(n)}"\n{COMMON}' for n in range(1, count + 1))
    )


class Quotes:
    """Rows of quotes, the symbols in turn."""

    def __init__(self, symbols: int) -> None:
        self._numbers = itertools.cycle(range(1, symbols + 1))
        self._seqs: dict[int, int] = defaultdict(int)
        self._empty = dict.fromkeys(MarketRow._fields, 0)

    def rows(self, count: int) -> list[MarketRow]:
        """The next ones, with the time of now."""
        now, rows = time.time_ns(), []
        for number in itertools.islice(self._numbers, count):
            seq = self._seqs[number] = self._seqs[number] + 1
            price = 1_000 + seq % 50
            row = {"kind": int(MarketDataKind.QUOTE), "instrument": number, "seq": seq, "bid_px": price, "bid_qty": 100 + seq % 7}
            rows.append(MarketRow(**{**self._empty, **row, "ask_px": price + 1, "ask_qty": 200 + seq % 9, "transact_time": now}))
        return rows


class EdgeServer:
    """The edge."""

    def __init__(self, file: Path) -> None:
        settings = Settings(instruments_file=file, edge_port=0)
        stores = EdgeStores(settings)
        self._state = make_state(settings, stores, stores, stores, stores)
        gateway, unread = self._state.gateway, _Nothing()
        gateway.market_consumer = MarketConsumer(unread, unread, [], gateway.market, gateway.tell_market)
        gateway.market_consumer.running = True
        self.view = gateway.market
        self.publish = gateway.tell_market
        self.path = "/ws/public-prices"
        self._state.fan_out.sockets_max = 1 << 20

    async def listen(self, host: str) -> int:
        """Returns the port."""
        runner = new_runner(make_app(self._state))
        look_rarely()
        return await _listen(runner, host)

    @property
    def counts(self) -> dict[str, int]:
        """What the fan-out has counted."""
        fan_out = self._state.fan_out
        names = ("delivered", "conflated", "evicted", "cut", "silent", "flushes", "behind")
        return {name: getattr(fan_out, name) for name in names} | {"sockets": len(fan_out.sockets)}


class _Nothing:
    """A topic without partitions: nothing is read."""

    def __getattr__(self, name: str) -> Any:
        raise AttributeError(name)


class Baseline:
    """Who wants which symbol, and a way to send to them."""

    def __init__(self, instruments: InstrumentTable) -> None:
        self.view = MarketView(instruments)
        self.path = "/"
        self._wanted: dict[str, set[Any]] = defaultdict(set)
        self._sent, self._sockets = 0, 0
        self._queue: asyncio.Queue[list[MarketEvent]] = asyncio.Queue()
        self._task: asyncio.Task[None] | None = None

    def publish(self, events: list[MarketEvent]) -> None:
        """In order, after what was published before."""
        if self._task is None:
            self._task = asyncio.create_task(self._run())
        self._queue.put_nowait(events)

    async def _run(self) -> None:
        while True:
            for event in await self._queue.get():
                clients = self._wanted[event.symbol]
                self._sent += len(clients)
                await self.send(clients, JSON.join([json_of(event)]))

    async def send(self, clients: set[Any], payload: bytes) -> None:
        """To all of them."""
        raise NotImplementedError

    def take(self, socket: Any, data: str | bytes) -> str:
        """The client's subscription; its confirmation."""
        wanted = json.loads(data)["quotes"]
        for name in wanted:
            self._wanted[name].add(socket)
        self._sockets += 1
        return json.dumps([{"T": "subscription", "quotes": wanted}])

    def leave(self, socket: Any) -> None:
        """It has gone."""
        self._sockets -= 1
        for clients in self._wanted.values():
            clients.discard(socket)

    @property
    def counts(self) -> dict[str, int]:
        """As far as a baseline has them."""
        return {"delivered": self._sent, "sockets": self._sockets}


class AwaitServer(Baseline):
    """aiohttp, one `await ws.send_bytes` a client."""

    async def listen(self, host: str) -> int:
        """Returns the port."""
        app = web.Application()
        app.router.add_get("/", self._serve)
        return await _listen(web.AppRunner(app, access_log=None), host)

    async def _serve(self, request: web.Request) -> web.WebSocketResponse:
        ws = web.WebSocketResponse(compress=False)
        await ws.prepare(request)
        async for message in ws:
            await ws.send_str(self.take(ws, message.data))
        self.leave(ws)
        return ws

    async def send(self, clients: set[Any], payload: bytes) -> None:
        """One after the other."""
        for ws in tuple(clients):
            await ws.send_bytes(payload)


class BroadcastServer(Baseline):
    """The library websockets, without compression."""

    async def listen(self, host: str) -> int:
        """Returns the port."""
        server = await serve(self._serve, host, 0, compression=None, ping_interval=None, backlog=1_024)
        port: int = next(iter(server.sockets)).getsockname()[1]
        self._server = server
        return port

    async def _serve(self, ws: ServerConnection) -> None:
        try:
            async for message in ws:
                await ws.send(self.take(ws, message))
        except ConnectionClosed:
            pass  # the clients of the bench leave without a word
        finally:
            self.leave(ws)

    async def send(self, clients: set[Any], payload: bytes) -> None:
        """By its own function."""
        broadcast(clients, payload)
        await asyncio.sleep(0)


async def _listen(runner: web.AppRunner, host: str) -> int:
    await runner.setup()
    await listen(web.TCPSite(runner, host, 0, backlog=4_096))
    port: int = runner.addresses[0][1]
    return port


def cpu_s() -> float:
    """Processor time of this process, user and system."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


async def publish(server: Any, quotes: Quotes, batch: int, per_s: float, seconds: float, late_ms: list[float]) -> int:
    """`batch` symbols at once, so often; returns how many events. A round that is due while another one runs is late, not left out."""
    clock, events = time.perf_counter, 0
    start = clock()
    for number in range(round(per_s * seconds)):
        due = start + number / per_s
        if (wait := due - clock()) > 0:
            await asyncio.sleep(wait)
        late_ms.append((clock() - due) * 1_000)
        told = server.view.apply(quotes.rows(batch))
        server.publish(told)
        events += len(told)
    return events


async def obey(server: Any, quotes: Quotes, command: dict[str, Any]) -> dict[str, Any]:
    """One command's answer: counts, resident memory, and what it has cost."""
    cpu, before, answer = cpu_s(), server.counts, {}
    if command["do"] == "publish":
        late_ms: list[float] = []
        answer["events"] = await publish(server, quotes, command["batch"], command["per_s"], command["seconds"], late_ms)
        answer["late_ms_max"] = round(max(late_ms, default=0), 1)
        await asyncio.sleep(command.get("rest_s", 0.5))
    elif command["do"] == "wait":
        await asyncio.sleep(command["seconds"])
    elif command["do"] == "collect":
        gc.collect()
    counts = {name: value - (before[name] if name not in ("sockets", "behind") else 0) for name, value in server.counts.items()}
    return {**answer, **counts, "cpu_s": cpu_s() - cpu, "resident": psutil.Process().memory_full_info().uss}


async def run(server: Any, host: str, symbols: int) -> None:
    """Until stdin ends."""
    loop, reader = asyncio.get_running_loop(), asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    print(json.dumps({"host": host, "port": await server.listen(host), "path": server.path}), flush=True)
    quotes = Quotes(symbols)
    while line := await reader.readline():
        print(json.dumps(await obey(server, quotes, json.loads(line))), flush=True)


SERVERS: dict[str, Callable[[Path], Any]] = {
    "edge": EdgeServer,
    "await": lambda file: AwaitServer(load_instruments(file)),
    "broadcast": lambda file: BroadcastServer(load_instruments(file)),
}


@click.command()
@click.option("--variant", type=click.Choice(tuple(SERVERS)), required=True)
@click.option("--host", required=True)
@click.option("--instruments", "file", type=click.Path(path_type=Path), required=True)
@click.option("--symbols", type=int, required=True)
def main(variant: str, host: str, file: Path, symbols: int) -> None:
    """Serve until stdin ends."""
    resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)
    uvloop.run(run(SERVERS[variant](file), host, symbols))


if __name__ == "__main__":
    main()
