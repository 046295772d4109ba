"""The gateway's outcomes as Alpaca's errors: status, integer code, message. One total table for the reasons of the exchange.

Codes are Alpaca's: the first three digits are an HTTP status, the rest a family (40010001 comes with 422). Clients read `code` and `message`.
"""

from collections.abc import Mapping
from typing import Final, TypeVar, assert_never

from edge.alpaca.order_words import STATUS_TEXT
from edge.gateway.outcomes import (
    Accepted,
    AlreadyDone,
    Cause,
    Denied,
    Outcome,
    OutcomeUnknown,
    Refused,
    ShortOfCash,
    ShortOfShares,
    Unavailable,
)
from edge.http.errors import BAD_PARAMETER, HttpError, code_of, unavailable
from schemas.enums import CommandKind
from schemas.reject_reasons import SENTENCES, Reason
from schemas.units import minor_to_text

T = TypeVar("T")

FORBIDDEN: Final = code_of(403)
NOT_FOUND: Final = code_of(404)
UNPROCESSABLE: Final = code_of(422)
INTERNAL: Final = code_of(500)
UNAVAILABLE: Final = code_of(503)

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

_UNKNOWN: Final = {
    CommandKind.NEW_ORDER: "the order may or may not have been accepted; send it again with the same client_order_id, "
    "which returns the first answer and never makes a second order",
    CommandKind.REPLACE: "the order may or may not be replaced; read it before you ask again",
    CommandKind.CANCEL: "the order may or may not be canceled; ask again",
}
"""What a client should do about a command whose outcome is not known."""


def error_of(outcome: Refused | Unavailable | OutcomeUnknown | Denied) -> HttpError:
    """The answer to a request of which this became. 503 also where the outcome is not known: clients send it again."""
    match outcome:
        case Refused():
            return _refused(outcome)
        case Unavailable():
            error = unavailable(outcome)
            error.reason = outcome.cause.name if outcome.cause is Cause.STORE_BEHIND else ""
            return error
        case OutcomeUnknown():
            return HttpError(503, f"no decision in time: {_UNKNOWN[outcome.kind]}", headers={"Retry-After": "1"})
        case Denied(text):
            return HttpError(401, f"request is not authorized: {text or 'unknown API key or wrong secret'}")
        case _:
            assert_never(outcome)


def value_of(outcome: Outcome[T] | Denied) -> T:
    """What was asked for; raises HttpError where the outcome is another."""
    if isinstance(outcome, Accepted):
        return outcome.value
    raise error_of(outcome)


def _refused(outcome: Refused) -> HttpError:
    """The answer for a reason, with the facts behind it and the place in its list."""
    status, code = ANSWERS[outcome.reason]
    message = SENTENCES[outcome.reason] or "refused without a reason"
    match outcome.what:
        case ShortOfCash(available):
            message += f" (available: {minor_to_text(available)})"
        case ShortOfShares(instrument, requested, available):
            message += f" (requested: {instrument.qty_text(requested)}, available: {instrument.qty_text(available)})"
        case AlreadyDone(ord_status):
            message = f'order is already in "{STATUS_TEXT[ord_status]}" state'
        case None:
            pass
        case _:
            assert_never(outcome.what)
    if outcome.where:
        message += f" (order {outcome.where + 1} of the list)"
    return HttpError(status, message, code=code, reason=outcome.reason.name)


def unprocessable(message: str) -> HttpError:
    """422 42210000: well formed, but against a rule of the market."""
    return HttpError(422, message)
