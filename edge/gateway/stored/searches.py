"""Searches of the audit trail: within their time, few at once, and never more than two of one asker. Elasticsearch stands behind them.

An edge does without it: it connects at the first search, and what a search costs stays small beside orders, whatever is asked.
"""

import asyncio
from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

import structlog

from edge.gateway.limits import SEARCH_TIMEOUT_S, SEARCHES_OF_ASKER_MAX
from edge.gateway.outcomes import Accepted, Cause, Unavailable
from edge.gateway.stored.bounded import within
from schemas.errors import ServiceUnavailable
from sinks.elastic.search_words import Found, Wanted

if TYPE_CHECKING:
    from elasticsearch import AsyncElasticsearch

log = structlog.get_logger(__name__)


class Trail(Protocol):
    """The audit trail."""

    async def find(self, wanted: Wanted, limit: int, place: Sequence[int | str] | None) -> Found:
        """A page. Raises ServiceUnavailable."""

    async def close(self) -> None:
        """Let go of all connections."""


class ElasticTrail:
    """A Trail over the real server. Nothing is connected, and its client not imported, before the first question."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._client: AsyncElasticsearch | None = None
        self._opening = asyncio.Lock()

    async def find(self, wanted: Wanted, limit: int, place: Sequence[int | str] | None) -> Found:
        """A page, within its time. Raises ServiceUnavailable."""
        return await within(SEARCH_TIMEOUT_S, "Elasticsearch", self._find(wanted, limit, place))

    async def _find(self, wanted: Wanted, limit: int, place: Sequence[int | str] | None) -> Found:
        async with self._opening:
            if self._client is None:  # in a thread: the import alone takes 0.15 s, and orders do not wait for it
                self._client = await asyncio.to_thread(_open, self._url)
        from sinks.elastic.search import search

        return await search(self._client, wanted, limit, place)

    async def close(self) -> None:
        """Let go of all connections."""
        if self._client is not None:
            await self._client.close()


def _open(url: str) -> "AsyncElasticsearch":
    import sinks.elastic.search
    from sinks.elastic.client import open_elasticsearch

    assert sinks.elastic.search
    return open_elasticsearch(url)


class Searches:
    """Of customers, or of staff: each have their own places, so that neither keeps the other from searching."""

    def __init__(self, trail: Trail, at_once: int) -> None:
        self.trail = trail
        self.refused = 0
        self._at_once = at_once
        self._running: Counter[str] = Counter()

    @property
    def running(self) -> int:
        """How many there are now."""
        return self._running.total()

    async def find(self, who: str, wanted: Wanted, limit: int, place: Sequence[int | str] | None) -> Accepted[Found] | Unavailable:
        """A page for somebody; what is too much is refused at once, and waits for nothing."""
        if self._running[who] >= SEARCHES_OF_ASKER_MAX:
            self.refused += 1
            text = f"{SEARCHES_OF_ASKER_MAX} searches of yours are running: wait for one of them"
            return Unavailable(Cause.TOO_MANY_REQUESTS, text)
        if self.running >= self._at_once:
            self.refused += 1
            return Unavailable(Cause.SEARCHES_BUSY, f"{self._at_once} searches are running, and no more run at once; try again")
        self._running[who] += 1
        try:
            return Accepted(await self.trail.find(wanted, limit, place))
        except ServiceUnavailable as error:
            log.warning("search_failed", error=str(error))
            return Unavailable(Cause.STORE_AWAY, "nothing can be searched at the moment (Elasticsearch is not reachable)")
        finally:
            self._running[who] -= 1
            self._running += Counter()  # who runs none is forgotten
