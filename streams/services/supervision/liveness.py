"""Whether a program that does not answer is stuck, or only waits for a processor.

The kernel counts for each thread how long it waited for a processor (the second number of /proc/PID/task/TID/schedstat). That time is not held
against a program. What remains is time in which it slept, was stopped, or did something else. So on a busy machine it has as much time to answer
as on an idle one. The time that the supervisor itself waited, and may have read an answer late, is not counted either.
"""

import os
import time
from contextlib import suppress
from pathlib import Path

ASK_EVERY_S = 5.0
ASK_AGAIN_S = 1.0
QUESTIONS_MIN = 5
PATIENCE_S = 30.0
"""Far longer than one batch, a snapshot, or restoring a million orders keeps the event loop from answering."""
PATIENCE_MAX_S = 480.0
WAITS_TIMES_MAX = 10
"""Limit by the clock: a program that waits this long for a processor is as good as stuck."""


class Silence:
    """Begins before the first probe that a program leaves unanswered."""

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
        """Whether it has had enough probes, and enough time in which it could have answered."""
        if self.questions < QUESTIONS_MIN or self.seconds < patience_s:
            return False
        return self.seconds - self._waited_s() >= patience_s or self.seconds >= WAITS_TIMES_MAX * patience_s

    def _waited_s(self) -> float:
        """The longest that any thread has waited since: we cannot know which of them would answer."""
        theirs, ours = _waited_ns(self._pid), _waited_ns(os.getpid())
        return sum(max((now - self._waited_ns.get(thread, 0) for thread, now in some.items()), default=0) for some in (theirs, ours)) / 1e9


def _waited_ns(pid: int) -> dict[int, int]:
    """By thread; empty if the kernel does not say."""
    waited = {}
    with suppress(OSError):
        for thread in Path(f"/proc/{pid}/task").iterdir():
            with suppress(OSError, ValueError, IndexError):  # it has just ended
                waited[int(thread.name)] = int((thread / "schedstat").read_text().split()[1])
    return waited
