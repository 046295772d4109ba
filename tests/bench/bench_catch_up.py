"""How fast a sink that is behind catches up through its role: `python tests/bench/bench_catch_up.py [--role persist-mysql] [--busy 8]`.

bench_sinks times `write_batch` on the frames of a busy exchange. This is the other case: many records of few rows, as an exchange writes them when it is not busy,
read from Kafka by the role itself. The log is that of bench_sinks. `--busy N` runs N endless loops meanwhile, each in a session of its own, as a machine that has
other work does. Prints a JSON line: events (rows of the log) and records per second from the last one's write until it is stored, and the processor time of role and store.
"""

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final
from urllib.error import HTTPError
from urllib.request import urlopen

import psutil
from bench_sinks import make_log
from confluent_kafka import Producer
from harness.result_lines import print_result

from schemas.codec import Frame, encode_frame
from schemas.settings import Settings
from sinks import Input
from streams.demo.chaos import child_of
from streams.process.record_keys import record_keys
from streams.services.local_set import LocalSet
from streams.services.recipes.recipe import dying_with_parent
from topics.sources import topic_named
from topics.speakers import shards_of

STORE_OF: Final = {"persist-mysql": "mariadb", "persist-elasticsearch": "elasticsearch"}
TOPICS: Final = ("executions", "account.events")
POLL_S: Final = 0.1


def post(settings: Settings, log: Mapping[str, Sequence[Input]]) -> tuple[int, int]:
    """Write the log, the topics in turn as things happen; (records, rows)."""
    producer = Producer({"bootstrap.servers": settings.kafka_url, "linger.ms": 50, "queue.buffering.max.messages": 1_000_000})
    keys = record_keys(settings)
    signers = {topic: keys.signer(shards_of(topic_named(topic))) for topic in TOPICS}
    records = rows = 0
    for group in zip(*(log[topic] for topic in TOPICS), strict=True):
        for one in group:
            frame = one.body
            assert isinstance(frame, Frame)
            value = encode_frame(frame.schema, frame.header, frame.rows, frame.cl_ord_id)
            producer.produce(one.topic, value, partition=one.partition, headers=signers[one.topic](one.topic, one.partition, value))
            records, rows = records + 1, rows + len(frame.rows)
        producer.poll(0)
    producer.flush()
    return records, rows


@contextmanager
def busy(loops: int) -> Iterator[None]:
    """So many endless loops, gone afterwards, and with this process however it ends."""
    loop = dying_with_parent([sys.executable, "-c", "while True: pass"])
    running = [subprocess.Popen(loop, start_new_session=True) for _ in range(loops)]
    try:
        yield
    finally:
        for one in running:
            one.kill()
            one.wait()


def told(address: str) -> dict[str, Any]:
    """What the role says on /readyz, also while it is not ready, and then its reason on standard error."""
    try:
        with urlopen(f"{address}/readyz", timeout=600) as answer:
            found: dict[str, Any] = json.load(answer)
    except HTTPError as error:
        found = json.load(error)
        print(f"not ready: {found['status']}; {found.get('inputs', 0)} records stored", file=sys.stderr)
    return found


def cpu_s(pid: int | None) -> float:
    """Processor time of a process so far."""
    times = psutil.Process(pid).cpu_times()
    return times.user + times.system


def catch_up(local: LocalSet, role: str, settings: Settings, log: Mapping[str, Sequence[Input]], loops: int) -> dict[str, Any]:
    """Write the whole log at once before a role that is ready, wait until it has stored everything."""
    store, child = child_of(local, STORE_OF[role]), child_of(local, role)
    assert store is not None and child is not None
    cpu_before = cpu_s(child.pid), cpu_s(store.pid)
    with busy(loops):
        records, rows = post(settings, log)
        began = time.monotonic()
        while (stats := told(child.address)).get("inputs", 0) < records:
            time.sleep(POLL_S)
        seconds = time.monotonic() - began
    return {
        "events_per_s": round(rows / seconds), "records_per_s": round(records / seconds), "records": records, "seconds": round(seconds, 2),
        "batches": stats["batches"], "role_cpu_s": round(cpu_s(child.pid) - cpu_before[0], 2),
        "store_cpu_s": round(cpu_s(store.pid) - cpu_before[1], 2),
    }  # fmt: skip


def main(arguments: Sequence[str]) -> None:
    """Start a set, fill its log, let the role catch up, stop it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--role", choices=STORE_OF, default="persist-elasticsearch")
    parser.add_argument("--records", type=int, default=8_000, help="of both topics together, four rows each")
    parser.add_argument("--busy", type=int, default=0, help="endless loops beside it")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="outcry-bench-", ignore_cleanup_errors=True) as home:
        local = LocalSet(Settings(home=Path(home)))
        with local.running(("kafka", STORE_OF[options.role]), (options.role,)) as settings:
            figures = catch_up(local, options.role, settings, make_log(options.records // 2, 1), options.busy)
    print_result("catch-up", {"role": options.role, "busy_loops": options.busy, **figures})


if __name__ == "__main__":
    os.environ.pop("OUTCRY_HOME", None)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    main(sys.argv[1:])
