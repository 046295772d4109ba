"""GET /v2/account/activities: what was posted to the account, and why, from the ledger of the system of record.

| activity_type | posting |
|---|---|
| FILL | the shares of a trade |
| FEE | its fee |
| CSD, CSW | cash that came from or went outside |
| JNLS | shares that did |
| MISC | a busted trade: its cash, its shares and its fee go back |

The id of an activity names its time and posting; the page_token is the id of the last one, as at Alpaca.
"""

import re
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from aiohttp import web

from edge.alpaca.access import authenticate
from edge.alpaca.errors import value_of
from edge.alpaca.limits import ACTIVITIES_PAGE_MAX
from edge.alpaca.order_words import SIDE_TEXT
from edge.alpaca.query_fields import Query
from edge.gateway.market.days import day_of, day_start_ns
from edge.http.answers import json_response
from edge.http.client_data import quoted
from edge.http.state import gateway_of
from edge.http.timestamps import rfc3339
from schemas.enums import AccountEventKind
from schemas.ids import execution_uuid, order_uuid, posting_of, posting_uuid
from schemas.instruments import InstrumentTable
from schemas.units import minor_to_text
from sinks.mysql.account_history import Activity, ActivityFilter, Place
from sinks.mysql.rows import CASH, FEE, SHARES

_TRADE, _OUTSIDE, _BUST = (int(kind) for kind in (AccountEventKind.TRADE, AccountEventKind.ACCOUNT_UPDATED, AccountEventKind.TRADE_BUSTED))
_POSTINGS: Final[dict[str, tuple[tuple[int, int], ...]]] = {
    "FILL": ((_TRADE, SHARES),),
    "FEE": ((_TRADE, FEE),),
    "CSD": ((_OUTSIDE, CASH),),
    "CSW": ((_OUTSIDE, CASH),),
    "JNLS": ((_OUTSIDE, SHARES),),
    "MISC": ((_BUST, CASH), (_BUST, SHARES), (_BUST, FEE)),
}
"""(kind, leg) of the postings of each type that there is here."""
_ABSENT: Final = frozenset(
    [
        "TRANS",
        "ACATC",
        "ACATS",
        "CFEE",
        "CGD",
        "CIL",
        "DIV",
        "DIVCGL",
        "DIVCGS",
        "DIVFEE",
        "DIVFT",
        "DIVNRA",
        "DIVROC",
        "DIVTW",
        "DIVTXEX",
        "DIVWH",
        "EXTRD",
        "FOPT",
        "FXTRD",
        "INT",
        "INTNRA",
        "INTPNL",
        "INTTW",
        "JNL",
        "JNLC",
        "MA",
        "MEM",
        "NC",
        "OCT",
        "OPASN",
        "OPCA",
        "OPCSH",
        "OPEXC",
        "OPEXP",
        "OPTRD",
        "PTC",
        "PTR",
        "REORG",
        "SPIN",
        "SPLIT",
        "SWP",
        "VOF",
        "WH",
    ]
)
"""Types that nothing here is of."""
_CATEGORIES: Final = {"": None, "trade_activity": True, "non_trade_activity": False}
_DIRECTIONS: Final = {"asc": True, "desc": False}
_TOKEN: Final = re.compile(r"\d{17}::([0-9a-f-]{36})", re.ASCII)


async def get_activities(request: web.Request) -> web.Response:
    """Of all types, or of those named."""
    query = Query(request.query)
    types = query.names("activity_types")
    category = query.word("category", _CATEGORIES)
    if types and category is not None:
        raise query.refused("activity_types and category cannot be sent together")
    if not types:
        types = [name for name in _POSTINGS if category is None or (name == "FILL") == category]
    return await _listed(request, query, types)


async def get_activities_of_type(request: web.Request) -> web.Response:
    """Of the type that the path names."""
    return await _listed(request, Query(request.query), [request.match_info["activity_type"]])


