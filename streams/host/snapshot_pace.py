"""When a shard's next snapshot is due, and whether it gets a hash of the state: as often as configured, as long as that takes only a small share of the time.

The cost of a snapshot grows with the state. Comparing all of it keeps inputs waiting. Packing and sending the changes takes processor time from them. The
canonical hash takes seconds with millions of orders. So each of the three has a share of the time. If that is not enough, snapshots become rarer, and more
must be replayed after a crash, within a bound: see docs/recovery.md.
"""

from dataclasses import dataclass
from typing import Final

HELD_SHARE: Final = 0.002
"""Of the time in which inputs may wait for a snapshot: 0.1 ms a MB of state, so 10 ms in five seconds with 100 MB. One in a hundred would be the 99th percentile."""
HELD_APART_S: Final = 30.0
"""No longer than this do snapshots keep apart so that inputs need not wait, whatever one has cost: what is replayed after a crash has a bound."""
HASH_SHARE: Final = 0.002
"""Of the time in which they may wait for a hash: 2 ms each second, the hash of a shard with thousands of orders; 1 s in eight minutes."""
_SMALL_BYTES: Final = 1 << 20
"""A state of less costs as much: a hash has costs of its own."""
WRITE_SHARE: Final = 0.5
"""Of the time in which a snapshot may be under way."""


@dataclass
class SnapshotPace:
    """Times are the event loop's, s; costs come from whatever clock the caller measures with."""

    interval_s: float
    due: float
    """Not before this time is the next snapshot taken."""
    hashed_at: float
    """When the state was hashed last; at first, when the shard was opened."""
    hash_s_per_byte: float = 1e-9
    """Of the state. What a hash will take must be known before: a shard may have grown a thousandfold since the last one. At first it is
    taken to be so little that the first snapshot of a small shard, an interval of 1 s after it was opened, has a hash."""

    def hash_due(self, size: int) -> float:
        """From when on a snapshot should have the hash of a state of so many bytes."""
        return self.hashed_at + max(size, _SMALL_BYTES) * self.hash_s_per_byte / HASH_SHARE

    def hash_is_due(self, now: float, size: int) -> bool:
        """Whether the next snapshot should have a hash."""
        return now >= self.hash_due(size)

    def hashed(self, now: float, cost_s: float, size: int) -> None:
        """The state was hashed, which took so long."""
        self.hashed_at, self.hash_s_per_byte = now, cost_s / max(size, _SMALL_BYTES)

    def taken(self, now: float, held_s: float) -> None:
        """A snapshot was taken, for which inputs waited so long."""
        self.due = now + max(self.interval_s, min(held_s / HELD_SHARE, HELD_APART_S))

    def written(self, now: float, cost_s: float) -> None:
        """It is durable, which took so long from when it was taken."""
        self.due = max(self.due, now + cost_s / WRITE_SHARE - cost_s)
