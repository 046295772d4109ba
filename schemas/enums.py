"""Enumerations, with FIX 5.0 SP2 values where FIX has the idea. Stored in u1 columns; never renumber, only add."""

from enum import IntEnum


class Side(IntEnum):
    """FIX 54."""

    BUY = 1
    SELL = 2


class OrdType(IntEnum):
    """FIX 40. The rest of matching-rules section 3 is added behind these."""

    MARKET = 1
    LIMIT = 2


class TimeInForce(IntEnum):
    """FIX 59."""

    DAY = 0
    GTC = 1
    IOC = 3


class OrdStatus(IntEnum):
    """FIX 39 (letters of FIX continue the numbers: C = 12)."""

    NEW = 0
    PARTIALLY_FILLED = 1
    FILLED = 2
    CANCELED = 4
    PENDING_CANCEL = 6
    REJECTED = 8
    EXPIRED = 12


class CommandKind(IntEnum):
    """What a row of an `account.commands` command frame asks."""

    NEW_ORDER = 1
    CANCEL = 2
    REGISTER_SESSION = 3
    """Send the account's state now, and its later events, to the frame's reply partition."""
    ACCOUNT_UPDATE = 4
    """Open the account if it is new, and post `cash` and/or `order_qty` lots of `instrument` from outside (negative: withdraw)."""


class BookCommandKind(IntEnum):
    """What a row of a `book.commands` frame asks."""

    NEW_ORDER = 1
    CANCEL = 2
    TRADING_SESSION_CHANGE = 3
    """Every instrument of the shard goes to `phase`."""
    TIMER = 4
    """Log time has reached `transact_time`."""


class Phase(IntEnum):
    """Trading session phase of an instrument."""

    CLOSED = 0
    CONTINUOUS = 1


class ExecKind(IntEnum):
    """Rows of `executions`, the book shard's decisions."""

    NEW = 1
    """The book has the order: order_id, account, side, ord_type, time_in_force, price, qty = order_qty = leaves_qty."""
    TRADE = 2
    """side, order_id, account, leaves_qty: the incoming order; contra_*: the resting one; price, qty, trd_match_id: the trade."""
    CANCELED = 3
    """reason; qty = what was taken out of the market; leaves_qty = 0."""
    EXPIRED = 4
    """As CANCELED, by the end of the day."""
    REJECTED = 5
    """The book does not take the order: reason; qty = order_qty."""
    CANCEL_REJECTED = 6
    """reason; the order stays as it is (or is done already)."""
    LEVEL = 7
    """Price level now: side, price, qty = total lots (0: gone), order_count. Absolute, so applying one twice does no harm."""
    TOP = 8
    """Best level of a side now: side, price, qty, order_count; price 0 when the side is empty."""
    SECURITY_STATUS = 9
    """phase of the instrument from now on."""
    TIME = 10
    """Log time has reached transact_time; no instrument."""


class ReportKind(IntEnum):
    """Rows of a book's report to an account shard (in `account.commands`): the commit and abort of an order's hold."""

    TRADE = 1
    CANCELED = 2
    EXPIRED = 3
    REJECTED = 4
    CANCEL_REJECTED = 5


class AccountEventKind(IntEnum):
    """Rows of `account.events` and `edge.replies`."""

    ACCEPTED = 1
    REJECTED = 2
    """The account shard refused the order; nothing changed."""
    DUPLICATE = 3
    """Same cl_ord_id, same body as an accepted order: here is that order again."""
    CANCEL_PENDING = 4
    CANCEL_REJECTED = 5
    """By either shard; reason says why."""
    TRADE = 6
    CANCELED = 7
    EXPIRED = 8
    BOOK_REJECTED = 9
    """The book refused an accepted order; its hold is released."""
    ACCOUNT_UPDATED = 10
    """Posting from or to outside: cash_delta, shares_delta."""
    ACCOUNT_UPDATE_REJECTED = 11
    SESSION_REGISTERED = 12
    """Replies only: the account's cash now; POSITION_STATE and ORDER_STATE rows of the same request came before it."""
    POSITION_STATE = 13
    ORDER_STATE = 14
    SESSION_REJECTED = 15


class MarketDataKind(IntEnum):
    """Rows of `market.data`."""

    TRADE = 1
    QUOTE = 2
    BAR = 3
    LEVEL = 4
    STATUS = 5
