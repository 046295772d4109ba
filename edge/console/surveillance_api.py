"""Alerts for analysts: GET /surveillance/alerts, /surveillance/alerts/{id}, and the page that shows them."""

from typing import Any, Final

from aiohttp import web

from access.people import Role
from edge.console.pages import page
from edge.console.sign_in import allowed
from edge.gateway.history import AlertFilter
from edge.http.answers import json_response
from edge.http.errors import bad_parameter, not_found, read_value
from edge.http.state import gateway_of
from edge.http.timestamps import rfc3339_or_none
from schemas.ids import account_uuid, order_uuid
from schemas.instruments import Instrument, InstrumentTable

READERS: Final = (Role.ANALYST, Role.SUPERVISOR, Role.COMPLIANCE)
ALERTS_PAGE_MAX: Final = 500
_AS_THEY_ARE: Final = (
    "alert_id", "episode_key", "pattern", "account", "score", "severity", "status", "revision", "occurrences", "explanation", "source", "rule_refs",
    "features", "counterfactual", "detector_version", "config_digest", "reference_digest",
)  # fmt: skip


@allowed(*READERS)
async def surveillance_page(request: web.Request) -> web.StreamResponse:
    """The analyst's page."""
    return page("surveillance.html")


@allowed(*READERS)
async def get_alerts(request: web.Request) -> web.Response:
    """Newest first; filters pattern, symbol, account (an empty one is none); limit."""
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


@allowed(*READERS)
async def get_alert(request: web.Request) -> web.Response:
    """One alert by its id."""
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
