"""A disk that is full: nothing ends for good, and all is as before once there is room. The disks are real: /dev/full, and a small one in a mount namespace."""

import asyncio
import contextlib
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from support.own_disk import run_on_own_disk

from schemas.settings import Settings
from streams.process.files import write_atomically
from streams.services.recipes.recipe import Command, limit_log
from streams.services.state import ChildStatus, State, Wanted, read_status, write_wanted
from streams.services.supervision import supervisor as supervisor_module
from streams.services.supervision.child import Child
from streams.services.supervision.published import PublishedFiles
from streams.services.supervision.supervisor import Supervisor

WAIT_S = 30.0
ROLE = """
import http.server, json, os, pathlib, sys
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200); self.end_headers()
    def log_message(self, *args): pass
server = http.server.HTTPServer(("127.0.0.1", 0), Handler)
pathlib.Path(sys.argv[1]).write_text(json.dumps({"pid": os.getpid(), "port": server.server_port}))
server.serve_forever()
"""


async def when(condition: Callable[[], bool]) -> None:
    """Return when the condition holds; fail after WAIT_S."""
    async with asyncio.timeout(WAIT_S):
        while not condition():  # noqa: ASYNC110 - the condition is in files and other processes
            await asyncio.sleep(0.02)


def test_a_file_that_cannot_be_written_leaves_the_old_one_and_no_draft(tmp_path: Path) -> None:
    """A draft would keep what little room there is."""
    write_atomically(tmp_path / "status.json", "old")
    (tmp_path / f".status.json.{os.getpid()}").symlink_to("/dev/full")
    with pytest.raises(OSError, match="No space left"):
        write_atomically(tmp_path / "status.json", "new")
    assert [path.name for path in tmp_path.iterdir()] == ["status.json"]
    assert (tmp_path / "status.json").read_text() == "old"


async def test_what_a_full_disk_does_not_take_is_written_once_there_is_room_and_only_the_newest(tmp_path: Path) -> None:
    """Meanwhile the problem is told by name."""
    files = PublishedFiles(tmp_path)
    draft = tmp_path / f".status.json.{os.getpid()}"
    draft.symlink_to("/dev/full")
    files.write("status.json", "old news")
    assert files.problem == f"cannot write {tmp_path / 'status.json'}: No space left on device"
    draft.symlink_to("/dev/full")
    files.write("status.json", "news")
    files.write("services.json", "{}")
    await when(lambda: not files.problem)
    assert (tmp_path / "status.json").read_text() == "news"
    assert (tmp_path / "services.json").read_text() == "{}"
    files.remove("services.json")
    assert not (tmp_path / "services.json").exists()


def sleeping(tmp_path: Path, **more: Any) -> Child:
    """A child that lives, and answers, until it is killed."""

    async def probe(pid: int) -> str:
        return "here"

    return Child(
        ChildStatus("tiny", "service", log=str(tmp_path / "tiny.log")),
        command=lambda: Command([sys.executable, "-c", "import time; time.sleep(600)"]),
        probe=probe,
        changed=lambda: None,
        **more,
    )


async def test_a_child_whose_pid_file_cannot_be_written_runs_and_is_restarted_all_the_same(tmp_path: Path) -> None:
    """It is for people."""
    (tmp_path / "tiny.pid").symlink_to("/dev/full")

    child = sleeping(tmp_path, pid_file=tmp_path / "tiny.pid")
    task = asyncio.create_task(child.run())
    for restarts in (0, 1):
        await when(lambda restarts=restarts: child.status.restarts == restarts and child.status.state is State.READY)
        assert child.status.pid is not None
        os.kill(child.status.pid, signal.SIGKILL)
    await when(lambda: child.status.restarts == 2)
    assert not task.done()
    await child.stop()
    await task


async def test_a_preparation_that_finds_the_disk_full_is_tried_again(tmp_path: Path) -> None:
    """A configuration file that cannot be written today can be written tomorrow."""
    (tmp_path / f".x.conf.{os.getpid()}").symlink_to("/dev/full")

    async def prepare() -> None:
        write_atomically(tmp_path / "x.conf", "settings")

    child = sleeping(tmp_path, prepare=prepare)
    task = asyncio.create_task(child.run())
    await when(lambda: child.status.state is State.READY)
    assert (child.status.restarts, child.status.last_exit[:17]) == (1, "the disk is full:")
    await child.stop()
    await task


