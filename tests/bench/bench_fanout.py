"""What one event for many sockets costs: memory and processor time a connection, delay, storms, slow readers; beside two baselines.

    python tests/bench/bench_fanout.py                          # 1,000 and 10,000 connections, about three minutes
    python tests/bench/bench_fanout.py --connections 90000      # five server and five client processes; 3 GB, 20,000 descriptors each
    python tests/bench/bench_fanout.py --quick

Each client subscribes to the quotes of five symbols. "joined" means that its five change together, as when a market moves: five messages in a
write. "scattered" means that they change one by one. Clients share the machine with the servers, and on loopback the sender's processor time
includes the kernel's work for the receiver. Not measured: TLS, real networks. The JSON lines say what each figure was measured on; the last one is
arithmetic for ten million connections from the measured costs, and no measurement.
"""

import json
import math
import platform
import subprocess
import sys
import tempfile
from contextlib import ExitStack
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final, Self

import click
from harness.fanout_clients import percentiles
from harness.fanout_server import symbol, write_instruments
from harness.result_lines import ROOT, print_result

HERE: Final = Path(__file__).parent
OF_PROCESS: Final = 18_500
"""Connections of one process: a limit of 20,000 descriptors, with room."""
SUBSCRIPTIONS: Final = 5
SYMBOLS: Final = 500
BASELINE_CONNECTIONS: Final = 900
SLOW_ROUNDS: Final = 3


class Process:
    """A child that answers each JSON line with one."""

    def __init__(self, *command: str) -> None:
        self._child = subprocess.Popen([sys.executable, *command], stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=ROOT)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *failure: object) -> None:
        assert self._child.stdin is not None
        self._child.stdin.close()
        try:
            self._child.wait(20)
        except subprocess.TimeoutExpired:
            self._child.kill()
            self._child.wait()

    def say(self, **command: Any) -> None:
        """A command."""
        assert self._child.stdin is not None
        self._child.stdin.write(json.dumps(command).encode() + b"\n")
        self._child.stdin.flush()

    def hear(self) -> dict[str, Any]:
        """The answer to it."""
        assert self._child.stdout is not None
        line = self._child.stdout.readline()
        if not line:
            raise SystemExit(f"a process of the bench has ended: {self._child.args}")
        answer: dict[str, Any] = json.loads(line)
        return answer


def blocks(*, joined: bool) -> list[list[str]]:
    """What the clients subscribe to, in turn: neighbours, which are published together, or symbols that are far from one another."""
    count = SYMBOLS // SUBSCRIPTIONS
    if joined:
        return [[symbol(first * SUBSCRIPTIONS + n + 1) for n in range(SUBSCRIPTIONS)] for first in range(count)]
    return [[symbol(first + n * count + 1) for n in range(SUBSCRIPTIONS)] for first in range(count)]


def kernel_bytes() -> int:
    """Slab and TCP buffers of the whole machine: both ends of every connection, and everybody else's."""
    memory = {line.split(":")[0]: line.split()[1] for line in Path("/proc/meminfo").read_text().splitlines()}
    tcp = next(line for line in Path("/proc/net/sockstat").read_text().splitlines() if line.startswith("TCP:")).split()
    return int(memory["Slab"]) * 1024 + int(tcp[tcp.index("mem") + 1]) * 4096


