"""How long the reports of a day take: `python tests/bench/bench_reports.py [--orders N] [--log FILE] [--each]`. Prints JSON lines, without Kafka.

A simulated day is made by the real account and book shards, then read, reported and checked as the role `make-reports` does, in one process.
Of the orders a tenth is immediate, and a fifth is cancelled. The log is in memory: what a broker and the codes of records cost is not in it.
"""

import argparse
import pickle
import resource
import sys
import tempfile
import time
from datetime import time as time_of_day
from pathlib import Path
from typing import Final

sys.path.insert(0, str(Path(__file__).parents[1]))

import numpy as np
from harness.result_lines import print_result
from support.memory_log import COMMAND, SHARDS
from support.records.reported_day import DAY, INSTRUMENTS, REFERENCE, SECOND, ReportExchange, TimedLog

from reports.catalogue import KINDS
from reports.day_read import DayRead
from reports.facts import MARGIN_NS
from reports.filed.checks import check_and_keep
from reports.filed.stored import store
from schemas.codec import Header, encode_frame
from schemas.enums import CommandKind, OrdType, Phase, Side, TimeInForce
from schemas.settings import Settings
from streams.compliance.make_day import store_and_check
from streams.compliance.read_day import read_day
from topics.catalogue import ACCOUNT_COMMANDS, ACCOUNT_EVENTS, EXECUTIONS

FRAME_ROWS: Final = 256
ACCOUNTS: Final = 200
CASH, LOTS = 10**15, 10**8
TRADING_S: Final = 23_400
READ: Final = (EXECUTIONS.name, ACCOUNT_EVENTS.name)


def day_of(orders: int) -> TimedLog:
    """The log of a day with so many orders."""
    x, rng = ReportExchange(), np.random.default_rng(1)
    x.at(DAY.at_ns(time_of_day(9)))
    x.deposit(range(1, ACCOUNTS + 1), CASH, LOTS)
    x.phase(Phase.PRE_OPEN)
    x.phase(Phase.CONTINUOUS)
    frames = -(-orders // FRAME_ROWS)
    start_ns, middle = DAY.at_ns(time_of_day(9, 30)), 18_000.0
    named: dict[int, list[tuple[int, bytes]]] = {shard: [] for shard in range(SHARDS)}
    for frame in range(frames):
        x.at(start_ns + TRADING_S * SECOND * frame // frames)
        middle += rng.normal(0, 2)
        _send(x, rng, frame % SHARDS, int(middle), min(FRAME_ROWS, orders - frame * FRAME_ROWS), named[frame % SHARDS])
    x.at(DAY.at_ns(time_of_day(16)))
    x.phase(Phase.CLOSED)
    x.at(DAY.end_ns + MARGIN_NS + SECOND)
    return x.log


def _send(x: ReportExchange, rng: np.random.Generator, shard: int, middle: int, count: int, named: list[tuple[int, bytes]]) -> None:
    """A frame of orders of one account shard, then one of cancels for a fifth as many."""
    rows = np.zeros(count, COMMAND)
    rows["account"] = rng.integers(0, ACCOUNTS // SHARDS, count) * SHARDS + (shard or SHARDS)
    rows["kind"], rows["ord_type"], rows["transact_time"] = CommandKind.NEW_ORDER, OrdType.LIMIT, x.clock
    rows["instrument"], rows["side"] = rng.integers(1, 3, count), rng.choice([Side.BUY, Side.SELL], count)
    rows["order_qty"], rows["price"] = rng.integers(1, 20, count) * 10, middle + rng.integers(-12, 13, count)
    rows["time_in_force"] = np.where(rng.random(count) < 0.1, TimeInForce.IOC, TimeInForce.DAY)
    names = np.array([f"c{x.names + number}".encode() for number in range(count)])
    x.names += count
    _append(x, shard, rows, names, np.zeros(count, "S1"))
    named += zip(rows["account"].tolist(), names.tolist(), strict=True)
    chosen = [named.pop(int(rng.integers(len(named)))) for _ in range(count // 5)]
    del named[:-4_000]
    cancels = np.zeros(len(chosen), COMMAND)
    if len(chosen):
        cancels["kind"], cancels["transact_time"], cancels["account"] = CommandKind.CANCEL, x.clock, [account for account, _ in chosen]
        own = np.array([f"x{x.names + number}".encode() for number in range(len(chosen))])
        x.names += len(chosen)
        _append(x, shard, cancels, own, np.array([name for _, name in chosen]))


def _append(x: ReportExchange, shard: int, rows: np.ndarray, names: np.ndarray, originals: np.ndarray) -> None:
    x.log.append(ACCOUNT_COMMANDS.name, shard, encode_frame("order_command_frame", Header("tests"), rows, names, originals))
    x.settle()


def kept_day(orders: int, path: Path | None) -> TimedLog:
    """The log of a day, from a file of ours where there is one: making a day takes longer than reporting it."""
    log = TimedLog()
    if path is not None and path.exists():
        log.parts.update(pickle.loads(path.read_bytes()))
        return log
    log = day_of(orders)
    if path is not None:
        path.write_bytes(pickle.dumps({(topic, number): log.parts[topic, number] for topic in READ for number in range(SHARDS)}))
    return log


def resident_mb() -> int:
    """The most that this process has had of memory."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1_024


class Watch:
    """Seconds since it was made, by the clock and of processor time."""

    def __init__(self) -> None:
        self._wall, self._cpu = time.perf_counter(), time.process_time()

    def told(self, prefix: str) -> dict[str, float]:
        """As figures of a result."""
        return {
            f"{prefix}seconds": round(time.perf_counter() - self._wall, 1),
            f"{prefix}cpu_seconds": round(time.process_time() - self._cpu, 1),
        }


def each_alone(read: DayRead, orders: int) -> None:
    """Each report once more, made and then checked."""
    with tempfile.TemporaryDirectory() as folder:
        for kind in KINDS.values():
            watch = Watch()
            one, _ = store(Settings(home=Path(folder)), kind, read, REFERENCE, [], "")
            made, watch = watch.told(""), Watch()
            check_and_keep(one)
            records = sum(file.records for file in one.files)
            print_result("reports", {"what": kind.name, "orders": orders, "records": records, **made, **watch.told("check_")})


def main() -> None:
    """One line for reading, one for the day with it, and if asked one for each report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--orders", type=int, default=1_000_000)
    parser.add_argument("--log", type=Path, metavar="FILE", help="keep the day in this file, and take it from there the next time")
    parser.add_argument("--each", action="store_true", help="each report once more, alone")
    asked = parser.parse_args()
    orders = asked.orders
    log = kept_day(orders, asked.log)
    before_mb, day = resident_mb(), Watch()
    read = read_day(log, DAY, INSTRUMENTS, now_ns=DAY.end_ns + SECOND, quiet=True)
    print_result("reports", {"what": "read", "orders": orders, "records": sum(read.rows.values()), **day.told("")})
    with tempfile.TemporaryDirectory() as folder:
        findings = sum(found.findings for _, _, found in store_and_check(Settings(home=Path(folder)), read, REFERENCE, [], ""))
    told = {"what": "day", "orders": orders, **day.told(""), "findings": findings, "memory_mb": resident_mb() - before_mb}
    print_result("reports", told)
    if asked.each:
        each_alone(read, orders)


if __name__ == "__main__":
    main()
