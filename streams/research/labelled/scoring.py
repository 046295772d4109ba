"""Precision and recall from labels: of each pattern, by density and severity, beside the baseline.

A scenario is found if an alert of its pattern names one of its accounts. An alert is *true* if it names a party of its own pattern, *related* if it names
a manipulator by another pattern (a spoofer's cancels are unbalanced, say), *false* if it names anybody else. Precision = true / (true + false): related
alerts are counted apart. Event by event: of the orders that alerts list as evidence, how many are of the manipulation (`event_precision`), and how many of
its orders they list (`event_recall`). A figure on an empty denominator is None, not 0.
"""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from streams.research.labelled.crowd import FOLLOWERS
from streams.research.labelled.injectors import PARTY
from streams.research.labelled.markets import Outcome, Scenario, minute_of

Cell = dict[str, Any]


@dataclass
class Counts:
    """Of one pattern at one density and severity."""

    scenarios: int = 0
    found: int = 0
    baseline_found: int = 0
    labelled: int = 0
    """Orders of the manipulations."""
    shown: int = 0
    """Orders that alerts of the pattern, about anybody, list as evidence: at most 64 an alert."""
    right: int = 0
    """Those of them that are labelled."""
    delays_s: list[float] = field(default_factory=list)


@dataclass
class Scores:
    """Everything that was counted."""

    by_cell: dict[tuple[str, float, float], Counts] = field(default_factory=lambda: defaultdict(Counts))
    true: dict[tuple[str, float], int] = field(default_factory=lambda: defaultdict(int))
    related: dict[tuple[str, float], int] = field(default_factory=lambda: defaultdict(int))
    false: dict[tuple[str, float], int] = field(default_factory=lambda: defaultdict(int))
    accused: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    """False alerts by whom they name."""
    orders: dict[float, int] = field(default_factory=lambda: defaultdict(int))
    baseline_true: dict[float, int] = field(default_factory=lambda: defaultdict(int))
    baseline_false: dict[float, int] = field(default_factory=lambda: defaultdict(int))
    watch_cpu_s: float = 0.0
    rows: int = 0

    def take(self, outcome: Outcome, scenario: Scenario | None) -> None:
        """Count one market."""
        density = outcome.density
        manipulators = {account for label in outcome.labels for account in label.accounts}
        self.orders[density] += outcome.orders
        self.watch_cpu_s += outcome.watch_cpu_s
        self.rows += outcome.rows
        own = scenario.pattern if scenario else ""
        for alert in outcome.alerts:
            named = set(alert["accounts"])
            if not named & manipulators:
                self.false[alert["pattern"], density] += 1
                self.accused[who_is(alert["account"], outcome)] += 1
            elif alert["pattern"] == own:
                self.true[own, density] += 1
            else:
                self.related[alert["pattern"], density] += 1
        flagged = {account for account, _ in outcome.flagged}
        self.baseline_true[density] += len(flagged & manipulators)
        self.baseline_false[density] += len(flagged - manipulators)
        if scenario:
            self._scenario(outcome, scenario, manipulators)

    def _scenario(self, outcome: Outcome, scenario: Scenario, manipulators: set[int]) -> None:
        counts = self.by_cell[scenario.pattern, scenario.density, scenario.severity]
        counts.scenarios += 1
        hits = [one for one in outcome.alerts if one["pattern"] == scenario.pattern and set(one["accounts"]) & manipulators]
        counts.found += bool(hits)
        labelled = {order for label in outcome.labels for order in label.orders}
        shown = {order["order_id"] for one in outcome.alerts if one["pattern"] == scenario.pattern for order in one.get("evidence", ())}
        counts.labelled, counts.shown = counts.labelled + len(labelled), counts.shown + len(shown)
        counts.right += len(labelled & shown)
        if hits and outcome.labels:
            counts.delays_s.append((min(one["detected_at"] for one in hits) - outcome.labels[0].began_at) / 1e9)
        minutes = {minute for label in outcome.labels for minute in range(minute_of(label.began_at), minute_of(label.ended_at) + 1)}
        counts.baseline_found += any(account in manipulators and minute in minutes for account, minute in outcome.flagged)

    def table(self) -> list[Cell]:
        """A row per pattern, density and severity."""
        return [
            {
                "pattern": pattern, "density": density, "severity": severity, "scenarios": one.scenarios, "recall": _share(one.found, one.scenarios),
                "baseline_recall": _share(one.baseline_found, one.scenarios),
                "event_precision": _share(one.right, one.shown), "event_recall": _share(one.right, one.labelled),
                "delay_s": round(sorted(one.delays_s)[len(one.delays_s) // 2], 1) if one.delays_s else None,
            }
            for (pattern, density, severity), one in sorted(self.by_cell.items())
        ]  # fmt: skip

    def alerts(self) -> list[Cell]:
        """A row per pattern and density: how right its alerts are."""
        keys = sorted({*self.true, *self.related, *self.false, *((pattern, density) for pattern, density, _ in self.by_cell)})
        return [
            {
                "pattern": pattern, "density": density, "true": self.true[pattern, density], "related": self.related[pattern, density],
                "false": self.false[pattern, density],
                "precision": _share(self.true[pattern, density], self.true[pattern, density] + self.false[pattern, density]),
                "false_per_100k_orders": round(self.false[pattern, density] * 100_000 / self.orders[density], 2) if self.orders[density] else None,
            }
            for pattern, density in keys
        ]  # fmt: skip

    def baseline(self) -> list[Cell]:
        """A row per density: how right the baseline is, account by account."""
        return [
            {
                "density": density, "true": self.baseline_true[density], "false": self.baseline_false[density],
                "precision": _share(self.baseline_true[density], self.baseline_true[density] + self.baseline_false[density]),
                "false_per_100k_orders": round(self.baseline_false[density] * 100_000 / orders, 2) if orders else None,
            }
            for density, orders in sorted(self.orders.items())
        ]  # fmt: skip


def scored(outcomes: Iterable[tuple[Outcome, Scenario | None]]) -> Scores:
    """Counts over all markets."""
    scores = Scores()
    for outcome, scenario in outcomes:
        scores.take(outcome, scenario)
    return scores


def _share(part: int, whole: int) -> float | None:
    return round(part / whole, 3) if whole else None


def who_is(account: int, outcome: Outcome) -> str:
    """What somebody who did nothing wrong looks like."""
    if account in outcome.controls:
        return outcome.controls[account]
    if account >= PARTY:
        return "crowd"
    return "market maker" if account < FOLLOWERS else "trend follower"
