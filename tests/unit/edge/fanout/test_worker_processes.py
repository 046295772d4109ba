"""Fan-out workers as children: real processes, but of a program that only does what each test needs of a worker. And what a worker serves."""

import asyncio
import json
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest
from prometheus_client import CollectorRegistry, generate_latest
from structlog.testing import capture_logs
from support.served_edge import served, until

from edge import worker_processes
from edge.fanout_worker import ROUTES
from edge.native.desk import DESK
from edge.worker_processes import WorkerProcesses
from edge.worker_reports import Report, WorkersCollector
from schemas.settings import Settings
from streams.services.supervision import probes

WORKER = """
import json, os, signal, sys, time
settings = json.loads(sys.stdin.readline())
open(f"{settings['home']}/started-{sys.argv[1]}-{os.getpid()}", "w").write(str(settings["edge_fanout_port"]))
if os.path.exists(f"{settings['home']}/fails"):
    sys.exit(3)
print("a library says something", flush=True)
line = REPORT
while True:
    print(line, flush=True)
    if os.path.exists(f"{settings['home']}/silent-{os.getpid()}"):
        time.sleep(1_000)
    time.sleep(0.005)
"""


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Workers of the program above, and short times; a home."""
    program = tmp_path / "worker.py"
    program.write_text(WORKER.replace("REPORT", repr(Report(ready=1, sockets=7, delivered=12).line().decode().strip())))
    start = asyncio.create_subprocess_exec

    async def start_ours(_: str, *arguments: str, **options: Any) -> asyncio.subprocess.Process:
        assert arguments[:2] == ("-m", "edge.fanout_worker")
        return await start(sys.executable, str(program), *arguments[2:], **options)

    monkeypatch.setattr(asyncio, "create_subprocess_exec", start_ours)
    monkeypatch.setattr(worker_processes, "RESTART_FIRST_S", 0.01)
    monkeypatch.setattr(worker_processes, "REPORT_EVERY_S", 0.1)
    return tmp_path


@asynccontextmanager
async def running(home: Path, count: int) -> AsyncIterator[WorkerProcesses]:
    """So many."""
    workers = WorkerProcesses(Settings(home=home, edge_fanout_workers=count, edge_fanout_port=0))
    task = asyncio.create_task(workers.run())
    try:
        yield workers
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def pids(home: Path, number: str = "*") -> list[int]:
    """Of all that were ever started, or of those of a number."""
    return [int(one.name.rpartition("-")[2]) for one in home.glob(f"started-{number}-*")]


def ports(home: Path) -> set[int]:
    """That they were given."""
    return {int(one.read_text()) for one in home.glob("started-*")}


async def test_a_worker_that_is_killed_is_started_again_and_all_end_with_the_edge(quick: Path) -> None:
    """The others go on."""
    async with running(quick, 2) as workers:
        await until(lambda: workers.summary() == {"workers": 2, "ready": 2, "websockets": 14}, "both tell of themselves")
        assert ports(quick) == {workers.port}, "they share it"
        os.kill(pids(quick, "0")[0], signal.SIGKILL)
        await until(lambda: workers.starts == {0: 2, 1: 1} and workers.summary()["ready"] == 2, "a new one is there")
    assert not any(psutil.pid_exists(pid) for pid in pids(quick))


@pytest.mark.parametrize("how", ["stopped", "stuck"])
async def test_a_worker_that_tells_nothing_any_more_is_replaced(quick: Path, monkeypatch: pytest.MonkeyPatch, how: str) -> None:
    """The kernel goes on giving it connections, so it must not stay."""
    monkeypatch.setattr(worker_processes, "SILENT_REPORTS", 3)
    async with running(quick, 1) as workers:
        await until(lambda: workers.summary()["ready"] == 1, "it tells of itself")
        (pid,) = pids(quick)
        if how == "stopped":
            os.kill(pid, signal.SIGSTOP)
        else:
            (quick / f"silent-{pid}").touch()
        await until(lambda: workers.starts == {0: 2} and workers.summary()["ready"] == 1, "a new one is there")
        assert not psutil.pid_exists(pid)


async def test_a_worker_that_cannot_start_is_tried_less_and_less_often(quick: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And at once again when one has been ready."""
    (quick / "fails").touch()
    monkeypatch.setattr(worker_processes, "RESTART_MAX_S", 0.06)
    with capture_logs() as told:

        def waits() -> list[float]:
            return [one["restart_in_s"] for one in told if one["event"] == "fanout_worker_ended"]

        async with running(quick, 1) as workers:
            await until(lambda: len(waits()) >= 4, "it was tried four times")
            (quick / "fails").unlink()
            await until(lambda: workers.summary()["ready"] == 1, "now it can")
            tried = len(waits())
            os.kill(next(filter(psutil.pid_exists, pids(quick))), signal.SIGKILL)
            await until(lambda: len(waits()) > tried, "it has ended")
    assert (waits()[:4], waits()[tried]) == ([0.02, 0.04, 0.06, 0.06], 0.01)


