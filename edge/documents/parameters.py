"""Parameters of Alpaca's operations as JSON schemas, in the path and in the query, and bodies that are not orders.

A test asks every operation and compares the parameters that it looks at with those that are described here, and sends each word of a closed list.
"""

from typing import Any, Final

from edge.alpaca import limits
from edge.documents.shapes import Schema, one_of, or_null

_TEXT: Final[Schema] = {"type": "string", "minLength": 1}
_FLAG: Final[Schema] = {"type": "string", "pattern": "^([Tt][Rr][Uu][Ee]|[Ff][Aa][Ll][Ss][Ee]|1|0)$", "examples": ["true"]}
_DECIMAL: Final[Schema] = {"type": "string", "pattern": r"^[0-9]{1,12}(\.[0-9]{1,6})?$"}
_DAY: Final[Schema] = {"type": "string", "format": "date"}
_TIME: Final[Schema] = {"type": "string", "format": "date-time", "description": "A date, or an RFC 3339 time."}
_TOKEN: Final[Schema] = {"type": "string", "minLength": 1, "description": "Of the page before, as it came."}
_UUID: Final[Schema] = {"type": "string", "format": "uuid"}
_SYMBOL: Final[Schema] = {"type": "string", "minLength": 1, "description": "A symbol, such as AAPL, or an asset id.", "examples": ["AAPL"]}
_SYMBOLS: Final[Schema] = {
    "type": "string", "minLength": 1, "description": f"Symbols with commas, {limits.LIST_NAMES_MAX} at most.", "examples": ["AAPL,MSFT"],
}  # fmt: skip
_DIRECTION: Final[Schema] = one_of(("asc", "desc"))


def _whole(most: int) -> Schema:
    return {"type": "integer", "minimum": 1, "maximum": most}


_FEED: Final[dict[str, Schema]] = {
    "feed": one_of(("sip", "iex", "otc", "boats", "delayed_sip", "overnight")), "currency": one_of(("USD",)), "asof": one_of(("-",)),
}  # fmt: skip
_PAGE: Final[dict[str, Schema]] = {
    **_FEED, "start": _TIME, "end": _TIME, "sort": _DIRECTION, "limit": _whole(limits.DATA_PAGE_MAX), "page_token": _TOKEN,
}  # fmt: skip
_TIMEFRAME: Final[Schema] = {
    "type": "string",
    "pattern": "^([1-9]|[1-5][0-9])Min$|^([1-9]|1[0-9]|2[0-3])Hour$|^1Day$|^1Week$|^([12346]|12)Month$",
    "examples": ["1Min", "1Day"],
}
_ACTIVITIES: Final[dict[str, Schema]] = {
    "date": _DAY, "after": _TIME, "until": _TIME, "direction": _DIRECTION, "page_size": _whole(limits.ACTIVITIES_PAGE_MAX), "page_token": _TOKEN,
}  # fmt: skip
_NESTED: Final[dict[str, Schema]] = {"nested": _FLAG}
_NAME: Final[dict[str, Schema]] = {"name": {"type": "string", "minLength": 1, "maxLength": limits.WATCHLIST_NAME_MAX}}

