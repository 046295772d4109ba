"""What operators see of a running exchange: GET /status (the page) and /status/now: processes, lag, latency, who would take over.

The processes are those of the supervisor whose run directory this edge has (`outcry up`); each is asked on its own health port what it does. Where no supervisor
is there, as under compose or systemd, the edge tells of itself alone, and says so.
"""

import asyncio
import json
from pathlib import Path
from typing import Any, Final

import aiohttp
from aiohttp import web

from access.people import Role
from edge.console.ops_api import missing
from edge.console.pages import page
from edge.console.sign_in import allowed
from edge.gateway.gateway import Gateway
from edge.http.answers import json_response
from edge.http.state import EdgeState, gateway_of, state_of

ANSWER_TIMEOUT_S: Final = 1.0
"""A process has so long to say what it does; then it is shown as silent."""
ANSWER_BYTES_MAX: Final = 256 << 10
_STATUS_FILE: Final = "status.json"


@allowed(Role.OPERATOR, Role.SUPERVISOR)
async def status_page(request: web.Request) -> web.Response:
    """The page."""
    return page("status.html")


@allowed(Role.OPERATOR, Role.SUPERVISOR)
async def get_status(request: web.Request) -> web.Response:
    """Everything of the page in one answer."""
    state, gateway = state_of(request), gateway_of(request)
    children = await asyncio.to_thread(_children, gateway.settings.run_dir)
    facts = await _ask_all(children)
    return json_response(
        {
            "edge": _edge(state, await gateway.stores.ping()),
            "decision_seconds": _histogram(gateway),
            "supervised": children is not None,
            "processes": [_process(child, facts.get(child["name"])) for child in children or ()],
        }
    )


def _edge(state: EdgeState, stores: dict[str, bool]) -> dict[str, Any]:
    gateway, lag = state.gateway, state.gateway.orders.sink_lag
    return {
        "instance": gateway.settings.edge_instance,
        "missing": missing(state),
        "stores_away": [name for name, well in stores.items() if not well],
        "market_data_lag": gateway.market_consumer.lag() if gateway.market_consumer else None,
        "sink_lag": lag.records if lag else None,
        "websockets": len(state.sockets),
        "fan_out": state.workers(),
        "accounts": len(gateway.accounts),
        "pending_requests": len(gateway.accounts.pending),
        "suspicious_frames": gateway.metrics.suspicious_frames,
    }


def _histogram(gateway: Gateway) -> list[dict[str, Any]]:
    """Decisions since this edge was started, by how long they took: each bucket's own count. up_to_s is None for the last."""
    samples = [one for metric in gateway.metrics.decision.collect() for one in metric.samples if one.name.endswith("_bucket")]
    buckets, before = [], 0.0
    for one in samples:
        bound = one.labels["le"]
        buckets.append({"up_to_s": None if bound == "+Inf" else float(bound), "count": int(one.value - before)})
        before = one.value
    return buckets


def _children(run_dir: Path) -> list[dict[str, Any]] | None:
    """What the supervisor has written of its children; None without one, or while the file is being replaced."""
    try:
        found = json.loads((run_dir / _STATUS_FILE).read_text())["children"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return found if isinstance(found, list) else None


async def _ask_all(children: list[dict[str, Any]] | None) -> dict[str, dict[str, Any]]:
    """What each role that has an address answers on /readyz; a silent one is left out."""
    asked = [one for one in children or () if one.get("kind") == "role" and str(one.get("address", "")).startswith("http://")]
    if not asked:
        return {}
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=ANSWER_TIMEOUT_S)) as client:
        answers = await asyncio.gather(*(_ask(client, one["address"]) for one in asked))
    return {one["name"]: answer for one, answer in zip(asked, answers, strict=True) if answer is not None}


async def _ask(client: aiohttp.ClientSession, address: str) -> dict[str, Any] | None:
    try:
        async with client.get(f"{address.rstrip('/')}/readyz") as response:
            answer = json.loads(await response.content.read(ANSWER_BYTES_MAX))
    except (aiohttp.ClientError, TimeoutError, ValueError):
        return None
    return answer if isinstance(answer, dict) else None


def _process(child: dict[str, Any], facts: dict[str, Any] | None) -> dict[str, Any]:
    """One line. partitions: those it has now; None where it has none to have."""
    partitions = (facts or {}).get("partitions")
    return {
        **{name: child.get(name) for name in ("name", "kind", "state", "restarts", "since", "message", "last_exit")},
        "says": (facts or {}).get("status"),
        "lag": (facts or {}).get("lag_records", (facts or {}).get("market_data_lag")),
        "partitions": sorted(map(str, partitions)) if isinstance(partitions, dict | list) else None,
    }


ROUTES: Final = (web.get("/status", status_page), web.get("/status/now", get_status))
