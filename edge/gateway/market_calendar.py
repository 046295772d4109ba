"""When the market is meant to open and close: weekdays 09:30 to 16:00 America/New_York, without holidays.

For customers who ask when; whether the market *is* open is what the books say.
"""

from datetime import datetime, time, timedelta
from typing import Final
from zoneinfo import ZoneInfo

NEW_YORK: Final = ZoneInfo("America/New_York")
OPEN: Final = time(9, 30)
CLOSE: Final = time(16, 0)
_SATURDAY: Final = 5


def next_at(now: datetime, at: time) -> datetime:
    """The first weekday moment with this New York time after `now` (any zone)."""
    local = now.astimezone(NEW_YORK)
    day = local.date()
    while True:
        moment = datetime.combine(day, at, NEW_YORK)
        if day.weekday() < _SATURDAY and moment > local:
            return moment
        day += timedelta(days=1)
