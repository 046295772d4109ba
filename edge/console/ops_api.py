"""/healthz (the process lives), /readyz (it can do its work, or what it lacks), /metrics (Prometheus)."""

from typing import Any, Final

from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from edge.http.answers import json_response
from edge.http.state import EdgeState, state_of


def missing(state: EdgeState) -> list[str]:
    """What this edge cannot do without and does not have now; empty when it is ready."""
    faults = {
        f"kafka: {state.kafka_problem}": bool(state.kafka_problem),
        "replies: the consumer of edge.replies does not run": state.replies is None or not state.replies.running,
        "market data: not caught up with the log": state.market_consumer is None or not state.market_consumer.ready,
        "stopping": state.stopping,
    }
    return [fault for fault, present in faults.items() if present]


async def healthz(request: web.Request) -> web.Response:
    """The process lives."""
    return json_response({"status": "alive", "role": "edge", "instance": state_of(request).settings.edge_instance})


async def readyz(request: web.Request) -> web.Response:
    """Ready, or 503 with what is missing. MySQL and Redis are told but not required: known keys and memory go on without them."""
    state = state_of(request)
    lacks = missing(state)
    stores = await state.stores.ping()
    body: dict[str, Any] = {
        "status": "ready" if not lacks else "not ready",
        "missing": lacks,
        "degraded": [name for name, well in stores.items() if not well],
        "role": "edge",
        "instance": state.settings.edge_instance,
        "market_data_lag": state.market_consumer.lag() if state.market_consumer else None,
        "suspicious_frames": state.metrics.suspicious_frames,
        "accounts": len(state.accounts),
        "websockets": len(state.sockets),
    }
    return json_response(body, 503 if lacks else 200)


async def metrics(request: web.Request) -> web.Response:
    """Prometheus text."""
    return web.Response(body=generate_latest(state_of(request).metrics.registry), headers={"Content-Type": CONTENT_TYPE_LATEST})


ROUTES: Final = (web.get("/healthz", healthz), web.get("/readyz", readyz), web.get("/metrics", metrics))
