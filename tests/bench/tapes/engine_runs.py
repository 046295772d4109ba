"""Measure one book engine on one tape: rate in whole frames, time of small batches, memory; one dictionary a row."""

import contextlib
import ctypes
import gc
import multiprocessing
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from functools import partial
from multiprocessing.connection import Connection
from statistics import median
from typing import Any, Final

import numpy as np
import psutil
from tapes.tape import FRAME_ROWS, Tape, empty_rows, frames

from schemas.codec import Rows
from schemas.enums import BookCommandKind, ExecKind
from schemas.instruments import InstrumentTable

BATCH_ROWS: Final = 16
BATCHES_MAX: Final = 20_000
EMPTY_CALLS: Final = 2_000
RSS_FROM_ORDERS: Final = 100_000
"""With fewer resting orders the process's growth says more about everything else."""
_M_MMAP_THRESHOLD: Final = -3
"""Of mallopt, in malloc.h."""
_MAPPED_FROM_BYTES: Final = 65_536
CALL_NOTE: Final = (
    "ns_per_message_* are of batches of batch_rows commands, less the median cost of an empty call (call_ns, fixed, paid by each apply); "
    "single_call_ns_* are of calls with one command, nothing taken off"
)


@dataclass(frozen=True)
class Engine:
    """A way to make a book shard, and what a run of it may cost."""

    name: str
    make: Callable[[InstrumentTable], Any]
    frame_rows: int = FRAME_ROWS
    budget_s: float = 20.0
    """A run stops after the frame in which this is over; the row then says how far it came."""
    in_place: bool = False
    """The rows of a call may lie in a buffer that the next call overwrites, as the role match-orders takes them."""

    def applying(self, machine: Any) -> Callable[[Rows], Any]:
        """How frames are applied to a machine of this engine."""
        return partial(machine.apply, copy=False) if self.in_place else machine.apply


@dataclass
class Counts:
    """What the executions say, summed."""

    events: int = 0
    trades: int = 0
    refused: int = 0
    live: int = 0
    """Orders in the shard: resting, dormant or parked."""

    def add(self, executions: Rows) -> None:
        """Count some more."""
        kind = executions["kind"]
        of = np.bincount(kind, minlength=len(ExecKind) + 1)
        trades = executions[kind == ExecKind.TRADE]
        self.events += len(executions)
        self.trades += len(trades)
        self.refused += int(of[ExecKind.REJECTED] + of[ExecKind.CANCEL_REJECTED])
        filled = int((trades["leaves_qty"] == 0).sum() + (trades["contra_leaves_qty"] == 0).sum())
        self.live += int(of[ExecKind.NEW] - of[ExecKind.CANCELED] - of[ExecKind.EXPIRED]) - filled


@dataclass
class Run:
    """One play of a tape."""

    messages: int = 0
    wall_s: float = 0.0
    cpu_s: float = 0.0
    finish_s: float = 0.0
    finish_trades: int = 0
    counts: Counts = field(default_factory=Counts)
    live_max: int = 0
    """The most orders in the shard at the end of any frame, setup included."""


@contextlib.contextmanager
def no_collection() -> Iterator[None]:
    """Without the garbage collector, as engines make no cycles to speak of and it would stop the clock's owner at random."""
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def play(engine: Engine, tape: Tape) -> tuple[Run, Any]:
    """Setup outside the clock, then the tape frame by frame; only apply() is timed. Also gives the machine as it is then."""
    machine = engine.make(tape.instruments)
    run, before, apply = Run(), Counts(), engine.applying(machine)
    for frame in frames(tape.setup, engine.frame_rows):
        before.add(apply(frame).executions)
    run.live_max = run.counts.live = before.live
    with no_collection():
        for frame in frames(tape.rows, min(tape.frame_rows, engine.frame_rows)):
            wall, cpu = time.perf_counter(), time.thread_time()
            executions = apply(frame).executions
            run.cpu_s += time.thread_time() - cpu
            run.wall_s += time.perf_counter() - wall
            run.counts.add(executions)
            run.messages += len(frame)
            run.live_max = max(run.live_max, run.counts.live)
            if run.wall_s > engine.budget_s:
                break
        if len(tape.finish):
            begin = time.perf_counter()
            executions = machine.apply(tape.finish).executions
            run.finish_s = time.perf_counter() - begin
            run.finish_trades = int((executions["kind"] == ExecKind.TRADE).sum())
    return run, machine


def memory(engine: Engine, tape: Tape) -> dict[str, Any]:
    """Bytes an order where the book was deepest: rows in use by the snapshot, and what a process grows by that plays the tape (Linux)."""
    if sys.platform != "linux":
        return {"bytes_per_resting_order": None, "rss_bytes_per_resting_order": None}
    fork = multiprocessing.get_context("fork")
    mine, its = fork.Pipe(duplex=False)
    child = fork.Process(target=_grow, args=(engine, tape, its))
    child.start()
    its.close()
    in_use, grown, orders = mine.recv()
    child.join()
    return {
        "bytes_per_resting_order": round(in_use / orders, 1),
        "rss_bytes_per_resting_order": round(grown / orders, 1) if orders >= RSS_FROM_ORDERS else None,
    }


