"""One assigned partition of a role with a state machine, as its host keeps it."""

import asyncio
from dataclasses import dataclass, field
from typing import Any

from streams.host.outbox import Outbox
from streams.host.placement import Comparison, Placement
from streams.host.shard_runner import RunnerStats, ShardRunner
from streams.host.snapshot_pace import SnapshotPace
from streams.host.snapshots import SnapshotStore


@dataclass
class Shard:
    """Its runner, and what waits for the next snapshot."""

    runner: ShardRunner
    store: SnapshotStore
    pace: SnapshotPace
    outbox: Outbox
    placement: Placement
    copies: bool = False  # the log is a copy of another region's
    unacknowledged: list[Any] = field(default_factory=list)  # Faust events
    unacknowledged_bytes: int = 0
    full: asyncio.Event = field(default_factory=asyncio.Event)  # REPLAYED_BYTES_MAX of them
    applying: asyncio.Lock = field(default_factory=asyncio.Lock)
    snapshot_task: asyncio.Task[None] | None = None
    hash_owed_at: float | None = None  # when the state of the newest snapshot, which has no hash, may be hashed; the event loop's clock
    arrived: asyncio.Event = field(default_factory=asyncio.Event)  # an input since the newest snapshot was taken, or the partition goes
    revoked: asyncio.Event = field(default_factory=asyncio.Event)
    told: RunnerStats = field(default_factory=lambda: RunnerStats(0, 0, 0, 0, 0, 0, 0))  # what the metrics have heard
    ticks: int = 0
    ticked: float = float("-inf")  # when a tick was last applied, whoever sent it; the event loop's clock
    _compared: Comparison | None = None
    _comparing: asyncio.Task[None] | None = None  # until the outputs before the comparison are in the log

    def note_comparison(self) -> None:
        """If an input was one: find out when the outputs of all inputs before it are in the log."""
        if self.runner.comparison is not self._compared:
            self._compared = self.runner.comparison
            self._comparing = asyncio.create_task(self.outbox.until_acknowledged())

    def place(self, replica: str, *, writes: bool) -> dict[str, object]:
        """Who writes its outputs, and what the newest comparison found, as the replica with this letter knows it. For people and for `outcry move-shard`.

        writes: whether this one does.
        """
        placement, compared, comparing = self.placement, self._compared, self._comparing
        found = None
        if compared is not None and comparing is not None:
            written = writes and comparing.done() and comparing.exception() is None
            found = {"offset": compared.offset, "state_hash": compared.state_hash.hex(), "written": written}
        return {
            "replica": replica, "epoch": placement.epoch, "writers": placement.writers, "since": placement.since,
            "writes": writes, "held": self.outbox.held, "compared": found,
        }  # fmt: skip
