"""What a supervisor asks of all cases: how many, how old, whose, with what outcome. A function of the desk and the time."""

from collections.abc import Iterable
from itertools import pairwise
from statistics import median
from typing import Any, Final

from surveillance.cases.case import Case
from surveillance.cases.words import CLOSED

_HOUR_NS: Final = 3_600_000_000_000
AGES_H: Final = (4, 24, 72, 240)
"""Bounds of the groups by age, in hours."""


def overview(cases: Iterable[Case], now: int) -> dict[str, Any]:
    """Counts by state, age, owner, and rule with its version. now: ns."""
    every = list(cases)
    still_open = [one for one in every if one.status not in CLOSED]
    owners = sorted({one.owner for one in every if one.owner})
    rules = sorted({(one.pattern, one.rule_version) for one in every})
    return {
        "cases": len(every),
        "open": len(still_open),
        "overdue": sum(1 for one in still_open if one.is_overdue(now)),
        "reopened": sum(one.reopened for one in every),
        "status": _counted(one.status for one in every),
        "ages": _ages(still_open, now),
        "owners": [_of_owner(owner, [one for one in every if one.owner == owner], now) for owner in owners],
        "rules": [_of_rule(*rule, [one for one in every if (one.pattern, one.rule_version) == rule]) for rule in rules],
    }


def _counted(words: Iterable[str]) -> dict[str, int]:
    found: dict[str, int] = {}
    for word in words:
        found[word] = found.get(word, 0) + 1
    return dict(sorted(found.items()))


def _ages(cases: list[Case], now: int) -> list[dict[str, Any]]:
    """Open cases by hours since they were opened; the last group has no bound."""
    hours = [(now - one.opened_at) / _HOUR_NS for one in cases]
    bounds = [0, *AGES_H, float("inf")]
    return [
        {"from_h": low, "to_h": None if high == float("inf") else high, "cases": sum(1 for age in hours if (low == 0 or age >= low) and age < high)}
        for low, high in pairwise(bounds)
    ]  # fmt: skip


def _of_owner(owner: str, cases: list[Case], now: int) -> dict[str, Any]:
    closed = [one for one in cases if one.status in CLOSED]
    return {
        "owner": owner,
        "open": len(cases) - len(closed),
        "overdue": sum(1 for one in cases if one.status not in CLOSED and one.is_overdue(now)),
        "closed": len(closed),
        "median_seconds_to_close": _median_s(closed),
    }


def _of_rule(pattern: str, version: str, cases: list[Case]) -> dict[str, Any]:
    """`hit_rate`: closed with some action, of those that are closed; None before the first."""
    closed = [one for one in cases if one.status in CLOSED]
    hits = sum(1 for one in closed if one.outcome != "NO_ACTION")
    return {
        "pattern": pattern,
        "rule_version": version,
        "cases": len(cases),
        "outcomes": _counted(one.outcome for one in closed),
        "reasons": _counted(one.reason for one in closed),
        "hit_rate": round(hits / len(closed), 4) if closed else None,
        "median_seconds_to_close": _median_s(closed),
    }


def _median_s(closed: list[Case]) -> float | None:
    """From opening to closing, without what was waited for an answer: closing in seconds is a finding too."""
    if not closed:
        return None
    return round(median(one.closed_at - one.opened_at - one.paused_ns for one in closed) / 1e9, 3)
