"""Enumerations, with FIX 5.0 SP2 values where FIX has the idea. Stored in u1 columns; never renumber, only add."""

from enum import IntEnum, IntFlag


class Side(IntEnum):
    """FIX 54."""

    BUY = 1
    SELL = 2


class OrdType(IntEnum):
    """FIX 40 (letters of FIX continue the numbers: K = 20, P = 25); TRAILING_* are ours: FIX expresses them by peg instructions."""

    MARKET = 1
    LIMIT = 2
    STOP = 3
    STOP_LIMIT = 4
    MARKET_TO_LIMIT = 20
    PEGGED = 25
    TRAILING_STOP = 30
    TRAILING_STOP_LIMIT = 31


class TimeInForce(IntEnum):
    """FIX 59."""

    DAY = 0
    GTC = 1
    OPG = 2
    IOC = 3
    FOK = 4
    GTD = 6
    CLS = 7


TIME_IN_FORCE_UNCHANGED = 255
"""A REPLACE that leaves the time in force as it is."""


class ExecInst(IntFlag):
    """FIX 18, as bits of one u1 column."""

    POST_ONLY = 1
    """Refused if it would take liquidity (FIX 6, "participate don't initiate")."""
    POST_ONLY_SLIDE = 2
    """Rests one tick away from the opposite best instead of taking liquidity."""
    HIDDEN = 4
    """Nothing is displayed (FIX: DisplayQty = 0). In the column display_qty of an order itself 0 says "all of it", of a replace "as it is"."""


class SelfMatchPrevention(IntEnum):
    """FIX 2964, SelfMatchPreventionInstruction; the incoming order's decides."""

    DEFAULT = 0
    """The instrument's."""
    NONE = 1
    CANCEL_NEWEST = 2
    CANCEL_OLDEST = 3
    CANCEL_BOTH = 4
    DECREMENT_AND_CANCEL = 5


class PegPriceType(IntEnum):
    """FIX 1094: what a PEGGED order follows."""

    MIDPOINT = 2
    MARKET = 4
    """The opposite side's best."""
    PRIMARY = 5
    """The own side's best."""


class OffsetType(IntEnum):
    """FIX 836: the unit of `offset`. Pegs take ticks only."""

    TICKS = 0
    BASIS_POINTS = 1


class ContingencyType(IntEnum):
    """FIX 1385: how the orders of a list are related. They are consecutive rows of one frame with the same list_id."""

    NONE = 0
    OCO = 1
    """Two orders of one side: a fill (also partial) or the end of one cancels the other."""
    OTO = 2
    """The second is dormant until the first is done, then takes the quantity that filled."""
    BRACKET = 7
    """The first triggers the second and third, which are an OCO pair: take-profit and stop-loss. FIX has no single value; ours."""


class MatchingAlgorithm(IntEnum):
    """FIX 1142."""

    FIFO = 0
    PRO_RATA = 1


class OrdStatus(IntEnum):
    """FIX 39 (letters of FIX continue the numbers: C = 12)."""

    NEW = 0
    PARTIALLY_FILLED = 1
    FILLED = 2
    CANCELED = 4
    PENDING_CANCEL = 6
    REJECTED = 8
    EXPIRED = 12
    PENDING_REPLACE = 14


class AccountStatus(IntEnum):
    """The status that an ACCOUNT_STATUS command gives an account."""

    ACTIVE = 0
    SUSPENDED = 1
    """No new orders and no replaces. Open orders stay, and cancels are accepted."""
    KILLED = 2
    """Suspended, and every open order is cancelled: the kill switch."""


class AccountPermission(IntFlag):
    """What an ACCOUNT_LIMITS command may allow, as bits."""

    SHORT_SALE = 1


class CommandKind(IntEnum):
    """The command in a row of an `account.commands` frame."""

    NEW_ORDER = 1
    CANCEL = 2
    REGISTER_SESSION = 3
    """Send the account's state now, and its later events, to the frame's reply partition."""
    ACCOUNT_UPDATE = 4
    """Open the account if it is new, and post `cash` and/or `order_qty` lots of `instrument` from outside (negative: withdraw)."""
    REPLACE = 5
    """By order_id; or, if that is 0, by orig_cl_ord_id or else cl_ord_id. As the book's REPLACE; the difference is held first. A cl_ord_id that does not
    name the order is the one that it answers to once it is replaced."""
    ACCOUNT_STATUS = 6
    """Of an operator: account_word = AccountStatus."""
    ACCOUNT_LIMITS = 7
    """Of an operator. Without instrument: account_word = AccountPermission, cash = largest order, order_qty = orders per second, min_qty = orders at once.
    With one: account_word = 1 if it is restricted for the account, order_qty = largest long or short position. 0: only the system's limit."""


