"""Read this edge's partition of edge.replies and hand the rows to the account views.

In:     edge.replies (partition = edge instance), from its end: older replies are for a process that is gone. What happened to accounts in the last
        minutes is read first, for those who keep it
On failure: a frame that cannot be read is counted and skipped after every view has been dropped, as it may have held anything;
        if the log has been cut behind our back, likewise. Views come back by registering again. A forged frame is counted and ignored.
"""

import asyncio
import time
from collections.abc import Callable, Sequence
from typing import Final

import structlog
from confluent_kafka import Message

from edge.gateway.accounts.accounts import Accounts
from edge.gateway.accounts.reply_rows import reply_rows
from edge.gateway.limits import REPLIES_LOOK_BACK_RECORDS, REPLIES_LOOK_BACK_S_MAX
from edge.gateway.source_filter import SourceFilter
from schemas.codec import BadBytes, decode_frame
from schemas.errors import ServiceUnavailable
from topics.catalogue import EDGE_REPLIES
from topics.key_files import NO_KEYS, RecordKeys
from topics.offsets import Offsets, Place
from topics.reader import LogReader, PlacesLost
from topics.sources import FORGED, sources_of

log = structlog.get_logger(__name__)

READ_S: Final = 1.0
"""A read ends after so long without records."""
RETRY_S: Final = 0.5
TAKEN_AT_ONCE: Final = 100
"""Records of the past, some 10 ms; then others have their turn."""


class ReplyConsumer:
    """Owns one partition; `run` ends only by cancellation."""

    def __init__(
        self,
        reader: LogReader,
        offsets: Offsets,
        instance: int,
        accounts: Accounts,
        shards: int,
        count_rows: Callable[[float], None],
        observe_delay_s: Callable[[float], None],
        keys: RecordKeys = NO_KEYS,
        look_back_ms: int = 0,
    ) -> None:
        """shards: how many account shards there are. keys: by which the senders of replies are known. look_back_ms: how much of the past is read."""
        self._reader, self._offsets = reader, offsets
        self._place = EDGE_REPLIES.name, instance
        self._keys, self._look_back_ms = keys, look_back_ms
        self._accounts = accounts
        self._count_rows = count_rows
        self._observe_delay_s = observe_delay_s
        senders = sources_of(EDGE_REPLIES, instance, shards)
        self._ends_of = [_place(source) for source in sorted(senders.shards)]
        self.sources = SourceFilter(senders)
        self.running = False
        self.bad_frames = 0

    async def start(self) -> None:
        """Take the place at the log's end, or before it and read up to there; after this no answer can be missed. Raises ServiceUnavailable."""
        end = (await self._offsets.ends([self._place]))[self._place]
        first = await self._look_back(end) if self._look_back_ms else end
        self._reader.go_to({self._place: first})
        self.sources.begin(await source_ends(self._offsets, self._ends_of), time.time_ns())
        if first < end:
            await self._read_past(end)
        self.running = True

    async def _look_back(self, end: int) -> int:
        """The first record of the past that is read."""
        since_ms = time.time_ns() // 1_000_000 - self._look_back_ms
        found = (await self._offsets.at([self._place], since_ms))[self._place]
        return end if found is None else max(found, end - REPLIES_LOOK_BACK_RECORDS)

    async def _read_past(self, end: int) -> None:
        """Up to `end`; if that cannot be had, all of it is forgotten: a part would look like the whole."""
        place = 0
        try:
            async with asyncio.timeout(REPLIES_LOOK_BACK_S_MAX):
                while place < end:
                    for record in (await self._reader.records(READ_S)).get(self._place, ()):
                        place = (record.offset() or 0) + 1
                        self._take(record, live=place > end)
                        if place % TAKEN_AT_ONCE == 0:
                            await asyncio.sleep(0)
        except (TimeoutError, PlacesLost):
            log.warning("replies_not_read_back", partition=self._place[1], read=place, end=end, remedy="clients that resume get a snapshot")
            await self._go_to_end()
            self._accounts.forget_all()

    async def run(self) -> None:
        """Read until cancelled."""
        try:
            while True:
                await self._read()
        finally:
            self.running = False

    async def _go_to_end(self) -> None:
        self._reader.go_to(await self._offsets.ends([self._place]))

    async def _found_end(self) -> bool:
        try:
            await self._go_to_end()
        except ServiceUnavailable as error:
            log.warning("replies_not_readable", error=str(error))
            return False
        return True

    async def _read(self) -> None:
        try:
            found = await self._reader.records(READ_S)
        except PlacesLost:
            log.warning("replies_lost", partition=self._place[1], remedy="accounts are registered again")
            while not await self._found_end():  # noqa: ASYNC110  nothing tells when a broker is back
                await asyncio.sleep(RETRY_S)
            self._accounts.forget_all()
            return
        for record in found.get(self._place, ()):
            self._take(record, live=True)

    def _take(self, record: Message, *, live: bool) -> None:
        offset, time_ns, proof = record.offset() or 0, record.timestamp()[1] * 1_000_000, self._keys.proof_of(record)
        try:
            proof.require()
            frame = decode_frame(record.value() or b"", "account_event_frame")
            proof.require_right(EDGE_REPLIES.name, frame, time_ns)
        except BadBytes as error:
            self.bad_frames += 1
            self.sources.note(error)
            log.warning("reply_not_readable", offset=offset, reason=error.reason, detail=error.detail)
            if error.reason not in FORGED:
                self._accounts.forget_all()
            return
        if not self.sources.is_new(frame.header, time_ns):
            return
        if live:
            self._count_rows(len(frame.rows))
            self._observe_delay_s((time.time_ns() - frame.header.created_at) / 1e9)
            traced = self._accounts.traced
            began = 0 if traced is None else time.time_ns()
            self._accounts.take_rows(reply_rows(frame))
            if traced is not None:
                traced.pushed(frame, *self._place, offset, began)
        else:
            self._accounts.take_past(reply_rows(frame))


async def source_ends(offsets: Offsets, places: Sequence[Place]) -> dict[str, int]:
    """Where the logs of sources end now, by the names by which frames call them."""
    return {f"{topic}/{number}": end for (topic, number), end in (await offsets.ends(places)).items()}


def _place(source: str) -> tuple[str, int]:
    topic, _, number = source.rpartition("/")
    return topic, int(number)
