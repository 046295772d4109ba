"""What every owner did in one book in the last minutes: counters in buckets of 30 s, and their sums over the windows of WINDOWS.

Counting costs one list access an event. Sums are brought up to date when a bucket ends, by adding it and taking the one that leaves away, so
that no detector goes over the events again. Bounded: OWNERS_MAX owners a bucket; later ones in the same bucket are not counted.
"""

from collections import deque
from typing import Any, Final

BUCKET_NS: Final = 30_000_000_000
OWNERS_MAX: Final = 4_096
"""Of one bucket: 60 buckets of 4,096 owners of 16 counters are 35 MB, and no market has so many owners in a book in half a minute."""
FIVE_MINUTES, FIFTEEN_MINUTES, HALF_AN_HOUR = 10, 30, 60
WINDOWS: Final = (FIVE_MINUTES, FIFTEEN_MINUTES, HALF_AN_HOUR)
"""Lengths in buckets."""


# Counters. Each is two: + 0 for what was bought, + 1 for what was sold.
ORDERS: Final = 0
CANCELS: Final = 2
FILLS: Final = 4
TAKEN_QTY: Final = 6
"""Lots traded as the taker."""
MADE_QTY: Final = 8
"""Lots traded as the maker, or in an uncross."""
TAKES: Final = 10
"""Trades as the taker."""
SMALL_TICKS: Final = 12
"""Takes of no more than a usual trade that moved the price: buys up, sells down."""
COST: Final = 14
"""Sum of price x lots of all trades."""
COUNTERS: Final = 16
Counters = list[int]


class Windows:
    """The open bucket, the closed ones of the longest window, and the sums."""

    __slots__ = ("closed", "open", "sums", "taken")

    def __init__(self) -> None:
        self.open: dict[int, Counters] = {}
        self.closed: deque[dict[int, Counters]] = deque()
        self.taken: deque[int] = deque(maxlen=HALF_AN_HOUR)
        """Lots that takers traded in each closed bucket."""
        self.sums: dict[int, dict[int, Counters]] = {length: {} for length in WINDOWS}
        """By length of the window, by owner. Of closed buckets."""

    def of(self, owner: int) -> Counters:
        """The owner's counters of the open bucket, to be added to."""
        counters = self.open.get(owner)
        if counters is None:
            counters = [0] * COUNTERS
            if len(self.open) < OWNERS_MAX:
                self.open[owner] = counters
        return counters

    def is_empty(self) -> bool:
        """Whether nothing is known of the last half hour."""
        return not self.open and not any(self.closed)

    def close(self, more: int = 0) -> None:
        """The open bucket is over, and `more` after it in which nothing happened."""
        for _ in range(min(more, HALF_AN_HOUR) + 1):
            self._close_one()

    def _close_one(self) -> None:
        self.closed.append(self.open)
        self.taken.append(sum(one[TAKEN_QTY] + one[TAKEN_QTY + 1] for one in self.open.values()))
        for length, sums in self.sums.items():
            for owner, counters in self.open.items():
                known = sums.get(owner)
                sums[owner] = list(counters) if known is None else [a + b for a, b in zip(known, counters, strict=True)]
            if len(self.closed) > length:
                self._leave(sums, self.closed[-1 - length])
        if len(self.closed) > HALF_AN_HOUR:
            self.closed.popleft()
        self.open = {}

    @staticmethod
    def _leave(sums: dict[int, Counters], bucket: dict[int, Counters]) -> None:
        for owner, counters in bucket.items():
            left = [a - b for a, b in zip(sums[owner], counters, strict=True)]
            if any(left):
                sums[owner] = left
            else:
                del sums[owner]

    def at_work(self, owner: int, counter: int) -> tuple[int, int, int]:
        """(buckets in which the owner's counter moved, its sum, lots that all takers traded in them)."""
        buckets = own = everybody = 0
        for bucket, taken in zip(self.closed, self.taken, strict=True):
            counters = bucket.get(owner)
            if counters is not None and counters[counter]:
                buckets, own, everybody = buckets + 1, own + counters[counter], everybody + taken
        return buckets, own, everybody

    def usual_taken(self, duration_ns: int) -> int:
        """Lots that takers trade in so long on average of the closed buckets; 0 while there are fewer than four."""
        if len(self.taken) < 4:
            return 0
        return sum(self.taken) * duration_ns // (len(self.taken) * BUCKET_NS)

    def state(self) -> list[Any]:
        """Buckets as lists; the sums follow from them."""
        return [list(self.open.items()), [list(bucket.items()) for bucket in self.closed]]

    @classmethod
    def of_state(cls, state: list[Any]) -> "Windows":
        """The windows of `state`."""
        windows = cls()
        for bucket in state[1]:
            windows.open = dict(bucket)
            windows.close()
        windows.open = dict(state[0])
        return windows


def volume(sums: dict[int, Counters]) -> int:
    """Lots traded by all owners of a window: each trade has a buyer, whether it took or made."""
    return sum(one[TAKEN_QTY] + one[MADE_QTY] for one in sums.values())
