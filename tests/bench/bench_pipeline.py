"""Orders and trades a second through the log, sustained, and what they cost; and how long an order takes, open loop. JSON lines.

    python tests/bench/bench_pipeline.py                                   # both paths for 60 s each, then 10k, 100k and 500k orders/s; Kafka and roles started for it
    python tests/bench/bench_pipeline.py --path match --seconds 20 --no-latency
    python tests/bench/bench_pipeline.py --home var/demo --path full       # the set that runs there, with all its roles

Paths: `match`, frames of book commands -> book.commands -> match-orders -> executions, read back; `full`, a producer's frames -> account.commands -> hold-funds
-> book.commands -> match-orders -> reports -> hold-funds -> account.events, read back: both sides of every trade are settled then. In each symbol
sells and buys of one lot alternate at one price, so half as many trades as orders come out. Throughput keeps WINDOW frames on their way; the clock runs
from the first frame to the last answer. cpu_us_per_trade: processor time of each process in that time, user and system. Latency counts
from the time at which an order was due, to the read back of its first execution, with frames every TICK_S. acks=all, snapshots on.
"""

import json
import os
import secrets
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import click
import numpy as np
import psutil
from confluent_kafka import Consumer, Producer, TopicPartition
from running_set import running_set

from schemas.codec import FRAMES, Header, Rows, decode_frame, encode_frame
from schemas.enums import AccountEventKind, BookCommandKind, CommandKind, ExecKind, OrdType, Phase, Side, TimeInForce
from schemas.instruments import InstrumentTable, load_instruments
from schemas.limits import FRAME_BYTES_MAX
from schemas.settings import Settings
from schemas.units import MINOR_PER_UNIT
from streams.command_books import change_session
from streams.demo.collect import end_offsets
from streams.operate import Opening, open_accounts
from streams.services.state import read_status
from topics import OrderProducer
from topics.catalogue import ACCOUNT_COMMANDS, ACCOUNT_EVENTS, BOOK_COMMANDS, EXECUTIONS, Topic
from topics.producer import ROW_DTYPE

ACCOUNTS: Final = 1_000
WINDOW: Final = 24
"""Frames on their way: enough that no hop waits for another, few enough to bound what waits in memory."""
TICK_S: Final = 0.01
SILENCE_S: Final = 120.0
ROLES: Final = {"match": ("match-orders",), "full": ("hold-funds", "match-orders")}
ANSWERS: Final = {
    "match": (EXECUTIONS, "execution_frame", ExecKind.NEW),  # a row an order
    "full": (ACCOUNT_EVENTS, "account_event_frame", AccountEventKind.TRADE),  # each order is of one lot: one row too
}
_BOOK_DTYPE: Final = FRAMES["book_command_frame"].dtype


