"""How far the copy of a second region is behind: from the append of a record in the first region until a reader of the copy has it, by topic.

    python tests/bench/bench_copy.py                           # 100 and 1,000 orders/s, 15 s each
    python tests/bench/bench_copy.py --rate 300 --seconds 60

Two exchanges on this machine: one trades, the other copies its log and follows (docs/regions.md). Orders come one by one, each in a record of its own; each
is an immediate-or-cancel that nobody meets. Brokers stamp in ms of this machine's clock. `step_ms` is the mean of what copy-log itself says of the same records:
wait (for the input that a frame names), append (until the broker of the copy has it). `behind_at_end_ms`: how long the copy took to have everything after
the last order was sent. One JSON line for each rate.
"""

import json
import os
import threading
import time
from collections import defaultdict
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final
from urllib.request import urlopen

import click
import numpy as np
from bench_failover import Load
from confluent_kafka import Consumer, TopicPartition
from harness.result_lines import commit, machine
from prometheus_client.parser import text_string_to_metric_families

from schemas.enums import Phase
from schemas.settings import Settings, load_settings
from schemas.units import MINOR_PER_UNIT
from streams.operate.accounts import Opening, open_accounts
from streams.operate.command_books import change_session
from streams.regions.commands import take_keys
from streams.regions.take_over import FOLLOWERS, ends_of
from streams.services.local_set import LocalSet
from streams.services.recipes.ports import choose
from topics.kafka_clients import native_client
from topics.roles import COPY_LOG

ROLES: Final = tuple(role.name for role in FOLLOWERS)
WARM_S: Final = 3.0
LEVEL_TIMEOUT_S: Final = 120.0


class Watch:
    """Reads the copy from now on, in a thread. lags_ms: by topic, of each record, when it was read less when the other region's broker had it."""

    def __init__(self, copy: Settings) -> None:
        self._consumer = Consumer(
            {**native_client(copy.kafka_url), "group.id": "bench", "enable.auto.commit": False, "fetch.wait.max.ms": 20}
        )
        self._consumer.assign([TopicPartition(*place, end) for place, end in ends_of(copy).items()])
        self.lags_ms: dict[str, list[float]] = defaultdict(list)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Ends the thread."""
        self._stop.set()
        self._thread.join()

    def _read(self) -> None:
        while not self._stop.is_set():
            first = self._consumer.poll(0.05)
            if first is None:
                continue
            now_ms = time.time() * 1_000
            for message in (first, *self._consumer.consume(1_000, 0)):
                if message.error() is None:
                    self.lags_ms[message.topic() or ""].append(now_ms - message.timestamp()[1])
        self._consumer.close()


def steps(away: LocalSet) -> dict[tuple[str, str], tuple[float, float]]:
    """(sum in s, count) by topic and step, as copy-log says."""
    status = away.status()
    address = next(child.address for child in status.children if child.name == COPY_LOG.name) if status is not None else ""
    found: dict[tuple[str, str], list[float]] = defaultdict(lambda: [0.0, 0.0])
    with urlopen(address + "/metrics", timeout=10) as answer:
        for family in text_string_to_metric_families(answer.read().decode()):
            for sample in family.samples if family.name == "outcry_copy_step_seconds" else ():
                if sample.name.endswith(("_sum", "_count")):
                    found[sample.labels["topic"], sample.labels["step"]][sample.name.endswith("_count")] = sample.value
    return {key: (value[0], value[1]) for key, value in found.items()}


def measure(away: LocalSet, there: Settings, here: Settings, rate: float, seconds: float) -> dict[str, Any]:
    """One rate."""
    load = Load(there, rate)
    load.start()
    time.sleep(WARM_S)
    before, watch = steps(away), Watch(here)
    time.sleep(seconds)
    load.stop()
    ended_s = time.monotonic()
    while ends_of(there) != ends_of(here):
        if time.monotonic() > ended_s + LEVEL_TIMEOUT_S:
            raise SystemExit(f"the copy is still not level {LEVEL_TIMEOUT_S:g} s after the last order")
        time.sleep(0.02)
    level_s, after = time.monotonic() - ended_s, steps(away)
    watch.stop()
    means: dict[str, dict[str, float]] = defaultdict(dict)
    for (topic, step), (total, count) in after.items():
        total_before, count_before = before.get((topic, step), (0.0, 0.0))
        if count > count_before:
            means[step][topic] = round((total - total_before) / (count - count_before) * 1_000, 1)
    every = np.array([lag for lags in watch.lags_ms.values() for lag in lags])
    return {
        "rate_per_s": rate, "sent_per_s": round(load.sent / (seconds + WARM_S)), "records": len(every), "lag_p50_ms": _at(every, 50), "lag_p99_ms": _at(every, 99),
        "lag_max_ms": _at(every, 100), "behind_at_end_ms": round(level_s * 1_000),
        "lag_p99_ms_by_topic": {topic: _at(np.array(lags), 99) for topic, lags in sorted(watch.lags_ms.items())},
        "step_ms": {step: dict(sorted(of.items())) for step, of in sorted(means.items())},
    }  # fmt: skip


def _at(lags_ms: np.ndarray[Any, Any], percent: float) -> float:
    return round(float(np.percentile(lags_ms, percent)), 1)


@click.command(help=__doc__.replace("\n\n", "\n\n\b\n"))
@click.option(
    "--rate",
    "rates",
    multiple=True,
    type=click.FloatRange(1),
    default=(100.0, 1_000.0),
    show_default=True,
    help="Orders a second; may be repeated.",
)
@click.option("--seconds", default=15.0, show_default=True, type=click.FloatRange(1), help="Of each rate.")
def main(rates: tuple[float, ...], seconds: float) -> None:
    """See the head of this file."""
    with TemporaryDirectory(prefix="outcry-copy-") as scratch:
        homes = {name: Path(scratch) / name for name in ("home", "away")}
        addresses = {name: f"127.0.0.1:{choose(home / 'data', ['kafka.client'])['kafka.client']}" for name, home in homes.items()}
        given, where = load_settings(), {"machine": machine(), "commit": commit()}
        home = LocalSet(given.model_copy(update={"home": homes["home"], "copied_to": addresses["away"]}), bound=True)
        away = LocalSet(given.model_copy(update={"home": homes["away"], "copies_from": addresses["home"], "region": 2}), bound=True)
        with home.running(("kafka",), ROLES) as there:
            take_keys(away.settings, there.record_keys_dir)
            with away.running(("kafka",), (*ROLES, COPY_LOG.name)) as here:
                change_session(there, Phase.CONTINUOUS)
                open_accounts(there, [Opening(1, 1_000_000_000 * MINOR_PER_UNIT, {})])
                for rate in rates:
                    print(
                        json.dumps({**measure(away, there, here, rate, seconds), **where, "load_average": round(os.getloadavg()[0], 1)}),
                        flush=True,
                    )


if __name__ == "__main__":
    main()
