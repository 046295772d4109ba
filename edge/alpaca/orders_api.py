"""POST, PATCH and DELETE /v2/orders. A new order is answered when its account shard has decided, which is after the log has it.

Status of a fresh order is "new", not "accepted": the shard hands an accepted order to its book in the same step, and the same word
then stands in the answer, in later reads and in the stream's first event. What waits for the first order of its list is "held".

Not so for an order that the book does not take in its phase (the market is closed, halted, no auction is near): by what the edge has heard, the book is about
to refuse it, so POST waits for that and refuses it with the book's reason. If the book's word does not come (PHASE_REFUSAL_S), the phase has
changed: the answer is "accepted", Alpaca's word for an order that is taken and of which the book has said nothing.

A replaced order keeps its id (at Alpaca a new order takes its place: `replaces`, `replaced_by`), and its client_order_id unless PATCH gives it another. So
that a client which goes on with the answer's ids sees what it asked for, PATCH answers when the book has decided: the order as it is then, or 422 with the book's reason. If the book takes
longer than a decision may, the answer is the order in "pending_replace", and the stream tells the rest.
"""

import asyncio
import time
from typing import Any, Final

from aiohttp import web

from edge.alpaca.order_json import order_json, status_text
from edge.alpaca.order_queries import known_order, order_id_in
from edge.alpaca.order_requests import NewOrder, parse_new_order, parse_replace
from edge.alpaca.order_words import ACCEPTED, STATUS_TEXT
from edge.gateway.account_view import AccountView, Order, order_of_row
from edge.gateway.errors import ApiError, outcome_unknown, refusal, unavailable, unprocessable
from edge.gateway.limits import PHASE_REFUSAL_S
from edge.gateway.pending_requests import Answer
from edge.http.answers import authenticate, json_response, read_body
from edge.http.state import EdgeState, state_of
from schemas.enums import AccountEventKind, CommandKind, OrdStatus
from schemas.errors import ServiceUnavailable
from schemas.reject_reasons import Reason
from schemas.units import minor_to_text

_TAKEN: Final = (AccountEventKind.ACCEPTED, AccountEventKind.DUPLICATE)
_OF_THE_PHASE: Final = (Reason.MARKET_CLOSED, Reason.NOT_IN_THIS_PHASE)
"""For these an order is refused by POST although the account shard has taken it; sent again, it is refused again."""


async def post_order(request: web.Request) -> web.Response:
    """Place an order, or the orders of a list: the first one, with the others as its legs."""
    state = state_of(request)
    session = await authenticate(request)
    order = parse_new_order(await read_body(request), state.instruments)
    orders = (order, *order.legs)
    if state.sink_lag is not None:
        state.sink_lag.refuse_new_orders()
    view = await state.accounts.view(session.account)
    started = time.perf_counter()
    try:
        answers = await state.accounts.decide_list(session.account, [one.columns() for one in orders])
    except TimeoutError:
        state.metrics.timeouts.inc()
        raise outcome_unknown() from None
    state.metrics.decision.observe(time.perf_counter() - started)
    if answers[0].row.kind not in _TAKEN:
        raise _list_refused(answers, orders)
    placed, *legs = [view.find(answer.row.order_id) or await _recall(state, answer) for answer in answers]
    status = None
    if answers[0].row.kind == AccountEventKind.ACCEPTED and not placed.is_done and _is_doubtful(state, order):
        await state.accounts.refusal_of_book(placed.order_id, PHASE_REFUSAL_S)
        placed = (await state.accounts.view(session.account)).find(placed.order_id) or placed
        status = ACCEPTED if placed.ord_status == OrdStatus.NEW else None
    if placed.ord_status == OrdStatus.REJECTED and placed.reason in _OF_THE_PHASE:
        raise refusal(placed.reason)
    written = order_json(placed, state.instruments, legs)
    return json_response(written | {"status": status} if status else written)


def _is_doubtful(state: EdgeState, order: NewOrder) -> bool:
    return state.market.refuses_new(order.instrument.symbol, order.ord_type, order.time_in_force)


def _list_refused(answers: list[Answer], orders: tuple[NewOrder, ...]) -> ApiError:
    """The refusal of the order for which the whole list was refused."""
    at = next((at for at, answer in enumerate(answers) if answer.row.reason != Reason.LIST_REJECTED), 0)
    error = _refused(answers[at], orders[at])
    if at:
        error.message += f" (order {at + 1} of the list)"
    return error


async def _recall(state: EdgeState, answer: Answer) -> Order:
    """A duplicate of an order that is done and forgotten here: MySQL knows its times, the answer the rest."""
    try:
        found = await state.history.order(answer.row.account, answer.row.order_id)
    except ServiceUnavailable:
        found = None
    return found or order_of_row(answer.row, answer.cl_ord_id)


def _refused(answer: Answer, order: NewOrder) -> ApiError:
    """The refusal, with the amounts where money or shares were missing."""
    row, detail = answer.row, ""
    if row.reason == Reason.INSUFFICIENT_BUYING_POWER:
        detail = f"(available: {minor_to_text(row.cash - row.cash_held)})"
    elif row.reason == Reason.INSUFFICIENT_SHARES:
        available = order.instrument.qty_text(row.position - row.position_held)
        detail = f"(requested: {order.instrument.qty_text(order.qty)}, available: {available})"
    return refusal(row.reason, detail)


async def patch_order(request: web.Request) -> web.Response:
    """Replace an order."""
    state = state_of(request)
    session = await authenticate(request)
    view = await state.accounts.view(session.account)
    order = await known_order(state, request, view)
    if order.is_done:
        raise _too_late(status_text(order))
    asked = parse_replace(await read_body(request), order, state.instruments)
    wait_s = state.settings.edge_decision_timeout_ms / 1000
    try:
        answer, decided = await state.accounts.replace(session.account, wait_s, order_id=order.order_id, **asked)
    except TimeoutError:
        state.metrics.timeouts.inc()
        raise unavailable("no decision in time: the order may or may not be replaced; read it before you ask again") from None
    refused = decided if answer.row.kind == AccountEventKind.REPLACE_PENDING else answer.row
    if refused is not None and refused.kind == AccountEventKind.CANCEL_REJECTED:
        raise _refused_change(refused.reason, order)
    now = (await state.accounts.view(session.account)).find(order.order_id) or order
    return json_response(order_json(now, state.instruments))


def _refused_change(reason: int, order: Order) -> ApiError:
    return _too_late(status_text(order)) if reason == Reason.TOO_LATE_TO_CANCEL else refusal(reason)


def _too_late(status: str) -> ApiError:
    error = unprocessable(f'order is already in "{status}" state')
    error.reason = Reason.TOO_LATE_TO_CANCEL.name
    return error


async def delete_order(request: web.Request) -> web.Response:
    """Ask to cancel one order; 204 once the shard has passed the wish on, the stream tells what became of it."""
    state = state_of(request)
    session = await authenticate(request)
    order_id = order_id_in(request)
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
        return _too_late(STATUS_TEXT[known.ord_status if known else answer.row.ord_status])
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
    web.delete("/v2/orders", delete_orders),
    web.patch("/v2/orders/{order_id}", patch_order),
    web.delete("/v2/orders/{order_id}", delete_order),
)
