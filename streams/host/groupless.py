"""For roles that join no group: where they are in the log is in their own files. What they do while a disk is full, and when a log is not as they left it."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Final

import structlog

from schemas.errors import ServiceUnavailable, StaleData
from schemas.settings import Settings
from streams.transport.cluster import partition_counts
from streams.transport.log_ends import END_WAIT_S
from topics.kafka_clients import native_client
from topics.log_ends import lost_end
from topics.offsets import Offsets, Place
from topics.reader import LogReader
from topics.roles import RoleEntry

log = structlog.get_logger("outcry.streams")

RETRY_S: Final = 1.0
GULP_BYTES: Final = 1 << 20


async def open_log(settings: Settings, role: RoleEntry, gulp_wait_ms: int) -> tuple[dict[Place, int], LogReader, Offsets]:
    """Where each partition of the role's topics begins, and what reads them, not started: in bulk, since nobody waits for such a role.

    gulp_wait_ms: how long a broker may gather records. An offset that is not there is told (PlacesLost), never replaced by another. Raises ServiceUnavailable.
    """
    client = {**native_client(settings.kafka_url), "client.id": role.name}
    reader = LogReader(client | {"auto.offset.reset": "error", "fetch.min.bytes": GULP_BYTES, "fetch.wait.max.ms": gulp_wait_ms})
    offsets, counts = Offsets(client), partition_counts(settings, *role.reads)
    starts = await offsets.beginnings((topic, number) for topic, count in counts.items() for number in range(count))
    return starts, reader, offsets


async def until_taken(store: Callable[[], None], what: str, stop: asyncio.Event, tell: Callable[[str], None]) -> None:
    """Store, in a thread, and again until the disk takes it or the role is to stop: nothing more is read before.

    tell: is given why `what` is not written, and "" once it is.
    """
    while not stop.is_set():
        try:
            await asyncio.to_thread(store)
        except OSError as error:
            tell(f"the disk does not take the {what}: {error}")
            log.warning("files are not written", what=what, detail=str(error), again_in_s=RETRY_S)
            await asyncio.sleep(RETRY_S)
        else:
            tell("")
            return


async def begin_again(
    offsets: Offsets, role: str, needed: Mapping[Place, int], begin: Callable[[], Awaitable[None]], stop: asyncio.Event
) -> None:
    """The log does not have what is needed next. Once it reaches so far, `begin`; a broker that does not answer is asked again.

    A new leader may need END_WAIT_S to tell the end that it knows; a log that is shorter then has lost its end. Raises StaleData, also from `begin`.
    """
    deadline = time.monotonic() + END_WAIT_S
    while not stop.is_set():
        try:
            high = await offsets.ends(needed)
            short = [place for place, offset in needed.items() if high[place] < offset]
            if not short:
                await begin()
                return
        except ServiceUnavailable as error:
            log.warning("cannot ask where a log ends", detail=str(error))
        else:
            if time.monotonic() > deadline:
                topic, number = place = short[0]
                raise StaleData(lost_end(f"{topic}/{number}", high[place], role, needed[place]))
        await asyncio.sleep(RETRY_S)


def not_there(places: Iterable[Place]) -> str:
    """For /readyz, while begin_again waits."""
    return f"{', '.join(f'{topic}/{number}' for topic, number in places)} does not have what is needed next"


def end_unknown(reader: LogReader, places: Iterable[Place]) -> str:
    """For /readyz: which log has not told yet where it ends; "" once all have."""
    return next((f"{topic}/{number} has not told yet where it ends" for topic, number in places if reader.end((topic, number)) is None), "")
