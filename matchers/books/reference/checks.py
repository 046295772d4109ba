"""Why a book refuses a new order: every check, in the order in which it is made. The first that fails is the reason; a refused order changes nothing."""

from matchers.books.reference.auction import auction_range
from matchers.books.reference.book import Book, Order
from matchers.books.reference.matching import collar_of, limit_of, slid_price, would_take
from matchers.books.reference.state import ShardState, Values
from matchers.rules.order_rules import order_refusal
from matchers.rules.order_tables import NEW_IN_PHASE, POST_ONLY, STOP_TYPES
from schemas.enums import ExecInst, OrdType, Phase, Side, TimeInForce
from schemas.field_rules import IMMEDIATE, TYPE_RULES
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
    return order_refusal(command, s.rules[command["instrument"]], s.log_time, in_book=True)


def _phase_reason(s: ShardState, book: Book, order: Order) -> Reason:
    if reason := NEW_IN_PHASE[book.phase, OrdType(order.ord_type), TimeInForce(order.time_in_force)]:
        return reason
    post_only = order.exec_inst & POST_ONLY
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
    of_type = TYPE_RULES[OrdType(order.ord_type)]
    limit = order.peg_limit if order.ord_type == OrdType.PEGGED else order.price
    return price_collar_reason(s, book, limit if of_type.price and not of_type.price_is_distance else 0)


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
    post_only = order.exec_inst & POST_ONLY
    if not post_only or order.ord_type != OrdType.LIMIT or book.phase != Phase.CONTINUOUS:
        return Reason.NONE
    if not would_take(book, order, limit_of(s, book, order)):
        return Reason.NONE
    slides = order.exec_inst & ExecInst.POST_ONLY_SLIDE and slid_price(book, order)
    return Reason.NONE if slides else Reason.POST_ONLY_WOULD_TAKE
