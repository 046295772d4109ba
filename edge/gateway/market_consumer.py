"""Read every partition of market.data into the market view and send its events on.

In:     market.data, all partitions, from MARKET_DATA_REPLAY_MS ago; until the end that was there at start nothing is sent, only remembered
On failure: a frame that cannot be read is counted and skipped; the dense sequence shows clients what is missing.
"""

import asyncio
import time
from collections.abc import Callable, Sequence

import structlog
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError, OffsetOutOfRangeError

from edge.gateway.limits import LAG_READY_MAX, MARKET_DATA_REPLAY_MS
from edge.gateway.market_events import MarketEvent
from edge.gateway.market_view import MarketRow, MarketView
from edge.gateway.reply_consumer import source_ends
from edge.gateway.source_filter import SourceFilter
from schemas.codec import BadBytes, decode_frame
from topics.catalogue import EXECUTIONS, MARKET_DATA
from topics.sources import sources_of

log = structlog.get_logger(__name__)


class MarketConsumer:
    """Owns all partitions; `run` ends only by cancellation."""

    def __init__(
        self, consumer: AIOKafkaConsumer, partitions: Sequence[int], view: MarketView, publish: Callable[[list[MarketEvent]], None]
    ) -> None:
        self._consumer = consumer
        self._partitions = [TopicPartition(MARKET_DATA.name, number) for number in partitions]
        self._view = view
        self._publish = publish
        self.sources = {partition: SourceFilter(sources_of(MARKET_DATA, partition.partition)) for partition in self._partitions}
        self._positions: dict[TopicPartition, int] = {}
        self._replay_until: dict[TopicPartition, int] = {}
        self.running = False
        self.bad_frames = 0

    @property
    def caught_up(self) -> bool:
        """Whether what was in the log at start has been read."""
        return self.running and not self._replay_until

    def lag(self) -> int:
        """Records behind the log's end, as far as the client knows."""
        behind = 0
        for partition in self._partitions:
            end = self._consumer.highwater(partition)
            behind += max(0, end - self._positions.get(partition, end)) if end is not None else 0
        return behind

    @property
    def ready(self) -> bool:
        """Caught up, and not far behind since."""
        return self.caught_up and self.lag() <= LAG_READY_MAX

    async def start(self) -> None:
        """Take the place from which to replay."""
        self._consumer.assign(self._partitions)
        since_ms = time.time_ns() // 1_000_000 - MARKET_DATA_REPLAY_MS
        found = await self._consumer.offsets_for_times(dict.fromkeys(self._partitions, since_ms))
        ends = await self._consumer.end_offsets(self._partitions)
        for partition in self._partitions:
            at = found.get(partition)
            start = at.offset if at is not None else ends[partition]
            self._consumer.seek(partition, start)
            self._positions[partition] = start
            if start < ends[partition]:
                self._replay_until[partition] = ends[partition]
        known = await source_ends(self._consumer, [TopicPartition(EXECUTIONS.name, tp.partition) for tp in self._partitions])
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
        try:
            batches = await self._consumer.getmany(timeout_ms=1_000, max_records=500)
        except OffsetOutOfRangeError:
            log.warning("market_data_lost", remedy="clients see the gap in seq")
            await self._consumer.seek_to_beginning(*self._partitions)
            return
        except KafkaError as error:
            log.warning("market_data_not_readable", error=repr(error))
            await asyncio.sleep(0.5)
            return
        for partition, records in batches.items():
            for record in records:
                self._take(partition, record.value, record.offset, record.timestamp * 1_000_000, live=partition not in self._replay_until)
                self._positions[partition] = record.offset + 1
            if self._replay_until.get(partition, 1 << 62) <= self._positions[partition]:
                del self._replay_until[partition]
        if self._replay_until:
            await asyncio.sleep(0)  # a long replay must not keep requests waiting

    def _take(self, partition: TopicPartition, data: bytes, offset: int, time_ns: int, *, live: bool) -> None:
        try:
            frame = decode_frame(data, "market_data_frame")
        except BadBytes as error:
            self.bad_frames += 1
            log.warning("market_data_not_readable", offset=offset, reason=error.reason, detail=error.detail)
            return
        if not self.sources[partition].is_new(frame.header, time_ns):
            return
        events = self._view.apply(map(MarketRow._make, frame.rows.tolist()))
        if live and events:
            self._publish(events)
