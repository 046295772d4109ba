"""Fill the cache with pages that are expected to be asked for: slowly, up to a size, and on from where an earlier run ended.

A page whose entry is there and good is not read again, so a run that was ended begins anew and soon is where it was.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass

from sinks.cached.entries import Entries, Entry
from sinks.cached.kinds import Answer, covers
from sinks.cached.limits import WARM_BATCH, WARM_MEMORY_SHARE
from sinks.cached.pages import Page
from sinks.cached.reads import sealed
from sinks.cached.store import CacheStore


@dataclass
class Progress:
    """Of one run. ended: why; "" while it goes on."""

    pages: int = 0
    """Looked at."""
    there: int = 0
    """Whose entry was there and good."""
    read: int = 0
    """From MySQL."""
    bytes: int = 0
    seconds: float = 0.0
    ended: str = ""


Told = Callable[[Progress], Awaitable[None]]


class Warming:
    """One run. ask: reads a page from MySQL. per_s: reads of MySQL a second."""

    def __init__(self, store: CacheStore, entries: Entries, ask: Callable[[Page], Awaitable[Answer]], per_s: float) -> None:
        assert per_s > 0, "a rate"
        self._store, self._entries, self._ask, self._per_s = store, entries, ask, per_s
        self.progress = Progress()
        self._began_s = 0.0

    async def run(self, pages: Iterable[Page], told: Told) -> Progress:
        """Until all pages are there, memory is full, or Redis is away. Raises ServiceUnavailable where MySQL is; what was read by then is kept."""
        self._began_s = time.monotonic()
        gathered: list[Page] = []
        for page in pages:
            gathered.append(page)
            if len(gathered) == WARM_BATCH and not await self._batch(gathered, told):
                return self.progress
            if len(gathered) == WARM_BATCH:
                gathered = []
        if gathered and not await self._batch(gathered, told):
            return self.progress
        return await self._ended("done", told)

    async def _batch(self, pages: list[Page], told: Told) -> bool:
        """Whether the run goes on."""
        share = await self._store.memory_share()
        if share is None or share > WARM_MEMORY_SHARE:
            await self._ended("Redis does not answer" if share is None else f"{share:.0%} of the cache's memory is used", told)
            return False
        names = [self._name(page) for page in pages]
        found = await self._store.get_all(names)
        entries, now_ms = [], time.time_ns() // 1_000_000
        for page, name, raw in zip(pages, names, found or [None] * len(pages), strict=True):
            self.progress.pages += 1
            if self._is_good(page, name, raw, now_ms):
                self.progress.there += 1
                continue
            entry = sealed(self._entries, page.kind, name, await self._read(page))
            if entry is not None:
                entries.append(entry)
                self.progress.bytes += len(entry[1])
        if entries:
            await self._store.put(entries)
        self.progress.seconds = time.monotonic() - self._began_s
        await told(self.progress)
        return True

    async def _read(self, page: Page) -> Answer:
        """Not before its turn: the rate holds over the whole run, and no time is made up for."""
        self.progress.read += 1
        began_s = time.monotonic()
        answer = await self._ask(page)
        await asyncio.sleep(max(0.0, 1 / self._per_s - (time.monotonic() - began_s)))
        return answer

    def _name(self, page: Page) -> str:
        question = page.kind.question(page.arguments)
        assert question is not None, "pages that are warmed are worth keeping"
        return self._entries.name(page.kind.name, question)

    def _is_good(self, page: Page, name: str, raw: bytes | None, now_ms: int) -> bool:
        entry = self._entries.open(name, raw, now_ms) if raw is not None else None
        return isinstance(entry, Entry) and covers(entry.place, page.seen) and entry.fresh_ms > now_ms

    async def _ended(self, why: str, told: Told) -> Progress:
        self.progress.ended, self.progress.seconds = why, time.monotonic() - self._began_s
        await told(self.progress)
        return self.progress
