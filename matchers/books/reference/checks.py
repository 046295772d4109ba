"""Why a book refuses a new order: every check, in the order in which it is made. The first that fails is the reason; a refused order changes nothing."""

from matchers.books.reference.auction import auction_range
from matchers.books.reference.book import Book, Order
from matchers.books.reference.matching import collar_of, limit_of, slid_price, would_take
from matchers.books.reference.state import ShardState, Values
from matchers.rules.order_tables import IMMEDIATE, LIMIT_TYPES, NEW_IN_PHASE, STOP_TYPES, TRAILING_TYPES, order_reason
from schemas.enums import ExecInst, OffsetType, OrdType, PegPriceType, Phase, SelfMatchPrevention, Side, TimeInForce
from schemas.limits import (
    ICEBERG_TRANCHES_MAX,
    OFFSET_BASIS_POINTS_MAX,
    OFFSET_TICKS_MAX,
    ORDER_QTY_LOTS_MAX,
    PRICE_TICKS_MAX,
)
from schemas.reject_reasons import Reason


def new_order(s: ShardState, command: Values) -> Order:
    """The order of a command that has passed static_reason."""
    instruction = command["self_match_prevention_instruction"] or int(s.rules[command["instrument"]]["self_match_prevention_instruction"])
    identity = command["self_match_prevention_id"]
    pegged = command["ord_type"] == OrdType.PEGGED
    return Order(
        **{
            column: command[column]
            for column in (
                "order_id", "account", "instrument", "side", "ord_type", "time_in_force", "order_qty", "exec_inst", "display_qty", "min_qty",
                "stop_px", "offset", "offset_type", "peg_price_type", "expire_time",
            )
        },
        leaves_qty=command["order_qty"], price=0 if pegged else command["price"], peg_limit=command["price"] if pegged else 0,
        self_match_prevention_id=identity, self_match_prevention_instruction=instruction if identity else 0,
    )  # fmt: skip


def refusal(s: ShardState, command: Values, ahead: list[Values]) -> Reason:
    """The first check that the order fails, or NONE. `ahead`: orders of the same list that would be accepted before it."""
    if reason := static_reason(s, command):
        return reason
    book = s.books[command["instrument"]]
    order = new_order(s, command)
    return (
        _phase_reason(s, book, order)
        or _collar_reason(s, book, order)
        or _capacity_reason(s, book, order, ahead)
        or _taking_reason(s, book, order)
    )


def static_reason(s: ShardState, command: Values) -> Reason:
    """Checks of the command alone."""
    if command["instrument"] not in s.books:
        return Reason.UNKNOWN_SYMBOL
    if command["side"] not in set(Side):
        return Reason.INVALID_SIDE
    if reason := order_reason(command["ord_type"], command["time_in_force"], command["exec_inst"]):
        return reason
    if command["self_match_prevention_instruction"] not in set(SelfMatchPrevention):
        return Reason.INVALID_SELF_MATCH_PREVENTION
    return (
        quantity_reason(s, command["instrument"], command["order_qty"])
        or _price_reason(command)
        or _stop_reason(command)
        or _display_reason(command)
        or _min_qty_reason(command)
        or _offset_reason(command)
        or _expire_reason(s, command)
    )


def quantity_reason(s: ShardState, instrument: int, order_qty: int) -> Reason:
    """Why an order must not have this total quantity."""
    if order_qty <= 0:
        return Reason.INVALID_QUANTITY
    if order_qty < s.rules[instrument]["order_qty_min"]:
        return Reason.QUANTITY_BELOW_LIMIT
    if order_qty > min(int(s.rules[instrument]["order_qty_max"]), ORDER_QTY_LOTS_MAX):
        return Reason.QUANTITY_ABOVE_LIMIT
    return Reason.NONE


def _price_reason(command: Values) -> Reason:
    """A limit price is needed where the order type has one; a market order's protection price, a peg's limit and a trailing distance may be 0."""
    price = command["price"]
    if price < 0 or (price == 0 and command["ord_type"] in (OrdType.LIMIT, OrdType.STOP_LIMIT)):
        return Reason.INVALID_PRICE
    return Reason.PRICE_ABOVE_LIMIT if price > PRICE_TICKS_MAX else Reason.NONE


def _stop_reason(command: Values) -> Reason:
    stop_px = command["stop_px"]
    needed = command["ord_type"] in STOP_TYPES - TRAILING_TYPES
    allowed = command["ord_type"] in STOP_TYPES
    good = (1 if needed else 0) <= stop_px <= (PRICE_TICKS_MAX if allowed else 0)
    return Reason.NONE if good else Reason.INVALID_STOP_PRICE


def _display_reason(command: Values) -> Reason:
    if not command["display_qty"]:
        return Reason.NONE
    good = not command["exec_inst"] & ExecInst.HIDDEN and good_display(command["display_qty"], command["order_qty"])
    return Reason.NONE if good and can_rest(command["ord_type"], command["time_in_force"]) else Reason.INVALID_DISPLAY_QTY


def can_rest(ord_type: int, time_in_force: int) -> bool:
    """Whether such an order can rest under a price, so that display_qty and HIDDEN mean something."""
    return ord_type in LIMIT_TYPES | {OrdType.MARKET_TO_LIMIT} and time_in_force not in IMMEDIATE


def good_display(display_qty: int, order_qty: int) -> bool:
    """Whether a new order, or a replace, of this total may ask to display so much at a time."""
    return 0 < display_qty <= order_qty and good_tranches(display_qty, order_qty)


