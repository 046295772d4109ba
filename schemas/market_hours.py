"""When the market is meant to trade: sessions, half days and closed days, the steps of a day, and market time. No I/O but the package's own table.

`market_days.toml` names the weekdays on which NYSE is closed or closes early. Times of day are America/New_York, so daylight saving needs no rule here.
What the books do is what the log says; `run-market` makes it follow these steps.
"""

import tomllib
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from importlib.resources import files
from pathlib import Path
from typing import Any, Final, NamedTuple, Self
from zoneinfo import ZoneInfo

from schemas.enums import Phase
from schemas.errors import OutcryError
from schemas.units import NANOS_PER_SECOND

NEW_YORK: Final = ZoneInfo("America/New_York")
PRE_OPEN: Final = time(6, 30)
"""From then on orders are taken."""
OPENING_CALL: Final = timedelta(minutes=2)
"""Before the open: the opening auction collects orders."""
OPEN: Final = time(9, 30)
CLOSING_CALL: Final = timedelta(minutes=5)
"""Before the close: the closing auction collects orders, and nothing trades until it ends."""
CLOSE: Final = time(16, 0)
END_OF_DAY: Final = timedelta(minutes=5)
"""Behind the close, when a closing auction that was extended has ended: DAY orders expire."""
FIRST_STEPS_DAY: Final = date(2016, 1, 1)
"""Steps are numbered from here."""
STEPS_PER_DAY: Final = 8
_SATURDAY: Final = 5


class CalendarEnds(OutcryError):
    """A day that the table of market days does not reach."""


class BadCalendar(OutcryError):
    """A table of market days that cannot be read; the message says what is wrong and where."""


class TradingDay(NamedTuple):
    """A day on which the market trades."""

    day: date
    closes: time
    """New York time; 16:00 but on half days."""

    @property
    def open_at(self) -> datetime:
        """When continuous trading begins."""
        return datetime.combine(self.day, OPEN, NEW_YORK)

    @property
    def close_at(self) -> datetime:
        """When the closing auction ends."""
        return datetime.combine(self.day, self.closes, NEW_YORK)


class Step(NamedTuple):
    """The market is meant to go to `phase`."""

    number: int
    """Of all steps of all days: rises with time, and is the same wherever it is worked out."""
    phase: Phase
    at_ns: int
    """Market time."""
    until_ns: int
    """When a call phase ends by itself, market time; 0: it does not."""
    trading_ends_ns: int
    """End of continuous trading on this day, market time."""
    follows: bool
    """The step before ends in this phase by itself: a command is needed only where that one was missed."""


@dataclass(frozen=True)
class MarketCalendar:
    """Which days the market trades, from `first` to `last`."""

    first: date
    last: date
    closed: frozenset[date]
    early: dict[date, time] = field(default_factory=dict)

    @classmethod
    def load(cls, more: Path | None = None) -> Self:
        """The package's table, and the days of a file of the operator's over it. Raises BadCalendar."""
        known = _read(files("schemas").joinpath("market_days.toml").read_text(), "market_days.toml")
        calendar = cls(known["first"], known["last"], frozenset(known["closed"]), known["early"])
        if more is None:
            return calendar
        try:
            text = more.read_text()
        except (OSError, UnicodeDecodeError) as error:
            raise BadCalendar(f"OUTCRY_MARKET_DAYS_FILE {more}: cannot be read: {error}") from error
        added = _read(text, f"OUTCRY_MARKET_DAYS_FILE {more}")
        first, last = added.get("first", calendar.first), added.get("last", calendar.last)
        if first > last:
            raise BadCalendar(f"OUTCRY_MARKET_DAYS_FILE {more}: first {first} is behind last {last}")
        return cls(first, last, calendar.closed.difference(added["early"], added["open"]) | set(added["closed"]),
                   {day: at for day, at in calendar.early.items() if day not in added["open"]} | added["early"])  # fmt: skip

    def on(self, day: date) -> TradingDay | None:
        """The market's day, or None where it is closed. Raises CalendarEnds."""
        if not self.first <= day <= self.last:
            raise CalendarEnds(f"{day} is outside the market calendar, {self.first} to {self.last}: name more in OUTCRY_MARKET_DAYS_FILE")
        if day.weekday() >= _SATURDAY or day in self.closed:
            return None
        return TradingDay(day, self.early.get(day, CLOSE))

    def days(self, first: date, last: date) -> Iterator[TradingDay]:
        """The trading days from `first` to `last`, as far as the calendar reaches."""
        day, last = max(first, self.first), min(last, self.last)
        while day <= last:
            found = self.on(day)
            if found is not None:
                yield found
            day += timedelta(days=1)

    def next_open(self, now: datetime) -> datetime:
        """The first open after `now` (any zone). Raises CalendarEnds."""
        return next(one.open_at for one in self._from(now) if one.open_at > now)

    def next_close(self, now: datetime) -> datetime:
        """The first close after `now` (any zone). Raises CalendarEnds."""
        return next(one.close_at for one in self._from(now) if one.close_at > now)

    def due(self, now_ns: int) -> tuple[list[Step], Step]:
        """The steps of the newest day that has begun, up to now, and the step that comes next. Raises CalendarEnds."""
        day = moment(now_ns).date()
        while True:
            found = self.on(day)
            steps = steps_of(found) if found is not None else []
            begun = bisect_right([step.at_ns for step in steps], now_ns)
            if begun:
                return steps[:begun], steps[begun] if begun < len(steps) else self._first_step_behind(day)
            day -= timedelta(days=1)

    def _first_step_behind(self, day: date) -> Step:
        return steps_of(next(self._from(datetime.combine(day + timedelta(days=1), time(), NEW_YORK))))[0]

    def _from(self, now: datetime) -> Iterator[TradingDay]:
        day = now.astimezone(NEW_YORK).date()
        while True:
            found = self.on(day)
            if found is not None:
                yield found
            day += timedelta(days=1)


