"""One server as the router uses it: a few connections for reads, and one that asks for its position."""

import asyncio
import random
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Any, Final

import aiomysql
from pymysql.err import InterfaceError

from schemas.errors import ServiceUnavailable
from sinks.mysql.dialect import GtidDialect, dialect_of
from sinks.mysql.places import Place
from sinks.mysql.pool import CONNECT_TIMEOUT_S, arguments_of, translated
from sinks.mysql.routing import limits

_MARKS: Final = "SELECT part, last_seq FROM sink_marks WHERE sink = 'mysql' AND topic = 'account.events' AND source = ''"
Marks = Mapping[int, int]
"""By account shard, the seq of the last event that is stored."""


@dataclass(frozen=True, slots=True)
class Position:
    """Where a server is: how many transactions lie before it, the same as GTID, and which events it has."""

    number: int
    gtid: str
    marks: Marks


class Lane:
    """A connection for reads, one at a time; each statement is a transaction of its own."""

    def __init__(self, connection: Any, ends_s: float) -> None:
        self._connection, self.ends_s = connection, ends_s

    async def fetch(self, sql: str, args: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """All rows of a query. Errors are those of the client library."""
        try:
            async with self._connection.cursor() as cursor:
                await cursor.execute(sql, args or None)
                return list(await cursor.fetchall())
        except (
            AttributeError
        ) as error:  # aiomysql's, where another task closes the connection while an answer is on its way: its reader is None
            if not self._connection.closed:
                raise
            raise InterfaceError("the connection was closed meanwhile") from error

    async def marks(self) -> Marks:
        """Which events the server has. What is read behind this is not older."""
        return dict(await self.fetch(_MARKS))

    def close(self) -> None:
        """At once."""
        with suppress(RuntimeError):  # a loop that is closed
            self._connection.close()


class ReadServer:
    """Connections to one server, made when they are needed. Raises ServiceUnavailable where the server does not answer."""

    def __init__(self, url: str, lanes: int = limits.LANES) -> None:
        """lanes: reads at a time; others wait their turn."""
        self.where, self._arguments = arguments_of(url)
        self._turns = asyncio.Semaphore(lanes)
        self._idle: list[Lane] = []
        self._probe: Lane | None = None
        self._probing = asyncio.Lock()
        self._dialect: GtidDialect | None = None
        self.connections = 0
        """Made since the start."""
        self.closed = False

    @asynccontextmanager
    async def lane(self, timeout_s: float = limits.READ_TIMEOUT_S) -> AsyncIterator[Lane]:
        """One connection for so long, waiting for a turn and for the server included. One that was in use when something went wrong is closed."""
        with translated(self.where):
            async with asyncio.timeout(timeout_s), self._turns:
                lane = await self._open()
                try:
                    yield lane
                except BaseException:
                    lane.close()
                    raise
                self._put_back(lane)

    async def position(self) -> Position:
        """Where the server is now, within PROBE_TIMEOUT_S."""
        async with self._probing:
            with translated(self.where):
                try:
                    async with asyncio.timeout(limits.PROBE_TIMEOUT_S if self._probe is not None else CONNECT_TIMEOUT_S):
                        lane = self._probe = self._probe or await self._connect()
                        dialect = await self._make(lane)
                        marks = await lane.marks()
                        # behind the marks: who waits for this position has everything that they say
                        ((gtid,),) = await lane.fetch(f"SELECT {dialect.position}")
                        return Position(dialect.number(gtid), gtid, marks)
                except BaseException:
                    if self._probe is not None:
                        self._probe.close()
                        self._probe = None
                    raise

    async def wait(self, gtid: str, seconds: float) -> bool:
        """Whether the server has come as far within the time."""
        async with self.lane(seconds + limits.PROBE_TIMEOUT_S) as lane:
            dialect = await self._make(lane)
            ((said,),) = await lane.fetch(dialect.wait, (gtid, seconds))
            return said in dialect.waited

    def close(self) -> None:
        """Let go of what is idle now, and of the rest when its read ends."""
        self.closed = True
        while self._idle:
            self._idle.pop().close()
        if self._probe is not None:
            self._probe.close()

    async def _make(self, lane: Lane) -> GtidDialect:
        if self._dialect is None:
            ((version,),) = await lane.fetch("SELECT VERSION()")
            self._dialect = dialect_of(version)
        return self._dialect

    async def _open(self) -> Lane:
        while self._idle:
            lane = self._idle.pop()
            if time.monotonic() < lane.ends_s:
                return lane
            lane.close()
        return await self._connect()

    async def _connect(self) -> Lane:
        if self.closed:
            raise ServiceUnavailable(f"MySQL at {self.where} is not one of the servers any more")
        connection = await aiomysql.connect(**self._arguments, autocommit=True, connect_timeout=CONNECT_TIMEOUT_S)
        self.connections += 1
        return Lane(connection, time.monotonic() + random.uniform(*limits.LANE_LIFE_S))  # noqa: S311  no secret

    def _put_back(self, lane: Lane) -> None:
        if self.closed:
            lane.close()
        else:
            self._idle.append(lane)


def has(marks: Marks, place: Place) -> bool:
    """Whether a server with these marks has what was seen."""
    return marks.get(place.shard, -1) >= place.seq
