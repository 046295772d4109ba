"""Alerts are episodes: one for what a party does again in an instrument, in numbered revisions, until it is quiet."""

from functools import partial
from typing import Any

import pytest
from support.records.watch_tape import BUY, INSTRUMENTS, SECOND, START, Tape

from surveillance import EpisodeRules, Owners, Place, TradingWatch
from surveillance.detectors.wash_trade import WashTradeDetector, WashTradeParameters

A, B = 7, 8
WASH = (partial(WashTradeDetector, parameters=WashTradeParameters(together_min=1)),)


def washes(*times: float, account: int = A) -> Tape:
    """A wash trade at each time."""
    tape = Tape()
    for at in times:
        tape.meet(at, account, account, BUY, 100, 5)
    return tape


def revisions(tape: Tape, rules: EpisodeRules | None = None) -> list[tuple[int, str, int, float]]:
    """(revision, status, occurrences, seconds since the beginning) of all records."""
    found = TradingWatch(INSTRUMENTS, WASH, rules=rules).apply(tape.array(), Place(first_seq=1))
    return [(one["revision"], one["status"], one["occurrences"], (one["revised_at"] - START) / SECOND) for one in found]


def test_a_finding_is_written_at_once_and_what_follows_soon_in_one_revision() -> None:
    """Ten findings within nine seconds are two records; the second comes when ten seconds are over."""
    tape = washes(*(float(n) for n in range(10)))
    tape.time(15.0)
    assert revisions(tape) == [(1, "OPEN", 1, 0.0), (2, "OPEN", 10, 15.0)]


def test_an_episode_is_closed_when_it_was_quiet_and_the_next_is_another_alert() -> None:
    """After ten minutes; a finding a moment before keeps it open."""
    tape = washes(0.0, 599.0)
    tape.time(1_198.0)
    tape.time(1_199.0)
    tape.meet(1_300.0, A, A, BUY, 100, 5)
    assert revisions(tape) == [(1, "OPEN", 1, 0.0), (2, "OPEN", 2, 599.0), (3, "CLOSED", 2, 1_199.0), (1, "OPEN", 1, 1_300.0)]
    assert len({one["alert_id"] for one in tape.revisions(*WASH)}) == 2


def test_parties_and_instruments_have_episodes_of_their_own() -> None:
    """Two accounts of one owner are one party."""
    tape = washes(0.0)
    tape.meet(1.0, B, B, BUY, 100, 5)
    assert len(tape.alerts(*WASH)) == 2
    linked = Owners.of_toml(f"[[owner_set]]\neffective_from = 1\ngroups = [[{A}, {B}]]\n")
    (alert,) = [one for one in tape.revisions(*WASH, owners=linked) if one["revision"] == 1]
    assert (alert["accounts"], alert["account"], len(alert["reference_digest"])) == ([A, B], A, 32)


def test_the_score_grows_with_repetition_up_to_a_bound() -> None:
    """And severity with it."""
    tape = washes(*(11.0 * n for n in range(12)))
    scores = [one["score"] for one in tape.revisions(*WASH)]
    assert scores[:3] == [0.65, pytest.approx(0.675), pytest.approx(0.7)]
    assert scores[-1] == pytest.approx(0.85)
    assert [one["severity"] for one in tape.revisions(*WASH)][:: len(scores) - 1] == ["MEDIUM", "HIGH"]


def test_evidence_is_bounded_and_what_is_left_out_is_counted() -> None:
    """The first orders stay."""
    tape = washes(*(11.0 * n for n in range(6)))
    found = TradingWatch(INSTRUMENTS, WASH, rules=EpisodeRules(evidence_max=3)).apply(tape.array(), Place(first_seq=1))
    assert [(len(one["evidence"]), one["evidence_total"]) for one in found] == [(2, 2), (3, 4), (3, 6), (3, 8), (3, 10), (3, 12)]


def test_the_number_of_open_episodes_is_bounded_by_closing_the_quietest() -> None:
    """With room for two, the third party closes the first's."""
    tape = Tape()
    for n in range(3):
        tape.meet(float(n), 10 + n, 10 + n, BUY, 100, 5)
    found = TradingWatch(INSTRUMENTS, WASH, rules=EpisodeRules(episodes_max=2)).apply(tape.array(), Place(first_seq=1))
    assert [(one["account"], one["status"]) for one in found] == [(10, "OPEN"), (11, "OPEN"), (10, "CLOSED"), (12, "OPEN")]


def test_an_id_is_of_detector_and_parameters_and_the_key_of_the_episode_is_not() -> None:
    """A case hangs on the key, so that a new version does not open it again."""

    def ids(**parameters: int) -> tuple[str, str]:
        makers: tuple[Any, ...] = (
            lambda tracker, market: WashTradeDetector(tracker, market, WashTradeParameters(together_min=1, **parameters)),
        )
        (alert,) = TradingWatch(INSTRUMENTS, makers).apply(washes(0.0).array(), Place(first_seq=1))
        assert alert["config_digest"] == TradingWatch(INSTRUMENTS, makers).configuration.hex()
        return alert["alert_id"], alert["episode_key"]

    (first, key), (again, same), (other, still) = ids(), ids(repeated_min=5), ids(repeated_min=6)
    assert first == again != other
    assert key == same == still
