"""Clock synchronisation: for each process and reference how far its clock was off on the day, from its drift log. No I/O.

Modelled on what the CAT NMS Plan asks of business clocks (section 6.8): a log of comparisons, and what was outside of the tolerance.
"""

from collections.abc import Iterator
from itertools import groupby, pairwise
from typing import Any, Final

from reports.facts import DayFacts
from reports.reference import Reference
from reports.report_day import ReportDay
from reports.tables import csv_lines
from schemas.clock_record import ClockRecord
from schemas.units import NANOS_PER_SECOND

COLUMNS: Final = (
    "process", "host", "reference", "comparisons", "first", "last", "longest_pause_s", "offset_least_us", "offset_most_us", "farthest_us",
    "not_synchronised", "wrong", "wrong_since", "trouble",
)  # fmt: skip
_MICRO_NS: Final = 1_000


def clock_lines(facts: DayFacts, _reference: Reference) -> Iterator[bytes]:
    """CSV with a header, by process, host and reference. `wrong` are the comparisons with a trouble; `trouble` is the last one's of these."""
    ordered = sorted(facts.clocks, key=lambda one: (_key(one), one.time_ns))
    return csv_lines(COLUMNS, (_line(facts.day, key, list(found)) for key, found in groupby(ordered, _key)))


def _key(one: ClockRecord) -> tuple[str, str, str]:
    return one.process, one.host, one.reference


def _line(day: ReportDay, key: tuple[str, str, str], found: list[ClockRecord]) -> tuple[Any, ...]:
    times = [one.time_ns for one in found]
    pause_ns = max((later - earlier for earlier, later in pairwise(times)), default=0)
    known = [one for one in found if one.is_synchronised]
    offsets = [one.offset_ns for one in known]
    wrong = [one for one in found if one.trouble]
    stamps = day.stamps_of(times[0], times[-1], *(one.time_ns for one in wrong[:1]))
    bounds = (_us(min(offsets)), _us(max(offsets)), _us(max(one.farthest_ns for one in known))) if known else ("", "", "")
    return (
        *key, len(found), stamps[0], stamps[1], pause_ns // NANOS_PER_SECOND, *bounds, len(found) - len(known), len(wrong), *(stamps[2:] or [""]),
        wrong[-1].trouble if wrong else "",
    )  # fmt: skip


def _us(duration_ns: int) -> str:
    return f"{duration_ns / _MICRO_NS:.3f}"
