"""The configuration of an account at an edge: asked for once, however many orders wait for it."""

import asyncio
from typing import Any

import pytest
from support.served_edge import until

from edge.gateway.orders.customers import DEFAULTS, Customers
from edge.gateway.outcomes import Accepted
from sinks.mysql import customer_records


class SlowStore:
    """Answers when the test says so."""

    def __init__(self) -> None:
        self.asked = 0
        self.may_answer = asyncio.Event()
        self.stored: dict[str, Any] = {}

    async def ask(self, query: Any, *args: Any) -> Any:
        if query is customer_records.change_configuration:
            return args[1]
        self.asked += 1
        seen = dict(self.stored)
        await self.may_answer.wait()
        return seen


async def test_a_burst_of_orders_asks_once_and_one_that_gives_up_takes_nothing_from_the_others() -> None:
    """Otherwise a hundred orders behind a logon would be a hundred questions, and those behind them would find MySQL away."""
    store: Any = SlowStore()
    customers = Customers(store, lambda: 1_000.0)
    burst = [asyncio.create_task(customers.configuration(7)) for _ in range(100)]
    await asyncio.sleep(0)
    burst[0].cancel()
    store.may_answer.set()
    with pytest.raises(asyncio.CancelledError):
        await burst[0]
    assert {repr(one) for one in await asyncio.gather(*burst[1:])} == {repr(Accepted(DEFAULTS))}
    assert store.asked == 1
    await customers.configuration(8)
    assert store.asked == 2, "another account is another question"


async def test_what_is_configured_while_it_is_read_stays() -> None:
    """The answer under way is older."""
    store: Any = SlowStore()
    customers = Customers(store, lambda: 1_000.0)
    reading = asyncio.create_task(customers.configuration(7))
    await until(lambda: store.asked == 1, "it is being read")
    await customers.configure(7, {"suspend_trade": True})
    store.may_answer.set()
    for found in (await reading, await customers.configuration(7)):
        assert isinstance(found, Accepted)
        assert found.value["suspend_trade"] is True
