"""GET /v2/orders and its single orders.

`nested=true` puts the other orders of a list within its first one, as at Alpaca; those whose first order is not on the page stand by themselves.
"""

from collections.abc import Mapping
from typing import Any, Final

from aiohttp import web

from edge.alpaca.access import authenticate
from edge.alpaca.errors import value_of
from edge.alpaca.limits import ORDERS_PAGE_DEFAULT, ORDERS_PAGE_MAX
from edge.alpaca.order_words import SIDES
from edge.alpaca.orders.order_json import order_json
from edge.alpaca.query_fields import Query
from edge.alpaca.request_fields import find_instrument
from edge.gateway.accounts.view import AccountView, Order
from edge.gateway.stored.history import OrderFilter
from edge.http.answers import json_response
from edge.http.client_data import quoted
from edge.http.errors import bad_parameter, not_found
from edge.http.state import gateway_of
from schemas.ids import order_id_of
from schemas.instruments import InstrumentTable


async def get_orders(request: web.Request) -> web.Response:
    """List orders, newest first unless direction=asc."""
    gateway = gateway_of(request)
    session = await authenticate(request)
    wanted = parse_order_query(request.query, gateway.instruments)
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
    return Query(request.query).flag("nested")


_STATUSES: Final = ("open", "closed", "all")
_DIRECTIONS: Final = {"asc": True, "desc": False}
_ASSET_CLASSES: Final = ("", "us_equity", "us_option", "crypto", "crypto_perp", "all")


def parse_order_query(values: Mapping[str, str], instruments: InstrumentTable) -> OrderFilter:
    """The filter of GET /v2/orders; raises HttpError naming the parameter."""
    query = Query(values)
    wanted: frozenset[int] | None = None
    if query.text("symbols"):
        # names that do not exist match nothing, so a list of only such names has no orders
        found = (find_instrument(symbol, instruments) for symbol in query.names("symbols"))
        wanted = frozenset(one.number for one in found if one is not None)
    classes = {query_class.strip() for query_class in query.text("asset_class").split(",")}
    for one in classes - set(_ASSET_CLASSES):
        raise query.refused(f"invalid asset_class {quoted(one)}: must be us_equity, us_option, crypto or all")
    if not classes & {"", "us_equity", "all"}:
        wanted = frozenset()
    side = query.word("side", SIDES, "buy") if query.text("side") else None
    below, above = (_order_id(query, name) for name in ("before_order_id", "after_order_id"))
    if below is not None and above is not None:
        raise query.refused("before_order_id and after_order_id cannot be sent together")
    return OrderFilter(
        query.whole("limit", ORDERS_PAGE_DEFAULT, ORDERS_PAGE_MAX), _time(query, "after"), _time(query, "until"),
        query.word("direction", _DIRECTIONS, "desc"), wanted, side, query.word("status", _STATUSES, "open"), below, above,
    )  # fmt: skip


def _time(query: Query, name: str) -> int | None:
    return query.time(name, 0) if query.text(name) else None


def _order_id(query: Query, name: str) -> int | None:
    """An account's order_ids grow with time, so one is a place among them, whether the order still exists or not."""
    if not query.text(name):
        return None
    order_id = order_id_of(query.text(name))
    if order_id is None:
        raise query.refused(f"invalid {name} {quoted(query.text(name))}: must be the id of an order")
    return order_id


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
    cl_ord_id = Query(request.query).text("client_order_id")
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
