"""The stores behind the edge: API keys and history from MySQL, keys cached in Redis. Connected when first needed, again after a failure."""

import asyncio
from dataclasses import asdict
from typing import Any, Final

import structlog

from edge.account_view import Order
from edge.history import AlertFilter, OrderFilter
from edge.sessions import KeyRecord
from schemas.enums import OrdStatus, Side
from schemas.errors import ServiceUnavailable
from schemas.settings import Settings
from sinks import mysql_queries
from sinks.mysql_pool import MySql
from sinks.mysql_queries import StoredAlert, StoredOrder
from sinks.redis_sessions import CachedKey, SessionCache

log = structlog.get_logger(__name__)

MYSQL_CONNECTIONS_MAX: Final = 8
CACHED_KEY_TTL_S: Final = 300
"""A withdrawn key works for at most this long beyond SESSION_TTL_S, unless whoever withdraws it deletes it from the cache too."""
_FILTERED_ALERTS_MAX: Final = 10_000
"""Alerts that a filter by pattern or symbol looks through, newest first."""

# the time that an order's last state stands for
_TIME_OF_STATUS: Final = {
    int(OrdStatus.FILLED): "filled_at",
    int(OrdStatus.CANCELED): "canceled_at",
    int(OrdStatus.EXPIRED): "expired_at",
    int(OrdStatus.REJECTED): "failed_at",
}


class EdgeStores:
    """KeyStore, History and Stores over the real servers; each method raises ServiceUnavailable."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._mysql: MySql | None = None
        self._redis: SessionCache | None = None
        self._connecting = asyncio.Lock()

    async def find_key(self, key_id: str) -> KeyRecord | None:
        """The key from the cache, else from MySQL. A cache that is away only costs the longer way."""
        cached = await self._cached(key_id)
        if cached is not None:
            return KeyRecord(cached.secret_sha256, cached.account)
        stored = await mysql_queries.api_key(await self._db(), key_id)
        if stored is None:
            return None
        try:
            await (await self._cache()).put(key_id, CachedKey(stored.secret_sha256, stored.account), CACHED_KEY_TTL_S)
        except ServiceUnavailable as error:
            log.warning("key_not_cached", error=str(error))
        return KeyRecord(stored.secret_sha256, stored.account)

    async def orders(self, account: int, wanted: OrderFilter) -> list[Order]:
        """Orders by submission time, at most `limit`."""
        query = mysql_queries.OrderFilter(
            status=wanted.status, after=wanted.after_ns or None, until=wanted.until_ns or None, limit=wanted.limit,
            newest_first=not wanted.ascending, instruments=sorted(wanted.instruments) or None, side=wanted.side or None,
        )  # fmt: skip
        return [_order(one) for one in await mysql_queries.orders_of_account(await self._db(), account, query)]

    async def order(self, account: int, order_id: int) -> Order | None:
        """One order of the account."""
        stored = await mysql_queries.order_by_id(await self._db(), order_id, account)
        return _order(stored) if stored else None

    async def order_by_cl_ord_id(self, account: int, cl_ord_id: str) -> Order | None:
        """The newest order of the account with this id."""
        stored = await mysql_queries.order_by_cl_ord_id(await self._db(), account, cl_ord_id)
        return _order(stored) if stored else None

    async def alerts(self, wanted: AlertFilter) -> list[dict[str, Any]]:
        """Alerts as records of alert.avsc, newest first."""
        narrowed = bool(wanted.pattern or wanted.instrument)
        found = await mysql_queries.list_alerts(
            await self._db(), limit=_FILTERED_ALERTS_MAX if narrowed else wanted.limit, account=wanted.account or None
        )
        chosen = [
            one
            for one in found
            if (not wanted.pattern or one.pattern == wanted.pattern) and (not wanted.instrument or one.instrument == wanted.instrument)
        ]
        return [_alert(one) for one in chosen[: wanted.limit]]

    async def alert(self, alert_id: str) -> dict[str, Any] | None:
        """One alert."""
        found = await mysql_queries.alert_with_orders(await self._db(), alert_id)
        return _alert(found[0]) if found else None

    async def ping(self) -> dict[str, bool]:
        """Whether each store answers."""
        mysql, redis = await asyncio.gather(_answers(self._ping_mysql()), _answers(self._ping_redis()))
        return {"mysql": mysql, "redis": redis}

    async def close(self) -> None:
        """Let go of all connections."""
        if self._mysql is not None:
            await self._mysql.close()
        if self._redis is not None:
            await self._redis.close()

    async def _ping_mysql(self) -> None:
        await (await self._db()).fetch("SELECT 1")

    async def _ping_redis(self) -> None:
        await (await self._cache()).get("")

    async def _cached(self, key_id: str) -> CachedKey | None:
        try:
            return await (await self._cache()).get(key_id)
        except ServiceUnavailable as error:
            log.warning("session_cache_away", error=str(error))
            return None

    async def _cache(self) -> SessionCache:
        """The session cache, connected on first need; raises ServiceUnavailable."""
        if self._redis is None:
            async with self._connecting:
                if self._redis is None:
                    self._redis = await SessionCache.connect(self._settings.redis_url)
        return self._redis

    async def _db(self) -> MySql:
        """The pool, made on first need; raises ServiceUnavailable."""
        if self._mysql is None:
            async with self._connecting:
                if self._mysql is None:
                    self._mysql = await MySql.connect(self._settings.mysql_url, MYSQL_CONNECTIONS_MAX)
        return self._mysql


async def _answers(asking: Any) -> bool:
    try:
        await asking
    except ServiceUnavailable as error:
        log.debug("store_away", error=str(error))
        return False
    return True


def _order(stored: StoredOrder) -> Order:
    values = asdict(stored)
    values.pop("version")
    order = Order(**values)
    name = _TIME_OF_STATUS.get(order.ord_status)
    if name:
        setattr(order, name, order.updated_at)
    return order


def _alert(stored: StoredAlert) -> dict[str, Any]:
    return {**asdict(stored), "side": Side(stored.side).name}
