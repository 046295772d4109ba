"""Newest values and cached sessions in Redis."""

import asyncio
import hashlib
import random
import time
from typing import Any
from urllib.parse import urlsplit

import pytest
from sink_session import INSTRUMENTS, START, market_data

from schemas.enums import MarketDataKind
from sinks.redis import prices as redis_prices
from sinks.redis.sessions import CachedKey, SessionCache
from sinks.redis.sink import RedisSink
from sinks.redis.trader_sessions import TraderSession, TraderSessionCache

pytestmark = pytest.mark.integration


async def test_redis_ends_with_the_newest_values_in_any_order_of_arrival(stores: Any, redis: Any) -> None:
    """Batches shuffled and repeated: each hash is that of the highest sequence, whole."""
    sink = await RedisSink.connect(stores[1].redis_url, INSTRUMENTS)
    frames = [market_data(kind, 1 + 5 * n, 5, n) for n in range(10) for kind in MarketDataKind]
    rng = random.Random(10)
    for _ in range(5):
        rng.shuffle(frames)
        for start in range(0, len(frames), 7):
            await sink.write_batch(frames[start : start + 7])
    assert await redis_prices.last_prices(redis, ["AAPL", "MSFT", "TSLA"]) == {
        symbol: {
            "seq": 50, "price": 1_050, "qty": 0, "side": 0, "trd_match_id": 0, "transact_time": START + 50, "price_decimal": "10.5",
        }
        for symbol in ("AAPL", "MSFT")
    }  # fmt: skip
    quote = (await redis_prices.quotes(redis, ["AAPL"]))["AAPL"]
    assert (quote["seq"], quote["bid_px"], quote["bid_decimal"], quote["ask_px"]) == (50, 1_050, "10.5", 0)
    assert (await redis_prices.last_bars(redis, ["MSFT"]))["MSFT"]["close_decimal"] == "10.5"
    for newest in (redis_prices.statuses, redis_prices.auctions, redis_prices.bands):
        assert (await newest(redis, ["AAPL"]))["AAPL"]["seq"] == 50
    written = sink.stats().rows
    await sink.write_batch(frames)
    assert sink.stats().rows == written
    await sink.close()


async def test_a_session_is_cached_until_it_is_deleted_or_over(stores: Any, redis: Any) -> None:
    """Neither key id nor anything of the secret but its digest is in Redis."""
    cache = await SessionCache.connect(stores[1].redis_url, stores[1].mysql_url)
    key = CachedKey(bytes(range(32)), 12_345, "read,trade", "203.0.113.0/24", 7, 3)
    await cache.put("PKEXAMPLE", key, ttl_s=60)
    assert await cache.get("PKEXAMPLE") == key
    assert await cache.get("pkexample") is None
    (name,) = await redis.keys("*session*")
    assert b"PKEXAMPLE" not in name
    assert 0 < await redis.ttl(name) <= 60
    signing = CachedKey(bytes(range(32)), 12_345, "trade", "", 0, 1, "ab" * 32)
    await cache.put("PKEXAMPLE", signing, ttl_s=60)
    assert await cache.get("PKEXAMPLE") == signing
    await cache.delete("PKEXAMPLE")
    assert await cache.get("PKEXAMPLE") is None
    await cache.close()


async def test_a_signed_request_is_new_once_for_all_edges_until_it_is_over(stores: Any, redis: Any) -> None:
    """However many ask at once."""
    one, two = [await SessionCache.connect(stores[1].redis_url, stores[1].mysql_url) for _ in range(2)]
    answers = await asyncio.gather(*(edge.first_time("aa" * 32, 60_000) for edge in (one, two) * 20))
    assert sorted(answers) == [False] * 39 + [True]
    assert await two.first_time("bb" * 32, 60_000)
    (name,) = await redis.keys("*" + "aa" * 32)
    assert 50_000 < await redis.pttl(name) <= 60_000
    await redis.pexpire(name, 1)
    async with asyncio.timeout(60):
        while not await one.first_time("aa" * 32, 60_000):
            pass
    for edge in (one, two):
        await edge.close()


