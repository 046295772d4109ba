"""Orders and trades per second through the log, sustained, and what they cost; and how long an order takes, open loop. JSON lines, and a plot.

    python tests/bench/bench_pipeline.py                                   # all of it, ~8 min: both paths, both mixes, 60 s each, then three rates; Kafka and roles are started for it
    python tests/bench/bench_pipeline.py --path match --seconds 20 --no-latency
    python tests/bench/bench_pipeline.py --path full --mix pairs --seconds 0 --rate 100000
    python tests/bench/bench_pipeline.py --home var/demo --path full       # the set that runs there, with all its roles
    python tests/bench/bench_pipeline.py --beside audit-log --seconds 20   # what an optional role costs the full path, in pairs of rounds

Paths: `match`, frames of book commands -> book.commands -> match-orders -> executions, read back; `full`, a producer's frames -> account.commands -> hold-funds
-> book.commands -> match-orders -> reports -> hold-funds -> account.events, read back: both sides of every trade are settled then.
Mixes: `pairs`, in each symbol a sell and a buy of one lot at one price: half as many trades as orders; `sweeps`, five sells of one lot and a buy of five that takes them all.
Throughput keeps WINDOW frames on their way; the clock runs from the first frame to the last answer. cpu_us_per_trade: processor time of each
process in that time, user and system. Latency counts from the time at which an order was due, to the read back of its first execution, with frames
every --tick-ms. acks=all, snapshots on. Before the clock starts the account shard has been filled with as many finished orders as it remembers, as on any later day.
"""

import os
import secrets
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final
from urllib.request import urlopen

import click
import numpy as np
import psutil
from bench_plot import pyplot
from confluent_kafka import Consumer, Producer, TopicPartition
from harness.result_lines import print_result
from harness.role_beside import paired, prepare
from harness.running_set import running_set

from schemas.codec import FRAMES, Header, Rows, decode_frame, encode_frame
from schemas.enums import AccountEventKind, BookCommandKind, CommandKind, ExecKind, OrdType, Phase, Side, TimeInForce
from schemas.instruments import InstrumentTable, load_instruments
from schemas.limits import DONE_ORDERS_PER_SHARD_MAX, FRAME_BYTES_MAX
from schemas.settings import Settings
from schemas.units import MINOR_PER_UNIT
from streams.demo.collect import end_offsets
from streams.operate.accounts import Opening, open_accounts
from streams.operate.command_books import change_session
from streams.process.record_keys import record_keys
from streams.services.state import read_status
from topics import OrderProducer
from topics.catalogue import ACCOUNT_COMMANDS, ACCOUNT_EVENTS, BOOK_COMMANDS, EXECUTIONS, Topic
from topics.producer import ROW_DTYPE
from topics.roles import HOLD_FUNDS
from topics.speakers import PRODUCER

ACCOUNTS: Final = 1_000
LOTS: Final = {"pairs": 1, "sweeps": 5}
"""Of the order that takes, in each mix; before it come as many that rest, each of one lot."""
FRAME_ROWS_WARM: Final = 16_000
WINDOW: Final = 24
"""Frames on their way: enough that no hop waits for another, few enough to bound what waits in memory."""
SILENCE_S: Final = 120.0
ROLES: Final = {"match": ("match-orders",), "full": ("hold-funds", "match-orders")}
ANSWERS: Final = {
    "match": (EXECUTIONS, "execution_frame", ExecKind.NEW),  # a row per order
    "full": (ACCOUNT_EVENTS, "account_event_frame", AccountEventKind.TRADE),  # two rows per trade
}
_DIGITS: Final = np.array([f"{number:04}" for number in range(10_000)], "S4").view("<u4")
_BOOK_DTYPE: Final = FRAMES["book_command_frame"].dtype


