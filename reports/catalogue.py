"""Every report in one table: what it is, what it is modelled on, when it is due, and the function that makes it. No I/O."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, time
from importlib import import_module
from typing import TYPE_CHECKING, Final

from reports.cat.files import Lines
from reports.clocks import clock_lines
from reports.facts import DayFacts
from reports.halts import halt_lines
from reports.quality import quality_lines
from reports.ratios import ratio_lines
from reports.reference import Reference
from reports.refusals import refusal_lines
from reports.report_day import ReportDay
from reports.summary import summary_lines
from schemas.market_hours import NEW_YORK, MarketCalendar

if TYPE_CHECKING:
    from reports.cat.event_lines import CatLines

LinesOf = Callable[[DayFacts, Reference], Iterator[bytes]]


@dataclass(frozen=True)
class ReportKind:
    """One report of a day."""

    name: str
    title: str
    modelled_on: str
    """The specification and its version; empty for our own."""
    lines: LinesOf
    is_cat: bool = False
    """Its files are packed, with companions and numbers; others are one CSV file."""
    due_days: int = 0
    """Trading days after the day, 0: nobody waits for it."""
    due_at: time = time(8)
    """New York time."""

    def blocks(self, facts: DayFacts, reference: Reference) -> Iterator[Lines]:
        """The lines of a packed report, many at once."""
        assert self.is_cat, "others are one small file"
        found: Iterator[Lines] = _cat_lines(facts, reference).blocks()
        return found

    def due(self, day: ReportDay, calendar: MarketCalendar) -> datetime | None:
        """When it must have been submitted."""
        return self.at(day.trading_days_later(self.due_days, calendar)) if self.due_days else None

    def at(self, day: ReportDay) -> datetime:
        """The hour at which it is due, on a day."""
        return datetime.combine(day.date, self.due_at, NEW_YORK)


def _cat_lines(facts: DayFacts, reference: Reference) -> "CatLines":
    made: CatLines = import_module("reports.cat.event_lines").CatLines(
        facts, reference
    )  # pyarrow, which who only lists reports does without
    return made


def cat_lines(facts: DayFacts, reference: Reference) -> Iterator[bytes]:
    """The events as JSON."""
    return _cat_lines(facts, reference).lines()


CORRECTED_DAYS: Final = 3
"""Corrections of a CAT report are due so many trading days after the day, at the same time."""
CAT: Final = ReportKind(
    "cat",
    "Consolidated Audit Trail: every event of every order",
    "CAT Participants v1.7.1 (2018-09)",
    cat_lines,
    is_cat=True,
    due_days=1,
)
SUMMARY: Final = ReportKind("summary", "prices, volume, orders and halts by instrument", "", summary_lines)
HALTS: Final = ReportKind(
    "halts", "halts, phases and price bands, with what they come from", "Limit Up-Limit Down Plan, Amendment 18", halt_lines
)
QUALITY: Final = ReportKind(
    "quality", "execution quality by order type and size, as sums for the month", "Rule 605 as amended (34-99679)", quality_lines
)
RATIOS: Final = ReportKind(
    "ratios", "order-to-trade ratios by member and instrument", "Regulation (EU) 2017/566 (RTS 9), Article 3 and annex", ratio_lines
)
REFUSALS: Final = ReportKind("refusals", "what the controls before trading refused", "evidence for Rule 15c3-5", refusal_lines)
CLOCKS: Final = ReportKind(
    "clocks", "clock synchronisation by process, from their drift logs", "CAT NMS Plan, section 6.8 (clock synchronisation)", clock_lines
)
KINDS: Final = {one.name: one for one in (CAT, QUALITY, RATIOS, HALTS, REFUSALS, SUMMARY, CLOCKS)}
