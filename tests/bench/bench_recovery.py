"""Recovery on an empty machine: how long until an account shard and a book shard serve again whose tables are gone. JSON lines.

    python tests/bench/bench_recovery.py                                      # 1M accounts, 1M resting orders, three tries
    python tests/bench/bench_recovery.py --accounts 10000 --orders 10000 --tries 1
    python tests/bench/bench_recovery.py --keep-tables                        # instead: a worker that comes back to its own disk

Accounts are opened and orders posted through the log; each order rests in its book, and is an open order of its account. Once every input is behind a durable
snapshot, both roles are stopped, their table directories deleted, and both started again at the same time; meanwhile one order a TICK_S that trades at once is posted,
so that there is something to replay. `seconds`: from the start of the processes to the first trade of such an order in `executions`, and to its settlement in
`account.events`. By role, from its log: `start_s` process, imports and kernels; `changelog_s` joining the group and Faust's recovery of the table; `load_s` the
snapshot's pages out of the table, checked; `restore_s` the shard with its indexes, and its hash where the snapshot has one; `serve_s` from then to the trade
or settlement; `cpu_s` the processor time of it all. `changelog_mb`: what the broker keeps of the changelog, superseded pages that are not yet compacted away included; `snapshot_mb`: what of it counts.
"""

import secrets
import shutil
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import click
import numpy as np
import psutil
from confluent_kafka import Consumer, ConsumerGroupTopicPartitions, TopicPartition
from confluent_kafka.admin import AdminClient
from harness.result_lines import print_result

from schemas.codec import decode_frame
from schemas.enums import AccountEventKind, CommandKind, ExecKind, OrdType, Phase, Side, TimeInForce
from schemas.instruments import InstrumentTable, load_instruments
from schemas.settings import Settings, load_settings
from streams.demo.collect import end_offsets
from streams.host.snapshots import is_manifest
from streams.operate.command_books import change_session
from streams.process.record_keys import record_keys
from streams.services.local_set import LocalSet
from streams.services.state import State, read_wanted, write_wanted
from topics import OrderProducer
from topics.catalogue import ACCOUNT_COMMANDS, ACCOUNT_EVENTS, BOOK_COMMANDS, EXECUTIONS, Topic
from topics.producer import ROW_DTYPE
from topics.roles import changelog_topic
from topics.speakers import PRODUCER

INPUTS: Final[dict[str, tuple[Topic, str]]] = {"hold-funds": (ACCOUNT_COMMANDS, "accounts"), "match-orders": (BOOK_COMMANDS, "books")}
ROWS: Final = 16_000
TICK_S: Final = 0.05
SPREAD_TICKS: Final = 400
"""Resting orders are at so many prices of each side."""
TIMEOUT_S: Final = 1_200.0


@dataclass
class Market:
    """Who trades what: account n has cash and shares of every n-th instrument and one order there, sells above, buys below the reference price."""

    settings: Settings
    instruments: InstrumentTable
    accounts: int

    def rows(self, kind: CommandKind, first: int, count: int) -> np.ndarray[Any, Any]:
        """Commands of accounts first to first + count, beginning again behind the last account."""
        numbers = np.array(sorted(self.instruments.by_number))
        rows = np.zeros(count, ROW_DTYPE)
        at = np.arange(first, first + count)
        rows["kind"], rows["account"], rows["instrument"] = kind, 1 + at % self.accounts, numbers[at % self.accounts % len(numbers)]
        return rows

    def fill(self, orders: int) -> None:
        """Everything is in the log when this returns."""
        with OrderProducer(
            self.settings.kafka_url,
            self.instruments,
            buffer_rows_max=200_000,
            delivery_timeout_s=TIMEOUT_S,
            sign=record_keys(self.settings).signer(PRODUCER),
        ) as producer:
            for first in range(0, self.accounts, ROWS):
                rows = self.rows(CommandKind.ACCOUNT_UPDATE, first, min(ROWS, self.accounts - first))
                rows["cash"], rows["order_qty"], rows["request_id"] = 10**12, 1_000, 1
                _post(producer, rows, np.zeros(len(rows), "S1"))
            for first in range(0, orders, ROWS):
                _post(producer, *self.resting(first, min(ROWS, orders - first)))

    def resting(self, first: int, count: int) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
        """Orders that rest, and their names."""
        at = np.arange(first, first + count)
        rows = self.rows(CommandKind.NEW_ORDER, first, count)
        buys = at // len(self.instruments.by_number) % 2 == 0
        away = 1 + at // 7 % SPREAD_TICKS
        rows["ord_type"], rows["time_in_force"], rows["order_qty"] = OrdType.LIMIT, TimeInForce.GTC, 1
        rows["side"] = np.where(buys, Side.BUY, Side.SELL)
        rows["price"] = self.instruments.rules["reference_px"][rows["instrument"]] + np.where(buys, -away, away)
        return rows, np.char.add("resting-", at.astype("U10")).astype("S")


