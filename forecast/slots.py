"""The minute of a session: what a minute of one day is compared with on other days.

A day is anchored twice. Minutes before the middle of the session count from the open, those behind it from the close. So a half day meets the full days'
open and the full days' close, each where it belongs, and daylight saving needs no rule, because market hours are New York's. Days on which the market is
closed have minutes of their own.
"""

from dataclasses import dataclass
from datetime import date
from typing import Final

from schemas.market_hours import MarketCalendar, moment, ns_of
from schemas.units import NANOS_PER_SECOND

MINUTE_NS: Final = 60 * NANOS_PER_SECOND
_BEFORE_OPEN: Final = 600
"""Minutes from midnight to the open, and some: 09:30 is 570."""
_HALF_SESSION_MAX: Final = 200
_BEHIND_CLOSE: Final = 900
"""Minutes from the earliest close to midnight, and some: 10:00 is 840."""
OPEN: Final = _BEFORE_OPEN
"""Slot of the first minute of continuous trading."""
CLOSE: Final = _BEFORE_OPEN + 2 * _HALF_SESSION_MAX
"""Slot of the first minute behind the close."""
CLOSED: Final = CLOSE + _BEHIND_CLOSE
"""Slot of midnight on a day without trading."""
SLOTS: Final = CLOSED + 1_440


@dataclass(frozen=True)
class Minute:
    """One minute. slot: 0 to SLOTS - 1. session: continuous trading or an auction of the close. text: for people."""

    slot: int
    day: date
    session: bool
    text: str


def minute_at(calendar: MarketCalendar, at_ns: int) -> Minute:
    """The minute that `at_ns` (market time) is in. Raises CalendarEnds."""
    at = moment(at_ns)
    day = at.date()
    found = calendar.on(day)
    clock = f"{at:%H:%M} New York"
    if found is None:
        return Minute(CLOSED + at.hour * 60 + at.minute, day, session=False, text=f"{clock}, no trading on this day")
    since_open, since_close = (at_ns - ns_of(found.open_at)) // MINUTE_NS, (at_ns - ns_of(found.close_at)) // MINUTE_NS
    half = (ns_of(found.close_at) - ns_of(found.open_at)) // MINUTE_NS // 2
    if since_open < 0:
        return Minute(OPEN + max(since_open, -_BEFORE_OPEN), day, session=False, text=f"{clock}, {-since_open} min before the open")
    if since_open < half:
        return Minute(OPEN + since_open, day, session=True, text=f"{clock}, minute {since_open} of the session")
    slot = CLOSE + max(-_HALF_SESSION_MAX, min(since_close, _BEHIND_CLOSE - 1))
    if since_close < 0:
        return Minute(slot, day, session=True, text=f"{clock}, {-since_close} min before the close")
    return Minute(slot, day, session=False, text=f"{clock}, behind the close")
