"""Days with surprises and the fleet that is late: the fixture is what it says, and the policies are measured by it."""

from dataclasses import replace

import numpy as np
import pytest

from forecast.costs import Costs
from schemas.market_hours import MarketCalendar
from streams.research.scaling.days import PEAK, SURPRISES, TICK_S, TICKS, days
from streams.research.scaling.evaluate import Plan, report, summary
from streams.research.scaling.fleet import Fleet, run
from streams.research.scaling.policies import FLOOR, READY_S, Oracle, Reactive, need

CALENDAR = MarketCalendar.load()


def test_a_seed_makes_the_same_days_and_they_have_what_they_should():
    """Sixty of them: every surprise, half days, both sides of the end of daylight saving time."""
    one, other = (list(days(60, 1, CALENDAR, calm=20)) for _ in range(2))
    assert all(np.array_equal(a.loads, b.loads) for a, b in zip(one, other, strict=True))
    assert {day.surprise for day in one[20:]} == set(SURPRISES)
    assert {day.surprise for day in one[:20]} == {"none"}
    assert any(day.half for day in one)
    assert {(day.first_ns // 3_600_000_000_000) % 24 for day in one} == {4, 5}  # midnight in New York, UTC


def test_processes_serve_only_once_they_are_ready():
    """A wish at one tick is there READY_S later."""
    (day,) = days(1, 1, CALENDAR)
    flat = replace(day, loads=np.full(TICKS, 1.0))
    fleet = Fleet(lambda now: 40 if now.tick >= 100 else FLOOR, "step")
    counts = fleet.run(flat).counts
    first = next(tick for tick, count in enumerate(counts) if count > FLOOR)
    assert first == 100 + READY_S // TICK_S


def test_time_short_is_the_time_in_which_too_few_run():
    """Ten minutes of a load that four processes do not take."""
    (day,) = days(1, 1, CALENDAR)
    loads = np.full(TICKS, 1.0)
    loads[1_000:1_040] = PEAK
    outcome = Fleet(lambda now: FLOOR, "floor").run(replace(day, loads=loads))
    assert outcome.minutes_short == pytest.approx(10)
    assert 0 < outcome.over < 1 and need(PEAK) > FLOOR


def test_the_oracle_is_never_short_behind_its_first_minutes_and_the_reactive_one_is():
    """So the figure can tell them apart."""
    world = list(days(2, 3, CALENDAR, calm=1))
    oracle, reactive = run(Oracle(), "oracle", world, 1), run(Reactive(), "reactive HPA", world, 1)
    assert sum(one.minutes_short for one in oracle) == 0
    assert sum(one.minutes_short for one in reactive) > 1
    rows = summary({"reactive HPA": reactive, "oracle": oracle})
    best = next(row for row in rows if row["policy"] == "oracle" and row["days_kind"] == "all")
    assert best["less_short_percent"] == 100.0
    assert "no evidence about markets" in report(rows, Plan(1))


def test_every_role_with_a_count_is_one_that_may_be_scaled():
    """Shards are moved, never counted by load."""
    assert not set(Costs.load().roles) & {"hold-funds", "match-orders", "publish-market-data"}
