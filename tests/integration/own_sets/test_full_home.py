"""The disk of OUTCRY_HOME is full for a while: parts of the set die of it, the supervisor does not, and all comes back by itself. A real small disk, in a mount namespace."""

import asyncio
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest
from confluent_kafka import Producer
from support.own_disk import run_on_own_disk

from schemas.settings import Settings
from streams.services.commands import probe_all
from streams.services.local_set import LocalSet
from streams.services.recipes.ports import choose
from streams.services.state import SERVICES, ChildStatus, State

pytestmark = pytest.mark.integration
WAIT_S = 150.0
SIZE_MIB = 1_500
KILLED = ("valkey", "mariadb", "match-orders")
ROLES = ("match-orders", "persist-mysql", "persist-elasticsearch", "edge")


def test_a_set_whose_home_was_full_comes_back_by_itself(tmp_path: Path) -> None:
    """Every service and role is ready, and answers, once there is room."""
    ended = run_on_own_disk(__file__, tmp_path, f"{SIZE_MIB}m", timeout_s=900)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert ended.stdout.endswith("back\n")


def _when(condition: Callable[[], bool], what: Callable[[], object]) -> None:
    deadline_s = time.monotonic() + WAIT_S
    while not condition():
        assert time.monotonic() < deadline_s, f"not within {WAIT_S:g} s: {what()}"
        time.sleep(0.2)


def _keep_full(ballast: Path, enough: threading.Event) -> None:
    """Also of what the dead leave behind."""
    with ballast.open("wb", buffering=0) as handle:
        for size in (1 << 20, 4_096):
            with suppress(OSError):
                while True:
                    handle.write(bytes(size))
        while not enough.is_set():
            with suppress(OSError):
                handle.write(bytes(4_096))
            time.sleep(0.001)
    ballast.unlink()


def _status(home: Path) -> subprocess.CompletedProcess[str]:
    env = {**os.environ, "OUTCRY_HOME": str(home)}
    return subprocess.run([sys.executable, "-m", "streams", "status"], env=env, capture_output=True, text=True, check=False)


def _index(url: str) -> int:
    """Index a document; the status of the answer, 0 if none came."""
    question = urllib.request.Request(
        f"{url}/full-home/_doc?timeout=2s", json.dumps({"text": os.urandom(50_000).hex()}).encode(), {"Content-Type": "application/json"}
    )
    try:
        with urllib.request.urlopen(question, timeout=10) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code
    except OSError:
        return 0


def _through_it(home: Path) -> None:
    local = LocalSet(Settings(home=home, edge_port=choose(home / "data", ["edge"])["edge"]))

    def children() -> dict[str, ChildStatus]:
        status = local.status()
        return {child.name: child for child in status.children} if status else {}

    def all_ready() -> bool:
        there = children()
        return there.keys() >= {*SERVICES, *ROLES} and all(child.state is State.READY for child in there.values())

    def all_back() -> bool:
        return all_ready() and not any(children()[name].pid == before[name].pid for name in ("kafka", *KILLED))

    with local.running(roles=ROLES) as settings:
        assert _index(settings.elasticsearch_url) == 201
        supervisor, before = local.running_pid(), children()
        enough = threading.Event()
        filling = threading.Thread(target=_keep_full, args=(home / "ballast", enough))
        filling.start()
        try:
            _when(lambda: shutil.disk_usage(home).free < 1 << 20, lambda: shutil.disk_usage(home))
            producer = Producer({"bootstrap.servers": settings.kafka_url, "log_level": 0, "message.timeout.ms": 5_000})
            broker = before["kafka"].pid
            assert broker is not None

            def broker_died() -> bool:
                with suppress(BufferError):
                    producer.produce("book.commands", os.urandom(500_000), partition=0)  # no record of ours: a dead letter
                producer.poll(0)
                return not Path(f"/proc/{broker}").exists()

            _when(broker_died, lambda: "the broker has died of it")
            refused = [_index(settings.elasticsearch_url) for _ in range(12)]
            assert 201 not in refused[6:], refused
            for name in KILLED:
                pid = before[name].pid
                assert pid is not None
                with suppress(ProcessLookupError):  # the disk was quicker
                    os.kill(pid, signal.SIGKILL)
            told = _status(home)
            assert told.returncode == 1
            assert f"the disk of {home} is full" in told.stdout, told.stdout + told.stderr
            time.sleep(10)  # how long it is full is the fault, not a wait for something
        finally:
            enough.set()
            filling.join()
        _when(all_back, lambda: {name: (child.state, child.message) for name, child in children().items()})
        assert local.running_pid() == supervisor

        def all_answer() -> bool:
            return not any(said.startswith("no") for said in asyncio.run(probe_all(local.status(), settings)).values())

        _when(all_answer, lambda: asyncio.run(probe_all(local.status(), settings)))
        _when(lambda: _index(settings.elasticsearch_url) == 201, lambda: "documents are taken again")
    sys.stdout.write("back\n")


if __name__ == "__main__":
    _through_it(Path(sys.argv[1]))
