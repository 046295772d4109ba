"""What surveillance costs: rows of executions through every detector, alone and together, by the CPU time of the thread. Prints JSON lines.

    python tests/bench/bench_surveillance.py [--orders N] [--each]

The rows are a labelled market's (streams/research/labelled): a crowd at 70 orders a second, market makers and look-alikes, and LEVEL and TOP rows as the
engine writes them, so about four rows an order. "all, facts too" also gathers what watch-accounts is told, as watch-trading does, and "surveillance-parties"
is watch-accounts itself over these facts, decoded from their bytes. --each also measures every detector by itself, over the shared state that all need.
"""

import argparse
import time
from collections.abc import Sequence
from typing import Any

import numpy as np
from harness.result_lines import print_result

from schemas.codec import Rows, decode_record, encode_record
from streams.process.garbage import look_rarely
from streams.research.labelled.crowd import add_controls, populate
from streams.research.labelled.markets import session
from streams.research.labelled.world import INSTRUMENTS, World
from surveillance import Place, TradingWatch
from surveillance.accounts.facts import fact_of, identified
from surveillance.accounts.watch import AccountsWatch
from surveillance.detectors import PATTERNS
from surveillance.what_if import WhatIf

DENSITY = 70.0
FRAME_ROWS = (4_096, 64, 4)
RUNS = 5
DAY_NS = 86_400_000_000_000


def executions(orders: int, seed: int) -> tuple[Rows, int]:
    """A session's rows, and how many orders it was."""
    world, seconds = World(seed), orders / DENSITY
    populate(world, DENSITY)
    add_controls(world)
    world.add(session(world, seconds))
    return np.concatenate(list(world.run(seconds))), world.orders


def watched(rows: Rows, frame_rows: int, detectors: Sequence[Any], facts: list[bytes] | None = None) -> tuple[float, TradingWatch]:
    """CPU seconds of one pass, and the watch after it. facts: gets what watch-accounts is told."""
    watch = TradingWatch(INSTRUMENTS, detectors, for_accounts=facts is not None)
    began = time.thread_time()
    for start in range(0, len(rows), frame_rows):
        watch.apply(rows[start : start + frame_rows], Place(first_seq=start + 1))
        if facts is not None:
            told = (fact for half in watch.sums() for fact in half.records())
            facts += [encode_record("book_sums", identified(fact, "executions/0", start, index)) for index, fact in enumerate(told)]
    return time.thread_time() - began, watch


def measure_parties(rows: Rows, orders: int) -> None:
    """The second stage over the facts of the session."""
    facts: list[bytes] = []
    watched(rows, FRAME_ROWS[0], PATTERNS, facts)
    best, parties, alerts = float("inf"), 0, 0
    for _ in range(RUNS):
        watch, began, parties, alerts = AccountsWatch(INSTRUMENTS), time.thread_time(), 0, 0
        for offset, value in enumerate(facts):
            fact = fact_of(*decode_record(value))
            parties += len(fact["sums"])
            alerts += len(watch.apply(fact, Place("party.facts", 0, offset)))
        best = min(best, time.thread_time() - began)
    print_result("surveillance-parties", {
        "orders": orders, "facts": len(facts), "facts_kb": round(sum(map(len, facts)) / 1024), "parties": parties, "alerts": alerts,
        "us_per_party": round(best * 1e6 / parties, 1), "orders_per_cpu_s": round(orders / best),
    })  # fmt: skip


def measure(name: str, rows: Rows, orders: int, frame_rows: int, detectors: Sequence[Any], *, facts: bool = False) -> None:
    """The best of some passes: whatever else runs on the machine only ever adds."""
    passes = (watched(rows, frame_rows, detectors, [] if facts else None) for _ in range(RUNS))
    seconds, watch = min(passes, key=lambda one: one[0])
    began = time.thread_time()
    arrays = watch.snapshot()
    snapshot_ms = (time.thread_time() - began) * 1000
    print_result("surveillance", {
        "detectors": name, "frame_rows": frame_rows, "rows": len(rows), "orders": orders, "rows_per_cpu_s": round(len(rows) / seconds),
        "orders_per_cpu_s": round(orders / seconds), "us_per_row": round(seconds * 1e6 / len(rows), 2), "snapshot_ms": round(snapshot_ms, 1),
        "snapshot_kb": round(sum(array.nbytes for array in arrays.values()) / 1024),
    })  # fmt: skip


def measure_what_if(rows: Rows, orders: int, frame_rows: int) -> None:
    """A what-if of LAYERING: its detector twice over the rows, and the comparison."""
    best, counts, first = float("inf"), None, int(rows["transact_time"][0])
    for _ in range(RUNS):
        what_if = WhatIf(INSTRUMENTS, "LAYERING", {"orders_min": 3}, begin=first, end=first + DAY_NS)
        began = time.thread_time()
        for start in range(0, len(rows), frame_rows):
            what_if.take(rows[start : start + frame_rows], Place(first_seq=start + 1))
        counts = what_if.comparison()
        best = min(best, time.thread_time() - began)
    assert counts is not None
    print_result("surveillance-what-if", {
        "frame_rows": frame_rows, "rows": len(rows), "orders": orders, "rows_per_cpu_s": round(len(rows) / best), "ms_per_frame": round(best * 1e3 * frame_rows / len(rows), 3),
        "both": counts.both, "only_now": counts.only_now, "only_then": counts.only_then,
    })  # fmt: skip


def main() -> None:
    """Parse, run, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--orders", type=int, default=30_000)
    parser.add_argument("--each", action="store_true", help="every detector by itself too")
    arguments = parser.parse_args()
    rows, orders = executions(arguments.orders, seed=1)
    look_rarely()  # as the roles do
    for frame_rows in FRAME_ROWS:
        measure("all", rows, orders, frame_rows, PATTERNS)
        measure("all, facts too", rows, orders, frame_rows, PATTERNS, facts=True)
        measure_what_if(rows, orders, frame_rows)
    measure_parties(rows, orders)
    measure("none", rows, orders, FRAME_ROWS[0], ())
    for pattern in PATTERNS if arguments.each else ():
        measure(pattern.name, rows, orders, FRAME_ROWS[0], (pattern,))


if __name__ == "__main__":
    main()
