"""POST, GET and DELETE /v2/orders. A new order is answered when its account shard has decided, which is after the log has it.

Status of a fresh order is "new", not "accepted": the shard hands an accepted order to its book in the same step, and the same word
then stands in the answer, in later reads and in the stream's first event.
"""

import asyncio
import time
from typing import Any, Final

from aiohttp import web

from edge.account_view import AccountView, Order, order_of_row
from edge.errors import ApiError, bad_parameter, history_away, not_found, outcome_unknown, refusal, unavailable, unprocessable
from edge.history import OrderFilter
from edge.http import authenticate, json_response, read_body
from edge.limits import ORDERS_PAGE_DEFAULT, ORDERS_PAGE_MAX
from edge.order_json import SIDES, STATUS_TEXT, NewOrder, find_instrument, order_json, parse_new_order
from edge.pending_requests import Answer
from edge.sessions import Session
from edge.state import EdgeState, state_of
from edge.timestamps import parse_time_ns
from schemas.enums import AccountEventKind, CommandKind
from schemas.errors import ServiceUnavailable
from schemas.ids import order_id_of
from schemas.instruments import InstrumentTable
from schemas.reject_reasons import Reason
from schemas.units import minor_to_text

_TAKEN: Final = (AccountEventKind.ACCEPTED, AccountEventKind.DUPLICATE)


async def post_order(request: web.Request) -> web.Response:
    """Place an order."""
    state = state_of(request)
    session = await authenticate(request)
    order = parse_new_order(await read_body(request), state.instruments)
    view = await state.accounts.view(session.account)
    started = time.perf_counter()
    try:
        answer = await state.accounts.decide(
            CommandKind.NEW_ORDER, session.account, side=order.side, ord_type=order.ord_type, time_in_force=order.time_in_force,
            instrument=order.instrument.number, order_qty=order.qty, price=order.price, cl_ord_id=order.cl_ord_id,
        )  # fmt: skip
    except TimeoutError:
        state.metrics.timeouts.inc()
        raise outcome_unknown() from None
    state.metrics.decision.observe(time.perf_counter() - started)
    if answer.row.kind not in _TAKEN:
        raise _refused(answer, order, view)
    placed = view.find(answer.row.order_id) or await _recall(state, answer)
    return json_response(order_json(placed, state.instruments))


async def _recall(state: EdgeState, answer: Answer) -> Order:
    """A duplicate of an order that is done and forgotten here: MySQL knows its times, the answer the rest."""
    try:
        found = await state.history.order(answer.row.account, answer.row.order_id)
    except ServiceUnavailable:
        found = None
    return found or order_of_row(answer.row, answer.cl_ord_id)


def _refused(answer: Answer, order: NewOrder, view: AccountView) -> ApiError:
    """The refusal, with the amounts where money or shares were missing."""
    row, detail = answer.row, ""
    if row.reason == Reason.INSUFFICIENT_BUYING_POWER:
        detail = f"(available: {minor_to_text(row.cash - row.cash_held)})"
    elif row.reason == Reason.INSUFFICIENT_SHARES:
        available = order.instrument.qty_text(row.position - row.position_held)
        detail = f"(requested: {order.instrument.qty_text(order.qty)}, available: {available})"
    return refusal(row.reason, detail)


async def get_orders(request: web.Request) -> web.Response:
    """List orders, newest first unless direction=asc."""
    state = state_of(request)
    session = await authenticate(request)
    wanted = parse_order_query(dict(request.query), state.instruments)
    view = await state.accounts.view(session.account)
    found = {order.order_id: order for order in view.orders() if wanted.admits(order)}
    if wanted.status != "open" and (len(found) < wanted.limit or wanted.ascending or wanted.until_ns is not None):
        # asked only where memory may not hold the whole page; what memory knows is newer
        for order in await _older(state, session, wanted):
            known = view.find(order.order_id)
            if known is None:
                found[order.order_id] = order
    listed = sorted(found.values(), key=lambda order: (order.submitted_at, order.order_id), reverse=not wanted.ascending)
    return json_response([order_json(order, state.instruments) for order in listed[: wanted.limit]])


async def _older(state: EdgeState, session: Session, wanted: OrderFilter) -> list[Order]:
    try:
        return await state.history.orders(session.account, wanted)
    except ServiceUnavailable:
        raise history_away("older orders") from None


