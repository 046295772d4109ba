"""When the market is meant to open and close, for customers who ask; whether it *is* open is what the books say."""

from collections.abc import Callable, Iterator
from datetime import date, datetime

from schemas.market_hours import MarketCalendar, MarketClock, TradingDay, moment


class MarketHours:
    """The calendar at market time. now: real time, ns."""

    def __init__(self, calendar: MarketCalendar, clock: MarketClock, now: Callable[[], int]) -> None:
        self._calendar, self._clock, self._now = calendar, clock, now

    def now(self) -> datetime:
        """Market time in New York, whole seconds."""
        return moment(self._clock.to_market(self._now()))

    def next_open(self) -> datetime:
        """The next open. Raises CalendarEnds."""
        return self._calendar.next_open(self.now())

    def next_close(self) -> datetime:
        """The next close. Raises CalendarEnds."""
        return self._calendar.next_close(self.now())

    def days(self, first: date | None, last: date | None) -> Iterator[TradingDay]:
        """Trading days, both ends included; None: as far as the calendar reaches."""
        return self._calendar.days(first or self._calendar.first, last or self._calendar.last)
