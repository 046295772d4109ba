"""The day of a report: a date in New York, whether the market traded or not, and the log times that belong to it. No I/O."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from functools import cached_property
from typing import Any, Final, Self

import numpy as np

from schemas.codec import Rows
from schemas.errors import OutcryError
from schemas.market_hours import NEW_YORK, MarketCalendar
from schemas.units import NANOS_PER_SECOND

_SATURDAY: Final = 5
_STAMP_BYTES: Final = len("20261130T093000.123456789")
_DIGITS: Final = 10 ** np.arange(8, -1, -1)
"""Of nanoseconds, the first one first."""


def moment_text(time_ns: int) -> str:
    """A log time for people, to the second."""
    return f"{datetime.fromtimestamp(time_ns // NANOS_PER_SECOND, NEW_YORK):%Y-%m-%d %H:%M:%S} New York time"


@dataclass(frozen=True, order=True)
class ReportDay:
    """From midnight to midnight, New York time. An event belongs to the day of its log time."""

    date: date

    @classmethod
    def parse(cls, text: str) -> Self:
        """YYYY-MM-DD. Raises OutcryError."""
        try:
            return cls(datetime.strptime(text, "%Y-%m-%d").date())  # noqa: DTZ007  a date has no zone
        except ValueError:
            raise OutcryError(f"{text!r} is no day: use YYYY-MM-DD") from None

    @classmethod
    def of(cls, time_ns: int) -> Self:
        """The day of a log time."""
        return cls(datetime.fromtimestamp(time_ns // NANOS_PER_SECOND, NEW_YORK).date())

    def __str__(self) -> str:
        return self.date.isoformat()

    @property
    def compact(self) -> str:
        """YYYYMMDD."""
        return f"{self.date:%Y%m%d}"

    @cached_property
    def start_ns(self) -> int:
        """First log time of the day."""
        return self.at_ns(time(0))

    @cached_property
    def end_ns(self) -> int:
        """First log time of the next day."""
        return type(self)(self.date + timedelta(days=1)).start_ns

    def at_ns(self, moment: time) -> int:
        """The log time of a New York time of day."""
        return int(datetime.combine(self.date, moment, NEW_YORK).timestamp()) * NANOS_PER_SECOND

    def trading_days_later(self, count: int, calendar: MarketCalendar) -> Self:
        """The day so many trading days later. Where the calendar ends, every weekday counts as one, so a deadline is never shown later than it is."""
        found = self.date
        while count:
            found += timedelta(days=1)
            is_known = calendar.first <= found <= calendar.last
            count -= calendar.on(found) is not None if is_known else found.weekday() < _SATURDAY
        return type(self)(found)

    def contains(self, times: Rows) -> Any:
        """Which of the log times belong to the day, as an array of bool."""
        return (times >= self.start_ns) & (times < self.end_ns)

    def stamps(self, times: Rows) -> list[str]:
        """Log times of the day as YYYYMMDDTHHMMSS.nnnnnnnnn in New York."""
        return [one.decode() for one in self.stamp_bytes(times)]

    def stamp_bytes(self, times: Rows) -> list[bytes]:
        """The same as bytes."""
        local = times.astype(np.int64)
        for start_ns, offset_ns in self._offsets:
            local = np.where(times >= start_ns, times + offset_ns, local)
        seconds, nanos = np.divmod(local, NANOS_PER_SECOND)
        distinct, places = np.unique(seconds, return_inverse=True)  # many times are of few seconds
        texts = [one.replace("-", "").replace(":", "").encode() + b"." for one in np.datetime_as_string(distinct.astype("M8[s]")).tolist()]
        letters = np.empty((len(local), _STAMP_BYTES), np.uint8)
        if len(local):
            width = len(texts[0])
            letters[:, :width] = np.frombuffer(b"".join(texts), np.uint8).reshape(-1, width)[places]
            letters[:, width:] = nanos[:, None] // _DIGITS % 10 + ord("0")
        found: list[bytes] = letters.view(f"S{_STAMP_BYTES}").ravel().tolist()
        return found

    def stamps_of(self, *times_ns: int) -> list[str]:
        """The same of single log times."""
        return self.stamps(np.array(times_ns, np.int64))

    @cached_property
    def _offsets(self) -> Sequence[tuple[int, int]]:
        """(log time, offset of New York from UTC in ns) from that time on; two where the clocks change on this day."""
        hours = [
            self.start_ns + hour * 3_600 * NANOS_PER_SECOND for hour in range((self.end_ns - self.start_ns) // (3_600 * NANOS_PER_SECOND))
        ]
        found: list[tuple[int, int]] = []
        for start_ns in hours:
            offset = datetime.fromtimestamp(start_ns // NANOS_PER_SECOND, NEW_YORK).utcoffset()
            assert offset is not None, "New York has a zone"
            offset_ns = int(offset.total_seconds()) * NANOS_PER_SECOND
            if not found or found[-1][1] != offset_ns:
                found.append((start_ns, offset_ns))
        return found
