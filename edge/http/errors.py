"""Errors over HTTP: their one form, and those that every part of the HTTP server may need.

The body has an integer `code` and a `message` for a person. The first three digits of a code are an HTTP status, the rest a family.
"""

import math
from collections.abc import Mapping
from typing import Final, TypeVar

from edge.gateway.outcomes import Accepted, Cause, Unavailable

T = TypeVar("T")

BAD_PARAMETER: Final = 40010001
"""Comes with 422."""
NO_ROUTE: Final = 40400000
"""Not 40410000, which ccxt takes for a fault of an order (InvalidOrder)."""


def code_of(status: int) -> int:
    """The code of a status of which there is one family, such as 40310000."""
    return status * 100_000 + 10_000


class HttpError(Exception):
    """An answer that is not what the client hoped for. `code`: that of the status, unless it has one of its own."""

    def __init__(
        self, status: int, message: str, *, code: int | None = None, headers: Mapping[str, str] | None = None, reason: str = ""
    ) -> None:
        super().__init__(message)
        self.status = status
        self.code = code_of(status) if code is None else code
        self.message = message
        self.headers = dict(headers or {})
        self.reason = reason

    def body(self) -> dict[str, int | str]:
        """The error object; `reject_reason` names the rule of the exchange for which it refused."""
        body: dict[str, int | str] = {"code": self.code, "message": self.message}
        if self.reason:
            body["reject_reason"] = self.reason
        return body


def bad_parameter(message: str) -> HttpError:
    """422 40010001: a parameter that cannot be taken; the message names it."""
    return HttpError(422, message, code=BAD_PARAMETER)


def not_found(message: str) -> HttpError:
    """404 40410000."""
    return HttpError(404, message)


def no_route() -> HttpError:
    """404 of an address that does not exist; its code tells it from an order, a position or an asset that does not."""
    return HttpError(404, "endpoint not found", code=NO_ROUTE)


def unavailable(outcome: Unavailable) -> HttpError:
    """503 with Retry-After, or 429 for what the client itself did too often. Never 504, which clients repeat on their own, orders included."""
    status = 429 if outcome.cause in (Cause.TOO_MANY_GUESSES, Cause.TOO_MANY_REQUESTS) else 503
    return HttpError(status, outcome.text, headers={"Retry-After": str(math.ceil(outcome.retry_after_s))})


def read_value(outcome: Accepted[T] | Unavailable) -> T:
    """What was read; raises HttpError where it cannot be read now."""
    if isinstance(outcome, Unavailable):
        raise unavailable(outcome)
    return outcome.value
