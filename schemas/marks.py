"""The rule by which every reader of frames tells a new one from a repeat, and from one that cannot be true. No I/O.

A frame that a shard sent names the input that made it: source, source_offset, source_index. A reader keeps a *mark* for each source, the place
of the newest frame that it took. A frame at or below the mark is a repeat (a restart, a second replica) and is dropped.

So a forged number would hide the true frames below it. Hence the bound: a source cannot have read more of its own log than one shard reads in
the time that has passed. That time is taken from the append times of the reader's own records, which are in the log: whoever reads the
same records decides the same, today or in a replay. The bound is a leaky bucket (ITU-T I.371, the generic cell rate algorithm): beside its mark
a source has the time `even_ns` at which it would be there at full speed.

    a jump of j records at time t is taken if   even + j x NS_PER_RECORD <= t + SLACK_NS,   then even = max(t, even + j x NS_PER_RECORD)

However many frames are forged, together they lead a mark no further ahead of the clock than one of them does. A source that was silent
for days may have read on for days.
"""

from collections import Counter
from collections.abc import Mapping
from typing import Final

from schemas.codec import BadBytes, Header
from schemas.limits import FIRST_OFFSET_MAX, FRAMES_PER_INPUT_MAX, JUMP_SLACK_S, RECORDS_PER_S_MAX

NS_PER_RECORD: Final = 1_000_000_000 // RECORDS_PER_S_MAX
SLACK_NS: Final = JUMP_SLACK_S * 1_000_000_000
FIRST_NS: Final = FIRST_OFFSET_MAX * NS_PER_RECORD
ALARM_NS: Final = SLACK_NS // 2
"""A frame that uses up more than half of the slack is taken and told of: no shard that is well does."""
WRONG_PLACE: Final = "WRONG_PLACE"
"""What a dead letter calls a source_offset or source_index that its source cannot have reached."""


class Marks:
    """How far one reader of one partition has come with each source.

    since_ns: no record counts as older than this. For a reader that begins in the middle of the log and knows the ends of its sources' logs
    at this time, see at_most.
    """

    def __init__(self, state: Mapping[str, tuple[int, int, int]] | None = None, since_ns: int = 0) -> None:
        self.state: dict[str, tuple[int, int, int]] = dict(state or {})
        """By source: offset and index of the newest frame, and even_ns. Part of a reader's snapshot."""
        self._since_ns = since_ns
        self.refused = Counter[str]()
        """Frames by source that cannot be true, since the start of this process."""
        self.jumps = Counter[str]()
        """Frames by source that were taken and are suspicious."""
        self.unproven = Counter[str]()
        """Records by the reason for which their sender is not believed (topics.record_codes): they never came as far as a mark."""

    def take(self, header: Header, time_ns: int) -> bool:
        """True for a frame that is new; it is then the newest of its source. False for a repeat. time_ns: append time of its record.

        Raises BadBytes for one that cannot be true; nothing has changed then.
        """
        source, offset, index = header.source, header.source_offset, header.source_index
        if offset < 0 or not 0 <= index < FRAMES_PER_INPUT_MAX:
            raise self._refusal(header, f"source_index is 0 to {FRAMES_PER_INPUT_MAX - 1}, source_offset not negative")
        time_ns = max(time_ns, self._since_ns)
        mark = self.state.get(source)
        if mark is None:
            (newest, _, even_ns), limit_ns = (-1, -1, time_ns), FIRST_NS
        else:
            newest, newest_index, even_ns = mark
            if offset < newest or (offset == newest and index <= newest_index):
                return False
            limit_ns = SLACK_NS
        ahead_ns = even_ns + (offset - newest) * NS_PER_RECORD - time_ns
        if ahead_ns > limit_ns:
            most = newest + (limit_ns + time_ns - even_ns) // NS_PER_RECORD
            raise self._refusal(header, f"the newest known is {newest}, so its log has no more than {most} by now")
        if ahead_ns > ALARM_NS:
            self.jumps[source] += 1
        self.state[source] = (offset, index, time_ns if mark is None else max(time_ns, time_ns + ahead_ns))
        return True

    def at_most(self, source: str, end: int) -> None:
        """The log of the source ended before offset `end` at the time since_ns; nothing of the source was read yet."""
        self.state[source] = (-1, -1, self._since_ns - end * NS_PER_RECORD)

    @property
    def suspicious(self) -> int:
        """Frames of any source that were refused, or taken with an alarm."""
        return self.refused.total() + self.jumps.total() + self.unproven.total()

    def _refusal(self, header: Header, why: str) -> BadBytes:
        self.refused[header.source] += 1
        return BadBytes(WRONG_PLACE, f"{header.source} offset {header.source_offset}, index {header.source_index}: {why}")
