"""Alerts for analysts: GET /surveillance/alerts, /surveillance/alerts/{id}, and the page that shows them."""

from typing import Final

from aiohttp import web

from edge.console.alert_json import alert_json, book_json, whole_number
from edge.console.cases_api import ANALYSTS, SENIORS, note_read
from edge.console.pages import page
from edge.console.sign_in import allowed
from edge.gateway.stored.history import AlertFilter
from edge.http.answers import json_response
from edge.http.errors import bad_parameter, not_found, read_value
from edge.http.state import gateway_of
from surveillance.cases.words import ReadAction

ALERTS_PAGE_MAX: Final = 500


@allowed(*ANALYSTS)
async def surveillance_page(request: web.Request) -> web.StreamResponse:
    """The analyst's page."""
    return page("surveillance.html")


@allowed(*SENIORS)
async def team_page(request: web.Request) -> web.StreamResponse:
    """The supervisor's page."""
    return page("team.html")


@allowed(*ANALYSTS)
async def get_alerts(request: web.Request) -> web.Response:
    """Newest first; filters pattern, symbol, account (an empty one is none); limit."""
    gateway = gateway_of(request)
    query = request.query
    limit = whole_number(query.get("limit", "100"), "limit")
    if not 1 <= limit <= ALERTS_PAGE_MAX:
        raise bad_parameter(f"limit must be 1 to {ALERTS_PAGE_MAX}")
    symbol, account = query.get("symbol"), query.get("account")
    if symbol and symbol not in gateway.instruments.by_symbol:
        raise bad_parameter("symbol is not known")
    wanted = AlertFilter(
        limit,
        pattern=query.get("pattern") or None,
        instrument=gateway.instruments.by_symbol[symbol].number if symbol else None,
        account=whole_number(account, "account") if account else None,
    )
    alerts = read_value(await gateway.alerts(wanted))
    await note_read(request, ReadAction.READ_ALERTS, "", tuple(one["alert_id"] for one in alerts))
    return json_response([alert_json(alert, gateway.instruments) for alert in alerts])


@allowed(*ANALYSTS)
async def get_alert(request: web.Request) -> web.Response:
    """One alert by its id."""
    gateway = gateway_of(request)
    alert = read_value(await gateway.alert(request.match_info["alert_id"]))
    if alert is None:
        raise not_found("alert not found")
    await note_read(request, ReadAction.READ_ALERT, "", (alert["alert_id"],))
    return json_response(alert_json(alert, gateway.instruments))


@allowed(*ANALYSTS)
async def get_book(request: web.Request) -> web.Response:
    """The book around an alert, step by step, as the log has it: see surveillance.book_replay. 404 for an alert that does not say where its evidence is."""
    gateway = gateway_of(request)
    alert = read_value(await gateway.alert(request.match_info["alert_id"]))
    if alert is None:
        raise not_found("alert not found")
    await note_read(request, ReadAction.READ_BOOK, "", (alert["alert_id"],))
    replay = read_value(await gateway.book_replays.around(alert))
    if replay is None:
        raise not_found("the alert does not say where in the log its evidence is")
    return json_response(book_json(replay, gateway.instruments.by_number[alert["instrument"]]))


ROUTES: Final = (
    web.get("/surveillance", surveillance_page),
    web.get("/surveillance/alerts", get_alerts),
    web.get("/surveillance/alerts/{alert_id}", get_alert),
    web.get("/surveillance/alerts/{alert_id}/book", get_book),
    web.get("/surveillance/team", team_page),
)
