"""What every sink promises to the agent that feeds it.

The log is delivered at least once, in two ways: Kafka may deliver a record again (same offset), and a shard that replays its input
writes identical frames again (new offset; same header source, source_offset, source_index). Each sink stores both kinds once.

`write_batch` returns when the whole batch is stored; only then may the caller commit its offsets. If it raises ServiceUnavailable, nothing
is promised: the caller repeats the same batch until it is stored or the process is stopped. If it raises StoreMoved, the caller goes back
to what `reached` says instead. Any other exception is a bug of ours, or a
problem of the store that somebody must look at (StaleData): the process stops, and nothing is skipped.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

from schemas.codec import Frame
from schemas.errors import ServiceUnavailable


class Input(NamedTuple):
    """One record of the log. body: a frame, or the dict of another schema; an empty one of a schema that the sink says it passes by: then only the place counts."""

    topic: str
    partition: int
    offset: int
    body: Frame | dict[str, Any]
    time_ns: int = 0
    """Append time of the record, ns."""


class Reached(NamedTuple):
    """How far a store has come in a partition: the next offset that it needs, and the append time of the record before it (0: not known)."""

    next_offset: int
    last_ns: int


class StoreMoved(ServiceUnavailable):
    """The store is another server from now on, which may have less than the one before: ask `reached`, and go on from there."""


@dataclass(frozen=True)
class SinkStats:
    """Counts since the sink was connected."""

    batches: int = 0
    inputs: int = 0
    repeated: int = 0
    """Inputs (MySQL), documents (Elasticsearch) or values (Redis) that the store already had."""
    rows: int = 0
    """Rows, documents or values that were written."""
    unavailable: int = 0
    """How often the store refused a batch."""


class Sink(Protocol):
    """A store at the end of the log. Constructed by its class's `connect(url, instruments)`, a coroutine that raises ServiceUnavailable."""

    async def write_batch(self, batch: Sequence[Input]) -> None:
        """Store the batch, per partition in offset order. Inputs of topics that the sink does not store are a bug of the caller."""

    async def reached(self) -> dict[tuple[str, int], Reached]:
        """By (topic, partition), how far the store has come; empty for a store that keeps no offsets."""

    async def flush(self) -> None:
        """Return when everything that write_batch stored can be read. No sink delays anything, so this may do nothing."""

    async def close(self) -> None:
        """Close all connections."""

    def stats(self) -> SinkStats:
        """Counts so far."""
