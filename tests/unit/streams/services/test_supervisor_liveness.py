"""Children that are there and do not answer: stopped, with a blocked event loop, and those that only wait for a processor."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import psutil
import pytest

from schemas.errors import ServiceUnavailable
from streams.services.recipes.recipe import Command
from streams.services.state import ChildStatus, State
from streams.services.supervision import child as child_module
from streams.services.supervision import liveness, probes
from streams.services.supervision.child import Child
from streams.services.supervision.liveness import Silence

pytestmark = pytest.mark.slow

WAIT_S = 30.0
# As a role: one event loop that works and answers. SIGUSR1 sends it into work without an end.
SERVER = """
import asyncio, pathlib, signal, sys
async def answer(reader, writer):
    await reader.readuntil(b"\\r\\n\\r\\n")
    writer.write(b"HTTP/1.1 200 OK\\r\\nContent-Length: 0\\r\\nConnection: close\\r\\n\\r\\n")
    await writer.drain()
    writer.close()
def hang():
    while True: pass
async def main():
    asyncio.get_running_loop().add_signal_handler(signal.SIGUSR1, hang)
    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    pathlib.Path(sys.argv[1]).write_text(str(server.sockets[0].getsockname()[1]))
    await asyncio.Event().wait()
asyncio.run(main())
"""
SPINS = "import os\nos.sched_setaffinity(0, {min(os.sched_getaffinity(0))})\nprint('spins', flush=True)\nwhile True: pass"


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """The times of `liveness` by a twentieth."""
    for name in ("ASK_EVERY_S", "ASK_AGAIN_S", "PATIENCE_S", "PATIENCE_MAX_S"):
        monkeypatch.setattr(liveness, name, getattr(liveness, name) / 20)


@asynccontextmanager
async def serving(tmp_path: Path, seen: list[State]) -> AsyncIterator[Child]:
    """A child that serves, with the states that it has had."""
    port = tmp_path / "port"

    def url() -> str:
        return f"http://127.0.0.1:{port.read_text() if port.exists() else 1}"

    async def probe(pid: int) -> str:
        await probes.http_lives(url())
        return url()

    child = Child(
        ChildStatus("server", "role", log=str(tmp_path / "server.log")),
        command=lambda: Command([sys.executable, "-c", SERVER, str(port)]),
        probe=probe,
        changed=lambda: seen.append(child.status.state),
        alive=lambda: probes.http_lives(url()),
        announced=port,
    )
    task = asyncio.create_task(child.run())
    try:
        await when(lambda: child.status.state is State.READY)
        yield child
    finally:
        await child.stop()
        await task


async def when(condition: Callable[[], bool]) -> None:
    """Return when the condition holds; fail after WAIT_S."""
    async with asyncio.timeout(WAIT_S):
        while not condition():  # noqa: ASYNC110 - the condition is in other processes
            await asyncio.sleep(0.01)


@pytest.mark.parametrize("number", [signal.SIGSTOP, signal.SIGUSR1], ids=["stopped", "blocked event loop"])
@pytest.mark.usefixtures("impatient")
async def test_a_child_that_does_not_answer_any_more_is_said_to_be_silent_killed_and_restarted(
    tmp_path: Path, number: signal.Signals
) -> None:
    """It would hang there for ever, and the status would call it ready."""
    seen: list[State] = []
    async with serving(tmp_path, seen) as child:
        first = child.status.pid
        assert first is not None
        os.kill(first, number)
        await when(lambda: child.status.state is State.SILENT)
        assert "does not answer" in child.status.message or "did not answer" in child.status.message
        await when(lambda: child.status.restarts == 1 and child.status.state is State.READY)
        assert child.status.pid != first
        assert not psutil.pid_exists(first)
        assert child.status.last_exit.startswith("did not answer for ")
        assert seen.index(State.SILENT) > seen.index(State.READY)


@pytest.mark.usefixtures("impatient")
async def test_a_child_that_answers_again_in_time_is_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its state goes from silent to ready; it is the same process."""
    monkeypatch.setattr(liveness, "PATIENCE_S", WAIT_S)
    async with serving(tmp_path, []) as child:
        pid = child.status.pid
        assert pid is not None
        os.kill(pid, signal.SIGSTOP)
        await when(lambda: child.status.state is State.SILENT)
        os.kill(pid, signal.SIGCONT)
        await when(lambda: child.status.state is State.READY)
        assert (child.status.pid, child.status.restarts, child.status.message) == (pid, 0, "")


