"""The load of the coming hour, from the past days and from today so far.

    load(t + h) = the quantile of that minute of the session x how today differs from a median day

How today differs is known in two ways: by all of today so far (before the open that is the pre-open interest), and by the last minutes (an average that is
weighted exponentially, quick to rise and slow to fall). Near minutes follow the last minutes, far ones the day. Prices that move more than usual, and trading
that has stopped and will come back at once, raise the upper quantile.
"""

import math
from collections import deque
from dataclasses import dataclass
from datetime import date
from functools import lru_cache, partial
from typing import Final

import numpy as np

from forecast.errors import BadLoad
from forecast.season import Floats, Season
from forecast.slots import CLOSED, MINUTE_NS, SLOTS, Minute, minute_at
from schemas.market_hours import MarketCalendar

LOAD_MAX: Final = 1e9
"""Per second; no exchange has so much of anything."""
HORIZON_MIN: Final = 60
_NORMAL_95: Final = 1.645
_CHECKED_AHEAD: Final = 5
"""Minutes between a forecast and the minute by which it is checked."""


@dataclass(frozen=True)
class ModelSettings:
    """Times in minutes. Tried on the days of `outcry forecast evaluate`."""

    days: int = 20
    """Of history; older ones are forgotten."""
    rise: float = 1.0
    """Half-life of the last minutes' ratio while it rises."""
    fall: float = 8.0
    """The same while it falls."""
    near: float = 20.0
    """How far ahead the last minutes count for 1/e."""
    stopped: float = 0.2
    """A load below this share of the expected is no trading: an outage or a halt."""
    storm: float = 1.5
    """The upper quantile is so much higher from then until `storm_for` after trading has come back."""
    storm_for: float = 10.0
    volatility: float = 0.25
    """The upper quantile rises with this power of volatility beside its usual; 0: it does not."""
    volatility_max: float = 1.5
    checked: int = 60
    """Forecasts of so many last minutes are compared with what came."""
    wrong_share: float = 0.2
    """Of them above the upper quantile (5 % are meant to be): the forecast is not trusted."""


@dataclass(frozen=True)
class Outlook:
    """The coming minutes, from the present one on. Loads per second."""

    p50: Floats
    p95: Floats
    minutes: list[Minute]
    level: float
    """Today beside a median day."""
    live: float
    """The last minutes beside the expected."""
    stopped: bool
    trusted: bool
    days: int