class BookCommandKind(IntEnum):
    """The command in a row of a `book.commands` frame."""

    NEW_ORDER = 1
    CANCEL = 2
    TRADING_SESSION_CHANGE = 3
    """instrument (0: every one of the shard) goes to `phase`; `expire_time` says when a call phase ends by itself (0: by command)."""
    TIMER = 4
    """Log time has reached `transact_time`. Expiries, limit states and ends of auctions happen only on a TIMER."""
    REPLACE = 5
    """By order_id. order_qty is the new total; 0 in price, stop_px, display_qty, offset and expire_time means "unchanged". See docs/rules.md, section 4."""
    MASS_CANCEL = 6
    """Orders that match account, side and instrument; 0 means "any"."""
    TRADING_HALT = 7
    """instrument (0: each; those that cannot say so) goes to `phase`, HALTED or CANCEL_ONLY, for `reason`."""
    TRADING_RESUME = 8
    """instrument (0: each; those that are not halted say so) goes to `phase`, or where the table says if that is CLOSED; `expire_time` ends an auction."""
    TRADE_BUST = 9
    """Trade trd_match_id of the instrument is undone, for `reason`; price and order_qty are the trade's, passed on to the accounts. So are its parties:
    account and order_id are the buy's, self_match_prevention_id and list_id the sell's account and order, `side` is the aggressor's (0: an auction)."""
    INSTRUMENT_UPDATE = 10
    """Reference data of the day: price = reference price (previous close), expire_time = end of continuous trading; 0: as it is."""


class Phase(IntEnum):
    """Trading session phase of an instrument."""

    CLOSED = 0
    CONTINUOUS = 1
    PRE_OPEN = 2
    OPENING_AUCTION = 3
    CLOSING_AUCTION = 4
    POST_CLOSE = 5
    HALTED = 6
    CANCEL_ONLY = 7
    VOLATILITY_AUCTION = 8


class ExecKind(IntEnum):
    """Rows of `executions`, the book shard's decisions.

    display_qty of a row about an order is what the market sees of the order from then on (FIX: currently displayed): leaves_qty of a plain one, the tranche of an
    iceberg, 0 of a hidden one and of one that is not in the book. An order on its way into the book says what it will display once it rests.
    """

    NEW = 1
    """The book has the order: order_id, account, side, ord_type, time_in_force, price, qty = order_qty = leaves_qty, display_qty."""
    TRADE = 2
    """side, order_id, account, leaves_qty: the incoming order; contra_*, display_qty: the resting one; price, qty, trd_match_id: the trade."""
    CANCELED = 3
    """reason; qty = what was taken out of the market; leaves_qty = 0."""
    EXPIRED = 4
    """As CANCELED, by the end of the day."""
    REJECTED = 5
    """The book refused the order: reason; qty = order_qty."""
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
    REPLACED = 11
    """The order now: price, qty = order_qty, leaves_qty, display_qty, time_in_force."""
    TRIGGERED = 12
    """A dormant order became active: ord_type, price, display_qty and qty = leaves_qty with which it enters the book."""
    RESTATED = 13
    """The engine changed the order, reason says why: price, leaves_qty, display_qty now; qty = what it took away from order_qty."""
    AUCTION_INDICATIVE = 14
    """Where the book would uncross now: price (0: nowhere), qty = matched volume, side and leaves_qty = imbalance."""
    TRADE_BUSTED = 15
    """trd_match_id never happened: price, qty, reason as commanded."""
    PRICE_BAND = 16
    """side may not trade beyond price from now on: BUY the upper band, SELL the lower."""


class ExecFlag(IntFlag):
    """Bits of `flags` of a TRADE."""

    SELF_MATCH = 1
    """Both orders have the same self_match_prevention_id."""
    UNCROSS = 2
    """Of an auction: order_id is the buy, contra_order_id the sell."""


class ReportKind(IntEnum):
    """Rows of a book's report to an account shard (in `account.commands`): the commit and abort of an order's hold."""

    TRADE = 1
    CANCELED = 2
    EXPIRED = 3
    REJECTED = 4
    CANCEL_REJECTED = 5
    """The answer to the oldest cancel or replace that the book has not answered yet."""
    REPLACED = 6
    RESTATED = 7
    TRIGGERED = 8
    TRADE_BUSTED = 9


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
    REPLACE_PENDING = 16
    """The replace is held for and on its way to the book; the columns are still those before it."""
    REPLACED = 17
    RESTATED = 18
    """The book changed the order, reason says why."""
    TRIGGERED = 19
    """A dormant order became active in the book."""
    TRADE_BUSTED = 20
    """A trade was undone: its postings, negated."""
    ACCOUNT_STATUS_CHANGED = 21
    ACCOUNT_LIMITS_CHANGED = 22


class MarketDataKind(IntEnum):
    """Rows of `market.data`."""

    TRADE = 1
    QUOTE = 2
    BAR = 3
    LEVEL = 4
    STATUS = 5
    """phase from now on, and reason."""
    AUCTION = 6
    """Where a call phase would uncross now: price (0: nowhere), qty = matched volume, side and imbalance_qty = what would be left over."""
    BAND = 7
    """Nothing trades above high_px or below low_px from now on; 0: no such band."""
    TRADE_BUST = 8
    """The trade trd_match_id, of price and qty, never happened: reason."""
