"""The market's days and hours against exchange_calendars, and the files and clocks that cannot be."""

from datetime import UTC, date, datetime, time, timedelta

import pytest

from schemas.enums import Phase
from schemas.market_hours import NEW_YORK, BadCalendar, CalendarEnds, MarketCalendar, MarketClock, moment, ns_of, steps_of

KNOWN = MarketCalendar.load()


@pytest.mark.parametrize(
    ("day", "opens_utc", "closes_utc"),
    [
        (date(2026, 3, 6), time(14, 30), time(21)), (date(2026, 3, 9), time(13, 30), time(20)),  # the clocks go forward between
        (date(2026, 10, 30), time(13, 30), time(20)), (date(2026, 11, 2), time(14, 30), time(21)),  # and back
        (date(2026, 11, 27), time(14, 30), time(18)), (date(2026, 12, 24), time(14, 30), time(18)),  # half days
    ],
)  # fmt: skip
def test_a_day_has_its_hours_in_new_york(day, opens_utc, closes_utc):
    """Whatever the clocks do."""
    one = KNOWN.on(day)
    assert one is not None
    assert one.open_at.astimezone(UTC) == datetime.combine(day, opens_utc, UTC)
    assert one.close_at.astimezone(UTC) == datetime.combine(day, closes_utc, UTC)


def test_closed_days_are_closed_and_a_day_beyond_the_table_is_an_error():
    """A Saturday, a holiday, an observed one, one that was announced (2025-01-09)."""
    for day in (date(2026, 11, 28), date(2026, 11, 26), date(2026, 7, 3), date(2025, 1, 9)):
        assert KNOWN.on(day) is None
    with pytest.raises(CalendarEnds, match="2016-01-01 to 2040-12-31"):
        KNOWN.on(date(2041, 1, 2))
    with pytest.raises(CalendarEnds):
        KNOWN.next_open(datetime(2040, 12, 31, 17, tzinfo=NEW_YORK))


def test_the_next_open_and_close_skip_weekends_holidays_and_follow_half_days():
    """From any zone; at the very moment it is the one after."""
    friday = datetime(2026, 3, 6, 17, 0, tzinfo=NEW_YORK)
    assert KNOWN.next_open(friday).isoformat() == "2026-03-09T09:30:00-04:00"
    assert KNOWN.next_close(friday).isoformat() == "2026-03-09T16:00:00-04:00"
    assert KNOWN.next_open(datetime(2026, 11, 25, 14, 30, tzinfo=UTC)).isoformat() == "2026-11-27T09:30:00-05:00"
    assert KNOWN.next_close(datetime(2026, 11, 26, 12, tzinfo=UTC)).isoformat() == "2026-11-27T13:00:00-05:00"


def test_steps_rise_by_number_and_time_and_the_newest_that_has_begun_is_due():
    """Over a year; also at night and on a Sunday, when the last day's end is due."""
    steps = [step for one in KNOWN.days(date(2026, 1, 1), date(2026, 12, 31)) for step in steps_of(one)]
    assert len(steps) == 6 * 251
    assert steps == sorted(steps)
    assert [step.at_ns for step in steps] == sorted({step.at_ns for step in steps})
    for now, phase, coming in [
        ("2026-03-08T12:00", Phase.CLOSED, "2026-03-09T06:30"),
        ("2026-03-09T06:29:59", Phase.CLOSED, "2026-03-09T06:30"),
        ("2026-03-09T09:28", Phase.OPENING_AUCTION, "2026-03-09T09:30"),
        ("2026-11-27T12:56", Phase.CLOSING_AUCTION, "2026-11-27T13:00"),
    ]:
        begun, then = KNOWN.due(ns_of(datetime.fromisoformat(now).replace(tzinfo=NEW_YORK)))
        assert (begun[-1].phase, moment(then.at_ns)) == (phase, datetime.fromisoformat(coming).replace(tzinfo=NEW_YORK))


