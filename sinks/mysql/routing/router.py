"""Reads shared out among replicas: polls their positions, carries out what `fleet` decides, and proves each place on the server that is read.

A read with a place reads the server's marks first, on the same connection: the polls choose a server, the read itself proves it. So an answer is
never behind what its reader has seen, also where a server was restored from a copy, or lies.
"""

import asyncio
import random
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Concatenate, Final, ParamSpec, Self, TypeVar

import structlog

from schemas.errors import OutcryError, ServiceUnavailable
from sinks.mysql.places import Place
from sinks.mysql.pool import Reader
from sinks.mysql.routing import limits
from sinks.mysql.routing.fleet import Fleet
from sinks.mysql.routing.server import Lane, ReadServer, has
from sinks.mysql.routing.subset import subsets
from sinks.mysql.servers import Servers, ServersFile

log = structlog.get_logger(__name__)
P = ParamSpec("P")
T = TypeVar("T")

OUTCOMES: Final = ("replica", "waited", "primary", "refused", "not_stored", "hedged", "hedge_won", "failed", "lied")
"""What `RouterStats.counts` counts: where reads went, why not, and what happened on the way."""


class NotThere(ServiceUnavailable):
    """The server does not have what the reader has seen."""


@dataclass(frozen=True, slots=True)
class ServerStats:
    """Of one server."""

    name: str
    is_primary: bool
    answers: bool
    ejected: bool
    lag_s: float
    in_flight: int
    reads: int
    latency_s: float
    ejections: int
    connections: int


@dataclass(frozen=True, slots=True)
class RouterStats:
    """Counts since the start, by OUTCOMES, and the servers as they are now."""

    epoch: int
    counts: dict[str, int]
    servers: list[ServerStats]


