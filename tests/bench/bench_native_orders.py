"""Orders a second through one edge process over the native socket, one by one and in batches; then its latency beside HTTP, on the same set.

    python tests/bench/bench_native_orders.py                                # a set of its own: only what an order needs, about two minutes
    python tests/bench/bench_native_orders.py --home var/demo --seconds 20   # the set that runs there
    python tests/bench/bench_native_orders.py --profile build/edge.raw       # and where the edge's time goes (py-spy, if it is there)

Closed loop: each of 16 accounts has one socket and keeps so many orders under way. Each order is a limit IOC against deep resting liquidity, so it is
decided, matched and settled. An order counts when it has been answered with "accepted". `edge_us_per_order` is the edge's processor time; a whole core of
it would be `edge_alone_per_s`. `busy` is how much of a core each process had, the generator too: that says what bounds the figure on this machine.
"""

import asyncio
import itertools
import json
import secrets
import shutil
import subprocess
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import click
import psutil
import uvloop
from bench_edge import ROLES, SERVICES
from harness.native_socket import NativeSocket
from harness.result_lines import print_result
from harness.running_set import running_set
from latency import cpu_ms, measure, percentile, prepare

from schemas.enums import Side
from schemas.instruments import InstrumentTable, load_instruments
from schemas.settings import Settings
from streams.operate.accounts import ApiKey
from streams.services.state import read_status

WARM_S: Final = 3.0
LATE_S: Final = 10.0


@dataclass
class Seen:
    """Of one measurement; times are perf_counter seconds."""

    accepted: int = 0
    refused: Counter[str] = field(default_factory=Counter)
    answered_ms: list[float] = field(default_factory=list)


