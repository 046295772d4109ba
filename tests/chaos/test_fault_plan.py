"""A run's plan: the same for a seed, every kind in it, everybody's turn before anybody's second."""

from collections import Counter

import pytest
import test_chaos
from chaos_session import Outcome, Record
from fault_plan import DECK, EDGE, STORES, WEIGHTS, Cast, Kind, plan
from run_chaos import cast_of, figures

CAST = Cast(("hold-funds", "match-orders", "persist-mysql"), ("kafka", "kafka-2", "kafka-3"), ("hold-funds", "kafka-3"))


def test_a_seed_is_a_plan():
    """So a run can be repeated in kind."""
    assert plan(7, 50, CAST) == plan(7, 50, CAST)
    assert plan(7, 50, CAST) != plan(8, 50, CAST)


@pytest.mark.parametrize("seed", range(20))
def test_a_deck_has_every_kind_as_often_as_its_weight_says(seed):
    """No luck is needed to see a rare kind."""
    assert Counter(fault.kind for fault in plan(seed, DECK, CAST)) == WEIGHTS


def test_the_victims_of_a_kind_take_turns():
    """All before any comes a second time; full disks only where there is a small one."""
    killed = [fault.victims for fault in plan(3, 9, CAST, [Kind.KILL_BROKER])]
    assert all(len(set(killed[turn : turn + 3])) == 3 for turn in (0, 3, 6))
    assert {fault.victims for fault in plan(3, 9, CAST, [Kind.FULL_DISK_ROLE])} == {("hold-funds",)}
    assert {fault.victims for fault in plan(3, 9, CAST, [Kind.FULL_DISK_BROKER])} == {("kafka-3",)}


def test_everybody_of_the_set_that_is_started_is_in_the_cast():
    """A new role is broken too, without a word here; the edge has kinds of its own."""
    cast = cast_of(3)
    assert {"hold-funds", "hold-funds-2", "match-orders", "match-orders-b", "persist-redis", "watch-trading"} <= set(cast.workers)
    assert "edge" not in cast.workers and cast.brokers == ("kafka", "kafka-2", "kafka-3")
    assert set(cast.small_disks) <= {*cast.workers, *cast.brokers}


def test_what_was_skipped_is_not_counted_as_done():
    """Nor does it have a time."""
    fault = plan(1, 1, CAST, [Kind.NETWORK_CUT])[0]
    row = figures(
        Kind.NETWORK_CUT,
        [Record(fault, Outcome.SKIPPED, reason="no tc"), Record(fault, Outcome.DONE, 2.0), Record(fault, Outcome.DONE, 4.0)],
    )
    assert (row["done"], row["skipped"], row["recovery_s_p50"], row["recovery_s_max"]) == (2, 1, 3.0, 4.0)


def test_the_short_run_of_the_tests_has_each_of_its_kinds():
    """A new kind or role changes what a seed gives."""
    faults = plan(test_chaos.SEED, test_chaos.FAULTS, cast_of(3), [Kind(kind) for kind in test_chaos.KINDS])
    assert {str(fault.kind) for fault in faults} == set(test_chaos.KINDS)


def test_what_is_frozen_may_be_any_child():
    """Roles, the edge, stores and brokers."""
    frozen = [Kind.FROZEN_ROLE, Kind.FROZEN_STORE, Kind.FROZEN_BROKER]
    victims = {fault.victims[0] for kind in frozen for fault in plan(1, 12, CAST, [kind])}
    assert victims == {*CAST.workers, *CAST.brokers, EDGE, *STORES}