def test_a_file_adds_closures_half_days_and_open_days(tmp_path):
    """Over the package's table."""
    path = tmp_path / "days.toml"
    path.write_text('closed = [2026-12-01, "2026-12-02"]\nopen = [2026-12-25]\n[early]\n2026-12-03 = 13:00:00\n2026-11-26 = 12:30:00\n')
    known = MarketCalendar.load(path)
    days = {one.day: one.closes for one in known.days(date(2026, 11, 25), date(2026, 12, 28))}
    assert date(2026, 12, 1) not in days
    assert date(2026, 12, 2) not in days
    assert (days[date(2026, 12, 3)], days[date(2026, 11, 26)], days[date(2026, 12, 25)]) == (time(13), time(12, 30), time(16))


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("closed = [", "Invalid value"), ("closes = []", "unknown closes"), ("closed = 1", "closed is a list of days"),
        ('closed = ["tomorrow"]', "closed: 'tomorrow' is not a day"), ("early = 1", "early is a table"),
        ("[early]\n2026-12-01 = 09:00:00", "is not a time from 10:00:00"), ("[early]\n2026-12-01 = 17:00:00", "is not a time from"),
        ("[early]\n2026-12-01 = 13", "is not a time from"), ("[early]\nmonday = 13:00:00", "'monday' is not a day"),
        ("first = 2041-01-01", "first 2041-01-01 is behind last"), ("closed = [2026-12-01T10:00:00]", "is not a day"),
    ],
)  # fmt: skip
def test_a_file_that_cannot_be_is_refused_with_what_is_wrong(tmp_path, text, problem):
    """And where."""
    path = tmp_path / "days.toml"
    path.write_text(text)
    with pytest.raises(BadCalendar, match=problem) as refused:
        MarketCalendar.load(path)
    assert str(path) in str(refused.value)
    with pytest.raises(BadCalendar, match="cannot be read"):
        MarketCalendar.load(tmp_path / "none.toml")


def test_a_rehearsals_clock_goes_there_and_back():
    """600 times as fast; and real time is itself."""
    clock = MarketClock.parse("2026-11-30T12:00:00Z=2026-11-27T06:25:00-05:00*600")
    real = ns_of(datetime(2026, 11, 30, 12, tzinfo=UTC))
    assert moment(clock.to_market(real + 1_000_000_000)) == datetime(2026, 11, 27, 6, 35, tzinfo=NEW_YORK)
    assert clock.to_real(clock.to_market(real + 12_345_678)) == real + 12_345_678
    assert MarketClock.parse("").to_market(real) == real == MarketClock.parse("").to_real(real)


@pytest.mark.parametrize("text", ["now", "2026-11-30T12:00:00Z", "2026-11-30T12:00:00Z=2026-11-27T06:25:00*600", "x=y*1", "=*",
                                  "2026-11-30T12:00:00Z=2026-11-27T06:25:00Z*0", "2026-11-30T12:00:00Z=2026-11-27T06:25:00Z*1.5"])  # fmt: skip
def test_a_clock_that_cannot_be_is_refused(text):
    """By pydantic's ValueError, with the name of the setting."""
    with pytest.raises(ValueError):  # noqa: PT011
        MarketClock.parse(text)


def test_the_hours_are_those_of_the_library():
    """Every session from 2016 on for 20 years."""
    import exchange_calendars

    last = date(2035, 12, 31)
    schedule = exchange_calendars.get_calendar("XNYS", start=KNOWN.first.isoformat(), end=last.isoformat()).schedule
    theirs = {day.date(): (row.open.to_pydatetime(), row.close.to_pydatetime()) for day, row in schedule.iterrows()}
    ours = {one.day: (one.open_at.astimezone(UTC), one.close_at.astimezone(UTC)) for one in KNOWN.days(KNOWN.first, last)}
    assert ours == theirs
    assert sum((closes - opens for day, (opens, closes) in ours.items() if day.year == 2026), timedelta()) == timedelta(hours=1_625.5)
