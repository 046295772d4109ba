"""A process for market-data WebSockets alone, one of several that share a port (SO_REUSEPORT).

Started by the edge's process (edge.worker_processes), which writes the settings to its stdin as one line of JSON. It reads the log until it has what
that process has, and is fed by it from then on. It ends with TERM, or when its stdin ends: a worker without its edge would be fed by nobody.
"""

import asyncio
import os
import resource
import signal
import sys
from contextlib import suppress
from typing import Final

import psutil
import structlog
import uvloop
from aiohttp import WSCloseCode, web

from edge.alpaca.market_data import prices_api
from edge.alpaca.market_data.hub import HUB
from edge.app import make_app, make_state
from edge.console import ops_api
from edge.fanout.limits import DRAIN_S
from edge.gateway.limits import SHUTDOWN_GRACE_S
from edge.gateway.market.fed_consumer import FedMarketConsumer
from edge.gateway.outcomes import Unavailable
from edge.gateway.stored.stores import EdgeStores
from edge.gateway.worker_links import WorkerLinks
from edge.http.descriptors import sockets_max
from edge.http.listening import listen, new_runner
from edge.http.state import STATE, EdgeState
from edge.native import socket_api
from edge.native.desk import DESK
from edge.worker_processes import feed_path
from edge.worker_reports import REPORT_EVERY_S, Report
from schemas.logins import act_as
from schemas.settings import Settings
from streams.process.garbage import look_rarely
from streams.process.logging import configure_logging
from streams.process.record_keys import record_keys
from topics.roles import EDGE

log = structlog.get_logger(__name__)

ROUTES: Final = (*prices_api.MARKET_SOCKETS, *socket_api.ROUTES, *ops_api.PROBES)
NICENESS: Final = 5
"""Beside the edge's process, which has the orders: when processor time is short, a storm of readers waits and no order does."""
BACKLOG: Final = 4_096
"""Connections that the kernel keeps until we take them: two seconds of ADMISSIONS_PER_S. More than net.core.somaxconn says is cut to that."""


def _report(app: web.Application) -> Report:
    state = app[STATE]
    fan_out, market, used = state.fan_out, state.gateway.market_consumer, resource.getrusage(resource.RUSAGE_SELF)
    fed = market if isinstance(market, FedMarketConsumer) else None
    return Report(
        ready=not ops_api.missing(state),
        fed=fed is not None and fed.is_fed,
        fed_records=fed.fed_records if fed is not None else 0,
        sockets=len(fan_out.sockets),
        subscribed=app[HUB].subscribed,
        behind=fan_out.behind,
        lag=market.lag() if market is not None else 0,
        resident_bytes=psutil.Process().memory_info().rss,
        cpu_s=used.ru_utime + used.ru_stime,
        **{name: getattr(fan_out, name) for name in ("delivered", "conflated", "evicted", "cut", "silent", "refused")},
    )


async def _tell_reports(app: web.Application) -> None:
    """To the edge's process, until cancelled. One that does not read them must not hold us up."""
    out = sys.stdout.fileno()
    os.set_blocking(out, False)
    while True:
        with suppress(BlockingIOError, BrokenPipeError):  # the next one tells more
            os.write(out, _report(app).line())
        await asyncio.sleep(REPORT_EVERY_S)


async def _serve(settings: Settings, number: int, stop: asyncio.Event) -> None:
    stores = EdgeStores(settings)
    state = make_state(settings, stores, stores, stores, stores)
    state.serves_market_only, state.fan_out.sockets_max = True, sockets_max()
    gateway, app = state.gateway, make_app(state, ROUTES)
    links = WorkerLinks(gateway, record_keys(settings, EDGE.name), feed_path(settings))
    runner = new_runner(app)
    await runner.setup()
    tasks = [
        asyncio.create_task(_tell_reports(app), name="reports"),
        asyncio.create_task(links.keep(), name="kafka-links"),
        asyncio.create_task(gateway.key_changes.run(), name="key-changes"),
        asyncio.create_task(gateway.keep_days(), name="days"),
        asyncio.create_task(_listen(runner, state, number), name="listen"),
    ]
    stopping = asyncio.create_task(stop.wait(), name="stop")
    try:
        await asyncio.wait([*tasks, stopping], return_when=asyncio.FIRST_COMPLETED)
        for task in tasks:
            if task.done():
                task.result()
                raise AssertionError(f"{task.get_name()} ended by itself")
    finally:
        state.stopping = True
        for site in tuple(runner.sites):
            await site.stop()  # the others take who comes now
        app[DESK].drain()
        await state.fan_out.close(WSCloseCode.SERVICE_RESTART, SHUTDOWN_GRACE_S, DRAIN_S)
        await runner.cleanup()
        stopping.cancel()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, stopping, return_exceptions=True)
        await links.close()
        await stores.close()
    log.info("fanout_worker_stopped", number=number)


async def _listen(runner: web.AppRunner, state: EdgeState, number: int) -> None:
    """As soon as there is something to tell: until then the others take who comes. Until cancelled."""
    settings = state.gateway.settings
    while isinstance(waited := await state.gateway.market_caught_up(), Unavailable):
        log.warning("fanout_worker_waits", number=number, reason=waited.text, kafka=state.gateway.kafka_problem or "answers")
    look_rarely()
    await listen(web.TCPSite(runner, settings.edge_host, settings.edge_fanout_port, backlog=BACKLOG, reuse_port=True))
    log.info("fanout_worker_listens", host=settings.edge_host, port=settings.edge_fanout_port, number=number)
    await asyncio.Event().wait()


async def _main(settings: Settings, number: int) -> None:
    stop, loop = asyncio.Event(), asyncio.get_running_loop()
    for signal_number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(signal_number, stop.set)

    def edge_has_gone() -> None:
        loop.remove_reader(sys.stdin.fileno())
        stop.set()

    loop.add_reader(sys.stdin.fileno(), edge_has_gone)  # nothing comes but its end
    await _serve(settings, number, stop)


def main() -> None:
    """Serve until told to stop. The one argument: the worker's number."""
    os.nice(NICENESS)
    act_as(EDGE.name)
    settings = Settings.model_validate_json(sys.stdin.buffer.readline())
    configure_logging(settings.log_level, "edge")
    uvloop.run(_main(settings, int(sys.argv[1])))


if __name__ == "__main__":
    main()