@pytest.mark.parametrize("logger", ["outcry", "edge.app", "a.library"])
def test_a_log_on_a_full_disk_raises_nothing_where_something_is_logged(logger: str) -> None:
    """A request, a batch or a restart must not fail because nobody can read of it."""
    program = (
        "import structlog, logging; from streams.process.logging import configure_logging; configure_logging('INFO', 'edge')\n"
        f"for _ in range(3): structlog.get_logger('{logger}').error('news'); logging.getLogger('{logger}').error('news')\nprint('went on')"
    )
    with Path("/dev/full").open("w") as full:
        ended = subprocess.run([sys.executable, "-c", program], stdout=subprocess.PIPE, stderr=full, text=True, check=False)
    assert (ended.returncode, ended.stdout) == (0, "went on\n")


def test_a_role_with_a_fault_ends_even_if_its_log_takes_no_word() -> None:
    """It may not go on behind an input that it could not apply."""
    program = (
        "from streams.transport.app import fail_fast\ntry: raise ValueError('fault')\nexcept ValueError: fail_fast('x')\nprint('went on')"
    )
    with Path("/dev/full").open("w") as full:
        ended = subprocess.run([sys.executable, "-c", program], stdout=full, stderr=full, check=False)
    assert ended.returncode == 70


def test_a_log_beyond_its_limit_is_moved_aside_or_emptied_where_there_is_no_room(tmp_path: Path) -> None:
    """One older copy is kept; a program that appends goes on in the emptied file."""
    log, older = tmp_path / "tiny.log", tmp_path / "tiny.log.1"
    log.write_text("eleven bytes and more")
    limit_log(log, 100)
    assert not older.exists()
    limit_log(log, 10)
    assert (log.read_text(), older.read_text()) == ("", "eleven bytes and more")
    log.write_text("eleven bytes and more")
    older.unlink()
    older.symlink_to("/dev/full")
    limit_log(log, 10)
    assert (log.read_text(), older.exists()) == ("", False)
    limit_log(tmp_path / "none.log", 10)


@pytest.mark.slow
def test_a_supervisor_goes_on_through_a_full_home_and_what_was_lost_comes_back_by_itself(tmp_path: Path) -> None:
    """A role dies while nothing can be written, and cannot come back; the other one is left alone. Then there is room again."""
    ended = run_on_own_disk(__file__, tmp_path, "4m", timeout_s=120)
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.splitlines()[-1] == "back", ended.stdout


async def _keep_full(ballast: Path) -> None:
    """Also of what the dead leave behind."""
    with ballast.open("wb", buffering=0) as handle:
        while True:
            with contextlib.suppress(OSError):
                while True:
                    handle.write(bytes(4_096))
            await asyncio.sleep(0.005)


async def _through_a_full_home(home: Path) -> None:
    supervisor_module.HOUSEKEEPING_EVERY_S = 0.1
    settings = Settings(home=home)
    write_wanted(settings.run_dir, Wanted(services=(), roles=("left", "right"), external={"kafka_url": "kafka.example:9092"}))

    async def no_topics(kafka_url: str) -> None:
        """For a test that is about something else."""

    supervisor = Supervisor(
        settings, lambda role: [sys.executable, "-c", ROLE, str(settings.run_dir / f"{role}.json")], topics_work=no_topics
    )
    task = asyncio.create_task(supervisor.run())
    children = supervisor._children

    def written() -> dict[str, ChildStatus]:
        status = read_status(settings.run_dir)
        return {child.name: child for child in status.children} if status else {}

    await when(lambda: {name for name, child in written().items() if child.state is State.READY} == {"topics", "left", "right"})
    before = written()
    filling = asyncio.create_task(_keep_full(home / "ballast"))
    await when(lambda: shutil.disk_usage(home).free == 0)
    pid = before["left"].pid
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    await when(lambda: children["left"].status.restarts >= 3)
    os.kill(os.getpid(), signal.SIGHUP)
    await when(lambda: children["left"].status.restarts >= 4)
    assert "the disk is full" in children["left"].status.last_exit
    assert not task.done()
    assert written()["left"].restarts == 0, "the old status is whole"
    filling.cancel()
    (home / "ballast").unlink()
    await when(lambda: written()["left"].state is State.READY and written()["left"].restarts >= 4)
    after = written()
    assert after["right"].pid == before["right"].pid
    assert "the disk is full" in after["left"].last_exit
    os.kill(os.getpid(), signal.SIGTERM)
    await task
    print("back")


if __name__ == "__main__":
    asyncio.run(_through_a_full_home(Path(sys.argv[1])))
