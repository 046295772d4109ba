"""Every reason for a reject, cancel or expiry, with the sentence that a customer reads. Stored in u2 columns; never renumber."""

from enum import IntEnum


class Reason(IntEnum):
    """Why; NONE if nothing was refused or removed."""

    NONE = 0
    # the account shard's checks, in the order in which they are made (docs/rules.md, section 7)
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
    RATE_LIMIT = 18
    RESTRICTED = 19
    POSITION_LIMIT = 20
    SHORT_SALE_NOT_ALLOWED = 21
    SHORT_SALE_PRICE_TEST = 22
    # cancels
    UNKNOWN_ORDER = 30
    TOO_LATE_TO_CANCEL = 31
    CANCEL_ALREADY_PENDING = 32
    REPLACE_ALREADY_PENDING = 33
    REPLACED_ID_LIMIT = 34
    # the book
    MARKET_CLOSED = 50
    REQUESTED_BY_CUSTOMER = 51
    NO_LIQUIDITY = 52
    IMMEDIATE_OR_CANCEL = 53
    PROTECTION_PRICE = 54
    END_OF_DAY = 55
    BOOK_FULL = 56
    INVALID_STOP_PRICE = 57
    INVALID_DISPLAY_QTY = 58
    INVALID_MIN_QTY = 59
    INVALID_OFFSET = 60
    INVALID_EXPIRE_TIME = 61
    INVALID_EXEC_INST = 62
    INVALID_SELF_MATCH_PREVENTION = 63
    INVALID_LIST = 64
    LIST_REJECTED = 65
    PRICE_OUTSIDE_COLLAR = 66
    QUANTITY_BELOW_LIMIT = 67
    NOT_IN_THIS_PHASE = 68
    AUCTION_CUTOFF = 69
    # account updates
    BELOW_ZERO = 70
    AMOUNT_OUT_OF_RANGE = 71
    ACCOUNT_LIMIT = 72
    INVALID_COMMAND = 73
    UPDATE_ID_MISSING = 74
    UPDATE_APPLIED_BEFORE = 75
    UPDATE_ID_REUSED = 76
    UPDATE_ID_TOO_LOW = 77
    UPDATE_ID_TOO_HIGH = 78
    # the book again
    INVALID_PEG = 80
    TOO_MANY_STOPS = 81
    TOO_MANY_PEGS = 82
    FILL_OR_KILL = 83
    MIN_QTY_NOT_AVAILABLE = 84
    POST_ONLY_WOULD_TAKE = 85
    SELF_MATCH_PREVENTION = 86
    LINKED_ORDER = 87
    PRIMARY_NOT_FILLED = 88
    NOT_FILLED_IN_AUCTION = 89
    EXPIRE_TIME_REACHED = 90
    MASS_CANCEL = 91
    AUCTION_FROZEN = 92
    REDUCE_ONLY = 93
    CANNOT_CHANGE = 94
    REPLACED_TO_NOTHING = 95
    INVALID_PHASE_CHANGE = 96
    UNKNOWN_TRADE = 97
    TRADE_ALREADY_BUSTED = 98
    BUST_LIMIT = 99
    # why an order was restated
    START_OF_DAY = 110
    ICEBERG_REPLENISHED = 111
    PEG_REPRICED = 112
    PEG_PARKED = 113
    POST_ONLY_SLIDE = 114
    PRICE_BAND = 115
    MARKET_TO_LIMIT = 116
    # why a phase or a band changed
    REGULATORY_HALT = 120
    MARKET_WIDE_HALT = 121
    LULD_PAUSE = 122
    LIMIT_STATE = 123
    LIMIT_STATE_LEFT = 124
    AUCTION_EXTENDED = 125
    AUCTION_ENDED = 126
    # why a trade was busted
    CLEARLY_ERRONEOUS = 130


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
    Reason.INVALID_COMBINATION: "this time_in_force is not allowed for this order type or its instructions",
    Reason.INVALID_QUANTITY: "qty must be positive",
    Reason.QUANTITY_ABOVE_LIMIT: "qty is above the limit of the asset",
    Reason.INVALID_PRICE: "limit_price must be positive for orders with a limit and absent for others",
    Reason.PRICE_ABOVE_LIMIT: "limit_price is above the limit",
    Reason.NOTIONAL_ABOVE_LIMIT: "order value is above the limit of the asset",
    Reason.INSUFFICIENT_BUYING_POWER: "insufficient buying power",
    Reason.INSUFFICIENT_SHARES: "insufficient qty available for order",
    Reason.OPEN_ORDER_LIMIT: "too many open orders",
    Reason.RATE_LIMIT: "too many orders per second",
    Reason.RESTRICTED: "trading of this asset is restricted",
    Reason.POSITION_LIMIT: "the position could become larger than allowed",
    Reason.SHORT_SALE_NOT_ALLOWED: "the account may not sell short",
    Reason.SHORT_SALE_PRICE_TEST: "short sales need a limit above the current last price (Regulation SHO rule 201)",
    Reason.REPLACE_ALREADY_PENDING: "replace is already pending",
    Reason.REPLACED_ID_LIMIT: "too many orders wait for a new client_order_id",
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
    Reason.INVALID_STOP_PRICE: "stop_price must be positive and within the limit for a stop order, and absent for any other",
    Reason.INVALID_DISPLAY_QTY: "display_qty must be from qty/500 to qty, and needs an order that can rest",
    Reason.INVALID_MIN_QTY: "min_qty must be between 0 and qty",
    Reason.INVALID_OFFSET: "offset is missing, out of range, or given for an order that has none",
    Reason.INVALID_EXPIRE_TIME: "expire_time must be in the future for good-till-date orders, and absent for any other",
    Reason.INVALID_EXEC_INST: "execution instructions are unknown or contradict each other",
    Reason.INVALID_SELF_MATCH_PREVENTION: "self-match prevention instruction is not known",
    Reason.INVALID_LIST: "the orders do not form a list of this kind",
    Reason.LIST_REJECTED: "another order of the list was refused",
    Reason.PRICE_OUTSIDE_COLLAR: "price is too far from the reference price",
    Reason.QUANTITY_BELOW_LIMIT: "qty is below the minimum of the asset",
    Reason.NOT_IN_THIS_PHASE: "not accepted in this phase of the trading session",
    Reason.AUCTION_CUTOFF: "too late for the closing auction",
    Reason.INVALID_PEG: "the reference of the peg is unknown, or pegging is not allowed for this order type",
    Reason.TOO_MANY_STOPS: "the book has no room for more stop orders",
    Reason.TOO_MANY_PEGS: "the book has no room for more pegged orders",
    Reason.FILL_OR_KILL: "fill-or-kill: not all of it could be executed at once",
    Reason.MIN_QTY_NOT_AVAILABLE: "less than min_qty could be executed at once",
    Reason.POST_ONLY_WOULD_TAKE: "post-only: the order would take liquidity",
    Reason.SELF_MATCH_PREVENTION: "self-match prevention: it would trade with an order of the same owner",
    Reason.LINKED_ORDER: "the other order of its pair was executed or ended",
    Reason.PRIMARY_NOT_FILLED: "the order that should trigger it ended without an execution",
    Reason.NOT_FILLED_IN_AUCTION: "the auction ended without executing it",
    Reason.EXPIRE_TIME_REACHED: "its expire_time has passed",
    Reason.MASS_CANCEL: "canceled by a mass cancel",
    Reason.AUCTION_FROZEN: "auction orders can no longer be canceled or replaced",
    Reason.REDUCE_ONLY: "only replaces that reduce the order are accepted now",
    Reason.CANNOT_CHANGE: "this field of the order cannot be changed",
    Reason.REPLACED_TO_NOTHING: "replaced to a total that is already executed",
    Reason.INVALID_PHASE_CHANGE: "the trading session cannot go from its phase to that one",
    Reason.UNKNOWN_TRADE: "trade is not known",
    Reason.TRADE_ALREADY_BUSTED: "trade was already busted",
    Reason.BUST_LIMIT: "the shard has no room for more busted trades",
    Reason.START_OF_DAY: "carried over to a new trading day",
    Reason.ICEBERG_REPLENISHED: "the next tranche is displayed",
    Reason.PEG_REPRICED: "the reference of its peg has moved",
    Reason.PEG_PARKED: "its peg has no reference now",
    Reason.POST_ONLY_SLIDE: "post-only: rests one tick away from the opposite best",
    Reason.PRICE_BAND: "rests at the price band",
    Reason.MARKET_TO_LIMIT: "rests at the price of its last execution",
    Reason.REGULATORY_HALT: "regulatory halt",
    Reason.MARKET_WIDE_HALT: "market-wide circuit breaker",
    Reason.LULD_PAUSE: "trading pause: the limit state lasted too long",
    Reason.LIMIT_STATE: "limit state: the best price is at the price band",
    Reason.LIMIT_STATE_LEFT: "the limit state has ended",
    Reason.AUCTION_EXTENDED: "the auction is extended: its price would be outside the collar",
    Reason.AUCTION_ENDED: "the auction has ended",
    Reason.CLEARLY_ERRONEOUS: "the trade was clearly erroneous",
    Reason.BELOW_ZERO: "the account does not have that much available",
    Reason.AMOUNT_OUT_OF_RANGE: "amount is out of range",
    Reason.ACCOUNT_LIMIT: "the shard has no room for more accounts",
    Reason.INVALID_COMMAND: "command is not known",
    Reason.UPDATE_ID_MISSING: "an account update needs a higher request_id than the account's earlier updates",
    Reason.UPDATE_APPLIED_BEFORE: "this update was already applied: nothing has changed",
    Reason.UPDATE_ID_REUSED: "another update of the account has used this request_id",
    Reason.UPDATE_ID_TOO_LOW: "an update of the account with a higher request_id was already applied",
    Reason.UPDATE_ID_TOO_HIGH: "request_id is more than a minute ahead of the current time in ns",
}
