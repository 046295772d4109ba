"""The edge's process: HTTP and WebSockets on one side, Kafka on the other.

It listens at once and says on /readyz what it still lacks; requests that need the log get 503 until Kafka has been reached.
A task of ours that ends by itself is a fault: the process stops and its supervisor starts it again.
"""

import asyncio
import json
import logging
import os
import signal
import sys
import time
from pathlib import Path
from typing import Final

import structlog
import uvloop
from aiohttp import WSCloseCode, web

from edge.alpaca import account_api, order_queries, orders_api, prices_api
from edge.alpaca.market_data_ws import MarketHub
from edge.console import ops_api, pages, surveillance_api
from edge.gateway.accounts import Accounts
from edge.gateway.history import History, Stores
from edge.gateway.kafka_links import KafkaLinks
from edge.gateway.limits import BODY_BYTES_MAX, SHUTDOWN_GRACE_S
from edge.gateway.market_view import MarketView
from edge.gateway.metrics import Metrics
from edge.gateway.pending_requests import PendingRequests
from edge.gateway.sessions import KeyStore, Sessions
from edge.gateway.stores import EdgeStores
from edge.http import answers as http
from edge.http.state import STATE, EdgeState
from schemas.instruments import load_instruments
from schemas.settings import Settings

log = structlog.get_logger(__name__)

_ROUTES: Final = tuple(
    route for module in (orders_api, order_queries, account_api, prices_api, surveillance_api, ops_api, pages) for route in module.ROUTES
)


def make_state(settings: Settings, keys: KeyStore, history: History, stores: Stores) -> EdgeState:
    """Everything the handlers share; nothing is connected yet."""
    instruments, metrics = load_instruments(settings.instruments_file), Metrics()
    market = MarketView(instruments)
    accounts = Accounts(PendingRequests(settings.edge_decision_timeout_ms, time.time_ns), time.time_ns)
    state = EdgeState(
        settings, instruments, metrics, accounts, Sessions(keys, time.monotonic), history, stores, market, MarketHub(market, metrics)
    )
    _watch(state)
    return state


def _watch(state: EdgeState) -> None:
    """Gauges that are read when asked for."""
    accounts, watch = state.accounts, state.metrics.watch
    watch("websockets", "open WebSockets", lambda: len(state.sockets))
    watch("websocket_queued_messages", "messages waiting for WebSockets", lambda: sum(one.queued for one in state.sockets))
    watch("pending_requests", "commands without a decision yet", lambda: len(accounts.pending))
    watch("queued_commands", "commands waiting for Kafka", lambda: accounts.producer.stats().queued if accounts.producer else 0)
    watch("command_frames", "frames appended to account.commands", lambda: accounts.producer.stats().frames if accounts.producer else 0)
    watch("accounts", "account views in memory", lambda: len(accounts))
    watch("sessions", "API keys in memory", lambda: len(state.sessions))
    watch("refused_guesses_total", "requests refused after too many wrong API keys", lambda: state.sessions.refused_guesses)
    watch("market_data_sockets", "WebSockets with a subscription to market data", lambda: state.hub.subscribed)
    watch("market_data_lag", "records of market.data not read yet", lambda: state.market_consumer.lag() if state.market_consumer else 0)
    watch("market_data_gaps", "sequence numbers of market.data that never came", lambda: state.market.gaps)
    watch("sink_lag_records", "records of the log that MySQL has not stored yet", lambda: state.sink_lag.records if state.sink_lag else 0)
    watch("sink_lag_records_max", "beyond so many new orders are refused; 0: never", lambda: state.settings.edge_sink_lag_max)
    watch("bad_reply_frames", "frames of edge.replies that could not be read", lambda: state.replies.bad_frames if state.replies else 0)
    watch(
        "bad_market_data_frames", "frames of market.data that could not be read",
        lambda: state.market_consumer.bad_frames if state.market_consumer else 0,
    )  # fmt: skip
    watch("ready", "1 when /readyz says ready", lambda: float(not ops_api.missing(state)))


def make_app(state: EdgeState) -> web.Application:
    """The application with all routes."""
    app = web.Application(middlewares=[http.answer], client_max_size=BODY_BYTES_MAX)
    app[STATE] = state
    app.add_routes(_ROUTES)
    app.on_response_prepare.append(http.add_headers)
    app.on_shutdown.append(_close_sockets)
    return app


async def _close_sockets(app: web.Application) -> None:
    """Say goodbye to WebSockets; aiohttp waits for their handlers afterwards."""
    for socket in tuple(app[STATE].sockets):
        socket.end_nowait(WSCloseCode.GOING_AWAY)


def announce(path: Path, content: dict[str, int | str]) -> None:
    """Write the readiness file so that a reader sees it whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_suffix(f".{os.getpid()}.tmp")
    draft.write_text(json.dumps(content))
    draft.replace(path)


def withdraw(path: Path) -> None:
    """Take the readiness file away."""
    path.unlink(missing_ok=True)


async def serve(state: EdgeState, stop: asyncio.Event, ready_file: Path) -> None:
    """Listen until `stop` is set, then finish what is open and leave."""
    settings = state.settings
    runner = web.AppRunner(make_app(state), access_log=None, shutdown_timeout=SHUTDOWN_GRACE_S, keepalive_timeout=75)
    await runner.setup()
    site = web.TCPSite(runner, settings.edge_host, settings.edge_port, backlog=1_024)
    await site.start()
    port = runner.addresses[0][1]
    announce(ready_file, {"pid": os.getpid(), "port": port, "host": settings.edge_host})
    log.info("edge_listens", host=settings.edge_host, port=port, instance=settings.edge_instance)
    links = KafkaLinks(state)
    connecting = asyncio.create_task(links.keep(), name="kafka-links")
    stopping = asyncio.create_task(stop.wait(), name="stop")
    try:
        await asyncio.wait([connecting, stopping], return_when=asyncio.FIRST_COMPLETED)
        if connecting.done():
            connecting.result()
            raise AssertionError("the links to Kafka ended by themselves")
    finally:
        state.stopping = True
        withdraw(ready_file)
        await runner.cleanup()  # refuses new connections, waits for open requests, closes WebSockets with 1001
        stopping.cancel()
        connecting.cancel()
        await asyncio.gather(connecting, stopping, return_exceptions=True)
        await links.close()
        await state.stores.close()
    log.info("edge_stopped")


def configure_logging(level: str) -> None:
    """Events with fields, one key=value line each, to standard error, by the standard library's handler: what a full disk does not take is no fault of a request."""
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            structlog.processors.LogfmtRenderer(key_order=["timestamp", "level", "role", "event"], drop_missing=True, bool_as_flag=False),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(getattr(logging, level)),
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=True,
    )
    structlog.contextvars.bind_contextvars(role="edge")
    logging.basicConfig(stream=sys.stderr, level=logging.WARNING, format="%(message)s")  # libraries tell only what is wrong
    for ours in ("edge", "sinks"):
        logging.getLogger(ours).setLevel(level)


async def _main(settings: Settings) -> None:
    stop, loop = asyncio.Event(), asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    stores = EdgeStores(settings)
    state = make_state(settings, stores, stores, stores)
    await serve(state, stop, settings.run_dir / "edge.json")


def run(settings: Settings) -> None:
    """Run the role until it is told to stop."""
    configure_logging(settings.log_level)
    uvloop.run(_main(settings))
