"""Read this edge's partition of edge.replies and hand the rows to the account views.

In:     edge.replies (partition = edge instance), from its end: older replies are for a process that is gone
On failure: a frame that cannot be read is counted and skipped after every view has been dropped, as it may have held anything;
        if the log has been cut behind our back, likewise. Views come back by registering again.
"""

import asyncio
import time
from collections.abc import Callable

import structlog
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError, OffsetOutOfRangeError

from edge.accounts import Accounts
from edge.reply_rows import reply_rows
from edge.source_filter import SourceFilter
from schemas.codec import BadBytes, decode_frame
from topics.catalogue import EDGE_REPLIES

log = structlog.get_logger(__name__)


class ReplyConsumer:
    """Owns one partition; `run` ends only by cancellation."""

    def __init__(
        self,
        consumer: AIOKafkaConsumer,
        instance: int,
        accounts: Accounts,
        count_rows: Callable[[float], None],
        observe_delay_s: Callable[[float], None],
    ) -> None:
        self._consumer = consumer
        self._partition = TopicPartition(EDGE_REPLIES.name, instance)
        self._accounts = accounts
        self._count_rows = count_rows
        self._observe_delay_s = observe_delay_s
        self._sources = SourceFilter()
        self.running = False
        self.bad_frames = 0

    async def start(self) -> None:
        """Take the place at the log's end; after this no answer can be missed."""
        self._consumer.assign([self._partition])
        await self._consumer.seek_to_end(self._partition)
        await self._consumer.position(self._partition)
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
            batches = await self._consumer.getmany(timeout_ms=1_000)
        except OffsetOutOfRangeError:
            log.warning("replies_lost", partition=self._partition.partition, remedy="accounts are registered again")
            await self._consumer.seek_to_end(self._partition)
            self._accounts.forget_all()
            return
        except KafkaError as error:
            log.warning("replies_not_readable", error=repr(error))
            await asyncio.sleep(0.5)
            return
        for records in batches.values():
            for record in records:
                self._take(record.value, record.offset)

    def _take(self, data: bytes, offset: int) -> None:
        try:
            frame = decode_frame(data, "account_event_frame")
        except BadBytes as error:
            self.bad_frames += 1
            log.warning("reply_not_readable", offset=offset, reason=error.reason, detail=error.detail)
            self._accounts.forget_all()
            return
        if self._sources.is_new(frame.header):
            self._count_rows(len(frame.rows))
            self._observe_delay_s((time.time_ns() - frame.header.created_at) / 1e9)
            self._accounts.take_rows(reply_rows(frame))
