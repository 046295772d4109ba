"""One reader of market.data a node: followers get every record once, in order, from the feed or, where that fails them, from the log."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import uvloop
from support.served_edge import until

from edge.gateway.market import fed_consumer, feed
from edge.gateway.market.consumer import MarketConsumer
from edge.gateway.market.events import MarketEvent
from edge.gateway.market.fed_consumer import FedMarketConsumer
from edge.gateway.market.feed import FeedServer
from edge.gateway.market.view import MarketView
from schemas.codec import FRAMES, Header, encode_frame
from schemas.enums import MarketDataKind
from schemas.instruments import load_instruments
from topics.catalogue import MARKET_DATA
from topics.offsets import Place

PLACE: Place = (MARKET_DATA.name, 0)
NOW_MS = 1_800_000_000_000


class Record:
    """Of the log, as the Kafka client gives it."""

    def __init__(self, offset: int, value: bytes) -> None:
        self._offset, self._value = offset, value

    def offset(self) -> int:
        return self._offset

    def timestamp(self) -> tuple[int, int]:
        return 1, NOW_MS

    def value(self) -> bytes:
        return self._value


class Log(list[Record]):
    """market.data with one partition."""

    def __init__(self) -> None:
        super().__init__()
        self._trades = 0

    def trade(self) -> None:
        """The next trade of AAPL."""
        self._trades += 1
        self._add(self._trades, self._trades)

    def repeat(self, seq: int) -> None:
        """The frame of the trade `seq` once more, with what nobody has told before in it: whoever does not know it for a repeat tells it."""
        self._add(seq, 1_000_000 + seq)

    def garble(self) -> None:
        """A record that is no frame."""
        self.append(Record(len(self), b"noise"))

    def _add(self, source_offset: int, seq: int) -> None:
        rows = np.zeros(1, FRAMES["market_data_frame"].dtype)
        for name, value in {"kind": MarketDataKind.TRADE, "instrument": 1, "seq": seq, "price": 100, "qty": 1}.items():
            rows[name] = value
        self.append(Record(len(self), encode_frame("market_data_frame", Header("executions/0", source_offset), rows)))

    async def at(self, places: list[Place], since_ms: int) -> dict[Place, int | None]:
        """Offsets: everything is young enough."""
        return dict.fromkeys(places, 0)

    async def ends(self, places: list[Place]) -> dict[Place, int]:
        """Offsets: where it ends."""
        return dict.fromkeys(places, len(self))


class Reader:
    """A LogReader; counts what it was read for."""

    def __init__(self, log: Log) -> None:
        self._log, self._next, self.given = log, {PLACE: 0}, 0

    def go_to(self, starts: Mapping[Place, int]) -> None:
        self._next = dict(starts)

    def end(self, place: Place) -> int | None:
        return len(self._log) if place in self._next else None

    async def records(self, timeout_s: float) -> dict[Place, list[Record]]:
        await asyncio.sleep(0.001)
        found = self._log[self._next[PLACE] :][:3] if self._next else []
        self.given += len(found)
        self._next = {place: offset + len(found) for place, offset in self._next.items()}
        return {PLACE: found} if found else {}


class Node:
    """An edge's consumer with its feed, and workers that follow it."""

    def __init__(self, log: Log, path: Path) -> None:
        self.log, self.path = log, path
        self.main, _ = self._consumer()
        self.feed = FeedServer(path, lambda: self.main.progress)
        self.main.feed = self.feed
        self.tasks: list[asyncio.Task[None]] = []

    def _consumer(self, *feed_path: Path) -> tuple[Any, list[int]]:
        told: list[int] = []

        def publish(events: list[MarketEvent]) -> None:
            told.extend(event.seq for event in events)

        kind: Any = FedMarketConsumer if feed_path else MarketConsumer
        return kind(Reader(self.log), self.log, [0], MarketView(load_instruments(None)), publish, *feed_path), told

    async def run(self, consumer: Any) -> asyncio.Task[None]:
        """Start it."""
        await consumer.start()
        self.tasks.append(asyncio.create_task(consumer.run()))
        return self.tasks[-1]

    async def worker(self) -> tuple[FedMarketConsumer, list[int]]:
        """One that has caught up, and what it has told."""
        consumer, told = self._consumer(self.path)
        await self.run(consumer)
        return consumer, told


