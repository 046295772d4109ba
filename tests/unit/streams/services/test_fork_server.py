"""Roles as forks of one loaded process: real processes, which end, are killed, and lose their server."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import psutil
import pytest

from streams.services.supervision.forks import Fork, ForkServer

pytestmark = pytest.mark.skipif(not hasattr(os, "pidfd_open"), reason="forks are for Linux only")
PROGRAM = "tests.support.forked_program:main"
WAIT_S = 120.0


class Serving:
    """A fork server under test, and what its forks have written."""

    def __init__(self, folder: Path, modules: tuple[str, ...] = ()) -> None:
        self.server = ForkServer(list(modules), folder / "server.log", program=PROGRAM)
        self.log = folder / "forks.log"

    async def fork(self, *argv: str, niceness: int = 0) -> Fork:
        """A fork that runs these arguments."""
        async with asyncio.timeout(WAIT_S):
            with self.log.open("ab") as output:
                return await self.server.fork(list(argv), niceness, output)


@asynccontextmanager
async def serving(folder: Path) -> AsyncIterator[Serving]:
    """A fork server; it and what it has forked end with the test."""
    under_test = Serving(folder)
    try:
        yield under_test
    finally:
        under_test.server.stop()


async def when(condition: Callable[[], bool]) -> None:
    """Return when the condition holds; fail after WAIT_S."""
    async with asyncio.timeout(WAIT_S):
        while not condition():  # noqa: ASYNC110 - the condition is in other processes
            await asyncio.sleep(0.01)


async def ended(fork: Fork) -> int:
    """Its exit code."""
    async with asyncio.timeout(WAIT_S):
        return await fork.wait()


async def test_a_fork_runs_its_arguments_and_its_exit_code_is_told(tmp_path: Path) -> None:
    """Its output is in the log that came with the request."""
    async with serving(tmp_path) as under_test:
        forks = [await under_test.fork("exit", str(code)) for code in (0, 3)]
        assert [await ended(fork) for fork in forks] == [0, 3]
        assert {"runs exit 0", "runs exit 3"} <= set(under_test.log.read_text().splitlines())


async def test_an_exception_is_exit_code_1_with_a_traceback_in_the_log(tmp_path: Path) -> None:
    """As of a process of its own."""
    async with serving(tmp_path) as under_test:
        fork = await under_test.fork("fail")
        assert await ended(fork) == 1
        assert under_test.log.read_text().splitlines()[-1] == "ValueError: as it was told"


async def test_a_fork_leads_its_own_session_with_its_niceness_and_title(tmp_path: Path) -> None:
    """So that a signal to its group reaches it and what it has started, from the moment at which its id is known."""
    async with serving(tmp_path) as under_test:
        fork = await under_test.fork("sleep", niceness=3)
        assert os.getsid(fork.pid) == os.getpgid(fork.pid) == fork.pid
        await when(lambda: "runs sleep" in under_test.log.read_text())
        assert os.getpriority(os.PRIO_PROCESS, fork.pid) == min(19, os.getpriority(os.PRIO_PROCESS, 0) + 3)
        assert " ".join(psutil.Process(fork.pid).cmdline()).strip() == "outcry sleep"
        os.killpg(fork.pid, signal.SIGTERM)
        assert await ended(fork) == -signal.SIGTERM
        assert fork.returncode == -signal.SIGTERM


async def test_forks_die_with_their_server_and_the_next_one_has_a_new_server(tmp_path: Path) -> None:
    """Nobody would hear of their end otherwise."""
    async with serving(tmp_path) as under_test:
        fork = await under_test.fork("sleep")
        os.kill(psutil.Process(fork.pid).ppid(), signal.SIGKILL)
        assert await ended(fork) == -signal.SIGKILL
        assert not psutil.pid_exists(fork.pid) or psutil.Process(fork.pid).status() == psutil.STATUS_ZOMBIE
        assert await ended(await under_test.fork("exit", "0")) == 0


async def test_a_server_that_is_stopped_leaves_nothing_running(tmp_path: Path) -> None:
    """It ends when the supervisor has closed its end, also by dying."""
    async with serving(tmp_path) as under_test:
        fork = await under_test.fork("sleep")
        server = psutil.Process(fork.pid).parent()
        assert server is not None
        under_test.server.stop()
        assert await ended(fork) == -signal.SIGKILL
        await when(lambda: not server.is_running() or server.status() == psutil.STATUS_ZOMBIE)


async def test_a_server_that_cannot_load_is_an_error_and_not_a_wait_for_ever(tmp_path: Path) -> None:
    """The supervisor then starts the role as a process of its own."""
    under_test = Serving(tmp_path, modules=("no_such_module",))
    with pytest.raises(OSError, match="fork server"):
        await under_test.fork("exit", "0")
    assert "No module named 'no_such_module'" in (tmp_path / "server.log").read_text()
