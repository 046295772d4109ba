"""Market data of one node is read from the log once: the edge's process hands the records on to its fan-out workers over a Unix socket.

The server is beside the MarketConsumer that reads the log; a worker's FedMarketConsumer follows it. A record of the feed names its offset and where the one
before it ended, so a follower sees that something is missing, and reads it from the log. A follower that is too slow is cut off: it
reads from the log too, and comes back. So the feed keeps nothing, and nothing is lost with it. Every second it tells where the reader
is: a follower that does not hear that either reads the log too.
"""

import asyncio
import os
import socket
import struct
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final, NamedTuple, cast

import structlog

from edge.gateway.limits import FEED_BYTES_MAX, FEED_PLACES_EVERY_S

log = structlog.get_logger(__name__)

_HEAD: Final = struct.Struct("<IIqqq")
"""Bytes of the frame, partition, and three numbers: of a FedRecord those before its frame, of a FedPlace, which has no frame, all of its own."""
_OWNER_ONLY: Final = 0o600


class FedRecord(NamedTuple):
    """A record of market.data that the reader has found good. `after`: behind the one told before it; `time_ns`: when it was appended."""

    partition: int
    after: int
    offset: int
    time_ns: int
    frame: bytes


class FedPlace(NamedTuple):
    """Where the reader is: all that was good before `position` has been told. `behind`: records of the log that it has not read yet."""

    partition: int
    after: int
    position: int
    behind: int


Progress = Mapping[int, tuple[int, int]]
"""By partition: the offset that the reader reads next, and how many records it is behind."""


@contextmanager
def _short(path: Path) -> Iterator[str]:
    """The same file by a name that fits into a socket's address, which takes 107 bytes."""
    folder = os.open(path.parent, os.O_PATH | os.O_DIRECTORY)
    try:
        yield f"/proc/self/fd/{folder}/{path.name}"
    finally:
        os.close(folder)


class FeedServer:
    """Tells every follower; `progress` is where the reader of the log is."""

    def __init__(self, path: Path, progress: Callable[[], Progress]) -> None:
        self._path, self._progress = path, progress
        self._followers: set[asyncio.Transport] = set()
        self._server: asyncio.Server | None = None
        self._telling: asyncio.Task[None] | None = None
        self._told_until: dict[int, int] = {}
        self.dropped = 0
        """Followers that were too slow."""

    def __len__(self) -> int:
        return len(self._followers)

    async def start(self) -> None:
        """Listen; only this user may connect. Raises OSError."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        self._path.unlink(missing_ok=True)
        with _short(self._path) as name, socket.socket(socket.AF_UNIX) as sock:
            os.fchmod(sock.fileno(), _OWNER_ONLY)  # before it has a name
            sock.bind(name)
            self._server = await asyncio.get_running_loop().create_unix_server(lambda: _Follower(self), sock=sock.dup())
        self._telling = asyncio.create_task(self._tell_places(), name="feed-places")

    async def stop(self) -> None:
        """Let go of everybody."""
        if self._telling is not None:
            self._telling.cancel()
        if self._server is not None:
            self._server.close()
        for follower in tuple(self._followers):
            follower.abort()
        self._path.unlink(missing_ok=True)

    def tell(self, partition: int, offset: int, time_ns: int, frame: bytes) -> None:
        """The next record of its partition; must not block."""
        after, self._told_until[partition] = self._told_until.get(partition, 0), offset + 1
        if self._followers:
            self._write(_packed(FedRecord(partition, after, offset, time_ns, frame)))

    async def _tell_places(self) -> None:
        while True:
            await asyncio.sleep(FEED_PLACES_EVERY_S)
            if self._followers:
                self._write(b"".join(map(_packed, self._places())))

    def _places(self) -> list[FedPlace]:
        return [FedPlace(one, self._told_until.get(one, 0), *where) for one, where in sorted(self._progress().items())]

    def _write(self, data: bytes) -> None:
        for follower in tuple(self._followers):
            if follower.get_write_buffer_size() > FEED_BYTES_MAX:
                self.dropped += 1
                log.warning("feed_follower_dropped", remedy="it reads from the log and comes back")
                self._followers.discard(follower)
                follower.abort()
            else:
                follower.write(data)

    def begin(self, follower: asyncio.Transport) -> None:
        """Somebody follows from now on, and has what comes before from the log."""
        follower.write(b"".join(_packed(place._replace(after=place.position)) for place in self._places()))
        self._followers.add(follower)

    def end(self, follower: asyncio.Transport) -> None:
        """Not any more."""
        self._followers.discard(follower)


class _Follower(asyncio.Protocol):
    """One connection; says nothing."""

    def __init__(self, server: FeedServer) -> None:
        self._server = server

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Tell it where the reader is."""
        self._transport = cast("asyncio.Transport", transport)  # that of uvloop is one without being a subclass
        self._server.begin(self._transport)

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget it."""
        self._server.end(self._transport)


class Feed:
    """A follower's connection. Raises OSError and asyncio.IncompleteReadError when it is over."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer

    @classmethod
    async def open(cls, path: Path) -> "Feed":
        """Connect. Raises OSError while there is no server."""
        with _short(path) as name:
            return cls(*await asyncio.open_unix_connection(name, limit=FEED_BYTES_MAX))

    async def next(self) -> FedRecord | FedPlace:
        """The next record, or where the reader is: first, of each partition, where it was when this one connected."""
        size, *head = _HEAD.unpack(await self._reader.readexactly(_HEAD.size))
        if not size:
            return FedPlace(*head)
        partition, after, offset, time_ns = head
        return FedRecord(partition, after, offset, time_ns, await self._reader.readexactly(size))

    def close(self) -> None:
        """Follow no more."""
        self._writer.close()


def _packed(one: FedRecord | FedPlace) -> bytes:
    frame = one.frame if isinstance(one, FedRecord) else b""
    return _HEAD.pack(len(frame), *one[:4]) + frame
