"""Orders that must be refused: what is wrong with each, and the exact answer that it must get over HTTP and on the topic."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from schemas.reject_reasons import Reason


class BadKind(StrEnum):
    """What is wrong with an order."""

    OFF_TICK = "off tick"
    FRACTION_OF_A_LOT = "fraction of a lot"
    NOT_A_NUMBER = "not a number"
    NEGATIVE_QUANTITY = "negative quantity"
    UNKNOWN_SYMBOL = "unknown symbol"
    MARKET_TO_LIMIT_OPG = "market-to-limit order for the opening"
    ABOVE_QUANTITY_LIMIT = "above the quantity limit"
    NO_MONEY = "more than the account's money"
    NO_SHARES = "more than the account's shares"


@dataclass(frozen=True)
class Expected:
    """The answer: over HTTP `status` and `code`. On the topic the producer library names `field`, or the log has a REJECTED with `reason`."""

    status: int
    code: int
    field: str = ""
    reason: Reason = Reason.NONE


EXPECTED: Final[dict[BadKind, Expected]] = {
    BadKind.OFF_TICK: Expected(422, 42210000, field="price"),
    BadKind.FRACTION_OF_A_LOT: Expected(422, 40010001, field="order_qty"),
    BadKind.NOT_A_NUMBER: Expected(400, 40010000, field="order_qty"),
    BadKind.NEGATIVE_QUANTITY: Expected(422, 40010001, field="order_qty"),
    BadKind.UNKNOWN_SYMBOL: Expected(422, 40010001, field="symbol"),
    BadKind.MARKET_TO_LIMIT_OPG: Expected(422, 42210000, reason=Reason.INVALID_COMBINATION),
    BadKind.ABOVE_QUANTITY_LIMIT: Expected(422, 40010001, reason=Reason.QUANTITY_ABOVE_LIMIT),
    BadKind.NO_MONEY: Expected(403, 40310000, reason=Reason.INSUFFICIENT_BUYING_POWER),
    BadKind.NO_SHARES: Expected(403, 40310000, reason=Reason.INSUFFICIENT_SHARES),
}
