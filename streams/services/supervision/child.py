"""One supervised program: started, probed, restarted with back-off when it exits or stops answering, stopped with a deadline.

A full disk is no reason to end: what cannot be written is left out, and a program that cannot be started is retried.
"""

import asyncio
import contextlib
import errno
import os
import shutil
import signal
import time
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import IO

import structlog

from schemas.errors import OutcryError, ServiceUnavailable
from streams.process import last_words
from streams.services.recipes.recipe import Command, tail
from streams.services.state import ChildStatus, State, now
from streams.services.supervision import liveness
from streams.services.supervision.forks import Process, own_process
from streams.services.supervision.probes import ask
from streams.services.supervision.weight import YIELDING, set_niceness

BACK_OFF_FIRST_S = 0.2
BACK_OFF_MAX_S = 5.0
BACK_OFF_FAILED_MAX_S = 30.0  # of a program that says that a person has to mend something first
WELL_AFTER_S = 30.0  # up for so long: the next exit begins again with the shortest back-off
PROBE_EVERY_S = 0.1
NICENESS_MAX = 19
YIELDS_MAX_S = 30.0  # on a machine that is always busy: to be without a spare for longer is worse than to be slow for a while
WORDS_MAX = 600  # of the last words in the status
LAST_LINES = 200  # in which the traceback of a deep call still fits
FULL_BYTES = 1 << 20  # less than any program here needs to start

log = structlog.get_logger("outcry.supervisor")


def describe_exit(code: int) -> str:
    """Exit code of asyncio (negative: a signal) in words."""
    if code >= 0:
        return f"exit code {code}"
    try:
        return f"killed by {signal.Signals(-code).name}"
    except ValueError:
        return f"killed by signal {-code}"


def disk_is_full(path: Path) -> bool:
    """Whether the disk of `path` is full."""
    with contextlib.suppress(OSError):
        return shutil.disk_usage(path.parent).free < FULL_BYTES
    return False


