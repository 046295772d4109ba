"""Silence while a shard moves from one replica to another: what a reader of `executions` sees while orders come in steadily.

    python tests/bench/bench_moves.py                          # 20 moves at 2,000 orders/s
    python tests/bench/bench_moves.py --moves 5 --rate 500

Account shard and book shards run with two replicas of match-orders. Orders come from producers in frames, `--linger-ms` together; each is an
immediate-or-cancel that nobody meets. Book shard 0 is given to one replica, then moved there and back. The silence of a move is the longest time
without a frame of that shard which the reader had not seen, from before the comparison until `--after` seconds behind the move. `quiet`: the same
before the move, as long. In the end every order must have been accepted once and canceled once, and executions be numbered without a gap; else the
program fails. That the states are equal is compared at every move.
"""

import gc
import statistics
import sys
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import click
from bench_failover import Load, Watch, wait_ready
from harness.result_lines import print_result

from schemas.codec import decode_frame, decode_header
from schemas.enums import AccountEventKind, Phase
from schemas.marks import Marks
from schemas.settings import Settings, load_settings
from schemas.units import MINOR_PER_UNIT
from streams.host.read_log import Log
from streams.operate.accounts import Opening, open_accounts
from streams.operate.command_books import change_session
from streams.operate.move_shard import move_shard_to
from streams.operate.shard_places import workers_here
from streams.services.local_set import LocalSet
from topics.catalogue import ACCOUNT_EVENTS, EXECUTIONS, Topic
from topics.roles import MATCH_ORDERS

SHARD: Final = 0
WARM_S: Final = 5.0
SETTLE_TIMEOUT_S: Final = 120.0
STEP_TIMEOUT_S: Final = 30.0
WORKERS: Final = ("match-orders", "match-orders-b")


@dataclass(frozen=True)
class Try:
    """Seconds: of silence, of silence before, from the call to the last answer."""

    silence_s: float
    quiet_s: float
    took_s: float


def try_once(local: LocalSet, connected: Settings, watch: Watch, worker: str, after_s: float) -> Try:
    """One move, and as much time before it."""
    began = time.monotonic()
    time.sleep(after_s)
    at = time.monotonic()
    addresses = workers_here(local.settings.run_dir, MATCH_ORDERS)
    moved = move_shard_to(connected, MATCH_ORDERS, SHARD, worker, addresses, STEP_TIMEOUT_S, tell=lambda _: None)
    assert moved is not None and len(moved.compared) == len(WORKERS)
    took = time.monotonic() - at
    time.sleep(after_s)
    until = time.monotonic()
    return Try(watch.silence_s(at, until, SHARD), watch.silence_s(began, at, SHARD), took)


def events_of_orders(settings: Settings) -> Counter[tuple[str, int]]:
    """How often account events say what of an order, by (cl_ord_id, kind); repeated frames left out by their marks, as every reader does."""
    found: Counter[tuple[str, int]] = Counter()
    with Log(settings) as log:
        for partition in range(log.partitions(ACCOUNT_EVENTS)):
            for _, value in _first_copies(log, ACCOUNT_EVENTS, partition):
                frame = decode_frame(value)
                assert frame.cl_ord_id is not None
                found.update(zip(map(bytes.decode, frame.cl_ord_id.tolist()), frame.rows["kind"].tolist(), strict=True))
    return found


def gaps_of_executions(settings: Settings) -> tuple[int, int]:
    """(frames whose first execution is not the one behind the last, frames) of the moved shard."""
    gaps = frames = expected = 0
    with Log(settings) as log:
        for first_seq, value in _first_copies(log, EXECUTIONS, SHARD):
            gaps += expected not in (0, first_seq)
            expected = first_seq + len(decode_frame(value).rows)
            frames += 1
    return gaps, frames


def _first_copies(log: Log, topic: Topic, partition: int) -> list[tuple[int, bytes]]:
    """(first_seq, bytes) of each frame that a reader takes."""
    bounds, marks, found = log.bounds(topic.name, partition), Marks(), []
    assert bounds is not None
    for record in log.records(topic.name, partition, bounds.low, bounds.high):
        head = decode_header(record.value)
        if head is not None and marks.take(head[1], record.time_ns):
            found.append((head[1].first_seq, record.value or b""))
    return found


