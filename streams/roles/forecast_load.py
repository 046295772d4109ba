"""Forecast load: how many processes of each role the coming minutes take, and why, for whoever scales them.

In:     executions (counted by minute); /metrics of edges, for their sockets, where OUTCRY_FORECAST_EDGES names them
Out:    none on the log. KEDA's external scaler over gRPC, /forecast over HTTP, gauges, and a table of minutes and counts: streams.roles.load_table
State:  that table, a copy of what the log says; a restart loses what was counted of the minute that is not over. The role joins no group
On failure: what is missing is told (/readyz, UNAVAILABLE), never guessed. Nobody waits for it: floors are in the manifests, and it never goes below its own

By default it only says what it *would have* scaled to (OUTCRY_FORECAST_MODE=observe): scalers get the floor of each role.
"""

import asyncio
import re
import signal
import time
from collections.abc import Callable, Mapping
from typing import Any, Final

import aiohttp
import structlog
import uvloop
from aiohttp import web
from prometheus_client import Gauge

from forecast.costs import Costs
from forecast.counts import Count, RolePlan
from forecast.errors import BadLoad
from forecast.model import LoadModel, Outlook
from forecast.rates import Rates
from forecast.slots import MINUTE_NS
from schemas.codec import BadBytes, decode_frame
from schemas.errors import ServiceUnavailable
from schemas.market_hours import MarketCalendar, MarketClock, moment
from schemas.settings import Settings
from streams.keda.scaler import Scaler
from streams.process.health import HealthServer
from streams.process.logging import configure_logging
from streams.process.record_keys import record_keys
from streams.roles.load_table import LoadTable
from streams.transport.cluster import partition_counts
from topics.catalogue import EXECUTIONS
from topics.kafka_clients import native_client
from topics.offsets import Offsets, Place
from topics.reader import LogReader, PlacesLost
from topics.roles import FORECAST_LOAD

log = structlog.get_logger("outcry.streams")

TICK_S: Final = 5.0
"""Between two decisions."""
SETTLE_NS: Final = 2_000_000_000
"""A minute is closed so long behind its end: what was decided in it has arrived by then."""
HISTORY_MINUTES: Final = 40 * 1_440
"""Kept, and read from the log where the table is new: 20 days of trading, and some."""
STALE_S: Final = 60.0
"""A count that is older is not served."""
AHEAD_NS_MAX: Final = 5_000_000_000
_SOCKETS: Final = re.compile(r"^outcry_edge_market_data_sockets (\S+)$", re.MULTILINE)
WANTED: Final = Gauge("outcry_forecast_wanted", "processes that a role should have", ["role"])
LOAD: Final = Gauge("outcry_forecast_load", "load per second, or sockets: now, and five minutes ahead", ["kind", "what"])
TRUSTED: Final = Gauge("outcry_forecast_trusted", "1: the last loads were where the forecast had them", ["kind"])


