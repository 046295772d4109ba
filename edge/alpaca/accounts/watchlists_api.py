"""Watchlists: GET, POST /v2/watchlists; GET, PUT, POST, DELETE of one, by its id or by its name; DELETE of one of its symbols."""

import uuid
from typing import Any, Final

from aiohttp import web

from edge.alpaca.access import authenticate
from edge.alpaca.accounts.account_json import asset_json
from edge.alpaca.errors import error_of, unprocessable, value_of
from edge.alpaca.limits import WATCHLIST_NAME_MAX, WATCHLIST_SYMBOLS_MAX
from edge.alpaca.query_fields import Query
from edge.alpaca.request_fields import Fields, decode_object, find_instrument
from edge.gateway.orders.customers import WATCHLISTS_MAX, changed_watchlist, new_watchlist
from edge.gateway.outcomes import Accepted
from edge.http.answers import json_response, read_body
from edge.http.client_data import quoted
from edge.http.errors import bad_parameter, not_found
from edge.http.state import gateway_of
from edge.http.timestamps import rfc3339
from schemas.ids import account_uuid
from schemas.instruments import Instrument, InstrumentTable
from sinks.mysql.customer_records import Watchlist

_WHY_NOT: Final = {
    "name": "watchlist name must be unique",
    "most": f"an account has at most {WATCHLISTS_MAX} watchlists",
}


def _in_short(account: int, one: Watchlist) -> dict[str, Any]:
    return {
        "id": one.watchlist_id,
        "account_id": account_uuid(account),
        "created_at": rfc3339(one.created_at),
        "updated_at": rfc3339(one.updated_at),
        "name": one.name,
    }


def _whole(account: int, one: Watchlist, instruments: InstrumentTable) -> dict[str, Any]:
    # an instrument that is not listed any more is not shown
    listed = [instruments.by_number[number] for number in one.instruments if number in instruments.by_number]
    return _in_short(account, one) | {"assets": [asset_json(instrument) for instrument in listed]}


async def get_watchlists(request: web.Request) -> web.Response:
    """All, without their assets."""
    session = await authenticate(request)
    found = value_of(await gateway_of(request).customers.watchlists(session.account))
    return json_response([_in_short(session.account, one) for one in found])


async def post_watchlist(request: web.Request) -> web.Response:
    """A new one."""
    session, gateway = await authenticate(request), gateway_of(request)
    given = Fields(decode_object(await read_body(request)))
    name = _name(given)
    if name is None:
        raise bad_parameter("name is required")
    return await _store(request, session.account, new_watchlist(name, _symbols(given, gateway.instruments) or ()))


async def get_watchlist(request: web.Request) -> web.Response:
    """One with its assets."""
    account, one = await _found(request)
    return json_response(_whole(account, one, gateway_of(request).instruments))


async def put_watchlist(request: web.Request) -> web.Response:
    """Another name, other symbols, or both."""
    account, one = await _found(request)
    given = Fields(decode_object(await read_body(request)))
    name, symbols = _name(given), _symbols(given, gateway_of(request).instruments)
    if name is None and symbols is None:
        raise bad_parameter("nothing to change: name or symbols")
    return await _store(
        request, account, changed_watchlist(one, name=name or one.name, instruments=one.instruments if symbols is None else symbols)
    )


async def post_symbol(request: web.Request) -> web.Response:
    """One more symbol; one that is there stays where it is."""
    account, one = await _found(request)
    given = Fields(decode_object(await read_body(request)))
    symbol = given.text("symbol")
    if symbol is None:
        raise bad_parameter("symbol is required")
    number = _instrument(symbol, gateway_of(request).instruments).number
    if number in one.instruments:
        return json_response(_whole(account, one, gateway_of(request).instruments))
    return await _store(request, account, changed_watchlist(one, instruments=_few((*one.instruments, number))))


