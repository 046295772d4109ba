"""The router's decisions: which server a read goes to. No input or output; the clock and the random numbers are the caller's.

Rules
* A read that has seen a place of the log goes to a server that has it. Without one: to a replica that is at most a second late, else 30 s.
* Of two replicas drawn at random, the one with fewer reads under way and less latency is the likelier one: by the inverse of (in flight + 1) x latency.
  Always taking the better one would give the best of n servers 2/n of the reads where nothing is queued: max/mean 2.
* A server that fails is left out for 2^n s, at most 30 % of the servers at once. Reads that run there end by themselves.
* A server that does not tell its position is out until it does.
* The primary gets a tenth of all reads at most; beyond that readers are told to come again.
"""

import random
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Final

from sinks.mysql.places import Place
from sinks.mysql.routing import limits
from sinks.mysql.routing.measures import Latency, Recent, Share, Trail
from sinks.mysql.servers import ServerAddress

NEVER: Final = float("-inf")


@dataclass(slots=True)
class ServerState:
    """What is known of one server."""

    name: str
    zone: str = ""
    draining: bool = False
    answers: bool = False
    position: int = 0
    marks: Mapping[int, int] = field(default_factory=dict)
    """By account shard, the seq of the last event that it has."""
    in_flight: int = 0
    latency: Latency = field(default_factory=Latency)
    failures: int = 0
    """One after the other."""
    ejected_until_s: float = NEVER
    reads: int = 0
    ejections: int = 0

    def has(self, place: Place) -> bool:
        """Whether it is known to have it."""
        return self.marks.get(place.shard, -1) >= place.seq


class Fleet:
    """The primary and the replicas that this process uses."""

    def __init__(self, now_s: Callable[[], float], draw: random.Random, zone: str = "") -> None:
        """now_s: a monotonic clock. zone: where this process stands."""
        self._now_s, self._draw, self._zone = now_s, draw, zone
        self.primary = ServerState("")
        self.replicas: dict[str, ServerState] = {}
        self.trail = Trail()
        self.recent = Recent()
        self._on_primary = Share(limits.PRIMARY_SHARE, limits.PRIMARY_BURST)
        self._hedges = Share(limits.HEDGE_SHARE, limits.HEDGE_BURST)

    def update(self, primary: str, replicas: Collection[ServerAddress]) -> None:
        """These are the servers now; what was measured of those that stay is kept."""
        known = {**self.replicas, self.primary.name: self.primary}
        if primary != self.primary.name:
            self.trail = Trail()  # the new one may not have everything that the former one had
        self.primary = known.get(primary) or ServerState(primary)
        self.replicas = {}
        for address in replicas:
            state = known.get(address.name) or ServerState(address.name)
            state.zone, state.draining = address.zone, address.draining or bool(address.rebuild)
            self.replicas[address.name] = state

    # -- what servers say

    def seen(self, name: str, position: int, gtid: str, marks: Mapping[int, int]) -> None:
        """A server has told its position."""
        state = self._named(name)
        if state is None:
            return
        state.answers, state.position, state.marks = True, position, marks
        if state is self.primary:
            self.trail.add(position, gtid, self._now_s())

    def silent(self, name: str) -> None:
        """A server has not told its position in time."""
        state = self._named(name)
        if state is not None:
            state.answers, state.marks = False, {}

    def lied(self, name: str, marks: Mapping[int, int]) -> None:
        """A read has found a server not to be where it had said."""
        state = self._named(name)
        if state is not None:
            state.marks = marks
            self.failed(name)

    # -- where a read goes

    def count_read(self) -> None:
        """One more read, of which the primary and second tries have their shares."""
        self._on_primary.count()
        self._hedges.count()

    def pick(self, place: Place | None, without: Collection[str] = ()) -> str | None:
        """A replica for a read; None if there is none that is good for it."""
        ready = [one for one in self._usable() if one.name not in without]
        found = [one for one in ready if one.has(place)] if place is not None else self._in_time(ready)
        return self._likely(self._near(found))

    def best(self) -> str | None:
        """The replica that is furthest, to wait on."""
        usable = self._usable()
        return max(usable, key=lambda one: (one.position, -one.in_flight)).name if usable else None

    def may_read_primary(self) -> bool:
        """Whether the primary has room in its share for one more read, which is then taken."""
        return bool(self.primary.name) and self._on_primary.take()

    def hedge_after_s(self) -> float | None:
        """After how long a read may be tried on a second server; None: not now. Whoever then does takes it with take_hedge."""
        return self.recent.p95_s(self._now_s())

    def take_hedge(self) -> bool:
        """Whether a second try is within its share."""
        return self._hedges.take()

    # -- what became of it

    def began(self, name: str) -> float:
        """A read begins on the server; returns the time."""
        state = self._named(name)
        if state is not None:
            state.in_flight += 1
            state.reads += 1
        return self._now_s()

    def ended(self, name: str, began_s: float) -> None:
        """It has its rows."""
        now = self._now_s()
        state = self._left(name)
        if state is not None:
            state.latency.add(now - began_s, now)
            state.failures = 0
        self.recent.add(now - began_s, now)

    def given_up(self, name: str) -> None:
        """Nobody waits for it any more, which says nothing about the server."""
        self._left(name)

    def broke(self, name: str) -> None:
        """It failed, or took too long."""
        self._left(name)
        self.failed(name)

    def failed(self, name: str) -> None:
        """Leave the server out, longer each time, unless too many are out already."""
        state, now = self._named(name), self._now_s()
        if state is None or state is self.primary or now < state.ejected_until_s:
            return
        out = sum(1 for one in self.replicas.values() if now < one.ejected_until_s)
        if out + 1 > max(1, int(limits.EJECTED_SHARE * len(self.replicas))):
            return
        state.failures += 1
        state.ejections += 1
        state.ejected_until_s = now + 2.0 ** min(state.failures, limits.EJECTED_POWER_MAX)

    def lag_s(self, state: ServerState) -> float:
        """How late the server is; infinite while it does not tell its position."""
        return self.trail.lag_s(state.position, self._now_s()) if state.answers else float("inf")

    def is_ejected(self, state: ServerState) -> bool:
        """Whether it is left out for its failures."""
        return self._now_s() < state.ejected_until_s

    # -- how

    def _named(self, name: str) -> ServerState | None:
        return self.primary if name == self.primary.name else self.replicas.get(name)

    def _left(self, name: str) -> ServerState | None:
        state = self._named(name)
        if state is not None:
            state.in_flight = max(0, state.in_flight - 1)
        return state

    def _usable(self) -> list[ServerState]:
        now = self._now_s()
        return [one for one in self.replicas.values() if one.answers and not one.draining and now >= one.ejected_until_s]

    def _in_time(self, ready: list[ServerState]) -> list[ServerState]:
        for tier_s in limits.LAG_TIERS_S:
            found = [one for one in ready if self.lag_s(one) <= tier_s]
            if found:
                return found
        return []

    def _near(self, found: list[ServerState]) -> list[ServerState]:
        return [one for one in found if one.zone == self._zone] or found

    def _likely(self, found: list[ServerState]) -> str | None:
        if len(found) < 2:
            return found[0].name if found else None
        one, other = self._draw.sample(found, 2)
        price, other_price = self._price(one), self._price(other)
        return one.name if self._draw.random() * (price + other_price) < other_price else other.name

    def _price(self, state: ServerState) -> float:
        return (state.in_flight + 1) * state.latency.value(self._now_s())
