"""Simulated days of load, with surprises, on real days of the market's calendar.

A fixture, no evidence about markets: a day is flat at night, grows before the open, bursts at the open and at the close and is shallow between. What is drawn
for each day: how busy it is, which the orders before the open already show; noise; and the surprise. A seed makes all of it.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, time
from typing import Final

import numpy as np

from forecast.season import Floats
from schemas.market_hours import NEW_YORK, MarketCalendar, TradingDay, ns_of
from schemas.units import NANOS_PER_SECOND

TICK_S: Final = 15
TICKS: Final = 24 * 3_600 // TICK_S
PER_MINUTE: Final = 60 // TICK_S
PEAK: Final = 100_000.0
"""Orders a second of a median day at the level 1 of the curve; the open is at 3.2."""
FIRST: Final = date(2026, 9, 28)
"""The days from then on have the end of daylight saving time, Thanksgiving's half day and Christmas Eve's."""
SURPRISES: Final = ("none", "shock", "ramp", "busy", "quiet", "halt", "outage")
_SHARES: Final = (0.5, 0.1, 0.08, 0.12, 0.06, 0.07, 0.07)


@dataclass(frozen=True)
class Day:
    """loads: orders a second in each TICK_S from midnight, New York. volatility: beside the usual, by minute."""

    day: date
    first_ns: int
    half: bool
    surprise: str
    loads: Floats
    volatility: Floats


def days(count: int, seed: int, calendar: MarketCalendar, calm: int = 0, first: date = FIRST) -> Iterator[Day]:
    """`calm` days without surprises, to learn from, then `count` with them."""
    random = np.random.default_rng(seed)
    last = calendar.last
    for number, one in enumerate(calendar.days(first, last)):
        if number == calm + count:
            return
        surprise = "none" if number < calm else str(random.choice(SURPRISES, p=_SHARES))
        yield _day(one, surprise, random)


def _day(one: TradingDay, surprise: str, random: np.random.Generator) -> Day:
    opens, closes = _minutes(one.open_at), _minutes(one.close_at)
    at = (np.arange(TICKS) + 0.5) * TICK_S / 60
    level = float(np.exp(random.normal(0, 0.16)))
    level *= {"busy": 1.6, "quiet": 0.6}.get(surprise, 1.0)
    before = float(np.exp(random.normal(0, 0.12)))
    loads = _curve(at, opens, closes) * level * np.where(at < opens, before, 1.0)
    slow = np.convolve(random.normal(0, 1, TICKS + 40), np.ones(40) / math.sqrt(40), mode="valid")[:TICKS]
    loads *= np.exp(0.06 * random.normal(0, 1, TICKS) + 0.05 * slow)
    volatility = np.ones(24 * 60)
    _surprise(surprise, at, opens, closes, loads, volatility, random)
    midnight = ns_of(datetime.combine(one.day, time(), NEW_YORK))
    return Day(one.day, midnight, closes < 16 * 60, surprise, PEAK * loads, volatility)


def _minutes(at: datetime) -> int:
    return at.hour * 60 + at.minute


def _curve(at: Floats, opens: int, closes: int) -> Floats:
    """The level of the load at a minute of the day."""
    part = np.clip((at - opens) / (closes - opens), 0, 1)
    session = (
        0.35
        + 0.65 * (2 * part - 1) ** 4
        + 2.2 * np.exp(-np.clip(at - opens, 0, None) / 6)
        + 1.2 * np.exp(-np.clip(closes - at, 0, None) / 4)
    )
    before = 0.02 + 0.10 * np.clip((at - 240) / (opens - 240), 0, 1) ** 3
    found = np.where(
        at < 240, 0.004, np.where(at < opens, before, np.where(at < closes, session, np.where(at < closes + 240, 0.06, 0.004)))
    )
    return np.asarray(found, np.float64)


def _surprise(kind: str, at: Floats, opens: int, closes: int, loads: Floats, volatility: Floats, random: np.random.Generator) -> None:
    """Change loads and volatility in place."""
    begins = float(random.uniform(opens + 20, closes - 60))
    lasts = float(random.uniform(20, 45))
    inside = (at >= begins) & (at < begins + lasts)
    if kind == "shock":  # at once, without a sign before it
        loads[inside] *= random.uniform(2.0, 3.5)
        volatility[int(begins) : int(begins + lasts)] = 6.0
    elif kind == "ramp":  # grows over some minutes, prices first
        rise = float(random.uniform(4, 10))
        height = float(random.uniform(1.0, 2.5))
        shape = np.clip((at - begins) / rise, 0, 1) * np.clip((begins + lasts - at) / 10, 0, 1)
        loads *= 1 + height * shape
        volatility[int(begins) - 1 : int(begins + lasts)] = 5.0
    elif kind == "halt":  # an early halt of everything, then an auction
        begins = float(random.uniform(opens + 2, opens + 30))
        loads[(at >= begins) & (at < begins + 15)] *= 0.05
        back = (at >= begins + 15) & (at < closes)
        loads[back] *= 1 + 1.4 * np.exp(-(at[back] - begins - 15) / 5)
        volatility[int(begins) : int(begins) + 30] = 6.0
    elif kind == "outage":  # nobody reaches the exchange; then all of them try again
        lasts = float(random.uniform(3, 12))
        loads[(at >= begins) & (at < begins + lasts)] *= 0.02
        back = (at >= begins + lasts) & (at < closes)
        loads[back] *= 1 + 1.6 * np.exp(-(at[back] - begins - lasts) / 3)


def minute_of(day: Day, tick: int) -> int:
    """Market time, ns, of the beginning of a tick."""
    return day.first_ns + tick * TICK_S * NANOS_PER_SECOND
