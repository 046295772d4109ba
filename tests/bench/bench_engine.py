"""How fast the matching engine is: every workload through kernel, reference and published Python order books. Prints JSON lines, draws a plot.

For example:
  make bench-engine                                            everything, at full size, five runs of each
  make bench-engine BENCH_ARGS=--quick                         small tapes, one run; begins nothing new after 25 s
  python tests/bench/bench_engine.py --workloads survey-crash,itch-mix --engines kernel --runs 9
  python tests/bench/bench_engine.py --workloads survey-calm --engines kernel,peers
  python tests/bench/bench_engine.py --workloads none --growth --plot growth.png
  python tests/bench/bench_engine.py --workloads none --start  compile and start times only

A line is a workload and an engine; `shortened` says that the engine did not come to the end of the tape (of the reference: by design, it gets a small one).
Workloads: see tests/bench/tapes. Same seed and size: same tape. Quiet machine, please: it measures one core by the wall clock, and gives cpu_s beside it.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from typing import Any, Final

import numpy as np
from bench_plot import draw
from harness.result_lines import print_result
from tapes.engine_runs import Engine, measure, message_shares
from tapes.peers import PEERS, Message, Peer, messages
from tapes.tape import Tape, frames
from tapes.workload_mix import itch_mix
from tapes.workloads import ORDERS, WORKLOADS, make

from matchers.books.reference import shard as reference_book_shard
from schemas.codec import Rows
from schemas.enums import ExecKind
from schemas.instruments import InstrumentTable

REFERENCE_ORDERS: Final = 5_000
PEER_ORDERS: Final = 200_000
PEER_WORKLOADS: Final = ("survey-calm", "survey-normal", "survey-swing", "survey-crash")
GROWTH_SYMBOLS: Final = (1, 100, 1_000, 10_000)
GROWTH_RESTING: Final = (1_000, 10_000, 100_000, 1_000_000, 4_000_000)
ENGINE_NAMES: Final = ("kernel", "kernel+levels", "reference", "peers")
QUICK_WORKLOADS: Final = ("survey-normal", "survey-crash", "itch-mix", "many-symbols-1000", "deep-cancel-1M", "sweep", "features-on")
BENCHES: Final = {"start": "engine-start", "growth-symbols": "engine-growth", "growth-resting": "engine-growth"}
"""Of the rows that are no ordinary workload."""
START: Final = """
import json, time
begin = time.perf_counter()
from matchers import warm
imported = time.perf_counter() - begin
warm.warm_books()
print(json.dumps({"import_s": round(imported, 2), "ready_s": round(time.perf_counter() - begin, 2)}))
"""


BEGUN: Final = time.monotonic()


def in_time(arguments: argparse.Namespace, row: str) -> bool:
    """Whether there is time for another row; says so if not, so that a missing row is never silent."""
    if time.monotonic() - BEGUN < arguments.deadline:
        return True
    log(f"{row}: left out, the deadline of {arguments.deadline:.0f} s is over")
    return False


def log(text: str) -> None:
    """Progress, beside the results."""
    print(text, file=sys.stderr, flush=True)


def kernel(levels: bool) -> Any:
    """How to make a kernel shard. LEVEL and TOP rows are market data; without them every order still gets its reports."""

    def make_shard(instruments: InstrumentTable) -> Any:
        from matchers.books.shard import BookShard

        return BookShard(0, instruments, 1, levels=levels)

    return make_shard


def engines(names: list[str], budget_s: float) -> list[Engine]:
    """The engines of ours that were asked for."""
    table = {
        "kernel": Engine("kernel", kernel(levels=False), budget_s=budget_s, in_place=True),
        "kernel+levels": Engine("kernel+levels", kernel(levels=True), budget_s=budget_s, in_place=True),
        "reference": Engine(
            "reference", lambda instruments: reference_book_shard.BookShard(0, instruments, 1), frame_rows=64, budget_s=budget_s / 5
        ),
    }
    return [engine for name, engine in table.items() if name in names]


def start_rows() -> Iterator[dict[str, Any]]:
    """First compile and cached start of the book kernel, each in a process of its own."""
    with tempfile.TemporaryDirectory() as cache:
        for name in ("first compile, empty cache", "start, warm cache"):
            log(f"start: {name}")
            environment = os.environ | {"NUMBA_CACHE_DIR": cache}
            done = subprocess.run([sys.executable, "-c", START], env=environment, check=True, stdout=subprocess.PIPE, text=True)
            yield {"workload": "start", "engine": "kernel", "what": name, **json.loads(done.stdout)}


def workload_rows(arguments: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """A row for each workload and engine of ours, then those of the peers on the same tape."""
    for workload in arguments.workloads:
        log(f"{workload}: making the tape")
        tape = make(workload, arguments.orders, arguments.seed)
        shares = message_shares(tape)
        for engine in engines(arguments.engines, arguments.budget):
            if not in_time(arguments, f"{workload}: {engine.name}"):
                continue
            log(f"{workload}: {engine.name}")
            small = engine.name == "reference" and arguments.orders > REFERENCE_ORDERS
            own = make(workload, REFERENCE_ORDERS, arguments.seed) if small else tape
            row = measure(engine, own, 1 if small else arguments.runs)
            yield row | {"message_percent": shares, "shortened": small or row["shortened"]}
        if "peers" in arguments.engines and workload in PEER_WORKLOADS and in_time(arguments, f"{workload}: peers"):
            yield from peer_rows(tape.head(min(2 * PEER_ORDERS, 2 * arguments.orders)), arguments)


def peer_rows(tape: Tape, arguments: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """The same (shortened) tape through ours and through each published book; whether they trade the same."""
    ours = Engine("kernel", kernel(levels=False), budget_s=600.0, in_place=True)
    row = measure(ours, tape, arguments.runs)
    executions = all_executions(tape)
    trades = executions[executions["kind"] == ExecKind.TRADE]
    traded = len(trades), int(trades["qty"].sum())
    yield row | {"workload": f"{tape.workload}, side by side", "shortened": True, "trades": traded[0], "lots_traded": traded[1]}
    played = messages(tape.rows, executions)
    for peer in PEERS:
        log(f"{tape.workload}: {peer.package}")
        if peer.installed is None:
            log(f"  {peer.package} is not installed: pip install '.[bench]'")
            continue
        yield peer_row(tape, peer, played, traded, arguments.runs)


def peer_row(tape: Tape, peer: Peer, played: list[Message], traded: tuple[int, int], runs: int) -> dict[str, Any]:
    """The row of one published book."""
    seconds, cpu = [], []
    result = (0, 0)
    for _ in range(min(runs, 3)):
        run = peer.player(played)
        begin, used = time.perf_counter(), time.thread_time()
        result = run()
        seconds.append(time.perf_counter() - begin)
        cpu.append(time.thread_time() - used)
    return {
        "workload": f"{tape.workload}, side by side",
        "engine": f"{peer.package} {peer.installed}",
        "symbols": 1,
        "messages": len(played),
        "shortened": True,
        "messages_per_s": round(len(played) / median(seconds)),
        "trades_per_s": round(result[0] / median(seconds)),
        "trades": result[0],
        "lots_traded": result[1],
        "trades_agree": result == traded,
        "cpu_s": round(median(cpu), 4),
        "seed": tape.seed,
        "runs": len(seconds),
        "lacks": peer.lacks,
    }


def all_executions(tape: Tape) -> Rows:
    """Ours for the whole tape, command_index counted over all of its rows."""
    machine, parts, at = kernel(levels=False)(tape.instruments), [], 0
    machine.apply(tape.setup)
    for frame in frames(tape.rows, tape.frame_rows):
        executions = machine.apply(frame).executions.copy()
        executions["command_index"] += at
        at += len(frame)
        parts.append(executions)
    return np.concatenate(parts)


def growth_rows(arguments: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """The itch-mix with more and more symbols, then with more and more resting orders."""
    scale = arguments.orders / ORDERS
    tapes = [("growth-symbols", symbols, round(max(1_000, 100_000 * scale))) for symbols in GROWTH_SYMBOLS]
    tapes += [("growth-resting", 1, round(max(100, resting * scale))) for resting in GROWTH_RESTING]
    for workload, symbols, resting in tapes:
        if not in_time(arguments, f"{workload}: {symbols:,} symbols, {resting:,} resting orders"):
            continue
        tape = itch_mix(arguments.orders // 2, arguments.seed, symbols=symbols, resting=resting, workload=workload)
        for engine in engines([name for name in arguments.engines if name.startswith("kernel")], arguments.budget):
            log(f"{workload}: {symbols:,} symbols, {resting:,} resting orders, {engine.name}")
            yield measure(engine, tape, min(arguments.runs, 3))


def parse(words: list[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--quick", action="store_true", help="small tapes, one run of each, no compile times; begins nothing new after --deadline")
    add("--workloads", default="all", help=f"comma-separated, all or none: {', '.join(WORKLOADS)}")
    add("--engines", default="all", help=f"comma-separated or all: {', '.join(ENGINE_NAMES)}")
    add("--orders", type=int, help=f"new orders of a tape, books in proportion (default {ORDERS:,}; quick: 20,000)")
    add("--runs", type=int, help="runs of which the median is taken (default 5; quick: 1)")
    add("--seed", type=int, default=7)
    add("--budget", type=float, help="seconds after which a run stops where it is (default 20; quick: 0.3)")
    add("--deadline", type=float, help="seconds after which no further row is begun (default none; quick: 25)")
    add("--growth", action=argparse.BooleanOptionalAction, help="the series over symbols and resting orders, and the plot")
    add("--start", action=argparse.BooleanOptionalAction, help="first compile and cached start (not with --quick)")
    add("--plot", type=Path, default=Path("build/bench/engine.png"), help="where the plot goes (default %(default)s)")
    given = parser.parse_args(words)
    defaults = (
        {"orders": 20_000, "runs": 1, "budget": 0.3, "deadline": 25.0}
        if given.quick
        else {"orders": ORDERS, "runs": 5, "budget": 20.0, "deadline": float("inf")}
    )
    for name, value in defaults.items():
        if getattr(given, name) is None:
            setattr(given, name, value)
    chosen = given.workloads
    everything = list(QUICK_WORKLOADS if given.quick else WORKLOADS)
    given.workloads = everything if chosen == "all" else [] if chosen == "none" else chosen.split(",")
    given.engines = list(ENGINE_NAMES) if given.engines == "all" else given.engines.split(",")
    given.growth = chosen == "all" if given.growth is None else given.growth
    given.start = chosen == "all" and not given.quick if given.start is None else given.start
    for name, known in (("workloads", list(WORKLOADS)), ("engines", list(ENGINE_NAMES))):
        if wrong := set(getattr(given, name)) - set(known):
            parser.error(f"no such {name}: {', '.join(sorted(wrong))}; there are {', '.join(known)}")
    if given.orders < 1_000 or given.runs < 1:
        parser.error("--orders must be at least 1,000 and --runs at least 1")
    return given


def main() -> None:
    """Run what was asked for."""
    arguments = parse()
    log(f"seed {arguments.seed}, {arguments.orders:,} orders, {arguments.runs} runs")
    rows: list[dict[str, Any]] = []
    for part, wanted in ((start_rows(), arguments.start), (workload_rows(arguments), True), (growth_rows(arguments), arguments.growth)):
        for row in part if wanted else ():
            rows.append(row)
            print_result(BENCHES.get(row["workload"], "engine"), row)
    if arguments.growth and any(row["workload"].startswith("growth") for row in rows):
        try:
            draw(rows, arguments.plot)
            log(f"plot: {arguments.plot}")
        except ImportError:
            log("no plot: matplotlib is not installed (pip install '.[bench]')")


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        log("stopped")
        raise SystemExit(130) from None
