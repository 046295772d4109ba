"""GET and PATCH /v2/account/configurations.

Three can be changed: `suspend_trade`, `no_shorting` (edge.gateway.orders.customers holds orders against them) and `trade_confirm_email`, which is kept and sends nothing.
The others say what an account of this exchange is; a PATCH may repeat them, as clients do that send the whole object, and is refused if it says another value.
"""

from typing import Any, Final

from aiohttp import web

from edge.alpaca.access import authenticate
from edge.alpaca.errors import value_of
from edge.alpaca.request_fields import Fields, decode_object
from edge.http.answers import json_response, read_body
from edge.http.errors import bad_parameter
from edge.http.state import gateway_of

_FIXED: Final[dict[str, Any]] = {
    "fractional_trading": False,
    "max_margin_multiplier": "1",
    "max_options_trading_level": 0,
    "ptp_no_exception_entry": False,
    "disable_overnight_trading": True,
    "dtbp_check": "entry",
    "pdt_check": "entry",
}
_EMAILS: Final = ("all", "none")


async def get_configurations(request: web.Request) -> web.Response:
    """What holds for the account."""
    session = await authenticate(request)
    return json_response(_FIXED | value_of(await gateway_of(request).customers.configuration(session.account)))


async def patch_configurations(request: web.Request) -> web.Response:
    """Change some of it; all of it then."""
    session = await authenticate(request)
    changes = parse_changes(await read_body(request))
    customers = gateway_of(request).customers
    asked = customers.configure(session.account, changes) if changes else customers.configuration(session.account)
    return json_response(_FIXED | value_of(await asked))


def parse_changes(body: bytes) -> dict[str, Any]:
    """What is to be changed; raises HttpError naming the first field that cannot be."""
    given = Fields(decode_object(body))
    for name, value in _FIXED.items():
        if name in given and (given.raw(name) != value or isinstance(given.raw(name), bool) != isinstance(value, bool)):
            raise bad_parameter(f"{name} cannot be changed: it is {str(value).lower()} for every account of this exchange")
    changes: dict[str, Any] = {name: given.flag(name) for name in ("suspend_trade", "no_shorting") if name in given}
    if "trade_confirm_email" in given:
        changes["trade_confirm_email"] = given.word("trade_confirm_email", {name: name for name in _EMAILS})
    return changes


ROUTES: Final = (
    web.get("/v2/account/configurations", get_configurations),
    web.patch("/v2/account/configurations", patch_configurations),
)
