"""Order to execution through every hop, open loop: from the scheduled time of an HTTP POST to its fill on trade_updates.

    python tests/bench/latency.py                                # a set of its own, 200 and 2,000 orders per second
    python tests/bench/latency.py --home var/demo --rate 500     # the set that runs there
    python tests/bench/latency.py --door native --door http      # the native socket beside HTTP, in turn, on one set

Every order is a limit IOC against deep resting liquidity, alternately a buy and a sell, over all symbols and 16 accounts, so each one
executes at once. Over HTTP each order is a POST and fills come by /stream; over the native API orders and fills go by one socket an account. The processor time of each process of the set is per order. Latency counts from the time at which the order was due, whatever the edge or this program did meanwhile. One JSON
line per rate; the generator shares the machine with the exchange.
"""

import asyncio
import itertools
import json
import secrets
import time
from collections import Counter, deque
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple, cast
from urllib.parse import urlsplit

import aiohttp
import click
import psutil
import uvloop
from harness.native_socket import NativeSocket
from harness.result_lines import print_result
from harness.running_set import running_set

from schemas.enums import Phase, Side
from schemas.instruments import InstrumentTable, load_instruments
from schemas.logins import named
from schemas.settings import Settings
from schemas.units import MINOR_PER_UNIT
from streams.operate.accounts import ApiKey, Opening, make_api_keys, open_accounts, store_api_keys
from streams.operate.command_books import change_session
from streams.process.record_keys import record_keys
from streams.services.commands import role_names
from streams.services.state import read_status
from topics import OrderProducer
from topics.speakers import PRODUCER

TAKERS = 16
DEEP_QTY, DEEP_ORDERS = 40_000, 3
CONNECTIONS_MAX = 512
LATE_S = 10.0


