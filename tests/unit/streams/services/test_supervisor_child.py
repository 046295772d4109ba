"""One supervised program: real little Python processes that exit, hang, and fail to start."""

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import psutil
import pytest

from schemas.errors import ServiceUnavailable
from streams.services.recipes.recipe import Command
from streams.services.state import ChildStatus, State
from streams.services.supervision import child as child_module
from streams.services.supervision.child import Child, describe_exit
from streams.services.supervision.weight import YIELDING

WAIT_S = 300.0
SLEEPS = "import time; print('up', flush=True); time.sleep(600)"
IGNORES_TERM = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up', flush=True); time.sleep(600)"


async def when(condition: Callable[[], bool]) -> None:
    """Return when the condition holds; fail after WAIT_S."""
    async with asyncio.timeout(WAIT_S):
        while not condition():  # noqa: ASYNC110 - the condition is in other processes
            await asyncio.sleep(0.01)


def make(tmp_path: Path, program: str, **more: object) -> Child:
    """A child that runs a Python program and is ready when the program has printed `up`."""
    log = tmp_path / "tiny.log"

    async def probe(pid: int) -> str:
        if "up" not in log.read_text().splitlines():
            raise ServiceUnavailable("has not said `up`")
        return f"pid:{pid}"

    caught_up = more.pop("caught_up", None)
    options: dict[str, object] = {"stop_timeout_s": 5.0} | more
    return Child(
        ChildStatus("tiny", "service", log=str(log)),
        command=lambda: Command([sys.executable, "-c", program], **options),  # type: ignore[arg-type]
        probe=probe,
        changed=lambda: None,
        pid_file=tmp_path / "tiny.pid",
        caught_up=caught_up,  # type: ignore[arg-type]
    )


@asynccontextmanager
async def running(child: Child) -> AsyncIterator[Child]:
    """Run the child in the background and stop it at the end."""
    task = asyncio.create_task(child.run())
    try:
        yield child
    finally:
        await child.stop()
        await task


async def test_a_child_becomes_ready_when_it_answers_and_leaves_nothing_when_stopped(tmp_path: Path) -> None:
    """The pid file names the program itself, not a wrapper."""
    child = make(tmp_path, SLEEPS)
    async with running(child):
        await when(lambda: child.status.state is State.READY)
        pid = child.status.pid
        assert pid is not None
        assert (tmp_path / "tiny.pid").read_text() == f"{pid}\n"
        assert psutil.Process(pid).cmdline()[1:] == ["-c", SLEEPS]
        assert child.status.address == f"pid:{pid}"
    assert child.status.state is State.STOPPED
    assert not psutil.pid_exists(pid)
    assert not (tmp_path / "tiny.pid").exists()


async def test_a_killed_child_is_restarted_and_its_status_names_the_signal_and_its_last_words(tmp_path: Path) -> None:
    """The new process is another one, and is ready again."""
    child = make(tmp_path, "import time; print('up', flush=True); print('last words', flush=True); time.sleep(600)")
    async with running(child):
        await when(lambda: child.status.state is State.READY)
        first = child.status.pid
        assert first is not None
        os.kill(first, signal.SIGKILL)
        await when(lambda: child.status.restarts == 1 and child.status.state is State.READY)
        assert child.status.pid not in (None, first)
        assert child.status.last_exit == "killed by SIGKILL: last words"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may give back the niceness that it took")
async def test_a_child_that_comes_back_yields_until_it_has_caught_up_with_those_that_did_its_work(tmp_path: Path) -> None:
    """Its first start does not: then nobody does the work. What it is given back is its own niceness."""
    own, here = asyncio.Event(), os.getpriority(os.PRIO_PROCESS, 0)

    async def caught_up(_: str) -> bool:
        return own.is_set()

    child = make(tmp_path, SLEEPS, caught_up=caught_up)
    async with running(child):
        await when(lambda: child.status.state is State.READY)
        assert child.status.pid is not None
        assert psutil.Process(child.status.pid).nice() == here
        os.kill(child.status.pid, signal.SIGKILL)
        await when(lambda: child.status.restarts == 1 and child.status.state is State.READY)
        again = psutil.Process(child.status.pid)
        assert again.nice() == min(19, here + YIELDING)
        own.set()
        await when(lambda: again.nice() == here)


async def test_back_off_doubles_to_its_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A program that exits at once is started ever more slowly; here with a limit of four times the first pause."""
    monkeypatch.setattr(child_module, "BACK_OFF_FIRST_S", 0.01)
    monkeypatch.setattr(child_module, "BACK_OFF_MAX_S", 0.04)
    seen: list[float] = []
    monkeypatch.setattr(child_module.log, "warning", lambda event, **fields: seen.append(fields["restart_in_s"]))
    child = make(tmp_path, "import sys; print('no luck'); sys.exit(7)")
    async with running(child):
        await when(lambda: len(seen) >= 4)
    assert seen[:4] == [0.01, 0.02, 0.04, 0.04]
    assert child.status.last_exit == "exit code 7: no luck"
    assert not child.status.well


async def test_back_off_begins_anew_after_a_long_good_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Long is anything above zero here: the second pause is as short as the first."""
    monkeypatch.setattr(child_module, "WELL_AFTER_S", 0.0)
    seen: list[float] = []
    monkeypatch.setattr(child_module.log, "warning", lambda event, **fields: seen.append(fields["restart_in_s"]))
    async with running(make(tmp_path, "pass")):
        await when(lambda: len(seen) >= 2)
    assert seen[:2] == [child_module.BACK_OFF_FIRST_S] * 2


