"""A sink that does not keep up is felt at the edge before anything is lost: new orders get 503, cancels are taken, and it ends by itself."""

import os
import signal
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass
from typing import Any

import aiohttp
import pytest

from schemas.enums import Phase
from schemas.settings import Settings
from streams.operate.accounts import Opening, make_api_keys, open_accounts, store_api_keys
from streams.operate.command_books import change_session
from streams.services.local_set import LocalSet
from streams.services.recipes.ports import choose

pytestmark = [pytest.mark.integration, pytest.mark.slow]
LAG_MAX = 30
CASH_MINOR = 1_000_000 * 10_000
SERVICES = ("kafka", "mariadb", "valkey")
ROLES = ("hold-funds", "match-orders", "persist-mysql", "edge")
WAIT_S = 600


@dataclass(frozen=True)
class Small:
    """A set of its own, whose edge bears little, and a customer with money in an open market."""

    local_set: LocalSet
    url: str
    headers: dict[str, str]


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Small]:
    """Running."""
    home = tmp_path_factory.mktemp("lag")
    made = LocalSet(Settings(home=home, edge_port=choose(home, ["edge"])["edge"], edge_sink_lag_max=LAG_MAX))
    with made.running(SERVICES, ROLES) as settings:
        change_session(settings, Phase.CONTINUOUS)
        open_accounts(settings, [Opening(1, CASH_MINOR, {})])
        (key,) = make_api_keys((1,))
        store_api_keys(settings, [key])
        yield Small(made, f"http://127.0.0.1:{settings.edge_port}", {"APCA-API-KEY-ID": key.key_id, "APCA-API-SECRET-KEY": key.secret})


@pytest.fixture
async def client(small: Small) -> AsyncIterator[aiohttp.ClientSession]:
    """The customer's."""
    async with aiohttp.ClientSession(small.url, headers=small.headers) as made:
        yield made


async def post(client: aiohttp.ClientSession) -> tuple[int, dict[str, Any], str]:
    """An order that rests: status, body, Retry-After."""
    order = {"symbol": "AAPL", "side": "buy", "qty": "1", "type": "limit", "time_in_force": "day", "limit_price": "170.00"}
    async with client.post("/v2/orders", json=order) as answer:
        return answer.status, await answer.json(), answer.headers.get("Retry-After", "")


async def until(attempt: Callable[[], Awaitable[bool]]) -> None:
    """Attempted until it is so."""
    deadline = time.monotonic() + WAIT_S
    while not await attempt():
        assert time.monotonic() < deadline, "it did not come about in time"


async def test_an_edge_whose_records_are_far_behind_refuses_new_orders_takes_cancels_and_recovers(
    small: Small, client: aiohttp.ClientSession
) -> None:
    """persist-mysql is stopped; orders are taken until the limit, then refused with the reason; it goes on, and so do they."""
    resting: list[str] = []

    async def taken() -> bool:
        status, body, _ = await post(client)
        resting.extend([body["id"]] if status == 200 else [])
        return status == 200

    await until(taken)
    status = small.local_set.status()
    assert status is not None
    (sink,) = [child.pid for child in status.children if child.name == "persist-mysql"]
    assert sink is not None
    os.kill(sink, signal.SIGSTOP)
    try:
        refused: list[tuple[int, dict[str, Any], str]] = []

        async def is_refused() -> bool:
            status, body, retry_after = await post(client)
            if status == 200:
                resting.append(body["id"])
            else:
                refused.append((status, body, retry_after))
            return any(one[1].get("reject_reason") == "STORE_BEHIND" for one in refused)

        await until(is_refused)
        assert refused[-1][0] == 503 and int(refused[-1][2]) > 0
        async with client.delete(f"/v2/orders/{resting[-1]}") as answer:
            assert answer.status == 204
        async with client.get("/metrics") as answer:
            lines = (await answer.text()).splitlines()
        (lag,) = [float(line.split()[1]) for line in lines if line.startswith("outcry_edge_sink_lag_records ")]
        assert lag > LAG_MAX
    finally:
        os.kill(sink, signal.SIGCONT)
    await until(taken)