class Fleet:
    """As many servers and clients as the connections need, each client process at one server."""

    def __init__(self, stack: ExitStack, variant: str, connections: int, file: Path) -> None:
        self.connections = connections
        count = math.ceil(connections / OF_PROCESS)
        self._shares = [connections // count + (n < connections % count) for n in range(count)]
        server = (str(HERE / "harness" / "fanout_server.py"), "--variant", variant, "--instruments", str(file), "--symbols", str(SYMBOLS))
        self._servers = [stack.enter_context(Process(*server, "--host", f"127.0.0.{n + 2}")) for n in range(count)]
        self._clients = [stack.enter_context(Process(str(HERE / "harness" / "fanout_clients.py"), str(n * 10))) for n in range(count)]
        self._places = [one.hear() for one in self._servers]

    def open(self, *, joined: bool, slow_every: int = 0) -> float:
        """Connect and subscribe everybody; returns how long the slowest process took, s."""
        sampled = max(2, self.connections // 1_000)
        for client, place, count in zip(self._clients, self._places, self._shares, strict=True):
            to = place["host"], place["port"]
            client.say(
                do="open", count=count, to=to, path=place["path"], blocks=blocks(joined=joined), slow_every=slow_every, sampled=sampled
            )
        return max(client.hear()["seconds"] for client in self._clients)

    def serve(self, **command: Any) -> dict[str, Any]:
        """The same to every server; sums of their answers."""
        for server in self._servers:
            server.say(**command)
        answers = [server.hear() for server in self._servers]
        return {name: sum(one[name] for one in answers) for name in answers[0]}

    def report(self) -> dict[str, Any]:
        """What the clients have seen since the last report."""
        for client in self._clients:
            client.say(do="report")
        answers = [client.hear() for client in self._clients]
        sums = {name: sum(one[name] for one in answers) for name in ("messages", "bytes", "lost")}
        return sums | {"delay_ms": percentiles([age for one in answers for age in one["ages_ms"]])}

    def close(self) -> None:
        """All clients leave at once."""
        for client in self._clients:
            client.say(do="close")
        for client in self._clients:
            client.hear()

    def measure(self, batch: int, per_s: float, seconds: float) -> dict[str, Any]:
        """Publish, and what it cost: an event goes to each server, as with a feed."""
        self.report()
        served = self.serve(do="publish", batch=batch, per_s=per_s, seconds=seconds, rest_s=2.0)
        seen, count = self.report(), len(self._servers)
        figures = {
            "events_per_s": round(batch * per_s), "messages": seen["messages"], "messages_per_s": round(seen["messages"] / seconds),
            "updates_per_client_per_s": round(seen["messages"] / seconds / self.connections, 2), "server_processes": count,
            "cpu_us_per_message": round(served["cpu_s"] * 1e6 / max(1, seen["messages"]), 2),
            "cpu_share": round(served["cpu_s"] / seconds / count, 3), "delay_ms": seen["delay_ms"], "lost": seen["lost"],
            "round_late_ms_max": round(served["late_ms_max"] / count, 1),
        }  # fmt: skip
        return figures | {name: served[name] for name in ("conflated", "evicted", "behind") if name in served}


def sweep(connections: int, file: Path, seconds: float) -> dict[str, Any]:
    """One size: memory, idle cost, joined and scattered updates. Returns the constants for the arithmetic."""
    with ExitStack() as stack:
        fleet = Fleet(stack, "edge", connections, file)
        fleet.serve(do="publish", batch=SYMBOLS, per_s=1, seconds=1)  # code is warm, every symbol has a quote
        before, kernel = fleet.serve(do="collect")["resident"], kernel_bytes()
        opened_s = fleet.open(joined=True)
        fleet.serve(do="wait", seconds=3)
        after = fleet.serve(do="collect")
        resident_kb = (after["resident"] - before) / connections / 1_000
        kernel_kb = (kernel_bytes() - kernel) / 2 / connections / 1_000
        idle = fleet.serve(do="wait", seconds=seconds)
        same = {"variant": "edge", "connections": connections, "open": after["sockets"]}
        print_result("fanout", {
            **same, "what": "idle", "resident_kb_per_connection": round(resident_kb, 1), "kernel_kb_per_connection": round(kernel_kb, 1),
            "opened_s": round(opened_s, 1), "opened_per_s": round(connections / opened_s),
            "idle_cpu_us_per_connection_per_s": round(idle["cpu_s"] * 1e6 / seconds / connections, 2),
        })  # fmt: skip
        joined = fleet.measure(SYMBOLS, 0.5 if connections > 20_000 else 2, seconds)
        print_result("fanout", {**same, "what": "joined", **joined})
        gentle = fleet.measure(SYMBOLS // 20, 20 if connections <= 20_000 else 4, seconds)
        print_result("fanout", {**same, "what": "joined, spread over time", **gentle})
        fleet.close()
        fleet.open(joined=False)
        scattered = fleet.measure(10, 20 if connections <= 20_000 else 5, seconds)
        print_result("fanout", {**same, "what": "scattered", **scattered})
    return {"connections": connections, "resident_kb": resident_kb, "kernel_kb": max(0.0, kernel_kb),
            "us_joined": joined["cpu_us_per_message"], "us_scattered": scattered["cpu_us_per_message"]}  # fmt: skip


def baselines(file: Path, seconds: float) -> None:
    """The same quotes to the same clients, by three servers."""
    for variant in ("edge", "await", "broadcast"):
        for joined in (True, False):
            with ExitStack() as stack:
                fleet = Fleet(stack, variant, BASELINE_CONNECTIONS, file)
                fleet.serve(do="publish", batch=SYMBOLS, per_s=1, seconds=1)
                before = fleet.serve(do="collect")["resident"]
                fleet.open(joined=joined)
                resident = fleet.serve(do="collect")["resident"] - before
                figures = fleet.measure(SYMBOLS // 4, 16, seconds)
                what = f"baseline, {'joined' if joined else 'scattered'}"
                kb = round(resident / BASELINE_CONNECTIONS / 1_000, 1)
                print_result(
                    "fanout",
                    {"variant": variant, "connections": BASELINE_CONNECTIONS, "what": what, "resident_kb_per_connection": kb, **figures},
                )


def slow_readers(connections: int, file: Path, seconds: float) -> None:
    """A share of the clients that reads nothing beside the others: three runs of each share in turn, of which the one with the middle p99 is told.

    One run of each would rather tell what else the machine did at the time.
    """
    runs: dict[int, list[dict[str, Any]]] = {every: [] for every in (0, 100, 10)}
    for _ in range(SLOW_ROUNDS):
        for every, found in runs.items():
            found.append(_beside_slow_readers(connections, file, seconds, every))
    for every, found in runs.items():
        found.sort(key=lambda run: run["delay_ms"]["p99"])
        same = {"variant": "edge", "connections": connections, "what": "slow readers", "slow_share": 1 / every if every else 0}
        of_all = {"runs": SLOW_ROUNDS, "p99_ms_of_runs": [run["delay_ms"]["p99"] for run in found]}
        print_result("fanout", {**same, **found[len(found) // 2], **of_all})


def _beside_slow_readers(connections: int, file: Path, seconds: float, every: int) -> dict[str, Any]:
    with ExitStack() as stack:
        fleet = Fleet(stack, "edge", connections, file)
        fleet.serve(do="publish", batch=SYMBOLS, per_s=1, seconds=1)
        fleet.open(joined=True, slow_every=every)
        figures = fleet.measure(SYMBOLS // 20, 80, seconds)
        memory = fleet.serve(do="collect")
        return figures | {"resident_mb": round(memory["resident"] / 1e6), "open_at_the_end": memory["sockets"]}


def crowd(connections: int, file: Path, seconds: float) -> None:
    """Ten updates a second each, five in a write, evenly over time."""
    with ExitStack() as stack:
        fleet = Fleet(stack, "edge", connections, file)
        fleet.serve(do="publish", batch=SYMBOLS, per_s=1, seconds=1)
        fleet.open(joined=True)
        figures = fleet.measure(SYMBOLS // 20, 2 * 20, seconds)
        print_result("fanout", {"variant": "edge", "connections": connections, "what": "10 updates/s each", **figures})


def storm(connections: int, file: Path) -> None:
    """Everybody leaves at once and comes back as fast as they can."""
    with ExitStack() as stack:
        fleet = Fleet(stack, "edge", connections, file)
        fleet.open(joined=True)
        fleet.close()
        before = fleet.serve(do="wait", seconds=1)
        opened_s = fleet.open(joined=True)
        after = fleet.serve(do="wait", seconds=0)
        print_result("fanout", {
            "variant": "edge", "connections": connections, "what": "reconnect storm", "left_before": before["sockets"], "opened_s": round(opened_s, 1),
            "opened_per_s": round(connections / opened_s), "open": after["sockets"],
        })  # fmt: skip


def arithmetic(costs: dict[str, Any], traders: int, per_s: float, use: float, tls_kb: float) -> None:
    """What so many traders would take by the measured constants. No measurement."""
    kb = costs["resident_kb"] + costs["kernel_kb"] + tls_kb
    messages = traders * per_s
    print_result("fanout", {
        "what": f"arithmetic, not measured: {traders:,} traders, {per_s:g}/s", "traders": traders, "updates_per_trader_per_s": per_s, "assumed_use_of_a_core": use, "assumed_tls_kb": tls_kb,
        "measured_at_connections": costs["connections"], "kb_per_connection": round(kb, 1), "memory_gb": round(traders * kb / 1e6),
        "messages_per_s": round(messages), "cores_joined": math.ceil(messages * costs["us_joined"] / 1e6 / use),
        "cores_scattered": math.ceil(messages * costs["us_scattered"] / 1e6 / use),
    })  # fmt: skip


def draw(costs: list[dict[str, Any]], path: Path) -> None:
    """Cost against connections, as a PNG. Raises ImportError without matplotlib."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    figure, (memory, time) = plt.subplots(1, 2, figsize=(10, 4), layout="constrained")
    sizes = [one["connections"] for one in costs]
    memory.plot(sizes, [one["resident_kb"] for one in costs], marker="o", label="resident")
    memory.plot(sizes, [one["resident_kb"] + one["kernel_kb"] for one in costs], marker="o", label="with the kernel's")
    memory.set_ylabel("kB a connection")
    time.plot(sizes, [one["us_joined"] for one in costs], marker="o", label="five messages in a write")
    time.plot(sizes, [one["us_scattered"] for one in costs], marker="o", label="one message in a write")
    time.set_ylabel("us of processor time a message")
    for axes in (memory, time):
        axes.set_xscale("log")
        axes.set_xlabel("open connections")
        axes.set_ylim(bottom=0)
        axes.grid(visible=True, alpha=0.3)
        axes.legend()
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=120)
    plt.close(figure)


@click.command()
@click.option("--connections", "sizes", type=int, multiple=True, default=(1_000, 10_000), show_default=True, help="May be repeated.")
@click.option("--seconds", type=float, default=10.0, show_default=True, help="Length of each measurement.")
@click.option("--quick", is_flag=True, help="1,000 connections, 3 s.")
@click.option(
    "--part",
    "parts",
    type=click.Choice(["sweep", "baselines", "slow", "crowd", "storm"]),
    multiple=True,
    help="Only these; may be repeated.",
)
@click.option(
    "--crowd", "crowd_size", type=int, default=20_000, show_default=True, help="Connections of the crowd and of the reconnect storm."
)
@click.option("--traders", type=int, default=10_000_000, show_default=True, help="Of the arithmetic.")
@click.option("--per-s", type=float, default=5.0, show_default=True, help="Updates a trader a second in the arithmetic.")
@click.option("--use", type=float, default=0.6, show_default=True, help="How much of a core is used in the arithmetic.")
@click.option(
    "--tls-kb", type=float, default=0.0, show_default=True, help="Added for a connection in the arithmetic; 0: TLS ends elsewhere."
)
@click.option("--plot", type=click.Path(path_type=Path), default=ROOT / "build" / "fanout.png", show_default=True)
def main(
    sizes: tuple[int, ...], seconds: float, quick: bool, parts: tuple[str, ...], crowd_size: int, traders: int, per_s: float, use: float,
    tls_kb: float, plot: Path,
) -> None:  # fmt: skip
    """One event to many sockets."""
    if quick:
        sizes, seconds, crowd_size = (1_000,), 3.0, 1_000
    wanted = parts or ("sweep", "baselines", "slow", "crowd", "storm")
    libraries = {name: version(name) for name in ("aiohttp", "uvloop", "websockets")}
    print("versions:", "Python", platform.python_version(), *(f"{name} {number}" for name, number in libraries.items()), flush=True)
    with tempfile.TemporaryDirectory(prefix="outcry-fanout-") as folder:
        file = Path(folder) / "instruments.toml"
        write_instruments(file, SYMBOLS)
        if "baselines" in wanted:
            baselines(file, seconds)
        costs = [sweep(size, file, seconds) for size in sorted(sizes)] if "sweep" in wanted else []
        if "slow" in wanted:
            slow_readers(min(5_000, max(sizes)), file, seconds)
        if "crowd" in wanted:
            crowd(crowd_size, file, seconds)
        if "storm" in wanted:
            storm(crowd_size, file)
    if costs:
        for each in sorted({1.0, per_s, 2 * per_s}):
            arithmetic(costs[-1], traders, each, use, tls_kb)
        draw(costs, plot)


if __name__ == "__main__":
    main()
