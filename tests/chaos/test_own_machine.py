"""Disks that are full and networks that are cut, inside of namespaces: real ones, undone when they must be."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
PROGRAM = """
import errno, json, socket, sys, time
from pathlib import Path
from own_machine import INSIDE, OwnMachine, enter
if INSIDE not in sys.argv:
    enter(sys.argv)
machine, disk, told = OwnMachine(inside=INSIDE in sys.argv), Path(sys.argv[1]) / "disk", {}
machine.small_disk(disk, 4)
told["no_disk"], told["no_network"] = machine.no_disk, machine.no_network
def write():
    try:
        (disk / "file").write_bytes(bytes(1 << 20))
        return "written"
    except OSError as error:
        return errno.errorcode[error.errno]
def connect(port, timeout=60):
    try:
        socket.create_connection(("127.0.0.1", port), timeout).close()
        return "connected"
    except TimeoutError:
        return "timed out"
if not machine.no_disk:
    with machine.full(disk):
        told["full"] = write()
    told["not full"] = write()
    machine.small_disk(disk / "inner", 4)
    (disk / "inner" / "file").write_text("inner")
    (disk / "log").write_text("log")
    machine.leave(keep=disk)
    told["kept"] = sorted(str(path.relative_to(disk)) for path in disk.rglob("*"))
if not machine.no_network:
    listening = [socket.create_server(("127.0.0.1", 0)) for _ in range(2)]
    victim, other = (one.getsockname()[1] for one in listening)
    with machine.cut([victim]):
        told["cut"], told["other"] = connect(victim, 0.5), connect(other)
    told["not cut"] = connect(victim)
    with machine.slow([victim]):
        told["slow"] = connect(victim)
print(json.dumps(told))
"""


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """What the program saw; without a machine of its own only why not."""
    scratch = tmp_path_factory.mktemp("machine")
    (scratch / "program.py").write_text(f"import sys\nsys.path.insert(0, {str(HERE)!r})\n{PROGRAM}")
    done = subprocess.run(
        [sys.executable, str(scratch / "program.py"), str(scratch)], capture_output=True, text=True, timeout=600, check=False
    )
    assert done.returncode == 0, done.stderr
    found: dict[str, str] = json.loads(done.stdout)
    assert not (scratch / "disk" / "inner" / "file").exists(), "the small disk was not ours alone"
    return found


def test_a_full_disk_takes_nothing_until_it_is_full_no_more(told):
    """It is the filesystem that says so, not a mock."""
    if told["no_disk"]:
        pytest.skip(told["no_disk"])
    assert (told["full"], told["not full"]) == ("ENOSPC", "written")


def test_what_is_on_a_small_disk_is_kept_where_somebody_wants_to_look_at_it(told):
    """But for what lies on another small disk within it."""
    if told["no_disk"]:
        pytest.skip(told["no_disk"])
    assert told["kept"] == ["file", "inner", "log"]


def test_a_cut_port_is_not_reached_and_all_others_are(told):
    """Nothing of it stays."""
    if told["no_network"]:
        pytest.skip(told["no_network"])
    assert (told["cut"], told["other"], told["not cut"], told["slow"]) == ("timed out", "connected", "connected", "connected")