class HttpConnection(asyncio.Protocol):
    """One keep-alive connection with one request under way; bytes in, status out, nothing more."""

    def __init__(self, idle: Callable[["HttpConnection"], None]) -> None:
        self._idle, self._buffer = idle, b""
        self._done: Callable[[int], None] = lambda status: None
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Ready for a request."""
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is one in all but name

    def post(self, request: bytes, done: Callable[[int], None]) -> None:
        """Send; `done(status)` when the whole answer is here, status 0 if the connection broke."""
        assert self._transport is not None
        self._done = done
        self._transport.write(request)

    def data_received(self, data: bytes) -> None:
        """An answer, or a part of one."""
        self._buffer += data
        head, found, body = self._buffer.partition(b"\r\n\r\n")
        if not found:
            return
        length = int(head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0] or 0)
        if len(body) >= length:
            self._buffer = body[length:]
            done, self._done = self._done, lambda status: None
            done(int(head[9:12]))
            self._idle(self)

    def connection_lost(self, error: Exception | None) -> None:
        """The request under way, if any, has failed."""
        self._done(0)


class Load:
    """One rate: sends, and measures. Times are perf_counter seconds."""

    def __init__(self, settings: Settings, keys: list[ApiKey], instruments: InstrumentTable) -> None:
        where = urlsplit(settings.edge_url)
        self._host, self._port = where.hostname or "127.0.0.1", where.port or 80
        self._url, self.keys = settings.edge_url, keys
        self._heads: list[Any] = [
            f"POST /v2/orders HTTP/1.1\r\nHost: {where.netloc}\r\nAPCA-API-KEY-ID: {key.key_id}\r\nAPCA-API-SECRET-KEY: {key.secret}\r\n"
            "Content-Type: application/json\r\nContent-Length: ".encode()
            for key in keys
        ]
        self._bodies = [self._body(one, side) for one in instruments for side in Side]
        self._free: list[HttpConnection] = []
        self._connections = 0
        self._connecting: list[asyncio.Task[None]] = []
        self._waiting: deque[tuple[bytes, Callable[[int], None]]] = deque()
        self.reset()

    def reset(self) -> None:
        """Forget what was measured."""
        self.due: dict[bytes, float] = {}
        self.executed_ms: list[float] = []
        self.answered_ms: list[float] = []
        self.statuses: Counter[int] = Counter()
        self.late_ms = 0.0

    @staticmethod
    def _body(instrument: Any, side: Side) -> str:
        price = instrument.price_to_ticks(instrument.reference_price) + (1 if side == Side.BUY else -1)
        fields = {"symbol": instrument.symbol, "qty": "1", "side": side.name.lower(), "type": "limit", "time_in_force": "ioc"}
        return json.dumps(fields | {"limit_price": instrument.price_text(price), "client_order_id": "@"})

    async def run(self, rate: float, seconds: float, prefix: str) -> None:
        """Send on schedule for `seconds`, then wait for what is still under way."""
        orders = zip(itertools.cycle(self._heads), itertools.cycle(self._bodies), range(int(rate * seconds)), strict=False)
        began = time.perf_counter() + 0.05
        for head, body, number in orders:
            due = began + number / rate
            early = due - time.perf_counter()
            if early > 0:
                await asyncio.sleep(early)
            self.late_ms = max(self.late_ms, -early * 1000)
            cl_ord_id = f"{prefix}-{number}".encode()
            self.due[cl_ord_id] = due
            self._submit(head, body.replace("@", cl_ord_id.decode()).encode(), cl_ord_id, due)
        deadline = time.perf_counter() + LATE_S
        while True:
            await asyncio.sleep(0.02)
            if (not self.due and self.statuses.total() == int(rate * seconds)) or time.perf_counter() > deadline:
                return

    def _submit(self, head: Any, content: bytes, _cl_ord_id: bytes, due: float) -> None:
        self._send(head + str(len(content)).encode() + b"\r\n\r\n" + content, self._answered(due))

    def _answered(self, due: float) -> Callable[[int], None]:
        def done(status: int) -> None:
            self.statuses[status] += 1
            self.answered_ms.append((time.perf_counter() - due) * 1000)

        return done

    def _send(self, request: bytes, done: Callable[[int], None]) -> None:
        if self._free:
            self._free.pop().post(request, done)
            return
        self._waiting.append((request, done))
        if self._connections < CONNECTIONS_MAX:
            self._connections += 1
            self._connecting.append(asyncio.get_running_loop().create_task(self._connect()))

    async def _connect(self) -> None:
        _, connection = await asyncio.get_running_loop().create_connection(lambda: HttpConnection(self._idle), self._host, self._port)
        self._idle(connection)

    def _idle(self, connection: HttpConnection) -> None:
        if self._waiting:
            connection.post(*self._waiting.popleft())
        else:
            self._free.append(connection)

    async def listen(self, session: aiohttp.ClientSession, key: ApiKey, ready: asyncio.Semaphore) -> None:
        """Follow one account's trade_updates; the bytes are searched, not parsed."""
        async with session.ws_connect(self._url.replace("http", "ws", 1) + "/stream", max_msg_size=0) as socket:
            await socket.send_json({"action": "authenticate", "data": {"key_id": key.key_id, "secret_key": key.secret}})
            await socket.send_json({"action": "listen", "data": {"streams": ["trade_updates"]}})
            async for message in socket:
                now, data = time.perf_counter(), message.data if isinstance(message.data, bytes) else str(message.data).encode()
                if b'"fill"' in data:
                    due = self.due.pop(data.partition(b'"client_order_id":"')[2].partition(b'"')[0], None)
                    if due is not None:
                        self.executed_ms.append((now - due) * 1000)
                elif b'"listening"' in data:
                    ready.release()


