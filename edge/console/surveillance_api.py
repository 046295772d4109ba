"""Alerts for analysts: GET /surveillance/alerts, /surveillance/alerts/{id}, and the page that shows them.

With an admin key set, it is asked as header X-Admin-Key, or once as ?key= which becomes a cookie. Without one, only a browser on this
machine is served (edge.http.addresses says what that is): no proxy that can be seen, no rebound name.
"""

import hashlib
import hmac
from typing import Any, Final

from aiohttp import web
from yarl import URL

from edge.console.pages import page
from edge.gateway.history import AlertFilter
from edge.http.addresses import is_from_this_machine
from edge.http.answers import json_response
from edge.http.errors import HttpError, bad_parameter, not_found, read_value
from edge.http.state import gateway_of
from edge.http.timestamps import rfc3339_or_none
from schemas.ids import account_uuid, order_uuid
from schemas.instruments import Instrument, InstrumentTable

COOKIE: Final = "outcry_admin"
ALERTS_PAGE_MAX: Final = 500
_AS_THEY_ARE: Final = (
    "alert_id", "episode_key", "pattern", "account", "score", "severity", "status", "revision", "occurrences", "explanation", "source", "rule_refs",
    "features", "counterfactual", "detector_version", "config_digest", "reference_digest",
)  # fmt: skip


def _cookie_of(key: str) -> str:
    return hashlib.sha256(b"outcry-admin-cookie:" + key.encode()).hexdigest()


def _same(given: str, expected: str) -> bool:
    """Without telling by its time how much was right; what a client sends need not be UTF-8."""
    return hmac.compare_digest(given.encode("utf-8", "surrogateescape"), expected.encode())


def check_analyst(request: web.Request) -> None:
    """Raises HttpError unless the request may see alerts."""
    key = gateway_of(request).settings.admin_key
    if not key:
        if not is_from_this_machine(request):
            raise HttpError(403, "surveillance is open on this machine only, not through a proxy; set OUTCRY_ADMIN_KEY to allow others")
        return
    given = request.headers.get("X-Admin-Key", "")
    cookie = request.cookies.get(COOKIE, "")
    if not (_same(given, key) or _same(cookie, _cookie_of(key))):
        raise HttpError(401, "surveillance needs the admin key: header X-Admin-Key, or open the page once with ?key=")


async def surveillance_page(request: web.Request) -> web.StreamResponse:
    """The analyst's page; ?key= becomes a cookie and leaves the address bar."""
    key = gateway_of(request).settings.admin_key
    given = request.query.get("key", "")
    if key and _same(given, key):
        response = web.Response(status=303, headers={"Location": str(URL(request.path))})
        response.set_cookie(COOKIE, _cookie_of(key), httponly=True, samesite="Strict", path="/surveillance", secure=request.secure)
        return response
    check_analyst(request)
    return page("surveillance.html")


async def get_alerts(request: web.Request) -> web.Response:
    """Newest first; filters pattern, symbol, account (an empty one is none); limit."""
    check_analyst(request)
    gateway = gateway_of(request)
    query = request.query
    limit = _whole(query.get("limit", "100"), "limit")
    if not 1 <= limit <= ALERTS_PAGE_MAX:
        raise bad_parameter(f"limit must be 1 to {ALERTS_PAGE_MAX}")
    symbol, account = query.get("symbol"), query.get("account")
    if symbol and symbol not in gateway.instruments.by_symbol:
        raise bad_parameter("symbol is not known")
    wanted = AlertFilter(
        limit,
        pattern=query.get("pattern") or None,
        instrument=gateway.instruments.by_symbol[symbol].number if symbol else None,
        account=_whole(account, "account") if account else None,
    )
    alerts = read_value(await gateway.alerts(wanted))
    return json_response([alert_json(alert, gateway.instruments) for alert in alerts])


async def get_alert(request: web.Request) -> web.Response:
    """One alert by its id."""
    check_analyst(request)
    gateway = gateway_of(request)
    alert = read_value(await gateway.alert(request.match_info["alert_id"]))
    if alert is None:
        raise not_found("alert not found")
    return json_response(alert_json(alert, gateway.instruments))


def _whole(text: str, name: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= 18):
        raise bad_parameter(f"{name} must be a whole number")
    return int(text)


def alert_json(alert: dict[str, Any], instruments: InstrumentTable) -> dict[str, Any]:
    """A record of alert.avsc with prices, quantities and times as people read them; ids also as the API shows them.

    An alert of version 0.2 has no steps, accounts and severity: then they are its explanation, its account, and empty.
    """
    instrument = instruments.by_number[alert["instrument"]]
    accounts = alert["accounts"] or [alert["account"]]
    return {
        **{name: alert[name] for name in _AS_THEY_ARE},
        "symbol": instrument.symbol,
        "account_id": account_uuid(alert["account"]),
        "accounts": accounts,
        "account_ids": [account_uuid(one) for one in accounts],
        "side": alert["side"].lower(),
        "steps": alert["steps"] or [alert["explanation"]],
        "window_start": rfc3339_or_none(alert["window_start"]),
        "window_end": rfc3339_or_none(alert["window_end"]),
        "detected_at": rfc3339_or_none(alert["detected_at"]),
        "revised_at": rfc3339_or_none(alert["revised_at"] or alert["detected_at"]),
        "evidence_total": max(alert["evidence_total"], len(alert["evidence"])),
        "evidence": [_evidence_json(one, instrument, alert["source"]) for one in alert["evidence"]],
    }


def _evidence_json(evidence: dict[str, Any], instrument: Instrument, source: str) -> dict[str, Any]:
    """`seq` and `offset` are None where the alert does not say them: version 0.2."""
    topic, _, partition = source.partition("@")[0].rpartition("/")
    return {
        "role": evidence["role"],
        "order_id": order_uuid(evidence["order_id"]),
        "order_number": evidence["order_id"],
        "account": evidence.get("account") or None,
        "trade_id": evidence.get("trd_match_id") or None,
        "side": str(evidence["side"]).lower(),
        "price": instrument.price_text(evidence["price"]),
        "qty": instrument.qty_text(evidence["qty"]),
        "traded_qty": instrument.qty_text(evidence["traded_qty"]),
        "placed_at": rfc3339_or_none(evidence["placed_at"]),
        "ended_at": rfc3339_or_none(evidence["ended_at"]),
        "topic": topic,
        "partition": int(partition) if partition.isdigit() else None,
        "offset": evidence["offset"] if evidence.get("offset", -1) >= 0 else None,
        "seq": evidence.get("seq") or None,
    }


ROUTES: Final = (
    web.get("/surveillance", surveillance_page),
    web.get("/surveillance/alerts", get_alerts),
    web.get("/surveillance/alerts/{alert_id}", get_alert),
)
