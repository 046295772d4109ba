"""What a refusal looks like over HTTP: one total table from reasons to (status, Alpaca code), and the errors that the edge finds itself.

Codes are Alpaca's: the first three digits are an HTTP status, the rest a family (40010001 comes with 422). Clients read `code` and `message`.
"""

import math
from collections.abc import Mapping
from typing import Final

from schemas.reject_reasons import SENTENCES, Reason

MALFORMED: Final = 40010000
BAD_PARAMETER: Final = 40010001
NOT_AUTHORIZED: Final = 40110000
FORBIDDEN: Final = 40310000
NOT_FOUND: Final = 40410000
NO_ROUTE: Final = 40400000
"""Not 40410000, which ccxt takes for a fault of an order (InvalidOrder)."""
METHOD_NOT_ALLOWED: Final = 40510000
TOO_LARGE: Final = 41310000
UNPROCESSABLE: Final = 42210000
TOO_MANY: Final = 42910000
INTERNAL: Final = 50010000
HTTP_VERSION: Final = 50510000
UNAVAILABLE: Final = 50310000
STORE_BEHIND: Final = "STORE_BEHIND"
"""`reject_reason` of a new order that is refused because MySQL is too far behind the log."""

ANSWERS: Final[Mapping[Reason, tuple[int, int]]] = {
    Reason.NONE: (500, INTERNAL),  # a refusal without a reason would be our fault
    Reason.UNKNOWN_ACCOUNT: (403, FORBIDDEN),
    Reason.ACCOUNT_SUSPENDED: (403, FORBIDDEN),
    Reason.UNKNOWN_SYMBOL: (422, BAD_PARAMETER),
    Reason.INVALID_CL_ORD_ID: (422, BAD_PARAMETER),
    Reason.DUPLICATE_CL_ORD_ID: (422, BAD_PARAMETER),
    Reason.INVALID_SIDE: (422, BAD_PARAMETER),
    Reason.INVALID_ORD_TYPE: (422, BAD_PARAMETER),
    Reason.INVALID_TIME_IN_FORCE: (422, BAD_PARAMETER),
    Reason.INVALID_COMBINATION: (422, UNPROCESSABLE),
    Reason.INVALID_QUANTITY: (422, BAD_PARAMETER),
    Reason.QUANTITY_ABOVE_LIMIT: (422, BAD_PARAMETER),
    Reason.INVALID_PRICE: (422, BAD_PARAMETER),
    Reason.PRICE_ABOVE_LIMIT: (422, BAD_PARAMETER),
    Reason.NOTIONAL_ABOVE_LIMIT: (422, UNPROCESSABLE),
    Reason.INSUFFICIENT_BUYING_POWER: (403, FORBIDDEN),
    Reason.INSUFFICIENT_SHARES: (403, FORBIDDEN),
    Reason.OPEN_ORDER_LIMIT: (403, FORBIDDEN),
    Reason.RATE_LIMIT: (403, FORBIDDEN),
    Reason.RESTRICTED: (403, FORBIDDEN),
    Reason.POSITION_LIMIT: (403, FORBIDDEN),
    Reason.SHORT_SALE_NOT_ALLOWED: (403, FORBIDDEN),
    Reason.SHORT_SALE_PRICE_TEST: (422, UNPROCESSABLE),
    Reason.UNKNOWN_ORDER: (404, NOT_FOUND),
    Reason.TOO_LATE_TO_CANCEL: (422, UNPROCESSABLE),
    Reason.CANCEL_ALREADY_PENDING: (422, UNPROCESSABLE),
    Reason.REPLACE_ALREADY_PENDING: (422, UNPROCESSABLE),
    Reason.REPLACED_ID_LIMIT: (503, UNAVAILABLE),
    Reason.MARKET_CLOSED: (403, FORBIDDEN),
    Reason.REQUESTED_BY_CUSTOMER: (422, UNPROCESSABLE),
    Reason.NO_LIQUIDITY: (422, UNPROCESSABLE),
    Reason.IMMEDIATE_OR_CANCEL: (422, UNPROCESSABLE),
    Reason.PROTECTION_PRICE: (422, UNPROCESSABLE),
    Reason.END_OF_DAY: (422, UNPROCESSABLE),
    Reason.BOOK_FULL: (503, UNAVAILABLE),
    Reason.INVALID_STOP_PRICE: (422, BAD_PARAMETER),
    Reason.INVALID_DISPLAY_QTY: (422, BAD_PARAMETER),
    Reason.INVALID_MIN_QTY: (422, BAD_PARAMETER),
    Reason.INVALID_OFFSET: (422, BAD_PARAMETER),
    Reason.INVALID_EXPIRE_TIME: (422, BAD_PARAMETER),
    Reason.INVALID_EXEC_INST: (422, UNPROCESSABLE),
    Reason.INVALID_SELF_MATCH_PREVENTION: (422, BAD_PARAMETER),
    Reason.INVALID_LIST: (422, BAD_PARAMETER),
    Reason.LIST_REJECTED: (422, UNPROCESSABLE),
    Reason.PRICE_OUTSIDE_COLLAR: (422, UNPROCESSABLE),
    Reason.QUANTITY_BELOW_LIMIT: (422, BAD_PARAMETER),
    Reason.NOT_IN_THIS_PHASE: (403, FORBIDDEN),
    Reason.AUCTION_CUTOFF: (403, FORBIDDEN),
    Reason.BELOW_ZERO: (403, FORBIDDEN),
    Reason.AMOUNT_OUT_OF_RANGE: (422, BAD_PARAMETER),
    Reason.ACCOUNT_LIMIT: (503, UNAVAILABLE),
    Reason.INVALID_COMMAND: (422, BAD_PARAMETER),
    Reason.UPDATE_ID_MISSING: (422, BAD_PARAMETER),
    Reason.UPDATE_APPLIED_BEFORE: (422, BAD_PARAMETER),
    Reason.UPDATE_ID_REUSED: (422, BAD_PARAMETER),
    Reason.UPDATE_ID_TOO_LOW: (422, BAD_PARAMETER),
    Reason.UPDATE_ID_TOO_HIGH: (422, BAD_PARAMETER),
    Reason.INVALID_PEG: (422, BAD_PARAMETER),
    Reason.TOO_MANY_STOPS: (503, UNAVAILABLE),
    Reason.TOO_MANY_PEGS: (503, UNAVAILABLE),
    Reason.FILL_OR_KILL: (422, UNPROCESSABLE),
    Reason.MIN_QTY_NOT_AVAILABLE: (422, UNPROCESSABLE),
    Reason.POST_ONLY_WOULD_TAKE: (422, UNPROCESSABLE),
    Reason.SELF_MATCH_PREVENTION: (422, UNPROCESSABLE),
    Reason.LINKED_ORDER: (422, UNPROCESSABLE),
    Reason.PRIMARY_NOT_FILLED: (422, UNPROCESSABLE),
    Reason.NOT_FILLED_IN_AUCTION: (422, UNPROCESSABLE),
    Reason.EXPIRE_TIME_REACHED: (422, UNPROCESSABLE),
    Reason.MASS_CANCEL: (422, UNPROCESSABLE),
    Reason.AUCTION_FROZEN: (403, FORBIDDEN),
    Reason.REDUCE_ONLY: (403, FORBIDDEN),
    Reason.CANNOT_CHANGE: (422, UNPROCESSABLE),
    Reason.REPLACED_TO_NOTHING: (422, UNPROCESSABLE),
    Reason.INVALID_PHASE_CHANGE: (422, UNPROCESSABLE),
    Reason.UNKNOWN_TRADE: (404, NOT_FOUND),
    Reason.TRADE_ALREADY_BUSTED: (422, UNPROCESSABLE),
    Reason.BUST_LIMIT: (503, UNAVAILABLE),
    # why an order was restated, a phase changed or a trade was busted: events say so, no request is refused for it
    **dict.fromkeys(
        (
            Reason.START_OF_DAY,
            Reason.ICEBERG_REPLENISHED,
            Reason.PEG_REPRICED,
            Reason.PEG_PARKED,
            Reason.POST_ONLY_SLIDE,
            Reason.PRICE_BAND,
            Reason.MARKET_TO_LIMIT,
            Reason.REGULATORY_HALT,
            Reason.MARKET_WIDE_HALT,
            Reason.LULD_PAUSE,
            Reason.LIMIT_STATE,
            Reason.LIMIT_STATE_LEFT,
            Reason.AUCTION_EXTENDED,
            Reason.AUCTION_ENDED,
            Reason.CLEARLY_ERRONEOUS,
        ),
        (422, UNPROCESSABLE),
    ),
}


