"""GET /v2/orders: open orders from memory, older ones from MySQL.

`nested=true` puts the other orders of a list within its first one, as at Alpaca; those whose first order is not on the page stand by themselves.
"""

from typing import Any, Final

from aiohttp import web

from edge.alpaca.order_json import order_json
from edge.alpaca.order_words import SIDES
from edge.alpaca.request_fields import find_instrument
from edge.gateway.account_view import AccountView, Order
from edge.gateway.errors import bad_parameter, history_away, not_found
from edge.gateway.history import OrderFilter
from edge.gateway.limits import ORDERS_PAGE_DEFAULT, ORDERS_PAGE_MAX
from edge.gateway.sessions import Session
from edge.gateway.timestamps import parse_time_ns
from edge.http.answers import authenticate, json_response
from edge.http.state import EdgeState, state_of
from schemas.errors import ServiceUnavailable
from schemas.ids import order_id_of
from schemas.instruments import InstrumentTable


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
    return json_response(_page(listed[: wanted.limit], view, state.instruments, nested=is_nested(request)))


def _page(listed: list[Order], view: AccountView, instruments: InstrumentTable, *, nested: bool) -> list[dict[str, Any]]:
    if not nested:
        return [order_json(order, instruments) for order in listed]
    shown = {order.order_id for order in listed}
    on_top = [order for order in listed if order.list_id in (0, order.order_id) or order.list_id not in shown]
    return [order_json(order, instruments, view.list_of(order)) for order in on_top]


def is_nested(request: web.Request) -> bool:
    """Whether the request wants the orders of a list within its first one."""
    nested = request.query.get("nested", "false").lower()
    if nested not in ("true", "false"):
        raise bad_parameter("nested must be true or false")
    return nested == "true"


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
    nested = is_nested(request)
    view = await state.accounts.view(session.account)
    order = await known_order(state, request, view)
    return json_response(order_json(order, state.instruments, view.list_of(order) if nested else None))


async def known_order(state: EdgeState, request: web.Request, view: AccountView) -> Order:
    """The order that the request's path names; raises ApiError 404 if the account has none such."""
    order_id = order_id_in(request)
    order = view.find(order_id) or await _read(state.history.order(view.account, order_id))
    if order is None:
        raise not_found(f"order not found for {request.match_info['order_id']}")
    return order


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


def order_id_in(request: web.Request) -> int:
    """The order_id of the path; raises ApiError 404 for what is no id of ours."""
    text = request.match_info["order_id"]
    order_id = order_id_of(text)
    if order_id is None:
        raise not_found(f"order not found for {text[:64]}")
    return order_id


ROUTES: Final = (
    web.get("/v2/orders", get_orders),
    web.get("/v2/orders:by_client_order_id", get_order_by_client_order_id),
    web.get("/v2/orders/{order_id}", get_order),
)
