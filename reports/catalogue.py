"""Every report in one table: what it is, what it is modelled on, when it is due, and the function that makes it. No I/O."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, time
from typing import Final

from reports.cat.events import CatEvents
from reports.cat.fields import json_line
from reports.facts import DayFacts
from reports.reference import Reference
from reports.summary import summary_lines
from reports.trading_day import NEW_YORK, TradingDay

Lines = Callable[[DayFacts, Reference], Iterator[bytes]]


@dataclass(frozen=True)
class ReportKind:
    """One report of a day."""

    name: str
    title: str
    modelled_on: str
    """The specification and its version; empty for our own."""
    lines: Lines
    is_cat: bool = False
    """Its files are packed, with companions and numbers; others are one CSV file."""
    due_weekdays: int = 0
    """Weekdays after the day, 0: nobody waits for it."""
    due_at: time = time(8)
    """New York time."""

    def due(self, day: TradingDay) -> datetime | None:
        """When it must have been submitted."""
        return datetime.combine(day.weekday_after(self.due_weekdays).date, self.due_at, NEW_YORK) if self.due_weekdays else None


def cat_lines(facts: DayFacts, reference: Reference) -> Iterator[bytes]:
    """The events as JSON."""
    return map(json_line, CatEvents(facts, reference).records())


CORRECTED_WEEKDAYS: Final = 3
"""Corrections of a CAT report are due so many weekdays after the day, at the same time."""
CAT: Final = ReportKind(
    "cat",
    "Consolidated Audit Trail: every event of every order",
    "CAT Participants v1.7.1 (2018-09)",
    cat_lines,
    is_cat=True,
    due_weekdays=1,
)
SUMMARY: Final = ReportKind("summary", "prices, volume, orders and halts by instrument", "", summary_lines)
KINDS: Final = {one.name: one for one in (CAT, SUMMARY)}
