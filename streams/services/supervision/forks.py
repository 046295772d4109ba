"""The supervisor's side of the fork server: roles as forks of one process, and processes of their own where that is not to be had."""

import asyncio
import contextlib
import json
import os
import signal
import socket
import sys
from collections.abc import Collection
from pathlib import Path
from typing import IO, Protocol

import structlog

from streams.services.recipes.recipe import dying_with_parent
from streams.services.supervision import fork_server

OUTCRY = "streams.__main__:main"

log = structlog.get_logger("outcry.supervisor")


class Process(Protocol):
    """What the supervisor needs of a process; asyncio's has it. returncode: None while it runs, negative for a signal."""

    @property
    def pid(self) -> int:
        """Its id; also of its session and process group."""

    @property
    def returncode(self) -> int | None:
        """None while it runs."""

    async def wait(self) -> int:
        """Its exit code, once it has ended."""


async def own_process(argv: list[str], niceness: int, output: IO[bytes], pass_fds: Collection[int] = ()) -> asyncio.subprocess.Process:
    """A program in a process and session of its own, which dies with us. Raises OSError."""
    return await asyncio.create_subprocess_exec(
        *dying_with_parent(argv, niceness),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=output,
        stderr=output,
        pass_fds=pass_fds,
        start_new_session=True,  # a Ctrl-C in the terminal is the supervisor's to handle, in order
    )


class Fork:
    """A process that the fork server has forked for us."""

    def __init__(self, pid: int) -> None:
        """Runs."""
        self.pid = pid
        self._code: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._descriptor = -1
        with contextlib.suppress(ProcessLookupError):
            self._descriptor = os.pidfd_open(pid)

    @property
    def returncode(self) -> int | None:
        """None while it runs."""
        return self._code.result() if self._code.done() else None

    async def wait(self) -> int:
        """Its exit code, once it has ended."""
        return await asyncio.shield(self._code)

    def ended(self, code: int) -> None:
        """It has, and this is its exit code."""
        if not self._code.done():
            self._code.set_result(code)
        if self._descriptor >= 0:
            asyncio.get_running_loop().remove_reader(self._descriptor)
            os.close(self._descriptor)
            self._descriptor = -1

    def orphaned(self) -> None:
        """The server that would tell its exit code has died: the kernel kills this process, and says when it is gone."""
        if self._descriptor >= 0:
            asyncio.get_running_loop().add_reader(self._descriptor, self.ended, -signal.SIGKILL)
        else:
            self.ended(-signal.SIGKILL)


class ForkServer:
    """The fork server as the supervisor sees it. One that has died is started again by the next `fork`."""

    def __init__(self, modules: list[str], log_path: Path, *, kernels: bool = False, program: str = OUTCRY) -> None:
        """modules: imported before the first fork. kernels: load them too. program: what each fork runs. Nothing runs before `start`."""
        self._arguments = [program, *(["--kernels"] if kernels else []), *modules]
        self._log_path = log_path
        self._connection: socket.socket | None = None
        self._asked: dict[int, asyncio.Future[Fork]] = {}
        self._forks: dict[int, Fork] = {}
        self._last_id = 0
        self._starts = asyncio.Lock()

    async def start(self) -> socket.socket:
        """Start it unless it runs; the connection to it. It may still load for a while. Raises OSError."""
        async with self._starts:
            if self._connection is not None:
                return self._connection
            ours, its = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            with its, self._log_path.open("ab") as output:
                server = await own_process(
                    [sys.executable, "-m", fork_server.__name__, str(its.fileno()), *self._arguments], 0, output, pass_fds=(its.fileno(),)
                )
            log.info("fork_server.started", pid=server.pid)
            ours.settimeout(0)
            asyncio.get_running_loop().add_reader(ours, self._read, ours)
            self._connection = ours
            return ours

    async def fork(self, argv: list[str], niceness: int, output: IO[bytes]) -> Fork:
        """Run the program with ARGV in a fork, its output in the log. Raises OSError when the server cannot be started, or ends before it has forked."""
        connection = await self.start()
        self._last_id += 1
        asked: asyncio.Future[Fork] = asyncio.get_running_loop().create_future()
        self._asked[self._last_id] = asked
        request = json.dumps({"id": self._last_id, "argv": argv, "niceness": niceness}).encode()
        socket.send_fds(connection, [request], [output.fileno()])
        return await asked

    def stop(self) -> None:
        """End the server, and with it every fork that still runs."""
        if self._connection is not None:
            self._ended(self._connection)

    def _read(self, connection: socket.socket) -> None:
        message = b""
        with contextlib.suppress(ConnectionError):
            message = connection.recv(fork_server.MESSAGE_BYTES)
        if not message:
            self._ended(connection)
            return
        told = json.loads(message)
        if "id" in told:
            self._forked(told["id"], told["pid"])
        else:
            self._forks.pop(told["pid"]).ended(told["code"])

    def _forked(self, number: int, pid: int) -> None:
        fork, asked = Fork(pid), self._asked.pop(number)
        self._forks[pid] = fork
        if asked.cancelled():  # nobody waits for it any more
            os.killpg(pid, signal.SIGKILL)
        else:
            asked.set_result(fork)

    def _ended(self, connection: socket.socket) -> None:
        log.info("fork_server.ended", log=str(self._log_path))
        asyncio.get_running_loop().remove_reader(connection)
        connection.close()
        self._connection = None
        forks, self._forks = self._forks, {}
        for fork in forks.values():
            fork.orphaned()
        waiting, self._asked = self._asked, {}
        for asked in waiting.values():
            if not asked.done():
                asked.set_exception(ConnectionResetError("the fork server has ended"))
