"""Who decides how many processes run: by the load of this moment, by the clock, by the forecast, or by knowing the day."""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final, Protocol

from forecast.costs import Costs, RoleCost
from forecast.counts import RolePlan
from forecast.model import LoadModel, ModelSettings, Outlook
from forecast.slots import MINUTE_NS
from schemas.market_hours import MarketCalendar
from streams.research.scaling.days import PER_MINUTE, TICK_S, TICKS, Day, minute_of

CAPACITY: Final = 3_000.0
"""Orders a second that one process takes at full use."""
BUDGET: Final = 200
FLOOR: Final = 4
LIMIT: Final = 0.85
"""Above this use a process is late: too few run."""
READY_S: Final = 120
ROLE: Final = RoleCost("edge", 1.0, FLOOR, BUDGET, {"orders": 1e6 / CAPACITY})
UTILISATION: Final = 0.6
_TOLERANCE: Final = 0.1
AHEAD_MIN: Final = 18
_DOUBLINGS: Final = 6
"""From FLOOR to BUDGET takes so many steps: twice as many processes a tick at the most."""


@dataclass(frozen=True)
class Moment:
    """What a policy sees. load: of the tick before; ready: processes that serve; asked: and those that will."""

    day: Day
    tick: int
    load: float
    ready: int
    asked: int


class Policy(Protocol):
    """Called at every tick of every day, in order."""

    def __call__(self, now: Moment) -> int: ...  # noqa: D102


def need(load: float) -> int:
    """Processes without which a load is late."""
    return max(1, math.ceil(load / (CAPACITY * LIMIT)))


class Reactive:
    """Kubernetes' HorizontalPodAutoscaler at 60 %, with its tolerance."""

    def __call__(self, now: Moment) -> int:
        """See Policy."""
        ratio = now.load / (CAPACITY * now.ready) / UTILISATION
        return now.asked if abs(ratio - 1) < _TOLERANCE else math.ceil(now.ready * ratio)


class Cron:
    """60 processes in the hours of a full session, which half days do not change; and the HPA."""

    def __init__(self) -> None:
        self._reactive = Reactive()

    def __call__(self, now: Moment) -> int:
        """See Policy."""
        hour = now.tick * TICK_S / 3_600
        return max(60 if 9.25 <= hour < 16.25 else FLOOR, self._reactive(now))


class Oracle:
    """Knows the day: what is needed when a process that is asked for now is ready, and until the next decision."""

    def __call__(self, now: Moment) -> int:
        """See Policy."""
        ahead = READY_S // TICK_S + _DOUBLINGS + 2
        return max(need(float(load)) for load in now.day.loads[now.tick : min(now.tick + ahead, TICKS)])


class Forecast:
    """The role `forecast-load`: its model, learning from day to day, and its plan."""

    def __init__(self, calendar: MarketCalendar, costs: Costs, settings: ModelSettings, override: bool = True) -> None:
        """override: whether the load of this moment counts too."""
        self._model, self._plan = LoadModel(calendar, settings), RolePlan(ROLE, replace(costs, ready_min=READY_S / 60))
        self._override, self._sum = override, 0.0
        self._outlook: Outlook | None = None

    def __call__(self, now: Moment) -> int:
        """See Policy."""
        at_ns = minute_of(now.day, now.tick)
        if now.tick % PER_MINUTE == 0:
            if now.tick:
                self._model.observe(at_ns - MINUTE_NS, self._sum / PER_MINUTE)
            self._sum = 0.0
            volatility = float(now.day.volatility[now.tick // PER_MINUTE - 1]) if now.tick else 1.0
            self._outlook = self._model.outlook(at_ns, AHEAD_MIN, volatility)
        self._sum += float(now.day.loads[now.tick])
        said = self._plan.decide(at_ns / MINUTE_NS, {"orders": self._outlook}, {"orders": now.load})
        return said.wanted if self._override else max(FLOOR, said.forecast)


def policies(calendar: MarketCalendar, costs: Costs, settings: ModelSettings) -> dict[str, Callable[[], Policy]]:
    """By name: what makes one that has learned nothing yet."""
    return {
        "reactive HPA": Reactive,
        "cron and HPA": Cron,
        "forecast alone": lambda: Forecast(calendar, costs, settings, override=False),
        "forecast": lambda: Forecast(calendar, costs, settings),
        "oracle": Oracle,
    }
