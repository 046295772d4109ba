"""Books around alerts, read again from `executions`: one at a time, within bounds, beside what customers wait for."""

import asyncio
import time
from typing import Any, Final

from edge.gateway.limits import REPLAY_LOOK_BACK_RECORDS, REPLAY_RECORDS_MAX, REPLAY_TIMEOUT_S, REPLAYS_WAITING_MAX
from edge.gateway.outcomes import Accepted, Cause, Unavailable
from schemas.codec import BadBytes, decode_frame
from schemas.errors import ServiceUnavailable
from surveillance.book_replay import BookReplay
from topics.catalogue import EXECUTIONS
from topics.kafka_clients import native_client
from topics.key_files import NO_KEYS, RecordKeys
from topics.offsets import Offsets, Place
from topics.reader import LogReader

BEFORE_NS: Final = 60_000_000_000
AFTER_NS: Final = 10_000_000_000
_TAKEN_AT_ONCE: Final = 50
"""Frames, a few ms; then whoever waits for the loop has his turn."""
_READ_S: Final = 0.5


class BookReplays:
    """Reads with clients of its own, which live as long as one replay."""

    def __init__(self, kafka_url: str) -> None:
        self._client = native_client(kafka_url) | {"client.id": "edge-replay"}
        self.keys: RecordKeys = NO_KEYS
        """By which the senders of executions are known."""
        self._one = asyncio.Semaphore(1)
        self._waiting = 0

    async def around(self, alert: dict[str, Any]) -> Accepted[dict[str, Any] | None] | Unavailable:
        """The book from a minute before an alert (a record of alert.avsc) until ten seconds behind it; None if the alert does not say where its evidence is.

        `complete`: the book at the beginning was built from the first record of the log, so no level is missing.
        """
        place = _place_of(alert)
        if place is None:
            return Accepted(None)
        if self._waiting >= REPLAYS_WAITING_MAX:
            return Unavailable(Cause.QUEUE_FULL, "others are replaying books: try again in a moment")
        self._waiting += 1
        try:
            async with self._one, asyncio.timeout(REPLAY_TIMEOUT_S):
                return Accepted(await self._replay(alert, *place))
        except (ServiceUnavailable, TimeoutError):
            return Unavailable(Cause.LOG_AWAY, "the log could not be read in time: try again")
        finally:
            self._waiting -= 1

    async def _replay(self, alert: dict[str, Any], place: Place, first: int, last: int) -> dict[str, Any]:
        accounts = frozenset(alert["accounts"] or [alert["account"]])
        replay = BookReplay(alert["instrument"], accounts, alert["window_start"] - BEFORE_NS, alert["window_end"] + AFTER_NS)
        offsets, reader = Offsets(self._client), LogReader(self._client)
        try:
            low, high = (await offsets.beginnings([place]))[place], (await offsets.ends([place]))[place]
            begin = max(low, first - REPLAY_LOOK_BACK_RECORDS)
            end = min(high, last + REPLAY_RECORDS_MAX)
            if begin < end:
                await reader.start()
                try:
                    await self._read(reader, place, begin, end, replay)
                finally:
                    await reader.stop()
        finally:
            await offsets.close()
        return {**replay.document(), "complete": begin == 0, "accounts": sorted(accounts), "topic": place[0], "partition": place[1]}

    async def _read(self, reader: LogReader, place: Place, begin: int, end: int, replay: BookReplay) -> None:
        reader.go_to({place: begin})
        deadline = time.monotonic() + REPLAY_TIMEOUT_S
        offset = begin - 1
        while offset + 1 < end and not (replay.over or replay.full):
            if time.monotonic() > deadline:
                raise TimeoutError
            for number, record in enumerate((await reader.records(_READ_S)).get(place, ()), 1):
                offset = record.offset() or 0
                if self.keys.proof_of(record).refusal is not None:
                    continue  # no reader believes it
                try:
                    frame = decode_frame(record.value() or b"", "execution_frame")
                except BadBytes:
                    continue  # no reader takes it
                replay.take(offset, frame.rows, frame.header.first_seq)
                if number % _TAKEN_AT_ONCE == 0:
                    await asyncio.sleep(0)


def _place_of(alert: dict[str, Any]) -> tuple[Place, int, int] | None:
    """The partition of its evidence, and the first and last offset in it."""
    source, _, offset = alert["source"].partition("@")
    mine = [one for one in alert["evidence"] if (one.get("instrument") or alert["instrument"]) == alert["instrument"]]
    where = next((one["place"] for one in mine if one.get("place")), source)
    topic, _, partition = where.rpartition("/")
    if topic != EXECUTIONS.name or not partition.isdigit():
        return None
    found = [one["offset"] for one in mine if one.get("offset", -1) >= 0 and (one.get("place") or source) == where]
    if where == source and offset.isdigit():  # an alert over several books names the fact that completed it, not a record of this book
        found.append(int(offset))
    return ((topic, int(partition)), min(found), max(found)) if found else None
