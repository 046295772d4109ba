"""The days of one instrument: what it has traded today and on the trading day before, by New York's date. No I/O.

Trades from `since_ns` on are added as they come; what is before it comes from the system of record, once (`take_stored`). Until then nothing is told:
half a day's volume would be a wrong number. After a bust the same begins anew, for the day's highest price may have been the busted one.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import Final

from schemas.market_hours import NEW_YORK
from sinks.mysql.market_history import StoredBar

MINUTE_NS: Final = 60_000_000_000
_KEPT: Final = 2


@dataclass(slots=True)
class Totals:
    """A span of trades that grows: prices in ticks, quantities in lots, `notional` in ticks x lots, times in ns."""

    started_at: int
    open_px: int
    high_px: int
    low_px: int
    close_px: int
    qty: int
    trades: int
    notional: int

    @classmethod
    def of(cls, span: "Span", started_at: int) -> "Totals":
        """A copy that is said to begin at another time."""
        return cls(started_at, span.open_px, span.high_px, span.low_px, span.close_px, span.qty, span.trades, span.notional)

    def add(self, later: "Span") -> None:
        """Take in a span that came after this one."""
        self.high_px, self.low_px = max(self.high_px, later.high_px), min(self.low_px, later.low_px)
        self.close_px = later.close_px
        self.qty, self.trades, self.notional = self.qty + later.qty, self.trades + later.trades, self.notional + later.notional


Span = StoredBar | Totals


def day_of(at_ns: int) -> date:
    """New York's date."""
    return datetime.fromtimestamp(at_ns // 1_000_000_000, NEW_YORK).date()


def day_start_ns(day: date) -> int:
    """Midnight in New York."""
    return int(datetime(day.year, day.month, day.day, tzinfo=NEW_YORK).astimezone(UTC).timestamp()) * 1_000_000_000


@dataclass
class Days:
    """The last two days with trades."""

    since_ns: int = 0
    """Trades from then on are counted here; on a minute."""
    is_known: bool = False
    """What was before has been taken in."""
    _days: dict[int, Totals] = field(default_factory=dict)
    """By the day's start."""
    _start: int = 0
    _end: int = 0

    def begin(self, since_ns: int) -> None:
        """Count from the next whole minute on; what was before is to be stored."""
        self.since_ns = since_ns + -since_ns % MINUTE_NS
        self.is_known = False
        self._days.clear()

    def trade(self, price: int, qty: int, at_ns: int) -> None:
        """Count a trade."""
        if at_ns < self.since_ns:
            return
        if not self._start <= at_ns < self._end:
            day = day_of(at_ns)
            self._start, self._end = day_start_ns(day), day_start_ns(day + timedelta(days=1))
        totals = self._days.get(self._start)
        if totals is None:
            self._days[self._start] = Totals(self._start, price, price, price, price, qty, 1, price * qty)
            self._forget()
            return
        if price > totals.high_px:
            totals.high_px = price
        elif price < totals.low_px:
            totals.low_px = price
        totals.close_px = price
        totals.qty += qty
        totals.trades += 1
        totals.notional += price * qty

    def take_stored(self, spans: Iterable[Span]) -> None:
        """Spans of an hour at the most that ended before `since_ns`, the oldest first."""
        before: dict[int, Totals] = {}
        for span in spans:
            start = day_start_ns(day_of(span.started_at))
            known = before.get(start)
            if known is None:
                before[start] = Totals.of(span, start)
            else:
                known.add(span)
        for start, live in self._days.items():
            if start in before:
                before[start].add(live)
            else:
                before[start] = live
        self._days, self.is_known = before, True
        self._forget()

    @property
    def last(self) -> Totals | None:
        """The newest day with trades; None if there is none, or it is not known."""
        return self._newest(1)

    @property
    def previous(self) -> Totals | None:
        """The one before."""
        return self._newest(2)

    def _newest(self, place: int) -> Totals | None:
        starts = sorted(self._days)
        return self._days[starts[-place]] if self.is_known and len(starts) >= place else None

    def _forget(self) -> None:
        for start in sorted(self._days)[:-_KEPT]:
            del self._days[start]