QUERIES: Final[dict[tuple[str, str], dict[str, Schema]]] = {
    ("GET", "/v2/account/activities"): {
        "activity_types": {**_TEXT, "description": "With commas.", "examples": ["FILL,FEE"]},
        "category": one_of(("trade_activity", "non_trade_activity")), **_ACTIVITIES,
    },
    ("GET", "/v2/account/activities/{activity_type}"): _ACTIVITIES,
    ("GET", "/v2/account/portfolio/history"): {
        "period": {"type": "string", "pattern": "^[1-9][0-9]?[DWMA]$"}, "timeframe": one_of(("1Min", "5Min", "15Min", "1H", "1D")),
        "intraday_reporting": one_of(("market_hours", "extended_hours", "continuous")), "extended_hours": _FLAG, "start": _TIME, "end": _TIME,
        "date_end": _DAY, "pnl_reset": one_of(("per_day", "no_reset")), "cashflow_types": {**_TEXT, "description": "ALL, NONE, or types with commas."},
    },
    ("GET", "/v2/assets"): {
        "status": one_of(("active", "inactive", "all")), "asset_class": one_of(("us_equity", "us_option", "crypto", "crypto_perp", "ipo")),
        "exchange": one_of(("AMEX", "ARCA", "ASCX", "BATS", "CRYPTO", "NASDAQ", "NYSE", "NYSEARCA", "OTC")),
        "attributes": one_of(("fractional_eh_enabled", "has_options", "ipo", "options_late_close", "overnight_halted", "overnight_tradable",
                              "ptp_no_exception", "ptp_with_exception")),
    },
    ("GET", "/v2/calendar"): {"start": _DAY, "end": _DAY, "date_type": one_of(("TRADING", "SETTLEMENT"))},
    ("GET", "/v2/orders"): {
        "status": one_of(("open", "closed", "all")), "limit": _whole(limits.ORDERS_PAGE_MAX), "after": _TIME, "until": _TIME, "direction": _DIRECTION,
        **_NESTED, "symbols": _SYMBOLS, "side": one_of(("buy", "sell")), "asset_class": one_of(("us_equity", "us_option", "crypto", "crypto_perp", "all")),
        "before_order_id": _UUID, "after_order_id": _UUID,
    },
    ("GET", "/v2/orders/{order_id}"): _NESTED,
    ("GET", "/v2/orders:by_client_order_id"): {"client_order_id": _TEXT},
    ("DELETE", "/v2/positions"): {"cancel_orders": _FLAG},
    ("DELETE", "/v2/positions/{symbol_or_asset_id}"): {"qty": _DECIMAL, "percentage": _DECIMAL},
    **{(method, "/v2/watchlists:by_name"): _NAME for method in ("GET", "PUT", "POST", "DELETE")},
    ("GET", "/v2/corporate_actions/announcements"): {
        "ca_types": one_of(("dividend", "merger", "spinoff", "split")), "since": _DAY, "until": _DAY,
        "date_type": one_of(("declaration_date", "ex_date", "record_date", "payable_date")),
    },
    ("GET", "/v2/options/contracts"): {"limit": _whole(10_000)},
    ("GET", "/v3/clock"): {"markets": {**_TEXT, "description": "With commas.", "examples": ["NYSE,NASDAQ"]}},
    ("GET", "/v3/calendar/{market}"): {"start": _DAY, "end": _DAY, "timezone": one_of(("UTC",))},
    ("GET", "/v1/corporate-actions"): {"sort": _DIRECTION, "limit": _whole(1_000), "page_token": _TOKEN},
    ("GET", "/v1beta1/news"): {
        "symbols": _SYMBOLS, "sort": _DIRECTION, "limit": _whole(limits.NEWS_PAGE_MAX), "start": _TIME, "end": _TIME, "include_content": _FLAG,
        "exclude_contentless": _FLAG, "page_token": _TOKEN,
    },
    ("GET", "/v1beta1/screener/stocks/most-actives"): {"by": one_of(("volume", "trades")), "top": _whole(limits.MOST_ACTIVES_MAX)},
    ("GET", "/v1beta1/screener/{market_type}/movers"): {"top": _whole(limits.MOVERS_MAX)},
    ("GET", "/v2/stocks/meta/conditions/{ticktype}"): {"tape": one_of(("A", "B", "C"))},
    **{("GET", f"/v2/stocks/{kind}"): {"symbols": _SYMBOLS, **_PAGE} for kind in ("trades", "quotes", "auctions")},
    **{("GET", f"/v2/stocks/{{symbol}}/{kind}"): _PAGE for kind in ("trades", "quotes", "auctions")},
    ("GET", "/v2/stocks/bars"): {"symbols": _SYMBOLS, "timeframe": _TIMEFRAME, **_PAGE},
    ("GET", "/v2/stocks/{symbol}/bars"): {"timeframe": _TIMEFRAME, **_PAGE},
    **{("GET", f"/v2/stocks/{kind}/latest"): {"symbols": _SYMBOLS, **_FEED} for kind in ("bars", "trades", "quotes")},
    **{("GET", f"/v2/stocks/{{symbol}}/{kind}/latest"): _FEED for kind in ("bars", "trades", "quotes")},
    ("GET", "/v2/stocks/snapshots"): {"symbols": _SYMBOLS, **_FEED},
    ("GET", "/v2/stocks/{symbol}/snapshot"): _FEED,
    **{("GET", f"/v1beta3/crypto/{{loc}}/{kind}"): {"symbols": _SYMBOLS, **_PAGE} for kind in ("trades", "quotes")},
    ("GET", "/v1beta3/crypto/{loc}/bars"): {"symbols": _SYMBOLS, "timeframe": _TIMEFRAME, **_PAGE},
    **{("GET", f"/v1beta3/crypto/{{loc}}/{kind}"): {"symbols": _SYMBOLS}
       for kind in ("latest/bars", "latest/trades", "latest/quotes", "latest/orderbooks", "snapshots")},
}  # fmt: skip
"""By operation."""

