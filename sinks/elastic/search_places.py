"""Where the next page of a search begins, as text that a client sends back. No I/O.

It is not secret and not signed: whose events are found is said by the question, which each page asks anew, and never by a place. It is checked in full,
so that what somebody made up is a mistake with a name, and it has a digest of its question: behind a place of another one, a page would skip
events that were never shown.
"""

import json
import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Sequence
from hashlib import blake2b
from typing import Any, Final

from sinks.elastic.search_words import BadWord, Wanted, moment

PLACE_CHARACTERS_MAX: Final = 200
"""Three numbers of 20 digits, or a time and two, and a digest of 16: less than 120."""
_NONE: Final = "is no place in a search: send what the answer of the page before has"
_TIME: Final = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?Z", re.ASCII)
_INT64: Final = range(-(1 << 63), 1 << 63)


def place_text(wanted: Wanted, place: Sequence[int | str]) -> str:
    """The place behind a page, in base64url without padding."""
    return urlsafe_b64encode(json.dumps([_digest(wanted), *place], separators=(",", ":")).encode()).decode().rstrip("=")


def place_of(wanted: Wanted, text: str) -> list[int | str]:
    """The sort values of search_after. Raises BadWord for a text that is no place, and for that of another search."""
    if len(text) > PLACE_CHARACTERS_MAX or not text.isascii():
        raise BadWord("next", _NONE)
    try:
        digest, value, *last = json.loads(urlsafe_b64decode(text + "=" * (-len(text) % 4)))
        is_place = isinstance(digest, str) and _is_value(wanted, value) and len(last) == 2 and all(map(_is_number, last))
    except (ValueError, TypeError):
        is_place = False
    if not is_place:
        raise BadWord("next", _NONE)
    if digest != _digest(wanted):
        raise BadWord("next", "is of another search: send it with the same parameters, the limit and the format apart")
    return [value, *last]


def _is_value(wanted: Wanted, value: Any) -> bool:
    return _is_time(value) if wanted.sort == "time" else _is_number(value)


def _is_number(value: Any) -> bool:
    """JSON's true is a number of Python."""
    return isinstance(value, int) and not isinstance(value, bool) and value in _INT64


def _is_time(value: Any) -> bool:
    """As Elasticsearch writes it; it would take another for a fault of ours. Raises ValueError for a day that does not exist."""
    return isinstance(value, str) and _TIME.fullmatch(value) is not None and moment(f"{value[:19]}Z") >= 0


def _digest(wanted: Wanted) -> str:
    return blake2b(repr(wanted).encode(), digest_size=8).hexdigest()
