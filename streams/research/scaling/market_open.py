"""A market open in small steps: single orders through an edge, an account shard and the busiest book shard, as a discrete-event simulation.

One path of the fleet is simulated, with its share of the load; the others are like it, except that no book shard is busier. Each place serves one order at a
time, in the order of arrival. Arrivals are random (Poisson) with a rate that bursts at the open. Service times are the measured costs, fixed. What is left
out: the network, the broker, garbage collection, other processes on the core.
"""

import heapq
import math
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Final

import numpy as np

PLACES: Final = ("edge", "account shard", "book shard", "account shard, report")


@dataclass(frozen=True)
class Open:
    """An open. orders_per_s: long after it; burst: how many times that at its first moment; decay_s: until 1/e of the burst is left."""

    orders_per_s: float
    burst: float
    decay_s: float
    seconds: int
    edges: int
    account_shards: int
    book_share: float
    """Of all orders that the busiest book shard has."""
    edge_us: float
    hold_us: float
    match_us: float
    report_us: float
    seed: int = 1

    def rate(self, at_s: float) -> float:
        """Orders a second of the whole exchange."""
        return self.orders_per_s * (1 + (self.burst - 1) * math.exp(-at_s / self.decay_s))


@dataclass(frozen=True)
class Waiting:
    """One place. use_max: busiest second, 1 is all of a core. Milliseconds from arrival until done, over all orders."""

    place: str
    orders: int
    use_max: float
    p50_ms: float
    p99_ms: float
    max_ms: float
    queue_max: int


def simulate(one: Open) -> list[Waiting]:
    """The places of one path, in the order of PLACES."""
    shares = (1 / one.edges, 1 / one.account_shards, one.book_share, 1 / one.account_shards)
    times_us = (one.edge_us, one.hold_us, one.match_us, one.report_us)
    found = []
    for number, (place, share, us) in enumerate(zip(PLACES, shares, times_us, strict=True)):
        random = np.random.default_rng([one.seed, number])
        arrivals = _arrivals(partial(_rate, one, share), one.seconds, random)
        found.append(_serve(place, arrivals, us / 1e6, one.seconds))
    return found


def _rate(one: Open, share: float, at_s: float) -> float:
    return share * one.rate(at_s)


def _arrivals(rate: Callable[[float], float], seconds: int, random: np.random.Generator) -> Iterator[float]:
    """Times of a Poisson process whose rate falls: by thinning one of the highest rate."""
    highest, at = rate(0.0), 0.0
    while True:
        at += float(random.exponential(1 / highest))
        if at >= seconds:
            return
        if random.random() * highest <= rate(at):
            yield at


def _serve(place: str, arrivals: Iterator[float], service_s: float, seconds: int) -> Waiting:
    """One server, first come first served: two kinds of events, an arrival and an end of service, in the order of their times."""
    events: list[tuple[float, int, float]] = []
    queue: deque[float] = deque()
    stays: list[float] = []
    busy, longest, used = False, 0, [0.0] * (seconds + 1)
    if (first := next(arrivals, None)) is not None:
        heapq.heappush(events, (first, 0, first))
    while events:
        now, kind, began = heapq.heappop(events)
        if kind == 0:
            queue.append(now)
            longest = max(longest, len(queue))
            if (following := next(arrivals, None)) is not None:
                heapq.heappush(events, (following, 0, following))
        else:
            stays.append(now - began)
            busy = False
        if queue and not busy:
            busy = True
            used[min(int(now), seconds)] += service_s
            heapq.heappush(events, (now + service_s, 1, queue.popleft()))
    ms = np.array(stays or [0.0]) * 1e3
    p50, p99 = (float(np.percentile(ms, at)) for at in (50, 99))
    return Waiting(place, len(stays), max(used), p50, p99, float(ms.max()), longest)
