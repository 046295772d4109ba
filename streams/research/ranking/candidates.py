"""Alerts to learn from: what a sensitive watch says about labelled markets, with the truth beside it.

The rules that run accuse hardly anybody wrongly in these markets, so they leave nothing to rank. The sensitive watch has the same rules with weaker bounds:
most of what it finds is innocent, as in the queue of an analyst who asked for everything. It runs here only, never beside trading.
"""

from collections.abc import Iterator
from dataclasses import dataclass, fields, replace
from functools import partial
from typing import Any, Final

from schemas.codec import Rows
from streams.research.labelled.injectors import INJECTORS
from streams.research.labelled.markets import Outcome, Scenario, background, injected, minute_of
from streams.research.labelled.scoring import who_is
from streams.research.labelled.world import INSTRUMENTS
from surveillance import Owners, Place, TradingWatch
from surveillance.contract import MakeDetector
from surveillance.detectors import PATTERNS
from surveillance.market import Market
from surveillance.orders import OrderTracker, Tracking
from surveillance.ranking.features import AccountMinutes, alert_features

WEAKER_PERCENT: Final = 50
"""Of a bound that must be reached, in a sensitive watch."""
_NOT_WEAKER: Final = ("members_min", "high_percent_min")
SEVERITIES: Final = (0.2, 0.5, 0.8)
WINDOW_MINUTES: Final = 2
"""Of the discovery queue."""
NO_MANIPULATOR_EVERY: Final = 4
"""One market in so many has none."""


@dataclass(frozen=True)
class Candidate:
    """An alert of the sensitive watch. `truth` and `kind` are no part of the features."""

    market: int
    """Number of the market, in the order in which they were run: its day."""
    pattern: str
    features: dict[str, float]
    rule_score: float
    """Of the rules that run: the score of their alert if they accuse the same accounts of the same, else 0."""
    alert_score: float
    """Of the sensitive alert itself."""
    naive_z: float
    """The largest z-score of its accounts in any minute: the baseline."""
    truth: int
    kind: str = ""
    """What the manipulator did, or what the innocent account looks like."""


@dataclass(frozen=True)
class Window:
    """An account in some minutes of a market."""

    market: int
    vector: dict[str, float]
    alerted: bool
    truth: int


def sensitive() -> list[MakeDetector]:
    """Every detector with weaker bounds. What bounds memory, time or evidence stays."""
    made: list[MakeDetector] = []
    for pattern in PATTERNS:
        parameters = pattern(OrderTracker(Tracking()), Market()).parameters
        weaker = {
            one.name: max(1, getattr(parameters, one.name) * WEAKER_PERCENT // 100)
            for one in fields(parameters)
            if one.name.endswith("_min") and one.name not in _NOT_WEAKER and getattr(parameters, one.name) > 0
        }
        made.append(partial(pattern, parameters=replace(parameters, **weaker)))  # type: ignore[call-arg]
    return made


class _Beside:
    """The sensitive watch and the counts of accounts, over the same rows."""

    def __init__(self, owner_sets: str) -> None:
        self.watch = TradingWatch(INSTRUMENTS, sensitive(), owners=Owners.of_toml(owner_sets))
        self.minutes, self.alerts = AccountMinutes(), dict[str, dict[str, Any]]()

    def take(self, rows: Rows, where: Place) -> None:
        self.alerts |= {alert["alert_id"]: alert for alert in self.watch.apply(rows, where)}
        self.minutes.take(rows)


def markets(count: int, density: float, seed: int) -> Iterator[tuple[list[Candidate], list[Window]]]:
    """Market by market: all patterns and severities in turn, by the seed; every fourth has no manipulator."""
    names = list(INJECTORS)
    for number in range(count):
        beside: list[_Beside] = []

        def watch_too(owner_sets: str, made: list[_Beside] = beside) -> Any:
            made.append(_Beside(owner_sets))
            return made[0].take

        own_seed = (seed * 1_000_003 + number) % (1 << 62)
        if number % NO_MANIPULATOR_EVERY == NO_MANIPULATOR_EVERY - 1:
            outcome = background(density, own_seed, int(density * 290), watch_too)
        else:
            pattern, severity = names[(number * 7 + seed) % len(names)], SEVERITIES[number // len(names) % len(SEVERITIES)]
            outcome = injected(Scenario(pattern, severity, density, own_seed, number % 2 == 1), watch_too)
        yield _seen(number, outcome, beside[0])


def _seen(market: int, outcome: Outcome, beside: _Beside) -> tuple[list[Candidate], list[Window]]:
    guilty = {account for label in outcome.labels for account in label.accounts}
    alerts = sorted(beside.alerts.values(), key=lambda one: (one["detected_at"], one["alert_id"]))
    candidates = []
    for alert in alerts:
        accounts = set(alert["accounts"])
        window = beside.minutes.window(accounts, alert["window_start"], alert["window_end"])
        same = [one["score"] for one in outcome.alerts if one["pattern"] == alert["pattern"] and accounts & set(one["accounts"])]
        minutes = range(minute_of(alert["window_start"]), minute_of(alert["window_end"]) + 1)
        naive = [outcome.naive_z.get((account, minute), 0.0) for account in accounts for minute in minutes]
        candidates.append(
            Candidate(
                market,
                alert["pattern"],
                alert_features(alert, window),
                max(same, default=0.0),
                alert["score"],
                max(naive, default=0.0),
                int(bool(accounts & guilty)),
                outcome.labels[0].pattern if accounts & guilty else who_is(alert["account"], outcome),
            )
        )
    accused = {account for alert in outcome.alerts for account in alert["accounts"]}
    windows = [
        Window(market, vector, account in accused, int(account in guilty)) for account, _, vector in beside.minutes.windows(WINDOW_MINUTES)
    ]
    return candidates, windows
