"""GET /v2/account, /v2/positions, /v2/assets."""

from typing import Final

from aiohttp import web

from edge.alpaca.access import account_of, authenticate
from edge.alpaca.account_json import account_json, asset_json, position_json
from edge.alpaca.request_fields import find_instrument
from edge.http.answers import json_response
from edge.http.errors import bad_parameter, not_found
from edge.http.state import gateway_of


async def get_account(request: web.Request) -> web.Response:
    """The account's money."""
    gateway, view = gateway_of(request), await account_of(request)
    return json_response(account_json(view, gateway.market))


async def get_positions(request: web.Request) -> web.Response:
    """Every open position, by symbol."""
    gateway, view = gateway_of(request), await account_of(request)
    symbols = {one.instrument.number: one for one in gateway.market.symbols.values()}
    listed = [position_json(position, symbols[number]) for number, position in view.positions.items() if position.qty]
    return json_response(sorted(listed, key=lambda one: str(one["symbol"])))


async def get_position(request: web.Request) -> web.Response:
    """One position by symbol or asset id."""
    gateway, view = gateway_of(request), await account_of(request)
    instrument = find_instrument(request.match_info["symbol"], gateway.instruments)
    if instrument is None:
        raise not_found(f"symbol not found: {request.match_info['symbol'][:64]}")
    position = view.positions.get(instrument.number)
    if position is None or not position.qty:
        raise not_found("position does not exist")
    return json_response(position_json(position, gateway.market.symbols[instrument.symbol]))


async def get_assets(request: web.Request) -> web.Response:
    """What may be traded; everything here is an active US equity on no exchange that Alpaca lists."""
    gateway = gateway_of(request)
    await authenticate(request)
    status, asset_class, exchange = (request.query.get(name, "") for name in ("status", "asset_class", "exchange"))
    if status not in ("", "active", "inactive", "all"):
        raise bad_parameter("status must be active, inactive or all")
    if status == "inactive" or asset_class not in ("", "us_equity") or exchange:
        return json_response([])
    return json_response([asset_json(one) for one in sorted(gateway.instruments, key=lambda one: one.symbol)])


async def get_asset(request: web.Request) -> web.Response:
    """One asset by symbol or asset id."""
    gateway = gateway_of(request)
    await authenticate(request)
    instrument = find_instrument(request.match_info["symbol"], gateway.instruments)
    if instrument is None:
        raise not_found(f"asset not found for {request.match_info['symbol'][:64]}")
    return json_response(asset_json(instrument))


ROUTES: Final = (
    web.get("/v2/account", get_account),
    web.get("/v2/positions", get_positions),
    web.get("/v2/positions/{symbol}", get_position),
    web.get("/v2/assets", get_assets),
    web.get("/v2/assets/{symbol}", get_asset),
)
