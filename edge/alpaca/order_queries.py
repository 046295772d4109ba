"""GET /v2/orders and its single orders.

`nested=true` puts the other orders of a list within its first one, as at Alpaca; those whose first order is not on the page stand by themselves.
"""

from typing import Any, Final

from aiohttp import web

from edge.alpaca.access import authenticate
from edge.alpaca.errors import value_of
from edge.alpaca.limits import ORDERS_PAGE_DEFAULT, ORDERS_PAGE_MAX
from edge.alpaca.order_json import order_json
from edge.alpaca.order_words import SIDES
from edge.alpaca.request_fields import find_instrument
from edge.gateway.account_view import AccountView, Order
from edge.gateway.history import OrderFilter
from edge.http.answers import json_response
from edge.http.errors import bad_parameter, not_found
from edge.http.state import gateway_of
from edge.http.timestamps import parse_time_ns
from schemas.ids import order_id_of
from schemas.instruments import InstrumentTable


async def get_orders(request: web.Request) -> web.Response:
    """List orders, newest first unless direction=asc."""
    gateway = gateway_of(request)
    session = await authenticate(request)
    wanted = parse_order_query(dict(request.query), gateway.instruments)
    view = value_of(await gateway.accounts.view(session.account))
    listed = value_of(await gateway.orders.page(view, wanted))
    return json_response(_page(listed, view, gateway.instruments, nested=is_nested(request)))


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


def parse_order_query(query: dict[str, str], instruments: InstrumentTable) -> OrderFilter:
    """The filter of GET /v2/orders; raises HttpError naming the parameter."""
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
    gateway = gateway_of(request)
    session = await authenticate(request)
    nested = is_nested(request)
    view = value_of(await gateway.accounts.view(session.account))
    order = await known_order(request, view)
    return json_response(order_json(order, gateway.instruments, view.list_of(order) if nested else None))


async def known_order(request: web.Request, view: AccountView) -> Order:
    """The order that the request's path names; raises HttpError 404 if the account has none such."""
    order = value_of(await gateway_of(request).orders.find(view, order_id_in(request)))
    if order is None:
        raise not_found(f"order not found for {request.match_info['order_id']}")
    return order


async def get_order_by_client_order_id(request: web.Request) -> web.Response:
    """One order by the client's own id."""
    gateway = gateway_of(request)
    session = await authenticate(request)
    cl_ord_id = request.query.get("client_order_id", "")
    if not cl_ord_id:
        raise bad_parameter("client_order_id is required")
    view = value_of(await gateway.accounts.view(session.account))
    order = value_of(await gateway.orders.find_by_cl_ord_id(view, cl_ord_id))
    if order is None:
        raise not_found(f"order not found for client_order_id {cl_ord_id[:128]}")
    return json_response(order_json(order, gateway.instruments))


def order_id_in(request: web.Request) -> int:
    """The order_id of the path; raises HttpError 404 for what is no id of ours."""
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
