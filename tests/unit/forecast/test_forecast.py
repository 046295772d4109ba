"""The forecast: the same day of the week in fast motion, half days, daylight saving, rubbish, and counts with their reasons."""

import math
from datetime import date, datetime
from itertools import pairwise

import numpy as np
import pytest

from forecast.costs import Costs, RoleCost
from forecast.counts import HOLD_MIN, RolePlan
from forecast.errors import BadCosts, BadLoad
from forecast.model import LoadModel
from forecast.slots import CLOSE, CLOSED, MINUTE_NS, OPEN, minute_at
from schemas.market_hours import NEW_YORK, MarketCalendar, ns_of

CALENDAR = MarketCalendar.load()
COSTS = Costs.load()
ROLE = RoleCost("edge", 1.0, 2, 50, {"orders": 1_000.0})


def at(day: date, hour: int, minute: int) -> int:
    """Ns since 1970, New York time."""
    return ns_of(datetime(day.year, day.month, day.day, hour, minute, tzinfo=NEW_YORK))


def curve(slot: int) -> float:
    """Orders a second of a plain day: few at night, a burst at the open."""
    if slot >= CLOSED or slot < OPEN or slot >= CLOSE:
        return 10.0
    return 1_000.0 + (9_000.0 * math.exp(-(slot - OPEN) / 5) if slot < OPEN + 195 else 0.0)


def taught(first: date, days: int, scale: float = 1.0) -> LoadModel:
    """A model that has seen so many days of trading, every minute of them."""
    model = LoadModel(CALENDAR)
    for one in list(CALENDAR.days(first, CALENDAR.last))[:days]:
        live(model, one.day, 0, 24 * 60, scale)
    return model


def live(model: LoadModel, day: date, first: int, last: int, scale: float = 1.0) -> None:
    """Observe these minutes of a day."""
    midnight = at(day, 0, 0)
    for minute in range(first, last):
        slot = minute_at(CALENDAR, midnight + minute * MINUTE_NS).slot
        model.observe(midnight + minute * MINUTE_NS, scale * curve(slot))


@pytest.fixture(scope="module")
def five_days():
    """Shared: what a test adds is later than what others look at."""
    return taught(date(2026, 11, 2), 5)


def test_a_half_day_is_compared_with_the_open_and_the_close_of_full_days():
    """And the open is the same slot before and after the end of daylight saving time."""
    half, full = date(2026, 11, 27), date(2026, 11, 25)
    assert minute_at(CALENDAR, at(half, 9, 30)).slot == minute_at(CALENDAR, at(full, 9, 30)).slot == OPEN
    assert minute_at(CALENDAR, at(half, 12, 59)).slot == minute_at(CALENDAR, at(full, 15, 59)).slot == CLOSE - 1
    assert minute_at(CALENDAR, at(date(2026, 10, 30), 9, 31)).slot == minute_at(CALENDAR, at(date(2026, 11, 2), 9, 31)).slot == OPEN + 1
    assert minute_at(CALENDAR, at(date(2026, 11, 26), 12, 0)).slot >= CLOSED


def test_the_open_is_foreseen_before_a_single_order_of_it_has_come(five_days):
    """Ten minutes before, with the pre-open as usual."""
    live(five_days, date(2026, 11, 9), 0, 9 * 60 + 20)
    outlook = five_days.outlook(at(date(2026, 11, 9), 9, 20))
    assert outlook is not None
    assert outlook.p50[9] < 50
    assert outlook.p50[10] == pytest.approx(curve(OPEN), rel=0.15)
    assert outlook.p95[10] >= outlook.p50[10]


def test_a_busy_day_raises_what_is_still_to_come():
    """By the orders before the open, three times the usual."""
    model = taught(date(2026, 11, 2), 5)
    live(model, date(2026, 11, 9), 0, 9 * 60 + 20, scale=3.0)
    outlook = model.outlook(at(date(2026, 11, 9), 9, 20))
    assert outlook is not None
    assert outlook.p50[10] > 1.3 * curve(OPEN)


def test_trading_that_stops_raises_the_upper_quantile_and_lowers_nothing():
    """An outage says nothing of how much comes back."""
    model = taught(date(2026, 11, 2), 5)
    live(model, date(2026, 11, 9), 0, 11 * 60)
    before = model.outlook(at(date(2026, 11, 9), 11, 0))
    live(model, date(2026, 11, 9), 11 * 60, 11 * 60 + 5, scale=0.0)
    after = model.outlook(at(date(2026, 11, 9), 11, 5))
    assert before is not None and after is not None
    assert after.stopped and not before.stopped
    assert after.p50[3] >= 0.9 * before.p50[8]
    assert after.p95[3] >= 1.3 * before.p95[8]


@pytest.mark.parametrize("load", [math.nan, math.inf, -1.0, 1e12])
def test_rubbish_is_refused_with_a_sentence_and_changes_nothing(five_days, load):
    """Whatever the source."""
    last = five_days.last_minute
    with pytest.raises(BadLoad, match="is not between 0 and"):
        five_days.observe((last + 1) * MINUTE_NS, load)
    assert five_days.last_minute == last


