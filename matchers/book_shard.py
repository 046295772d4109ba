"""The book shard that the exchange runs: the kernel as long as all is plain, all rules where they are needed.

Both say the same bytes and have the same state hash, so that changing between them never shows: the kernel stops at the first command that is not plain, the
reference goes on with the state as it is, and after a frame that leaves only plain things behind the kernel takes over again. The tries to go back are
spaced out while they fail, for each looks at the whole state.
"""

from typing import Self

import numpy as np

from matchers.plain_books import PlainBooks
from matchers.reference_book_shard import BookShard as AllRules
from matchers.shard_limits import DEFAULT_LIMITS, ShardLimits
from matchers.shard_outputs import BookOutput
from matchers.state_hash import hash_arrays
from schemas.codec import Rows
from schemas.instruments import InstrumentTable

__all__ = ["BookOutput", "BookShard"]

_WAIT_FRAMES_MAX = 64
_SOON_FRAMES = 16
"""A shard that hands over again within so many frames waits longer before it tries to go back."""


class BookShard:
    """The books of the instruments with instrument % shards == shard; see reference_book_shard.BookShard."""

    def __init__(
        self, shard: int, instruments: InstrumentTable, shards: int, limits: ShardLimits = DEFAULT_LIMITS, *, levels: bool = True
    ) -> None:
        assert 0 <= shard < shards, "no such shard"
        self.shard, self.shards, self.limits, self.instruments, self.levels = shard, shards, limits, instruments, levels
        self._machine: PlainBooks | AllRules = PlainBooks(shard, instruments, shards, limits, levels=levels)
        self._wait_frames = self._frames_left = 1
        self._plain_frames = _SOON_FRAMES
        self.handovers = 0
        """How often the kernel came to a command that is not plain."""

    @property
    def log_time(self) -> int:
        """ns; the latest transact_time seen."""
        return self._machine.log_time

    @property
    def last_seq(self) -> int:
        """Number of the latest execution row."""
        return self._machine.last_seq

    @property
    def is_plain(self) -> bool:
        """Whether the kernel is at work."""
        return isinstance(self._machine, PlainBooks)

    def apply(self, rows: Rows) -> BookOutput:
        """Apply book_command_frame rows."""
        first_seq, at = self.last_seq + 1, 0
        parts: list[Rows] = []
        if isinstance(self._machine, PlainBooks):
            executions, at = self._machine.apply(rows, 0)
            parts.append(executions)
            self._plain_frames += 1
        if at < len(rows) or not parts:
            all_rules = self._hand_over(self._machine) if isinstance(self._machine, PlainBooks) else self._machine
            executions = all_rules.apply(rows[at:]).executions
            executions["command_index"] += at
            parts.append(executions)
            self._try_plain(all_rules)
        return BookOutput(_joined(parts), first_seq)

    def _hand_over(self, plain: PlainBooks) -> AllRules:
        """Go on with all rules."""
        self._machine = all_rules = AllRules.restore(self.shard, self.instruments, plain.exact_snapshot(), levels=self.levels)
        self._wait_frames = min(2 * self._wait_frames, _WAIT_FRAMES_MAX) if self._plain_frames <= _SOON_FRAMES else 1
        self._frames_left, self._plain_frames = self._wait_frames, 0
        self.handovers += 1
        return all_rules

    def _try_plain(self, all_rules: AllRules) -> None:
        """Give the shard back to the kernel if only plain things are left."""
        self._frames_left -= 1
        if self._frames_left:
            return
        plain = PlainBooks.of_exact(self.shard, self.instruments, all_rules.snapshot(), levels=self.levels)
        if plain is None:
            self._wait_frames = min(2 * self._wait_frames, _WAIT_FRAMES_MAX)
            self._frames_left = self._wait_frames
        else:
            self._machine = plain

    def state_hash(self) -> bytes:
        """16 bytes over the canonical state, see state_hash.py."""
        return hash_arrays(self._machine.canonical_state()) if isinstance(self._machine, PlainBooks) else self._machine.state_hash()

    def snapshot(self) -> dict[str, Rows]:
        """The whole state as named arrays; the kernel's are views that the next call changes."""
        return self._machine.snapshot()

    @classmethod
    def restore(cls, shard: int, instruments: InstrumentTable, arrays: dict[str, Rows], *, levels: bool = True) -> Self:
        """The shard of a snapshot. Raises StaleData for one of another shard, other instruments or another layout."""
        kind = PlainBooks if "kernel_head" in arrays else AllRules
        inner = kind.restore(shard, instruments, arrays, levels=levels)
        machine = cls(shard, instruments, inner.shards, inner.limits, levels=levels)
        machine._machine = inner
        return machine


def _joined(parts: list[Rows]) -> Rows:
    """One array; as plain bytes, because numpy leaves the gaps between fields undefined when it joins records."""
    if len(parts) == 1:
        return parts[0]
    return np.concatenate([part.view(f"V{part.itemsize}") for part in parts]).view(parts[0].dtype)
