"""What the router measures: shares of reads, the latency of a server, the slowest of late. Pure: whoever asks says what time it is."""

import math
from bisect import bisect_left
from collections import deque
from typing import Final

DECAY_S: Final = 10.0
"""A latency that was measured so long ago counts for 1/e: a server that nobody asks is tried again."""
WEIGHT: Final = 0.1
FLOOR_S: Final = 0.0005
"""Below half a millisecond servers are equally fast: what differs there is the machine that asks."""
RECENT_S: Final = 60.0
SAMPLES_MAX: Final = 1_000
SAMPLES_MIN: Final = 50


class Share:
    """At most `share` of what is counted, and `burst` more after a quiet time."""

    def __init__(self, share: float, burst: int) -> None:
        self._share, self._burst = share, burst
        self._saved = float(burst)

    def count(self) -> None:
        """One more."""
        self._saved = min(self._burst, self._saved + self._share)

    def take(self) -> bool:
        """Whether one may be taken; then it is."""
        if self._saved < 1:
            return False
        self._saved -= 1
        return True


class Latency:
    """A moving average that fades with time."""

    def __init__(self) -> None:
        self._average_s = 0.0
        self._at_s = -math.inf

    def add(self, seconds: float, now_s: float) -> None:
        """One more sample."""
        self._average_s = seconds if self._average_s == 0.0 else self._average_s + WEIGHT * (seconds - self._average_s)
        self._at_s = now_s

    def value(self, now_s: float) -> float:
        """At least FLOOR_S."""
        faded = self._average_s * math.exp(-max(0.0, now_s - self._at_s) / DECAY_S) if self._average_s else 0.0
        return max(FLOOR_S, faded)


class Recent:
    """The latencies of the last minute, SAMPLES_MAX at most."""

    def __init__(self) -> None:
        self._samples: deque[tuple[float, float]] = deque(maxlen=SAMPLES_MAX)
        self._p95_s: float | None = None
        self._unsorted = 0

    def add(self, seconds: float, now_s: float) -> None:
        """One more sample."""
        self._samples.append((now_s, seconds))
        self._unsorted += 1

    def p95_s(self, now_s: float) -> float | None:
        """None with fewer than SAMPLES_MIN. Computed anew after as many samples."""
        if self._p95_s is None or self._unsorted >= SAMPLES_MIN:
            first = bisect_left(self._samples, now_s - RECENT_S, key=lambda sample: sample[0])
            found = sorted(seconds for _, seconds in list(self._samples)[first:])
            self._p95_s = found[len(found) * 95 // 100] if len(found) >= SAMPLES_MIN else None
            self._unsorted = 0
        return self._p95_s


class Trail:
    """When the primary was first seen at which position, to tell how late a replica is: by what it lacks, not by what it says of itself.

    A replica whose threads are stopped says that it is not late at all, or nothing; by this measure it is as late as the first transaction that it lacks.
    """

    def __init__(self, kept_max: int = 4_000) -> None:
        self._seen: deque[tuple[int, float, str]] = deque(maxlen=kept_max)

    def add(self, position: int, gtid: str, now_s: float) -> None:
        """The primary was there. Positions only grow; one that does not is of no news."""
        if not self._seen or position > self._seen[-1][0]:
            self._seen.append((position, now_s, gtid))

    @property
    def newest(self) -> tuple[int, str]:
        """Position and GTID; (0, "") before the first."""
        return (self._seen[-1][0], self._seen[-1][2]) if self._seen else (0, "")

    def lag_s(self, position: int, now_s: float) -> float:
        """For how long the primary has had something that a server at this position lacks; 0 if it has all."""
        if not self._seen or position >= self._seen[-1][0]:
            return 0.0
        first = bisect_left(self._seen, position + 1, key=lambda one: one[0])
        return now_s - self._seen[first][1]
