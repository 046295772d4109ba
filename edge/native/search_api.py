"""GET /v1/search: the events of the caller's own account, as the audit trail has them."""

from typing import Final

from aiohttp import web

from access.api_keys import Scope
from edge.http.answers import read_body
from edge.http.searches import PARAMETERS, answer_of, question_of, texts_of
from edge.native.desk import DESK
from edge.native.orders.operations import require
from edge.native.rest import answered, who_asks
from edge.native.wire.problems import Problem, invalid, value_of
from sinks.elastic.search_words import BadWord


@answered
async def get_search(request: web.Request) -> web.Response:
    """Events of your account: which, sorted, and page after page."""
    session = await who_asks(request, await read_body(request))
    require(session, Scope.READ)
    gateway = request.app[DESK].gateway
    try:
        question = question_of(texts_of(request), gateway.instruments, session.account)
    except BadWord as error:
        raise _problem(error) from None
    found = value_of(await gateway.searches.find(str(session.account), question.wanted, question.limit, question.place))
    return answer_of(request, question, found, gateway.instruments)


def _problem(error: BadWord) -> Problem:
    if error.name not in PARAMETERS:
        return Problem("unknown_field", f"{error.name} {error.text}", field=error.name)
    return invalid(error.name, error.text)


ROUTES: Final = (web.get("/v1/search", get_search),)
