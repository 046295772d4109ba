"""Requests a second and latency of a running edge, open loop: latency counts from the scheduled time, whatever the edge does.

    python tests/bench/bench_edge.py                               # a set of its own: Kafka, MySQL, Redis, and the roles that an order needs
    python tests/bench/bench_edge.py --home var/demo               # the set that runs there; accounts are opened for it
    python tests/bench/bench_edge.py --url http://127.0.0.1:8080 --keys keys.json --rate 200 --rate 2000

`keys.json` is what `outcry accounts open --keys-file` writes; the accounts need cash and shares of the symbols, the session must be open.
The generator shares the machine with the exchange, and a run this short is for comparing. Half of the orders sell, half buy, all at one price of their symbol, so nearly every one trades. One JSON line per rate: POST latency, and
order to execution (from the scheduled time of the later order of a trade to the `fill` on its account's /stream socket).
"""

import asyncio
import json
import random
import secrets
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import aiohttp
import click
import psutil
import uvloop
from harness.result_lines import print_result
from harness.running_set import running_set

from schemas.enums import Phase
from schemas.instruments import load_instruments
from schemas.settings import Settings
from schemas.units import MINOR_PER_UNIT
from streams.operate.accounts import Opening, make_api_keys, open_accounts, store_api_keys
from streams.operate.command_books import change_session

GRACE_S = 5.0
SERVICES = ("kafka", "mariadb", "valkey")
ROLES = ("hold-funds", "match-orders", "publish-market-data", "edge")
"""What stands between an order and its execution, and the prices that the edge reads beside it; the other sinks would only take its processor."""


@dataclass
class Run:
    """What one rate measured; times are perf_counter seconds, latencies ms."""

    scheduled: dict[str, float] = field(default_factory=dict)
    answered_ms: list[float] = field(default_factory=list)
    statuses: dict[int, int] = field(default_factory=dict)
    trades: dict[int, list[str]] = field(default_factory=dict)
    executed_ms: list[float] = field(default_factory=list)
    updates: int = 0


