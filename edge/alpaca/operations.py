"""Every operation of Alpaca's trading and market-data APIs, and what a client of this exchange gets: served, empty, or refused as for an account without it.

EMPTY answers in Alpaca's form and never has anything in it: this exchange has none of such things. REFUSED is answered with 403 and "forbidden." once the key is right, as Alpaca
answers an account that may not use it (ccxt knows the word); `why` is told as `reject_reason`. The routes of refused operations are made here. A test holds the table against the server's routes,
and docs/alpaca.md has it for readers.
"""

from dataclasses import dataclass
from enum import Enum
from typing import Final

from aiohttp import web

from edge.alpaca.access import authenticate
from edge.http.errors import HttpError


class Answer(Enum):
    """What a client gets."""

    SERVED = "served"
    EMPTY = "empty"
    REFUSED = "refused"


@dataclass(frozen=True)
class Operation:
    """A method and a path, as the description names them; `why` it is not served."""

    method: str
    path: str
    answer: Answer = Answer.SERVED
    why: str = ""


def _served(path: str, *methods: str) -> tuple[Operation, ...]:
    return tuple(Operation(method, path) for method in methods)


def _empty(why: str, *paths: str) -> tuple[Operation, ...]:
    return tuple(Operation("GET", path, Answer.EMPTY, why) for path in paths)


def _refused(why: str, *operations: str) -> tuple[Operation, ...]:
    named = (one.split(" ", 1) for one in operations)
    return tuple(Operation(method, path, Answer.REFUSED, why) for method, path in named)


TRADING: Final = (
    *_served("/v2/account", "GET"),
    *_served("/v2/account/activities", "GET"),
    *_served("/v2/account/activities/{activity_type}", "GET"),
    *_served("/v2/account/configurations", "GET", "PATCH"),
    *_served("/v2/account/portfolio/history", "GET"),
    *_served("/v2/assets", "GET"),
    *_served("/v2/assets/{symbol_or_asset_id}", "GET"),
    *_served("/v2/calendar", "GET"),
    *_served("/v2/clock", "GET"),
    *_served("/v2/orders", "GET", "POST", "DELETE"),
    *_served("/v2/orders/{order_id}", "GET", "PATCH", "DELETE"),
    *_served("/v2/orders:by_client_order_id", "GET"),
    *_served("/v2/positions", "GET", "DELETE"),
    *_served("/v2/positions/{symbol_or_asset_id}", "GET", "DELETE"),
    *_served("/v2/watchlists", "GET", "POST"),
    *_served("/v2/watchlists/{watchlist_id}", "GET", "PUT", "POST", "DELETE"),
    *_served("/v2/watchlists/{watchlist_id}/{symbol}", "DELETE"),
    *_served("/v2/watchlists:by_name", "GET", "PUT", "POST", "DELETE"),
    *_served("/v3/calendar/{market}", "GET"),
    *_served("/v3/clock", "GET"),
    *_empty("no corporate actions", "/v2/corporate_actions/announcements", "/v2/corporate_actions/announcements/{id}"),
    *_empty("no options", "/v2/options/contracts", "/v2/options/contracts/{symbol_or_id}"),
    *_empty("no transfers of crypto", "/v2/wallets/transfers", "/v2/wallets/transfers/{transfer_id}"),
    *_refused(
        "options are not traded here", "POST /v2/positions/{symbol_or_contract_id}/do-not-exercise",
        "POST /v2/positions/{symbol_or_contract_id}/exercise",
    ),
    *_refused(
        "bonds are not traded here", "GET /v2/assets/fixed_income/us_corporates", "GET /v2/assets/fixed_income/us_treasuries",
    ),
    *_refused(
        "there are no crypto wallets here", "GET /v2/wallets", "GET /v2/wallets/fees/estimate", "POST /v2/wallets/transfers", "GET /v2/wallets/whitelists",
        "POST /v2/wallets/whitelists", "DELETE /v2/wallets/whitelists/{whitelisted_address_id}",
    ),
    *_refused(
        "perpetual futures are not traded here", "GET /v2/perpetuals/account_vitals", "GET /v2/perpetuals/leverage", "POST /v2/perpetuals/leverage",
        "GET /v2/perpetuals/wallets", "GET /v2/perpetuals/wallets/fees/estimate", "GET /v2/perpetuals/wallets/transfers",
        "POST /v2/perpetuals/wallets/transfers", "GET /v2/perpetuals/wallets/transfers/{transfer_id}", "GET /v2/perpetuals/wallets/whitelists",
        "POST /v2/perpetuals/wallets/whitelists", "DELETE /v2/perpetuals/wallets/whitelists/{whitelisted_address_id}",
    ),
    *_refused("shares are not tokenized here", "POST /v2/tokenization/mint", "GET /v2/tokenization/requests"),
    *_refused(
        "shares are located by an operator, and an order says so by `locate`", "GET /v1/locates", "POST /v1/locates", "GET /v1/locates/{locate_id}",
        "GET /v1/locates/quotes",
    ),
    *_refused("activities are listed by /v2/account/activities, and told by /stream", "GET /v2beta1/events/activities"),
)  # fmt: skip
"""The 68 operations of the trading API, 2.0.1."""

