"""Who may be named as the source of a frame in a partition; derived from the catalogue. No I/O."""

from dataclasses import dataclass
from functools import cache
from typing import Final

from schemas.codec import NO_ROWS, BadBytes, Header
from schemas.limits import SHARDS_MAX
from schemas.marks import WRONG_PLACE
from topics.catalogue import TOPICS, Topic

WRONG_SOURCE: Final = "WRONG_SOURCE"
"""Reason of a dead letter: the frame names a source that does not write there."""
NO_CODE: Final = "NO_CODE"
"""Reason of a dead letter: nothing proves who has sent the record, see topics.record_codes."""
WRONG_CODE: Final = "WRONG_CODE"
"""Reason of a dead letter: the code is of another value, partition or key, or of a key that was not valid when the record was appended."""
NO_RIGHT: Final = "NO_RIGHT"
"""Reason of a dead letter: the sender is who it says, and may not write this."""
UNPROVEN: Final = frozenset({NO_CODE, WRONG_CODE, NO_RIGHT})
FORGED: Final = frozenset({NO_ROWS, WRONG_SOURCE, WRONG_PLACE}) | UNPROVEN
"""Reasons for which every reader ignores a frame: no program of the exchange wrote it."""
_TOPIC_NAMES: Final = frozenset(topic.name for topic in TOPICS)
_BY_NAME: Final = {topic.name: topic for topic in TOPICS}


@dataclass(frozen=True)
class Sources:
    """Of one partition. shards: sources whose frames are told apart by marks, the calendar's too; others: whether customers, operators or clocks write there."""

    where: str
    shards: frozenset[str]
    others: bool

    def is_shard(self, header: Header) -> bool:
        """Whether a shard sent the frame. Raises BadBytes for a source that does not write there, or that this cluster does not have."""
        source = header.source
        if source in self.shards:
            return True
        if self.others and not names_shard(source):
            return False
        raise BadBytes(WRONG_SOURCE, f"{source[:80]!r} does not write to {self.where}")


@cache
def sources_of(topic: Topic, partition: int, shards: int = SHARDS_MAX) -> Sources:
    """Of a partition. shards: number of partitions of the topic whose shards write there; not needed where each writes to its own number only."""
    feed = topic.feed
    where = f"{topic.name}/{partition}"
    if feed is None:
        return Sources(where, frozenset(), others=True)
    numbers = range(shards) if feed.crosses else (partition,)
    return Sources(where, frozenset((*(f"{feed.topic}/{number}" for number in numbers), *feed.numbered)), others=not feed.alone)


def topic_named(name: str) -> Topic:
    """The topic of the catalogue with this name."""
    return _BY_NAME[name]


def names_shard(source: str) -> bool:
    """Whether a source is, or looks like, the name of a shard: a topic's name before a slash. Customers and operators may not use such names."""
    name, slash, _ = source.partition("/")
    return bool(slash) and name in _TOPIC_NAMES