class ForecastLoad:
    """The role without its clients. now: real time, ns. Raises CalendarEnds where the calendar does."""

    def __init__(
        self, costs: Costs, calendar: MarketCalendar, clock: MarketClock, table: LoadTable, scaling: bool, now: Callable[[], int]
    ) -> None:
        self._costs, self._clock, self._table, self._scaling, self._now = costs, clock, table, scaling, now
        self._rates = Rates(clock)
        self._models = {kind: LoadModel(calendar) for kind in ("orders", "rows", "sockets")}
        self._plans = {name: RolePlan(role, costs) for name, role in costs.roles.items()}
        self._outlooks: dict[str, Outlook | None] = {}
        self._sockets: float | None = None
        self._counts: dict[str, Count] = {}
        self._decided_ns = 0
        self._told_minute = -1
        self._next_minute = -1
        self.trouble = "starting"
        for minute, kind, load in table.minutes():
            self._learn(kind, minute, load)
            self._next_minute = max(self._next_minute, minute + 1)

    def _learn(self, kind: str, minute: int, load: float) -> None:
        try:
            self._models[kind].observe(minute * MINUTE_NS, load)
        except BadLoad as error:
            log.warning("a load is not learned from", kind=kind, detail=str(error))

    def take(self, value: bytes | None) -> None:
        """A record of executions. One that cannot be read is passed over: who reads it first writes the dead letter."""
        try:
            frame = decode_frame(value or b"", "execution_frame")
        except BadBytes:
            return
        self._rates.take(frame.rows)

    def sockets(self, count: float | None) -> None:
        """Open at all edges; None: not known."""
        self._sockets = count

    def look(self, places: Mapping[Place, int], caught_up: bool) -> None:
        """Close the minutes that are over, and decide. places: where reading goes on. Raises OSError."""
        market_ns = self._clock.to_market(self._now())
        if self._rates.newest * MINUTE_NS > market_ns + AHEAD_NS_MAX:
            self.trouble = f"the log is at {moment(self._rates.newest * MINUTE_NS)}, this machine at {moment(market_ns)}: a clock is wrong"
            return
        if not caught_up:
            self.trouble = f"reads the log: it is at {moment(max(self._rates.newest, 0) * MINUTE_NS)}"
            return
        over = (market_ns - SETTLE_NS) // MINUTE_NS
        if self._next_minute > over + 2:
            self.trouble = (
                f"the table is at {moment(self._next_minute * MINUTE_NS)}, this machine at {moment(market_ns)}: a clock went back"
            )
            return
        self._close(over, places)
        self._decide(market_ns)
        self.trouble = ""

    def _close(self, over: int, places: Mapping[Place, int]) -> None:
        if self._next_minute < 0:
            self._next_minute = self._rates.oldest if self._rates.oldest >= 0 else over
        self._next_minute = max(self._next_minute, over - HISTORY_MINUTES)
        closed: list[tuple[int, str, float]] = []
        while self._next_minute < over:
            minute, self._next_minute = self._next_minute, self._next_minute + 1
            loads = self._rates.close(minute)
            if self._sockets is not None and minute == over - 1:
                loads["sockets"] = self._sockets
            for kind, load in loads.items():
                self._learn(kind, minute, load)
                closed.append((minute, kind, load))
        if closed:
            self._table.add(closed, places, over - HISTORY_MINUTES)

    def _decide(self, market_ns: int) -> None:
        minute = market_ns // MINUTE_NS
        if minute != self._told_minute:
            self._outlooks = {kind: model.outlook(market_ns, volatility=self._rates.volatility) for kind, model in self._models.items()}
        loads = self._rates.recent(market_ns) | ({"sockets": self._sockets} if self._sockets is not None else {})
        for name, plan in self._plans.items():
            role = self._costs.roles[name]
            kinds = [kind for kind in role.kinds if kind != "sockets" or self._models["sockets"].last_minute >= 0]
            self._counts[name] = plan.decide(market_ns / MINUTE_NS, {kind: self._outlooks[kind] for kind in kinds}, loads)
        self._decided_ns = self._now()
        if minute != self._told_minute:
            self._told_minute = minute
            self._tell(minute, loads)

    def _tell(self, minute: int, loads: Mapping[str, float]) -> None:
        self._table.tell(minute, self._counts.values(), self._scaling)
        for count in self._counts.values():
            WANTED.labels(count.role).set(count.wanted)
        for kind, outlook in self._outlooks.items():
            LOAD.labels(kind, "now").set(loads.get(kind, 0.0))
            if outlook is not None:
                LOAD.labels(kind, "p50").set(outlook.p50[5])
                LOAD.labels(kind, "p95").set(outlook.p95[5])
                TRUSTED.labels(kind).set(outlook.trusted)
        log.info(
            "counts" if self._scaling else "would have scaled", minute=minute, **{one.role: one.wanted for one in self._counts.values()}
        )

    # ---- what is served

    def roles(self) -> frozenset[str]:
        """See streams.keda.scaler.Wanted."""
        return frozenset(self._costs.roles)

    def floor(self, role: str) -> int:
        """See streams.keda.scaler.Wanted."""
        return self._costs.roles[role].floor

    def wanted(self, role: str) -> int:
        """What scalers get: see streams.keda.scaler.Wanted."""
        count = self._fresh(role)
        return count.wanted if self._scaling else self.floor(role)

    def _fresh(self, role: str) -> Count:
        age_s = (self._now() - self._decided_ns) / 1e9
        if role not in self._counts or not -1 <= age_s <= STALE_S:
            raise ServiceUnavailable(f"there is no count of {role}: {self.trouble or f'the last one is {age_s:.0f} s old'}")
        return self._counts[role]

    def told(self, role: str) -> dict[str, Any]:
        """A count with its reason, as JSON. Raises ServiceUnavailable."""
        one = self._fresh(role)
        return {
            "role": role, "value": self.wanted(role), "wanted": one.wanted, "mode": "scale" if self._scaling else "observe", "forecast": one.forecast,
            "reactive": one.reactive, "p50": one.p50, "p95": one.p95, "confidence": one.confidence, "reason": one.reason,
        }  # fmt: skip

    def hour(self) -> dict[str, Any]:
        """Loads of the coming hour by minute, as JSON."""
        return {
            kind: [
                {"at": one.text, "p50": float(p50), "p95": float(p95)}
                for one, p50, p95 in zip(outlook.minutes, outlook.p50, outlook.p95, strict=True)
            ]
            for kind, outlook in self._outlooks.items()
            if outlook is not None
        }

    def status(self) -> dict[str, object]:
        """For people."""
        return {"days": self._models["orders"].days, "mode": "scale" if self._scaling else "observe"}