_REQUIRED: Final = frozenset({"symbols", "timeframe", "client_order_id", "name", "ca_types", "since", "until", "tape"})
_OPTIONAL: Final = frozenset(
    {("/v2/orders", "symbols"), ("/v1beta1/news", "symbols"), ("/v2/account/portfolio/history", "timeframe"), *((f"/v2/{path}", "until") for path in ("orders", "account/activities",
     "account/activities/{activity_type}"))}
)  # fmt: skip
"""(path, name) where a parameter may be left out that others need."""

_PATHS: Final[dict[str, Schema]] = {
    "activity_type": {**_TEXT, "examples": ["FILL"]}, "loc": one_of(("us", "us-1", "us-2", "eu-1", "bs-1")), "symbol": _SYMBOL, "symbol_or_asset_id": _SYMBOL,
    "market": one_of(("NYSE", "XNYS", "IEX", "IEXG", "NASDAQ", "XNAS")), "market_type": one_of(("stocks", "crypto")), "ticktype": one_of(("trade", "quote")),
    "order_id": _UUID, "watchlist_id": _UUID,
}  # fmt: skip

_ASSETS: Final[Schema] = or_null(
    {"type": "array", "items": or_null({"type": "string", "minLength": 1}), "maxItems": limits.WATCHLIST_SYMBOLS_MAX}
)
_LIST_NAME: Final[Schema] = {"type": "string", "minLength": 1, "maxLength": limits.WATCHLIST_NAME_MAX}
_OTHER_NAME: Final[Schema] = {"type": ["string", "null"], "maxLength": limits.WATCHLIST_NAME_MAX, "description": "Empty or null: as it is."}
_SYMBOL_BODY: Final[Schema] = {"type": "object", "required": ["symbol"], "properties": {"symbol": _SYMBOL}}
BODIES: Final[dict[tuple[str, str], Schema]] = {
    ("POST", "/v2/watchlists"): {"type": "object", "required": ["name"], "properties": {"name": _LIST_NAME, "symbols": _ASSETS}, "examples": [{"name": "tech", "symbols": ["AAPL"]}]},
    **{("PUT", f"/v2/watchlists{one}"): {"type": "object", "minProperties": 1, "properties": {"name": _OTHER_NAME, "symbols": _ASSETS}, "examples": [{"symbols": ["MSFT"]}]}
       for one in (":by_name", "/{watchlist_id}")},
    **{("POST", f"/v2/watchlists{one}"): _SYMBOL_BODY | {"examples": [{"symbol": "MSFT"}]} for one in (":by_name", "/{watchlist_id}")},
    ("PATCH", "/v2/account/configurations"): {
        "type": "object",
        "properties": {"suspend_trade": or_null({"type": "boolean"}), "no_shorting": or_null({"type": "boolean"}), "trade_confirm_email": or_null(one_of(("all", "none")))},
        "examples": [{"no_shorting": True}],
    },
}  # fmt: skip
"""Bodies that are not orders."""


def parameters_of(method: str, path: str, places: list[str]) -> list[dict[str, Any]]:
    """As an operation of OpenAPI has them. places: the names in its path."""
    found = [{"name": name, "in": "path", "required": True, "schema": _PATHS.get(name, {"type": "string"})} for name in places]
    for name, schema in QUERIES.get((method, path), {}).items():
        required = name in _REQUIRED and (path, name) not in _OPTIONAL
        # an empty one counts as absent, except where it must be there
        found.append({"name": name, "in": "query", "schema": schema} | ({"required": True} if required else {"allowEmptyValue": True}))
    return found
