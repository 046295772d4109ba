"""The supervisor with tiny programs for roles and no services: readiness, restart, order of events, files it leaves."""

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import psutil
import pytest

from schemas.errors import ServiceUnavailable, StaleData
from schemas.settings import Settings
from streams.services.recipes.recipe import run_tool
from streams.services.state import ChildStatus, SetStatus, State, Wanted, read_status, write_wanted
from streams.services.supervision.role_files import role_address
from streams.services.supervision.supervisor import Supervisor
from streams.services.supervision.topics_step import check_cluster

WAIT_S = 300.0
# A role as the worker writes it: an HTTP server that says ready, and its address in run_dir.
ROLE = """
import http.server, json, os, pathlib, sys
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200 if self.path == "/readyz" else 404); self.end_headers()
    def log_message(self, *args): pass
server = http.server.HTTPServer(("127.0.0.1", 0), Handler)
pathlib.Path(sys.argv[1]).write_text(json.dumps({"pid": os.getpid(), "port": server.server_port}))
print("serving", flush=True)
server.serve_forever()
"""


@asynccontextmanager
async def supervised(
    tmp_path: Path, roles: tuple[str, ...], topics: Callable[[str], Awaitable[None]]
) -> AsyncIterator[Callable[[], SetStatus]]:
    """A supervisor in this process. Yields a function that reads its status file."""
    settings = Settings(home=tmp_path)
    write_wanted(settings.run_dir, Wanted(services=(), roles=roles, external={"kafka_url": "kafka.example:9092"}))
    supervisor = Supervisor(settings, lambda role: [sys.executable, "-c", ROLE, str(settings.run_dir / f"{role}.json")], topics_work=topics)
    task = asyncio.create_task(supervisor.run())
    await asyncio.sleep(0)
    try:
        yield lambda: read_status(settings.run_dir) or SetStatus(0, "", (), Wanted())
    finally:
        os.kill(os.getpid(), signal.SIGTERM)  # as `outcry down` does; the supervisor of this process catches it
        async with asyncio.timeout(WAIT_S):
            await task


async def when(condition: Callable[[], bool]) -> None:
    """Return when the condition holds; fail after WAIT_S."""
    async with asyncio.timeout(WAIT_S):
        while not condition():  # noqa: ASYNC110 - the condition is in files and other processes
            await asyncio.sleep(0.02)


async def _no_topics(kafka_url: str) -> None:
    """For tests that are about something else."""


def states(status: SetStatus) -> dict[str, State]:
    """State by name."""
    return {child.name: child.state for child in status.children}


def child(status: SetStatus, name: str) -> ChildStatus:
    """One line of the status."""
    return next(found for found in status.children if found.name == name)


async def test_roles_start_after_the_topics_and_are_restarted_when_killed(tmp_path: Path) -> None:
    """Two roles become ready by their own word; a kill of one leaves the other alone."""
    asked: list[str] = []

    async def topics(kafka_url: str) -> None:
        assert "left" not in states(status()) or states(status())["left"] is not State.READY
        asked.append(kafka_url)

    async with supervised(tmp_path, ("left", "right"), topics) as status:
        everything = {"topics": State.READY, "left": State.READY, "right": State.READY}
        await when(lambda: states(status()) == everything)
        before = status()
        pid = child(before, "left").pid
        assert pid is not None
        os.kill(pid, signal.SIGKILL)
        await when(lambda: child(status(), "left").restarts == 1 and states(status()) == everything)
        assert child(status(), "left").last_exit == "killed by SIGKILL: serving"
        assert child(status(), "right").pid == child(before, "right").pid
        assert asked == ["kafka.example:9092"]
        assert json.loads((tmp_path / "run" / "services.json").read_text()) == {"kafka_url": "kafka.example:9092"}
        pids = [found.pid for found in status().children if found.pid]
    assert not any(psutil.pid_exists(pid) for pid in pids)
    assert not (tmp_path / "run" / "services.json").exists(), "nobody may find a set that is down"


async def test_a_role_that_is_wanted_later_is_added_and_one_no_longer_wanted_is_stopped(tmp_path: Path) -> None:
    """SIGHUP makes the supervisor look at wanted.json again; what runs goes on."""
    async with supervised(tmp_path, ("left",), _no_topics) as status:
        await when(lambda: states(status()).get("left") is State.READY)
        pid = child(status(), "left").pid
        write_wanted(tmp_path / "run", Wanted(services=(), roles=("left", "right")))
        os.kill(os.getpid(), signal.SIGHUP)
        await when(lambda: states(status()).get("right") is State.READY)
        assert child(status(), "left").pid == pid
        write_wanted(tmp_path / "run", Wanted(services=(), roles=("right",)))
        os.kill(os.getpid(), signal.SIGHUP)
        await when(lambda: "left" not in states(status()))
        assert pid is not None
        assert not psutil.pid_exists(pid)


async def test_no_role_starts_when_the_topics_cannot_be_created(tmp_path: Path) -> None:
    """The step says why, with the last line of its log."""

    async def topics(kafka_url: str) -> None:
        command = [sys.executable, "-c", "import sys; print('not authorised'); sys.exit(1)"]
        await asyncio.to_thread(run_tool, command, "creating topics", tmp_path / "topics.log")

    async with supervised(tmp_path, ("left",), topics) as status:
        await when(lambda: states(status()) == {"topics": State.FAILED, "left": State.FAILED})
        assert "exit code 1: not authorised" in child(status(), "topics").message
        assert "topics could not be created" in child(status(), "left").message


def test_state_of_another_kafka_cluster_is_refused(tmp_path: Path) -> None:
    """The first cluster is remembered, the same one accepted, another one refused with the way out."""
    check_cluster(tmp_path, "first")
    check_cluster(tmp_path, "first")
    with pytest.raises(StaleData, match=r"belongs to Kafka cluster first, .* cluster second: point OUTCRY_KAFKA_URL"):
        check_cluster(tmp_path, "second")


def test_the_address_of_a_role_is_only_believed_from_its_own_process(tmp_path: Path) -> None:
    """A file that the killed predecessor left must not make the new process look ready."""
    path = tmp_path / "edge.json"
    with pytest.raises(ServiceUnavailable, match="has not written"):
        role_address(path, 1)
    path.write_text('{"pid": 1, "port": 8080}')
    with pytest.raises(ServiceUnavailable, match="not yet of this process"):
        role_address(path, 2)
    assert role_address(path, 1) == "http://127.0.0.1:8080"
    path.write_text('{"pid": 1, "port": 8080, "host": "0.0.0.0"}')
    assert role_address(path, 1) == "http://127.0.0.1:8080"
    path.write_text('{"pid": 1, "port": 8080, "host": "10.0.0.7"}')
    assert role_address(path, 1) == "http://10.0.0.7:8080"


async def test_a_set_that_is_stopped_while_it_starts_waits_for_nothing_and_starts_nothing_more(tmp_path: Path) -> None:
    """Topics that never come keep nobody from stopping; a wish that comes afterwards starts nothing."""

    async def never(kafka_url: str) -> None:
        await asyncio.Event().wait()

    async with supervised(tmp_path, ("left",), never) as status:
        await when(lambda: states(status()).get("left") is State.PREPARING)
        os.kill(os.getpid(), signal.SIGTERM)
        os.kill(os.getpid(), signal.SIGHUP)
    assert child(status(), "left").state is State.STOPPED and not (tmp_path / "log" / "left.log").exists()
