"""What the edge tells of an order that is traced."""

import time
from typing import Any

import numpy as np
from support.exchange_in_memory import trading

from edge.gateway.accounts.traced_orders import TracedOrders
from schemas.codec import FRAMES, Frame, Header
from schemas.enums import OrdType, Side, TimeInForce
from topics.order_traces import OrderTraces, Span, root_id, span_id

ORDER: dict[str, Any] = {
    "instrument": 1, "side": Side.BUY, "ord_type": OrdType.LIMIT, "time_in_force": TimeInForce.DAY, "order_qty": 1, "price": 100,
}  # fmt: skip


async def test_an_order_that_was_answered_is_the_root_of_its_trace() -> None:
    """From the stamp that the log has; a cancel makes no other one."""
    told: list[Span] = []
    async with trading() as (gateway, _, _):
        gateway.accounts.traced = TracedOrders(OrderTraces(1), told.append, time.time_ns)
        before = time.time_ns()
        answers = await gateway.accounts.decide_list(1, [ORDER | {"cl_ord_id": b"traced"}])
        assert isinstance(answers, list)
        await gateway.orders.cancel(1, answers[0].row.order_id)
    (root,) = told
    assert (root.name, root.parent_id, root.span_id) == ("order", None, root_id(answers[0].row.order_id))
    assert before <= root.start_ns <= root.end_ns <= time.time_ns()
    assert root.attributes["outcry.cl_ord_id"] == "traced"


async def test_of_orders_that_are_not_chosen_nothing_is_told() -> None:
    """The share is that of every role."""
    told: list[Span] = []
    async with trading() as (gateway, _, _):
        gateway.accounts.traced = TracedOrders(OrderTraces(2**-64), told.append, time.time_ns)
        await gateway.accounts.decide_list(1, [ORDER | {"cl_ord_id": b"untraced"}])
    assert told == []


def test_a_push_is_below_the_record_of_the_account_shard() -> None:
    """It is a hop of its own, beside what other readers do."""
    told: list[Span] = []
    row = np.zeros(1, FRAMES["account_event_frame"].dtype)
    row["order_id"] = 9
    frame = Frame("account_event_frame", Header("account.commands/1", 44), row)
    TracedOrders(OrderTraces(1), told.append, lambda: 2_000).pushed(frame, "edge.replies", 0, 7, 1_000)
    assert [(one.name, one.parent_id, one.start_ns, one.end_ns) for one in told] == [
        ("push", span_id(9, "account.commands/1", 44), 1_000, 2_000)
    ]