def _grow(engine: Engine, tape: Tape, answer: Connection) -> None:
    """In a process of its own: play the tape and send (bytes of the snapshot, bytes grown, most orders)."""
    libc = ctypes.CDLL(None)
    libc.mallopt(_M_MMAP_THRESHOLD, _MAPPED_FROM_BYTES)  # what is freed goes back at once, so that frames and outputs do not count
    libc.malloc_trim(0)
    process = psutil.Process()
    before = process.memory_info().rss
    run, machine = play(engine, tape)
    gc.collect()
    libc.malloc_trim(0)
    grown = process.memory_info().rss - before
    answer.send((sum(array.nbytes for array in machine.snapshot().values()), grown, max(run.live_max, 1)))


def quantiles(name: str, samples: list[int], rows: int = 1, less: float = 0.0) -> dict[str, int]:
    """p50, p99 and p999 of nanoseconds, per row."""
    points = (np.quantile(samples, (0.5, 0.99, 0.999)) - less) / rows
    return {f"{name}_{point}": round(max(value, 0.0)) for point, value in zip(("p50", "p99", "p999"), points.tolist(), strict=True)}


def timed_calls(apply: Callable[[Rows], Any], batches: list[Rows], limit_s: float) -> list[int]:
    """Nanoseconds of each call."""
    samples, clock = [], time.perf_counter_ns
    stop = clock() + limit_s * 1e9
    for batch in batches:
        begin = clock()
        apply(batch)
        end = clock()
        samples.append(end - begin)
        if end > stop:
            break
    return samples


def latency(engine: Engine, tape: Tape) -> dict[str, Any]:
    """Time of small batches and of single commands from the middle of the tape on (where it is deep), the empty call beside them."""
    apply = engine.applying(engine.make(tape.instruments))
    for frame in frames(tape.setup, engine.frame_rows):
        apply(frame)
    batch_rows = BATCH_ROWS if tape.frame_rows == FRAME_ROWS else 1
    begun = time.perf_counter()
    rest = tape.rows
    for frame in frames(tape.rows[: len(tape.rows) // 4], min(tape.frame_rows, engine.frame_rows)):
        apply(frame)
        rest = rest[len(frame) :]
        if time.perf_counter() - begun > engine.budget_s:
            break
    batched, single = rest[: BATCHES_MAX * batch_rows], rest[BATCHES_MAX * batch_rows :][:BATCHES_MAX]
    if len(single) < BATCHES_MAX // 10:
        batched, single = rest[: len(rest) // 2], rest[len(rest) // 2 :][:BATCHES_MAX]
    with no_collection():
        batch_ns = timed_calls(apply, frames(batched, batch_rows), engine.budget_s)
        single_ns = timed_calls(apply, frames(single, 1), engine.budget_s)
        call_ns = median(timed_calls(apply, [empty_rows(0)] * EMPTY_CALLS, engine.budget_s))
    return {
        **quantiles("ns_per_message", batch_ns, batch_rows, call_ns),
        "call_ns": round(call_ns),
        **quantiles("single_call_ns", single_ns),
        "batch_rows": batch_rows,
        "batches": len(batch_ns),
        "latency_note": CALL_NOTE,
    }


def measure(engine: Engine, tape: Tape, runs: int) -> dict[str, Any]:
    """The row of an engine and a workload: medians over `runs` plays after one that warms up."""
    warm = Tape(tape.workload, tape.seed, tape.instruments, tape.setup[:FRAME_ROWS], tape.rows[:FRAME_ROWS], frame_rows=tape.frame_rows)
    play(replace(engine, budget_s=min(engine.budget_s, 1.0)), warm)
    played, _ = zip(*(play(engine, tape) for _ in range(runs)), strict=True)
    first = played[0]
    rate = median(run.messages / run.wall_s for run in played)
    row: dict[str, Any] = {
        "workload": tape.workload,
        "engine": engine.name,
        "symbols": len(tape.instruments),
        "resting_orders": first.live_max,
        "resting_orders_end": first.counts.live,
        "messages": first.messages,
        "shortened": first.messages < len(tape.rows),
        "messages_per_s": round(rate),
        "messages_per_s_worst": round(min(run.messages / run.wall_s for run in played)),
        "messages_per_s_best": round(max(run.messages / run.wall_s for run in played)),
        "trades_per_s": round(median(run.counts.trades / run.wall_s for run in played)),
        "events_per_message": round(first.counts.events / first.messages, 2),
        "refused_share": round(first.counts.refused / first.messages, 3),
        "ns_per_message_mean": round(1e9 / rate, 1),
        "cpu_s": round(median(run.cpu_s for run in played), 4),
        "wall_s": round(median(run.wall_s for run in played), 4),
        "frame_rows": min(tape.frame_rows, engine.frame_rows),
        "seed": tape.seed,
        "runs": runs,
    }
    if len(tape.finish):
        row |= {"uncross_ms": round(1e3 * median(run.finish_s for run in played), 2), "uncross_trades": first.finish_trades}
    return row | latency(engine, tape) | memory(engine, tape)


def message_shares(tape: Tape) -> dict[str, float]:
    """Share of each kind of command, in percent."""
    kinds = np.bincount(tape.rows["kind"], minlength=len(BookCommandKind) + 1)
    return {kind.name.lower(): round(100 * int(kinds[kind]) / len(tape.rows), 1) for kind in BookCommandKind if kinds[kind]}