def routes(role: ForecastLoad) -> list[web.RouteDef]:
    """The metrics API: /forecast, all counts and the coming hour; /forecast/ROLE, one count (`value` is what a scaler takes)."""

    async def everything(request: web.Request) -> web.Response:
        try:
            return web.json_response({"counts": [role.told(name) for name in sorted(role.roles())], "hour": role.hour()})
        except ServiceUnavailable as error:
            return web.json_response({"error": str(error)}, status=503)

    async def one(request: web.Request) -> web.Response:
        name = request.match_info["role"]
        if name not in role.roles():
            return web.json_response({"error": f"{name[:80]!r} has no count; there are {', '.join(sorted(role.roles()))}"}, status=404)
        try:
            return web.json_response(role.told(name))
        except ServiceUnavailable as error:
            return web.json_response({"error": str(error)}, status=503)

    return [web.get("/forecast", everything), web.get("/forecast/{role}", one)]


async def count_sockets(session: aiohttp.ClientSession, edges: list[str]) -> float | None:
    """Open at these edges; None where one of them does not answer, or says nothing of sockets."""
    total = 0.0
    for url in edges:
        try:
            async with session.get(f"{url}/metrics") as answer:
                found = _SOCKETS.search(await answer.text()) if answer.status == web.HTTPOk.status_code else None
        except (aiohttp.ClientError, TimeoutError, UnicodeDecodeError) as error:
            log.warning("an edge does not tell its sockets", edge=url, detail=str(error))
            return None
        if found is None:
            return None
        total += float(found[1])
    return total


class _Feed:
    """The log and the edges, for the role."""

    def __init__(self, settings: Settings, role: ForecastLoad, table: LoadTable) -> None:
        self._role, self._table, self._keys = role, table, record_keys(settings)
        client = {**native_client(settings.kafka_url), "client.id": FORECAST_LOAD.name}
        self._offsets = Offsets(client)
        self._reader = LogReader(client | {"auto.offset.reset": "error", "fetch.min.bytes": 1 << 16, "fetch.wait.max.ms": 500})
        count = partition_counts(settings, EXECUTIONS)[EXECUTIONS.name]
        self._places = [(EXECUTIONS.name, number) for number in range(count)]
        self._edges = [url.rstrip("/") for url in settings.forecast_edges.split(",") if url]

    async def run(self, stop: asyncio.Event) -> None:
        """Until told to stop."""
        await self._reader.start()
        try:
            async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=2)) as session:
                await self._begin()
                due = 0.0
                while not stop.is_set():
                    await self._read()
                    if time.monotonic() >= due:
                        due = time.monotonic() + TICK_S
                        if self._edges:
                            self._role.sockets(await count_sockets(session, self._edges))
                        self._look()
        finally:
            await self._reader.stop()
            await self._offsets.close()

    async def _begin(self) -> None:
        """Behind the table; without one, from as far back as history goes."""
        known = self._table.places()
        low, high = await self._offsets.beginnings(self._places), await self._offsets.ends(self._places)
        since = await self._offsets.at(self._places, int(time.time() * 1_000) - HISTORY_MINUTES * 60_000)
        starts = {}
        for place in self._places:
            begin = since.get(place)
            start = known.get(place, high[place] if begin is None else begin)
            if not low[place] <= start <= high[place]:
                log.warning("the table is not of this log: a part of it is missing", topic=place[0], partition=place[1], next_offset=start)
            starts[place] = min(max(start, low[place]), high[place])
        self._reader.go_to(starts)

    async def _read(self) -> None:
        try:
            found = await self._reader.records(0.5)
        except PlacesLost as lost:
            log.warning("records are gone before they were read", detail=str(lost))
            await self._begin()
            return
        for messages in found.values():
            for message in messages:
                if self._keys.proof_of(message).refusal is None:
                    self._role.take(message.value())

    def _look(self) -> None:
        positions = {place: at for place in self._places if (at := self._reader.position(place)) is not None}
        ends = {place: self._reader.end(place) for place in self._places}
        if any(end is None for end in ends.values()):
            self._role.trouble = "the log has not told yet where it ends"
            return
        caught_up = all((ends[place] or 0) <= positions.get(place, 0) for place in self._places)
        try:
            self._role.look(positions, caught_up)
        except OSError as error:
            self._role.trouble = f"the disk does not take the table: {error}"
            log.warning("loads are not kept", detail=str(error))


async def _main(settings: Settings) -> None:
    costs, calendar = Costs.load(settings.forecast_costs_file), MarketCalendar.load(settings.market_days_file)
    table = LoadTable(settings.data_dir / "forecast" / "loads.sqlite")
    role = ForecastLoad(costs, calendar, MarketClock.parse(settings.market_clock), table, settings.forecast_mode == "scale", time.time_ns)
    scaler, stop = Scaler(role), asyncio.Event()
    port = await scaler.start(f"{settings.worker_host}:{settings.forecast_port}")
    health = HealthServer(settings, FORECAST_LOAD.name, lambda: role.trouble, lambda: role.status() | {"scaler_port": port}, routes(role))
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    await health.start()
    try:
        await _Feed(settings, role, table).run(stop)
    finally:
        await health.stop()
        await scaler.stop()
        table.close()


def run(settings: Settings) -> None:
    """Run the role until it is told to stop."""
    configure_logging(settings.log_level, FORECAST_LOAD.name)
    uvloop.run(_main(settings))
