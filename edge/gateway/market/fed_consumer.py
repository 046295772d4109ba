"""A fan-out worker's market data: from the log until it has what the node's reader has, then from that reader's feed.

In:     market.data, from MARKET_DATA_REPLAY_MS ago; then the feed
On failure: whatever the feed does not tell, because it is away, is silent or has dropped this worker, is read from the log.
"""

import asyncio
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

import structlog

from edge.gateway.limits import FEED_SILENT_S
from edge.gateway.market.consumer import TAKEN_AT_ONCE, MarketConsumer
from edge.gateway.market.events import MarketEvent
from edge.gateway.market.feed import FedPlace, FedRecord, Feed
from edge.gateway.market.view import MarketView
from schemas.codec import decode_frame
from topics.catalogue import MARKET_DATA
from topics.key_files import NO_KEYS, RecordKeys
from topics.offsets import Offsets, Place
from topics.reader import LogReader

log = structlog.get_logger(__name__)

RETRY_S: Final = 0.5
"""Meanwhile the log is read."""


class _Gap(Exception):
    """The feed has gone past where this worker is."""


class FedMarketConsumer(MarketConsumer):
    """`run` ends only by cancellation. The log is read by `reader` only while the feed does not suffice."""

    def __init__(
        self, reader: LogReader, offsets: Offsets, partitions: Sequence[int], view: MarketView,
        publish: Callable[[list[MarketEvent]], None], feed_path: Path, keys: RecordKeys = NO_KEYS,
    ) -> None:  # fmt: skip
        """feed_path: the Unix socket of a FeedServer."""
        super().__init__(reader, offsets, partitions, view, publish, keys)
        self._feed_path = feed_path
        self._behind: dict[int, int] = {}
        self.fed_records = 0
        self.is_fed = False
        """Whether the log is not read now."""

    def lag(self) -> int:
        """Records behind the log's end: while it is fed, by the node's reader."""
        return sum(self._behind.values()) if self.is_fed else super().lag()

    async def run(self) -> None:
        """Read until cancelled."""
        problem = ""
        try:
            while True:
                try:
                    await self._be_fed()
                except (OSError, EOFError, _Gap) as error:  # a TimeoutError is an OSError: the feed was silent
                    if self.is_fed or repr(error) != problem:
                        problem = repr(error)
                        log.warning("feed_lost", error=problem, remedy="market.data is read from the log")
                self._read_the_log()
                await self._read_for(RETRY_S)
        finally:
            self.running = self.is_fed = False

    def _read_the_log(self) -> None:
        if self.is_fed:
            self.is_fed = False
            self._reader.go_to(self._positions)

    async def _read_for(self, seconds: float) -> None:
        clock = asyncio.get_running_loop().time
        until = clock() + seconds
        while clock() < until:
            await self._read()

    async def _be_fed(self) -> None:
        """Raises OSError, EOFError, _Gap: read from the log what is missing."""
        feed = await Feed.open(self._feed_path)
        try:
            async with asyncio.timeout(FEED_SILENT_S):
                starts = [await feed.next() for _ in self._places]
            while self._replay_until or any(one.after > self._positions[MARKET_DATA.name, one.partition] for one in starts):
                await self._read()  # what the feed tells meanwhile waits in its buffers; if that is too much, we are dropped and come again
            self._reader.go_to({})
            self.is_fed = True
            log.info("fed_by_the_edge")
            await self._follow(feed)
        finally:
            feed.close()

    async def _follow(self, feed: Feed) -> None:
        clock, taken = asyncio.get_running_loop().time, 0
        async with asyncio.timeout(FEED_SILENT_S) as patience:
            while True:
                self._take_fed(await feed.next())
                patience.reschedule(clock() + FEED_SILENT_S)
                taken += 1
                if taken % TAKEN_AT_ONCE == 0:  # what is there already comes without a wait
                    await asyncio.sleep(0)

    def _take_fed(self, told: FedRecord | FedPlace) -> None:
        """The reader of the node has proven who sent it."""
        place: Place = MARKET_DATA.name, told.partition
        position = self._positions[place]
        if told.after > position:
            raise _Gap(f"partition {told.partition}: {told.after} follows {position}")
        if isinstance(told, FedPlace):
            self._positions[place], self._behind[told.partition] = max(position, told.position), told.behind
        elif told.offset >= position:
            self._positions[place] = told.offset + 1
            self.fed_records += 1
            self._apply(place, decode_frame(told.frame, "market_data_frame"), told.time_ns, live=True)
