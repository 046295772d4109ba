"""What an optional role costs trading: `python tests/bench/bench_pipeline.py --beside ROLE`. Rounds with and without it take turns in one running set."""

import json
import os
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final
from urllib.error import URLError
from urllib.request import urlopen

import psutil

from schemas.settings import Settings
from streams.services.recipes.recipe import dying_with_parent
from streams.services.supervision.supervisor import ROLE_NICENESS
from topics.roles import AUDIT_LOG

CAUGHT_UP_S: Final = 300.0
LOOK_S: Final = 0.2


def prepare(settings: Settings, role: str) -> None:
    """What the role needs before it can start."""
    if role == AUDIT_LOG.name:
        _outcry(settings, "audit", "keys", "create", "--name", "bench.example/audit").wait()


def _outcry(settings: Settings, *words: str, niceness: int = 0) -> subprocess.Popen[bytes]:
    """In a session of its own: where Linux weighs sessions, the niceness is that of the session."""
    given = {"OUTCRY_HOME": str(settings.home), "OUTCRY_KAFKA_URL": settings.kafka_url}
    command = dying_with_parent([sys.executable, "-m", "streams", *words], niceness)
    return subprocess.Popen(command, env={**os.environ, **given}, stdout=subprocess.DEVNULL, start_new_session=True)


@contextmanager
def _running(settings: Settings, role: str) -> Iterator[psutil.Process]:
    """The role with the weight that the supervisor gives it, once it has read all that was there."""
    process = _outcry(settings, "worker", role, niceness=ROLE_NICENESS.get(role, 0))
    try:
        _wait_until_caught_up(settings, role, process)
        yield psutil.Process(process.pid)
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(60)


def _wait_until_caught_up(settings: Settings, role: str, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + CAUGHT_UP_S
    while _lag(settings, role) != 0:
        if process.poll() is not None or time.monotonic() > deadline:
            raise SystemExit(f"{role} has ended, or has not caught up within {CAUGHT_UP_S:g} s")
        time.sleep(LOOK_S)


def _lag(settings: Settings, role: str) -> int | None:
    """Records; None while it does not say."""
    try:
        port = json.loads((settings.run_dir / f"{role}.json").read_text())["port"]
        with urlopen(f"http://{settings.worker_host}:{port}/readyz", timeout=10) as answer:
            found = json.loads(answer.read()).get("lag_records")
    except (OSError, URLError, ValueError, KeyError):
        return None
    return None if found is None else int(found)


def paired(settings: Settings, role: str, pairs: int, run: Callable[[], dict[str, Any]]) -> dict[str, object]:
    """Pairs of rounds, each other pair the other way round, so that what slows the machine down slows both. cost: 1 - with / without, trades per second."""
    found: dict[str, list[dict[str, Any]]] = {"with": [], "without": []}
    cpu_s = 0.0
    for pair in range(pairs):
        for which in ("without", "with") if pair % 2 == 0 else ("with", "without"):
            if which == "without":
                found[which].append(run())
                continue
            with _running(settings, role) as process:
                before = process.cpu_times()
                found[which].append(run())
                after = process.cpu_times()
                cpu_s += after.user + after.system - before.user - before.system
    rates = {which: [row["trades_per_s"] for row in rows] for which, rows in found.items()}
    costs = [1 - slowed / free for slowed, free in zip(rates["with"], rates["without"], strict=True)]
    trades = sum(row["trades"] for row in found["with"])
    return {
        "role": role, "pairs": pairs, "trades_per_s": rates["without"], "trades_per_s_beside": rates["with"],
        "cost_percent": [round(100 * one, 1) for one in costs], "cost_percent_median": round(100 * statistics.median(costs), 1),
        "cpu_us_per_trade": round(cpu_s / trades * 1e6, 2),
    }  # fmt: skip