def parse_order_query(query: dict[str, str], instruments: InstrumentTable) -> OrderFilter:
    """The filter of GET /v2/orders; raises ApiError naming the parameter."""
    status = query.get("status", "open")
    if status not in ("open", "closed", "all"):
        raise bad_parameter("status must be open, closed or all")
    direction = query.get("direction", "desc")
    if direction not in ("asc", "desc"):
        raise bad_parameter("direction must be asc or desc")
    limit = query.get("limit", str(ORDERS_PAGE_DEFAULT))
    if not (limit.isascii() and limit.isdigit() and 1 <= int(limit[:9]) <= ORDERS_PAGE_MAX):
        raise bad_parameter(f"limit must be a number from 1 to {ORDERS_PAGE_MAX}")
    times = {name: parse_time_ns(query[name]) for name in ("after", "until") if query.get(name)}
    for name, value in times.items():
        if value is None:
            raise bad_parameter(f"{name} must be a date or an RFC 3339 time")
    side = query.get("side", "")
    if side and side not in SIDES:
        raise bad_parameter("side must be buy or sell")
    instruments_wanted: frozenset[int] | None = None
    if query.get("symbols"):
        # names that do not exist match nothing, so a list of only such names has no orders
        found = (find_instrument(symbol, instruments) for symbol in query["symbols"].split(","))
        instruments_wanted = frozenset(one.number for one in found if one is not None)
    return OrderFilter(
        int(limit), times.get("after"), times.get("until"), direction == "asc", instruments_wanted, SIDES[side] if side else None, status
    )


async def get_order(request: web.Request) -> web.Response:
    """One order by its id."""
    state = state_of(request)
    session = await authenticate(request)
    order_id = _order_id(request)
    view = await state.accounts.view(session.account)
    order = view.find(order_id) or await _read(state.history.order(session.account, order_id))
    if order is None:
        raise not_found(f"order not found for {request.match_info['order_id']}")
    return json_response(order_json(order, state.instruments))


async def get_order_by_client_order_id(request: web.Request) -> web.Response:
    """One order by the client's own id."""
    state = state_of(request)
    session = await authenticate(request)
    cl_ord_id = request.query.get("client_order_id", "")
    if not cl_ord_id:
        raise bad_parameter("client_order_id is required")
    view = await state.accounts.view(session.account)
    order = view.find_by_cl_ord_id(cl_ord_id) or await _read(state.history.order_by_cl_ord_id(session.account, cl_ord_id))
    if order is None:
        raise not_found(f"order not found for client_order_id {cl_ord_id[:128]}")
    return json_response(order_json(order, state.instruments))


async def _read(asking: Any) -> Order | None:
    try:
        order: Order | None = await asking
    except ServiceUnavailable:
        raise history_away("older orders") from None
    return order


def _order_id(request: web.Request) -> int:
    text = request.match_info["order_id"]
    order_id = order_id_of(text)
    if order_id is None:
        raise not_found(f"order not found for {text[:64]}")
    return order_id


async def delete_order(request: web.Request) -> web.Response:
    """Ask to cancel one order; 204 once the shard has passed the wish on, the stream tells what became of it."""
    state = state_of(request)
    session = await authenticate(request)
    order_id = _order_id(request)
    view = await state.accounts.view(session.account)
    error = await _cancel(state, session.account, order_id, view)
    if error is not None:
        raise error
    return web.Response(status=204)


async def _cancel(state: EdgeState, account: int, order_id: int, view: AccountView) -> ApiError | None:
    try:
        answer = await state.accounts.decide(CommandKind.CANCEL, account, order_id=order_id)
    except TimeoutError:
        state.metrics.timeouts.inc()
        return unavailable("no decision in time: the order may or may not be canceled; ask again")
    if answer.row.kind == AccountEventKind.CANCEL_PENDING:
        return None
    if answer.row.reason == Reason.TOO_LATE_TO_CANCEL:
        known = view.find(order_id)
        status = STATUS_TEXT[known.ord_status if known else answer.row.ord_status]
        error = unprocessable(f'order is already in "{status}" state')
        error.reason = Reason.TOO_LATE_TO_CANCEL.name
        return error
    return refusal(answer.row.reason)


async def delete_orders(request: web.Request) -> web.Response:
    """Ask to cancel every open order; 207 with each one's own status."""
    state = state_of(request)
    session = await authenticate(request)
    view = await state.accounts.view(session.account)
    orders = sorted(view.open_orders.values(), key=lambda order: order.order_id)
    results = await asyncio.gather(*(_cancel_of_many(state, session.account, order, view) for order in orders))
    return json_response(results, 207)


async def _cancel_of_many(state: EdgeState, account: int, order: Order, view: AccountView) -> dict[str, Any]:
    try:
        error = await _cancel(state, account, order.order_id, view)
    except ApiError as failed:
        error = failed
    return {"id": order_json(order, state.instruments)["id"], "status": error.status if error else 200}


ROUTES: Final = (
    web.post("/v2/orders", post_order),
    web.get("/v2/orders", get_orders),
    web.delete("/v2/orders", delete_orders),
    web.get("/v2/orders:by_client_order_id", get_order_by_client_order_id),
    web.get("/v2/orders/{order_id}", get_order),
    web.delete("/v2/orders/{order_id}", delete_order),
)
