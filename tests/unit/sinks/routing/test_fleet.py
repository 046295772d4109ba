"""Where reads go: a hundred simulated servers, a clock that only moves when it is told to."""

import random
from collections import Counter

import pytest

from sinks.mysql.places import Place
from sinks.mysql.routing import limits
from sinks.mysql.routing.fleet import Fleet
from sinks.mysql.servers import ServerAddress

SHARD = 0


class Clock:
    """Seconds that pass when somebody says so."""

    def __init__(self) -> None:
        self.now_s = 1_000.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def clock() -> Clock:
    """A clock of the test's own."""
    return Clock()


def fleet_of(clock: Clock, replicas: int, zone: str = "", zones: tuple[str, ...] = ("",), seed: int = 7) -> Fleet:
    """A primary and replicas that all have event 100, at position 1,000."""
    fleet = Fleet(clock, random.Random(seed), zone)
    fleet.update("p", [ServerAddress(f"r{number}", "mysql://x/y", zones[number % len(zones)]) for number in range(replicas)])
    for name in ("p", *fleet.replicas):
        fleet.seen(name, 1_000, "0-1-1000", {SHARD: 100})
    return fleet


def serve(fleet: Fleet, clock: Clock, seconds: dict[str, float], reads: int, gap_s: float = 0.0005) -> Counter[str]:
    """Reads that come every gap_s, each of which its server answers after its own time."""
    counts: Counter[str] = Counter()
    ends: list[tuple[float, str, float]] = []
    for _ in range(reads):
        clock.now_s += gap_s
        due = clock.now_s
        for end_s, name, began_s in [one for one in sorted(ends) if one[0] <= due]:
            ends.remove((end_s, name, began_s))
            clock.now_s = end_s
            fleet.ended(name, began_s)
        clock.now_s = due
        name = fleet.pick(None)
        assert name is not None
        counts[name] += 1
        began_s = fleet.began(name)
        ends.append((began_s + seconds[name], name, began_s))
    return counts


def test_a_hundred_equal_servers_get_equal_shares_whether_idle_or_busy(clock: Clock) -> None:
    """Always taking the better of two would give a ratio of 2 where nothing is queued. With 100 reads a server 1.3 is chance alone."""
    for gap_s in (0.01, 0.00008):
        fleet = fleet_of(clock, 100)
        draw = random.Random(3)
        times = {name: 0.004 * draw.uniform(0.9, 1.1) for name in fleet.replicas}
        counts = serve(fleet, clock, times, 10_000, gap_s)
        assert len(counts) == 100
        assert max(counts.values()) / (10_000 / 100) <= 1.4, f"gap {gap_s}: {counts.most_common(3)}"


def test_a_slow_server_gets_less_than_a_twentieth(clock: Clock) -> None:
    """Pgcat 282: least outstanding becomes random where all are idle."""
    fleet = fleet_of(clock, 8)
    times = {name: 0.2 if name == "r3" else 0.004 for name in fleet.replicas}
    counts = serve(fleet, clock, times, 10_000, 0.002)
    assert counts["r3"] < 500
    assert counts["r3"] > 0, "a server that nobody asks is tried again"


def test_a_place_goes_only_to_servers_that_have_it(clock: Clock) -> None:
    """Whatever else is known of a server, it is read only behind the place."""
    fleet = fleet_of(clock, 100)
    fleet.seen("r7", 1_005, "0-1-1005", {SHARD: 120})
    fleet.seen("r8", 1_004, "0-1-1004", {SHARD: 119})
    assert {fleet.pick(Place(SHARD, 120)) for _ in range(50)} == {"r7"}
    assert {fleet.pick(Place(SHARD, 119)) for _ in range(50)} == {"r7", "r8"}
    assert fleet.pick(Place(SHARD, 121)) is None
    assert fleet.pick(Place(1, 0)) is None, "nothing is known of this shard"
    assert fleet.best() == "r7", "the one to wait on"


@pytest.mark.parametrize(("late_s", "goes"), [((2, 40, 400), {"r0"}), ((0.5, 0.9, 40), {"r0", "r1"}), ((31, 40, 400), {None})])
def test_reads_without_a_place_go_by_tiers(clock: Clock, late_s: tuple[float, ...], goes: set[str | None]) -> None:
    """ProxySQL 1849: one limit is too few."""
    fleet = fleet_of(clock, 3)
    behind = sorted(enumerate(late_s), key=lambda one: -one[1])
    start_s = clock.now_s
    for step, (number, seconds) in enumerate(behind):
        clock.now_s = start_s + 500 - seconds
        fleet.seen("p", 1_001 + step, f"0-1-{1_001 + step}", {SHARD: 101 + step})
        fleet.seen(f"r{number}", 1_000 + step, "", {SHARD: 100 + step})
    clock.now_s = start_s + 500
    assert {fleet.pick(None) for _ in range(60)} == goes


def test_a_replica_whose_threads_stand_still_grows_late_by_what_it_lacks(clock: Clock) -> None:
    """ProxySQL 669: stopped replication shows no lag. An idle primary makes nobody late."""
    fleet = fleet_of(clock, 2)
    clock.now_s += 3_600
    assert fleet.lag_s(fleet.replicas["r0"]) == 0
    fleet.seen("p", 1_001, "0-1-1001", {SHARD: 101})
    fleet.seen("r1", 1_001, "0-1-1001", {SHARD: 101})
    clock.now_s += 1.5
    assert fleet.lag_s(fleet.replicas["r0"]) == pytest.approx(1.5)
    assert {fleet.pick(None) for _ in range(20)} == {"r1"}


