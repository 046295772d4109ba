"""How often snapshots come: as asked for, until they cost more than their share."""

from hypothesis import given
from hypothesis import strategies as st

from streams.host.snapshot_pace import HASH_SHARE, HELD_APART_S, HELD_SHARE, WRITE_SHARE, SnapshotPace

COSTS = st.floats(0.0001, 60)


def test_a_cheap_snapshot_comes_every_interval():
    """Of a shard with thousands of orders."""
    pace = SnapshotPace(interval_s=1.0, due=1.0, hashed_at=0.0)
    pace.taken(1.0, 0.001)
    pace.written(1.02, 0.02)
    assert pace.due == 2.0


@given(held_s=st.floats(0.0001, HELD_APART_S * HELD_SHARE), write_s=COSTS)
def test_inputs_and_processor_keep_the_rest_of_the_time(held_s, write_s):
    """While a snapshot costs no more than its share of the longest time between two."""
    pace = SnapshotPace(interval_s=1.0, due=0.0, hashed_at=0.0)
    pace.taken(100.0, held_s)
    pace.written(100.0 + write_s, write_s)
    cycle_s = pace.due - 100.0
    assert held_s <= HELD_SHARE * cycle_s * 1.001
    assert write_s <= WRITE_SHARE * cycle_s * 1.001


@given(held_s=COSTS, write_s=COSTS)
def test_the_time_between_snapshots_has_a_bound(held_s, write_s):
    """Whatever they cost, and so what is replayed after a crash."""
    pace = SnapshotPace(interval_s=1.0, due=0.0, hashed_at=0.0)
    pace.taken(100.0, held_s)
    pace.written(100.0 + write_s, write_s)
    assert pace.due - 100.0 <= max(HELD_APART_S, write_s / WRITE_SHARE) * 1.001


@given(cost_s=COSTS, size=st.integers(0, 1 << 32), growth=st.integers(1, 1_000))
def test_a_state_is_hashed_again_when_what_it_will_take_is_a_small_share_of_the_time(cost_s, size, growth):
    """What it will take, not what it took: the state may have grown meanwhile."""
    pace = SnapshotPace(interval_s=1.0, due=0.0, hashed_at=0.0)
    pace.hashed(100.0, cost_s, size)
    wait_s = cost_s / HASH_SHARE
    assert not pace.hash_is_due(100.0 + 0.9 * wait_s, size)
    assert pace.hash_is_due(100.0 + 1.1 * wait_s, size)
    grown = max(size, 1 << 20) * growth
    assert not pace.hash_is_due(100.0 + 0.9 * wait_s * growth, grown)
    assert pace.hash_is_due(100.0 + 1.1 * wait_s * growth, grown)


def test_the_first_snapshot_of_a_small_shard_has_a_hash():
    """It may be the only one. A large one, of which nobody knows yet what its hash takes, trades first."""
    pace = SnapshotPace(interval_s=1.0, due=1.0, hashed_at=0.0)
    assert pace.hash_is_due(1.0, 100_000)
    assert not pace.hash_is_due(60.0, 1 << 30)