class Connection:
    """One keep-alive HTTP/1.1 connection; as lean as can be, so that the generator does not measure itself."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer

    async def post(self, head: bytes, body: bytes) -> int:
        """Status of POST /v2/orders."""
        self._writer.write(head + str(len(body)).encode() + b"\r\n\r\n" + body)
        answer = await self._reader.readuntil(b"\r\n\r\n")
        length = int(answer.lower().partition(b"content-length:")[2].partition(b"\r\n")[0])
        await self._reader.readexactly(length)
        return int(answer[9:12])


class Load:
    """Posts orders for the accounts of `keys`."""

    def __init__(self, url: str, keys: Sequence[dict[str, Any]], symbols: dict[str, str], seed: int, edge_pid: int) -> None:
        self._edge = psutil.Process(edge_pid) if edge_pid else None
        self._where = urlsplit(url)
        self._keys = keys
        self._symbols = symbols
        self._random = random.Random(seed)
        self._free: list[Connection] = []
        self._heads = [
            f"POST /v2/orders HTTP/1.1\r\nHost: {self._where.netloc}\r\nAPCA-API-KEY-ID: {key['key_id']}\r\n"
            f"APCA-API-SECRET-KEY: {key['secret']}\r\nContent-Type: application/json\r\nContent-Length: ".encode()
            for key in keys
        ]
        self.run = Run()

    async def at_rate(self, rate: int, seconds: float) -> dict[str, Any]:
        """Schedule every order, wait for all answers, then for the last executions."""
        self.run = run = Run()
        total, start, tag = int(rate * seconds), time.perf_counter() + 0.2, self._random.getrandbits(48)
        tasks: set[asyncio.Task[None]] = set()
        cpu_s = self._cpu_s()
        for number in range(total):
            due = start + number / rate
            delay = due - time.perf_counter()
            if delay > 0.0005:
                await asyncio.sleep(delay)
            task = asyncio.create_task(self._post(number, due, f"{tag:012x}-{number}"))
            tasks.add(task)
            task.add_done_callback(tasks.discard)
        await asyncio.gather(*tasks)
        posting_s = time.perf_counter() - start
        deadline = time.perf_counter() + GRACE_S
        updates = -1
        while run.updates != updates and time.perf_counter() < deadline:
            updates = run.updates
            await asyncio.sleep(0.3)
        cpu_us = round((self._cpu_s() - cpu_s) * 1e6 / total) if self._edge else None
        return {
            "edge_cpu_us_per_order": cpu_us, "orders_per_s_offered": rate, "orders": total, "orders_per_s": round(total / posting_s, 1),
            "statuses": run.statuses, "post_ms": percentiles(run.answered_ms), "trades": len(run.executed_ms),
            "order_to_execution_ms": percentiles(run.executed_ms), "trade_updates": run.updates,
        }  # fmt: skip

    def _cpu_s(self) -> float:
        """CPU time of the edge so far: a figure that other load on the machine hardly changes."""
        times = self._edge.cpu_times() if self._edge else None
        return times.user + times.system if times else 0.0

    async def _post(self, number: int, due: float, cl_ord_id: str) -> None:
        symbol, price = self._random.choice(list(self._symbols.items()))
        account = self._random.randrange(len(self._keys))
        side = "sell" if number % 2 == 0 else "buy"
        body = (
            f'{{"symbol":"{symbol}","qty":"1","side":"{side}","type":"limit","time_in_force":"day","limit_price":"{price}",'
            f'"client_order_id":"{cl_ord_id}"}}'
        ).encode()
        self.run.scheduled[cl_ord_id] = due
        status = 0
        try:
            connection = (
                self._free.pop() if self._free else Connection(*await asyncio.open_connection(self._where.hostname, self._where.port))
            )
            status = await connection.post(self._heads[account], body)
            self._free.append(connection)
        except (OSError, asyncio.IncompleteReadError):
            pass  # counted as status 0: the connection was refused or lost
        self.run.answered_ms.append((time.perf_counter() - due) * 1_000)
        self.run.statuses[status] = self.run.statuses.get(status, 0) + 1

    async def listen(self, http: aiohttp.ClientSession, key: dict[str, Any], listening: asyncio.Event) -> None:
        """Read one account's trade updates until cancelled."""
        url = self._where._replace(scheme="ws", path="/stream").geturl()
        async with http.ws_connect(url, compress=0) as ws:
            await ws.send_json({"action": "auth", "key": key["key_id"], "secret": key["secret"]})
            await ws.send_json({"action": "listen", "data": {"streams": ["trade_updates"]}})
            async for message in ws:
                now, update = time.perf_counter(), json.loads(message.data)
                if update["stream"] == "listening":
                    listening.set()
                elif update["stream"] == "trade_updates":
                    self._take(update["data"], now)

    def _take(self, data: dict[str, Any], now: float) -> None:
        self.run.updates += 1
        if data["event"] not in ("fill", "partial_fill"):
            return
        cl_ord_id = data["order"]["client_order_id"]
        orders = self.run.trades.setdefault(data["trd_match_id"], [])
        orders.append(cl_ord_id)
        if len(orders) == 2 and all(one in self.run.scheduled for one in orders):
            self.run.executed_ms.append((now - max(self.run.scheduled[one] for one in orders)) * 1_000)


def percentiles(values_ms: list[float]) -> dict[str, float]:
    """p50, p90, p99, p99.9 and the highest, ms."""
    ordered = sorted(values_ms)
    if not ordered:
        return {}
    places = {"p50": 0.5, "p90": 0.9, "p99": 0.99, "p99_9": 0.999, "max": 1.0}
    return {name: round(ordered[min(len(ordered) - 1, int(len(ordered) * place))], 2) for name, place in places.items()}


