"""Parameters of a request's query as exact values, each refused by its own name; and page tokens. No I/O.

Alpaca's trading API refuses with 422, its market-data API with 400: whoever makes a Query says which.

A page token is opaque to clients: the place behind which the next page begins, under a digest of the query that it belongs to. A token of another query,
or one that was made up, is refused.
"""

import base64
import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, date, datetime
from typing import Any, Final, TypeVar

from edge.alpaca.limits import LIST_NAMES_MAX
from edge.alpaca.request_fields import NUMBER, find_instrument
from edge.http.client_data import quoted
from edge.http.errors import HttpError, bad_parameter
from edge.http.timestamps import parse_time_ns
from schemas.instruments import Instrument, InstrumentTable

T = TypeVar("T")

TIME_NS_MAX: Final = 1 << 62
_S: Final = 1_000_000_000
_FLAGS: Final = {"true": True, "false": False, "1": True, "0": False}
_TOKEN_CHARACTERS_MAX: Final = 256


def bad_request(message: str) -> HttpError:
    """400: how the market-data API refuses a parameter."""
    return HttpError(400, message)


class Query:
    """The parameters of one request. Every method raises `refuse(message)` that names the parameter; an empty one is absent."""

    def __init__(self, values: Mapping[str, str], refuse: Callable[[str], HttpError] = bad_parameter) -> None:
        self._values = values
        self._refuse = refuse

    def text(self, name: str, default: str = "") -> str:
        """As it came."""
        return self._values.get(name) or default

    def refused(self, message: str) -> HttpError:
        """The error for a rule that only the caller knows."""
        return self._refuse(message)

    def word(self, name: str, known: Mapping[str, T] | Sequence[str], default: str = "") -> Any:
        """What a word of a closed list stands for: itself, where the list says no more."""
        word = self.text(name, default)
        if word not in known:
            listed = ", ".join(filter(None, known))
            raise self._refuse(
                f"invalid {name} {quoted(word)}: must be one of {listed}" if word else f"{name} is required: one of {listed}"
            )
        return known[word] if isinstance(known, Mapping) else word

    def flag(self, name: str, *, default: bool = False) -> bool:
        """True or false, in any case: Python's clients say True."""
        word = self.text(name, str(default)).lower()
        if word not in _FLAGS:
            raise self._refuse(f"{name} must be true or false")
        return _FLAGS[word]

    def whole(self, name: str, default: int, most: int, least: int = 1) -> int:
        """A whole number."""
        text = self.text(name, str(default))
        if not (text.isascii() and text.isdigit() and least <= int(text[:12]) <= most):
            raise self._refuse(f"invalid {name} {quoted(text)}: must be a whole number from {least} to {most}")
        return int(text)

    def decimal_text(self, name: str) -> str:
        """A decimal number, as text; empty if absent."""
        text = self.text(name)
        if text and not NUMBER.fullmatch(text):
            raise self._refuse(f"invalid {name} {quoted(text)}: must be a decimal number")
        return text

    def time(self, name: str, default: int) -> int:
        """Nanoseconds of a date or an RFC 3339 time."""
        text = self.text(name)
        if not text:
            return default
        # a plus sign that the client has not escaped arrives as a space
        found = parse_time_ns(text.replace(" ", "+") if "T" in text.upper() else text)
        if found is None or not 0 <= found < TIME_NS_MAX:
            raise self._refuse(f"Invalid format for parameter {name} {quoted(text)}: must be a date or an RFC 3339 time")
        return found

    def day(self, name: str) -> date:
        """The day (of UTC) of a date or an RFC 3339 time that must be there."""
        found = parse_time_ns(self.text(name))
        if found is None:
            raise self._refuse(f"invalid {name} {quoted(self.text(name))}: must be YYYY-MM-DD")
        return datetime.fromtimestamp(found // _S, UTC).date()

    def names(self, name: str, *, must: bool = False) -> list[str]:
        """A list with commas, each name once."""
        found = list(dict.fromkeys(filter(None, (one.strip() for one in self.text(name).split(",")))))
        if must and not found:
            raise self._refuse(f"{name} is required")
        if len(found) > LIST_NAMES_MAX:
            raise self._refuse(f"{name} has more than {LIST_NAMES_MAX} names")
        return found

    def instruments(self, name: str, known: InstrumentTable, *, must: bool = False) -> dict[str, Instrument]:
        """Those of a list of symbols or asset ids, by the names that the client gave; unknown ones are refused."""
        names = self.names(name, must=must)
        found = {one: find_instrument(one, known) for one in names}
        for one, instrument in found.items():
            if instrument is None:
                raise self._refuse(f"invalid symbol: {quoted(one)}")
        return {one: instrument for one, instrument in found.items() if instrument is not None}

    # ---- page tokens

    def token(self, scope: str, place: Sequence[int | str]) -> str:
        """The token of a place behind which the next page of this query begins."""
        return base64.urlsafe_b64encode(json.dumps([self._digest(scope), *place], separators=(",", ":")).encode()).decode().rstrip("=")

    def place(self, scope: str, kinds: Sequence[type[int] | type[str]]) -> list[Any] | None:
        """The place of the request's page_token; None: it has none, the first page."""
        text = self.text("page_token")
        if not text:
            return None
        refusal = self._refuse("invalid page_token: send it as it came")
        if len(text) > _TOKEN_CHARACTERS_MAX:
            raise refusal
        place: list[Any]
        try:
            digest, *place = json.loads(base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True))
        except (ValueError, TypeError, RecursionError):
            raise refusal from None
        fits = len(place) == len(kinds) and all(type(one) is kind for one, kind in zip(place, kinds, strict=False))
        if not fits or any(isinstance(one, int) and not 0 <= one < 1 << 63 for one in place):
            raise refusal
        if digest != self._digest(scope):
            raise self._refuse("invalid page_token: it belongs to another query")
        return place

    def _digest(self, scope: str) -> str:
        """Of everything that decides which list it is, and in which order: how much of it at a time does not."""
        said = sorted((name, value) for name, value in self._values.items() if value and name not in ("page_token", "limit", "page_size"))
        return hashlib.blake2b(json.dumps([scope, said]).encode(), digest_size=6).hexdigest()
