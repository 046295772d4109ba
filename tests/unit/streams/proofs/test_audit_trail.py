"""`outcry audit trail`: what operators prune and hold is in the log before it is done, and the log alone says what holds."""

from dataclasses import asdict
from datetime import date, timedelta

import pytest
from support.memory_log import MemoryLog

from access.events import AccessEvent, Act
from schemas.codec import encode_record
from schemas.errors import OutcryError, StaleData
from schemas.settings import Settings
from sinks.elastic.retention import Hold, Lift, Prune, act_text
from streams.proofs.audit_trail import act_on, recorded_acts, retention_of
from topics.catalogue import ACCESS_EVENTS

TODAY = date(2026, 11, 30)
FIRST, LAST = date(2021, 3, 1), date(2021, 3, 31)
HOLD = Hold("case-7", FIRST, LAST, "inquiry 7")
SETTINGS = Settings(trail_days=365)


class Acts(MemoryLog):
    """With a way to record acts, as the command does it."""

    def record(self, _: Settings, what: str, act: Act = Act.ACTED) -> int:
        event = AccessEvent(1_700_000_000_000_000_000, act, "", "ann@host", what)
        return self.append(ACCESS_EVENTS.name, 0, encode_record("access_event", asdict(event)))

    def act(self, act):
        return act_on(SETTINGS, self, act, TODAY, self.record)


@pytest.fixture
def log():
    """With records that are no acts of operators on the trail."""
    made = Acts()
    made.record(SETTINGS, "POST /surveillance/cases/7/close")
    made.append(ACCESS_EVENTS.name, 0, b"no record")
    return made


def test_a_hold_prevents_pruning_until_it_is_lifted(log):
    """Days before and behind it go."""
    log.act(HOLD)
    after = log.act(Prune(date(2022, 1, 1)))
    assert [after.may_go(day) for day in (FIRST - timedelta(days=1), FIRST, LAST, LAST + timedelta(days=1))] == [True, False, False, True]
    assert not after.may_go(date(2022, 1, 1))
    assert after.pruned_by(FIRST) is None, "a missing document of a held day is missing, not pruned"
    assert log.act(Lift("case-7", "closed")).pruned_by(FIRST) is None, "what was not pruned then is not pruned now"
    again = log.act(Prune(date(2022, 1, 1)))
    assert again.may_go(FIRST)
    assert again.pruned_by(FIRST).offset == log.bounds(ACCESS_EVENTS.name, 0).high - 1


def test_a_hold_that_comes_after_a_prune_keeps_what_is_still_there(log):
    """The day stays one that was pruned: nobody can say that its documents must be there."""
    log.act(Prune(date(2022, 1, 1)))
    after = log.act(HOLD)
    assert after.pruned_by(FIRST) is not None
    assert not after.may_go(FIRST)


@pytest.mark.parametrize(
    ("act", "why"),
    [
        (Prune(date(2025, 12, 1)), "days before 2025-11-30 may be pruned, not those before 2025-12-01: OUTCRY_TRAIL_DAYS says how long"),
        (Hold("case-7", FIRST, LAST, "again"), "there is a hold case-7 already"),
        (Hold("b", LAST, FIRST, "x"), "a hold from 2021-03-31 to 2021-03-01 ends before it begins"),
        (Hold("Case 7", FIRST, LAST, "x"), "'Case 7' is no name of a hold"),
        (Hold("b", FIRST, LAST, " "), "a reason is one line"),
        (Hold("b", FIRST, LAST, "x\ny"), "a reason is one line"),
        (Hold("b", FIRST, LAST, "x" * 501), "a reason is one line"),
        (Lift("case-8", "x"), "there is no hold 'case-8'; there are: case-7"),
        (Lift("case-7", ""), "a reason is one line"),
    ],
)
def test_an_act_that_cannot_be_done_is_not_recorded(log, act, why):
    """And says why."""
    log.act(HOLD)
    before = len(log.parts[ACCESS_EVENTS.name, 0])
    with pytest.raises(OutcryError, match="nothing was done: ") as refused:
        log.act(act)
    assert why in str(refused.value)
    assert len(log.parts[ACCESS_EVENTS.name, 0]) == before


def test_the_newest_day_that_may_go_is_exactly_the_one_that_is_old_enough(log):
    """365 days before today is the first that stays."""
    after = log.act(Prune(date(2025, 11, 30)))
    assert (after.may_go(date(2025, 11, 29)), after.may_go(date(2025, 11, 30))) == (True, False)


def test_who_is_slower_with_the_same_name_is_told(log):
    """The log decides: a hold that somebody else has just placed is not changed."""

    def slower(settings: Settings, what: str) -> int:
        log.record(settings, act_text(Hold("case-7", FIRST, FIRST, "quicker")))
        return log.record(settings, what)

    with pytest.raises(OutcryError, match="somebody else has just placed or lifted a hold case-7"):
        act_on(SETTINGS, log, HOLD, TODAY, slower)
    assert retention_of(log).holds["case-7"].act.reason == "quicker"


@pytest.mark.parametrize(
    "text", ["audit trail: burn {}", "audit trail: hold {", 'audit trail: prune {"before": "yesterday"}', 'audit trail: prune {"after": "2022-01-01"}',
             'audit trail: lift {"name": 7, "reason": ""}', "audit trail: lift 7"],
)  # fmt: skip
def test_an_act_that_cannot_be_read_stops_whoever_asks(log, text):
    """It may be a hold."""
    log.record(SETTINGS, text)
    with pytest.raises(StaleData, match=r"access.events/0 offset 2: .*It may be a hold"):
        retention_of(log)


def test_only_acts_of_operators_count(log):
    """What the same text says in another event is no act; who recorded one, and when, is known."""
    log.record(SETTINGS, act_text(HOLD), Act.FORBIDDEN)
    assert list(recorded_acts(log)) == []
    log.act(HOLD)
    (one,) = recorded_acts(log)
    assert (one.act, one.by, one.at_ns, one.offset) == (HOLD, "ann@host", 1_700_000_000_000_000_000, 3)


def test_a_log_that_has_lost_its_beginning_is_not_believed(log):
    """A hold may have been in it."""
    log.low[ACCESS_EVENTS.name, 0] = 1
    with pytest.raises(StaleData, match="begins at offset 1"):
        retention_of(log)