@dataclass(frozen=True)
class Target:
    """The edge to measure: its address, keys of funded accounts, its process (0: not known)."""

    url: str
    keys: list[dict[str, Any]]
    pid: int


async def measure(target: Target, symbols: dict[str, str], rates: Sequence[int], seconds: float, seed: int) -> None:
    """Listen on every account, then one rate after the other; prints the JSON lines."""
    keys = target.keys
    load = Load(target.url, keys, symbols, seed, target.pid)
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as http:
        events = [asyncio.Event() for _ in keys]
        sockets = [asyncio.create_task(load.listen(http, key, event)) for key, event in zip(keys, events, strict=True)]
        await asyncio.wait_for(asyncio.gather(*(event.wait() for event in events)), 60)
        await load.at_rate(200, 2)  # connections, caches, compiled code
        for rate in rates:
            print_result("edge", {**await load.at_rate(rate, seconds), "seed": seed, "accounts": len(keys)})
        for socket in sockets:
            socket.cancel()
        await asyncio.gather(*sockets, return_exceptions=True)


@contextmanager
def own_target(home: Path | None, accounts: int) -> Iterator[Target]:
    """The edge of a set that runs in `home` or is started here, its session open, with new accounts that have cash and shares of everything."""
    with running_set(home, ROLES, SERVICES) as settings:
        first = 1_000_000 + secrets.randbelow(1_000_000_000)
        lots = {one.number: 1_000_000 for one in load_instruments(settings.instruments_file)}
        open_accounts(settings, [Opening(first + n, 1_000_000_000 * MINOR_PER_UNIT, lots) for n in range(accounts)])
        keys = make_api_keys(range(first, first + accounts))
        store_api_keys(settings, keys)
        change_session(settings, Phase.CONTINUOUS)
        yield Target(settings.edge_url, [{"key_id": key.key_id, "secret": key.secret} for key in keys], edge_pid(settings))


def edge_pid(settings: Settings) -> int:
    """As the edge has announced it."""
    pid: int = json.loads((settings.run_dir / "edge.json").read_text())["pid"]
    return pid


@click.command()
@click.option("--home", type=click.Path(path_type=Path), help="Measure the set that runs there; without it (and --url) one is started.")
@click.option("--url", help="Measure the edge at http://host:port, with --keys.")
@click.option("--keys", "keys_file", type=click.Path(exists=True, path_type=Path), help="File of `outcry accounts open --keys-file`.")
@click.option(
    "--rate", "rates", type=int, multiple=True, default=(200, 2_000), show_default=True, help="Orders per second; may be repeated."
)
@click.option("--seconds", type=float, default=6.0, show_default=True, help="Length of each measurement.")
@click.option("--accounts", type=int, default=20, show_default=True, help="Use so many accounts.")
@click.option(
    "--symbol", "symbols", multiple=True, default=("AAPL=180.00", "MSFT=410.00", "NVDA=120.00"), show_default=True, metavar="SYMBOL=PRICE"
)
@click.option("--seed", type=int, default=1, show_default=True)
@click.option("--pid", type=int, default=0, help="Process of the edge at --url: report its CPU time an order too.")
def main(
    home: Path | None, url: str | None, keys_file: Path | None, rates: tuple[int, ...], seconds: float, accounts: int,
    symbols: tuple[str, ...], seed: int, pid: int,
) -> None:  # fmt: skip
    """Requests a second and latency of an edge, open loop."""
    if (url is None) != (keys_file is None) or (url and home):
        raise click.UsageError("give --url together with --keys, or --home, or neither")
    prices = dict(one.split("=") for one in symbols)
    if url and keys_file:
        keys = json.loads(keys_file.read_text())[:accounts]
        uvloop.run(measure(Target(url, keys, pid), prices, rates, seconds, seed))
        return
    with own_target(home, accounts) as target:
        uvloop.run(measure(target, prices, rates, seconds, seed))


if __name__ == "__main__":
    main()