@pytest.mark.slow
@pytest.mark.usefixtures("impatient")
async def test_a_child_that_falls_silent_again_and_again_gets_more_time_each_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What takes it so long may be work that it must do: killing it at the same point for ever would help nobody."""
    patience: list[float] = []
    monkeypatch.setattr(child_module.log, "error", lambda event, **fields: patience.append(fields["patience_s"]))
    async with serving(tmp_path, []) as child:
        for kills in (1, 2):
            pid = child.status.pid
            assert pid is not None
            os.kill(pid, signal.SIGSTOP)
            await when(lambda kills=kills: child.status.restarts == kills and child.status.state is State.READY)
    assert patience == [liveness.PATIENCE_S, 2 * liveness.PATIENCE_S]


@contextmanager
def spinning(count: int) -> Iterator[list[int]]:
    """Pids of so many busy loops that share one processor."""
    started = [subprocess.Popen([sys.executable, "-c", SPINS], stdout=subprocess.PIPE, text=True) for _ in range(count)]
    try:
        for one in started:
            assert one.stdout is not None
            assert one.stdout.readline() == "spins\n"
        yield [one.pid for one in started]
    finally:
        for one in started:
            one.kill()
            one.communicate()


@pytest.mark.skipif(not Path("/proc/self/schedstat").exists(), reason="the kernel does not tell how long a thread waited")
def test_time_in_which_a_child_waits_for_a_processor_is_not_held_against_it() -> None:
    """Busy loops on one processor have a part of it each: two seconds by the clock are less than one of their own. One that is stopped has them all."""
    with spinning(4) as pids:
        os.kill(pids[0], signal.SIGSTOP)
        stopped, waits = Silence(pids[0]), Silence(pids[1])
        stopped.questions = waits.questions = liveness.QUESTIONS_MIN
        deadline_s = time.monotonic() + WAIT_S
        while not stopped.is_hopeless(1.5):  # our own waiting does not count either, so that may take a while
            assert time.monotonic() < deadline_s
            time.sleep(0.01)
        assert not waits.is_hopeless(1.5)
        assert waits.is_hopeless(waits.seconds / liveness.WAITS_TIMES_MAX), "for ever is too long for anybody"


async def test_a_question_whether_a_server_lives_is_answered_by_a_refusal_and_not_by_silence() -> None:
    """Any status of HTTP, any error of Redis; nothing at all is no answer."""

    async def serve(answer: bytes) -> tuple[asyncio.Server, int]:
        async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.read(1_024)
            if answer:
                writer.write(answer)
                await writer.drain()
            else:
                await reader.read()
            writer.close()

        server = await asyncio.start_server(handle, "127.0.0.1", 0)
        return server, server.sockets[0].getsockname()[1]

    refusals = {
        "elasticsearch_url": ("http", b"HTTP/1.1 503 Full\r\nContent-Length: 0\r\n\r\n"),
        "redis_url": ("redis", b"-MISCONF Errors writing to the AOF file: No space left on device\r\n" * 3),
    }
    for setting, (scheme, refusal) in refusals.items():
        server, port = await serve(refusal)
        await probes.ask(probes.ALIVE[setting], f"{scheme}://127.0.0.1:{port}")
        server.close()
    for setting, form in {
        "kafka_url": "{}",
        "mysql_url": "mysql://u:p@{}/d",
        "redis_url": "redis://{}",
        "elasticsearch_url": "http://{}",
    }.items():
        server, port = await serve(b"")
        with pytest.raises(ServiceUnavailable, match="no answer within"):
            await probes.ask(probes.ALIVE[setting], form.format(f"127.0.0.1:{port}"), 0.2)
        server.close()
