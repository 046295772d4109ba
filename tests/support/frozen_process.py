"""Stop a process with SIGSTOP, and wait until it has stopped."""

import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

STOPPED_WITHIN_S = 30.0


@contextmanager
def frozen(pid: int) -> Iterator[None]:
    """No thread of the process runs within the block.

    kill() returns before that: the signal takes effect when a thread of the process gets its turn, and on a busy machine the others go on answering until then.
    """
    os.kill(pid, signal.SIGSTOP)
    try:
        deadline = time.monotonic() + STOPPED_WITHIN_S
        while not all(_state(task) == "T" for task in Path(f"/proc/{pid}/task").iterdir()):
            assert time.monotonic() < deadline, f"process {pid} does not stop"
            time.sleep(0.001)
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


def _state(task: Path) -> str:
    return (task / "stat").read_text().rpartition(")")[2].split()[0]
