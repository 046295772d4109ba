"""Read every partition of market.data into the market view and send its events on.

In:     market.data, all partitions, from MARKET_DATA_REPLAY_MS ago; until the end that was there at start nothing is sent, only remembered
On failure: a frame that cannot be read is counted and skipped; the dense sequence shows clients what is missing.
"""

import asyncio
import time
from collections.abc import Callable, Sequence
from typing import Final

import structlog
from confluent_kafka import Message

from edge.gateway.accounts.reply_consumer import READ_S, source_ends
from edge.gateway.limits import LAG_READY_MAX, MARKET_DATA_REPLAY_MS
from edge.gateway.market.events import MarketEvent
from edge.gateway.market.feed import FeedServer
from edge.gateway.market.view import MarketRow, MarketView
from edge.gateway.source_filter import SourceFilter
from schemas.codec import BadBytes, Frame, decode_frame
from topics.catalogue import EXECUTIONS, MARKET_DATA
from topics.key_files import NO_KEYS, RecordKeys
from topics.offsets import Offsets, Place
from topics.reader import LogReader
from topics.sources import sources_of

log = structlog.get_logger(__name__)

TAKEN_AT_ONCE: Final = 100
"""Records, some 5 ms; a long replay must not keep requests waiting."""


class MarketConsumer:
    """Owns all partitions; `run` ends only by cancellation."""

    def __init__(
        self, reader: LogReader, offsets: Offsets, partitions: Sequence[int], view: MarketView,
        publish: Callable[[list[MarketEvent]], None], keys: RecordKeys = NO_KEYS,
    ) -> None:  # fmt: skip
        """keys: by which the senders of market data are known."""
        self._keys = keys
        self._reader, self._offsets = reader, offsets
        self._places: list[Place] = [(MARKET_DATA.name, number) for number in partitions]
        self._view = view
        self._publish = publish
        self.sources = {place: SourceFilter(sources_of(MARKET_DATA, place[1])) for place in self._places}
        self._positions: dict[Place, int] = {}
        self._replay_until: dict[Place, int] = {}
        self.running = False
        self.bad_frames = 0
        self.feed: FeedServer | None = None
        """Who is told every record that is good and new."""

    @property
    def progress(self) -> dict[int, tuple[int, int]]:
        """By partition: the offset to be read next, and how many records that is behind the log's end."""
        return {place[1]: (offset, self._behind_end(place)) for place, offset in self._positions.items()}

    @property
    def caught_up(self) -> bool:
        """Whether what was in the log at start has been read."""
        return self.running and not self._replay_until

    def lag(self) -> int:
        """Records behind the log's end, as far as the client knows."""
        return sum(map(self._behind_end, self._places))

    def _behind_end(self, place: Place) -> int:
        end = self._reader.end(place)
        return max(0, end - self._positions.get(place, end)) if end is not None else 0

    @property
    def ready(self) -> bool:
        """Caught up, and not far behind since."""
        return self.caught_up and self.lag() <= LAG_READY_MAX

    async def start(self) -> None:
        """Take the place from which to replay."""
        since_ms = time.time_ns() // 1_000_000 - MARKET_DATA_REPLAY_MS
        self._view.begin(since_ms * 1_000_000)
        since = await self._offsets.at(self._places, since_ms)
        ends = await self._offsets.ends(self._places)
        for place, end in ends.items():
            start = since[place]
            self._positions[place] = end if start is None else start
            if self._positions[place] < end:
                self._replay_until[place] = end
        self._reader.go_to(self._positions)
        known = await source_ends(self._offsets, [(EXECUTIONS.name, number) for _, number in self._places])
        for sources in self.sources.values():
            sources.begin(known, time.time_ns())
        self.running = True

    async def run(self) -> None:
        """Read until cancelled."""
        try:
            while True:
                await self._read()
        finally:
            self.running = False

    async def _read(self) -> None:
        for place, records in (await self._reader.records(READ_S)).items():
            for number, record in enumerate(records, 1):
                self._take(place, record, live=place not in self._replay_until)
                if number % TAKEN_AT_ONCE == 0:
                    await asyncio.sleep(0)
            if self._replay_until.get(place, 1 << 62) <= self._positions[place]:
                del self._replay_until[place]

    def _take(self, place: Place, record: Message, *, live: bool) -> None:
        offset, time_ns = record.offset() or 0, record.timestamp()[1] * 1_000_000
        # not the next one: the log has lost its end, or its beginning faster than we read, and the reader goes to what there is
        if offset != self._positions[place]:
            log.warning("market_data_lost", expected=self._positions[place], offset=offset, remedy="clients see the gap in seq")
        self._positions[place] = offset + 1
        try:
            proof = self._keys.proof_of(record)
            proof.require()
            frame = decode_frame(record.value() or b"", "market_data_frame")
            proof.require_right(place[0], frame, time_ns)
        except BadBytes as error:
            self.bad_frames += 1
            self.sources[place].note(error)
            log.warning("market_data_not_readable", offset=offset, reason=error.reason, detail=error.detail)
            return
        if self._apply(place, frame, time_ns, live=live) and self.feed is not None:
            self.feed.tell(place[1], offset, time_ns, record.value() or b"")

    def _apply(self, place: Place, frame: Frame, time_ns: int, *, live: bool) -> bool:
        """Take a frame whose sender is proven. False: it was here before, or cannot be true."""
        if not self.sources[place].is_new(frame.header, time_ns):
            return False
        events = self._view.apply(map(MarketRow._make, frame.rows.tolist()))
        if live and events:
            self._publish(events)
        return True
