"""Every reason for a reject, cancel or expiry, with the sentence that a customer reads. Stored in u2 columns; never renumber."""

from enum import IntEnum


class Reason(IntEnum):
    """Why; NONE where nothing was refused or taken out."""

    NONE = 0
    # the account shard's checks, in the order in which they are made (matching-rules section 7)
    UNKNOWN_ACCOUNT = 1
    ACCOUNT_SUSPENDED = 2
    UNKNOWN_SYMBOL = 3
    INVALID_CL_ORD_ID = 4
    DUPLICATE_CL_ORD_ID = 5
    INVALID_SIDE = 6
    INVALID_ORD_TYPE = 7
    INVALID_TIME_IN_FORCE = 8
    INVALID_COMBINATION = 9
    INVALID_QUANTITY = 10
    QUANTITY_ABOVE_LIMIT = 11
    INVALID_PRICE = 12
    PRICE_ABOVE_LIMIT = 13
    NOTIONAL_ABOVE_LIMIT = 14
    INSUFFICIENT_BUYING_POWER = 15
    INSUFFICIENT_SHARES = 16
    OPEN_ORDER_LIMIT = 17
    # cancels
    UNKNOWN_ORDER = 30
    TOO_LATE_TO_CANCEL = 31
    CANCEL_ALREADY_PENDING = 32
    # the book
    MARKET_CLOSED = 50
    REQUESTED_BY_CUSTOMER = 51
    NO_LIQUIDITY = 52
    IMMEDIATE_OR_CANCEL = 53
    PROTECTION_PRICE = 54
    END_OF_DAY = 55
    BOOK_FULL = 56
    # account updates
    BELOW_ZERO = 70
    AMOUNT_OUT_OF_RANGE = 71
    ACCOUNT_LIMIT = 72
    INVALID_COMMAND = 73


SENTENCES: dict[Reason, str] = {
    Reason.NONE: "",
    Reason.UNKNOWN_ACCOUNT: "account is not known",
    Reason.ACCOUNT_SUSPENDED: "account may not trade now",
    Reason.UNKNOWN_SYMBOL: "asset is not known",
    Reason.INVALID_CL_ORD_ID: "client_order_id must be 1 to 128 printable ASCII characters",
    Reason.DUPLICATE_CL_ORD_ID: "client_order_id must be unique: it belongs to another order",
    Reason.INVALID_SIDE: "side must be buy or sell",
    Reason.INVALID_ORD_TYPE: "order type is not supported",
    Reason.INVALID_TIME_IN_FORCE: "time_in_force is not supported",
    Reason.INVALID_COMBINATION: "this time_in_force does not go with this order type",
    Reason.INVALID_QUANTITY: "qty must be positive",
    Reason.QUANTITY_ABOVE_LIMIT: "qty is above the limit of the asset",
    Reason.INVALID_PRICE: "limit_price must be positive for a limit order and absent for a market order",
    Reason.PRICE_ABOVE_LIMIT: "limit_price is above the limit",
    Reason.NOTIONAL_ABOVE_LIMIT: "order value is above the limit of the asset",
    Reason.INSUFFICIENT_BUYING_POWER: "insufficient buying power",
    Reason.INSUFFICIENT_SHARES: "insufficient qty available for order",
    Reason.OPEN_ORDER_LIMIT: "too many open orders",
    Reason.UNKNOWN_ORDER: "order is not known",
    Reason.TOO_LATE_TO_CANCEL: "order is no longer cancelable",
    Reason.CANCEL_ALREADY_PENDING: "cancel is already pending",
    Reason.MARKET_CLOSED: "market is closed",
    Reason.REQUESTED_BY_CUSTOMER: "canceled by request",
    Reason.NO_LIQUIDITY: "no more orders on the other side",
    Reason.IMMEDIATE_OR_CANCEL: "immediate-or-cancel: the rest could not be executed at once",
    Reason.PROTECTION_PRICE: "the rest would execute beyond the protection price",
    Reason.END_OF_DAY: "the trading day has ended",
    Reason.BOOK_FULL: "the book has no room for more orders",
    Reason.BELOW_ZERO: "the account does not have that much available",
    Reason.AMOUNT_OUT_OF_RANGE: "amount is out of range",
    Reason.ACCOUNT_LIMIT: "the shard has no room for more accounts",
    Reason.INVALID_COMMAND: "command is not known",
}
