"""GET /v2/account, /v2/assets."""

from typing import Final

from aiohttp import web

from edge.alpaca.access import account_of, authenticate
from edge.alpaca.accounts.account_json import account_json, asset_json
from edge.alpaca.query_fields import Query
from edge.alpaca.request_fields import find_instrument
from edge.http.answers import json_response
from edge.http.client_data import quoted
from edge.http.errors import not_found
from edge.http.state import gateway_of


async def get_account(request: web.Request) -> web.Response:
    """The account's money."""
    gateway, view = gateway_of(request), await account_of(request)
    return json_response(account_json(view, gateway.market))


_ASSET_STATUSES: Final = ("", "active", "inactive", "all")
_EQUITY: Final = "us_equity"
_ASSET_CLASSES: Final = ("", _EQUITY, "us_option", "crypto", "crypto_perp", "ipo")
_CLASSES_SERVED: Final = ("", _EQUITY, "crypto")
"""ccxt and whoever else knows Alpaca for its crypto asks for that class, and trades by the crypto-shaped half of the API: it gets the same shares."""
_EXCHANGES: Final = ("", "AMEX", "ARCA", "ASCX", "BATS", "CRYPTO", "NASDAQ", "NYSE", "NYSEARCA", "OTC")
_ATTRIBUTES: Final = (
    "fractional_eh_enabled", "has_options", "ipo", "options_late_close", "overnight_halted", "overnight_tradable", "ptp_no_exception", "ptp_with_exception",
)  # fmt: skip


async def get_assets(request: web.Request) -> web.Response:
    """What may be traded; everything here is an active US equity on no exchange that Alpaca lists, with none of its attributes."""
    gateway = gateway_of(request)
    await authenticate(request)
    query = Query(request.query)
    status = query.word("status", _ASSET_STATUSES)
    asset_class = query.word("asset_class", _ASSET_CLASSES)
    exchange = query.word("exchange", _EXCHANGES)
    attributes = query.names("attributes")
    for one in attributes:
        if one not in _ATTRIBUTES:
            raise query.refused(f"invalid attributes {quoted(one)}: must be among {', '.join(_ATTRIBUTES)}")
    if status == "inactive" or asset_class not in _CLASSES_SERVED or exchange or attributes:
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
    web.get("/v2/assets", get_assets),
    web.get("/v2/assets/{symbol}", get_asset),
)