class Child:
    """Keeps one program running.

    prepare: awaited before each start. An OutcryError other than ServiceUnavailable makes the child FAILED.
    probe: called until it succeeds; gets the pid, returns the address. changed: called after every change of `status`.
    after_exit: awaited after an unexpected end, before the program is restarted.
    caught_up: gets the address. If others do the work meanwhile, a restarted program leaves them the processor until this is true.
    alive: called while the program is ready; raises ServiceUnavailable without an answer. See `liveness` for how long that may last.
    announced: a file in which the program writes its address; removed when it has ended.
    start: starts the program with its output in a log, in another way than as a process of its own. Raises OSError.
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
        alive: Callable[[], Awaitable[None]] | None = None,
        announced: Path | None = None,
        start: Callable[[Command, IO[bytes]], Awaitable[Process]] | None = None,
    ) -> None:
        """Nothing runs before `run`."""
        self.status = status
        self.ready = asyncio.Event()
        self._command, self._probe, self._prepare, self._changed = command, probe, prepare, changed
        self._after_exit, self._caught_up, self._alive = after_exit, caught_up, alive
        self._pid_file, self._announced = pid_file, announced
        self._start = start or (lambda command, output: own_process(command.argv, command.niceness, output))
        self._patience_s = liveness.PATIENCE_S
        self._killed_because = ""
        self._log_path = Path(status.log)
        self._process: Process | None = None
        self._running: Command | None = None
        self._stopping = asyncio.Event()
        self._ended = asyncio.Event()

    def set(self, state: State, **changes: object) -> None:
        """Change the status and call `changed`."""
        since = self.status.since if state == self.status.state else now()
        self.status = replace(self.status, state=state, since=since, **changes)  # type: ignore[arg-type]
        self._changed()

    async def run(self) -> None:
        """Prepare, then start and restart until `stop`. Returns when the program has ended for good."""
        try:
            if await self._prepared():
                await self._keep_running()
        finally:
            self._ended.set()

    async def kill(self, reason: str) -> None:
        """Kill what runs now. Returns when it has ended; then it is started again."""
        process = self._process
        if process is not None and process.returncode is None:
            self._killed_because = reason
            _signal_group(process.pid, signal.SIGKILL)
            await process.wait()

    def start_no_more(self) -> None:
        """Start and restart nothing from now on. What runs continues until `stop`."""
        self._stopping.set()

    async def stop(self) -> None:
        """Send TERM, then KILL after the deadline. Returns when the program is gone."""
        self._stopping.set()
        process = self._process
        command = self._running
        if process is not None and process.returncode is None and command is not None:
            self.set(State.STOPPING, message="")
            _signal_group(process.pid, signal.SIGTERM)
            try:
                await asyncio.wait_for(self._ended.wait(), command.stop_timeout_s)
                if command.leaves is not None:
                    await asyncio.to_thread(_move, *command.leaves)
            except TimeoutError:
                log.warning("child.killed", name=self.status.name, reason=f"did not stop within {command.stop_timeout_s:g} s of TERM")
                _signal_group(process.pid, signal.SIGKILL)
        await self._ended.wait()
        if self.status.state is not State.FAILED:
            self.set(State.STOPPED, pid=None, message="")

    async def _prepared(self) -> bool:
        if self._prepare is None:
            return True
        back_off_s = BACK_OFF_FIRST_S
        while not self._stopping.is_set():
            self.set(State.PREPARING)
            try:
                await self._unless_stopped(self._prepare())
            except (OutcryError, OSError) as error:
                log.error("child.cannot_start", name=self.status.name, reason=str(error))  # noqa: TRY400 - the reason is the news, not our stack
                if not (disk_is_full(self._log_path) or (isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT))):
                    self.set(State.FAILED, message=str(error))
                    return False
                self._ended_because(f"the disk is full: {error}", State.BACKING_OFF)
                await self._pause(back_off_s)
                back_off_s = min(BACK_OFF_MAX_S, back_off_s * 2)
            else:
                return not self._stopping.is_set()
        return False

    async def _unless_stopped(self, work: Awaitable[None]) -> None:
        """Wait for the work or for `stop`, which must not be delayed: the work may never finish now. A thread continues by itself."""
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
            code, reason = await self._run_once()
            if self._stopping.is_set():
                return
            if time.monotonic() - started_s > WELL_AFTER_S:
                back_off_s = BACK_OFF_FIRST_S
            failed = code == last_words.NEEDS_A_PERSON
            log.warning("child.exited", name=self.status.name, reason=reason, restart_in_s=back_off_s, log=self.status.log)
            self._ended_because(reason, State.FAILED if failed else State.BACKING_OFF)
            if self._after_exit is not None:
                await self._after_exit()
            await self._pause(back_off_s)
            back_off_s = min(BACK_OFF_FAILED_MAX_S if failed else BACK_OFF_MAX_S, back_off_s * 2)

    def _ended_because(self, reason: str, state: State) -> None:
        self.set(state, pid=None, restarts=self.status.restarts + 1, last_exit=reason, message=reason)

    async def _pause(self, pause_s: float) -> None:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._stopping.wait(), pause_s)

    def _starting(self, message: str, **changes: object) -> None:
        """Starting. A child that failed for somebody to fix stays FAILED, with its message, until it is ready."""
        if self.status.state is State.FAILED:
            self.set(State.FAILED, **changes)
        else:
            self.set(State.STARTING, message=message, **changes)

    async def _run_once(self) -> tuple[int | None, str]:
        """Start the program and wait for its end. Returns its exit code, and why it ended, with the last line it wrote."""
        log_offset = self._log_path.stat().st_size if self._log_path.exists() else 0
        self._killed_because = ""
        try:
            process = await self._spawn()
        except OSError as error:
            return None, f"cannot be started: {error}"
        self._process = process
        if self._stopping.is_set():  # meanwhile: whoever stops it has seen no process
            _signal_group(process.pid, signal.SIGKILL)
            log.info("child.came_too_late", name=self.status.name, pid=process.pid)
        else:
            log.info("child.started", name=self.status.name, pid=process.pid)
        self._starting("", pid=process.pid)
        yields = self._caught_up is not None and self.status.restarts > 0
        if yields:
            set_niceness(process.pid, YIELDING)
            asyncio.get_running_loop().call_later(YIELDS_MAX_S, self._take_its_share, process)
        if self._pid_file is not None:
            with contextlib.suppress(OSError):  # it is for people; a full disk takes none
                self._pid_file.write_text(f"{process.pid}\n")
        probing = asyncio.create_task(self._get_ready(process, yields))
        watching, making = asyncio.create_task(self._watch(process)), asyncio.create_task(self._make())
        code = await process.wait()
        for task in (probing, watching, making):
            task.cancel()
        await asyncio.gather(probing, watching, making, return_exceptions=True)
        self.ready.clear()
        _signal_group(process.pid, signal.SIGKILL)  # what the program itself had started and left behind
        for path in (self._pid_file, self._announced):
            if path is not None:
                with contextlib.suppress(OSError):
                    path.unlink(missing_ok=True)
        return code, self._reason(code, log_offset)

    def _reason(self, code: int, log_offset: int) -> str:
        words = last_words.found_in(tail(self._log_path, LAST_LINES, since=log_offset))
        if code == last_words.NEEDS_A_PERSON and words:
            return words  # a sentence that says what to do
        full = "; the disk is full" if disk_is_full(self._log_path) else ""
        return f"{self._killed_because or describe_exit(code)}{': ' + words[:WORDS_MAX] if words else ''}{full}"

    async def _spawn(self) -> Process:
        command = self._running = self._command()
        with self._log_path.open("ab") as output:
            return await self._start(command, output)

    async def _make(self) -> None:
        """Make what the command needs made while it runs; see `recipe.Made`."""
        made = self._running.makes if self._running is not None else None
        if made is None:
            return
        await self.ready.wait()
        with self._log_path.open("ab") as output:
            maker = await own_process(made.argv, NICENESS_MAX, output)
        try:
            code = await maker.wait()
        except asyncio.CancelledError:
            _signal_group(maker.pid, signal.SIGKILL)
            await maker.wait()
            raise
        log.info("child.made", name=self.status.name, file=str(made.place), exit_code=code)
        await asyncio.to_thread(_move, made.written, made.place)
        made.of.unlink(missing_ok=True)

    async def _get_ready(self, process: Process, yields: bool) -> None:
        await self._wait_ready(process)
        while yields and self._caught_up is not None and process.returncode is None:
            with contextlib.suppress(ServiceUnavailable):
                if await self._caught_up(self.status.address):
                    self._take_its_share(process)
                    return
            await asyncio.sleep(PROBE_EVERY_S)

    def _take_its_share(self, process: Process) -> None:
        if process.returncode is None and self._running is not None:
            set_niceness(process.pid, self._running.niceness)
            log.info("child.takes_its_share", name=self.status.name, pid=process.pid)

    async def _wait_ready(self, process: Process) -> None:
        """Probe until it answers. Also ends with the program: a client library may swallow the cancellation."""
        pid, started_s = process.pid, time.monotonic()
        while process.returncode is None:
            try:
                address = await ask(lambda _: self._probe(pid), "")
            except ServiceUnavailable as error:
                if time.monotonic() - started_s > 1.0:  # the first second of refused connections is no news
                    self._starting(str(error))
            else:
                self._answered(pid, address, started_s)
                return
            await asyncio.sleep(PROBE_EVERY_S)

    async def _watch(self, process: Process) -> None:
        """Probe while it runs, and kill it once it has not answered for too long: a hung program does not end by itself."""
        alive = self._alive
        if alive is None:
            return
        await self.ready.wait()
        silence, answering_since_s = None, time.monotonic()
        while process.returncode is None and not self._stopping.is_set():
            await asyncio.sleep(liveness.ASK_EVERY_S if silence is None else liveness.ASK_AGAIN_S)
            before = silence or liveness.Silence(process.pid)
            try:
                await ask(lambda _: alive(), "", liveness.ASK_EVERY_S)
            except ServiceUnavailable as error:
                silence = before
                silence.questions += 1
                self._fell_silent(process, silence, str(error))
                continue
            if silence is not None:
                log.info("child.answers_again", name=self.status.name, after_s=round(silence.seconds, 1))
                if self.status.state is State.SILENT:
                    self.set(State.READY, message="")
                silence, answering_since_s = None, time.monotonic()
            elif time.monotonic() - answering_since_s > self._patience_s:
                self._patience_s = liveness.PATIENCE_S

    def _fell_silent(self, process: Process, silence: liveness.Silence, error: str) -> None:
        """After a probe without an answer. A single one means nothing on a busy machine."""
        if process.returncode is not None or self._stopping.is_set():
            return
        told = f"does not answer for {silence.seconds:.0f} s ({silence.questions} questions, the last: {error})"
        if silence.is_hopeless(self._patience_s):
            log.error(
                "child.silent", name=self.status.name, pid=process.pid, silent_s=round(silence.seconds, 1), patience_s=self._patience_s
            )
            self._killed_because = f"did not answer for {silence.seconds:.0f} s, killed"
            # Whatever kept it so long may do so again: then it gets more time, rather than being killed for ever.
            self._patience_s = min(liveness.PATIENCE_MAX_S, 2 * self._patience_s)
            self.set(State.SILENT, message=self._killed_because)
            _signal_group(process.pid, signal.SIGKILL)
        elif silence.questions > 1:
            self.set(State.SILENT, message=told)

    def _answered(self, pid: int, address: str, started_s: float) -> None:
        log.info("child.ready", name=self.status.name, pid=pid, address=address, after_ms=int((time.monotonic() - started_s) * 1000))
        self.set(State.READY, address=address or self.status.address, message="", well=True)
        self.ready.set()


def _move(written: Path, place: Path) -> None:
    """Move atomically. Nothing happens if the program did not write the file (it was killed before), or if there is no room for it."""
    draft = place.with_name(f"{place.name}.{os.getpid()}")
    try:
        if written.exists():
            shutil.move(written, draft)
            draft.replace(place)
    except OSError as error:  # a cache less is no reason to stop stopping
        log.warning("child.leaves_nothing", file=str(place), reason=str(error))
        with contextlib.suppress(OSError):
            draft.unlink(missing_ok=True)


def _signal_group(pid: int, number: signal.Signals) -> None:
    """Signal a child and everything it started (each child leads its own process group)."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(pid, number)