async def test_sessions_stay_good_when_another_mysql_server_becomes_the_primary(stores: Any, redis: Any) -> None:
    """An edge that is started after a promotion has another address, and the same user, password and database: nobody is signed out."""
    redis_url, mysql_url = stores[1].redis_url, stores[1].mysql_url
    elsewhere = urlsplit(mysql_url)._replace(netloc=urlsplit(mysql_url).netloc.rpartition("@")[0] + "@db-2.internal:4406").geturl()
    assert elsewhere != mysql_url
    before, after = await TraderSessionCache.connect(redis_url, mysql_url), await TraderSessionCache.connect(redis_url, elsewhere)
    digest, session = hashlib.sha256(b"word").hexdigest(), TraderSession("PKMINE", int(time.time()) + 3_600)
    await before.put(digest, session, 60)
    assert await after.get(digest) == session
    keys_before, keys_after = await SessionCache.connect(redis_url, mysql_url), await SessionCache.connect(redis_url, elsewhere)
    key = CachedKey(bytes(range(32)), 1, "read", "", 0, 1)
    await keys_before.put("PKMINE", key, ttl_s=60)
    assert await keys_after.get("PKMINE") == key
    for one in (before, after, keys_before, keys_after):
        await one.close()


async def test_a_cached_session_that_no_edge_has_put_there_is_none(stores: Any, redis: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Made up as it once was stored, changed by a bit, taken from another key, of another log-in to MySQL, or kept beyond its time."""
    settings = stores[1]
    cache, stranger = (
        await SessionCache.connect(settings.redis_url, settings.mysql_url),
        await SessionCache.connect(settings.redis_url, "mysql://guessed@h/d"),
    )
    key = CachedKey(bytes(range(32)), 1, "read", "", 0, 1)
    await cache.put("PKMINE", key, ttl_s=60)
    (mine,) = await redis.keys("*session*")
    whole = await redis.get(mine)
    await cache.put("PKVICTIM", CachedKey(bytes(32), 2, "read", "", 0, 1), ttl_s=60)
    (victim,) = {*await redis.keys("*session*")} - {mine}
    for forged in (
        hashlib.sha256(b"secret").digest() + b"2",
        whole,
        b"",
        bytes(32) + whole[32:],
        *(_flipped(whole, at) for at in range(len(whole))),
    ):
        await redis.set(victim, forged)
        assert await cache.get("PKVICTIM") is None
    await stranger.put("PKVICTIM", key, ttl_s=60)
    assert await cache.get("PKVICTIM") is None
    assert await cache.get("PKMINE") == key
    await redis.persist(mine)
    later = time.time() + 61
    monkeypatch.setattr(time, "time", lambda: later)
    assert await cache.get("PKMINE") is None
    await redis.delete(mine, victim)
    for one in (cache, stranger):
        await one.close()


async def test_a_session_of_the_trading_page_that_no_edge_has_made_is_none(stores: Any, redis: Any) -> None:
    """Kept while its customer works and until its end; made up, changed, of another word or of another log-in to MySQL it is none."""
    settings = stores[1]
    cache = await TraderSessionCache.connect(settings.redis_url, settings.mysql_url)
    stranger = await TraderSessionCache.connect(settings.redis_url, "mysql://guessed@h/d")
    mine, other = hashlib.sha256(b"word").hexdigest(), hashlib.sha256(b"other").hexdigest()
    session = TraderSession("PKMINE", int(time.time()) + 3_600)
    await cache.put(mine, session, 60)
    assert await cache.get(mine) == session
    (name,) = await redis.keys("*trader*")
    assert 0 < await redis.ttl(name) <= 60
    whole = await redis.get(name)
    for forged in (whole, b"", whole[32:], *(_flipped(whole, at) for at in range(len(whole)))):
        await redis.set(name.replace(mine.encode(), other.encode()), forged)
        assert await cache.get(other) is None
    await stranger.put(other, session, 60)
    assert await cache.get(other) is None
    await cache.put(other, TraderSession("PKMINE", int(time.time()) - 1), 60)
    assert await cache.get(other) is None
    await cache.delete(mine)
    assert await cache.get(mine) is None
    await redis.delete(name.replace(mine.encode(), other.encode()))
    for one in (cache, stranger):
        await one.close()


def _flipped(value: bytes, at: int) -> bytes:
    return value[:at] + bytes([value[at] ^ 1]) + value[at + 1 :]