class NativeLoad(Load):
    """The same over the native API: `_heads` are sockets."""

    def __init__(self, settings: Settings, keys: list[ApiKey], instruments: InstrumentTable) -> None:
        super().__init__(settings, keys, instruments)
        self._heads = []
        self._sent_at: dict[bytes, float] = {}

    @staticmethod
    def _body(instrument: Any, side: Side) -> str:
        price = instrument.price_to_ticks(instrument.reference_price) + (1 if side == Side.BUY else -1)
        order = {"symbol": instrument.symbol, "order_qty": "1", "side": side.name.lower(), "ord_type": "limit", "time_in_force": "ioc"}
        return json.dumps({"id": "@", "op": "order.place", "order": order | {"price": instrument.price_text(price), "cl_ord_id": "@"}})

    def _submit(self, head: NativeSocket, content: bytes, cl_ord_id: bytes, due: float) -> None:
        self._sent_at[cl_ord_id] = due
        head.send(content)

    def _was_answered(self, cl_ord_id: bytes, status: int) -> None:
        self._answered(self._sent_at.pop(cl_ord_id))(status)

    def _was_filled(self, cl_ord_id: bytes) -> None:
        due = self.due.pop(cl_ord_id, None)
        if due is not None:
            self.executed_ms.append((time.perf_counter() - due) * 1000)

    async def listen(self, session: aiohttp.ClientSession, key: ApiKey, ready: asyncio.Semaphore) -> None:
        """One account's socket, until cancelled."""
        where = f"{self._host}:{self._port}"
        _, socket = await asyncio.get_running_loop().create_connection(
            lambda: NativeSocket(where, self._was_answered, self._was_filled), self._host, self._port
        )
        try:
            await socket.ask(op="session.logon", key=key.key_id, secret=key.secret)
            await socket.ask(op="subscribe", channels=["orders"])
            self._heads.append(socket)
            ready.release()
            await asyncio.Event().wait()
        finally:
            socket.close()


DOORS: dict[str, type[Load]] = {"http": Load, "native": NativeLoad}


def prepare(settings: Settings, instruments: InstrumentTable) -> list[ApiKey]:
    """Accounts, keys, an open session, and deep liquidity on both sides of every symbol. Returns the takers' keys."""
    first = 1_000_000 + secrets.randbelow(1_000_000_000)
    lots = dict.fromkeys(instruments.by_number, 1_000_000)
    makers = [Opening(first, 10_000_000_000 * MINOR_PER_UNIT, lots)]
    takers = [Opening(first + 1 + n, 1_000_000_000 * MINOR_PER_UNIT, lots) for n in range(TAKERS)]
    open_accounts(settings, [*makers, *takers])
    keys = make_api_keys([one.account for one in takers])
    store_api_keys(settings, keys)
    change_session(settings, Phase.CONTINUOUS)
    with OrderProducer(named(settings.kafka_url, PRODUCER), instruments, sign=record_keys(settings).signer(PRODUCER)) as producer:
        for one, side, number in itertools.product(instruments, Side, range(DEEP_ORDERS)):
            # takers buy one tick above the reference price, where the makers sell, and sell one tick below
            ticks = one.price_to_ticks(one.reference_price) + (1 if side == Side.SELL else -1)
            cl_ord_id = f"deep-{one.number}-{side.name}-{number}"
            producer.new_order(
                account=first, cl_ord_id=cl_ord_id, symbol=one.symbol, side=side, order_qty=DEEP_QTY, price=one.price_text(ticks)
            )
    return keys


def percentile(values: list[float], percent: float) -> float | None:
    """In the unit of the values; None without any."""
    ordered = sorted(values)
    return round(ordered[min(len(ordered) - 1, int(len(ordered) * percent / 100))], 2) if ordered else None


async def measure(settings: Settings, doors: tuple[str, ...], rates: tuple[float, ...], seconds: float, warm_s: float) -> None:
    """Print one line per rate and door, the doors in turn."""
    instruments = load_instruments(settings.instruments_file)
    keys = await asyncio.to_thread(prepare, settings, instruments)
    run = secrets.token_hex(3)
    async with aiohttp.ClientSession() as session:
        for number, (rate, door) in enumerate(itertools.product(rates, doors)):
            load = DOORS[door](settings, keys, instruments)
            warm = Warm(min(rate, 200.0) if number == 0 else rate, warm_s)
            print_result("latency", {"door": door} | await one_round(session, settings, load, warm, rate, seconds, f"{run}{number}"))


class Warm(NamedTuple):
    """What comes before a measurement: orders a second, and for how long."""

    rate: float
    seconds: float