class Trader:
    """One account's socket. `batch`: orders of a request; `under_way`: orders that it keeps so."""

    def __init__(self, key: ApiKey, orders: list[dict[str, Any]], batch: int, under_way: int, seen: Seen) -> None:
        self._key, self._orders, self._batch, self._seen = key, itertools.cycle(orders), batch, seen
        self._requests = max(1, under_way // batch)
        self._sent: dict[bytes, float] = {}
        self._names = (f"n{secrets.token_hex(4)}-{number}" for number in itertools.count())
        self._socket: NativeSocket | None = None
        self.is_sending = True

    @property
    def under_way(self) -> int:
        """Requests that are not answered."""
        return len(self._sent)

    async def open(self, where: str, host: str, port: int) -> None:
        """Log on."""
        loop = asyncio.get_running_loop()
        _, self._socket = await loop.create_connection(lambda: BatchSocket(where, self._answered), host, port)
        await self._socket.ask(op="session.logon", key=self._key.key_id, secret=self._key.secret)

    def begin(self) -> None:
        """As many requests as it keeps under way."""
        for _ in range(self._requests):
            self._send()

    def close(self) -> None:
        """End the connection."""
        assert self._socket is not None
        self._socket.close()

    def _send(self) -> None:
        name, orders = next(self._names), list(itertools.islice(self._orders, self._batch))
        placed = [{"op": "order.place", "order": order | {"cl_ord_id": f"{name}/{n}"}} for n, order in enumerate(orders)]
        request = placed[0] if self._batch == 1 else {"op": "order.batch", "requests": placed}
        self._sent[name.encode()] = time.perf_counter()
        assert self._socket is not None
        self._socket.send(json.dumps({"id": name} | request).encode())

    def _answered(self, name: bytes, message: bytes) -> None:
        self._seen.answered_ms.append((time.perf_counter() - self._sent.pop(name)) * 1000)
        good = message.count(b'"ord_status"')
        self._seen.accepted += good
        if good < self._batch:
            self._seen.refused.update(_codes(json.loads(message)))
        if self.is_sending:
            self._send()


class BatchSocket(NativeSocket):
    """Hands on whole answers."""

    def __init__(self, host: str, whole: Any) -> None:
        super().__init__(host, lambda *_: None, lambda *_: None)
        self._whole_answer = whole

    def _take(self, message: bytes, opcode: int) -> None:
        if message.startswith(b'{"id":"'):
            self._whole_answer(message[7:].partition(b'"')[0], message)
        else:
            super()._take(message, opcode)


def _codes(answer: dict[str, Any]) -> list[str]:
    answers = answer.get("answers", [answer])
    return [one["problem"].get("reason") or one["problem"]["code"] for one in answers if not one["ok"]]


def orders_of(instruments: InstrumentTable) -> list[dict[str, Any]]:
    """Both sides of every symbol, at prices where the makers are."""
    return [
        {"symbol": one.symbol, "order_qty": "1", "side": side.name.lower(), "ord_type": "limit", "time_in_force": "ioc",
         "price": one.price_text(one.price_to_ticks(one.reference_price) + (1 if side == Side.BUY else -1))}
        for one in instruments for side in Side
    ]  # fmt: skip


async def throughput(settings: Settings, keys: list[ApiKey], batch: int, under_way: int, seconds: float, profile: Path | None) -> None:
    """One measurement, and its line."""
    place, instruments, seen = urlsplit(settings.edge_url), load_instruments(settings.instruments_file), Seen()
    host, port = place.hostname or "127.0.0.1", place.port or 80
    traders = [
        Trader(key, orders_of(instruments)[number:] + orders_of(instruments)[:number], batch, under_way, seen)
        for number, key in enumerate(keys)
    ]
    for one in traders:
        await one.open(f"{host}:{port}", host, port)
        one.begin()
    await asyncio.sleep(WARM_S)
    seen.accepted, seen.answered_ms = 0, []
    seen.refused.clear()
    before, mine, began = cpu_ms(settings), time.process_time(), time.perf_counter()
    watching = _profiled(settings, profile, seconds) if profile is not None else None
    await asyncio.sleep(seconds)
    passed, generator = time.perf_counter() - began, time.process_time() - mine
    spent = {name: (ms - before.get(name, 0.0)) / 1000 for name, ms in cpu_ms(settings).items()}
    told = {
        "door": "native", "orders_per_request": batch, "sockets": len(keys), "under_way": under_way * len(keys), "seconds": round(passed, 1),
        "orders": seen.accepted, "orders_per_s": round(seen.accepted / passed), "refused": dict(seen.refused),
        "answer_p50_ms": percentile(seen.answered_ms, 50), "answer_p99_ms": percentile(seen.answered_ms, 99),
        "edge_us_per_order": round(spent["edge"] * 1e6 / max(1, seen.accepted)),
        "edge_alone_per_s": round(seen.accepted / spent["edge"]), "load_average": round(psutil.getloadavg()[0], 1),
        "busy": {name: round(s / passed, 2) for name, s in sorted({**spent, "generator": generator}.items(), key=lambda one: -one[1]) if s / passed >= 0.02},
    }  # fmt: skip
    for one in traders:
        one.is_sending = False
    deadline = time.perf_counter() + LATE_S
    while True:
        await asyncio.sleep(0.05)
        if not any(one.under_way for one in traders) or time.perf_counter() > deadline:
            break
    print_result("native-orders", told | {"unanswered": sum(one.under_way for one in traders)})
    for one in traders:
        one.close()
    if watching is not None:
        watching.wait(60)


def _profiled(settings: Settings, path: Path, seconds: float) -> "subprocess.Popen[bytes] | None":
    """py-spy on the edge for as long; None where there is none."""
    status, spy = read_status(settings.run_dir), shutil.which("py-spy")
    assert status is not None, "the supervisor has not reported"
    if spy is None:
        print("py-spy is not installed: no profile", flush=True)
        return None
    pid = next(child.pid for child in status.children if child.name == "edge")
    path.parent.mkdir(parents=True, exist_ok=True)
    return subprocess.Popen(
        [spy, "record", "--pid", str(pid), "--duration", str(int(seconds)), "--format", "raw", "--output", str(path)],
        stdout=subprocess.DEVNULL,
    )


@click.command()
@click.option("--home", type=click.Path(path_type=Path), help="Measure the set that runs there; without it one is started.")
@click.option(
    "--batch", "batches", multiple=True, type=click.IntRange(1, 50), default=(1, 50), show_default=True, help="Orders of a request."
)
@click.option("--under-way", default=100, show_default=True, help="Orders that each account keeps under way.")
@click.option("--seconds", default=10.0, show_default=True, help="Of each measurement.")
@click.option(
    "--rate", "rates", multiple=True, type=float, default=(500.0,), show_default=True, help="Of the latency beside HTTP; may be repeated."
)
@click.option("--profile", type=click.Path(path_type=Path), help="Where to write a profile of the edge, in py-spy's raw format.")
def main(
    home: Path | None, batches: tuple[int, ...], under_way: int, seconds: float, rates: tuple[float, ...], profile: Path | None
) -> None:
    """Orders over the native socket."""
    with running_set(home, ROLES, SERVICES) as settings:
        keys = prepare(settings, load_instruments(settings.instruments_file))
        for batch in batches:
            uvloop.run(throughput(settings, keys, batch, under_way, seconds, profile))
        if rates:
            uvloop.run(measure(settings, ("native", "http"), rates, seconds, WARM_S))


if __name__ == "__main__":
    main()