class Router:
    """For one process. Make it with `started`; every method raises ServiceUnavailable where no server can answer."""

    def __init__(self, file: ServersFile, process: str, processes: Sequence[str], zone: str, draw: random.Random) -> None:
        self._file, self._process, self._processes = file, process, processes
        self._fleet = Fleet(time.monotonic, draw, zone)
        self._servers: dict[str, ReadServer] = {}
        self._known: Servers | None = None
        self._polls: dict[str, asyncio.Task[None]] = {}
        self._moved = asyncio.Condition()
        self._waiting = 0
        self._read_s = time.monotonic()
        self._counts: Counter[str] = Counter()
        self._left: set[asyncio.Task[Any]] = set()

    @classmethod
    async def started(cls, file: ServersFile, process: str, processes: Sequence[str] = (), zone: str = "", seed: int | None = None) -> Self:
        """A router whose polls run, and have come round once. process: one of `processes`, which all use the same file."""
        router = cls(file, process, processes or (process,), zone, random.Random(seed))  # noqa: S311  no secret
        router._follow()
        await asyncio.gather(*(router._ask(name) for name in router._servers))
        return router

    async def close(self) -> None:
        """Stop polling, close what is idle."""
        for task in (*self._polls.values(), *self._left):
            task.cancel()
        await asyncio.gather(*self._polls.values(), *self._left, return_exceptions=True)
        for server in self._servers.values():
            server.close()

    def stats(self) -> RouterStats:
        """How it is."""
        fleet, now = self._fleet, time.monotonic()
        states = [fleet.primary, *fleet.replicas.values()]
        servers = [
            ServerStats(
                one.name, one is fleet.primary, one.answers, fleet.is_ejected(one), fleet.lag_s(one), one.in_flight, one.reads,
                one.latency.value(now), one.ejections, self._servers[one.name].connections,
            )
            for one in states if one.name in self._servers
        ]  # fmt: skip
        return RouterStats(self._known.epoch if self._known else 0, {name: self._counts[name] for name in OUTCOMES}, servers)

    async def read(
        self, query: Callable[Concatenate[Reader, P], Awaitable[T]], place: Place | None, *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """What the query finds, on a server that has `place`. All of its statements run on one server."""
        self._follow()
        self._fleet.count_read()
        self._read_s = time.monotonic()

        async def run(lane: Reader) -> T:
            return await query(lane, *args, **kwargs)

        tried: set[str] = set()
        while len(tried) < limits.TRIES_MAX:
            name = self._fleet.pick(place, tried)
            if name is None:
                break
            tried.add(name)
            with suppress(ServiceUnavailable):
                return await self._hedged(name, run, place, tried)
        if place is not None and not tried:
            name = await self._wait(place)
            if name is not None:
                with suppress(ServiceUnavailable):
                    return self._counted("waited", await self._on(name, run, place))
        return await self._read_primary(run, place)

    async def kept(self, timeout_s: float = 1.0) -> bool:
        """Whether, within the time, a replica has everything that is on the primary now."""
        self._follow()
        primary, best = self._servers.get(self._fleet.primary.name), self._servers.get(self._fleet.best() or "")
        if primary is None or best is None:
            return False
        with suppress(ServiceUnavailable):
            return await best.wait((await primary.position()).gtid, timeout_s)
        return False

    # -- one read

    async def _read_primary(self, run: Callable[[Reader], Awaitable[T]], place: Place | None) -> T:
        if not self._fleet.may_read_primary():
            self._counts["refused"] += 1
            raise ServiceUnavailable(
                f"no replica of MySQL can answer, and the primary has its share of reads: try again in {limits.RETRY_AFTER_S} s"
            )
        return self._counted("primary", await self._on(self._fleet.primary.name, run, place))

    def _counted(self, outcome: str, result: T) -> T:
        self._counts[outcome] += 1
        return result

    async def _on(self, name: str, run: Callable[[Reader], Awaitable[T]], place: Place | None) -> T:
        """The read on one server."""
        server = self._servers.get(name)
        if server is None:
            raise ServiceUnavailable("MySQL has no primary at the moment: a promotion is under way")
        began_s = self._fleet.began(name)
        try:
            async with server.lane() as lane:
                if place is not None:
                    await self._prove(name, lane, place)
                result = await run(lane)
        except NotThere:
            self._fleet.given_up(name)
            raise
        except ServiceUnavailable as error:
            self._fleet.broke(name)
            self._counts["failed"] += 1
            log.warning("mysql_read_failed", server=name, error=str(error))
            raise
        except BaseException:
            self._fleet.given_up(name)
            raise
        self._fleet.ended(name, began_s)
        return result

    async def _prove(self, name: str, lane: Lane, place: Place) -> None:
        marks = await lane.marks()
        if has(marks, place):
            return
        if name != self._fleet.primary.name:
            self._counts["lied"] += 1
            self._fleet.lied(name, marks)
        raise NotThere(f"the exchange's records have not come to event {place.seq:,} of account shard {place.shard} yet; try again")

    async def _hedged(self, name: str, run: Callable[[Reader], Awaitable[T]], place: Place | None, tried: set[str]) -> T:
        """The read, and a second one elsewhere if it takes longer than 95 of 100; whichever answers first. The other ends by itself."""
        after_s = self._fleet.hedge_after_s()
        if after_s is None:
            return self._counted("replica", await self._on(name, run, place))
        first = asyncio.ensure_future(self._on(name, run, place))
        try:
            done, _ = await asyncio.wait([first], timeout=after_s)
        except asyncio.CancelledError:
            first.cancel()
            raise
        other = None if done else self._fleet.pick(place, tried)
        if other is None or not self._fleet.take_hedge():
            return self._counted("replica", await first)
        tried.add(other)
        self._counts["hedged"] += 1
        return self._counted("replica", await self._quicker(first, asyncio.ensure_future(self._on(other, run, place))))

    async def _quicker(self, first: "asyncio.Future[T]", second: "asyncio.Future[T]") -> T:
        waiting = {first, second}
        try:
            while waiting:
                done, waiting = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
                for one in done:
                    if one.exception() is None:
                        self._counts["hedge_won"] += one is second
                        return one.result()
        finally:
            for one in waiting:
                self._leave(one)
        return first.result()  # both failed: the first one's word

    def _leave(self, task: "asyncio.Future[Any]") -> None:
        """Nobody waits for it; it keeps its connection until it has ended."""
        assert isinstance(task, asyncio.Task)
        self._left.add(task)
        task.add_done_callback(self._forget)

    def _forget(self, task: "asyncio.Task[Any]") -> None:
        self._left.discard(task)
        if not task.cancelled():
            task.exception()  # looked at, so that asyncio does not complain of it

    async def _wait(self, place: Place) -> str | None:
        """The replica that has come to the place, once the primary has it; None if it takes too long. Raises ServiceUnavailable where even the primary does not have it."""
        self._waiting += 1
        try:
            gtid = await self._stored(place)
            name = self._fleet.pick(place) or self._fleet.best()
            server = self._servers.get(name or "")
            if name is None or server is None:
                return None
            with suppress(ServiceUnavailable):
                if await server.wait(gtid, limits.WAIT_S):
                    return name
            return None
        finally:
            self._waiting -= 1

    async def _stored(self, place: Place) -> str:
        """The GTID of a position at which the primary has it."""
        primary = self._fleet.primary
        if not primary.has(place):
            await self._ask(primary.name)
        try:
            async with asyncio.timeout(limits.STORED_WAIT_S), self._moved:
                await self._moved.wait_for(lambda: self._fleet.primary.has(place))
        except TimeoutError:
            self._counts["not_stored"] += 1
            raise NotThere(f"the exchange's records are behind event {place.seq:,} of account shard {place.shard}; try again") from None
        return self._fleet.trail.newest[1]

    # -- which servers there are, and where they are

    def _follow(self) -> None:
        """Take over the file, if it has been replaced."""
        known = self._file.read()
        if known is self._known:
            return
        mine = subsets(self._processes, sorted(one.name for one in known.replicas), limits.SUBSET_SIZE, limits.SUBSET_BOUND)[self._process]
        self._fleet.update(known.primary, [known.named(name) for name in mine])
        wanted = {*mine, known.primary} - {""}
        urls = {one.name: one.url for one in known.servers}
        before = {one.name: one.url for one in self._known.servers} if self._known else {}
        for name in [name for name in self._servers if name not in wanted or before.get(name) != urls[name]]:
            self._servers.pop(name).close()
            self._polls.pop(name).cancel()
        for name in wanted - set(self._servers):
            self._servers[name] = ReadServer(urls[name])
            self._polls[name] = asyncio.create_task(self._poll(name), name=f"poll-{name}")
        self._known = known

    async def _poll(self, name: str) -> None:
        """Until cancelled."""
        while True:
            await asyncio.sleep(self._pause_s(name))
            with suppress(OutcryError):  # a file that has become bad leaves what was known; reads say so
                self._follow()
            await self._ask(name)

    def _pause_s(self, name: str) -> float:
        if self._waiting:
            return limits.POLL_S
        if time.monotonic() - self._read_s > limits.IDLE_AFTER_S:
            return limits.IDLE_POLL_S
        return limits.PRIMARY_POLL_S if name == self._fleet.primary.name else limits.POLL_S

    async def _ask(self, name: str) -> None:
        server = self._servers.get(name)
        if server is None:
            return
        try:
            found = await server.position()
        except ServiceUnavailable as error:
            state = self._fleet.replicas.get(name)
            if state is not None and state.answers:
                log.warning("mysql_replica_silent", server=name, error=str(error))
            self._fleet.silent(name)
            return
        self._fleet.seen(name, found.number, found.gtid, found.marks)
        async with self._moved:
            self._moved.notify_all()