def proof(settings: Settings, sent: int) -> dict[str, int]:
    """Nothing lost, nothing doubled: counts that must be 0, and what was compared. Ends the program if they are not."""
    deadline = time.monotonic() + SETTLE_TIMEOUT_S
    while True:
        events = events_of_orders(settings)
        accepted = {name: times for (name, kind), times in events.items() if kind == AccountEventKind.ACCEPTED}
        canceled = {name: times for (name, kind), times in events.items() if kind == AccountEventKind.CANCELED}
        if len(canceled) >= sent or time.monotonic() > deadline:
            break
        time.sleep(0.5)
    gaps, frames = gaps_of_executions(settings)
    told = {
        "orders": sent, "orders_lost": sent - len(accepted), "orders_unsettled": len(accepted) - len(canceled),
        "events_doubled": sum(times > 1 for times in (*accepted.values(), *canceled.values())), "gaps": gaps, "frames": frames,
    }  # fmt: skip
    if any(told[name] for name in ("orders_lost", "orders_unsettled", "events_doubled", "gaps")):
        raise SystemExit(f"not whole: {told}")
    return told


def measure(moves: int, rate: float, linger_ms: int, after_s: float) -> dict[str, object]:
    """All of it, in a home of its own."""
    with TemporaryDirectory(prefix="outcry-moves-") as scratch:
        local = LocalSet(load_settings().model_copy(update={"home": Path(scratch), "book_shards": 2}))
        with local.running(("kafka",), ("hold-funds", "match-orders"), replicas={"match-orders": len(WORKERS)}) as connected:
            change_session(connected, Phase.CONTINUOUS)
            open_accounts(connected, [Opening(1, 1_000_000_000 * MINOR_PER_UNIT, {})])
            watch, load = Watch(connected, 2), Load(connected, rate, linger_ms)
            watch.start()
            load.start()
            wait_ready(local)
            time.sleep(WARM_S)
            try_once(local, connected, watch, WORKERS[0], after_s)  # from all to one
            copies = watch.copies
            done = []
            for number in range(moves):
                done.append(try_once(local, connected, watch, WORKERS[(number + 1) % 2], after_s))
                print(
                    f"# {number}: silence {_ms(done[-1].silence_s)} ms, quiet {_ms(done[-1].quiet_s)} ms, took {_ms(done[-1].took_s)} ms",
                    flush=True,
                )
            load.stop()
            watch.stop()
            whole = proof(connected, load.sent)
    silences, quiet = [one.silence_s for one in done], [one.quiet_s for one in done]
    return {
        "moves": moves, "orders_per_s": rate, "linger_ms": linger_ms,
        "silence_ms_p50": _ms(statistics.median(silences)), "silence_ms_max": _ms(max(silences)),
        "quiet_ms_p50": _ms(statistics.median(quiet)), "quiet_ms_max": _ms(max(quiet)),
        "took_ms_p50": _ms(statistics.median(one.took_s for one in done)), "second_copies": watch.copies - copies,
        "generator_late_ms_max": round(load.late_ms_max), **whole, "silence_ms": [_ms(one) for one in silences], "quiet_ms": [_ms(one) for one in quiet],
    }  # fmt: skip


def _ms(seconds: float) -> int:
    return round(seconds * 1000)


@click.command()
@click.option("--moves", default=20, show_default=True, type=click.IntRange(1), help="Moves that are measured.")
@click.option("--rate", default=2_000.0, show_default=True, help="Orders per second.")
@click.option("--linger-ms", default=5, show_default=True, type=click.IntRange(0), help="Orders of so long go into one frame.")
@click.option("--after", "after_s", default=1.0, show_default=True, help="Seconds that are looked at before and after each move.")
def main(moves: int, rate: float, linger_ms: int, after_s: float) -> None:
    """Silence while a shard moves, one JSON line."""
    gc.disable()  # a collection of the reader's would count as a silence; what it would free is little
    sys.setswitchinterval(0.0005)  # reader and generator are threads of one process
    print_result("moves", measure(moves, rate, linger_ms, after_s))


if __name__ == "__main__":
    main()
