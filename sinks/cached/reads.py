"""Reads through the cache: whether an entry serves, who reads MySQL where none does, and what was counted.

An entry serves whoever has seen no more than its place covers. Within a process all who ask the same at the same time share one read (a flight);
between processes a short lock lets one of them read, and the others wait for its entry, but not for long.
"""

import asyncio
import random
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, Final, NamedTuple

from prometheus_client import Histogram

from sinks.cached.entries import Entries, Entry, Wrong
from sinks.cached.kinds import Answer, Kind, Seen, covers
from sinks.cached.limits import FRESH_MS, JITTER, KEPT_MS, LATE_MS, WAITS_S
from sinks.cached.store import CacheStore

OUTCOMES: Final = ("hit", "stale", "joined", "waited", "miss", "away")
"""How a read ended: from an entry; from one that is then read again; with another read of this process; with that of another process; from MySQL;
from MySQL because Redis does not answer."""
_SECONDS: Final = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 3.0)
Ask = Callable[[], Awaitable[Answer]]


class _Landed(NamedTuple):
    """What a flight brought. of_mysql: it asked MySQL, after it began."""

    value: Any
    place: tuple[int, int]
    read_ms: int
    of_mysql: bool


class _Flight(NamedTuple):
    """One read that several may wait for. seen: what it covers if it asks MySQL."""

    seen: Seen
    began_s: float
    task: "asyncio.Task[_Landed]"


class CachedReads:
    """Of one process. Raises only what reading MySQL raises."""

    def __init__(self, store: CacheStore, entries: Entries) -> None:
        self.store, self._entries = store, entries
        self.outcomes: Counter[str] = Counter()
        self.refused: Counter[str] = Counter()
        self.behind = 0
        """Entries whose readers had seen more."""
        self.queries = 0
        """Reads that reached MySQL."""
        self.seconds = Histogram("outcry_edge_cache_seconds", "reads of history through the cache", buckets=_SECONDS, registry=None)
        self._flights: dict[str, _Flight] = {}
        self._left: set[asyncio.Task[None]] = set()

    async def read(self, kind: Kind, question: bytes, seen: Seen, ask: Ask) -> Any:
        """The answer to a question. ask: asks MySQL, for an answer that covers `seen`."""
        name, asked_s = self._entries.name(kind.name, question), time.perf_counter()
        try:
            while True:
                flight = self._flights.get(name)
                if flight is None:
                    # a task of its own: who began it may go away while others wait
                    task = asyncio.create_task(self._fly(kind, name, seen, ask), name=f"read-{kind.name}")
                    self._flights[name] = _Flight(seen, time.perf_counter(), task)
                    task.add_done_callback(lambda _: self._flights.pop(name, None))
                    return (await asyncio.shield(task)).value
                landed = await asyncio.shield(flight.task)
                began_later = landed.of_mysql and flight.began_s >= asked_s and covers(flight.seen, seen)
                if began_later or _serves(kind, landed.place, landed.read_ms, seen):
                    self.outcomes["joined"] += 1
                    return landed.value
        finally:
            self.seconds.observe(time.perf_counter() - asked_s)

    async def close(self) -> None:
        """End what is under way."""
        tasks = [*(flight.task for flight in self._flights.values()), *self._left]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self.store.close()

    async def _fly(self, kind: Kind, name: str, seen: Seen, ask: Ask) -> _Landed:
        found = await self._entry(kind, name, seen)
        if found is not None:
            is_fresh = found.fresh_ms > _now_ms()
            self.outcomes["hit" if is_fresh else "stale"] += 1
            if not is_fresh:
                self._leave(self._refresh(kind, name, ask))
            return _Landed(found.value, found.place, found.read_ms, of_mysql=False)
        token = await self.store.lock(name)
        if token == "":
            found = await self._of_another(kind, name, seen)
            if found is not None:
                self.outcomes["waited"] += 1
                return _Landed(found.value, found.place, found.read_ms, of_mysql=False)
        self.outcomes["away" if token is None else "miss"] += 1
        try:
            answer = await self._ask(ask)
        except BaseException:
            if token:
                self._leave(self.store.unlock(name, token))
            raise
        self._leave(self._keep(kind, name, answer, token or ""))
        return _Landed(answer.value, answer.place, _now_ms(), of_mysql=True)

    async def _entry(self, kind: Kind, name: str, seen: Seen) -> Entry | None:
        """An entry that serves, its value unpacked; a wrong one is none, and counted."""
        raw = await self.store.get(name)
        if raw is None:
            return None
        entry = self._entries.open(name, raw, _now_ms())
        if isinstance(entry, Wrong):
            self.refused[entry] += 1
            return None
        if not _serves(kind, entry.place, entry.read_ms, seen):
            self.behind += 1
            return None
        try:
            return Entry(entry.place, entry.read_ms, entry.fresh_ms, entry.ends_ms, kind.unpack(entry.value))
        except (TypeError, ValueError):
            self.refused[Wrong.SHAPE] += 1
            return None

    async def _of_another(self, kind: Kind, name: str, seen: Seen) -> Entry | None:
        """What another process is reading at the moment, if that does not take long."""
        for wait_s in WAITS_S:
            await asyncio.sleep(wait_s)
            found = await self._entry(kind, name, seen)
            if found is not None:
                return found
        return None

    async def _ask(self, ask: Ask) -> Answer:
        self.queries += 1
        return await ask()

    async def _keep(self, kind: Kind, name: str, answer: Answer, token: str) -> None:
        """Behind the answer: nobody waits for it."""
        entry = sealed(self._entries, kind, name, answer)
        if entry is not None:
            await self.store.put([entry])
        if token:
            await self.store.unlock(name, token)

    async def _refresh(self, kind: Kind, name: str, ask: Ask) -> None:
        """By one of all processes."""
        token = await self.store.lock(name)
        if not token:
            return
        try:
            answer = await self._ask(ask)
        except Exception:
            await self.store.unlock(name, token)
            raise
        await self._keep(kind, name, answer, token)

    def _leave(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._left.add(task)
        task.add_done_callback(self._forget)

    def _forget(self, task: "asyncio.Task[None]") -> None:
        self._left.discard(task)
        if not task.cancelled():
            task.exception()  # looked at: MySQL was away, and whoever asks next is told so


def sealed(entries: Entries, kind: Kind, name: str, answer: Answer) -> tuple[str, bytes, int] | None:
    """What CacheStore.put takes, of an answer that was read just now; None if it is too large."""
    now_ms, vary = _now_ms(), 1 + random.uniform(-JITTER, JITTER)  # noqa: S311  no secret
    live_ms = int(KEPT_MS * vary)
    raw = entries.seal(name, Entry(answer.place, now_ms, now_ms + int(FRESH_MS * vary), now_ms + live_ms, kind.pack(answer.value)))
    return None if raw is None else (name, raw, live_ms)


def _serves(kind: Kind, place: tuple[int, int], read_ms: int, seen: Seen) -> bool:
    return covers(place, seen) or (not kind.of_account and _now_ms() - read_ms <= LATE_MS)


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
