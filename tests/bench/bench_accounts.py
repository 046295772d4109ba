"""How fast the two shards are together, account shard first, for kernel and reference, and what accounts by the million take. Prints JSON lines.

    python tests/bench/bench_accounts.py [--orders N] [--cold] [--growth]

Commands a second by frame size; rates are by the wall clock and by the CPU time of the thread (`_per_cpu_s`); where they differ, something else was using
the machine. (bench_engine.py has the books alone.)

--growth: only the account shard, with 1,000, 100,000 and 5 million accounts, each size in a process of its own, so that memory is its alone. Every account
opens with cash and shares of one instrument; then each order is of an account picked at random and is filled at once. `first`: the orders' rows are memory
never used before; `again`: they are those of orders forgotten.

--cold also times a start with an empty compile cache (in a temporary directory; a minute of one core).
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import numpy as np
import psutil
from harness.result_lines import print_result

from matchers.accounts import shard as account_shard
from matchers.accounts.reference import shard as reference_account_shard
from matchers.books import shard as book_shard
from matchers.books.reference import shard as reference_book_shard
from matchers.rules.limits import ShardLimits
from matchers.rules.outputs import BOOK_COMMAND_DTYPE, COMMAND_DTYPE, REPORT_DTYPE
from matchers.settlement.reports import reports_of
from matchers.warm import warm_accounts
from schemas.codec import Rows
from schemas.enums import BookCommandKind, CommandKind, ExecKind, OrdType, Phase, ReportKind, Side, TimeInForce
from schemas.instruments import Instrument, InstrumentTable

INSTRUMENTS = 50
ACCOUNTS = 2_000
FRAME_ROWS = (1, 100, 1_000, 4_000)
GROWTH = (1_000, 100_000, 5_000_000)
WARM_START = "import time; begin = time.perf_counter(); from matchers.warm import warm; warm(); print(time.perf_counter() - begin)"


def instruments() -> InstrumentTable:
    """Instruments that set the orders of this tape no limit."""
    one, cent = Decimal(1), Decimal("0.01")
    return InstrumentTable(
        Instrument(n, f"I{n}", "", cent, one, Decimal(100_000), Decimal(10**9), Decimal(100), 20) for n in range(1, INSTRUMENTS + 1)
    )


def orders(count: int, seed: int) -> tuple[Rows, Rows]:
    """NEW_ORDER rows and texts: limit orders within 20 ticks of 10,000, one in eight a market order."""
    rng = np.random.default_rng(seed)
    rows = np.zeros(count, COMMAND_DTYPE)
    rows["kind"], rows["ord_type"], rows["time_in_force"] = CommandKind.NEW_ORDER, OrdType.LIMIT, TimeInForce.DAY
    rows["account"] = 1 + rng.integers(0, ACCOUNTS, count)
    rows["instrument"] = 1 + rng.integers(0, INSTRUMENTS, count)
    rows["side"] = np.where(rng.integers(0, 2, count), Side.BUY, Side.SELL)
    rows["order_qty"] = 1 + rng.integers(0, 100, count)
    rows["price"] = 10_000 + rng.integers(-20, 21, count)
    market = rng.integers(0, 8, count) == 0
    rows["ord_type"][market], rows["price"][market] = OrdType.MARKET, 0
    rows["transact_time"] = 1_000 * np.arange(1, count + 1)
    return rows, np.char.add("bench-order-", np.arange(count).astype("U12")).astype("S24")


def funded(module: Any) -> Any:
    """An account shard whose accounts can pay."""
    machine = module.AccountShard(0, instruments(), 1)
    for number in range(1, INSTRUMENTS + 1):
        rows = np.zeros(ACCOUNTS, COMMAND_DTYPE)
        rows["kind"], rows["account"], rows["instrument"] = CommandKind.ACCOUNT_UPDATE, np.arange(1, ACCOUNTS + 1), number
        rows["order_qty"], rows["cash"], rows["request_id"] = 1_000_000, 10**14, number
        machine.apply_commands(rows, np.zeros(ACCOUNTS, "S1"), -1)
    return machine


def opened(module: Any) -> Any:
    """A book shard in continuous trading."""
    machine = module.BookShard(0, instruments(), 1)
    change = np.zeros(1, BOOK_COMMAND_DTYPE)
    change["kind"], change["phase"] = BookCommandKind.TRADING_SESSION_CHANGE, Phase.CONTINUOUS
    machine.apply(change)
    return machine


class Stopwatch:
    """Wall and CPU seconds of one part, summed over calls."""

    def __init__(self) -> None:
        self.wall = self.cpu = 0.0

    def __call__(self, call: Callable[..., Any], *arguments: Any) -> Any:
        """Call, and count the time."""
        wall, cpu = time.perf_counter(), time.thread_time()
        result = call(*arguments)
        self.wall += time.perf_counter() - wall
        self.cpu += time.thread_time() - cpu
        return result


def report(engine: str, frame_rows: int, frames: int, parts: list[Stopwatch], **counts: int) -> None:
    """One JSON line."""
    wall, cpu = sum(part.wall for part in parts), sum(part.cpu for part in parts)
    rates = {f"{name}_per_s": round(count / wall) for name, count in counts.items()}
    rates |= {f"{name}_per_cpu_s": round(count / cpu) for name, count in counts.items()}
    print_result("accounts", {"engine": engine, "frame_rows": frame_rows, **rates, "cpu_us_per_frame": round(1e6 * cpu / frames, 1)})


def run(name: str, modules: tuple[Any, Any], count: int, frame_rows: int) -> None:
    """The tape through an account shard, a book shard and back; each part timed by itself."""
    accounts, books = funded(modules[0]), opened(modules[1])
    rows, text = orders(count, seed=7)
    hold, match, make_reports, settle = (Stopwatch() for _ in range(4))
    trades = accepted = reported = 0
    for start in range(0, count, frame_rows):
        frame, frame_text = rows[start : start + frame_rows].copy(), text[start : start + frame_rows].copy()
        out = hold(accounts.apply_commands, frame, frame_text, -1)
        executions = match(books.apply, out.book_commands).executions
        reports = make_reports(reports_of, executions, out.book_commands)
        settle(accounts.apply_reports, reports)
        accepted += len(out.book_commands)
        reported += len(reports)
        trades += int((executions["kind"] == ExecKind.TRADE).sum())
    assert accepted == count, f"{count - accepted} orders of the tape were refused"
    frames = -(-count // frame_rows)
    report(f"account {name}", frame_rows, frames, [hold], orders=count)
    report(f"account {name}, reports", frame_rows, frames, [settle], reports=reported)
    report(f"book {name}", frame_rows, frames, [match], orders=count, trades=trades)
    report(f"hold, match, report and settle, {name}", frame_rows, frames, [hold, match, make_reports, settle], orders=count, trades=trades)


def grown(accounts: int, count: int) -> None:
    """One size of --growth, in this process."""
    limits = ShardLimits(done_orders_max=count)
    warm_accounts()
    before = psutil.Process().memory_info().rss
    machine = account_shard.AccountShard(0, instruments(), 1, limits)
    opening = Stopwatch()
    for start in range(1, accounts + 1, 16_000):
        numbers = np.arange(start, min(start + 16_000, accounts + 1))
        rows = np.zeros(len(numbers), COMMAND_DTYPE)
        rows["kind"], rows["account"], rows["instrument"] = CommandKind.ACCOUNT_UPDATE, numbers, 1
        rows["order_qty"], rows["cash"], rows["request_id"] = 1_000_000, 10**13, 1
        opening(machine.apply_commands, rows, np.zeros(len(rows), "S1"), -1)
    opened = psutil.Process().memory_info().rss
    line: dict[str, Any] = {
        "accounts": accounts, "orders": count, "frame_rows": FRAME_ROWS[-1],
        "open_ns": round(1e9 * opening.cpu / accounts), "bytes_per_account": round((opened - before) / accounts),
    }  # fmt: skip
    for which in ("first", "again"):
        hold, settle = filled(machine, accounts, count, which)
        line |= {f"hold_ns_{which}": round(1e9 * hold.cpu / count), f"settle_ns_{which}": round(1e9 * settle.cpu / count)}
    line["bytes_per_order"] = round((psutil.Process().memory_info().rss - opened) / count)
    line["snapshot_mb"] = round(sum(array.nbytes for array in machine.snapshot().values()) / 1e6)
    print_result("accounts-growth", line)


def filled(machine: Any, accounts: int, count: int, which: str) -> tuple[Stopwatch, Stopwatch]:
    """Orders of random accounts, each filled by a report right behind its frame; (holding, settling)."""
    rows, text = orders(count, seed=11)
    rows["account"], rows["instrument"] = 1 + np.random.default_rng(12).integers(0, accounts, count), 1
    text = np.char.add(which.encode(), text)
    hold, settle = Stopwatch(), Stopwatch()
    for start in range(0, count, FRAME_ROWS[-1]):
        part = slice(start, start + FRAME_ROWS[-1])
        sent = hold(machine.apply_commands, rows[part].copy(), text[part].copy(), -1).book_commands
        assert len(sent) == len(rows[part]), "an order of the tape was refused"
        reports = np.zeros(len(sent), REPORT_DTYPE)
        for column in ("account", "order_id", "instrument", "transact_time"):
            reports[column] = sent[column]
        reports["kind"], reports["last_qty"], reports["last_px"] = ReportKind.TRADE, sent["order_qty"], sent["price"]
        settle(machine.apply_reports, reports)
    return hold, settle


def start_seconds(cache: str | None) -> float:
    """A fresh process that imports and warms the kernels, with the given compile cache or the usual one."""
    environment = os.environ | ({"NUMBA_CACHE_DIR": cache} if cache else {})
    done = subprocess.run([sys.executable, "-c", WARM_START], env=environment, check=True, capture_output=True, text=True)
    return float(done.stdout)


def main() -> None:
    """Run everything."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--orders", type=int, default=400_000, help="orders for the kernels with large frames; fewer for the others")
    parser.add_argument("--cold", action="store_true", help="time a start with an empty compile cache too")
    parser.add_argument("--growth", action="store_true", help="only what accounts by the million take")
    parser.add_argument("--accounts", type=int, default=0, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.accounts:
        grown(arguments.accounts, arguments.orders)
        return
    if arguments.growth:
        for size in GROWTH:
            subprocess.run([sys.executable, __file__, "--accounts", str(size), "--orders", str(arguments.orders)], check=True)
        return
    start_seconds(None)  # fills the cache if need be
    print_result("accounts-start", {"compile_cache": "full", "seconds": round(start_seconds(None), 2)})
    if arguments.cold:
        with tempfile.TemporaryDirectory() as cache:
            print_result("accounts-start", {"compile_cache": "empty", "seconds": round(start_seconds(cache), 2)})
    for frame_rows in FRAME_ROWS:
        run("kernel", (account_shard, book_shard), arguments.orders // (40 if frame_rows == 1 else 1), frame_rows)
    for frame_rows in FRAME_ROWS:
        run("reference", (reference_account_shard, reference_book_shard), arguments.orders // 100, frame_rows)


if __name__ == "__main__":
    main()