class LoadModel:
    """One kind of load (orders, rows, sockets). Given the same measurements it says the same."""

    def __init__(self, calendar: MarketCalendar, settings: ModelSettings = ModelSettings()) -> None:
        self._settings = settings
        self._minute = lru_cache(maxsize=256)(partial(minute_at, calendar))
        self._past: dict[bool, deque[Floats]] = {trading: deque(maxlen=settings.days) for trading in (True, False)}
        self._season: Season | None = None
        self._day: date | None = None
        self._today = np.full(SLOTS, np.nan)
        self._last_minute = -1
        self._begin_day()
        self._checks: deque[bool] = deque(maxlen=settings.checked)
        self._told: deque[tuple[int, Floats]] = deque(maxlen=_CHECKED_AHEAD)
        """The last outlooks: first minute, upper quantiles."""

    def _begin_day(self) -> None:
        self._today = np.full(SLOTS, np.nan)
        self._seen = self._usual = 0.0
        self._live = 0.0
        """Logarithm."""
        self._stopped_until = -1
        self._is_stopped = False

    @property
    def last_minute(self) -> int:
        """Of the newest measurement, minutes since 1970; -1: there is none."""
        return self._last_minute

    @property
    def days(self) -> int:
        """Days of trading that it knows whole."""
        return len(self._past[True])

    def observe(self, at_ns: int, load: float) -> None:
        """The mean load of the minute that `at_ns` (market time) is in. Raises BadLoad, and takes nothing of it then; CalendarEnds."""
        number = at_ns // MINUTE_NS
        if not (math.isfinite(load) and 0 <= load <= LOAD_MAX):
            raise BadLoad(f"load of minute {number}: {load} is not between 0 and {LOAD_MAX:g} per second")
        if number <= self._last_minute:
            raise BadLoad(f"load of minute {number} after that of minute {self._last_minute}: a clock went back, or it came twice")
        minute = self._minute(number * MINUTE_NS)
        if minute.day != self._day:
            self._end_day(minute.day)
        self._last_minute = number
        self._today[minute.slot] = load
        if self._season is not None:
            self._compare(minute, load, number)

    def _end_day(self, day: date) -> None:
        if self._day is not None:
            trading = bool(np.any(~np.isnan(self._today[:CLOSED])))
            self._past[trading].append(self._today)
            self._season = Season.of(self._all_days())
        self._begin_day()
        self._day = day

    def _all_days(self) -> list[Floats]:
        """Days of trading, each with the closed minutes of a day without, as far as there are any."""
        closed, days = list(self._past[False]), []
        for number, day in enumerate(self._past[True]):
            row = day.copy()
            if closed:
                row[CLOSED:] = closed[number % len(closed)][CLOSED:]
            days.append(row)
        return days

    def _compare(self, minute: Minute, load: float, number: int) -> None:
        """Learn from a minute how today differs."""
        season, settings = self._season, self._settings
        assert season is not None
        usual = float(season.p50[minute.slot])
        level = self._level()
        if self._told and 0 <= number - self._told[0][0] < len(self._told[0][1]):
            self._checks.append(load > self._told[0][1][number - self._told[0][0]])
        self._is_stopped = minute.session and load < settings.stopped * usual * level
        if self._is_stopped:
            self._stopped_until = number + round(settings.storm_for)
            return  # what is missing says nothing of the day
        self._seen += load
        self._usual += usual
        now = math.log((load + season.small) / (usual + season.small))
        half_life = settings.rise if now > self._live else settings.fall
        self._live += (now - self._live) * (1 - 0.5 ** (1 / half_life))

    def _level(self) -> float:
        return self._season.level_so_far(self._seen, self._usual) if self._season is not None else 1.0

    def outlook(self, now_ns: int, count: int = HORIZON_MIN + 1, volatility: float = 1.0) -> Outlook | None:
        """The coming `count` minutes; None while too little is known. volatility: that of prices beside its usual. Raises CalendarEnds."""
        season, settings = self._season, self._settings
        if season is None:
            return None
        first = now_ns // MINUTE_NS
        minutes = [self._minute((first + ahead) * MINUTE_NS) for ahead in range(count)]
        slots = np.array([minute.slot for minute in minutes])
        near = np.exp(-np.arange(count) / settings.near)
        level, same_day = self._level(), np.array([minute.day == self._day for minute in minutes])
        ratio = np.exp(np.where(same_day, near * self._live + (1 - near) * math.log(level), 0.0))
        sd = np.where(same_day, season.level_sd[slots[0]] * (1 - near), season.level_sd[0])
        p50, p95 = season.p50[slots] * ratio, season.p95[slots] * ratio * np.exp(_NORMAL_95 * sd)
        p95 = p95 * self._widening(now_ns, volatility)
        p95 = np.maximum(p50, p95)
        if not self._told or self._told[-1][0] < first:
            self._told.append((first, p95))
        return Outlook(p50, p95, minutes, level, math.exp(self._live), self._is_stopped, self.is_trusted, season.days)

    def _widening(self, now_ns: int, volatility: float) -> float:
        settings = self._settings
        storm = settings.storm if now_ns // MINUTE_NS <= self._stopped_until else 1.0
        if not (math.isfinite(volatility) and volatility > 1):
            return storm
        return float(storm * min(settings.volatility_max, volatility**settings.volatility))

    @property
    def is_trusted(self) -> bool:
        """Whether the loads of the last minutes stayed below the upper quantile, as often as is to be expected."""
        checks = len(self._checks)
        return checks < 5 or sum(self._checks) <= max(2, self._settings.wrong_share * checks)  # two of few are chance
