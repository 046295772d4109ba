"""Search of the audit trail for analysts: GET /surveillance/search, and the page /surveillance/find. Every search that is answered is in the log."""

from typing import Final

from aiohttp import web

from edge.console.cases_api import ANALYSTS, note_read
from edge.console.pages import page
from edge.console.sign_in import PERSON, allowed
from edge.http.errors import bad_parameter, read_value
from edge.http.searches import answer_of, question_of, texts_of
from edge.http.state import gateway_of
from sinks.elastic.search_words import BadWord
from surveillance.cases.words import ReadAction


@allowed(*ANALYSTS)
async def search_page(request: web.Request) -> web.StreamResponse:
    """The form, what was found, and its export."""
    return page("find.html")


@allowed(*ANALYSTS)
async def get_search(request: web.Request) -> web.Response:
    """Events of accounts. Parameters as of GET /v1/search, and `account`."""
    gateway, asked = gateway_of(request), texts_of(request)
    try:
        question = question_of(asked, gateway.instruments, None)
    except BadWord as error:
        raise bad_parameter(f"{error.name} {error.text}") from None
    found = read_value(await gateway.staff_searches.find(request[PERSON].name, question.wanted, question.limit, question.place))
    await note_read(request, ReadAction.SEARCH, "", (), **{name: ", ".join(values) for name, values in asked.items()})
    return answer_of(request, question, found, gateway.instruments)


ROUTES: Final = (
    web.get("/surveillance/search", get_search),
    web.get("/surveillance/find", search_page),
)
