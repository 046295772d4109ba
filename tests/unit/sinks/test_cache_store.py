"""Questions to the cache's Redis: no more at a time than it has connections, and none for a moment after one has failed."""

import asyncio
from typing import Any

from redis.asyncio import Redis

from sinks.cached.store import CacheStore
from sinks.redis.client import CONNECTIONS_MAX


async def test_a_burst_waits_its_turn_and_is_no_failure() -> None:
    """A pool without a connection left refuses, which would look like a Redis that is away."""
    store, under_way, most = CacheStore("redis://127.0.0.1:1/0", timeout_s=30.0), 0, 0
    store._client = Redis()  # connects to nothing until it is asked, and these questions do not ask it

    async def question(_client: Any) -> bool:
        nonlocal under_way, most
        under_way += 1
        most = max(most, under_way)
        await asyncio.sleep(0)
        under_way -= 1
        return True

    answers = await asyncio.gather(*(store._tried(question) for _ in range(20 * CONNECTIONS_MAX)))
    assert all(answers) and len(answers) == 20 * CONNECTIONS_MAX
    assert most == CONNECTIONS_MAX and store.failures == 0
    await store.close()


async def test_after_one_failure_all_who_wait_go_on_without_redis() -> None:
    """Nothing listens there: as many questions fail as were under way, and nobody behind them waits for a time-out of his own."""
    store = CacheStore("redis://127.0.0.1:1/0", timeout_s=30.0)
    assert await asyncio.gather(*(store.get("x") for _ in range(20 * CONNECTIONS_MAX))) == [None] * 20 * CONNECTIONS_MAX
    assert 0 < store.failures <= CONNECTIONS_MAX and store.away
    assert await store.lock("x") is None and not await store.put([("x", b"", 1)])
    await store.close()
