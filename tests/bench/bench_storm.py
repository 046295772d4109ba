"""A reconnect storm beside orders: everybody at the fan-out workers leaves at once and comes back, while orders go through the edge's process.

    python tests/bench/bench_storm.py                                  # 20,000 sockets, two workers, 100 orders/s; a set of its own, two minutes
    python tests/bench/bench_storm.py --sockets 2000 --rate 50

Clients subscribe to the quotes of five symbols at the workers' port. Orders are limit IOC over the native socket, sent on schedule, and counted from the
time at which they were due until their answer. First without a storm, with all sockets open; then the same while they leave and come back. The clients
and the order generator share the machine with the exchange: the clients run at the lowest priority, as they would be elsewhere.
"""

import asyncio
import json
import os
import secrets
import time
from collections import Counter
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Final

import aiohttp
import click
import psutil
import uvloop
from bench_edge import ROLES, SERVICES
from bench_fanout import OF_PROCESS, Process
from harness.result_lines import print_result
from harness.running_set import running_set
from latency import NativeLoad, percentile, prepare

from schemas.instruments import load_instruments
from schemas.settings import Settings

HERE: Final = Path(__file__).parent
WORKERS: Final = 2
SUBSCRIPTIONS: Final = 5
LATE_MS: Final = 50.0
WARM_S: Final = 5.0
PASS_S: Final = 2.0
"""Orders are sent for so long, and waited for, again and again."""


class Crowd:
    """Clients of the workers' port, in as many processes as they need."""

    def __init__(self, stack: ExitStack, settings: Settings, sockets: int) -> None:
        count = max(2, -(-sockets // OF_PROCESS))
        self.sockets = sockets
        self._shares = [sockets // count + (n < sockets % count) for n in range(count)]
        self._clients = [
            stack.enter_context(Process("-c", _LOWEST, str(HERE / "harness" / "fanout_clients.py"), str(n * 10))) for n in range(count)
        ]
        self._port = json.loads((settings.run_dir / "edge.json").read_text())["fan_out_port"]
        symbols = [one.symbol for one in load_instruments(settings.instruments_file)]
        self._blocks = [(symbols * 2)[n : n + SUBSCRIPTIONS] for n in range(len(symbols))]

    def open(self) -> float:
        """Connect and subscribe everybody; how long the slowest process took, s."""
        to = ["127.0.0.1", self._port]
        for client, count in zip(self._clients, self._shares, strict=True):
            client.say(do="open", count=count, to=to, path="/ws/public-prices", blocks=self._blocks, slow_every=0, sampled=1_000)
        return max(float(client.hear()["seconds"]) for client in self._clients)

    def close(self) -> None:
        """All leave at once."""
        for client in self._clients:
            client.say(do="close")
        for client in self._clients:
            client.hear()

    def counts(self) -> dict[str, int]:
        """Since the last time: sockets that the workers have closed, and handshakes that they have refused (503), whose clients came again."""
        for client in self._clients:
            client.say(do="report")
        answers = [client.hear() for client in self._clients]
        return {name: sum(int(one[name]) for one in answers) for name in ("lost", "refused")}


_LOWEST: Final = (
    "import os, runpy, sys; from streams.services.recipes.launch import weigh; os.setsid(); weigh(19); "
    "sys.argv = sys.argv[1:]; runpy.run_path(sys.argv[0], run_name='__main__')"
)
"""A session of its own, as Linux may weigh sessions rather than processes."""


async def beside(load: NativeLoad, rate: float, seconds: float, work: Any) -> dict[str, Any]:
    """Orders for so long, or for as long as the work takes; what they have met."""
    working = asyncio.create_task(asyncio.to_thread(work)) if work is not None else None
    began, answers, late_ms, orders = time.perf_counter(), list[float](), 0.0, 0
    statuses = Counter[int]()
    while time.perf_counter() - began < seconds or (working is not None and not working.done()):
        load.reset()
        await load.run(rate, PASS_S, f"s{secrets.token_hex(4)}")
        answers, orders, late_ms = [*answers, *load.answered_ms], orders + int(rate * PASS_S), max(late_ms, load.late_ms)
        statuses += load.statuses
    took = await working if working is not None else None
    return {
        "orders": orders, "seconds": round(time.perf_counter() - began, 1), "answer_p50_ms": percentile(answers, 50),
        "answer_p99_ms": percentile(answers, 99), "answer_max_ms": percentile(answers, 100), "later_than_50_ms": sum(ms > LATE_MS for ms in answers),
        "failures": {str(status): count for status, count in statuses.items() if status != 200}, "unanswered": orders - statuses.total(),
        "generator_late_ms_max": round(late_ms, 1), "reconnect_s": round(took, 1) if took is not None else None,
    }  # fmt: skip


async def measure(settings: Settings, crowd: Crowd, rate: float, seconds: float) -> None:
    """Without a storm, then with one."""
    instruments = load_instruments(settings.instruments_file)
    keys = await asyncio.to_thread(prepare, settings, instruments)
    load, ready = NativeLoad(settings, keys, instruments), asyncio.Semaphore(0)

    def storm() -> float:
        crowd.close()
        return crowd.open()

    async with aiohttp.ClientSession() as session:
        listeners = [asyncio.create_task(load.listen(session, key, ready)) for key in keys]
        for _ in keys:
            await asyncio.wait_for(ready.acquire(), 60)
        await beside(load, rate, WARM_S, None)
        opened_s = await asyncio.to_thread(crowd.open)
        same = {"sockets": crowd.sockets, "workers": WORKERS, "rate_per_s": rate, "opened_s": round(opened_s, 1)}
        for what, work in (("all sockets open, no storm", None), ("reconnect storm", storm)):
            told = await beside(load, rate, seconds, work)
            counts = await asyncio.to_thread(crowd.counts)
            print_result("storm", {"what": what, **same, **told, **counts, "load_average": round(psutil.getloadavg()[0], 1)})
        for task in listeners:
            task.cancel()
        await asyncio.gather(*listeners, return_exceptions=True)


@click.command()
@click.option("--home", type=click.Path(path_type=Path), help="Measure the set that runs there, with OUTCRY_EDGE_FANOUT_WORKERS=2.")
@click.option("--sockets", default=20_000, show_default=True)
@click.option("--rate", default=100.0, show_default=True, help="Orders a second.")
@click.option("--seconds", default=20.0, show_default=True, help="Of each measurement, at least.")
def main(home: Path | None, sockets: int, rate: float, seconds: float) -> None:
    """A storm beside orders."""
    os.environ["OUTCRY_EDGE_FANOUT_WORKERS"] = str(WORKERS)
    with running_set(home, ROLES, SERVICES) as settings, ExitStack() as stack:
        uvloop.run(measure(settings, Crowd(stack, settings, sockets), rate, seconds))


if __name__ == "__main__":
    main()
