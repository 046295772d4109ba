"""In which order the records of another region's log may be appended to the copy, so that the copy is a possible past of it at any moment. No I/O.

Each partition is copied from its beginning, in its order. That alone is not enough: a frame that a shard has written may arrive before the input that
made it. If the other region is lost in that moment, the shard here would make another frame of another input under the same name, and readers would take
only the first. So a frame waits until the copy has the input that it names. What made that input was there before it, by the same rule.
"""

from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from schemas.codec import BadBytes
from schemas.errors import StaleData
from streams.host.identities import identity_of
from topics.catalogue import COPIED_NAMES
from topics.offsets import Place
from topics.sources import names_shard


@dataclass(frozen=True, slots=True)
class Arrived:
    """A record of the other region. message: whatever the caller needs to append it."""

    place: Place
    offset: int
    size: int
    needs: tuple[Place, int] | None
    """An input that the copy must have first, and its offset."""
    message: Any
    arrived_s: float = 0.0
    """When, monotonic."""


def input_named_by(value: bytes | None) -> tuple[Place, int] | None:
    """The input of which a shard made this frame or fact, as it says itself; None for what customers, operators and clocks send, and for anything else."""
    try:
        found = identity_of(value)
    except BadBytes:
        return None
    if found is None or not names_shard(found[1].source):
        return None
    topic, _, number = found[1].source.partition("/")
    return ((topic, int(number)), found[1].source_offset) if topic in COPIED_NAMES and number.isdecimal() else None


class CausalOrder:
    """What has arrived and what may be appended. ends: where each partition of the copy ends."""

    def __init__(self, ends: Mapping[Place, int]) -> None:
        self.ends = dict(ends)
        """Of what the broker here has acknowledged."""
        self._waiting: dict[Place, deque[Arrived]] = {place: deque() for place in ends}
        self._next = dict(ends)
        self._bytes: dict[Place, int] = dict.fromkeys(ends, 0)

    def arrived(self, record: Arrived) -> None:
        """Of a partition, in its order. Raises StaleData for a gap: the other region does not have the records between any more."""
        due = self._next[record.place]
        if record.offset != due:
            topic, number = record.place
            raise StaleData(
                f"{topic}/{number}: the copy ends at {due:,}, and the other region goes on at {record.offset:,}: it has deleted what is between; "
                f"begin a new copy"
            )
        self._next[record.place] = due + 1
        self._waiting[record.place].append(record)
        self._bytes[record.place] += record.size

    def ready(self) -> Iterator[Arrived]:
        """Take what may be appended now, partition by partition in its order. What is appended must be told with `appended`."""
        for place, waiting in self._waiting.items():
            while waiting and self._has(waiting[0].needs):
                record = waiting.popleft()
                self._bytes[place] -= record.size
                yield record

    def appended(self, place: Place, offset: int) -> None:
        """The copy has the record."""
        self.ends[place] = max(self.ends[place], offset + 1)

    def waiting_bytes(self, place: Place) -> int:
        """Of records of a partition that have arrived and may not be appended yet."""
        return self._bytes[place]

    def waits_for(self, place: Place) -> tuple[Place, int] | None:
        """What the first record that waits needs; None where none waits."""
        waiting = self._waiting[place]
        return waiting[0].needs if waiting else None

    def let_go(self, place: Place) -> None:
        """The first record that waits needs nothing: it names an input that nobody has, so no shard has made it."""
        waiting = self._waiting[place]
        waiting[0] = replace(waiting[0], needs=None)

    def _has(self, needed: tuple[Place, int] | None) -> bool:
        if needed is None:
            return True
        place, offset = needed
        return place not in self.ends or self.ends[place] > offset
