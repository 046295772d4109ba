"""The edge's fan-out workers as child processes: started, watched, started again when one ends or falls silent, ended with the edge."""

import asyncio
import socket
import sys
from contextlib import suppress
from pathlib import Path
from typing import Final

import structlog

from edge.fanout.limits import DRAIN_S
from edge.gateway.limits import SHUTDOWN_GRACE_S
from edge.worker_reports import REPORT_BYTES_MAX, REPORT_EVERY_S, Report
from schemas.settings import Settings

log = structlog.get_logger(__name__)

RESTART_FIRST_S: Final = 0.5
RESTART_MAX_S: Final = 30.0
"""A worker that ends by itself is started again after the first; each time that it ends before it was ready, after twice as long, up to the last."""
SILENT_REPORTS: Final = 15
STARTING_REPORTS: Final = 120
"""A worker that has missed so many reports in a row is stuck, and the kernel goes on giving it new connections, which wait: it is killed. Counted
in turns of our own clock, so that a machine that stood still makes nobody late. The second is for one that starts."""


def feed_path(settings: Settings) -> Path:
    """Where the edge's process feeds its workers."""
    return settings.run_dir.absolute() / f"edge-{settings.edge_instance}-feed.sock"


class WorkerProcesses:
    """As many as the settings say; none of them is the default."""

    def __init__(self, settings: Settings) -> None:
        """Keeps the port for them: bound, but not listened on, so the kernel gives its connections to the workers alone. Raises OSError."""
        self._kept: socket.socket | None = None
        self._settings = settings
        self._silent = dict[int, int]()
        self.reports = dict[int, Report]()
        """The newest of each that runs and has told one."""
        self.starts = dict.fromkeys(range(settings.edge_fanout_workers), 0)
        if settings.edge_fanout_workers:
            self._kept = socket.socket(socket.AF_INET6 if ":" in settings.edge_host else socket.AF_INET)
            self._kept.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            self._kept.bind((settings.edge_host, settings.edge_fanout_port))
            self._settings = settings.model_copy(update={"edge_fanout_port": self.port})

    @property
    def port(self) -> int:
        """That the workers listen on; 0 without workers."""
        return int(self._kept.getsockname()[1]) if self._kept is not None else 0

    def summary(self) -> dict[str, int]:
        """How many there are, how many are ready, and their WebSockets."""
        reports = self.reports.values()
        ready, sockets = sum(one.ready for one in reports), sum(one.sockets for one in reports)
        return {"workers": len(self.starts), "ready": int(ready), "websockets": int(sockets)}

    async def run(self) -> None:
        """Until cancelled: then all are told to end, and are waited for."""
        try:
            async with asyncio.TaskGroup() as group:
                for number in self.starts:
                    group.create_task(self._keep(number), name=f"fan-out-worker-{number}")
                group.create_task(asyncio.Event().wait())
        finally:
            if self._kept is not None:
                self._kept.close()

    async def _keep(self, number: int) -> None:
        wait_s = RESTART_FIRST_S
        while True:
            child = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "edge.fanout_worker", str(number),
                stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, limit=REPORT_BYTES_MAX,
            )  # fmt: skip
            self.starts[number] += 1
            log.info("fanout_worker_started", number=number, pid=child.pid)
            try:
                was_ready = await self._run_one(number, child)
            finally:
                self.reports.pop(number, None)
            wait_s = RESTART_FIRST_S if was_ready else min(RESTART_MAX_S, 2 * wait_s)
            log.warning("fanout_worker_ended", number=number, status=child.returncode, restart_in_s=wait_s)
            await asyncio.sleep(wait_s)

    async def _run_one(self, number: int, child: asyncio.subprocess.Process) -> bool:
        """Until it ends; whether it was ready before. Cancelled: it is told to end, and is waited for."""
        assert child.stdin is not None
        child.stdin.write(self._settings.model_dump_json().encode() + b"\n")
        self._silent[number] = 0
        watching = asyncio.create_task(self._watch(number, child))
        try:
            return await self._hear(number, child)
        except asyncio.CancelledError:
            await _end(child)
            raise
        finally:
            watching.cancel()

    async def _hear(self, number: int, child: asyncio.subprocess.Process) -> bool:
        assert child.stdout is not None
        was_ready = False
        while line := await child.stdout.readline():
            if (report := Report.read(line)) is not None:
                self.reports[number], self._silent[number] = report, 0
                was_ready |= bool(report.ready)
        await child.wait()
        return was_ready

    async def _watch(self, number: int, child: asyncio.subprocess.Process) -> None:
        """Kill it once it is stuck."""
        while self._silent[number] < (SILENT_REPORTS if number in self.reports else STARTING_REPORTS):
            await asyncio.sleep(REPORT_EVERY_S)
            self._silent[number] += 1
        log.error(
            "fanout_worker_silent", number=number, pid=child.pid, seconds=self._silent[number] * REPORT_EVERY_S, remedy="it is killed"
        )
        with suppress(ProcessLookupError):
            child.kill()


async def _end(child: asyncio.subprocess.Process) -> None:
    """TERM, and kill what does not end of it."""
    with suppress(ProcessLookupError):
        child.terminate()
    try:
        async with asyncio.timeout(DRAIN_S + SHUTDOWN_GRACE_S):
            await child.wait()
    except TimeoutError:
        log.warning("fanout_worker_killed", pid=child.pid, reason="it did not end in time")
        child.kill()
        await child.wait()
