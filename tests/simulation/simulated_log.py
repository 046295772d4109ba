"""Kafka in memory: partitions that keep every record, and consumer groups with generations and committed offsets. No client, no time of its own.

What it takes over from Kafka, because the design leans on it: a partition is one order for all readers; an offset is given once; a commit of a member
that is not of the group's generation is refused; appending and fetching ask for no generation, so a zombie can do both.
"""

import hashlib
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final, Protocol

from streams.host.shard_runner import Record
from topics.key_files import RecordKeys
from topics.record_codes import UNCHECKED, Key, Keyring, code_of
from topics.speakers import SPEAKERS, WRITERS

TopicPartition = tuple[str, int]
RING: Final = Keyring(tuple(Key(f"{one}-1", one, hashlib.sha256(one.encode()).digest(), 0) for one in SPEAKERS))
"""The keys of this exchange, one for each sender."""
KEYS: Final = RecordKeys(None)
KEYS._ring = RING


@dataclass(frozen=True)
class Stored(Record):
    """A record with the code that it has in the log."""

    code: bytes | None = None


class SimulatedLog:
    """Partitions as lists; a record's offset is its place."""

    def __init__(self, now_ns: Callable[[], int]) -> None:
        self.parts: dict[TopicPartition, list[Stored]] = defaultdict(list)
        self._now_ns = now_ns
        self._listeners: dict[str, list[Callable[[], None]]] = defaultdict(list)

    def append(
        self, topic: str, partition: int, value: bytes | None, key: bytes | None = None, speaker: str = "", code: bytes | None = None
    ) -> int:
        """Write a record and wake who listens; its offset. speaker: whose key signs it; without one, it has the code that is given, or none."""
        part = self.parts[topic, partition]
        now_ns = self._now_ns()  # a new leader's clock may be behind the old one's: times of records need not grow
        proof = UNCHECKED
        if topic in WRITERS:
            if speaker:
                code = code_of(RING.of(speaker)[0].headers(topic, partition, value or b""))
            proof = RING.proof(topic, partition, value or b"", code, now_ns)
        part.append(Stored(topic, partition, len(part), now_ns, key, value, proof, code))
        for wake in self._listeners[topic]:
            wake()
        return len(part) - 1

    def end(self, tp: TopicPartition) -> int:
        """The next offset."""
        return len(self.parts[tp])

    def listen(self, topic: str, wake: Callable[[], None]) -> None:
        """Call `wake` after each append."""
        self._listeners[topic].append(wake)

    def unlisten(self, topic: str, wake: Callable[[], None]) -> None:
        """No more."""
        self._listeners[topic].remove(wake)


class Member(Protocol):
    """A consumer as its group sees it."""

    name: str
    reachable: bool
    """False for one that is dead, or that the coordinator does not hear (a zombie)."""

    async def revoke(self) -> None:
        """Give up every partition."""

    def assign(self, positions: dict[TopicPartition, int], generation: int) -> None:
        """Read these partitions from these offsets on."""


@dataclass
class Group:
    """One consumer group: who its members are, what each reads, how far it has committed."""

    name: str
    partitions: tuple[TopicPartition, ...]
    shuffle: Callable[[list[TopicPartition]], None]
    generation: int = 0
    members: list[Member] = field(default_factory=list)
    committed: dict[TopicPartition, int] = field(default_factory=dict)
    refused: int = 0
    """Commits of former generations."""
    _again: bool = False
    _busy: bool = False

    async def rebalance(self) -> None:
        """Eagerly: every member gives up everything, then all is dealt anew. One at a time; a call meanwhile asks for another round."""
        self._again = True
        if self._busy:
            return
        self._busy = True
        while self._again:
            self._again = False
            for member in [one for one in self.members if one.reachable]:
                await member.revoke()
            self.generation += 1
            alive = [one for one in self.members if one.reachable]
            dealt: dict[str, dict[TopicPartition, int]] = {one.name: {} for one in alive}
            order = list(self.partitions)
            self.shuffle(order)
            for place, tp in enumerate(order if alive else ()):
                dealt[alive[place % len(alive)].name][tp] = self.committed.get(tp, 0)
            for member in alive:
                member.assign(dealt[member.name], self.generation)
        self._busy = False

    def commit(self, generation: int, offsets: dict[TopicPartition, int]) -> bool:
        """Note how far a member has come; False if it is of a former generation."""
        if generation != self.generation:
            self.refused += 1
            return False
        self.committed.update(offsets)
        return True
