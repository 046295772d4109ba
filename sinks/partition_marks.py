"""How far a store has come in one partition, and whether it has a record already. Shared by the stores that keep this with their rows."""

from schemas.codec import BadBytes, Frame
from schemas.errors import StaleData
from schemas.marks import Marks
from sinks.contract import Input


class PartitionMarks:
    """How far one partition has been stored: its next offset, the append time of the record before it, and the marks of the sources."""

    def __init__(self, next_offset: int = 0, last_ns: int = 0, marks: Marks | None = None, store: str = "MySQL") -> None:
        """store: whose, for messages."""
        self.next_offset, self.last_ns = next_offset, last_ns
        self.marks = Marks() if marks is None else marks
        self._store = store

    def take(self, one: Input) -> bool:
        """True if the record is not stored yet; then it counts as stored. Raises BadBytes for a frame that readers refuse; it is then skipped.

        Raises StaleData if another record has the offset of the last one that was stored.
        """
        if not self.pass_by(one.topic, one.partition, one.offset, one.time_ns):
            return False
        return not isinstance(one.body, Frame) or self.marks.take(one.body.header, one.time_ns)

    def takes(self, one: Input) -> bool:
        """As take, but False for a frame that readers refuse."""
        try:
            return self.take(one)
        except BadBytes:
            return False

    def pass_by(self, topic: str, partition: int, offset: int, time_ns: int) -> bool:
        """Count a record as stored, whatever is in it; False if it was already. Raises StaleData, as take."""
        if offset < self.next_offset:
            if offset == self.next_offset - 1 and self.last_ns and time_ns != self.last_ns:
                raise StaleData(
                    f"{topic}/{partition} has another record at {offset:,} than the one that {self._store} has stored: the log has lost its end "
                    "and gone on, or is another log; `outcry recover` says what is lost"
                )
            return False
        self.next_offset, self.last_ns = offset + 1, time_ns
        return True
