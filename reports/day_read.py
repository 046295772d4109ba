"""A day as it was read from a log: its facts, and from which records they come. No I/O."""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Self

from reports.facts import DayFacts
from schemas.clock_record import ClockRecord


@dataclass
class Origin:
    """The records of one partition that have rows of the day. Offsets."""

    partition: str
    first: int = -1
    last: int = -1

    def add(self, offset: int) -> None:
        """Count a record."""
        self.first, self.last = offset if self.first < 0 else self.first, offset


@dataclass(frozen=True)
class AuditedOrigin:
    """Records of one partition, by offset, and their entries; -1 and "" where the partition has no audit log on this machine."""

    partition: str
    first_offset: int
    last_offset: int
    first_entry: int = -1
    last_entry: int = -1
    root: str = ""
    """SHA-256, hex, of the tree of last_entry + 1 entries."""


@dataclass
class DayRead:
    """The day, and where it is in the log."""

    facts: DayFacts
    rows: dict[str, int]
    """By topic and kind."""
    origins: list[Origin] = field(default_factory=list)

    def with_clocks(self, clocks: Iterable[ClockRecord]) -> Self:
        """The same day, with what processes have written of their clocks."""
        return replace(self, facts=replace(self.facts, clocks=tuple(clocks)))

    @property
    def has_nothing(self) -> bool:
        """Whether no order changed and no customer asked for anything."""
        return not len(self.facts.executions) and not len(self.facts.messages)
