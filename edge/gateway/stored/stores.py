"""The stores behind the edge: API keys, people and history from MySQL, keys cached in Redis. Connected when first needed, again after a failure."""

import asyncio
import math
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import asdict
from typing import Any, Concatenate, Final, ParamSpec, TypeVar

import structlog
from redis.asyncio import Redis

from access.api_keys import networks_of, scopes_of
from edge.gateway.access.sessions import KeyRecord
from edge.gateway.accounts.view import Order
from edge.gateway.limits import CACHE_TIMEOUT_S, CACHED_KEY_TTL_S, STORE_TIMEOUT_S
from edge.gateway.stored.bounded import answers, within
from edge.gateway.stored.history import AlertFilter, OrderFilter
from edge.gateway.stored.mysql_links import MySqlLinks
from schemas.codec import raw_schema
from schemas.enums import OrdStatus, Side
from schemas.errors import ServiceUnavailable
from schemas.settings import Settings
from sinks.cached.entries import Entries
from sinks.cached.kinds import KINDS, Answer, Head, Kind, Seen
from sinks.cached.reads import CachedReads
from sinks.cached.secret import cache_secret
from sinks.cached.store import CacheStore
from sinks.mysql import api_keys as mysql_keys
from sinks.mysql import case_queries
from sinks.mysql import people as mysql_people
from sinks.mysql import queries as mysql_queries
from sinks.mysql.api_keys import StoredKey
from sinks.mysql.case_queries import QueueFilter, QueueRow, StoredAction, Window
from sinks.mysql.people import StoredPerson, StoredSession, StoredToken
from sinks.mysql.places import Place
from sinks.mysql.pool import MySql, Reader
from sinks.mysql.queries import StoredAlert, StoredOrder
from sinks.redis import prices as redis_prices
from sinks.redis.client import open_redis
from sinks.redis.prices import Newest
from sinks.redis.sessions import CachedKey, SessionCache
from sinks.redis.trader_sessions import TraderSession, TraderSessionCache

log = structlog.get_logger(__name__)
P = ParamSpec("P")
T = TypeVar("T")

ALERT_DEFAULTS: Final = {field["name"]: field["default"] for field in raw_schema("alert")["fields"] if "default" in field}
"""What an alert of version 0.2 does not say."""

# the time that an order's last state stands for
_TIME_OF_STATUS: Final = {
    int(OrdStatus.FILLED): "filled_at",
    int(OrdStatus.CANCELED): "canceled_at",
    int(OrdStatus.EXPIRED): "expired_at",
    int(OrdStatus.REJECTED): "failed_at",
}


