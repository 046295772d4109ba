"""How often snapshots come: as asked for, until they cost more than their share."""

from hypothesis import given
from hypothesis import strategies as st

from streams.snapshot_pace import HASH_SHARE, HELD_APART_S, HELD_SHARE, WRITE_SHARE, SnapshotPace

COSTS = st.floats(0.0001, 60)


def test_a_cheap_snapshot_comes_every_interval():
    """Of a shard with thousands of orders."""
    pace = SnapshotPace(interval_s=1.0, due=1.0)
    pace.taken(1.0, 0.001)
    pace.written(1.02, 0.02)
    assert pace.due == 2.0


@given(held_s=st.floats(0.0001, HELD_APART_S * HELD_SHARE), write_s=COSTS)
def test_inputs_and_processor_keep_the_rest_of_the_time(held_s, write_s):
    """While a snapshot costs no more than its share of the longest time between two."""
    pace = SnapshotPace(interval_s=1.0, due=0.0)
    pace.taken(100.0, held_s)
    pace.written(100.0 + write_s, write_s)
    cycle_s = pace.due - 100.0
    assert held_s <= HELD_SHARE * cycle_s * 1.001
    assert write_s <= WRITE_SHARE * cycle_s * 1.001


@given(held_s=COSTS, write_s=COSTS)
def test_the_time_between_snapshots_has_a_bound(held_s, write_s):
    """Whatever they cost, and so what is replayed after a crash."""
    pace = SnapshotPace(interval_s=1.0, due=0.0)
    pace.taken(100.0, held_s)
    pace.written(100.0 + write_s, write_s)
    assert pace.due - 100.0 <= max(HELD_APART_S, write_s / WRITE_SHARE) * 1.001


@given(cost_s=COSTS)
def test_the_next_hash_waits_until_the_last_one_was_cheap(cost_s):
    """The first snapshot has one in any case."""
    pace = SnapshotPace(interval_s=1.0, due=0.0)
    assert pace.hash_due < 0
    pace.hashed(100.0, cost_s)
    assert cost_s <= HASH_SHARE * (pace.hash_due - 100.0) * 1.001
