"""Which replicas write the outputs of a shard. No I/O.

All replicas of a shard apply its inputs, and without another word all of them write. A placement names those that do from its offset on. It stands
in the shard's own input, so every replica changes its mind at the same place in the log, also one that was dead or late. It names the epoch that it
ends: of two that were sent at once the second is refused by every replica alike, and so is a copy.
"""

from dataclasses import dataclass
from typing import Any, Final

from schemas.codec import BadBytes, decode_record, encode_record, prefix_of
from topics.roles import REPLICAS
from topics.sources import topic_named

SCHEMA: Final = "shard_placement"
MOVE: Final = "MOVE"
COMPARE: Final = "COMPARE"
BAD_PLACEMENT: Final = "BAD_PLACEMENT"
"""Reason of a dead letter: the record says something that cannot be."""
STALE_PLACEMENT: Final = "STALE_PLACEMENT"
"""Reason of a dead letter: another move came first."""
_PREFIX: Final = prefix_of(SCHEMA)


@dataclass(frozen=True)
class Placement:
    """Of one shard, from one offset on. writers: letters of replicas; empty: every one. written_to: outputs of inputs below are in the log."""

    epoch: int = 0
    writers: str = ""
    since: int = 0
    written_to: int = 0

    def writes(self, replica: str) -> bool:
        """Whether the replica with this letter writes."""
        return not self.writers or replica in self.writers

    def kept(self) -> list[Any]:
        """As a snapshot has it."""
        return [self.epoch, self.writers, self.since, self.written_to]

    def __str__(self) -> str:
        return f"epoch {self.epoch}: {self.writers or 'every replica'}"


@dataclass(frozen=True)
class Comparison:
    """What a replica's state was at the offset of a COMPARE. state_hash: 16 bytes."""

    offset: int
    state_hash: bytes


def is_placement(topic: str, value: bytes | None) -> bool:
    """Whether a record of an input is one, as it says itself."""
    return value is not None and value[: len(_PREFIX)] == _PREFIX and SCHEMA in topic_named(topic).schemas


def move_record(now: Placement, writers: str, written_to: int, reason: str) -> bytes:
    """A record that ends this placement."""
    return _record(MOVE, now.epoch, writers, written_to, reason)


def compare_record(now: Placement, reason: str) -> bytes:
    """A record at which every replica hashes its state."""
    return _record(COMPARE, now.epoch, now.writers, 0, reason)


def placed(now: Placement, value: bytes, offset: int) -> Placement | None:
    """The placement that follows at this offset; None for a COMPARE, which changes nothing. Raises BadBytes for one that is refused."""
    _, record = decode_record(value)
    kind, writers, written_to = record["kind"], record["writers"], record["written_to"]
    if kind not in (MOVE, COMPARE):
        raise BadBytes(BAD_PLACEMENT, f"kind: {kind[:80]!r} is not {MOVE} or {COMPARE}")
    if kind == COMPARE:
        return None
    if set(writers) - set(REPLICAS) or len(set(writers)) != len(writers):
        raise BadBytes(BAD_PLACEMENT, f"writers: {writers[:80]!r} is not made of different letters of {REPLICAS}")
    if not 0 <= written_to <= offset:
        raise BadBytes(BAD_PLACEMENT, f"written_to: {written_to} is not an offset before this record's, {offset}")
    if record["from_epoch"] != now.epoch:
        raise BadBytes(
            STALE_PLACEMENT, f"it ends epoch {record['from_epoch']}, but this is {now}, since offset {now.since}: another move came first"
        )
    return Placement(now.epoch + 1, writers, offset, written_to)


def _record(kind: str, from_epoch: int, writers: str, written_to: int, reason: str) -> bytes:
    return encode_record(SCHEMA, {"kind": kind, "from_epoch": from_epoch, "writers": writers, "written_to": written_to, "reason": reason})