def good_tranches(display_qty: int, order_qty: int) -> bool:
    """Whether so much at a time makes no more tranches of the total than there may be."""
    return display_qty * ICEBERG_TRANCHES_MAX >= order_qty


def _min_qty_reason(command: Values) -> Reason:
    min_qty = command["min_qty"]
    auction_only = command["time_in_force"] in (TimeInForce.OPG, TimeInForce.CLS)
    post_only = command["exec_inst"] & (ExecInst.POST_ONLY | ExecInst.POST_ONLY_SLIDE)
    allowed = not auction_only and not post_only and command["ord_type"] != OrdType.PEGGED
    return Reason.NONE if 0 <= min_qty <= (command["order_qty"] if allowed else 0) else Reason.INVALID_MIN_QTY


def _offset_reason(command: Values) -> Reason:
    ord_type, offset, offset_type = command["ord_type"], command["offset"], command["offset_type"]
    if ord_type == OrdType.PEGGED:
        if command["peg_price_type"] not in set(PegPriceType):
            return Reason.INVALID_PEG
        good = offset_type == OffsetType.TICKS and abs(offset) <= OFFSET_TICKS_MAX
    elif command["peg_price_type"]:
        return Reason.INVALID_PEG
    elif ord_type in TRAILING_TYPES:
        most = {OffsetType.TICKS: OFFSET_TICKS_MAX, OffsetType.BASIS_POINTS: OFFSET_BASIS_POINTS_MAX}.get(offset_type, 0)
        good = 1 <= offset <= most
    else:
        good = not offset and not offset_type
    return Reason.NONE if good else Reason.INVALID_OFFSET


def _expire_reason(s: ShardState, command: Values) -> Reason:
    dated = command["time_in_force"] == TimeInForce.GTD
    good = command["expire_time"] > s.log_time if dated else command["expire_time"] == 0
    return Reason.NONE if good else Reason.INVALID_EXPIRE_TIME


def _phase_reason(s: ShardState, book: Book, order: Order) -> Reason:
    if reason := NEW_IN_PHASE[book.phase, OrdType(order.ord_type), TimeInForce(order.time_in_force)]:
        return reason
    post_only = order.exec_inst & (ExecInst.POST_ONLY | ExecInst.POST_ONLY_SLIDE)
    if book.in_call and order.ord_type in (OrdType.LIMIT, OrdType.MARKET) and (post_only or order.min_qty):
        return Reason.NOT_IN_THIS_PHASE
    if order.time_in_force == TimeInForce.CLS and book.phase == Phase.CLOSING_AUCTION and book.phase_end:
        cutoff_ns = int(s.rules[book.instrument]["cls_cutoff_ns"])
        if cutoff_ns and s.log_time >= book.phase_end - cutoff_ns:
            return Reason.AUCTION_CUTOFF
    waits = book.in_call or order.time_in_force == TimeInForce.CLS
    if waits and order.ord_type == OrdType.MARKET and order.price:  # it will trade anywhere in the auction's range
        low, high = auction_range(s, book)
        if order.price < high if order.side == Side.BUY else order.price > low:
            return Reason.INVALID_PRICE
    return Reason.NONE


def _collar_reason(s: ShardState, book: Book, order: Order) -> Reason:
    limits = {OrdType.LIMIT: order.price, OrdType.STOP_LIMIT: order.price, OrdType.PEGGED: order.peg_limit}
    return price_collar_reason(s, book, limits.get(OrdType(order.ord_type), 0))


def price_collar_reason(s: ShardState, book: Book, price: int) -> Reason:
    """A limit price (0: none) outside the static collar is refused."""
    low, high = collar_of(s, book)
    return Reason.NONE if not price or low <= price <= high else Reason.PRICE_OUTSIDE_COLLAR


def _capacity_reason(s: ShardState, book: Book, order: Order, ahead: list[Values]) -> Reason:
    """A cap counts what would rest, or wait."""
    if _may_stay(book, order) and len(s.orders) + len(ahead) >= s.limits.orders_max:
        return Reason.BOOK_FULL
    if order.is_stop:
        stops = sum(one.is_stop for one in s.orders.values() if one.instrument == book.instrument)
        if stops + sum(one["ord_type"] in STOP_TYPES for one in ahead) >= s.limits.stops_per_book_max:
            return Reason.TOO_MANY_STOPS
    if order.ord_type == OrdType.PEGGED and len(book.pegs) >= s.limits.pegs_per_book_max:
        return Reason.TOO_MANY_PEGS
    return Reason.NONE


def _may_stay(book: Book, order: Order) -> bool:
    """Whether the order may be in the shard after its command."""
    if order.is_stop or order.time_in_force == TimeInForce.CLS:
        return True
    return order.time_in_force not in IMMEDIATE and not (order.ord_type == OrdType.MARKET and book.phase == Phase.CONTINUOUS)


def _taking_reason(s: ShardState, book: Book, order: Order) -> Reason:
    """Post-only orders that would take liquidity, and cannot slide away from it."""
    post_only = order.exec_inst & (ExecInst.POST_ONLY | ExecInst.POST_ONLY_SLIDE)
    if not post_only or order.ord_type != OrdType.LIMIT or book.phase != Phase.CONTINUOUS:
        return Reason.NONE
    if not would_take(book, order, limit_of(s, book, order)):
        return Reason.NONE
    slides = order.exec_inst & ExecInst.POST_ONLY_SLIDE and slid_price(book, order)
    return Reason.NONE if slides else Reason.POST_ONLY_WOULD_TAKE
