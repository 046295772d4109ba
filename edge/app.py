"""The edge's process: HTTP and WebSockets on one side, Kafka on the other.

It listens at once and says on /readyz what it still lacks; requests that need the log get 503 until Kafka has been reached.
A task of ours that ends by itself is a fault: the process stops and its supervisor starts it again.
"""

import asyncio
import json
import os
import signal
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import structlog
import uvloop
from aiohttp import WSCloseCode, web

from edge.alpaca.market_data import crypto_api, prices_api
from edge.alpaca.market_data.hub import HUB, MarketHub
from edge.alpaca.routes import ROUTES as ALPACA_ROUTES
from edge.console import (
    cases_api,
    drafts_api,
    exports,
    links_api,
    ops_api,
    pages,
    reports_api,
    search_api,
    sign_in,
    status_api,
    surveillance_api,
    traders,
    what_if_api,
)
from edge.documents import pages as documents
from edge.fanout.limits import DRAIN_S
from edge.gateway.access.people import PeopleStore
from edge.gateway.accounts.traced_orders import TracedOrders
from edge.gateway.gateway import ApiKeyParts, Gateway
from edge.gateway.kafka_links import KafkaLinks
from edge.gateway.limits import SHUTDOWN_GRACE_S
from edge.gateway.market.feed import FeedServer
from edge.gateway.stored.history import History, Stores
from edge.gateway.stored.stores import EdgeStores
from edge.http import answers as http
from edge.http.descriptors import sockets_max
from edge.http.front_door import ENTRANCES
from edge.http.limits import BODY_BYTES_MAX
from edge.http.listening import listen, new_runner
from edge.http.metrics import HttpMetrics
from edge.http.state import STATE, EdgeState
from edge.native import rest, socket_api
from edge.native import search_api as native_search
from edge.native.desk import DESK, new_desk
from edge.worker_processes import WorkerProcesses, feed_path
from edge.worker_reports import WorkersCollector
from schemas.settings import Settings
from sinks.cached.metrics import CacheMetrics
from streams.process.files import write_atomically
from streams.process.garbage import look_rarely
from streams.process.logging import configure_logging
from streams.process.record_keys import record_keys
from streams.process.spans import span_teller
from topics.order_traces import OrderTraces
from topics.own_log import require_own_log
from topics.roles import EDGE

log = structlog.get_logger(__name__)

NATIVE_ROUTES: Final = (*rest.ROUTES, *native_search.ROUTES, *socket_api.ROUTES)
_ROUTES: Final = (
    *ALPACA_ROUTES,
    *NATIVE_ROUTES,
    *(
        route
        for module in (
            surveillance_api,
            links_api,
            what_if_api,
            search_api,
            cases_api,
            exports,
            drafts_api,
            reports_api,
            ops_api,
            status_api,
            pages,
            sign_in,
            traders,
            documents,
        )
        for route in module.ROUTES
    ),
)


def make_state(settings: Settings, keys: ApiKeyParts, people: PeopleStore, history: History, stores: Stores) -> EdgeState:
    """Everything the handlers share; nothing is connected yet."""
    gateway = Gateway(settings, keys, people, history, stores)
    state = EdgeState(gateway, HttpMetrics(gateway.metrics))
    watch = gateway.metrics.watch
    watch("websockets", "open WebSockets", lambda: len(state.sockets))
    fan_out = state.fan_out
    watch("websocket_queued_messages", "messages waiting for WebSockets", lambda: sum(one.queued for one in state.sockets))
    watch("websockets_behind", "WebSockets that take less than they are told", lambda: fan_out.behind)
    watch("fanout_delivered_total", "events of a flush, times the WebSockets that they were for", lambda: fan_out.delivered)
    watch("fanout_conflated_total", "prices that a newer one has replaced before they were written", lambda: fan_out.conflated)
    watch("fanout_flushes_total", "flushes", lambda: fan_out.flushes)
    watch("fanout_evicted_total", "slow clients that were told so and let go", lambda: fan_out.evicted)
    watch("fanout_refused_total", "handshakes refused because too many came at once", lambda: fan_out.refused)
    watch("fanout_cut_total", "WebSockets cut because they did not take the farewell", lambda: fan_out.cut)
    watch("fanout_silent_total", "WebSockets cut because the peer did not answer a ping", lambda: fan_out.silent)
    watch("ready", "1 when /readyz says ready", lambda: float(not ops_api.missing(state)))
    return state


