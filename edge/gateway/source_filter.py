"""Drop what a source has sent before, and what no source can have sent: the rule of schemas.marks for readers that write no dead letters. No I/O."""

from schemas.codec import BadBytes, Header
from schemas.marks import Marks
from topics.sources import UNPROVEN, Sources


class SourceFilter:
    """The marks of one partition. `begin` tells it how far the sources' own logs were when the reader began, in the middle of the log."""

    def __init__(self, sources: Sources) -> None:
        self._sources = sources
        self.marks = Marks()
        self.dropped = 0
        """Repeats."""
        self.strangers = 0
        """Frames of somebody who does not write here."""

    @property
    def suspicious(self) -> int:
        """Frames that were refused, or taken with an alarm."""
        return self.strangers + self.marks.suspicious

    def note(self, error: BadBytes) -> None:
        """Count a record that was not taken, if its sender is why."""
        if error.reason in UNPROVEN:
            self.marks.unproven[error.reason] += 1

    def begin(self, ends: dict[str, int], now_ns: int) -> None:
        """ends: by source, where its log ended at this time."""
        self.marks = Marks(since_ns=now_ns)
        for source, end in ends.items():
            self.marks.at_most(source, end)

    def is_new(self, header: Header, time_ns: int) -> bool:
        """True once for each frame of a source, in their order; False for one at or below the highest seen, and for one that is refused.

        time_ns: append time of its record.
        """
        try:
            self._sources.is_shard(header)
        except BadBytes:
            self.strangers += 1
            return False
        try:
            if self.marks.take(header, time_ns):
                return True
        except BadBytes:
            return False
        self.dropped += 1
        return False