@dataclass
class Flow:
    """Where orders go in and answers come out."""

    settings: Settings
    instruments: InstrumentTable
    path: str
    mix: str
    first_account: int
    run: str = field(default_factory=lambda: secrets.token_hex(2))
    sent: int = 0

    def __post_init__(self) -> None:
        self._producer: Any = None
        self._numbers = np.array(sorted(self.instruments.by_number))
        if self.path == "match":
            kafka = {"bootstrap.servers": self.settings.kafka_url, "acks": "all", "message.max.bytes": FRAME_BYTES_MAX, "linger.ms": 0}
            self._producer = Producer(kafka)
            self._sign = record_keys(self.settings).signer(HOLD_FUNDS.name)
            self._offset = time.time_ns()  # of a source that no shard is; higher in each run, so that nobody drops the frames as old
        else:
            self._producer = OrderProducer(
                self.settings.kafka_url, self.instruments, buffer_rows_max=4_000_000, sign=record_keys(self.settings).signer(PRODUCER)
            )

    def trades(self, orders: int) -> int:
        """How many trades so many orders make, from the first on."""
        lots = LOTS[self.mix]
        return orders // (lots + 1) * lots

    def answers(self, orders: int) -> int:
        """How many rows answer so many orders."""
        return orders if self.path == "match" else 2 * self.trades(orders)

    def send(self, count: int) -> None:
        """The next orders as one frame."""
        row = np.arange(self.sent, self.sent + count)
        self.sent += count
        if self.path == "match":
            rows = self._columns(np.zeros(count, _BOOK_DTYPE), row, BookCommandKind.NEW_ORDER)
            rows["order_id"], rows["transact_time"] = (self._offset << 1) % (1 << 43) + row, time.time_ns()
            self._offset += 1
            header = Header("account.commands/1000000", self._offset, 0, 0, time.time_ns())
            frame = encode_frame("book_command_frame", header, rows)
            self._producer.produce(BOOK_COMMANDS.name, frame, partition=0, headers=self._sign(BOOK_COMMANDS.name, 0, frame))
            self._producer.poll(0)
        else:
            rows = self._columns(np.zeros(count, ROW_DTYPE), row, CommandKind.NEW_ORDER)
            self._producer.new_orders(rows, self._ids(row))

    def _ids(self, row: Rows) -> Rows:
        """cl_ord_ids of 16 bytes: the run, and the number of the order."""
        parts = np.empty((len(row), 4), "<u4")
        parts[:, 0] = np.frombuffer(self.run.encode(), "<u4")[0]
        for at, power in ((1, 10**8), (2, 10**4), (3, 1)):
            parts[:, at] = _DIGITS[row // power % 10_000]
        return parts.view("S16").reshape(len(row))

    def _columns(self, rows: Rows, row: Rows, kind: int) -> Rows:
        lots = LOTS[self.mix]
        takes = row % (lots + 1) == lots
        rows["kind"], rows["ord_type"], rows["time_in_force"] = kind, OrdType.LIMIT, TimeInForce.DAY
        rows["order_qty"], rows["side"] = np.where(takes, lots, 1), np.where(takes, Side.BUY, Side.SELL)
        rows["instrument"] = self._numbers[row // (lots + 1) % len(self._numbers)]
        rows["price"] = self.instruments.rules["reference_px"][rows["instrument"]]
        rows["account"] = self.first_account + row * 7919 % ACCOUNTS
        return rows

    def close(self) -> None:
        """All is in the log."""
        if self.path == "match":
            self._producer.flush(30)
        else:
            self._producer.close()


class Answers:
    """Reads a topic from where it ends now, and counts rows of one kind."""

    def __init__(self, settings: Settings, topic: Topic, schema: str, kind: int) -> None:
        self._schema, self._kind = schema, kind
        self._consumer = Consumer(
            {
                "bootstrap.servers": settings.kafka_url,
                "group.id": f"outcry-bench-{secrets.token_hex(3)}",
                "enable.auto.commit": False,
                "fetch.message.max.bytes": FRAME_BYTES_MAX,
                "fetch.wait.max.ms": 5,
            }
        )
        starts = {partition: offset for (_, partition), offset in end_offsets(settings, topic).items()}
        self._consumer.assign([TopicPartition(topic.name, partition, max(offset - 1, 0)) for partition, offset in starts.items()])
        left = sum(offset > 0 for offset in starts.values())
        while left:  # a consumer's first fetch takes a second, which is none of the exchange's: the last records that were there come first
            left -= self._consumer.poll(SILENCE_S) is not None
        self.count = 0

    def poll(self, timeout_s: float) -> int:
        """How many more rows of the kind there are."""
        found = 0
        message = self._consumer.poll(timeout_s)
        while message is not None:
            if message.error() is None:
                found += int((decode_frame(message.value() or b"", self._schema).rows["kind"] == self._kind).sum())
            message = self._consumer.poll(0)
        self.count += found
        return found

    def close(self) -> None:
        """No more."""
        self._consumer.close()


def cpu_seconds(settings: Settings) -> dict[str, float]:
    """Processor time of each process of the set, and of this one."""
    status = read_status(settings.run_dir)
    pids = {child.name: child.pid for child in status.children if child.pid} if status else {}
    spent = {}
    for name, pid in {**pids, "producer and reader": os.getpid()}.items():
        times = psutil.Process(pid).cpu_times()
        spent[name] = times.user + times.system
    return spent


def drive(flow: Flow, frame_rows: int, goes_on: Callable[[int], bool]) -> int:
    """WINDOW frames on their way while `goes_on(orders sent)`, then until all is answered; how many orders. Frames hold whole groups of orders that trade."""
    group = LOTS[flow.mix] + 1
    frame_rows -= frame_rows % group
    answers, sent, heard = Answers(flow.settings, *ANSWERS[flow.path]), 0, time.perf_counter()
    while goes_on(sent) or answers.count < flow.answers(sent):
        while goes_on(sent) and flow.answers(sent) - answers.count < flow.answers(WINDOW * frame_rows):
            flow.send(frame_rows)
            sent += frame_rows
        if answers.poll(0.05):
            heard = time.perf_counter()
        elif time.perf_counter() - heard > SILENCE_S:
            raise SystemExit(f"only {answers.count} of {flow.answers(sent)} rows came, and nothing for {SILENCE_S:g} s")
    answers.close()
    return sent


def throughput(flow: Flow, seconds: float, frame_rows: int) -> dict[str, object]:
    """As many orders as go through in so long."""
    began, before = time.perf_counter(), cpu_seconds(flow.settings)
    sent = drive(flow, frame_rows, lambda _: time.perf_counter() - began < seconds)
    took, after = time.perf_counter() - began, cpu_seconds(flow.settings)
    trades = flow.trades(sent)
    each = {name: round((after[name] - spent) / trades * 1e6, 2) for name, spent in before.items() if name in after}
    return {
        "path": flow.path, "mix": flow.mix, "orders": sent, "trades": trades, "seconds": round(took, 2),
        "orders_per_s": round(sent / took), "trades_per_s": round(trades / took), "frame_rows": frame_rows, "cpu_us_per_trade": each,
        "cpu_us_per_trade_all": round(sum(each.values()), 2),
    }  # fmt: skip


def latency(flow: Flow, rate: int, seconds: float, tick_s: float) -> dict[str, object]:
    """Open loop: in each tick the orders that were due in it, whatever has been answered."""
    answers = Answers(flow.settings, *ANSWERS["match"])
    total, sent, waits = round(rate * seconds), 0, []
    began = heard = time.perf_counter()
    while answers.count < total:
        now = time.perf_counter()
        due = min(total, int((now - began) * rate))
        if due - sent >= max(1, rate * tick_s) or (due == total and due > sent):
            flow.send(due - sent)
            sent = due
        first = answers.count
        if found := answers.poll(0.001):
            heard = time.perf_counter()
            waits.append(heard - began - np.arange(first, first + found) / rate)
        elif time.perf_counter() - heard > SILENCE_S:
            raise SystemExit(f"only {answers.count} of {total} orders were answered, and nothing for {SILENCE_S:g} s")
    answers.close()
    each = np.concatenate(waits) * 1e3
    quantiles = dict(
        zip(("p50_ms", "p99_ms", "p999_ms", "max_ms"), np.quantile(each, (0.5, 0.99, 0.999, 1.0)).round(1).tolist(), strict=True)
    )
    return {
        "path": flow.path, "mix": flow.mix, "rate": rate, "orders": total, **quantiles,
        "orders_per_s": round(total / (heard - began)), "tick_ms": tick_s * 1e3,
    }  # fmt: skip


def wait_for_snapshots(settings: Settings, path: str) -> None:
    """Until each role has a snapshot of all that it was given so far: the first one of a state that has just been filled copies all of it."""
    inputs = {"match-orders": BOOK_COMMANDS, "hold-funds": ACCOUNT_COMMANDS}
    status, deadline = read_status(settings.run_dir), time.monotonic() + SILENCE_S
    for child in status.children if status else ():
        if child.name not in ROLES[path]:
            continue
        end = end_offsets(settings, inputs[child.name])[inputs[child.name].name, 0]
        sample = f'outcry_snapshot_offset{{partition="0",role="{child.name}"}} '
        while not any(line.startswith(sample) and float(line.removeprefix(sample)) >= end for line in _metrics(child.address)):
            if time.monotonic() > deadline:
                raise SystemExit(f"{child.name} has no snapshot of its input up to {end:,}")
            time.sleep(0.1)


def _metrics(address: str) -> list[str]:
    with urlopen(address + "/metrics", timeout=10) as answer:
        return str(answer.read(), "utf-8").splitlines()


def measure(settings: Settings, path: str, options: "Options") -> Iterator[dict[str, object]]:
    """One path: each mix after a warm-up, then the latencies."""
    instruments = load_instruments(settings.instruments_file)
    first = 1_000_000 + secrets.randbelow(1_000_000_000)
    if path == "full":
        positions = dict.fromkeys(instruments.by_number, 10_000_000)
        open_accounts(settings, [Opening(first + n, 10**12 * MINOR_PER_UNIT, positions) for n in range(ACCOUNTS)])
    change_session(settings, Phase.CONTINUOUS)
    for number, mix in enumerate(options.mixes):
        flow = Flow(settings, instruments, path, mix, first)
        warm = 2 * DONE_ORDERS_PER_SHARD_MAX if number == 0 else 10 * FRAME_ROWS_WARM
        drive(flow, FRAME_ROWS_WARM, warm.__gt__)
        wait_for_snapshots(settings, path)
        if options.seconds:
            yield throughput(flow, options.seconds, options.frame_rows)
        for rate in options.rates if path == "full" and number == 0 else ():
            wait_for_snapshots(settings, path)
            yield latency(flow, rate, options.latency_seconds, options.tick_s)
        flow.close()


def cost_beside(settings: Settings, role: str, pairs: int, options: "Options") -> dict[str, object]:
    """The full path with and without an optional role."""
    prepare(settings, role)
    mix, instruments, first = options.mixes[0], load_instruments(settings.instruments_file), 1_000_000
    open_accounts(
        settings, [Opening(first + n, 10**12 * MINOR_PER_UNIT, dict.fromkeys(instruments.by_number, 10_000_000)) for n in range(ACCOUNTS)]
    )
    change_session(settings, Phase.CONTINUOUS)
    flow = Flow(settings, instruments, "full", mix, first)
    drive(flow, FRAME_ROWS_WARM, (2 * DONE_ORDERS_PER_SHARD_MAX).__gt__)
    wait_for_snapshots(settings, "full")
    found = paired(settings, role, pairs, lambda: throughput(flow, options.seconds, options.frame_rows))
    flow.close()
    return {"path": "full", "mix": mix, "seconds": options.seconds, "frame_rows": options.frame_rows, **found}


@dataclass(frozen=True)
class Options:
    """What the command line says."""

    mixes: tuple[str, ...]
    seconds: float
    frame_rows: int
    rates: tuple[int, ...]
    latency_seconds: float
    tick_s: float


def plot(rows: list[dict[str, Any]], path: Path) -> None:
    """Where the processor time of a trade goes, and the latencies by rate."""
    plt = pyplot()
    figure, (cost, wait) = plt.subplots(1, 2, figsize=(12, 4.5), layout="constrained")
    runs = [row for row in rows if "trades" in row]
    names = sorted({name for row in runs for name in row["cpu_us_per_trade"]})
    left = np.zeros(len(runs))
    labels = [f"{row['path']}, {row['mix']}\n{row['trades_per_s'] / 1e3:,.0f} k trades/s" for row in runs]
    for name in names:
        width = np.array([row["cpu_us_per_trade"].get(name, 0) for row in runs])
        cost.barh(labels, width, left=left, label=name)
        left += width
    cost.set(xlabel="processor time, us per trade", title="Where it goes")
    if runs:
        cost.legend(fontsize="small")
    for row in (row for row in rows if "rate" in row):
        points = [row[name] for name in ("p50_ms", "p99_ms", "p999_ms", "max_ms")]
        wait.plot(["p50", "p99", "p99.9", "max"], points, marker="o", label=f"{row['rate']:,} orders/s")
    wait.set(ylabel="ms from due to execution read back", yscale="log", title="Open loop, full path")
    if wait.lines:
        wait.legend(fontsize="small")
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=120)


@click.command()
@click.option(
    "--home",
    type=click.Path(path_type=Path),
    help="Measure the set that runs there (it must have one shard of each kind); without it one is started.",
)
@click.option("--path", "paths", type=click.Choice(sorted(ROLES)), multiple=True, default=("match", "full"), show_default=True)
@click.option("--mix", "mixes", type=click.Choice(sorted(LOTS)), multiple=True, default=("pairs", "sweeps"), show_default=True)
@click.option("--seconds", default=60.0, show_default=True, help="How long the throughput is sustained; 0 leaves it out.")
@click.option("--frame-rows", default=8_000, show_default=True, help="Orders in a frame.")
@click.option(
    "--rate", "rates", type=int, multiple=True, default=(10_000, 100_000, 500_000), show_default=True, help="Orders per second, open loop."
)
@click.option("--latency/--no-latency", "with_latency", default=True, help="Of the full path, with the first mix.")
@click.option("--latency-seconds", default=30.0, show_default=True, help="How long each rate is kept.")
@click.option("--tick-ms", default=5.0, show_default=True, help="A frame is sent every so often.")
@click.option("--beside", help="Only what this optional role costs the full path, with the first mix.")
@click.option("--pairs", default=4, show_default=True, help="Of rounds with and without it.")
@click.option("--plot", "plot_path", type=click.Path(path_type=Path), default=Path("build/bench/pipeline.png"), show_default=True)
def main(
    home: Path | None, paths: tuple[str, ...], mixes: tuple[str, ...], seconds: float, frame_rows: int, rates: tuple[int, ...], with_latency: bool,
    latency_seconds: float, tick_ms: float, beside: str | None, pairs: int, plot_path: Path,
) -> None:  # fmt: skip
    """Orders and trades per second through Kafka and the shards, and how long an order takes."""
    options = Options(mixes, seconds, frame_rows, rates if with_latency else (), latency_seconds, tick_ms / 1e3)
    if beside is not None:
        with running_set(home, ROLES["full"], ("kafka",)) as settings:
            print_result("pipeline-beside", cost_beside(settings, beside, pairs, options))
        return
    rows = []
    for path in paths:
        with running_set(home, ROLES[path], ("kafka",)) as settings:
            for row in measure(settings, path, options):
                rows.append(row)
                print_result("pipeline" if "trades" in row else "pipeline-latency", row)
    plot(rows, plot_path)
    print(f"# {plot_path}", flush=True)


if __name__ == "__main__":
    main()
