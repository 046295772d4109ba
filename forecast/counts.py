"""How many processes of a role are wanted, and why: the forecast's count and the present load's, whichever is more, between floor and budget.

Few changes: each one costs a rebalance. A scale-up goes at once to what the coming minutes need, in one jump. A scale-down waits until nothing of the coming
minutes and of the last ones needed more.
"""

import math
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from forecast.costs import Costs, RoleCost
from forecast.model import Outlook

JUMP_MIN: Final = 8
"""A scale-up covers so many minutes behind the time at which its processes are ready."""
HOLD_MIN: Final = 10.0
"""A scale-down waits so long."""
SPARE: Final = 0.08
"""A scale-down of less than this share is not worth its rebalance."""


@dataclass(frozen=True)
class Count:
    """What a role should have. forecast, reactive: what each of the two alone would have said; -1: there was no forecast."""

    role: str
    wanted: int
    forecast: int
    reactive: int
    p50: float
    """Processes at full use that the median load of the minutes that decide takes."""
    p95: float
    confidence: str
    """high: the forecast is trusted; low: its last errors were large, or trading has stopped; none: there is no forecast."""
    reason: str


@dataclass(frozen=True)
class Need:
    """Processes of a role that each of the coming minutes takes, at full use."""

    p50: Sequence[float]
    p95: Sequence[float]

    @classmethod
    def of(cls, role: RoleCost, outlooks: Mapping[str, Outlook]) -> "Need":
        """Of the outlooks of the role's kinds of load, which begin at the same minute."""
        minutes = min((len(one.p50) for one in outlooks.values()), default=0)
        return cls(
            [role.use({kind: float(one.p50[at]) for kind, one in outlooks.items()}) for at in range(minutes)],
            [role.use({kind: float(one.p95[at]) for kind, one in outlooks.items()}) for at in range(minutes)],
        )


class RolePlan:
    """The counts of one role, one after another. Given the same needs it says the same."""

    def __init__(self, role: RoleCost, costs: Costs) -> None:
        self._role, self._costs = role, costs
        self._standing = 0
        """The forecast's count that stands."""
        self._lower: deque[tuple[float, int]] = deque()
        """(minute, count) of the last HOLD_MIN that would have been enough; the greatest first."""
        self._last: deque[tuple[float, int]] = deque()
        self._asked: dict[str, Outlook] = {}
        """Outlooks that were asked last: a tick between two minutes brings no new ones."""
        self._need, self._said = Need([], []), (0, 0)

    def decide(self, minute: float, outlooks: Mapping[str, Outlook | None], loads: Mapping[str, float]) -> Count:
        """minute: the time in minutes, which never falls. outlooks, loads: by kind, of those that the role is charged for. Raises AssertionError if it does."""
        assert not self._last or minute >= self._last[-1][0]
        known = {kind: one for kind, one in outlooks.items() if one is not None}
        complete = bool(outlooks) and len(known) == len(outlooks)
        trusted = complete and all(one.trusted and not one.stopped for one in known.values())
        if not self._asked or any(known.get(kind) is not one for kind, one in self._asked.items()) or len(known) != len(self._asked):
            self._asked = known
            self._need = Need.of(self._role, known) if complete else Need([], [])
            self._said = self._forecast(minute, self._need)
        need, (forecast, decisive) = self._need, self._said
        use = self._costs.reactive_use if trusted else self._costs.typical_use
        reactive = self._held(self._last, minute, math.ceil(self._role.use(loads) / use))
        wanted = max(self._role.floor, min(self._role.budget, max(forecast, reactive)))
        p50, p95 = (need.p50[decisive], need.p95[decisive]) if complete else (0.0, 0.0)
        confidence = "high" if trusted else "low" if complete else "none"
        reason = self._reason(known, decisive, forecast, reactive, wanted, confidence)
        return Count(self._role.role, wanted, forecast if complete else -1, reactive, p50, p95, confidence, reason)

    def _forecast(self, minute: float, need: Need) -> tuple[int, int]:
        """The forecast's count, and the minute ahead that decides it."""
        if not need.p50:
            self._standing = 0
            return 0, 0
        counts = [self._count(p50, p95) for p50, p95 in zip(need.p50, need.p95, strict=True)]
        ready = min(len(counts), math.ceil(self._costs.ready_min) + 2)
        ahead = counts[: min(len(counts), ready + JUMP_MIN)]
        enough = self._held(self._lower, minute, max(ahead))
        if max(counts[:ready]) > self._standing:
            self._standing = max(ahead)
        elif enough <= self._standing * (1 - SPARE) or enough <= self._role.floor:
            self._standing = min(self._standing, enough)
        return self._standing, ahead.index(max(ahead))

    def _count(self, p50: float, p95: float) -> int:
        return math.ceil(max(p50 / self._costs.typical_use, p95 / self._costs.limit_use))

    @staticmethod
    def _held(lasting: deque[tuple[float, int]], minute: float, count: int) -> int:
        """The greatest count of the last HOLD_MIN, this one included."""
        while lasting and lasting[0][0] <= minute - HOLD_MIN:
            lasting.popleft()
        while lasting and lasting[-1][1] <= count:
            lasting.pop()
        lasting.append((minute, count))
        return lasting[0][1]

    def _reason(
        self, known: Mapping[str, Outlook], decisive: int, forecast: int, reactive: int, wanted: int, confidence: str
    ) -> str:  # fmt: skip
        role = self._role
        bound = (
            " (its floor)"
            if wanted == role.floor > max(forecast, reactive)
            else " (its budget)"
            if wanted < max(forecast, reactive)
            else ""
        )
        said = f"{role.role} wants {wanted}{bound}: "
        if confidence == "none":
            return said + f"there is no forecast yet, the load of this moment takes {reactive}"
        kind, one = max(known.items(), key=lambda item: float(item[1].p95[decisive]) * (role.cpu_us.get(item[0], 0) or 1e-12))
        loads = f"{kind} at {one.minutes[decisive].text} are {one.p50[decisive]:,.0f} (p50) to {one.p95[decisive]:,.0f} (p95)"
        today = f"today is {one.level:.2f} and the last minutes are {one.live:.2f} of the usual over {one.days} days"
        said += f"the forecast takes {forecast}, because {loads}; the load of this moment takes {reactive}; {today}"
        stopped = "; trading has stopped, it may come back all at once" if any(each.stopped for each in known.values()) else ""
        doubt = (
            "; its last errors were large, so the present load has more headroom"
            if any(not each.trusted for each in known.values())
            else ""
        )
        return said + stopped + doubt