async def _listed(request: web.Request, query: Query, types: list[str]) -> web.Response:
    gateway, session = gateway_of(request), await authenticate(request)
    for name in types:
        if name not in _POSTINGS and name not in _ABSENT:
            raise query.refused(f"invalid activity type {quoted(name)}")
    # CSD and CSW are one kind of posting, told apart by its sign
    kinds = {pair for name in types for pair in _POSTINGS.get(name, ())}
    after, until = _span(query)
    wanted = ActivityFilter(
        sorted(kinds), query.whole("page_size", ACTIVITIES_PAGE_MAX, ACTIVITIES_PAGE_MAX), after, until,
        query.word("direction", _DIRECTIONS, "desc"), await _behind(request, query, session.account),
        incoming="CSD" in types, outgoing="CSW" in types,
    )  # fmt: skip
    found = value_of(await gateway.account_history.activities(session.account, wanted))
    return json_response([activity_json(one, gateway.instruments) for one in found])


def _span(query: Query) -> tuple[int | None, int | None]:
    """Exclusive bounds; `date` is a day of New York."""
    if query.text("date"):
        if query.text("after") or query.text("until"):
            raise query.refused("date cannot be sent with after or until")
        day = query.day("date")
        return day_start_ns(day) - 1, day_start_ns(day + timedelta(days=1))
    after, until = (query.time(name, 0) if query.text(name) else None for name in ("after", "until"))
    return after, until


async def _behind(request: web.Request, query: Query, account: int) -> Place | None:
    token = query.text("page_token")
    if not token:
        return None
    found = _TOKEN.fullmatch(token)
    posting = posting_of(found[1]) if found else None
    if posting is None:
        raise query.refused("invalid page_token: must be the id of an activity")
    at = value_of(await gateway_of(request).account_history.time_of(account, posting))
    if at is None:
        raise query.refused("invalid page_token: the account has no such activity")
    return at, posting[1], posting[2]


def activity_json(one: Activity, instruments: InstrumentTable) -> dict[str, Any]:
    """Alpaca's activity object; `trd_match_id` is ours."""
    moment = datetime.fromtimestamp(one.transact_time // 1_000_000_000, UTC)
    common: dict[str, Any] = {
        "id": f"{moment:%Y%m%d%H%M%S}{one.transact_time // 1_000_000 % 1_000:03d}::{posting_uuid(one.shard, one.seq, one.leg)}"
    }
    if one.kind == _TRADE and one.leg == SHARES:
        instrument = instruments.by_number[one.traded]
        return common | {
            "activity_type": "FILL", "transaction_time": rfc3339(one.transact_time), "type": "partial_fill" if one.leaves_qty else "fill",
            "price": instrument.price_text(one.last_px), "qty": instrument.qty_text(one.last_qty), "side": SIDE_TEXT[one.side],
            "symbol": instrument.symbol, "leaves_qty": instrument.qty_text(one.leaves_qty), "order_id": order_uuid(one.order_id),
            "cum_qty": instrument.qty_text(one.cum_qty), "order_status": "partially_filled" if one.leaves_qty else "filled",
            "execution_id": execution_uuid(one.trd_match_id, one.side), "trd_match_id": one.trd_match_id,
        }  # fmt: skip
    common |= {
        "date": day_of(one.transact_time).isoformat(),
        "created_at": rfc3339(one.transact_time),
        "status": "executed",
        "currency": "USD",
    }
    if one.trd_match_id:
        common["trd_match_id"] = one.trd_match_id
    if one.leg == SHARES:
        instrument = instruments.by_number[one.instrument]
        shares = {"symbol": instrument.symbol, "qty": instrument.qty_text(one.amount), "net_amount": "0"}
        if one.kind == _BUST:
            return common | shares | {"activity_type": "MISC", "description": f"shares of busted trade {one.trd_match_id}"}
        return common | shares | {"activity_type": "JNLS", "description": "shares from outside" if one.amount > 0 else "shares to outside"}
    amount = {"net_amount": minor_to_text(one.amount)}
    if one.kind == _BUST:
        what = "fee" if one.leg == FEE else "cash"
        return common | amount | {"activity_type": "MISC", "description": f"{what} of busted trade {one.trd_match_id}"}
    if one.leg == FEE:
        return common | amount | {"activity_type": "FEE", "description": f"fee of trade {one.trd_match_id}"}
    return (
        common
        | amount
        | {"activity_type": "CSD" if one.amount > 0 else "CSW", "description": "cash from outside" if one.amount > 0 else "cash to outside"}
    )


ROUTES: Final = (
    web.get("/v2/account/activities", get_activities),
    web.get("/v2/account/activities/{activity_type}", get_activities_of_type),
)
