"""A search over HTTP: parameters of a query as what is wanted, and what was found as JSON or CSV. The native API and the analysts' page share it.

Every parameter is known, given once (symbol and kind apart) and read whole; sinks.elastic.search_words has what each may be.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

import msgspec
from aiohttp import web

from schemas.instruments import InstrumentTable
from sinks.elastic.search_places import place_of, place_text
from sinks.elastic.search_words import (
    ACCOUNT_MAX,
    COLUMNS,
    KINDS,
    PAGE_MAX,
    REASONS,
    SIDES,
    SORTS,
    BadWord,
    Found,
    Wanted,
    csv_line,
    moment,
    one_of,
    row_of,
    span,
    wanted_of,
)

PARAMETERS: Final = (
    "symbol", "kind", "side", "reason", "from", "to", "price", "size", "text", "sort", "ascending", "limit", "next", "format",
)  # fmt: skip
LIMIT_DEFAULT: Final = 100
FORMATS: Final = ("json", "csv")
_REPEATED: Final = frozenset({"symbol", "kind"})
Texts = Mapping[str, list[str]]
"""Every value of each parameter."""
_ENCODE: Final = msgspec.json.Encoder().encode


@dataclass(frozen=True)
class Question:
    """What was asked."""

    wanted: Wanted
    limit: int
    place: list[int | str] | None
    form: str
    """One of FORMATS."""


def texts_of(request: web.Request) -> Texts:
    """The parameters of a request."""
    return {name: request.query.getall(name) for name in request.query}


def question_of(query: Texts, instruments: InstrumentTable, own_account: int | None) -> Question:
    """own_account: whose events a customer may see; None: the parameter `account` says it, or everybody's. Raises BadWord."""
    _check(query, PARAMETERS if own_account is not None else (*PARAMETERS, "account"))
    price, size, since, until = (_text(query, name) for name in ("price", "size", "from", "to"))
    side, reason, place = (_text(query, name) for name in ("side", "reason", "next"))
    wanted = wanted_of(
        instruments,
        tuple(dict.fromkeys(query.get("symbol", ()))),
        span(price, "price") if price is not None else None,
        span(size, "size") if size is not None else None,
        _text(query, "text") or "",
        account=_whole(query, "account", ACCOUNT_MAX) if own_account is None else own_account,
        kinds=tuple(dict.fromkeys(one_of(kind, "kind", KINDS) for kind in query.get("kind", ()))),
        side=one_of(side, "side", SIDES) if side is not None else "",
        reason=one_of(reason, "reason", REASONS) if reason is not None else "",
        from_ns=moment(since, "from") if since is not None else None,
        to_ns=moment(until, "to") if until is not None else None,
        sort=_word(query, "sort", SORTS),
        ascending=_word(query, "ascending", ("false", "true")) == "true",
    )
    limit = _whole(query, "limit", PAGE_MAX) or LIMIT_DEFAULT
    return Question(wanted, limit, place_of(wanted, place) if place is not None else None, _word(query, "format", FORMATS))


def answer_of(request: web.Request, question: Question, found: Found, instruments: InstrumentTable) -> web.Response:
    """JSON with `events` and `next`, or CSV. The header Link has the address of the next page, if there is one."""
    rows = [row_of(document, instruments) for document in found.documents]
    place = place_text(question.wanted, found.place) if found.place is not None else None
    if question.form == "csv":
        text = "".join(f"{line}\n" for line in (",".join(COLUMNS), *map(csv_line, rows)))
        headers = {"Content-Disposition": 'attachment; filename="search.csv"'}
        response = web.Response(text=text, content_type="text/csv", charset="utf-8", headers=headers)
    else:
        response = web.Response(body=_ENCODE({"events": rows, "next": place}), content_type="application/json")
    if place is not None:
        response.headers["Link"] = f'<{request.rel_url.update_query(next=place)}>; rel="next"'
    return response


def _check(query: Texts, known: Iterable[str]) -> None:
    """Raises BadWord for a parameter that there is not, that is empty, or that comes twice."""
    names = tuple(known)
    for name, values in query.items():
        if name not in names:
            raise BadWord(name[:40], f"is no parameter of this search: there are {', '.join(names)}")
        if not all(values):
            raise BadWord(name, "is empty: leave it out")
        if name not in _REPEATED and len(values) > 1:
            raise BadWord(name, "is there twice")


def _text(query: Texts, name: str) -> str | None:
    return query[name][0] if name in query else None


def _word(query: Texts, name: str, known: Iterable[str]) -> str:
    """One of a closed list, the first of which is meant where none is given. Raises BadWord."""
    words = tuple(known)
    text = _text(query, name) or words[0]
    if text not in words:
        raise BadWord(name, f"{text[:40]!r} is not one of {', '.join(words)}")
    return text


def _whole(query: Texts, name: str, most: int) -> int | None:
    """From 1 to `most`; None if absent. Raises BadWord."""
    text = _text(query, name)
    if text is None:
        return None
    if not (text.isascii() and text.isdigit() and len(text) <= 19 and 1 <= int(text) <= most):
        raise BadWord(name, f"{text[:40]!r} is not a whole number from 1 to {most}")
    return int(text)
