"""Time without service when a process is killed: what a reader of `executions` sees while orders come in steadily.

    python tests/bench/bench_failover.py                                        # every case, 20 kills each: a quarter of an hour
    python tests/bench/bench_failover.py --case worker --tries 5
    python tests/bench/bench_failover.py --case replicas --rate 200 --plot var/bench/failover.png

In each try one process gets SIGKILL while `--rate` orders per second go to account.commands, spread over both book shards. The time without
service is the longest silence of any partition of executions between frames that the reader had not seen (a replica's second copies do not
count), from the kill until the killed process is back, has caught up, and `--after` seconds have passed: what its return costs is in it.
`quiet`: the same for `--quiet` seconds before each kill; frames come every 2 / rate s at best. `back`: from the kill until all is ready again.

    single    one worker: it is restarted, and nobody takes its place meanwhile
    worker    two workers share two book shards: the other takes over
    standby   the same with a standby copy of each table
    replicas  two active-active replicas, one worker each
    broker    three brokers; the leader of executions is killed
"""

import gc
import itertools
import json
import os
import secrets
import signal
import statistics
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final
from urllib.request import urlopen

import click
from confluent_kafka import Consumer, TopicPartition
from confluent_kafka.admin import AdminClient
from harness.failover_plot import draw
from harness.result_lines import print_result

from schemas.codec import decode_frame
from schemas.enums import Phase, Side, TimeInForce
from schemas.instruments import load_instruments
from schemas.settings import Settings, load_settings
from schemas.units import MINOR_PER_UNIT
from streams.operate.accounts import Opening, open_accounts
from streams.operate.command_books import change_session
from streams.process.record_keys import record_keys
from streams.services.local_set import LocalSet
from streams.services.state import State
from topics import OrderProducer
from topics.catalogue import BOOK_COMMANDS, EXECUTIONS
from topics.speakers import PRODUCER

ROLES: Final = ("hold-funds", "match-orders")
READY_TIMEOUT_S: Final = 180.0
WARM_S: Final = 5.0
"""What is measured begins with every process at its pace."""
LAG_MAX: Final = 20
"""A replica that is still catching up with what came while it was away is no replica yet."""


@dataclass(frozen=True)
class Case:
    """How the set is made, and who is killed."""

    brokers: int = 1
    workers: int = 1
    replicas: int = 1
    standby: int = 0
    victim: Callable[["Watch", int], str] = lambda watch, number: "match-orders"


def _alternate(*names: str) -> Callable[["Watch", int], str]:
    return lambda watch, number: names[number % len(names)]


CASES: Final = {
    "single": Case(),
    "worker": Case(workers=2, victim=_alternate("match-orders", "match-orders-2")),
    "standby": Case(workers=2, standby=1, victim=_alternate("match-orders", "match-orders-2")),
    "replicas": Case(replicas=2, victim=_alternate("match-orders", "match-orders-b")),
    "broker": Case(brokers=3, victim=lambda watch, number: watch.leader(number)),
}


