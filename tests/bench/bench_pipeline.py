"""Orders a second through the log: producer -> account.commands -> hold-funds -> book.commands -> match-orders -> executions, read back.

    python tests/bench/bench_pipeline.py                          # Kafka and the two roles alone, started for it
    python tests/bench/bench_pipeline.py --home var/demo          # the set that runs there, with all its roles

Frames of 4,000 orders. In each symbol sells and buys alternate at one price, so half as many trades as orders come out. The clock runs
from the first frame handed to the producer until the last order's row was read from `executions`. One JSON line.
"""

import json
import os
import secrets
import time
from pathlib import Path

import click
import numpy as np
from confluent_kafka import Consumer, TopicPartition
from running_set import running_set

from schemas.codec import Rows, decode_frame
from schemas.enums import CommandKind, ExecKind, OrdType, Phase, Side, TimeInForce
from schemas.instruments import InstrumentTable, load_instruments
from schemas.settings import Settings
from schemas.units import MINOR_PER_UNIT
from streams.command_books import change_session
from streams.demo.collect import end_offsets
from streams.operate import Opening, open_accounts
from topics import OrderProducer
from topics.catalogue import EXECUTIONS
from topics.producer import ROW_DTYPE

ACCOUNTS = 1_000
FRAME_ROWS = 4_000
READ_TIMEOUT_S = 120.0


def orders(instruments: InstrumentTable, first_account: int, count: int, run: str) -> tuple[Rows, Rows]:
    """`count` limit orders of one lot and their ids: a sell and a buy of each symbol in turn, the accounts shuffled over them."""
    numbers = np.array(sorted(instruments.by_number))
    row = np.arange(count)
    rows = np.zeros(count, ROW_DTYPE)
    rows["kind"], rows["ord_type"], rows["time_in_force"], rows["order_qty"] = CommandKind.NEW_ORDER, OrdType.LIMIT, TimeInForce.DAY, 1
    rows["side"] = np.where(row % 2 == 0, Side.SELL, Side.BUY)
    rows["instrument"] = numbers[row // 2 % len(numbers)]
    rows["price"] = instruments.rules["reference_px"][rows["instrument"]]
    rows["account"] = first_account + np.random.default_rng(1).integers(0, ACCOUNTS, count)
    return rows, np.char.add(f"{run}-", row.astype("U9")).astype("S")


def read_back(settings: Settings, starts: dict[int, int], count: int) -> tuple[int, int]:
    """(orders in the book, trades) of the records of `executions` behind `starts`, once `count` orders are there."""
    consumer = Consumer(
        {
            "bootstrap.servers": settings.kafka_url,
            "group.id": "outcry-bench",
            "enable.auto.commit": False,
            "fetch.message.max.bytes": 8 << 20,
        }
    )
    consumer.assign([TopicPartition(EXECUTIONS.name, partition, offset) for partition, offset in starts.items()])
    news = trades = 0
    deadline = time.monotonic() + READ_TIMEOUT_S
    while news < count:
        if time.monotonic() > deadline:
            raise SystemExit(f"only {news} of {count} orders reached the book within {READ_TIMEOUT_S:g} s")
        message = consumer.poll(0.2)
        if message is not None and message.error() is None:
            kinds = decode_frame(message.value() or b"", "execution_frame").rows["kind"]
            news += int((kinds == ExecKind.NEW).sum())
            trades += int((kinds == ExecKind.TRADE).sum())
    consumer.close()
    return news, trades


def measure(settings: Settings, count: int, warm: int) -> dict[str, object]:
    """One measurement after a warm-up of `warm` orders."""
    instruments = load_instruments(settings.instruments_file)
    first = 1_000_000 + secrets.randbelow(1_000_000_000)
    positions = dict.fromkeys(instruments.by_number, 100_000)
    open_accounts(settings, [Opening(first + n, 1_000_000_000 * MINOR_PER_UNIT, positions) for n in range(ACCOUNTS)])
    change_session(settings, Phase.CONTINUOUS)
    took, trades, run = 0.0, 0, secrets.token_hex(3)
    with OrderProducer(settings.kafka_url, instruments, buffer_rows_max=max(count, warm) * 2) as producer:
        for phase, size in (("w", warm), ("m", count)):
            rows, ids = orders(instruments, first, size, run + phase)
            starts = {partition: offset for (_, partition), offset in end_offsets(settings, EXECUTIONS).items()}
            began = time.perf_counter()
            step = FRAME_ROWS * producer.account_shards  # split by shard it makes frames of about FRAME_ROWS
            for start in range(0, size, step):
                producer.new_orders(rows[start : start + step], ids[start : start + step])
            _, trades = read_back(settings, starts, size)
            took = time.perf_counter() - began
    return {
        "bench": "pipeline", "orders": count, "trades": trades, "seconds": round(took, 3), "orders_per_s": round(count / took),
        "trades_per_s": round(trades / took), "frame_rows": FRAME_ROWS, "load_average": round(os.getloadavg()[0], 1),
    }  # fmt: skip


@click.command()
@click.option("--home", type=click.Path(path_type=Path), help="Measure the set that runs there; without it one is started.")
@click.option("--orders", "count", default=400_000, show_default=True, help="Orders that are measured.")
@click.option("--warm", default=50_000, show_default=True, help="Orders before that.")
def main(home: Path | None, count: int, warm: int) -> None:
    """Orders a second through Kafka and both shards."""
    with running_set(home, ("hold-funds", "match-orders"), ("kafka",)) as settings:
        print(json.dumps(measure(settings, count, warm)), flush=True)


if __name__ == "__main__":
    main()
