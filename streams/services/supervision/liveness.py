"""Whether a program that does not answer is stuck, or only waits for a processor.

The kernel counts for each thread how long it wanted a processor and got none (the second number of /proc/PID/task/TID/schedstat). That time is not
held against a program: what remains is time in which it slept, was stopped, or worked at something else. So on a machine with many busy loops
it has as much time of its own to answer in as on an idle one. The time that we ourselves waited, and may have read an answer late, is not counted either.
"""

import os
import time
from contextlib import suppress
from pathlib import Path

ASK_EVERY_S = 5.0
ASK_AGAIN_S = 1.0
QUESTIONS_MIN = 5
PATIENCE_S = 30.0
"""Far beyond what one batch, a snapshot, or the restoring of a million orders takes the loop that answers."""
PATIENCE_MAX_S = 480.0
WAITS_TIMES_MAX = 10
"""Of its patience, by the clock: a program that waits for a processor for so long is as good as stuck."""


class Silence:
    """Begins before the first question that a program leaves open."""

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self._began_s = time.monotonic()
        self._waited_ns = _waited_ns(pid) | _waited_ns(os.getpid())
        self.questions = 0

    @property
    def seconds(self) -> float:
        """How long it has lasted by the clock."""
        return time.monotonic() - self._began_s

    def is_hopeless(self, patience_s: float) -> bool:
        """Whether it has had so many questions, and so much time in which it could have answered."""
        if self.questions < QUESTIONS_MIN or self.seconds < patience_s:
            return False
        return self.seconds - self._waited_s() >= patience_s or self.seconds >= WAITS_TIMES_MAX * patience_s

    def _waited_s(self) -> float:
        """The longest that a thread has waited since: which of them would answer is not for us to know."""
        theirs, ours = _waited_ns(self._pid), _waited_ns(os.getpid())
        return sum(max((now - self._waited_ns.get(thread, 0) for thread, now in some.items()), default=0) for some in (theirs, ours)) / 1e9


def _waited_ns(pid: int) -> dict[int, int]:
    """By thread; empty where the kernel does not tell."""
    waited = {}
    with suppress(OSError):
        for thread in Path(f"/proc/{pid}/task").iterdir():
            with suppress(OSError, ValueError, IndexError):  # it has just ended
                waited[int(thread.name)] = int((thread / "schedstat").read_text().split()[1])
    return waited