def make_app(state: EdgeState, routes: Sequence[web.RouteDef] = _ROUTES) -> web.Application:
    """The application with all routes, or with those of a fan-out worker."""
    app = web.Application(middlewares=[http.answer], client_max_size=BODY_BYTES_MAX)
    app[STATE], gateway = state, state.gateway
    hub = app[HUB] = MarketHub(gateway.market, state.fan_out, state.metrics, lambda: gateway.hears_market)
    gateway.follow_market(hub.publish)
    app[DESK] = new_desk(gateway, state.fan_out, state.metrics, market_only=state.serves_market_only)
    app[crypto_api.BUCKETS] = crypto_api.public_buckets()
    gateway.metrics.watch("market_data_sockets", "WebSockets with a subscription to market data", lambda: hub.subscribed)
    app.add_routes(routes)
    served = {route.path for route in routes}
    app[ENTRANCES] = {path: entrance for path, entrance in (prices_api.ENTRANCES | socket_api.ENTRANCES).items() if path in served}
    app.on_response_prepare.append(http.add_headers)
    app.on_shutdown.append(_close_sockets)
    return app


async def _close_sockets(app: web.Application) -> None:
    """Say goodbye to WebSockets, and wait until they have taken it."""
    app[DESK].drain()
    await app[STATE].fan_out.close(WSCloseCode.GOING_AWAY, SHUTDOWN_GRACE_S, DRAIN_S)


def _workers(state: EdgeState) -> WorkerProcesses:
    """Fan-out workers, if the settings want any, with what the edge shows of them."""
    gateway = state.gateway
    workers = WorkerProcesses(gateway.settings)
    if gateway.settings.edge_fanout_workers:
        gateway.feed = FeedServer(feed_path(gateway.settings), lambda: gateway.market_consumer.progress if gateway.market_consumer else {})
        gateway.metrics.registry.register(WorkersCollector(lambda: workers.reports, lambda: workers.starts))
        state.workers = workers.summary
    return workers


async def serve(state: EdgeState, stop: asyncio.Event, ready_file: Path) -> None:
    """Listen until `stop` is set, then finish what is open and leave. Raises OutcryError where the edge has no key to write with."""
    gateway, settings = state.gateway, state.gateway.settings
    links = KafkaLinks(gateway, record_keys(settings, EDGE.name))
    workers = _workers(state)
    runner = new_runner(make_app(state))
    await runner.setup()
    await listen(web.TCPSite(runner, settings.edge_host, settings.edge_port, backlog=1_024))
    port = runner.addresses[0][1]
    ready = {"pid": os.getpid(), "port": port, "host": settings.edge_host}
    look_rarely()
    write_atomically(ready_file, json.dumps(ready | ({"fan_out_port": workers.port} if settings.edge_fanout_workers else {})))
    log.info("edge_listens", host=settings.edge_host, port=port, instance=settings.edge_instance)
    connecting = asyncio.create_task(links.keep(), name="kafka-links")
    hearing = asyncio.create_task(gateway.key_changes.run(), name="key-changes")
    days = asyncio.create_task(gateway.keep_days(), name="days")
    fan_out = asyncio.create_task(workers.run(), name="fan-out-workers")
    stopping = asyncio.create_task(stop.wait(), name="stop")
    try:
        await asyncio.wait([connecting, hearing, days, fan_out, stopping], return_when=asyncio.FIRST_COMPLETED)
        for task in (connecting, hearing, days, fan_out):
            if task.done():
                task.result()
                raise AssertionError(f"{task.get_name()} ended by itself")
    finally:
        state.stopping = True
        _withdraw(ready_file)
        fan_out.cancel()  # its workers say goodbye while we do
        await runner.cleanup()  # refuses new connections, waits for open requests, closes WebSockets with 1001
        stopping.cancel()
        connecting.cancel()
        hearing.cancel()
        days.cancel()
        await asyncio.gather(connecting, hearing, days, fan_out, stopping, return_exceptions=True)
        if gateway.feed is not None:
            await gateway.feed.stop()
        await gateway.what_ifs.close()
        await links.close()
        await gateway.searches.trail.close()
        await gateway.stores.close()
    log.info("edge_stopped")


def _withdraw(ready_file: Path) -> None:
    ready_file.unlink(missing_ok=True)


async def _main(settings: Settings) -> None:
    stop, loop = asyncio.Event(), asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    stores = EdgeStores(settings)
    state = make_state(settings, stores, stores, stores, stores)
    stores.place_of, stores.head_of = state.gateway.places.of, state.gateway.told_of
    state.gateway.metrics.registry.register(stores.mysql)
    tell = span_teller(settings, EDGE.name, f"{EDGE.name}-{settings.edge_instance}")
    if tell is not None:
        state.gateway.accounts.traced = TracedOrders(OrderTraces(settings.traces_share), tell, time.time_ns)
    state.fan_out.sockets_max = sockets_max()
    state.gateway.metrics.registry.register(CacheMetrics(lambda: stores.cache))
    await serve(state, stop, settings.run_dir / "edge.json")


def run(settings: Settings) -> None:
    """Run the role until it is told to stop."""
    configure_logging(settings.log_level, "edge")
    require_own_log(settings, EDGE.name)
    uvloop.run(_main(settings))
