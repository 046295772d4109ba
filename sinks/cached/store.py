"""The Redis behind the cache. One that is slow, full or away is left alone for a moment, and nobody hears an error of it."""

import asyncio
import secrets
import time
from collections.abc import Awaitable, Iterable
from typing import Any, Final, TypeVar

import structlog
from redis.asyncio import Redis

from schemas.errors import ServiceUnavailable
from sinks.cached.entries import PREFIX
from sinks.cached.limits import AWAY_S, LOCK_MS, TIMEOUT_S
from sinks.redis.client import CONNECTIONS_MAX, open_redis, translated

log = structlog.get_logger(__name__)
T = TypeVar("T")

LOCKS: Final = f"{PREFIX}lock:"
_UNLOCK: Final = "if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end return 0"
"""A lock that has ended may be somebody else's by now."""


class CacheStore:
    """Connected when it is first asked. What fails answers None, is counted, and is not asked again for AWAY_S."""

    def __init__(self, url: str, timeout_s: float = TIMEOUT_S) -> None:
        self._url, self._timeout_s = url, timeout_s
        self._client: Redis | None = None
        self._connecting = asyncio.Lock()
        # the client's pool refuses whoever finds no connection left; here they wait their turn, before their time begins
        self._turns = asyncio.Semaphore(CONNECTIONS_MAX)
        self._away_until_s = 0.0
        self.failures = 0

    @property
    def away(self) -> bool:
        """Whether it is left alone at the moment."""
        return time.monotonic() < self._away_until_s

    async def get(self, name: str) -> bytes | None:
        """The bytes under the name; None if there are none."""
        value = await self._tried(lambda client: client.get(name))
        return value if isinstance(value, bytes) else None

    async def get_all(self, names: list[str]) -> list[bytes | None] | None:
        """The same of many in one round trip; None if Redis is away."""
        found: list[bytes | None] | None = await self._tried(lambda client: client.mget(names))
        return found

    async def memory_share(self) -> float | None:
        """Used of what it may use; 0.0 without a bound, None if Redis is away."""
        info = await self._tried(lambda client: client.info("memory"))
        if info is None:
            return None
        return float(info["used_memory"] / info["maxmemory"]) if info.get("maxmemory") else 0.0

    async def put(self, entries: Iterable[tuple[str, bytes, int]]) -> bool:
        """Keep (name, bytes, ms to live) in one round trip; whether that worked."""

        async def put(client: Redis) -> bool:
            async with client.pipeline(transaction=False) as pipeline:
                for name, raw, live_ms in entries:
                    pipeline.set(name, raw, px=live_ms)
                await pipeline.execute()
            return True

        return bool(await self._tried(put))

    async def lock(self, name: str) -> str | None:
        """The token of a lock that nobody else has for LOCK_MS; "" where somebody has it, None if Redis is away."""
        token = secrets.token_hex(8)
        taken = await self._tried(lambda client: _answered(client.set(LOCKS + name, token, nx=True, px=LOCK_MS)))
        return None if taken is None else token if taken[0] else ""

    async def unlock(self, name: str, token: str) -> None:
        """Give it back, if it is still one's own."""
        await self._tried(lambda client: client.eval(_UNLOCK, 1, LOCKS + name, token))

    async def close(self) -> None:
        """Close the connections."""
        if self._client is not None:
            await self._client.aclose()

    async def client(self) -> Redis:
        """Connected. Raises ServiceUnavailable."""
        if self._client is None:
            async with self._connecting:
                if self._client is None:
                    self._client = await open_redis(self._url)
        return self._client

    async def _tried(self, question: Any) -> Any:
        if self.away:
            return None
        async with self._turns:
            return None if self.away else await self._asked(question)

    async def _asked(self, question: Any) -> Any:
        try:
            async with asyncio.timeout(self._timeout_s):
                client = await self.client()
                with translated(client):
                    return await question(client)
        except (ServiceUnavailable, TimeoutError) as error:
            self.failures += 1
            if not self.away:
                log.warning("cache_away", error=str(error) or f"no answer within {self._timeout_s:g} s")
            self._away_until_s = time.monotonic() + AWAY_S
            return None


async def _answered(asking: Awaitable[T]) -> tuple[T]:
    """So that an answer of None is not taken for a failure."""
    return (await asking,)
