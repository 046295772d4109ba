"""The trace of one real order on the real services: from its POST to what its owner is told."""

import json
import time
import uuid
from collections.abc import Callable
from typing import Any

import aiohttp
import pytest

pytestmark = pytest.mark.integration
WAIT_S = 600.0
STORES = ("persist-mysql", "persist-elasticsearch")
HOPS = {"order", "hold-funds", "match-orders", "settle", "publish-market-data", "push", *STORES}


def spans(exchange: Any) -> list[dict[str, Any]]:
    """Of every process; a line that is being written is not there yet."""
    whole = (
        line for path in sorted((exchange.settings.home / "traces").glob("*.jsonl")) for line in path.read_text().splitlines(keepends=True)
    )
    return [json.loads(line) for line in whole if line.endswith("\n")]


def trace_of(exchange: Any, cl_ord_id: str) -> list[dict[str, Any]]:
    """The spans of the trace whose root names the order."""
    found = spans(exchange)
    roots = {one["context"]["trace_id"] for one in found if one["attributes"].get("outcry.cl_ord_id") == cl_ord_id}
    return [one for one in found if one["context"]["trace_id"] in roots]


def eventually(look: Callable[[], list[dict[str, Any]]], holds: Callable[[list[dict[str, Any]]], bool]) -> list[dict[str, Any]]:
    """What is seen once it holds."""
    deadline = time.monotonic() + WAIT_S
    while not holds(seen := look()):
        assert time.monotonic() < deadline, sorted((one["name"], one["parent_id"]) for one in seen)
        time.sleep(0.2)
    return seen


async def test_an_order_is_one_trace_from_its_post_to_its_push(exchange: Any) -> None:
    """Six processes make it, and two more store it; every span but the root is below another one of it, and says which record it is about."""
    cl_ord_id = f"traced-{uuid.uuid4()}"
    for who, side, name in ((0, "sell", f"other-{uuid.uuid4()}"), (1, "buy", cl_ord_id)):
        key_id, secret, _ = exchange.api_keys[who]
        body = {
            "symbol": "AAPL",
            "type": "limit",
            "time_in_force": "day",
            "client_order_id": name,
            "side": side,
            "qty": "3",
            "limit_price": "180.77",
        }
        async with (
            aiohttp.ClientSession(headers={"APCA-API-KEY-ID": key_id, "APCA-API-SECRET-KEY": secret}) as client,
            client.post(f"{exchange.edge_url}/v2/orders", json=body) as answer,
        ):
            assert answer.status == 200, await answer.text()
    trace = eventually(
        lambda: trace_of(exchange, cl_ord_id), lambda seen: {one["name"] for one in seen} >= HOPS and is_whole(seen) and is_stored(seen)
    )
    assert len({one["context"]["trace_id"] for one in trace}) == 1
    assert [one["name"] for one in trace if one["parent_id"] is None] == ["order"]
    below = {(one["name"], above["name"]) for one in trace for above in trace if above["context"]["span_id"] == one["parent_id"]}
    assert below >= {("hold-funds", "order"), ("match-orders", "hold-funds"), ("settle", "match-orders"), ("push", "settle")}
    assert below >= {(store, told) for store in STORES for told in ("hold-funds", "match-orders", "settle")}
    for one in trace:
        if one["parent_id"] is not None:
            said = one["attributes"]
            assert said["messaging.destination.name"], said
            assert int(said["messaging.destination.partition.id"]) >= 0
            assert said["messaging.kafka.offset"] >= 0


def is_stored(trace: list[dict[str, Any]]) -> bool:
    """Whether each store has all three: the order accepted, executed, and settled."""
    return all(sum(one["name"] == store for one in trace) >= 3 for store in STORES)


def is_whole(trace: list[dict[str, Any]]) -> bool:
    """Whether every parent has arrived."""
    ids = {one["context"]["span_id"] for one in trace}
    return all(one["parent_id"] in ids for one in trace if one["parent_id"] is not None)