def steps_of(one: TradingDay) -> list[Step]:
    """The day in its order."""
    opens, closes, before = one.open_at, one.close_at, datetime.combine(one.day, PRE_OPEN, NEW_YORK)
    opening, closing = opens - OPENING_CALL, closes - CLOSING_CALL
    first, ends = (one.day - FIRST_STEPS_DAY).days * STEPS_PER_DAY, ns_of(closing)
    return [
        Step(first, Phase.PRE_OPEN, ns_of(before), ns_of(opening), ends, follows=False),
        Step(first + 1, Phase.OPENING_AUCTION, ns_of(opening), ns_of(opens), ends, follows=False),
        Step(first + 2, Phase.CONTINUOUS, ns_of(opens), 0, ends, follows=True),
        Step(first + 3, Phase.CLOSING_AUCTION, ns_of(closing), ns_of(closes), ends, follows=False),
        Step(first + 4, Phase.POST_CLOSE, ns_of(closes), 0, ends, follows=True),
        Step(first + 5, Phase.CLOSED, ns_of(closes + END_OF_DAY), 0, ends, follows=False),
    ]


def ns_of(at: datetime) -> int:
    """Ns since 1970, exact to the microsecond."""
    since = at - datetime(1970, 1, 1, tzinfo=UTC)
    return (since.days * 86_400 + since.seconds) * NANOS_PER_SECOND + since.microseconds * 1_000


def moment(ns: int) -> datetime:
    """New York time, whole seconds."""
    return datetime.fromtimestamp(ns // NANOS_PER_SECOND, NEW_YORK)


@dataclass(frozen=True)
class MarketClock:
    """Market time: real time, or for a rehearsal `market` at the real time `real` and `speed` times as fast."""

    real_ns: int = 0
    market_ns: int = 0
    speed: int = 1

    @classmethod
    def parse(cls, text: str) -> Self:
        """Of REAL=MARKET*SPEED, both times ISO 8601 with an offset; "" is real time. Raises ValueError."""
        if not text:
            return cls()
        real, equals, rest = text.partition("=")
        market, star, speed = rest.partition("*")
        if not (equals and star and speed.isascii() and speed.isdigit() and 1 <= int(speed) <= 100_000):
            raise ValueError("is not REAL=MARKET*SPEED, such as 2026-11-30T12:00:00Z=2026-11-27T06:25:00-05:00*600")
        times = [datetime.fromisoformat(one) for one in (real, market)]
        if any(one.tzinfo is None for one in times):
            raise ValueError("has a time without an offset")
        return cls(ns_of(times[0]), ns_of(times[1]), int(speed))

    def to_market(self, real_ns: int) -> int:
        """Market time, ns."""
        return self.market_ns + (real_ns - self.real_ns) * self.speed

    def to_real(self, market_ns: int) -> int:
        """When it is this market time, ns; what commands and the log say."""
        return self.real_ns + (market_ns - self.market_ns) // self.speed


def _read(text: str, where: str) -> dict[str, Any]:
    try:
        table = tomllib.loads(text)
    except (ValueError, RecursionError) as error:  # of numbers with thousands of digits too
        raise BadCalendar(f"{where}: {error}") from error
    unknown = set(table) - {"first", "last", "closed", "open", "early"}
    if unknown:
        raise BadCalendar(f"{where}: unknown {', '.join(sorted(unknown))}; there are first, last, closed, open, early")
    found: dict[str, Any] = {"closed": [], "open": [], "early": {}}
    for name, value in table.items():
        if name in ("first", "last"):
            found[name] = _day(value, where, name)
        elif name == "early":
            if not isinstance(value, dict):
                raise BadCalendar(f"{where}: early is a table of days and times")
            found["early"] = {_day(day, where, "early"): _time(at, where, day) for day, at in value.items()}
        else:
            if not isinstance(value, list):
                raise BadCalendar(f"{where}: {name} is a list of days")
            found[name] = [_day(day, where, name) for day in value]
    return found


def _day(value: object, where: str, name: str) -> date:
    if isinstance(value, date) and not isinstance(value, datetime):
        return value
    try:
        return date.fromisoformat(str(value))
    except ValueError:
        raise BadCalendar(f"{where}: {name}: {value!r} is not a day such as 2026-11-27") from None


def _time(value: object, where: str, day: str) -> time:
    at = value if isinstance(value, time) else None
    if at is None or not time(10) <= at <= CLOSE:
        raise BadCalendar(f"{where}: early.{day}: {value!r} is not a time from 10:00:00 to 16:00:00, such as 13:00:00")
    return at
