"""`outcry demo` as a user runs it: a short session on services and roles of its own, and the verdict."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import IO, Any

import psutil
import pytest

FIELDS = {
    "orders_accepted", "orders_rejected", "trades", "trades_mysql", "trades_elasticsearch", "trades_websocket", "last_price_mismatches",
    "money_conserved", "shares_conserved", "alerts", "order_to_execution_ms", "price_update_ms", "reconciled",
}  # fmt: skip


def run_demo(home: Path, *arguments: str) -> tuple[subprocess.CompletedProcess[str], dict[str, Any]]:
    """The finished process and its summary."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("OUTCRY_")}
    command = [sys.executable, "-m", "streams", "demo", "--home", str(home), *arguments]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=3_600, check=False)
    assert (home / "summary.json").exists(), done.stdout[-3_000:] + done.stderr[-3_000:]
    return done, json.loads((home / "summary.json").read_text())


@pytest.mark.slow
def test_a_short_session_reconciles_everywhere(tmp_path: Path) -> None:
    """Exit code 0, every figure there, the manipulator caught, nothing left running."""
    done, summary = run_demo(tmp_path / "home", "--seconds", "10", "--traders", "24", "--rate", "60", "--seed", "3")
    assert done.returncode == 0, "\n".join(summary["disagreements"]) + done.stdout[-3_000:]
    assert summary.keys() >= FIELDS and summary["reconciled"] and not summary["disagreements"]
    assert summary["trades"] == summary["trades_mysql"] == summary["trades_elasticsearch"] == summary["trades_websocket"] > 0
    assert summary["alerts"] >= 1 and summary["money_conserved"] and summary["shares_conserved"] and summary["last_price_mismatches"] == 0
    assert summary["order_to_execution_ms"]["samples"] > 0 and summary["price_update_ms"]["samples"] > 0
    assert "everything agrees" in done.stdout
    assert not (tmp_path / "home" / "run" / "services.json").exists(), "the set was stopped"


HANGS_S = 900
"""Far more than anything takes on a busy machine."""


def of_home(home: Path) -> list[psutil.Process]:
    """Every process that works for this home, by its environment: the supervisor, services, roles, and what they have started themselves."""
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if process.environ().get("OUTCRY_HOME") == str(home) and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
    return found


@contextlib.contextmanager
def started_demo(home: Path) -> Any:
    """A demo that goes on for ever, in a session of its own; what is left of it at the end is killed."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("OUTCRY_")}
    command = [sys.executable, "-m", "streams", "demo", "--home", str(home), "--seconds", "3600", "--traders", "10", "--rate", "20"]
    demo = subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True,
        preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_DFL),  # the demo leaves it ignored, as nohup wants, where the tests run under it
    )  # fmt: skip
    try:
        yield demo
    finally:
        demo.kill()
        demo.wait()
        for process in of_home(home):
            with contextlib.suppress(psutil.Error):
                process.kill()


def read_until(output: IO[str], words: str) -> str:
    """Its lines up to the one with these words."""
    lines = []
    for line in output:
        lines.append(line)
        if words in line:
            return "".join(lines)
    raise AssertionError("".join(lines))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("phase", "number"),
    [
        ("kafka ", signal.SIGTERM),
        ("mariadb                ready", signal.SIGINT),
        ("orders (", signal.SIGHUP),
    ],
    ids=["services starting", "kernels and topics", "trading, terminal gone"],
)
def test_a_demo_that_is_told_to_end_leaves_nothing_behind(tmp_path: Path, phase: str, number: signal.Signals) -> None:
    """In any phase: a sentence, the exit code of the signal, and not one process more. TERM while it trades: see the next test."""
    home = tmp_path / "home"
    with started_demo(home) as demo:
        read_until(demo.stdout, phase)
        assert of_home(home), "something runs, so something must be stopped"
        demo.send_signal(number)
        said = demo.communicate(timeout=HANGS_S)[0]
        assert demo.returncode == 128 + number, said
        assert not of_home(home)
        assert f"interrupted ({number.name}): stopping everything that was started" in said and "everything is stopped" in said


@pytest.mark.slow
def test_a_second_signal_kills_what_the_first_one_stops(tmp_path: Path) -> None:
    """Nobody has to wait for an orderly end, and nothing is left all the same."""
    home = tmp_path / "home"
    with started_demo(home) as demo:
        read_until(demo.stdout, "orders (")
        demo.send_signal(signal.SIGTERM)
        read_until(demo.stdout, "interrupted (SIGTERM)")
        demo.send_signal(signal.SIGTERM)
        said = demo.communicate(timeout=HANGS_S)[0]
        assert demo.returncode == 128 + signal.SIGTERM, said
        assert not of_home(home)


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a process that its parent has died")
@pytest.mark.parametrize("phase", ["kafka ", "orders ("], ids=["starting", "trading"])
def test_the_set_of_a_demo_that_was_killed_stops_by_itself(tmp_path: Path, phase: str) -> None:
    """The supervisor notices, starts no role more, and stops what runs in order."""
    home = tmp_path / "home"
    with started_demo(home) as demo:
        read_until(demo.stdout, phase)
        demo.kill()
        deadline = time.monotonic() + HANGS_S
        while left := of_home(home):
            assert time.monotonic() < deadline, [process.cmdline() for process in left]
            time.sleep(0.1)
        log = (home / "log" / "supervisor.log").read_text()
        if "supervisor.stopping" in log:
            assert "child.started" not in log.split("supervisor.stopping", 1)[1]