class ApiError(Exception):
    """An answer that is not what the client hoped for: HTTP status, integer code, message for a person."""

    def __init__(self, status: int, code: int, message: str, headers: Mapping[str, str] | None = None, reason: str = "") -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.headers = dict(headers or {})
        self.reason = reason

    def body(self) -> dict[str, int | str]:
        """Alpaca's error object; `reject_reason` (ours) names the rule where a shard refused."""
        body: dict[str, int | str] = {"code": self.code, "message": self.message}
        if self.reason:
            body["reject_reason"] = self.reason
        return body


def refusal(reason: int, detail: str = "") -> ApiError:
    """The answer for a reason of a shard. `detail` (for instance the amounts) stands behind the reason's sentence."""
    known = Reason(reason)
    status, code = ANSWERS[known]
    message = SENTENCES[known] or "refused without a reason"
    return ApiError(status, code, f"{message} {detail}".rstrip(), reason=known.name)


def bad_parameter(message: str) -> ApiError:
    """422 40010001: a parameter that cannot be taken; the message names it."""
    return ApiError(422, BAD_PARAMETER, message)


def unprocessable(message: str) -> ApiError:
    """422 42210000: well formed, but against a rule of the market."""
    return ApiError(422, UNPROCESSABLE, message)


def not_found(message: str) -> ApiError:
    """404 40410000."""
    return ApiError(404, NOT_FOUND, message)


def not_authorized() -> ApiError:
    """401 40110000; says nothing of which half of the key was wrong."""
    return ApiError(401, NOT_AUTHORIZED, "request is not authorized: unknown API key or wrong secret")


def too_many_wrong_secrets(wait_s: float) -> ApiError:
    """429 with Retry-After; the secret was not looked at."""
    message = f"too many wrong API keys from this address: try again in {math.ceil(wait_s)} s"
    return ApiError(429, TOO_MANY, message, {"Retry-After": str(math.ceil(wait_s))})


def no_route() -> ApiError:
    """404 of an address that does not exist; its code tells it from an order, a position or an asset that does not."""
    return ApiError(404, NO_ROUTE, "endpoint not found")


def unavailable(message: str, retry_after_s: int = 1) -> ApiError:
    """503 with Retry-After; never 504, which clients repeat on their own, orders included."""
    return ApiError(503, UNAVAILABLE, message, {"Retry-After": str(retry_after_s)})


def history_away(what: str) -> ApiError:
    """503 of something that only MySQL knows."""
    return unavailable(f"{what} cannot be read at the moment (MySQL is not reachable)")


def outcome_unknown() -> ApiError:
    """503 of an order whose decision did not come in time."""
    return unavailable(
        "no decision in time: the order may or may not have been accepted; send it again with the same client_order_id, "
        "which returns the first answer and never makes a second order"
    )