class EdgeStores:
    """KeyStore, PeopleStore, History and Stores over the real servers; each method raises ServiceUnavailable, also for a server that stays silent."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self.mysql = MySqlLinks(settings)
        self.place_of: Callable[[int | None], Place | None] = lambda _: None
        """How far in the log an account has been told of."""
        self.head_of: Callable[[int, int], Head | None] = lambda _instrument, _end_ns: None
        """What has been told of an instrument before a time; None while that is not certain."""
        self.cache: CachedReads | None = None
        if settings.cache_url:
            secret = cache_secret(settings.mysql_url, settings.cache_secret)
            self.cache = CachedReads(CacheStore(settings.cache_url), Entries(secret))
        self._redis: SessionCache | None = None
        self._prices: Redis | None = None
        self._traders: TraderSessionCache | None = None
        self._connecting_redis = asyncio.Lock()

    async def find_key(self, key_id: str, version_min: int) -> KeyRecord | None:
        """The key from the cache, else from MySQL. A cache that is away only costs the longer way."""
        cached = await self._cached(key_id)
        if cached is not None and cached.version >= version_min:
            return _record(cached)
        stored = await self.ask(mysql_keys.api_key, key_id)
        if stored is None:
            return None
        key = CachedKey(
            stored.secret_sha256, stored.account, stored.scopes, stored.networks, stored.ends_at, stored.version, stored.public_key
        )
        await self._put(key_id, key)
        return _record(key)

    async def first_time(self, digest: str, keep_ms: int) -> bool:
        """Whether no edge has seen this signed request in the last `keep_ms`."""

        async def ask() -> bool:
            return await (await self._cache()).first_time(digest, keep_ms)

        return await within(CACHE_TIMEOUT_S, "Redis", ask())

    async def changed_keys(self, since_us: int | None) -> tuple[int, dict[str, int]]:
        """What to ask with next, and the versions of the API keys changed since; at first, since a cache may have an older one."""
        return await self.ask(mysql_keys.changed_keys, since_us, CACHED_KEY_TTL_S * 1_000_000 + mysql_keys.OVERLAP_US)

    async def keys_of_account(self, account: int) -> list[StoredKey]:
        """All API keys that the account ever had."""
        return await self.ask(mysql_keys.keys_of_account, account)

    async def add_key(
        self,
        key_id: str,
        digest: str,
        account: int,
        scopes: str,
        networks: str,
        *,
        ends_at: int,
        label: str,
        keys_max: int,
        public_key: str,
    ) -> None:
        """Store a new API key."""
        await self._kept(
            mysql_keys.add_key, key_id, digest, account, scopes, networks, ends_at=ends_at, label=label, keys_max=keys_max, public_key=public_key
        )  # fmt: skip

    async def rotate_key(
        self, key_id: str, ends_at: int, new_id: str, digest: str, account: int, *, keys_max: int, public_key: str
    ) -> StoredKey:
        """A new API key with the rights of this one, which ends."""
        return await self._kept(
            mysql_keys.rotate_key, key_id, ends_at, new_id, digest, keys_max=keys_max, account=account, public_key=public_key
        )

    async def end_key(self, key_id: str, ends_at: int, account: int) -> None:
        """An API key ends."""
        await self._kept(mysql_keys.end_key, key_id, ends_at, account)

    async def orders(self, account: int, wanted: OrderFilter) -> list[Order]:
        """Orders by submission time, at most `limit`."""
        query = mysql_queries.OrderFilter(
            status=wanted.status, after=wanted.after_ns, until=wanted.until_ns, limit=wanted.limit, newest_first=not wanted.ascending,
            instruments=None if wanted.instruments is None else sorted(wanted.instruments), side=wanted.side,
            below_order_id=wanted.below_order_id, above_order_id=wanted.above_order_id,
        )  # fmt: skip
        return [_order(one) for one in await self.read(mysql_queries.orders_of_account, account, account, query)]

    async def order(self, account: int, order_id: int) -> Order | None:
        """One order of the account."""
        stored = await self.read(mysql_queries.order_by_id, account, order_id, account)
        return _order(stored) if stored else None

    async def order_by_cl_ord_id(self, account: int, cl_ord_id: str) -> Order | None:
        """The newest order of the account with this id."""
        stored = await self.read(mysql_queries.order_by_cl_ord_id, account, account, cl_ord_id)
        return _order(stored) if stored else None

    async def alerts(self, wanted: AlertFilter) -> list[dict[str, Any]]:
        """Alerts as records of alert.avsc, newest first."""
        found = await self.ask(
            mysql_queries.list_alerts, wanted.limit, account=wanted.account, instrument=wanted.instrument, pattern=wanted.pattern
        )
        return [alert_record(one) for one in found]

    async def alert(self, alert_id: str) -> dict[str, Any] | None:
        """One alert."""
        found = await self.ask(mysql_queries.alert_with_orders, alert_id)
        return alert_record(found[0]) if found else None

    async def queue(self, wanted: QueueFilter) -> tuple[list[QueueRow], int]:
        """Alerts with their cases, and how many pass the filter in all."""
        return await self.ask(case_queries.queue, wanted)

    async def queue_counts(self, wanted: QueueFilter) -> dict[str, dict[str, int]]:
        """By status, severity and pattern."""
        return await self.ask(case_queries.counts, wanted)

    async def alert_volumes(self, since_ns: int) -> list[tuple[int, str, int, int]]:
        """(day, pattern, version of its rule, alerts)."""
        return await self.ask(case_queries.volumes, since_ns)

    async def covered(self, window: Window) -> int:
        """How many alerts a suppression has kept out of the queue."""
        return await self.ask(case_queries.covered, window)

    async def alerts_named(self, alert_ids: Sequence[str]) -> list[QueueRow]:
        """These alerts."""
        return await self.ask(case_queries.alerts_named, alert_ids)

    async def related_alerts(self, alert_id: str) -> list[QueueRow]:
        """Of the same account, or pattern and instrument; none if there is no such alert."""
        return await self.ask(case_queries.related, alert_id)

    async def actions_of_case(self, case_id: str) -> list[StoredAction]:
        """All records about a case or suppression."""
        return await self.ask(case_queries.actions_of_case, case_id)

    async def person(self, name: str) -> StoredPerson | None:
        """Somebody who works here."""
        return await self.ask(mysql_people.person, name)

    async def claim_attempt(self, name: str, attempts: int, now: int) -> bool:
        """Count an attempt to sign in before it is looked at."""
        return await self.ask(mysql_people.claim_attempt, name, attempts, now)

    async def open_session(self, digest: str, name: str, totp_step: int, address: str, now: int, began_after: int) -> bool:
        """Begin a session."""
        return await self.ask(mysql_people.open_session, digest, name, totp_step, address, now, began_after)

    async def session(self, digest: str) -> StoredSession | None:
        """A session."""
        return await self.ask(mysql_people.session, digest)

    async def touch_session(self, digest: str, now: int) -> None:
        """Its person has done something."""
        await self.ask(mysql_people.touch_session, digest, now)

    async def end_session(self, digest: str) -> None:
        """Sign out."""
        await self.ask(mysql_people.end_session, digest)

    async def end_sessions(self, name: str) -> int:
        """Sign out everywhere."""
        return await self.ask(mysql_people.end_sessions, name)

    async def token(self, token_id: str) -> StoredToken | None:
        """An operator token."""
        return await self.ask(mysql_people.token, token_id)

    async def ping(self) -> dict[str, bool]:
        """Whether each store answers within PING_TIMEOUT_S."""
        mysql, redis = await asyncio.gather(answers(self._ping_mysql()), answers(self._ping_redis()))
        return {"mysql": mysql, "redis": redis}

    async def close(self) -> None:
        """Let go of all connections."""
        await self.mysql.close()
        if self._redis is not None:
            await self._redis.close()
        if self._traders is not None:
            await self._traders.close()
        if self._prices is not None:
            await self._prices.aclose()
        if self.cache is not None:
            await self.cache.close()

    async def _ping_mysql(self) -> None:
        await (await self.mysql.primary()).fetch("SELECT 1")

    async def _ping_redis(self) -> None:
        await (await self._cache()).get("")

    async def ask(self, query: Callable[Concatenate[MySql, P], Awaitable[T]], *args: P.args, **kwargs: P.kwargs) -> T:
        """One of sinks.mysql.queries, within its time. The log has the server's own words; customers are told only that it is away."""

        async def ask() -> T:
            return await query(await self.mysql.primary(), *args, **kwargs)

        try:
            return await within(STORE_TIMEOUT_S, "MySQL", ask())
        except ServiceUnavailable as error:
            log.warning("mysql_away", error=str(error))
            raise

    async def read(
        self, query: Callable[Concatenate[Reader, P], Awaitable[T]], account: int | None, *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """As ask, from the cache, or on a replica if there are some: one that has everything that the account has been told of."""
        kind = KINDS.get(query)
        if self.cache is None or kind is None:
            return await self._read(query, account, *args, **kwargs)
        arguments = kind.arguments(args, kwargs)
        question, seen = kind.question(arguments), self._seen(kind, account, arguments)
        if question is None or seen is None:
            return await self._read(query, account, *args, **kwargs)

        async def ask() -> Answer:
            return await self._read(kind.read, account, seen, arguments)

        found: T = await self.cache.read(kind, question, seen, ask)
        return found

    def _seen(self, kind: Kind, account: int | None, arguments: dict[str, Any]) -> Seen | None:
        if kind.of_account:
            return self.place_of(account)
        return self.head_of(kind.instrument(arguments), arguments[kind.end])

    async def _read(
        self, query: Callable[Concatenate[Reader, P], Awaitable[T]], account: int | None, *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """From MySQL."""
        router = await within(STORE_TIMEOUT_S, "MySQL", self.mysql.router())
        if router is None:
            return await self.ask(query, *args, **kwargs)
        try:
            return await within(STORE_TIMEOUT_S, "MySQL", router.read(query, self.place_of(account), *args, **kwargs))
        except ServiceUnavailable as error:
            log.warning("mysql_away", error=str(error))
            raise

    async def _kept(self, query: Callable[Concatenate[MySql, P], Awaitable[T]], *args: P.args, **kwargs: P.kwargs) -> T:
        """As ask, for what is not of the log: done when a replica has it too."""
        result = await self.ask(query, *args, **kwargs)
        await within(STORE_TIMEOUT_S, "MySQL", self.mysql.kept())
        return result

    async def newest_prices(self, symbols: Sequence[str]) -> Newest:
        """What the price cache has of each symbol; nothing while it is away."""

        async def read() -> Newest:
            return await redis_prices.newest(await self._price_cache(), symbols)

        try:
            return await within(CACHE_TIMEOUT_S, "Redis", read())
        except ServiceUnavailable as error:
            log.warning("price_cache_away", error=str(error))
            return Newest({}, {}, {})

    async def _cached(self, key_id: str) -> CachedKey | None:
        async def get() -> CachedKey | None:
            return await (await self._cache()).get(key_id)

        try:
            return await within(CACHE_TIMEOUT_S, "Redis", get())
        except ServiceUnavailable as error:
            log.warning("session_cache_away", error=str(error))
            return None

    async def _put(self, key_id: str, key: CachedKey) -> None:
        async def put() -> None:
            await (await self._cache()).put(key_id, key, CACHED_KEY_TTL_S)

        try:
            await within(CACHE_TIMEOUT_S, "Redis", put())
        except ServiceUnavailable as error:
            log.warning("key_not_cached", error=str(error))

    async def _price_cache(self) -> Redis:
        """The client for prices, connected on first need; raises ServiceUnavailable."""
        if self._prices is None:
            async with self._connecting_redis:
                if self._prices is None:
                    self._prices = await open_redis(self._settings.redis_url)
        return self._prices

    async def _cache(self) -> SessionCache:
        """The session cache, connected on first need; raises ServiceUnavailable."""
        if self._redis is None:
            async with self._connecting_redis:
                if self._redis is None:
                    self._redis = await SessionCache.connect(self._settings.redis_url, self._settings.mysql_url)
        return self._redis

    async def put_trader_session(self, digest: str, session: TraderSession, idle_s: int) -> None:
        """A customer has signed in on the trading page, or does something there."""
        await self._ask_traders(lambda cache: cache.put(digest, session, idle_s))

    async def trader_session(self, digest: str) -> TraderSession | None:
        """A customer's session, or None if it is over."""
        return await self._ask_traders(lambda cache: cache.get(digest))

    async def end_trader_session(self, digest: str) -> None:
        """A customer signs out."""
        await self._ask_traders(lambda cache: cache.delete(digest))

    async def _ask_traders(self, question: Callable[[TraderSessionCache], Awaitable[T]]) -> T:
        async def ask() -> T:
            if self._traders is None:
                async with self._connecting_redis:
                    if self._traders is None:
                        self._traders = await TraderSessionCache.connect(self._settings.redis_url, self._settings.mysql_url)
            return await question(self._traders)

        return await within(CACHE_TIMEOUT_S, "Redis", ask())


def _record(key: CachedKey) -> KeyRecord:
    left_s = (key.ends_at - time.time_ns()) / 1e9 if key.ends_at else math.inf
    networks = networks_of(text for text in key.networks.split(",") if text)
    return KeyRecord(key.secret_sha256, key.account, scopes_of(key.scopes), networks, left_s, key.version, bytes.fromhex(key.public_key))


def _order(stored: StoredOrder) -> Order:
    values = asdict(stored)
    values.pop("version")
    values["offset"] = values.pop("price_offset")
    order = Order(**values)
    name = _TIME_OF_STATUS.get(order.ord_status)
    if name:
        setattr(order, name, order.updated_at)
    return order


def alert_record(stored: StoredAlert) -> dict[str, Any]:
    """The alert as a record of alert.avsc."""
    values = asdict(stored)
    details = values.pop("details")
    return {**ALERT_DEFAULTS, **details, **values, "side": Side(stored.side).name}