async def test_without_workers_no_port_is_taken_and_nothing_is_shown(tmp_path: Path) -> None:
    """The default."""
    async with running(tmp_path, 0) as workers, served() as here:
        assert (workers.port, pids(tmp_path)) == (0, [])
        assert "fan_out" not in (await here.get("/readyz"))[1]


async def test_the_port_is_taken_before_there_is_a_worker_and_refused_where_somebody_has_it(tmp_path: Path) -> None:
    """A clear error instead of an edge whose workers nobody reaches."""
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        with pytest.raises(OSError, match="in use"):
            WorkerProcesses(Settings(home=tmp_path, edge_fanout_workers=1, edge_fanout_port=other.getsockname()[1]))


async def test_workers_are_shown_by_readyz_status_and_metrics() -> None:
    """What does not tell anything counts as not ready, and the edge as degraded, but ready: orders need no worker."""
    async with served() as here:
        here.state.workers = lambda: {"workers": 3, "ready": 2, "websockets": 12_345}
        _, body, _ = await here.get("/readyz")
        assert body["fan_out"] == {"workers": 3, "ready": 2, "websockets": 12_345}
        assert "fan-out workers" in body["degraded"]
    body["lag_records"] = None
    assert probes._fan_out(json.loads(json.dumps(body))) == ", 2 of 3 fan-out workers ready with 12,345 WebSockets"
    registry = CollectorRegistry()
    registry.register(WorkersCollector(lambda: {1: Report(sockets=5, delivered=70)}, lambda: {0: 4, 1: 1}))
    text = generate_latest(registry).decode()
    for line in ('sockets{worker="1"} 5.0', 'delivered_total{worker="1"} 70.0', 'starts_total{worker="0"} 4.0', 'ready{worker="1"} 0.0'):
        assert f"outcry_edge_fanout_worker_{line}" in text


def test_a_report_is_read_as_it_was_written_and_anything_else_is_none() -> None:
    """Libraries may print."""
    report = Report(ready=1, cpu_s=1.5, sockets=20_000)
    assert Report.read(report.line()) == report
    assert [Report.read(line) for line in (b"hello\n", b"[]\n", b"{}\n", b'{"ready": null}\n', b"\xff\n")] == [None] * 5


async def test_a_worker_tells_the_market_over_both_protocols_and_has_no_orders() -> None:
    """Its own routes, on the application that it makes; before it stops, native clients are told when to come back."""
    async with served(worker_routes=ROUTES) as worker:
        async with worker.client.ws_connect("/v2/iex") as alpaca:
            assert "connected" in (await alpaca.receive_str())
        async with worker.client.ws_connect("/ws/v1") as ws:
            assert "hello" in await ws.receive_str()
            for op, fields in (("order.open", {}), ("subscribe", {"channels": ["orders"]})):
                await ws.send_json({"id": 1, "op": op} | fields)
                assert (await ws.receive_json())["problem"]["code"] == "not_here"
            await ws.send_json({"id": 2, "op": "subscribe", "channels": ["trades.AAPL"]})
            assert (await ws.receive_json())["ok"]
            assert (await ws.receive_json())["snapshot"]
            worker.client.server.app[DESK].drain()
            assert (await ws.receive_json())["event"] == "serverShutdown"
        assert [(await worker.get(path))[0] for path in ("/v2/orders", "/v1/time", "/healthz")] == [404, 404, 200]