async def test_a_child_that_ignores_term_is_killed_after_its_deadline(tmp_path: Path) -> None:
    """Stop returns, and the process is gone."""
    child = make(tmp_path, IGNORES_TERM, stop_timeout_s=0.2)
    async with running(child):
        await when(lambda: child.status.state is State.READY)
        pid = child.status.pid
    assert pid is not None
    assert not psutil.pid_exists(pid)


async def test_what_a_child_started_itself_ends_with_it(tmp_path: Path) -> None:
    """A grandchild is in the group that is signalled, also when its parent was killed."""
    program = (
        f"import subprocess, sys, time; p = subprocess.Popen([sys.executable, '-c', {SLEEPS!r}]); print(p.pid, flush=True); time.sleep(600)"
    )
    child = make(tmp_path, program)
    async with running(child):
        await when(lambda: child.status.state is State.READY)
        grandchild = int(next(line for line in (tmp_path / "tiny.log").read_text().splitlines() if line.isdigit()))
        assert child.status.pid is not None
        os.kill(child.status.pid, signal.SIGKILL)
        await when(lambda: child.status.restarts == 1)
        await when(lambda: _is_gone(grandchild))


def _is_gone(pid: int) -> bool:
    with contextlib.suppress(psutil.NoSuchProcess):
        return bool(psutil.Process(pid).status() == psutil.STATUS_ZOMBIE)
    return True


async def test_a_child_that_ends_is_restarted_even_if_its_probe_does_not_let_itself_be_cancelled(tmp_path: Path) -> None:
    """Clients swallow a cancellation now and then; the supervisor must not wait for the answer of a dead process."""

    async def stubborn(pid: int) -> str:
        try:
            await asyncio.sleep(WAIT_S)
        except asyncio.CancelledError:
            raise ServiceUnavailable("swallowed") from None
        return ""

    child = Child(
        ChildStatus("tiny", "service", log=str(tmp_path / "tiny.log")),
        command=lambda: Command([sys.executable, "-c", "pass"]),
        probe=stubborn,
        changed=lambda: None,
    )
    async with running(child):
        await when(lambda: child.status.restarts >= 2)


async def test_a_program_that_does_not_exist_is_told_by_name(tmp_path: Path) -> None:
    """The launcher's message is the last line of the log, hence in the status."""
    child = Child(
        ChildStatus("tiny", "service", log=str(tmp_path / "tiny.log")),
        command=lambda: Command([str(tmp_path / "no-such-program")]),
        probe=_never,
        changed=lambda: None,
    )
    async with running(child):
        await when(lambda: child.status.restarts >= 1)
        assert "No such file" in child.status.last_exit


async def _never(pid: int) -> str:
    raise ServiceUnavailable("never")


async def test_a_failed_preparation_is_final_and_says_why(tmp_path: Path) -> None:
    """Nothing is started, nothing is retried."""

    async def prepare() -> None:
        raise ServiceUnavailable("no such package")

    child = Child(
        ChildStatus("tiny", "service", log=str(tmp_path / "tiny.log")),
        command=lambda: Command(["unused"]),
        probe=_never,
        changed=lambda: None,
        prepare=prepare,
    )
    await child.run()
    await child.stop()
    assert (child.status.state, child.status.message, child.status.restarts) == (State.FAILED, "no such package", 0)


async def test_a_file_that_a_program_writes_at_its_end_is_moved_into_place(tmp_path: Path) -> None:
    """So the class cache of a JVM is whole or not there."""
    written, place = tmp_path / "written", tmp_path / "place"
    program = (
        "import signal, sys, time, pathlib\n"
        f"def end(*_): pathlib.Path({str(written)!r}).write_text('cache'); sys.exit(0)\n"
        "signal.signal(signal.SIGTERM, end); print('up', flush=True); time.sleep(600)"
    )
    child = make(tmp_path, program, leaves=(written, place))
    async with running(child):
        await when(lambda: child.status.state is State.READY)
    assert place.read_text() == "cache"
    assert not written.exists()


@pytest.mark.parametrize(
    ("code", "words"), [(0, "exit code 0"), (3, "exit code 3"), (-9, "killed by SIGKILL"), (-99, "killed by signal 99")]
)
def test_an_exit_is_described_in_words(code: int, words: str) -> None:
    """As asyncio reports it: negative for a signal."""
    assert describe_exit(code) == words


async def test_a_program_that_is_just_being_started_when_it_is_stopped_does_not_go_on(tmp_path: Path) -> None:
    """Whoever stopped it has seen no process: nobody else would ever end this one."""
    child = make(tmp_path, SLEEPS)
    command = child._command

    def stopped_meanwhile() -> Command:
        child._stopping.set()
        return command()

    child._command = stopped_meanwhile
    async with asyncio.timeout(WAIT_S):
        await child.run()
    assert not (tmp_path / "tiny.pid").exists() and not (tmp_path / "tiny.log").read_text()
