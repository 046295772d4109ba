"""Trading days: from midnight to midnight in New York, also when its clocks change."""

from datetime import date

import numpy as np
import pytest

from reports.trading_day import TradingDay
from schemas.errors import OutcryError

HOUR = 3_600_000_000_000


@pytest.mark.parametrize(("text", "hours"), [("2026-11-30", 24), ("2026-03-08", 23), ("2026-11-01", 25)])
def test_a_day_has_the_hours_of_new_york(text, hours):
    """23 and 25 where the clocks change."""
    day = TradingDay.parse(text)
    assert (day.end_ns - day.start_ns) // HOUR == hours
    assert TradingDay.of(day.start_ns) == TradingDay.of(day.end_ns - 1) == day
    assert TradingDay.of(day.end_ns) > day


def test_stamps_are_new_yorks_time_on_both_sides_of_a_change_of_clocks():
    """01:59:59.999999999 is followed by 03:00."""
    day = TradingDay.parse("2026-03-08")
    times = np.array([day.start_ns, day.start_ns + 2 * HOUR - 1, day.start_ns + 2 * HOUR])
    assert day.stamps(times) == ["20260308T000000.000000000", "20260308T015959.999999999", "20260308T030000.000000000"]


def test_deadlines_count_weekdays():
    """After Friday comes Monday."""
    assert TradingDay.parse("2026-11-27").weekday_after(1).date == date(2026, 11, 30)
    assert TradingDay.parse("2026-11-30").weekday_after(3).date == date(2026, 12, 3)


@pytest.mark.parametrize("text", ["2026-13-01", "today", "20261130", ""])
def test_other_text_is_no_day(text):
    """The sentence says what one is."""
    with pytest.raises(OutcryError, match="use YYYY-MM-DD"):
        TradingDay.parse(text)
