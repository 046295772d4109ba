"""kill -9 at any moment: no two checkpoints of one size differ, nothing is lost, and nobody suspects the log."""

import os
import random
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from run_tampering import in_memory
from tampered_world import Records, World, finish_world, record

from audit.notes import Checkpoint, Note

CHILD = Path(__file__).parent / "killed_child.py"
ENTRIES = int(os.environ.get("AUDIT_LOG_ENTRIES", "60000"))
KILLS_MIN = 3
"""A million takes a few minutes."""


def _note_checkpoints(folder: Path, seen: dict[int, bytes]) -> int:
    """Every checkpoint that somebody could have read; returns the largest size."""
    sizes = [0]
    for path in (*(folder / "log").glob("checkpoint*"), *(folder / "witness" / "logs").glob("[0-9a-f]*")):
        found = Checkpoint.parse(Note.parse(path.read_bytes()).text)
        assert seen.setdefault(found.size, found.root) == found.root, f"two checkpoints of {found.size} entries"
        sizes.append(found.size)
    return max(sizes)


@pytest.mark.slow
def test_log_and_witness_are_killed_again_and_again_and_nobody_suspects_them(told):
    """By SIGKILL, after random times, until the log has all entries."""
    rng, seen, kills, largest = random.Random(7), {}, 0, 0
    with tempfile.TemporaryDirectory(dir=in_memory()) as made:
        folder = Path(made)
        while True:
            child = subprocess.Popen([sys.executable, CHILD, folder, str(ENTRIES)], stdout=subprocess.PIPE, text=True)
            assert child.stdout is not None
            if child.stdout.readline() == "started\n":
                try:
                    child.wait(rng.uniform(0.01, 1.0 if kills > KILLS_MIN else 0.1))  # a fast machine is done in a second
                except subprocess.TimeoutExpired:
                    child.kill()
                    kills += 1
            status = child.wait()
            assert status in (0, -9), f"it did not go on: {status}"
            size = _note_checkpoints(folder, seen)
            assert size >= largest, "the log has shrunk"
            largest = size
            if status == 0:
                break
        world = World(folder, ENTRIES, Records([record(offset) for offset in range(ENTRIES)]))
        finish_world(world, rng)
        assert world.found() == []
    assert kills > KILLS_MIN
    told.append(f"audit log: killed {kills} times on the way to {ENTRIES:,} entries, {len(seen)} checkpoints seen, nothing suspected")