def _post(producer: OrderProducer, rows: np.ndarray[Any, Any], names: np.ndarray[Any, Any]) -> None:
    producer.new_orders(rows, names)
    producer.flush(TIMEOUT_S)


class Takers:
    """One order each TICK_S that takes the best buy of an instrument, each in its turn, in a thread, until stopped."""

    def __init__(self, market: Market) -> None:
        self._market, self._stop = market, threading.Event()
        self._thread = threading.Thread(target=self._send, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """No more."""
        self._stop.set()
        self._thread.join()

    def _send(self) -> None:
        market, run, number = self._market, secrets.token_hex(3), 0
        with OrderProducer(
            market.settings.kafka_url,
            market.instruments,
            linger_ms=0,
            delivery_timeout_s=120,
            sign=record_keys(market.settings).signer(PRODUCER),
        ) as producer:
            while not self._stop.wait(TICK_S):
                row = market.rows(CommandKind.NEW_ORDER, len(market.instruments.by_number) + number, 1)  # not the accounts of the best buys
                row["ord_type"], row["time_in_force"], row["order_qty"], row["side"] = OrdType.LIMIT, TimeInForce.IOC, 1, Side.SELL
                row["price"] = market.instruments.rules["reference_px"][row["instrument"]] - SPREAD_TICKS
                producer.new_orders(row, np.array([f"{run}-{number}".encode()]))
                number += 1


class FirstTrades:
    """When each partition of a topic, read from where it ends now, has its first trade; in a thread."""

    def __init__(self, settings: Settings, topic: Topic, schema: str, kind: int) -> None:
        self.at: dict[int, float] = {}
        ends = end_offsets(settings, topic)
        self._schema, self._kind, self._wanted, self._stop = schema, kind, len(ends), threading.Event()
        self._consumer = Consumer(
            {"bootstrap.servers": settings.kafka_url, "group.id": "bench", "enable.auto.commit": False, "fetch.wait.max.ms": 10}
        )
        self._consumer.assign([TopicPartition(topic.name, partition, offset) for (_, partition), offset in ends.items()])
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def there(self) -> bool:
        """Whether every partition had one."""
        return len(self.at) == self._wanted

    def _read(self) -> None:
        while not self.there() and not self._stop.is_set():
            message = self._consumer.poll(0.1)
            if message is not None and message.error() is None:
                rows = decode_frame(message.value() or b"", self._schema).rows
                if (rows["kind"] == self._kind).any():
                    self.at.setdefault(message.partition() or 0, time.time())
        self._consumer.close()

    def close(self) -> None:
        """Read no more."""
        self._stop.set()
        self._thread.join()


def wait_for(what: str, holds: Callable[[], bool], every_s: float = 0.1) -> None:
    """Until it holds; raises SystemExit after TIMEOUT_S."""
    deadline = time.monotonic() + TIMEOUT_S
    while not holds():
        if time.monotonic() > deadline:
            raise SystemExit(f"not so within {TIMEOUT_S:g} s: {what}")
        time.sleep(every_s)


def wait_durable(settings: Settings) -> None:
    """Until both roles have committed, hence stored, all that their inputs have now; first the account shard, whose outputs are the other's inputs."""
    admin = AdminClient({"bootstrap.servers": settings.kafka_url})
    for role, (topic, _) in INPUTS.items():
        ends = end_offsets(settings, topic)

        def committed(role: str = role, ends: dict[tuple[str, int], int] = ends) -> bool:
            group = f"outcry-{role}"
            answer = admin.list_consumer_group_offsets([ConsumerGroupTopicPartitions(group)])[group].result(timeout=30)
            found = {(tp.topic, tp.partition): tp.offset for tp in answer.topic_partitions or ()}
            return all(found.get(key, -1) >= end for key, end in ends.items())

        wait_for(f"{role} has stored its inputs", committed)


def stop_roles(local: LocalSet) -> None:
    """The services stay."""
    wanted = read_wanted(local.settings.run_dir)
    assert wanted is not None
    write_wanted(local.settings.run_dir, replace(wanted, roles=()))
    local._tell()
    wait_for(
        "the roles have ended", lambda: not any(child.name in INPUTS and child.state is not State.STOPPED for child in _children(local))
    )


def _children(local: LocalSet) -> tuple[Any, ...]:
    status = local.status()
    return status.children if status is not None else ()


def changelog(settings: Settings, role: str, table: str) -> dict[str, float]:
    """What the changelog of a role has: records and MB now, and MB of the pages and manifest that the newest records of their keys are."""
    name = changelog_topic(role, table)
    consumer = Consumer({"bootstrap.servers": settings.kafka_url, "group.id": "bench-changelog", "enable.auto.commit": False})
    low, high = consumer.get_watermark_offsets(TopicPartition(name, 0), timeout=30)
    consumer.assign([TopicPartition(name, 0, low)])
    records, size, newest, offset = 0, 0, dict[bytes, int](), low
    while offset < high:
        for message in consumer.consume(500, 1.0):
            key, value = message.key() or b"", message.value()
            records, offset = records + 1, (message.offset() or 0) + 1
            size += len(key) + len(value or b"")
            newest[key] = len(value or b"")
    consumer.close()
    return {
        "changelog_records": records, "changelog_mb": round(size / 1e6, 1), "snapshot_mb": round(sum(newest.values()) / 1e6, 1),
        "pages": sum(not is_manifest(key) and length > 0 for key, length in newest.items()),
    }  # fmt: skip


def split(local: LocalSet, role: str, served: float) -> dict[str, float]:
    """Where the time of a role went, by its log; and its processor time until now, which a busy machine changes less."""
    pid = next(child.pid for child in _children(local) if child.name == role)
    assert pid is not None
    process = psutil.Process(pid)
    began, spent = process.create_time(), process.cpu_times()
    prepared = opened = load_s = restore_s = 0.0
    for line in (local.settings.log_dir / f"{role}.log").read_text().splitlines():
        if not line.startswith("timestamp="):
            continue
        at = datetime.fromisoformat(line.split(" ", 1)[0].removeprefix("timestamp=")).timestamp()
        if at < began:
            continue
        prepared = at if "event=prepared" in line else prepared
        if 'event="partition opened"' in line:
            fields = dict(part.split("=", 1) for part in line.split() if "=" in part)
            opened, load_s, restore_s = at, float(fields["load_s"]), float(fields["restore_s"])
    return {
        "start_s": round(prepared - began, 2), "changelog_s": round(opened - load_s - restore_s - prepared, 2), "load_s": load_s,
        "restore_s": restore_s, "serve_s": round(served - opened, 2), "cpu_s": round(spent.user + spent.system, 2),
    }  # fmt: skip


def recover(local: LocalSet, market: Market, *, keep_tables: bool) -> tuple[float, float, float]:
    """Stop, lose the disk, start, until every shard of both roles serves; (seconds, time of the last first trade, of the last first settlement)."""
    settings = market.settings
    if not keep_tables:
        shutil.rmtree(settings.data_dir / "tables")
    trades = FirstTrades(settings, EXECUTIONS, "execution_frame", ExecKind.TRADE)
    postings = FirstTrades(settings, ACCOUNT_EVENTS, "account_event_frame", AccountEventKind.TRADE)
    takers = Takers(market)
    try:
        began = time.time()
        local.start(("kafka",), tuple(INPUTS))
        wait_for("an order was executed and settled by each shard", lambda: trades.there() and postings.there(), 0.01)
    finally:
        takers.stop()
        trades.close()
        postings.close()
    traded, settled = max(trades.at.values()), max(postings.at.values())
    return max(traded, settled) - began, traded, settled


def measure(local: LocalSet, market: Market, *, keep_tables: bool) -> dict[str, object]:
    """One try."""
    wait_durable(market.settings)
    stop_roles(local)
    logs = {role: changelog(market.settings, role, table) for role, (_, table) in INPUTS.items()}
    seconds, traded, settled = recover(local, market, keep_tables=keep_tables)
    return {
        "seconds": round(seconds, 2),
        "hold-funds": split(local, "hold-funds", settled) | logs["hold-funds"],
        "match-orders": split(local, "match-orders", traded) | logs["match-orders"],
    }  # fmt: skip


@click.command()
@click.option("--accounts", default=1_000_000, show_default=True, type=click.IntRange(100))
@click.option("--orders", default=1_000_000, show_default=True, type=click.IntRange(100), help="Resting orders.")
@click.option("--tries", default=3, show_default=True, type=click.IntRange(1))
@click.option("--keep-tables", is_flag=True, help="Do not delete the tables: the restart of a worker on its own machine.")
def main(accounts: int, orders: int, tries: int, keep_tables: bool) -> None:
    """Seconds until both shards serve again on an empty machine, one JSON line per try."""
    with TemporaryDirectory(prefix="outcry-recovery-") as scratch:
        local = LocalSet(load_settings().model_copy(update={"home": Path(scratch)}))
        with local.running(("kafka",), tuple(INPUTS)) as settings:
            market = Market(settings, load_instruments(settings.instruments_file), accounts)
            change_session(settings, Phase.CONTINUOUS)
            began = time.monotonic()
            market.fill(orders)
            print(f"# posted after {time.monotonic() - began:.0f} s", flush=True)
            wait_durable(settings)
            print(f"# durable after {time.monotonic() - began:.0f} s", flush=True)
            for number in range(tries):
                found = measure(local, market, keep_tables=keep_tables)
                given = {"accounts": accounts, "orders": orders, "try": number, "kept_tables": keep_tables}
                print_result("recovery", {**given, **found})


if __name__ == "__main__":
    main()
