"""POST, PATCH and DELETE /v2/orders; what they do is in edge.gateway.orders.orders.

Status of a fresh order is "new", not "accepted": the shard hands an accepted order to its book in the same step, and the same word
then stands in the answer, in later reads and in the stream's first event. What waits for the first order of its list is "held".
"accepted" is Alpaca's word for an order that is taken and of which the book has said nothing: here one that the book was expected to
refuse for its phase.

A replaced order keeps its id (at Alpaca a new order takes its place: `replaces`, `replaced_by`), and its client_order_id unless PATCH gives it another.
So that a client which goes on with the answer's ids sees what it asked for, PATCH answers when the book has decided: the order as it is then, or 422 with
the book's reason. If the book takes longer than a decision may, the answer is the order in "pending_replace", and the stream tells the rest.
"""

from dataclasses import replace
from decimal import Decimal
from typing import Final

from aiohttp import web

from edge.alpaca.access import account_of, authenticate
from edge.alpaca.errors import error_of, value_of
from edge.alpaca.order_words import ACCEPTED
from edge.alpaca.orders.order_json import order_json
from edge.alpaca.orders.order_queries import known_order, order_id_in
from edge.alpaca.orders.order_requests import parse_new_order, parse_replace
from edge.gateway.orders.orders import too_late
from edge.gateway.outcomes import Accepted
from edge.http.answers import json_response, read_body
from edge.http.state import gateway_of
from schemas.enums import Side
from schemas.ids import order_uuid
from schemas.instruments import Instrument


async def post_order(request: web.Request) -> web.Response:
    """Place an order, or the orders of a list: the first one, with the others as its legs."""
    gateway = gateway_of(request)
    session = await authenticate(request)
    priced: list[Instrument] = []

    def price_now(instrument: Instrument, side: Side) -> Decimal:
        priced.append(instrument)
        return instrument.tick_size * gateway.market.symbols[instrument.symbol].price_for(side)

    order = parse_new_order(await read_body(request), gateway.instruments, price_now)
    if priced:  # the same request again is the same order, whatever the price is by now
        view = value_of(await gateway.accounts.view(session.account))
        known = value_of(await gateway.orders.find_by_cl_ord_id(view, order.cl_ord_id.decode()))
        order = replace(order, qty=known.order_qty) if known is not None else order
    placed = value_of(await gateway.orders.place(session.account, order))
    written = order_json(placed.order, gateway.instruments, placed.legs)
    return json_response(written | {"status": ACCEPTED} if placed.awaits_book else written)


async def patch_order(request: web.Request) -> web.Response:
    """Replace an order."""
    gateway = gateway_of(request)
    view = await account_of(request)
    order = await known_order(request, view)
    if order.is_done:
        raise error_of(too_late(order))
    changes = parse_replace(await read_body(request), order, gateway.instruments)
    now = value_of(await gateway.orders.replace(view.account, order, changes))
    return json_response(order_json(now, gateway.instruments))


async def delete_order(request: web.Request) -> web.Response:
    """Ask to cancel one order; 204 once the shard has passed the wish on, the stream tells what became of it."""
    session = await authenticate(request)
    value_of(await gateway_of(request).orders.cancel(session.account, order_id_in(request)))
    return web.Response(status=204)


async def delete_orders(request: web.Request) -> web.Response:
    """Ask to cancel every open order; 207 with each one's own status."""
    session = await authenticate(request)
    results = [
        {"id": order_uuid(order.order_id), "status": 200 if isinstance(outcome, Accepted) else error_of(outcome).status}
        for order, outcome in value_of(await gateway_of(request).orders.cancel_all(session.account))
    ]
    return json_response(results, 207)


ROUTES: Final = (
    web.post("/v2/orders", post_order),
    web.delete("/v2/orders", delete_orders),
    web.patch("/v2/orders/{order_id}", patch_order),
    web.delete("/v2/orders/{order_id}", delete_order),
)
