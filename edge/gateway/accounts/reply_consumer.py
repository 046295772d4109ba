"""Read this edge's partition of edge.replies and hand the rows to the account views.

In:     edge.replies (partition = edge instance), from its end: older replies are for a process that is gone
On failure: a frame that cannot be read is counted and skipped after every view has been dropped, as it may have held anything;
        if the log has been cut behind our back, likewise. Views come back by registering again. A forged frame is counted and ignored.
"""

import asyncio
import time
from collections.abc import Callable, Sequence
from typing import Final

import structlog

from edge.gateway.accounts.accounts import Accounts
from edge.gateway.accounts.reply_rows import reply_rows
from edge.gateway.source_filter import SourceFilter
from schemas.codec import BadBytes, decode_frame
from schemas.errors import ServiceUnavailable
from topics.catalogue import EDGE_REPLIES
from topics.key_files import NO_KEYS, RecordKeys
from topics.offsets import Offsets, Place
from topics.reader import LogReader, PlacesLost
from topics.record_codes import Proof
from topics.sources import FORGED, sources_of

log = structlog.get_logger(__name__)

READ_S: Final = 1.0
"""A read ends after so long without records."""
RETRY_S: Final = 0.5


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
    ) -> None:
        """shards: how many account shards there are. keys: by which the senders of replies are known."""
        self._reader, self._offsets = reader, offsets
        self._place = EDGE_REPLIES.name, instance
        self._keys = keys
        self._accounts = accounts
        self._count_rows = count_rows
        self._observe_delay_s = observe_delay_s
        senders = sources_of(EDGE_REPLIES, instance, shards)
        self._ends_of = [_place(source) for source in sorted(senders.shards)]
        self.sources = SourceFilter(senders)
        self.running = False
        self.bad_frames = 0

    async def start(self) -> None:
        """Take the place at the log's end; after this no answer can be missed."""
        await self._go_to_end()
        self.sources.begin(await source_ends(self._offsets, self._ends_of), time.time_ns())
        self.running = True

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
            self._take(record.value() or b"", record.offset() or 0, record.timestamp()[1] * 1_000_000, self._keys.proof_of(record))

    def _take(self, data: bytes, offset: int, time_ns: int, proof: Proof) -> None:
        try:
            proof.require()
            frame = decode_frame(data, "account_event_frame")
            proof.require_right(EDGE_REPLIES.name, frame, time_ns)
        except BadBytes as error:
            self.bad_frames += 1
            self.sources.note(error)
            log.warning("reply_not_readable", offset=offset, reason=error.reason, detail=error.detail)
            if error.reason not in FORGED:
                self._accounts.forget_all()
            return
        if self.sources.is_new(frame.header, time_ns):
            self._count_rows(len(frame.rows))
            self._observe_delay_s((time.time_ns() - frame.header.created_at) / 1e9)
            self._accounts.take_rows(reply_rows(frame))


async def source_ends(offsets: Offsets, places: Sequence[Place]) -> dict[str, int]:
    """Where the logs of sources end now, by the names by which frames call them."""
    return {f"{topic}/{number}": end for (topic, number), end in (await offsets.ends(places)).items()}


def _place(source: str) -> tuple[str, int]:
    topic, _, number = source.rpartition("/")
    return topic, int(number)
