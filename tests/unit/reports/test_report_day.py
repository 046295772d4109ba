"""Trading days: from midnight to midnight in New York, also when its clocks change."""

from datetime import date

import numpy as np
import pytest

from reports.report_day import ReportDay
from schemas.errors import OutcryError
from schemas.market_hours import MarketCalendar

HOUR = 3_600_000_000_000


@pytest.mark.parametrize(("text", "hours"), [("2026-11-30", 24), ("2026-03-08", 23), ("2026-11-01", 25)])
def test_a_day_has_the_hours_of_new_york(text, hours):
    """23 and 25 where the clocks change."""
    day = ReportDay.parse(text)
    assert (day.end_ns - day.start_ns) // HOUR == hours
    assert ReportDay.of(day.start_ns) == ReportDay.of(day.end_ns - 1) == day
    assert ReportDay.of(day.end_ns) > day


def test_stamps_are_new_yorks_time_on_both_sides_of_a_change_of_clocks():
    """01:59:59.999999999 is followed by 03:00."""
    day = ReportDay.parse("2026-03-08")
    times = np.array([day.start_ns, day.start_ns + 2 * HOUR - 1, day.start_ns + 2 * HOUR])
    assert day.stamps(times) == ["20260308T000000.000000000", "20260308T015959.999999999", "20260308T030000.000000000"]


def test_deadlines_count_trading_days():
    """After Thanksgiving comes Friday, after Friday Monday; beyond the calendar there are weekdays."""
    calendar = MarketCalendar.load()
    assert ReportDay.parse("2026-11-25").trading_days_later(1, calendar).date == date(2026, 11, 27)
    assert ReportDay.parse("2026-11-27").trading_days_later(3, calendar).date == date(2026, 12, 2)
    assert ReportDay(date(2199, 12, 24)).trading_days_later(2, calendar).date == date(2199, 12, 26)


@pytest.mark.parametrize("text", ["2026-13-01", "today", "20261130", ""])
def test_other_text_is_no_day(text):
    """The sentence says what one is."""
    with pytest.raises(OutcryError, match="use YYYY-MM-DD"):
        ReportDay.parse(text)