async def one_round(
    session: aiohttp.ClientSession, settings: Settings, load: Load, warm: Warm, rate: float, seconds: float, run: str
) -> dict[str, Any]:
    """What a set did at one rate, after it was warmed. run: a part of each cl_ord_id, of this round alone."""
    ready = asyncio.Semaphore(0)
    listeners = [asyncio.create_task(load.listen(session, key, ready)) for key in load.keys]
    try:
        for _ in load.keys:
            await asyncio.wait_for(ready.acquire(), 60)
        await load.run(warm.rate, warm.seconds, f"w{run}")
        load.reset()
        before, frames = cpu_ms(settings), await frames_of_edge(session, settings)
        await load.run(rate, seconds, f"m{run}")
        spent = {name: ms - before.get(name, 0.0) for name, ms in cpu_ms(settings).items()}
        frames = await frames_of_edge(session, settings) - frames
        return result(load, rate, seconds) | {"orders_per_frame": round(rate * seconds / frames, 2)} | per_order(spent, int(rate * seconds))
    finally:
        for task in listeners:
            task.cancel()
        await asyncio.gather(*listeners, return_exceptions=True)


async def frames_of_edge(session: aiohttp.ClientSession, settings: Settings) -> float:
    """Frames of commands that the edge has sent so far: every hop of an order costs by the frame."""
    async with session.get(settings.edge_url + "/metrics") as answer:
        lines = (await answer.text()).splitlines()
    return next(float(line.split()[1]) for line in lines if line.startswith("outcry_edge_command_frames "))


def cpu_ms(settings: Settings) -> dict[str, float]:
    """Processor time so far of every process of the set, by its name."""
    found = {}
    status = read_status(settings.run_dir)
    assert status is not None, "the supervisor has not reported"
    for child in status.children:
        if child.pid is not None:
            times = psutil.Process(child.pid).cpu_times()
            found[child.name] = 1000 * (times.user + times.system)
    return found


def per_order(spent_ms: dict[str, float], orders: int) -> dict[str, Any]:
    """Of each process, and of all."""
    return {
        "cpu_ms_per_order": round(sum(spent_ms.values()) / orders, 3),
        "cpu_ms_per_order_by_process": {name: round(ms / orders, 3) for name, ms in sorted(spent_ms.items(), key=lambda one: -one[1])},
    }


def result(load: Load, rate: float, seconds: float) -> dict[str, Any]:
    """What one rate measured, ms; `failures`: answers other than 200, and orders that never executed."""
    failures: dict[str, int] = {str(status): count for status, count in load.statuses.items() if status != 200}
    if load.due:
        failures["not executed"] = len(load.due)
    return {
        "rate_per_s": rate, "seconds": seconds, "orders": int(rate * seconds), "executed": len(load.executed_ms),
        "p50_ms": percentile(load.executed_ms, 50), "p99_ms": percentile(load.executed_ms, 99), "p999_ms": percentile(load.executed_ms, 99.9),
        "max_ms": percentile(load.executed_ms, 100), "answer_p50_ms": percentile(load.answered_ms, 50),
        "answer_p99_ms": percentile(load.answered_ms, 99), "generator_late_ms_max": round(load.late_ms, 1), "failures": failures,
    }  # fmt: skip


@click.command()
@click.option("--home", type=click.Path(path_type=Path), help="Measure the set that runs there; without it one is started.")
@click.option(
    "--rate", "rates", multiple=True, type=float, default=(200.0, 2000.0), show_default=True, help="Orders per second; may be repeated."
)
@click.option(
    "--door", "doors", multiple=True, type=click.Choice(list(DOORS)), default=("http",), show_default=True, help="How orders are sent."
)
@click.option("--seconds", default=10.0, show_default=True, help="Measured time of each rate.")
@click.option("--warm", default=3.0, show_default=True, help="Seconds at each rate before it is measured.")
def main(home: Path | None, rates: tuple[float, ...], doors: tuple[str, ...], seconds: float, warm: float) -> None:
    """Order-to-execution latency through the edge, open loop."""
    with running_set(home, role_names()) as settings:
        uvloop.run(measure(settings, doors, rates, seconds, warm))


if __name__ == "__main__":
    main()