@asynccontextmanager
async def node(log: Log, path: Path) -> AsyncIterator[Node]:
    """Running."""
    one = Node(log, path)
    await one.run(one.main)
    await one.feed.start()
    try:
        yield one
    finally:
        for task in one.tasks:
            task.cancel()
        await asyncio.gather(*one.tasks, return_exceptions=True)
        await one.feed.stop()


@pytest.mark.parametrize("run", [asyncio.run, uvloop.run])
def test_a_worker_reads_the_log_until_it_has_caught_up_and_is_fed_from_then_on(tmp_path: Path, run: Callable[[Any], None]) -> None:
    """Two workers: what comes live they have from the feed alone, and the past of before is not told. The edge's loop has transports of its own."""
    run(two_are_fed(tmp_path))


async def two_are_fed(tmp_path: Path) -> None:
    """The test."""
    log = Log()
    for _ in range(20):
        log.trade()
    async with node(log, tmp_path / "feed.sock") as here:
        workers = [await here.worker() for _ in range(2)]
        await until(lambda: all(consumer.is_fed for consumer, _ in workers), "they follow")
        read: list[Any] = [consumer._reader for consumer, _ in workers]
        given = [reader.given for reader in read]
        for _ in range(50):
            log.trade()
        await until(lambda: all(told[-1:] == [70] for _, told in workers), "they have heard it")
        assert [told for _, told in workers] == [list(range(21, 71))] * 2
        assert [reader.given for reader in read] == given, "nobody else reads the log"
        assert [consumer.fed_records for consumer, _ in workers] == [50, 50]
        assert (here.path.stat().st_mode & 0o777, len(here.feed)) == (0o600, 2)


async def test_a_worker_without_its_feed_reads_the_log_and_comes_back_to_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is missing and nothing is told twice, however often the feed goes away."""
    monkeypatch.setattr(fed_consumer, "RETRY_S", 0.01)
    log = Log()
    async with node(log, tmp_path / "feed.sock") as here:
        consumer, told = await here.worker()
        for _ in range(3):
            await until(lambda: consumer.is_fed, "it follows")
            log.trade()
            await until(lambda: told[-1:] == [len(log)], "fed")
            await here.feed.stop()
            for _ in range(5):
                log.trade()
            await until(lambda: told[-1:] == [len(log)], "read from the log")
            await here.feed.start()
        assert told == list(range(1, len(log) + 1))


async def test_a_worker_that_does_not_take_its_feed_is_dropped_and_misses_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What waits for it is bounded."""
    monkeypatch.setattr(fed_consumer, "RETRY_S", 0.01)
    monkeypatch.setattr(feed, "FEED_BYTES_MAX", 1_000)
    log = Log()
    async with node(log, tmp_path / "feed.sock") as here:
        consumer, told = await here.worker()
        await until(lambda: consumer.is_fed, "it follows")
        follower = next(iter(here.feed._followers))
        monkeypatch.setattr(type(follower), "get_write_buffer_size", lambda _: 1_001, raising=False)
        log.trade()
        await until(lambda: here.feed.dropped == 1, "it is dropped")
        monkeypatch.undo()
        monkeypatch.setattr(fed_consumer, "RETRY_S", 0.01)
        for _ in range(20):
            log.trade()
        await until(lambda: consumer.is_fed and told[-1:] == [len(log)], "it is back")
        assert told == list(range(1, 22))