@dataclass
class Flow:
    """Where orders go in and answers come out."""

    settings: Settings
    instruments: InstrumentTable
    path: str
    first_account: int
    run: str = field(default_factory=lambda: secrets.token_hex(3))
    sent: int = 0

    def __post_init__(self) -> None:
        self._producer: Any = None
        if self.path == "match":
            kafka = {"bootstrap.servers": self.settings.kafka_url, "acks": "all", "message.max.bytes": FRAME_BYTES_MAX, "linger.ms": 0}
            self._producer = Producer(kafka)
            self._offset = time.time_ns()  # of a source that no shard is; higher in each run, so that nobody drops the frames as old
        else:
            self._producer = OrderProducer(self.settings.kafka_url, self.instruments, buffer_rows_max=4_000_000)

    def send(self, count: int) -> None:
        """The next orders as one frame."""
        row = np.arange(self.sent, self.sent + count)
        self.sent += count
        if self.path == "match":
            rows = self._columns(np.zeros(count, _BOOK_DTYPE), row, BookCommandKind.NEW_ORDER)
            rows["order_id"], rows["transact_time"] = (self._offset << 1) % (1 << 43) + row, time.time_ns()
            self._offset += 1
            header = Header("account.commands/1000000", self._offset, 0, 0, time.time_ns())
            self._producer.produce(BOOK_COMMANDS.name, encode_frame("book_command_frame", header, rows), partition=0)
            self._producer.poll(0)
        else:
            rows = self._columns(np.zeros(count, ROW_DTYPE), row, CommandKind.NEW_ORDER)
            self._producer.new_orders(rows, np.char.add(f"{self.run}-", row.astype("U10")).astype("S"))

    def _columns(self, rows: Rows, row: Rows, kind: int) -> Rows:
        numbers = np.array(sorted(self.instruments.by_number))
        rows["kind"], rows["ord_type"], rows["time_in_force"], rows["order_qty"] = kind, OrdType.LIMIT, TimeInForce.DAY, 1
        rows["side"] = np.where(row % 2 == 0, Side.SELL, Side.BUY)
        rows["instrument"] = numbers[row // 2 % len(numbers)]
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
        self._consumer.assign([TopicPartition(topic.name, partition, offset) for partition, offset in starts.items()])
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


def throughput(flow: Flow, seconds: float, frame_rows: int) -> dict[str, object]:
    """WINDOW frames on their way for so long, then until all is answered."""
    answers = Answers(flow.settings, *ANSWERS[flow.path])
    began, before, sent, heard = time.perf_counter(), cpu_seconds(flow.settings), 0, time.perf_counter()
    while (now := time.perf_counter()) - began < seconds or answers.count < sent:
        while now - began < seconds and sent - answers.count < WINDOW * frame_rows:
            flow.send(frame_rows)
            sent += frame_rows
        if answers.poll(0.05):
            heard = time.perf_counter()
        elif time.perf_counter() - heard > SILENCE_S:
            raise SystemExit(f"only {answers.count} of {sent} orders were answered, and nothing for {SILENCE_S:g} s")
    took, after = time.perf_counter() - began, cpu_seconds(flow.settings)
    answers.close()
    trades = sent // 2
    return {
        "bench": "pipeline", "path": flow.path, "orders": sent, "trades": trades, "seconds": round(took, 2), "orders_per_s": round(sent / took),
        "trades_per_s": round(trades / took), "frame_rows": frame_rows,
        "cpu_us_per_trade": {name: round((after[name] - spent) / trades * 1e6, 2) for name, spent in before.items() if name in after},
        "load_average": round(os.getloadavg()[0], 1),
    }  # fmt: skip


def latency(flow: Flow, rate: int, seconds: float) -> dict[str, object]:
    """Open loop: in each tick the orders that were due in it, whatever has been answered."""
    answers = Answers(flow.settings, *ANSWERS["match"])
    total, sent, waits = round(rate * seconds), 0, []
    began = heard = time.perf_counter()
    while answers.count < total:
        now = time.perf_counter()
        due = min(total, int((now - began) * rate))
        if due - sent >= max(1, rate * TICK_S) or (due == total and due > sent):
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
        "bench": "pipeline-latency", "path": flow.path, "rate": rate, "orders": total, **quantiles, "orders_per_s": round(total / (heard - began)),
        "tick_ms": TICK_S * 1e3, "load_average": round(os.getloadavg()[0], 1),
    }  # fmt: skip


def measure(settings: Settings, path: str, seconds: float, frame_rows: int, rates: list[int]) -> Iterator[dict[str, object]]:
    """One path: throughput after a warm-up, then the latencies."""
    instruments = load_instruments(settings.instruments_file)
    first = 1_000_000 + secrets.randbelow(1_000_000_000)
    if path == "full":
        positions = dict.fromkeys(instruments.by_number, 10_000_000)
        open_accounts(settings, [Opening(first + n, 10**12 * MINOR_PER_UNIT, positions) for n in range(ACCOUNTS)])
    change_session(settings, Phase.CONTINUOUS)
    flow = Flow(settings, instruments, path, first)
    throughput(flow, min(5.0, seconds), frame_rows)
    if seconds:
        yield throughput(flow, seconds, frame_rows)
    for rate in rates:
        yield latency(flow, rate, 20.0)
    flow.close()


@click.command()
@click.option(
    "--home",
    type=click.Path(path_type=Path),
    help="Measure the set that runs there (it must have one shard of each kind); without it one is started.",
)
@click.option("--path", "paths", type=click.Choice(sorted(ROLES)), multiple=True, default=("match", "full"), show_default=True)
@click.option("--seconds", default=60.0, show_default=True, help="How long the throughput is sustained; 0 leaves it out.")
@click.option("--frame-rows", default=8_000, show_default=True, help="Orders in a frame.")
@click.option(
    "--rate", "rates", type=int, multiple=True, default=(10_000, 100_000, 500_000), show_default=True, help="Orders a second, open loop."
)
@click.option("--latency/--no-latency", "with_latency", default=True, help="Of the full path.")
def main(home: Path | None, paths: tuple[str, ...], seconds: float, frame_rows: int, rates: tuple[int, ...], with_latency: bool) -> None:
    """Orders and trades a second through Kafka and the shards, and how long an order takes."""
    for path in paths:
        with running_set(home, ROLES[path], ("kafka",)) as settings:
            for row in measure(settings, path, seconds, frame_rows, list(rates) if with_latency and path == "full" else []):
                print(json.dumps(row), flush=True)


assert ACCOUNT_COMMANDS.name == "account.commands", "the source of the frames"

if __name__ == "__main__":
    main()
