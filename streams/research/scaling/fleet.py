"""A fleet that is late: what is asked for serves READY_S later. And what a day with it was worth."""

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from streams.research.scaling.days import TICK_S, Day
from streams.research.scaling.policies import BUDGET, CAPACITY, FLOOR, READY_S, Moment, Policy, need

DOWN_TICKS: Final = 600 // TICK_S
"""An HPA goes down to the greatest wish of the last ten minutes."""


@dataclass(frozen=True)
class Outcome:
    """One day under one policy. counts: processes that served, by tick."""

    policy: str
    day: Day
    minutes_short: float
    over: float
    """Share of the day's orders above what could be taken at full use."""
    process_hours: float
    scale_ups: int
    """Times at which more were asked for than a minute before."""
    counts: tuple[int, ...]


class Fleet:
    """Processes of one role, from day to day. Raises nothing; a policy's wish is kept between FLOOR and BUDGET."""

    def __init__(self, policy: Policy, name: str) -> None:
        self._policy, self._name = policy, name
        self._ready = FLOOR
        self._coming: deque[tuple[int, int]] = deque()
        self._wishes: deque[tuple[int, int]] = deque()
        self._tick = 0
        self._load = 0.0

    def run(self, day: Day) -> Outcome:
        """One day."""
        counts, ups, quiet = [], 0, 0
        short = over = 0.0
        for tick, load in enumerate(day.loads.tolist()):
            while self._coming and self._coming[0][0] <= self._tick:
                self._ready += self._coming.popleft()[1]
            asked = self._ready + sum(number for _, number in self._coming)
            wish = self._wish(Moment(day, tick, self._load, self._ready, asked))
            rises = self._follow(wish, asked)
            ups += rises and not quiet
            quiet = 4 if rises else max(0, quiet - 1)  # steps of one rise, 15 s apart, are one
            counts.append(self._ready)
            short += (need(load) > self._ready) * TICK_S / 60
            over += max(0.0, load - CAPACITY * self._ready)
            self._tick, self._load = self._tick + 1, load
        return Outcome(self._name, day, short, over / float(day.loads.sum()), sum(counts) * TICK_S / 3_600, ups, tuple(counts))

    def _wish(self, now: Moment) -> int:
        """The greatest of the last DOWN_TICKS."""
        wish = max(FLOOR, min(BUDGET, self._policy(now)))
        while self._wishes and self._wishes[0][0] <= self._tick - DOWN_TICKS:
            self._wishes.popleft()
        while self._wishes and self._wishes[-1][1] <= wish:
            self._wishes.pop()
        self._wishes.append((self._tick, wish))
        return self._wishes[0][1]

    def _follow(self, wish: int, asked: int) -> bool:
        """Twice as many in 15 s at the most, a tenth fewer; whether it rose."""
        if wish > asked:
            self._coming.append((self._tick + READY_S // TICK_S, min(wish - asked, max(asked, 4))))
            return True
        if wish < asked:
            self._ready -= min(asked - wish, max(1, self._ready // 10), self._ready - 1)
        return False


def run(policy: Policy, name: str, days: Iterable[Day], calm: int) -> list[Outcome]:
    """The days behind the calm ones, which are only learned from."""
    fleet = Fleet(policy, name)
    return [outcome for number, day in enumerate(days) if (outcome := fleet.run(day)) and number >= calm]
