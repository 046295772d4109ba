"""What every sink promises to the agent that feeds it.

The log is delivered at least once, and doubly so: Kafka may hand over a record again (same offset), and a shard that replays its input
writes byte-identical frames again (new offset; same header source, source_offset, source_index). Each sink stores either kind once.

`write_batch` returns when the whole batch is stored; only then may the caller commit its offsets. If it raises ServiceUnavailable, nothing
is promised: the caller hands over the same batch again, until it is taken or the process is told to stop. Any other exception is a fault
of ours, or of a store that a person must look at (StaleData): the process stops, nothing is skipped.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

from schemas.codec import Frame


class Input(NamedTuple):
    """One record of the log. body: a frame, or the dict of schemas/avro/alert.avsc."""

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


@dataclass(frozen=True)
class SinkStats:
    """Counts since the sink was connected."""

    batches: int = 0
    inputs: int = 0
    repeated: int = 0
    """Inputs (MySQL), documents (Elasticsearch) or values (Redis) that the store had already."""
    rows: int = 0
    """Rows, documents or values that were written."""
    unavailable: int = 0
    """Times that the store did not take a batch."""


class Sink(Protocol):
    """A store at the end of the log. Constructed by its class's `connect(url, instruments)`, a coroutine that raises ServiceUnavailable."""

    async def write_batch(self, batch: Sequence[Input]) -> None:
        """Store the batch; per partition in order of offsets. Inputs of other topics than the sink's are a fault of the caller."""

    async def reached(self) -> dict[tuple[str, int], Reached]:
        """By (topic, partition), how far the store has come; nothing of a store that keeps no offsets."""

    async def flush(self) -> None:
        """Return when everything that write_batch took can be read (no sink holds anything back, so this may be nothing)."""

    async def close(self) -> None:
        """Let go of all connections."""

    def stats(self) -> SinkStats:
        """Counts so far."""