MARKET_DATA: Final = (
    *(
        one
        for path in ("auctions", "bars", "bars/latest", "quotes", "quotes/latest", "trades", "trades/latest")
        for place in ("/v2/stocks/", "/v2/stocks/{symbol}/")
        for one in _served(place + path, "GET")
    ),
    *_served("/v2/stocks/snapshots", "GET"),
    *_served("/v2/stocks/{symbol}/snapshot", "GET"),
    *_served("/v2/stocks/meta/conditions/{ticktype}", "GET"),
    *_served("/v2/stocks/meta/exchanges", "GET"),
    *_served("/v1beta1/news", "GET"),
    *_served("/v1beta1/screener/{market_type}/movers", "GET"),
    *_served("/v1beta1/screener/stocks/most-actives", "GET"),
    *(
        one
        for path in ("bars", "latest/bars", "latest/orderbooks", "latest/quotes", "latest/trades", "quotes", "snapshots", "trades")
        for one in _served(f"/v1beta3/crypto/{{loc}}/{path}", "GET")
    ),
    *_empty("no corporate actions", "/v1/corporate-actions"),
    *_refused(
        "perpetual futures are not traded here",
        *(f"GET /v1beta1/crypto-perps/{{loc}}/latest/{name}" for name in ("bars", "orderbooks", "pricing", "quotes", "trades")),
    ),
    *_refused("bonds are not traded here", "GET /v1beta1/fixed_income/latest/prices", "GET /v1beta1/fixed_income/latest/quotes"),
    *_refused("currencies are not traded here", "GET /v1beta1/forex/latest/rates", "GET /v1beta1/forex/rates"),
    *_refused("there are no indices here", "GET /v1beta1/indices/latest/values", "GET /v1beta1/indices/values"),
    *_refused("there are no logos here", "GET /v1beta1/logos/{symbol}"),
    *_refused(
        "options are not traded here", "GET /v1beta1/options/bars", "GET /v1beta1/options/meta/conditions/{ticktype}", "GET /v1beta1/options/meta/exchanges",
        "GET /v1beta1/options/quotes/latest", "GET /v1beta1/options/snapshots", "GET /v1beta1/options/snapshots/{underlying_symbol}",
        "GET /v1beta1/options/trades", "GET /v1beta1/options/trades/latest",
    ),
)  # fmt: skip
"""The 50 operations of the market-data API, 1.1."""


def _refusal(operation: Operation) -> web.RouteDef:
    async def refuse(request: web.Request) -> web.Response:
        await authenticate(request)
        raise HttpError(403, "forbidden.", reason=operation.why)

    return web.route(operation.method, operation.path, refuse)


ROUTES: Final = tuple(_refusal(one) for one in (*TRADING, *MARKET_DATA) if one.answer is Answer.REFUSED)
