"""What `outcry cache warm` does: predict what will be asked for, and read it from MySQL at a bounded rate."""

import asyncio
import json
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Concatenate, Final, ParamSpec, TypeVar

from forecast.demand import INTEREST, WATCHED, YESTERDAY, Signal, ranked
from schemas.errors import ServiceUnavailable
from schemas.instruments import InstrumentTable, load_instruments
from schemas.market_hours import NEW_YORK, MarketCalendar, ns_of
from schemas.settings import Settings
from sinks.cached.entries import PREFIX, Entries
from sinks.cached.kinds import Answer
from sinks.cached.pages import Page, pages_of_account, pages_of_symbol
from sinks.cached.secret import cache_secret
from sinks.cached.store import CacheStore
from sinks.cached.warming import Progress, Warming
from sinks.mysql import demand
from sinks.mysql.places import Place
from sinks.mysql.pool import MySql, Reader
from sinks.mysql.routing.router import Router
from sinks.mysql.servers import ServersFile
from sinks.redis import prices
from sinks.redis.client import open_redis

WARMED: Final = f"{PREFIX}warming"
"""The key of what the last run has told; nobody's reads depend on it."""
WARMED_KEPT_S: Final = 7 * 86_400
EVENTS_LOOKED_AT: Final = 1_000_000
"""The newest events of each account shard, from which accounts are ranked: 50 questions of ~20 ms."""
P = ParamSpec("P")
T = TypeVar("T")


@dataclass(frozen=True)
class Wish:
    """How many of each at most; reads of MySQL a second."""

    symbols: int
    accounts: int
    per_s: float


class Source:
    """MySQL for warming: a replica where there are some, else the primary, over one connection."""

    def __init__(self, pool: MySql | None, router: Router | None, per_s: float) -> None:
        self._pool, self._router, self._pause_s = pool, router, 1 / per_s

    async def ask(self, query: Callable[Concatenate[Reader, P], Awaitable[T]], *args: P.args, **kwargs: P.kwargs) -> T:
        """At once. Raises ServiceUnavailable."""
        if self._router is not None:
            return await self._router.read(query, None, *args, **kwargs)
        assert self._pool is not None
        return await query(self._pool, *args, **kwargs)

    async def slowly(self, query: Callable[Concatenate[Reader, P], Awaitable[T]], *args: P.args, **kwargs: P.kwargs) -> T:
        """The same at the rate of the run."""
        answer = await self.ask(query, *args, **kwargs)
        await asyncio.sleep(self._pause_s)
        return answer


@asynccontextmanager
async def source_of(settings: Settings, per_s: float) -> AsyncIterator[Source]:
    """Connected. Raises OutcryError."""
    if settings.mysql_servers_file is not None:
        router = await Router.started(ServersFile(settings.mysql_servers_file), "warmer", zone=settings.mysql_zone)
        try:
            yield Source(None, router, per_s)
        finally:
            await router.close()
        return
    pool = await MySql.connect(settings.mysql_url, size_max=1)
    try:
        yield Source(pool, None, per_s)
    finally:
        await pool.close()


async def warmed(settings: Settings, wish: Wish, tell: Callable[[Progress], None]) -> Progress:
    """Warm; tell of it now and then. Raises OutcryError."""
    if not settings.cache_url:
        raise ServiceUnavailable("there is no cache: OUTCRY_CACHE_URL is not set; `outcry up` starts one")
    secret = cache_secret(settings.mysql_url, settings.cache_secret)
    store = CacheStore(settings.cache_url)

    async def told(progress: Progress) -> None:
        tell(progress)
        client = await store.client()
        await client.set(WARMED, json.dumps(vars(progress)), ex=WARMED_KEPT_S)

    try:
        await store.client()
        async with source_of(settings, wish.per_s) as source:

            async def ask(page: Page) -> Answer:
                return await source.ask(page.kind.read, page.seen, page.arguments)

            pages = await expected(settings, wish, source)
            return await Warming(store, Entries(secret), ask, wish.per_s).run(pages, told)
    finally:
        await store.close()


async def expected(settings: Settings, wish: Wish, source: Source) -> list[Page]:
    """The pages, the most expected first: symbols, which all see, before accounts."""
    now_ns = time.time_ns()
    day_ns, before_ns = trading_days(settings, now_ns)
    pages = [
        page for number, _ in await symbols(settings, wish.symbols, source) for page in pages_of_symbol(number, day_ns, before_ns, now_ns)
    ]
    for account, _, place in await accounts(wish.accounts, source):
        pages += pages_of_account(account, place)
    return pages


async def planned(settings: Settings, wish: Wish) -> list[str]:
    """A line for each symbol and account."""
    names = {one.number: one.symbol for one in load_instruments(settings.instruments_file)}
    async with source_of(settings, wish.per_s) as source:
        lines = [f"{names[number]:<16}{share:>8.2%}" for number, share in await symbols(settings, wish.symbols, source)]
        return lines + [f"account {account:<8}{share:>8.2%}" for account, share, _ in await accounts(wish.accounts, source)]


def trading_days(settings: Settings, now_ns: int) -> tuple[int, int]:
    """When today began in New York, and the trading day before; ns."""
    today = datetime.fromtimestamp(now_ns / 1e9, NEW_YORK).date()
    calendar = MarketCalendar.load(settings.market_days_file)
    before = max(
        (one.day for one in calendar.days(today - timedelta(days=14), today - timedelta(days=1))), default=today - timedelta(days=1)
    )
    day_ns, before_ns = (ns_of(datetime(day.year, day.month, day.day, tzinfo=NEW_YORK)) for day in (today, before))
    return day_ns, before_ns


async def symbols(settings: Settings, most: int, source: Source) -> list[tuple[int, float]]:
    """(instrument, expected share of the reads of symbols)."""
    if not most:
        return []
    instruments = load_instruments(settings.instruments_file)
    _, before_ns = trading_days(settings, time.time_ns())
    traded = {one.number: await source.slowly(demand.trades_since, one.number, before_ns) for one in instruments}
    signals = [
        Signal("yesterday", traded, YESTERDAY),
        Signal("watchlists", await source.slowly(demand.watched), WATCHED),
        Signal("auction", await _interest(settings, instruments), INTEREST),
    ]
    known = {one.number for one in instruments}
    return [one for one in ranked(signals, most) if one[0] in known]


async def _interest(settings: Settings, instruments: InstrumentTable) -> dict[int, int]:
    """What the call phase of each instrument has gathered, lots; nothing while Redis is away."""
    by_symbol = {one.symbol: one.number for one in instruments}
    try:
        client = await open_redis(settings.redis_url)
        try:
            found = await prices.auctions(client, list(by_symbol))
        finally:
            await client.aclose()
    except ServiceUnavailable:
        return {}
    return {by_symbol[symbol]: int(values["qty"]) + int(values["imbalance_qty"]) for symbol, values in found.items()}


async def accounts(most: int, source: Source) -> list[tuple[int, float, Place]]:
    """(account, share of the newest postings, the place that its pages are read at)."""
    if not most:
        return []
    counts: Counter[int] = Counter()
    places: dict[int, Place] = {}
    for shard, last in (await source.slowly(demand.last_events)).items():
        for first in range(max(0, last + 1 - EVENTS_LOOKED_AT), last + 1, demand.PIECE):
            found = await source.slowly(demand.active_accounts, shard, first, min(first + demand.PIECE, last + 1))
            counts.update(found)
            places |= dict.fromkeys(found, Place(shard, last))
    return [(account, share, places[account]) for account, share in ranked([Signal("postings", counts, 1.0)], most)]