async def delete_symbol(request: web.Request) -> web.Response:
    """One symbol less."""
    account, one = await _found(request)
    name = request.match_info["symbol"]
    instrument = find_instrument(name, gateway_of(request).instruments)
    if instrument is None or instrument.number not in one.instruments:
        raise not_found(f"symbol not found in the watchlist: {name[:64]}")
    left = tuple(number for number in one.instruments if number != instrument.number)
    return await _store(request, account, changed_watchlist(one, instruments=left))


async def delete_watchlist(request: web.Request) -> web.Response:
    """Forget it."""
    account, one = await _found(request)
    if not value_of(await gateway_of(request).customers.drop_watchlist(account, one.watchlist_id)):
        raise not_found("watchlist not found")
    return web.Response(status=204)


async def _found(request: web.Request) -> tuple[int, Watchlist]:
    """(account, the watchlist that the path's id or the query's name names); raises HttpError 404."""
    session = await authenticate(request)
    kept = value_of(await gateway_of(request).customers.watchlists(session.account))
    text = request.match_info.get("watchlist_id")
    if text is None:
        name = Query(request.query).text("name")
        if not name:
            raise bad_parameter("name is required")
        found = [one for one in kept if one.name == name]
    else:
        found = [one for one in kept if one.watchlist_id == _uuid_text(text)]
    if not found:
        raise not_found("watchlist not found")
    return session.account, found[0]


def _uuid_text(text: str) -> str:
    try:
        return str(uuid.UUID(text))
    except ValueError:
        return ""


async def _store(request: web.Request, account: int, one: Watchlist) -> web.Response:
    stored = await gateway_of(request).customers.put_watchlist(account, one)
    if not isinstance(stored, Accepted):
        raise error_of(stored)
    if stored.value:
        raise unprocessable(_WHY_NOT[stored.value])
    return json_response(_whole(account, one, gateway_of(request).instruments))


def _name(given: Fields) -> str | None:
    name = given.text("name")
    if name is None:
        return None
    name = name.strip()
    if not 0 < len(name) <= WATCHLIST_NAME_MAX or not name.isprintable():
        raise bad_parameter(f"name must have 1 to {WATCHLIST_NAME_MAX} characters that can be printed")
    return name


def _symbols(given: Fields, instruments: InstrumentTable) -> tuple[int, ...] | None:
    symbols = given.raw("symbols")
    if symbols is None:
        return None
    if not isinstance(symbols, list) or len(symbols) > 2 * WATCHLIST_SYMBOLS_MAX:
        raise bad_parameter(f"symbols must be a list of at most {WATCHLIST_SYMBOLS_MAX} symbols")
    return _few(tuple(dict.fromkeys(_instrument(symbol, instruments).number for symbol in symbols if symbol is not None)))


def _few(numbers: tuple[int, ...]) -> tuple[int, ...]:
    if len(numbers) > WATCHLIST_SYMBOLS_MAX:
        raise unprocessable(f"a watchlist has at most {WATCHLIST_SYMBOLS_MAX} symbols")
    return numbers


def _instrument(symbol: Any, instruments: InstrumentTable) -> Instrument:
    found = find_instrument(symbol, instruments) if isinstance(symbol, str) else None
    if found is None:
        raise bad_parameter(f"asset {quoted(symbol)} not found")
    return found


_BY_ID, _BY_NAME = "/v2/watchlists/{watchlist_id}", "/v2/watchlists:by_name"
ROUTES: Final = (
    web.get("/v2/watchlists", get_watchlists),
    web.post("/v2/watchlists", post_watchlist),
    *(
        route
        for path in (_BY_NAME, _BY_ID)
        for route in (
            web.get(path, get_watchlist),
            web.put(path, put_watchlist),
            web.post(path, post_symbol),
            web.delete(path, delete_watchlist),
        )
    ),
    web.delete("/v2/watchlists/{watchlist_id}/{symbol}", delete_symbol),
)
