"""One supervised program: started, asked until it answers, restarted with back-off when it exits, stopped with a deadline."""

import asyncio
import contextlib
import os
import shutil
import signal
import time
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path

import structlog

from schemas.errors import OutcryError, ServiceUnavailable
from streams.services.probes import ask
from streams.services.recipe import Command, dying_with_parent, tail
from streams.services.state import ChildStatus, State, now
from streams.services.weight import YIELDING, set_niceness

BACK_OFF_FIRST_S = 0.2
BACK_OFF_MAX_S = 5.0
WELL_AFTER_S = 30.0  # up for so long: the next exit begins again with the shortest back-off
PROBE_EVERY_S = 0.1
YIELDS_MAX_S = 30.0  # on a machine that is always busy: to be without a spare for longer is worse than to be slow for a while
LAST_LINES = 200  # in which the traceback of a deep call still fits
LOG_BYTES_MAX = 64 * 1024 * 1024

log = structlog.get_logger()


def describe_exit(code: int) -> str:
    """Exit code of asyncio (negative: a signal) in words."""
    if code >= 0:
        return f"exit code {code}"
    try:
        return f"killed by {signal.Signals(-code).name}"
    except ValueError:
        return f"killed by signal {-code}"


def last_words(lines: list[str]) -> str:
    """The line of a log that says why its program ended: the exception under the last traceback, else the last line."""
    starts = [index for index, line in enumerate(lines) if line.startswith("Traceback (most recent call last)")]
    after = lines[starts[-1] + 1 :] if starts else []
    return next((line for line in after if not line[0].isspace()), lines[-1] if lines else "")