def test_a_clock_that_goes_back_is_refused(five_days):
    """So is a minute that comes twice."""
    with pytest.raises(BadLoad, match="a clock went back, or it came twice"):
        five_days.observe(five_days.last_minute * MINUTE_NS, 1.0)


def test_days_on_which_nothing_was_measured_make_no_forecast():
    """Two days are too few, and days without trading are none."""
    assert taught(date(2026, 11, 2), 2).outlook(at(date(2026, 11, 4), 9, 0)) is None
    assert taught(date(2026, 11, 2), 5, scale=0.0).outlook(at(date(2026, 11, 9), 9, 0)) is None


def test_a_count_rises_in_one_jump_before_the_open_and_says_why():
    """From nine o'clock to the open there is one scale-up, and it is early enough."""
    model, plan = taught(date(2026, 11, 2), 5), RolePlan(ROLE, COSTS)
    day, counts = date(2026, 11, 9), []
    live(model, day, 0, 9 * 60)
    for minute in range(9 * 60, 9 * 60 + 31):
        now_ns = at(day, 0, 0) + minute * MINUTE_NS
        counts.append(plan.decide(now_ns / MINUTE_NS, {"orders": model.outlook(now_ns)}, {"orders": 10.0}))
        live(model, day, minute, minute + 1)
    wanted = [one.wanted for one in counts]
    assert wanted[0] == ROLE.floor
    assert sum(later > earlier for earlier, later in pairwise(wanted)) == 1
    assert wanted[27] >= curve(OPEN) / 1_000 / COSTS.limit_use
    assert "min" in counts[28].reason and "p95" in counts[28].reason and counts[28].confidence == "high"


def test_the_present_load_counts_where_the_forecast_is_too_low_or_missing():
    """A shock, and a role that has just been started."""
    plan = RolePlan(ROLE, COSTS)
    said = plan.decide(0.0, {"orders": None}, {"orders": 14_000.0})
    assert (said.wanted, said.forecast, said.confidence) == (20, -1, "none")
    assert "there is no forecast yet" in said.reason


def test_a_count_stays_between_floor_and_budget():
    """Whatever is measured."""
    plan = RolePlan(ROLE, COSTS)
    assert plan.decide(0.0, {"orders": None}, {"orders": 0.0}).wanted == ROLE.floor
    said = plan.decide(1.0, {"orders": None}, {"orders": 1e6})
    assert said.wanted == ROLE.budget and "its budget" in said.reason


def test_a_scale_down_waits():
    """HOLD_MIN after the last load that needed more."""
    plan = RolePlan(ROLE, COSTS)
    plan.decide(0.0, {"orders": None}, {"orders": 14_000.0})
    assert plan.decide(HOLD_MIN - 0.5, {"orders": None}, {"orders": 0.0}).wanted == 20
    assert plan.decide(HOLD_MIN + 0.5, {"orders": None}, {"orders": 0.0}).wanted == ROLE.floor


def test_every_constant_says_where_it_is_from():
    """A measured one names a command or a stored line."""
    for one in COSTS.constants.values():
        assert one.kind == "assumption" or "python tests/bench/" in one.source or "docs/benchmarks/" in one.source, one


GOOD = """
version = 1
[uses]
typical = 0.7
limit = 0.85
reactive = 0.75
ready_min = 2.0
[constants.a]
value = 1
unit = "us"
kind = "measured"
source = "a command"
[roles.edge]
cores = 1
floor = 1
budget = 2
per = { orders = "a" }
"""


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("version = 1", "version = 2", "version 2; this program reads version 1"),
        ("typical = 0.7", "typical = 7", r"uses.typical: 7 is not between 0.05 and 1"),
        ('kind = "measured"', 'kind = "guess"', "constants.a.kind: 'guess'"),
        ('source = "a command"', 'source = " "', "constants.a.source is empty"),
        ("floor = 1", "floor = 3", "floor 3 and budget 2"),
        ('orders = "a"', 'oders = "a"', "unknown load oders"),
        ('orders = "a"', 'orders = "b"', "there is no constant b"),
        ("cores = 1", "", "cores is missing"),
        ("value = 1", 'value = "1"', "value: '1' is of the wrong type"),
        ("value = 1", "value = nan", "constants.a.value: nan is not between"),
        ("[uses]", "[uses", "x.toml: "),
    ],
)
def test_a_bad_file_of_costs_is_refused_with_its_place(old, new, said):
    """And the good one is taken."""
    assert Costs.of(GOOD, "x.toml").roles["edge"].use({"orders": 1e6}) == 1.0
    with pytest.raises(BadCosts, match=said):
        Costs.of(GOOD.replace(old, new, 1), "x.toml")


def test_the_same_measurements_make_the_same_forecast():
    """A function of what was measured, and of nothing else."""
    one, other = (taught(date(2026, 11, 2), 4).outlook(at(date(2026, 11, 6), 9, 0)) for _ in range(2))
    assert one is not None and other is not None
    assert np.array_equal(one.p95, other.p95) and np.array_equal(one.p50, other.p50)
