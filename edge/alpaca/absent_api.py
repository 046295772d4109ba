"""What Alpaca lists and this exchange has none of: corporate actions, options, transfers of crypto. Asked for in Alpaca's form, answered in it."""

from typing import Final

from aiohttp import web

from edge.alpaca.access import authenticate
from edge.alpaca.query_fields import Query, bad_request
from edge.http.answers import json_response
from edge.http.errors import not_found

_CA_TYPES: Final = ("dividend", "merger", "spinoff", "split")
_DATE_TYPES: Final = ("", "declaration_date", "ex_date", "record_date", "payable_date")
_ANNOUNCED_DAYS_MAX: Final = 90
_SORTS: Final = ("asc", "desc")


async def get_announcements(request: web.Request) -> web.Response:
    """Corporate actions: none."""
    await authenticate(request)
    query = Query(request.query)
    for one in query.names("ca_types", must=True):
        Query({"ca_types": one.lower()}).word("ca_types", _CA_TYPES)
    since, until = query.day("since"), query.day("until")
    if not 0 <= (until - since).days <= _ANNOUNCED_DAYS_MAX:
        raise query.refused(f"until must be 0 to {_ANNOUNCED_DAYS_MAX} days behind since")
    query.word("date_type", _DATE_TYPES)
    return json_response([])


async def get_corporate_actions(request: web.Request) -> web.Response:
    """The same, as the market-data API asks for it."""
    await authenticate(request)
    query = Query(request.query, bad_request)
    query.word("sort", _SORTS, "asc")
    query.whole("limit", 100, 1_000)
    query.place("corporate-actions", ())
    return json_response({"corporate_actions": {}, "next_page_token": None})


async def get_option_contracts(request: web.Request) -> web.Response:
    """None."""
    await authenticate(request)
    query = Query(request.query)
    query.whole("limit", 100, 10_000)
    return json_response({"option_contracts": [], "next_page_token": None})


async def get_transfers(request: web.Request) -> web.Response:
    """None; cash from and to outside is among the account's activities."""
    await authenticate(request)
    return json_response([])


async def find_nothing(request: web.Request) -> web.Response:
    """One of them, by its id."""
    await authenticate(request)
    (name,) = request.match_info.values()
    raise not_found(f"not found: {name[:64]}")


ROUTES: Final = (
    web.get("/v2/corporate_actions/announcements", get_announcements),
    web.get("/v2/corporate_actions/announcements/{id}", find_nothing),
    web.get("/v1/corporate-actions", get_corporate_actions),
    web.get("/v2/options/contracts", get_option_contracts),
    web.get("/v2/options/contracts/{symbol_or_id}", find_nothing),
    web.get("/v2/wallets/transfers", get_transfers),
    web.get("/v2/wallets/transfers/{transfer_id}", find_nothing),
)
