"""/healthz (the process lives), /readyz (it can do its work, or what it lacks), /metrics (Prometheus)."""

from typing import Any, Final

from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from edge.http.answers import json_response
from edge.http.state import EdgeState, gateway_of, state_of


def missing(state: EdgeState) -> list[str]:
    """What this edge cannot do without and does not have now; empty when it is ready."""
    faults = {
        f"kafka: {state.gateway.kafka_problem}": bool(state.gateway.kafka_problem),
        "replies: the consumer of edge.replies does not run": not state.serves_market_only
        and (state.gateway.replies is None or not state.gateway.replies.running),
        "market data: not caught up with the log": state.gateway.market_consumer is None or not state.gateway.market_consumer.ready,
        "stopping": state.stopping,
    }
    return [fault for fault, present in faults.items() if present]


async def healthz(request: web.Request) -> web.Response:
    """The process lives."""
    return json_response({"status": "alive", "role": "edge", "instance": gateway_of(request).settings.edge_instance})


async def readyz(request: web.Request) -> web.Response:
    """Ready, or 503 with what is missing. MySQL, Redis and fan-out workers are told but not required: orders go on without them."""
    state = state_of(request)
    lacks = missing(state)
    stores, workers = await state.gateway.stores.ping(), state.workers()
    body: dict[str, Any] = {
        "status": "ready" if not lacks else "not ready",
        "missing": lacks,
        "degraded": [name for name, well in stores.items() if not well] + _workers_away(workers),
        "role": "edge",
        "instance": state.gateway.settings.edge_instance,
        "market_data_lag": state.gateway.market_consumer.lag() if state.gateway.market_consumer else None,
        "suspicious_frames": state.gateway.metrics.suspicious_frames,
        "accounts": len(state.gateway.accounts),
        "websockets": len(state.sockets),
    } | ({"fan_out": workers} if workers else {})
    return json_response(body, 503 if lacks else 200)


def _workers_away(workers: dict[str, int]) -> list[str]:
    return ["fan-out workers"] if workers and workers["ready"] < workers["workers"] else []


async def metrics(request: web.Request) -> web.Response:
    """Prometheus text."""
    return web.Response(body=generate_latest(gateway_of(request).metrics.registry), headers={"Content-Type": CONTENT_TYPE_LATEST})


PROBES: Final = (web.get("/healthz", healthz), web.get("/readyz", readyz))
"""Those that a fan-out worker answers too, of itself."""
ROUTES: Final = (*PROBES, web.get("/metrics", metrics))