async def test_a_worker_whose_feed_is_silent_reads_the_log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The edge's process is there and does nothing: it has been stopped, or is stuck."""
    monkeypatch.setattr(fed_consumer, "RETRY_S", 0.01)
    monkeypatch.setattr(fed_consumer, "FEED_SILENT_S", 0.2)
    monkeypatch.setattr(feed, "FEED_PLACES_EVERY_S", 0.02)
    log = Log()
    async with node(log, tmp_path / "feed.sock") as here:
        consumer, told = await here.worker()
        await until(lambda: consumer.is_fed, "it follows")
        monkeypatch.setattr(here.feed, "_write", lambda data: None)
        for _ in range(20):
            log.trade()
        await until(lambda: told[-1:] == [20], "read from the log")
        monkeypatch.undo()
        await until(lambda: consumer.is_fed, "it is fed again")
        log.trade()
        await until(lambda: told[-1:] == [21], "fed")
        assert told == list(range(1, 22))


async def test_a_worker_that_comes_from_its_feed_to_the_log_knows_what_it_was_fed(tmp_path: Path) -> None:
    """A replica of the publisher may tell late what another one told long ago: the edge's process has dropped it, and the worker must too."""
    log = Log()
    async with node(log, tmp_path / "feed.sock") as here:
        consumer, told = await here.worker()
        await until(lambda: consumer.is_fed, "it follows")
        for _ in range(5):
            log.trade()
        await until(lambda: told[-1:] == [5], "fed")
        await here.feed.stop()
        log.repeat(3)
        log.trade()
        await until(lambda: told[-1:] == [6], "read from the log")
        assert told == [1, 2, 3, 4, 5, 6]


async def test_a_worker_passes_over_what_the_reader_has_refused_and_says_how_far_the_reader_is_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It has read as far as the reader, so it misses nothing when the log is all that it has."""
    monkeypatch.setattr(feed, "FEED_PLACES_EVERY_S", 0.01)
    log = Log()
    async with node(log, tmp_path / "feed.sock") as here:
        consumer, told = await here.worker()
        await until(lambda: consumer.is_fed, "it follows")
        log.trade()
        log.garble()
        await until(lambda: consumer.progress[0][0] == 2, "it knows that the reader has passed the noise")
        assert (told, consumer.bad_frames, here.main.bad_frames, consumer.lag()) == ([1], 0, 1, 0)
        monkeypatch.setattr(Reader, "end", lambda *_: 9_000)
        await until(lambda: consumer.lag() == 8_998, "the reader is behind, so the worker is")
        assert not consumer.ready


async def test_the_feed_is_its_owners_alone_wherever_the_home_is(tmp_path: Path) -> None:
    """A socket's address takes 107 bytes; a home's path may be longer."""
    deep = tmp_path / ("d" * 100) / ("e" * 100)
    async with node(Log(), deep / "feed.sock") as here:
        consumer, _ = await here.worker()
        await until(lambda: consumer.is_fed, "it follows")
        assert (deep / "feed.sock").stat().st_mode & 0o777 == 0o600
    assert not (deep / "feed.sock").exists()


async def test_a_gap_in_the_feed_is_read_from_the_log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As if a record had not been told."""
    monkeypatch.setattr(fed_consumer, "RETRY_S", 0.01)
    log = Log()
    async with node(log, tmp_path / "feed.sock") as here:
        consumer, told = await here.worker()
        await until(lambda: consumer.is_fed, "it follows")
        tell, left_out = here.feed.tell, []

        def forgetful(partition: int, offset: int, time_ns: int, frame: bytes) -> None:
            followers = here.feed._followers
            if offset == 3:
                here.feed._followers = set()
                left_out.append(offset)
            tell(partition, offset, time_ns, frame)
            here.feed._followers = followers

        monkeypatch.setattr(here.feed, "tell", forgetful)
        for _ in range(10):
            log.trade()
        await until(lambda: told[-1:] == [10], "all of it")
        assert (told, left_out) == (list(range(1, 11)), [3])
