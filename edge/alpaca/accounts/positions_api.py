"""GET and DELETE /v2/positions: what the account holds, and orders that close it.

A position is closed by a market order for the day, of what is not promised to other orders. `qty` and `percentage` close a part of it, in whole lots: a percentage
is rounded down.
"""

import uuid
from decimal import ROUND_DOWN, Decimal
from typing import Any, Final

from aiohttp import web

from edge.alpaca.access import account_of, authenticate
from edge.alpaca.accounts.account_json import position_json
from edge.alpaca.errors import error_of, unprocessable, value_of
from edge.alpaca.orders.order_json import order_json
from edge.alpaca.query_fields import Query
from edge.alpaca.request_fields import Fields, find_instrument
from edge.gateway.accounts.view import AccountView, Position
from edge.gateway.gateway import Gateway
from edge.gateway.orders.new_order import NewOrder
from edge.gateway.orders.orders import Placed
from edge.gateway.outcomes import Accepted, Outcome
from edge.http.answers import json_response
from edge.http.errors import not_found
from edge.http.state import gateway_of
from schemas.enums import OrdType, Side, TimeInForce
from schemas.ids import order_uuid
from schemas.instruments import Instrument

_PERCENT_MAX: Final = 100


async def get_positions(request: web.Request) -> web.Response:
    """Every open position, by symbol."""
    gateway, view = gateway_of(request), await account_of(request)
    symbols = {one.instrument.number: one for one in gateway.market.symbols.values()}
    listed = [position_json(position, symbols[number]) for number, position in view.positions.items() if position.qty]
    return json_response(sorted(listed, key=lambda one: str(one["symbol"])))


async def get_position(request: web.Request) -> web.Response:
    """One position by symbol or asset id."""
    gateway, view = gateway_of(request), await account_of(request)
    instrument, position = _open_position(request, gateway, view)
    return json_response(position_json(position, gateway.market.symbols[instrument.symbol]))


def _open_position(request: web.Request, gateway: Gateway, view: AccountView) -> tuple[Instrument, Position]:
    """The one that the path names; raises HttpError 404."""
    name = request.match_info["symbol"]
    instrument = find_instrument(name, gateway.instruments)
    if instrument is None:
        raise not_found(f"symbol not found: {name[:64]}")
    position = view.positions.get(instrument.number)
    if position is None or not position.qty:
        raise not_found("position does not exist")
    return instrument, position


async def delete_position(request: web.Request) -> web.Response:
    """Close a position, or a part of it; the order that does."""
    gateway, view = gateway_of(request), await account_of(request)
    instrument, position = _open_position(request, gateway, view)
    qty = _part(Query(request.query), instrument, position)
    placed = value_of(await _close(gateway, view, instrument, position, qty))
    return json_response(order_json(placed.order, gateway.instruments))


def _part(query: Query, instrument: Instrument, position: Position) -> int:
    """Lots to close; raises HttpError."""
    if query.text("qty") and query.text("percentage"):
        raise query.refused("qty and percentage cannot be sent together")
    if query.text("qty"):
        qty = Fields({"qty": query.decimal_text("qty")}).qty("qty", instrument) or 0
        if qty > abs(position.qty):
            raise query.refused(f"invalid qty {query.text('qty')}: the position is {instrument.qty_text(abs(position.qty))}")
        return qty
    if query.text("percentage"):
        percent = Decimal(query.decimal_text("percentage"))
        if not 0 < percent <= _PERCENT_MAX:
            raise query.refused(f"percentage must be above 0 and at most {_PERCENT_MAX}")
        qty = int((abs(position.qty) * percent / _PERCENT_MAX).to_integral_value(ROUND_DOWN))
        if not qty:
            raise unprocessable(f"percentage of the position is less than a lot of {instrument.lot_size}")
        return qty
    if not position.free:
        raise unprocessable("all of the position is held by open orders: cancel them first")
    return position.free


async def _close(gateway: Gateway, view: AccountView, instrument: Instrument, position: Position, qty: int) -> Outcome[Placed]:
    side = Side.SELL if position.qty > 0 else Side.BUY
    order = NewOrder(instrument, str(uuid.uuid4()).encode(), side, OrdType.MARKET, TimeInForce.DAY, qty)
    return await gateway.orders.place(view.account, order)


async def delete_positions(request: web.Request) -> web.Response:
    """Close every position, after canceling every open order if `cancel_orders` says so; 207 with each one's own status."""
    gateway, session = gateway_of(request), await authenticate(request)
    if Query(request.query).flag("cancel_orders"):
        canceled = value_of(await gateway.orders.cancel_all(session.account))
        await gateway.orders.until_done(session.account, [one.order.order_id for one in canceled if isinstance(one.outcome, Accepted)])
    view = value_of(await gateway.accounts.view(session.account))
    results = []
    for number, position in sorted(view.positions.items()):
        if position.qty:
            results.append(await _closed(gateway, view, gateway.instruments.by_number[number], position))
    return json_response(results, 207)


async def _closed(gateway: Gateway, view: AccountView, instrument: Instrument, position: Position) -> dict[str, Any]:
    """What became of closing one of many."""
    result: dict[str, Any] = {"symbol": instrument.symbol}
    qty = position.free
    if not qty:
        error = unprocessable("all of the position is held by open orders: send cancel_orders=true")
    else:
        outcome = await _close(gateway, view, instrument, position, qty)
        if isinstance(outcome, Accepted):
            order = outcome.value.order
            return result | {"order_id": order_uuid(order.order_id), "status": 200, "body": order_json(order, gateway.instruments)}
        error = error_of(outcome)
    held = {"symbol": instrument.symbol, "available": float(instrument.qty_text(qty)), "existing_qty": float(instrument.qty_text(abs(position.qty))),
            "held_for_orders": float(instrument.qty_text(abs(position.qty) - qty))}  # fmt: skip
    return result | {"status": error.status, "body": error.body() | held}


ROUTES: Final = (
    web.get("/v2/positions", get_positions),
    web.delete("/v2/positions", delete_positions),
    web.get("/v2/positions/{symbol}", get_position),
    web.delete("/v2/positions/{symbol}", delete_position),
)