class Child:
    """Runs one program for ever.

    prepare: awaited before each start; an OutcryError that is not ServiceUnavailable-worth-a-retry makes the child FAILED.
    probe: asked until it answers; gets the pid, returns the address. changed: called after every change of `status`.
    after_exit: awaited after an end that nobody asked for, before the program is started again.
    caught_up: where others do the work meanwhile, a program that is started again leaves them the processor until this is true; gets the address.
    """

    def __init__(
        self,
        status: ChildStatus,
        *,
        command: Callable[[], Command],
        probe: Callable[[int], Awaitable[str]],
        changed: Callable[[], None],
        prepare: Callable[[], Awaitable[None]] | None = None,
        pid_file: Path | None = None,
        after_exit: Callable[[], Awaitable[None]] | None = None,
        caught_up: Callable[[str], Awaitable[bool]] | None = None,
    ) -> None:
        """Nothing runs before `run`."""
        self.status = status
        self.ready = asyncio.Event()
        self._command, self._probe, self._prepare, self._changed = command, probe, prepare, changed
        self._after_exit, self._caught_up = after_exit, caught_up
        self._pid_file = pid_file
        self._log_path = Path(status.log)
        self._process: asyncio.subprocess.Process | None = None
        self._running: Command | None = None
        self._stopping = asyncio.Event()
        self._ended = asyncio.Event()

    def set(self, state: State, **changes: object) -> None:
        """Change the status and tell."""
        since = self.status.since if state == self.status.state else now()
        self.status = replace(self.status, state=state, since=since, **changes)  # type: ignore[arg-type]
        self._changed()

    async def run(self) -> None:
        """Prepare, then start and restart until `stop`; returns when the program has ended for good."""
        try:
            if await self._prepared():
                await self._keep_running()
        finally:
            self._ended.set()

    def start_no_more(self) -> None:
        """Once this is called nothing is started, or started again; what runs goes on until `stop`."""
        self._stopping.set()

    async def stop(self) -> None:
        """Ask with TERM, insist with KILL after the deadline; returns when the program is gone."""
        self._stopping.set()
        process = self._process
        command = self._running
        if process is not None and process.returncode is None and command is not None:
            self.set(State.STOPPING, message=command.stop_note)
            _signal_group(process.pid, signal.SIGTERM)
            try:
                await asyncio.wait_for(self._ended.wait(), command.stop_timeout_s)
                await asyncio.to_thread(_move_what_it_leaves, command)
            except TimeoutError:
                log.warning("child.killed", name=self.status.name, reason=f"did not stop within {command.stop_timeout_s:g} s of TERM")
                _signal_group(process.pid, signal.SIGKILL)
        await self._ended.wait()
        if self.status.state is not State.FAILED:
            self.set(State.STOPPED, pid=None, message="")

    def limit_log(self) -> None:
        """Keep the log and one older copy below the limit; programs append, so truncating under them is safe."""
        with contextlib.suppress(FileNotFoundError):
            if self._log_path.stat().st_size > LOG_BYTES_MAX:
                self._log_path.with_suffix(".log.1").write_bytes(self._log_path.read_bytes())
                os.truncate(self._log_path, 0)

    async def _prepared(self) -> bool:
        if self._prepare is None:
            return True
        self.set(State.PREPARING)
        try:
            await self._unless_stopped(self._prepare())
        except (OutcryError, OSError) as error:
            log.error("child.cannot_start", name=self.status.name, reason=str(error))  # noqa: TRY400 - the reason is the news, not our stack
            self.set(State.FAILED, message=str(error))
            return False
        return not self._stopping.is_set()

    async def _unless_stopped(self, work: Awaitable[None]) -> None:
        """Wait for the work, or for `stop`, which nobody may keep waiting: what it waits for may never come now. A thread goes on by itself."""
        working, stopping = asyncio.ensure_future(work), asyncio.create_task(self._stopping.wait())
        try:
            await asyncio.wait((working, stopping), return_when=asyncio.FIRST_COMPLETED)
            if working.done():
                working.result()
        finally:
            working.cancel()
            stopping.cancel()

    async def _keep_running(self) -> None:
        back_off_s = BACK_OFF_FIRST_S
        while not self._stopping.is_set():
            started_s = time.monotonic()
            reason = await self._run_once()
            if self._stopping.is_set():
                return
            if time.monotonic() - started_s > WELL_AFTER_S:
                back_off_s = BACK_OFF_FIRST_S
            log.warning("child.exited", name=self.status.name, reason=reason, restart_in_s=back_off_s, log=self.status.log)
            self.set(State.BACKING_OFF, pid=None, restarts=self.status.restarts + 1, last_exit=reason, message=reason)
            if self._after_exit is not None:
                await self._after_exit()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), back_off_s)
            back_off_s = min(BACK_OFF_MAX_S, back_off_s * 2)

    async def _run_once(self) -> str:
        """Start the program and wait for its end; returns why it ended, with the last line it wrote."""
        log_offset = self._log_path.stat().st_size if self._log_path.exists() else 0
        try:
            process = await self._spawn()
        except OSError as error:
            return f"cannot be started: {error}"
        self._process = process
        if self._stopping.is_set():  # meanwhile: whoever stops it has seen no process
            _signal_group(process.pid, signal.SIGKILL)
            log.info("child.came_too_late", name=self.status.name, pid=process.pid)
        else:
            log.info("child.started", name=self.status.name, pid=process.pid)
        self.set(State.STARTING, pid=process.pid, message="")
        yields = self._caught_up is not None and self.status.restarts > 0
        if yields:
            set_niceness(process.pid, YIELDING)
            asyncio.get_running_loop().call_later(YIELDS_MAX_S, self._take_its_share, process)
        if self._pid_file is not None:
            self._pid_file.write_text(f"{process.pid}\n")
        probing = asyncio.create_task(self._get_ready(process, yields))
        code = await process.wait()
        probing.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await probing
        self.ready.clear()
        _signal_group(process.pid, signal.SIGKILL)  # what the program itself had started and left behind
        if self._pid_file is not None:
            self._pid_file.unlink(missing_ok=True)
        words = last_words(tail(self._log_path, LAST_LINES, since=log_offset))
        return f"{describe_exit(code)}{': ' + words[:300] if words else ''}"

    async def _spawn(self) -> asyncio.subprocess.Process:
        command = self._running = self._command()
        with self._log_path.open("ab") as output:
            return await asyncio.create_subprocess_exec(
                *dying_with_parent(command.argv, command.niceness),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,  # a Ctrl-C in the terminal is the supervisor's to handle, in order
            )

    async def _get_ready(self, process: asyncio.subprocess.Process, yields: bool) -> None:
        await self._wait_ready(process)
        while yields and self._caught_up is not None and process.returncode is None:
            with contextlib.suppress(ServiceUnavailable):
                if await self._caught_up(self.status.address):
                    self._take_its_share(process)
                    return
            await asyncio.sleep(PROBE_EVERY_S)

    def _take_its_share(self, process: asyncio.subprocess.Process) -> None:
        if process.returncode is None and self._running is not None:
            set_niceness(process.pid, self._running.niceness)
            log.info("child.takes_its_share", name=self.status.name, pid=process.pid)

    async def _wait_ready(self, process: asyncio.subprocess.Process) -> None:
        """Ask until it answers. Ends with the program too: a client library may swallow the cancellation."""
        pid, started_s = process.pid, time.monotonic()
        while process.returncode is None:
            try:
                address = await ask(lambda _: self._probe(pid), "")
            except ServiceUnavailable as error:
                if time.monotonic() - started_s > 1.0:  # the first second of refused connections is no news
                    self.set(State.STARTING, message=str(error))
            else:
                self._answered(pid, address, started_s)
                return
            await asyncio.sleep(PROBE_EVERY_S)

    def _answered(self, pid: int, address: str, started_s: float) -> None:
        log.info("child.ready", name=self.status.name, pid=pid, address=address, after_ms=int((time.monotonic() - started_s) * 1000))
        self.set(State.READY, address=address or self.status.address, message="", well=True)
        self.ready.set()


def _move_what_it_leaves(command: Command) -> None:
    """Into place in one step; a program that did not write the file (it was killed before) leaves nothing."""
    if command.leaves is None or not command.leaves[0].exists():
        return
    written, place = command.leaves
    draft = place.with_name(f"{place.name}.{os.getpid()}")
    shutil.move(written, draft)
    draft.replace(place)


def _signal_group(pid: int, number: signal.Signals) -> None:
    """Signal a child and everything it started (each child leads its own process group)."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(pid, number)