@dataclass
class Watch:
    """Reads executions from now on, in a thread: when a frame came that was not there before, by partition; counts second copies."""

    settings: Settings
    partitions: int
    arrivals: list[list[float]] = field(default_factory=list)
    copies: int = 0
    _marks: dict[str, tuple[int, int]] = field(default_factory=dict)
    _stop: threading.Event = field(default_factory=threading.Event)
    _thread: threading.Thread | None = None

    def start(self) -> None:
        """From the end of the log."""
        consumer = Consumer({"bootstrap.servers": self.settings.kafka_url, "group.id": "bench", "enable.auto.commit": False,
                             "fetch.wait.max.ms": 10, "reconnect.backoff.ms": 20, "reconnect.backoff.max.ms": 100})  # fmt: skip
        ends = [consumer.get_watermark_offsets(TopicPartition(EXECUTIONS.name, p), timeout=10)[1] for p in range(self.partitions)]
        consumer.assign([TopicPartition(EXECUTIONS.name, p, end) for p, end in enumerate(ends)])
        self.arrivals = [[] for _ in range(self.partitions)]
        self._thread = threading.Thread(target=self._read, args=(consumer,), daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Ends the thread."""
        self._stop.set()
        assert self._thread is not None
        self._thread.join()

    def _read(self, consumer: Consumer) -> None:
        while not self._stop.is_set():
            message = consumer.poll(0.1)
            if message is None or message.error() is not None:
                continue
            header = decode_frame(message.value() or b"", "execution_frame").header
            mark = (header.source_offset, header.source_index)
            if mark <= self._marks.get(header.source, (-1, -1)):
                self.copies += 1
                continue
            self._marks[header.source] = mark
            self.arrivals[message.partition() or 0].append(time.monotonic())
        consumer.close()

    def silence_s(self, since: float, until: float, partition: int | None = None) -> float:
        """The longest time without a frame of any partition, or of this one, between two times."""
        longest = 0.0
        for arrivals in self.arrivals if partition is None else [self.arrivals[partition]]:
            times = [since, *(t for t in tuple(arrivals) if since <= t <= until), until]
            longest = max(longest, *(later - earlier for earlier, later in itertools.pairwise(times)))
        return longest

    def leader(self, number: int) -> str:
        """Child that leads a partition of executions."""
        admin = AdminClient({"bootstrap.servers": self.settings.kafka_url})
        found = admin.list_topics(EXECUTIONS.name, timeout=10).topics[EXECUTIONS.name].partitions
        node = found[number % len(found)].leader
        return "kafka" if node == 1 else f"kafka-{node}"


class Load:
    """Orders at a steady rate, in a thread, each an immediate-or-cancel that nobody meets: two executions, nothing left behind."""

    def __init__(self, settings: Settings, rate: float, linger_ms: int = 0) -> None:
        """linger_ms: orders of so long go into one frame."""
        self._settings, self._rate, self._linger_ms = settings, rate, linger_ms
        self.sent = 0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._send, daemon=True)
        self.late_ms_max = 0.0

    def start(self) -> None:
        """From now on."""
        self._thread.start()

    def stop(self) -> None:
        """Until now; every order is in the log then."""
        self._stop.set()
        self._thread.join()

    def _send(self) -> None:
        instruments = load_instruments(self._settings.instruments_file)
        symbols = [instruments.by_number[number] for number in sorted(instruments.by_number)[:2]]  # one of each book shard
        run, began, number = secrets.token_hex(3), time.monotonic(), 0
        with OrderProducer(
            self._settings.kafka_url,
            instruments,
            linger_ms=self._linger_ms,
            delivery_timeout_s=60,
            sign=record_keys(self._settings).signer(PRODUCER),
        ) as producer:
            while not self._stop.is_set():
                due = began + number / self._rate
                time.sleep(max(0.0, due - time.monotonic()))
                self.late_ms_max = max(self.late_ms_max, (time.monotonic() - due) * 1000)
                one = symbols[number % 2]
                producer.new_order(account=1, cl_ord_id=f"{run}-{number}", symbol=one.symbol, side=Side.BUY, order_qty=1,
                                   price=one.price_text(one.price_to_ticks(one.reference_price)), time_in_force=TimeInForce.IOC)  # fmt: skip
                number += 1
        self.sent = number


def wait_ready(local: LocalSet, name: str = "", old: int | None = None) -> None:
    """Until everything answers, `name` with another pid than `old`, and nobody has more than LAG_MAX records to catch up with; else SystemExit."""
    deadline = time.monotonic() + READY_TIMEOUT_S
    while True:
        status = local.status()
        children = status.children if status is not None else ()
        ready = bool(children) and all(child.state is State.READY and (child.name != name or child.pid != old) for child in children)
        if ready and all(_lag(child.address) <= LAG_MAX for child in children if child.kind == "role"):
            return
        if time.monotonic() > deadline:
            states = [(child.name, str(child.state), _lag(child.address) if child.kind == "role" else 0) for child in children]
            raise SystemExit(f"not ready again within {READY_TIMEOUT_S:g} s: {states}")
        time.sleep(0.05)


def _lag(address: str) -> int:
    """Records that a role is behind, by its own word; very many where it does not answer or know."""
    try:
        with urlopen(address + "/readyz", timeout=2) as answer:
            lag = json.load(answer)["lag_records"]
    except OSError:
        lag = None
    return 1 << 30 if lag is None else int(lag)


def kill(local: LocalSet, name: str) -> int:
    """SIGKILL to a child; the pid that it had."""
    status = local.status()
    assert status is not None
    pid = next(child.pid for child in status.children if child.name == name)
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    return pid


@dataclass(frozen=True)
class Try:
    """Seconds: without service, without service before the kill, until all was ready again."""

    silence_s: float
    quiet_s: float
    back_s: float


@dataclass(frozen=True)
class Pace:
    """Orders a second; seconds that are looked at before each kill, and after everything is back."""

    rate: float
    quiet_s: float
    after_s: float


def try_once(local: LocalSet, watch: Watch, victim: str, pace: Pace) -> Try:
    """One kill, in a set that is ready; it is ready again afterwards."""
    began = time.monotonic()
    time.sleep(pace.quiet_s)
    at = time.monotonic()
    pid = kill(local, victim)
    wait_ready(local, victim, pid)
    back = time.monotonic()
    time.sleep(pace.after_s)
    return Try(watch.silence_s(at, time.monotonic()), watch.silence_s(began, at), back - at)


def measure(name: str, case: Case, tries: int, pace: Pace, session_timeout_ms: int) -> dict[str, object]:
    """One case: `tries` kills."""
    with TemporaryDirectory(prefix="outcry-failover-") as scratch:
        settings = load_settings().model_copy(
            update={"home": Path(scratch), "book_shards": 2, "standby_replicas": case.standby, "session_timeout_ms": session_timeout_ms}
        )
        local = LocalSet(settings)
        counts = {"workers": {"match-orders": case.workers}, "replicas": {"match-orders": case.replicas}}
        with local.running(("kafka",), ROLES, case.brokers, **counts) as connected:
            change_session(connected, Phase.CONTINUOUS)
            open_accounts(connected, [Opening(1, 1_000_000_000 * MINOR_PER_UNIT, {})])
            watch, load = Watch(connected, 2), Load(connected, pace.rate)
            watch.start()
            load.start()
            wait_ready(local)
            time.sleep(WARM_S)
            done = []
            for number in range(tries):
                done.append(try_once(local, watch, case.victim(watch, number), pace))
                one = done[-1]
                print(f"# {name} {number}: {_ms(one.silence_s)} ms, quiet {_ms(one.quiet_s)} ms, back {one.back_s:.1f} s", flush=True)
            load.stop()
            watch.stop()
    return {
        "case": name, "tries": tries, "orders_per_s": pace.rate, **_figures("silence", [one.silence_s for one in done]),
        **_figures("quiet", [one.quiet_s for one in done]), **_figures("back", [one.back_s for one in done]), "second_copies": watch.copies,
        "generator_late_ms_max": round(load.late_ms_max), "session_timeout_ms": session_timeout_ms,
        "snapshot_interval_ms": settings.snapshot_interval_ms, "topic": BOOK_COMMANDS.name,
        "silence_ms": [_ms(one.silence_s) for one in done], "quiet_ms": [_ms(one.quiet_s) for one in done],
    }  # fmt: skip


def _figures(what: str, seconds: list[float]) -> dict[str, int]:
    return {f"{what}_ms_p50": _ms(statistics.median(seconds)), f"{what}_ms_max": _ms(max(seconds))}


def _ms(seconds: float) -> int:
    return round(seconds * 1000)


@click.command()
@click.option("--case", "cases", multiple=True, type=click.Choice(list(CASES)), help="Only these; may be repeated.")
@click.option("--tries", default=20, show_default=True, type=click.IntRange(1), help="Kills of each case.")
@click.option("--rate", default=100.0, show_default=True, help="Orders per second.")
@click.option("--quiet", "quiet_s", default=3.0, show_default=True, help="Seconds before each kill that are looked at.")
@click.option(
    "--after", "after_s", default=1.0, show_default=True, help="Seconds that are looked at once the killed process has caught up."
)
@click.option("--session-timeout-ms", default=3_000, show_default=True, help="OUTCRY_SESSION_TIMEOUT_MS of the workers.")
@click.option("--plot", type=click.Path(dir_okay=False, path_type=Path), help="Draw the tries of each case into this PNG.")
def main(
    cases: tuple[str, ...], tries: int, rate: float, quiet_s: float, after_s: float, session_timeout_ms: int, plot: Path | None
) -> None:
    """Time without service after kill -9, one JSON line per case."""
    gc.disable()  # a collection of the reader's would count as a silence; what it would free is little
    sys.setswitchinterval(0.0005)  # reader and generator are threads of one process
    rows = []
    for name in cases or CASES:
        rows.append(measure(name, CASES[name], tries, Pace(rate, quiet_s, after_s), session_timeout_ms))
        print_result("failover", rows[-1])
    if plot is not None:
        draw(rows, plot)


if __name__ == "__main__":
    main()