def test_a_server_that_does_not_tell_its_position_is_out_at_once(clock: Clock) -> None:
    """ProxySQL 1469: a check that times out leaves the server in use."""
    fleet = fleet_of(clock, 3)
    fleet.silent("r1")
    assert "r1" not in {fleet.pick(None) for _ in range(60)}
    assert "r1" not in {fleet.pick(Place(SHARD, 1)) for _ in range(60)}
    assert fleet.lag_s(fleet.replicas["r1"]) == float("inf")
    fleet.seen("r1", 1_000, "0-1-1000", {SHARD: 100})
    assert "r1" in {fleet.pick(None) for _ in range(60)}


def test_ejection_doubles_ends_by_itself_and_spares_most_servers(clock: Clock) -> None:
    """2, 4, ... s, and never more than 30 % of the servers."""
    fleet = fleet_of(clock, 10)
    for number in range(5):
        fleet.broke(f"r{number}")
    out = {name for name, one in fleet.replicas.items() if fleet.is_ejected(one)}
    assert out == {"r0", "r1", "r2"}, "at most 30 % at once"
    assert not out & {fleet.pick(None) for _ in range(200)}
    clock.now_s += 2.1
    assert not any(fleet.is_ejected(one) for one in fleet.replicas.values())
    fleet.broke("r0")
    clock.now_s += 2.1
    assert fleet.is_ejected(fleet.replicas["r0"]), "the second time it is 4 s"
    clock.now_s += 2
    assert not fleet.is_ejected(fleet.replicas["r0"])
    fleet.ended("r0", fleet.began("r0"))
    fleet.broke("r0")
    clock.now_s += 2.1
    assert not fleet.is_ejected(fleet.replicas["r0"]), "after a success it begins again with 2 s"


def test_a_server_that_lied_is_taken_at_its_true_place_and_left_out(clock: Clock) -> None:
    """A read proves the place; what it finds counts."""
    fleet = fleet_of(clock, 4)
    fleet.seen("r2", 9_999, "0-1-9999", {SHARD: 5_000})
    assert fleet.pick(Place(SHARD, 4_000)) == "r2"
    fleet.lied("r2", {SHARD: 90})
    assert fleet.pick(Place(SHARD, 4_000)) is None
    assert fleet.pick(Place(SHARD, 100)) in {"r0", "r1", "r3"}
    assert fleet.is_ejected(fleet.replicas["r2"])


def test_the_primary_gets_a_tenth_however_many_replicas_are_missing(clock: Clock) -> None:
    """Else a stall of replication would end the primary too."""
    fleet = fleet_of(clock, 4)
    on_primary = 0
    for _ in range(10_000):
        fleet.count_read()
        on_primary += fleet.may_read_primary()
    assert 1_000 <= on_primary <= 1_000 + limits.PRIMARY_BURST


def test_second_tries_stay_below_a_twentieth(clock: Clock) -> None:
    """Hedged reads cost something; so they have a share."""
    fleet = fleet_of(clock, 4)
    hedges = 0
    for _ in range(10_000):
        fleet.count_read()
        hedges += fleet.take_hedge()
    assert hedges <= 500 + limits.HEDGE_BURST
    assert fleet.hedge_after_s() is None, "with nothing measured there is no p95"
    for _ in range(200):
        fleet.ended("r0", fleet.began("r0") - 0.01)
    assert fleet.hedge_after_s() == pytest.approx(0.01)


def test_a_server_that_drains_or_gets_a_new_copy_is_not_read_and_a_new_one_is(clock: Clock) -> None:
    """Makara 227: persistent pools never reach a new replica."""
    fleet = fleet_of(clock, 2)
    drains, copies = ServerAddress("r0", "mysql://x/y", draining=True), ServerAddress("bad", "mysql://x/y", rebuild="it has diverged")
    fleet.update("p", [drains, copies, ServerAddress("r1", "mysql://x/y"), ServerAddress("new", "mysql://x/y")])
    fleet.seen("bad", 1_000, "0-1-1000", {SHARD: 100})
    assert {fleet.pick(None) for _ in range(60)} == {"r1"}, "the new one has not told its position yet"
    fleet.seen("new", 1_000, "0-1-1000", {SHARD: 100})
    assert {fleet.pick(None) for _ in range(60)} == {"r1", "new"}


def test_near_servers_are_read_and_others_when_none_is_good(clock: Clock) -> None:
    """Zones are a wish, not a condition."""
    fleet = fleet_of(clock, 10, zone="b", zones=("a", "b"))
    assert {fleet.pick(None) for _ in range(100)} == {f"r{number}" for number in range(1, 10, 2)}
    for number in range(1, 10, 2):
        fleet.silent(f"r{number}")
    assert {fleet.pick(None) for _ in range(100)} == {f"r{number}" for number in range(0, 10, 2)}


def test_a_promoted_replica_is_the_primary_and_none_of_the_replicas(clock: Clock) -> None:
    """By the list, not by what servers say."""
    fleet = fleet_of(clock, 3)
    fleet.update("r1", [ServerAddress(name, "mysql://x/y") for name in ("p", "r0", "r2")])
    assert fleet.primary.name == "r1"
    assert "r1" not in {fleet.pick(None) for _ in range(60)}
    fleet.update("", [ServerAddress(name, "mysql://x/y") for name in ("p", "r0", "r2")])
    assert not fleet.may_read_primary(), "nobody is while a promotion is under way"
    assert fleet.pick(None) is not None, "replicas are read all the same"
