"""Accounts around an alert and what links them: GET /surveillance/alerts/{alert_id}/links. Who reads it is in the log before it is shown."""

from typing import Any, Final

from aiohttp import web

from edge.console.alert_json import whole_number
from edge.console.cases_api import ANALYSTS, note_read
from edge.console.sign_in import allowed
from edge.gateway.analysts.linked_accounts import LinkedAccounts
from edge.http.answers import json_response
from edge.http.errors import bad_parameter, not_found, read_value
from edge.http.state import gateway_of
from edge.http.timestamps import rfc3339, rfc3339_or_none
from schemas.ids import account_uuid
from schemas.instruments import Instrument
from surveillance.cases.words import ReadAction
from surveillance.linked_accounts import TradedPair

MINUTES_MAX: Final = 1_440
MINUTES_DEFAULT: Final = 30
ACCOUNTS_MAX: Final = 60
ACCOUNTS_DEFAULT: Final = 24
_MINUTE_NS: Final = 60_000_000_000


@allowed(*ANALYSTS)
async def get_links(request: web.Request) -> web.Response:
    """The accounts around an alert: trades with one another, owners and addresses that they share. `minutes` before and behind it, `accounts` at the most."""
    gateway = gateway_of(request)
    minutes = _within(request, "minutes", MINUTES_DEFAULT, MINUTES_MAX)
    accounts = _within(request, "accounts", ACCOUNTS_DEFAULT, ACCOUNTS_MAX)
    alert = read_value(await gateway.alert(request.match_info["alert_id"]))
    if alert is None:
        raise not_found("alert not found")
    await note_read(request, ReadAction.READ_LINKS, "", (alert["alert_id"],), minutes=str(minutes), accounts=str(accounts))
    found = read_value(await gateway.account_links.around(alert, minutes * _MINUTE_NS, accounts))
    return json_response({"alert_id": alert["alert_id"], **links_json(found, gateway.instruments.by_number[alert["instrument"]])})


def links_json(found: LinkedAccounts, instrument: Instrument) -> dict[str, Any]:
    """As people read it. A link by device is not there: no topic says devices."""
    graph = found.graph
    return {
        "symbol": instrument.symbol,
        "begin": rfc3339(found.begin),
        "end": rfc3339(found.end),
        "trades_since": rfc3339_or_none(found.trades_since),
        "owners_known": found.owners_known,
        "sign_ins_since": rfc3339(found.sign_ins_since),
        "left_out": graph.left_out,
        "accounts": [_account(one, one in graph.subjects, found.trades, instrument) for one in graph.accounts],
        "trades": [
            {"seller": one.seller, "buyer": one.buyer, "trades": one.trades, "qty": instrument.qty_text(one.qty),
             "average_price": instrument.price_text(round(one.notional / one.qty))}
            for one in found.trades
        ],
        "links": [
            {"kind": one.kind, "what": one.what, "accounts": list(one.accounts), "times": one.times or None,
             "first_at": rfc3339_or_none(one.first_at), "last_at": rfc3339_or_none(one.last_at)}
            for one in graph.links
        ],
    }  # fmt: skip


def _account(account: int, is_subject: bool, trades: list[TradedPair], instrument: Instrument) -> dict[str, Any]:
    bought = sum(one.qty for one in trades if one.buyer == account)
    sold = sum(one.qty for one in trades if one.seller == account)
    return {
        "account": account, "account_id": account_uuid(account), "is_subject": is_subject, "bought": instrument.qty_text(bought),
        "sold": instrument.qty_text(sold), "net": instrument.qty_text(bought - sold),
        "trades": sum(one.trades for one in trades if account in (one.seller, one.buyer)),
    }  # fmt: skip


def _within(request: web.Request, name: str, default: int, most: int) -> int:
    found = whole_number(request.query.get(name, str(default)), name)
    if not 1 <= found <= most:
        raise bad_parameter(f"{name} must be from 1 to {most:,}")
    return found


ROUTES: Final = (web.get("/surveillance/alerts/{alert_id}/links", get_links),)
