"""Replacing an order: docs/rules.md, section 4.

Priority is kept by a smaller quantity, less display, a new expiry or no change; it is lost by another price or offset, more quantity, more display, and by becoming
hidden or not hidden. What loses it enters the book as a new incoming order and may match. order_qty is the new total; a total that is executed
already cancels the rest. 0 in price, stop_px, display_qty, offset and expire_time leaves these as they are (an expiry is dropped with GTD).
display_qty stays as it was asked for, also while less than that is left; one that a replace names is judged as that of a new order. HIDDEN hides the order and
drops its display_qty; a display_qty shows it again. min_qty is of the entry and belongs in no replace.
"""

from dataclasses import dataclass

from matchers.books.reference.book import Book, Order
from matchers.books.reference.checks import price_collar_reason
from matchers.books.reference.matching import end, enter, limit_of, slid_price, would_take
from matchers.books.reference.pegs import enter_peg
from matchers.books.reference.session import is_frozen
from matchers.books.reference.state import ShardState, Values
from matchers.books.reference.stops import arm
from matchers.rules.order_rules import good_display, good_expiry, good_offset, good_tranches, quantity_refusal
from matchers.rules.order_tables import POST_ONLY, REPLACE_IN_PHASE, TIMES
from matchers.state.canonical_hash import Place
from schemas.enums import TIME_IN_FORCE_UNCHANGED, ExecInst, ExecKind, OrdType, Phase, TimeInForce
from schemas.field_rules import TIME_RULES, TYPE_RULES, WORKING, Use, can_rest
from schemas.limits import PRICE_TICKS_MAX
from schemas.reject_reasons import Reason


@dataclass(frozen=True)
class Terms:
    """What an order would be after the replace."""

    order_qty: int
    time_in_force: int
    limit: int
    """Its price, or a peg's limit."""
    stop_px: int
    offset: int
    display_qty: int
    hidden: bool
    expire_time: int


def terms_now(order: Order) -> Terms:
    """The order as it is."""
    limit = order.peg_limit if order.ord_type == OrdType.PEGGED else order.price
    return Terms(
        order.order_qty, order.time_in_force, limit, order.stop_px, order.offset, order.display_qty, order.hidden, order.expire_time
    )


def terms_asked(order: Order, command: Values) -> Terms:
    """The order as the command wants it."""
    now = terms_now(order)
    time_in_force = now.time_in_force if command["time_in_force"] == TIME_IN_FORCE_UNCHANGED else command["time_in_force"]
    kept_expiry = now.expire_time if time_in_force == TimeInForce.GTD else 0
    hidden = bool(command["exec_inst"] & ExecInst.HIDDEN) or (now.hidden and not command["display_qty"])
    return Terms(
        order_qty=command["order_qty"], time_in_force=time_in_force, limit=command["price"] or now.limit,
        stop_px=command["stop_px"] or now.stop_px, offset=command["offset"] or now.offset,
        display_qty=0 if hidden else command["display_qty"] or now.display_qty, hidden=hidden,
        expire_time=command["expire_time"] or kept_expiry,
    )  # fmt: skip


def refusal(s: ShardState, book: Book, order: Order, command: Values) -> Reason:
    """The first check that the replace fails, or NONE."""
    phase_reason = REPLACE_IN_PHASE[book.phase]
    if phase_reason not in (Reason.NONE, Reason.REDUCE_ONLY):
        return phase_reason
    if is_frozen(s, book, order):
        return Reason.AUCTION_FROZEN
    now, asked = terms_now(order), terms_asked(order, command)
    if reason := _fixed_reason(order, command, asked):
        return reason
    if asked.order_qty < 0:
        return Reason.INVALID_QUANTITY
    if asked.order_qty <= order.cum_qty:
        return Reason.NONE
    return (
        quantity_refusal(asked.order_qty, s.rules[order.instrument])
        or _price_reason(s, book, order, command)
        or _terms_reason(s, order, command, asked)
        or (Reason.REDUCE_ONLY if phase_reason and not _only_reduces(now, asked) else Reason.NONE)
        or _taking_reason(s, book, order, now, asked)
    )


def replace(s: ShardState, order: Order, command: Values) -> None:
    """Apply a replace that is not refused."""
    now, asked = terms_now(order), terms_asked(order, command)
    if asked.order_qty <= order.cum_qty:
        end(s, order, ExecKind.CANCELED, Reason.REPLACED_TO_NOTHING)
        return
    if _keeps_priority(order, now, asked):
        _amend_in_place(s, order, asked)
    else:
        _take_new_place(s, order, asked)


# -- checks


def _fixed_reason(order: Order, command: Values, asked: Terms) -> Reason:
    """Fields that never change: 0 says nothing, the same value again does no harm."""
    fixed = (
        "instrument", "side", "ord_type", "peg_price_type", "offset_type", "self_match_prevention_id", "self_match_prevention_instruction",
    )  # fmt: skip
    if any(command[name] and command[name] != getattr(order, name) for name in fixed):
        return Reason.CANNOT_CHANGE
    if command["min_qty"] or command["exec_inst"] & ~(ExecInst.HIDDEN | order.exec_inst):
        return Reason.CANNOT_CHANGE
    if asked.time_in_force != order.time_in_force and not _may_become(order, asked.time_in_force):
        return Reason.CANNOT_CHANGE
    of_type = TYPE_RULES[OrdType(order.ord_type)]
    if command["stop_px"] and of_type.stop_px != Use.MUST:  # one that may be absent is moved by the market
        return Reason.CANNOT_CHANGE
    if (command["price"] and not of_type.price) or (command["offset"] and not of_type.offset):
        return Reason.CANNOT_CHANGE
    return Reason.NONE


def _may_become(order: Order, time_in_force: int) -> bool:
    """Whether a replace may give the order this time in force."""
    both_work = {time_in_force, order.time_in_force} <= WORKING
    return both_work and not TIMES[OrdType(order.ord_type), TimeInForce(time_in_force)]


def _price_reason(s: ShardState, book: Book, order: Order, command: Values) -> Reason:
    price = command["price"]
    if price < 0:
        return Reason.INVALID_PRICE
    if price > PRICE_TICKS_MAX:
        return Reason.PRICE_ABOVE_LIMIT
    return Reason.NONE if order.is_trailing else price_collar_reason(s, book, price)


def _terms_reason(s: ShardState, order: Order, command: Values, asked: Terms) -> Reason:
    if not 0 <= command["stop_px"] <= PRICE_TICKS_MAX:
        return Reason.INVALID_STOP_PRICE
    if not _is_good_display(order, command, asked):
        return Reason.INVALID_DISPLAY_QTY
    if not good_offset(order.ord_type, order.offset_type, asked.offset):
        return Reason.INVALID_OFFSET
    of_time = TIME_RULES[TimeInForce(asked.time_in_force)]
    return Reason.NONE if good_expiry(asked.expire_time, of_time, s.log_time) else Reason.INVALID_EXPIRE_TIME


def _is_good_display(order: Order, command: Values, asked: Terms) -> bool:
    """What the replace names, as at entry; what it leaves must not make too many tranches of the new total."""
    if (command["display_qty"] or asked.hidden) and not can_rest(OrdType(order.ord_type), TimeInForce(order.time_in_force)):
        return False
    if command["display_qty"]:
        return not command["exec_inst"] & ExecInst.HIDDEN and good_display(command["display_qty"], asked.order_qty)
    return not asked.display_qty or good_tranches(asked.display_qty, asked.order_qty)


def _only_reduces(now: Terms, asked: Terms) -> bool:
    same = (now.time_in_force, now.limit, now.stop_px, now.offset, now.hidden, now.expire_time)
    asks = (asked.time_in_force, asked.limit, asked.stop_px, asked.offset, asked.hidden, asked.expire_time)
    return same == asks and asked.order_qty <= now.order_qty and _display_size(asked) <= _display_size(now)


def _taking_reason(s: ShardState, book: Book, order: Order, now: Terms, asked: Terms) -> Reason:
    """A post-only order must not be made to take liquidity."""
    post_only = order.exec_inst & POST_ONLY
    if not post_only or order.ord_type != OrdType.LIMIT or order.place != Place.RESTING or _keeps_priority(order, now, asked):
        return Reason.NONE
    if book.in_call:
        return Reason.NONE
    moved = Order(**{**vars(order), "price": asked.limit})
    if book.phase != Phase.CONTINUOUS or not would_take(book, moved, limit_of(s, book, moved)):
        return Reason.NONE
    slides = order.exec_inst & ExecInst.POST_ONLY_SLIDE and slid_price(book, moved)
    return Reason.NONE if slides else Reason.POST_ONLY_WOULD_TAKE


# -- priority


def _display_size(terms: Terms) -> int:
    """How much is displayed at a time, for comparisons."""
    return 0 if terms.hidden else terms.display_qty or terms.order_qty


def _keeps_priority(order: Order, now: Terms, asked: Terms) -> bool:
    """Dormant stops have no priority to lose but their place among equal stop_px, which is by entry."""
    if asked.order_qty > now.order_qty or asked.limit != now.limit or asked.hidden != now.hidden:
        return order.place == Place.DORMANT and asked.stop_px == now.stop_px and asked.offset == now.offset
    more_display = asked.display_qty != now.display_qty and _display_size(asked) > _display_size(now)
    return not more_display and asked.stop_px == now.stop_px and asked.offset == now.offset


def _write_terms(order: Order, asked: Terms) -> None:
    order.leaves_qty = asked.order_qty - order.cum_qty
    order.order_qty = asked.order_qty
    order.time_in_force, order.expire_time = asked.time_in_force, asked.expire_time
    order.stop_px, order.offset, order.display_qty = asked.stop_px, asked.offset, asked.display_qty
    order.exec_inst = (order.exec_inst & ~ExecInst.HIDDEN) | (ExecInst.HIDDEN if asked.hidden else 0)
    if order.ord_type == OrdType.PEGGED:
        order.peg_limit = asked.limit
    else:
        order.price = asked.limit


def _replaced_row(s: ShardState, order: Order) -> None:
    s.order_row(ExecKind.REPLACED, order, order.order_qty)


def _amend_in_place(s: ShardState, order: Order, asked: Terms) -> None:
    rests = order.place == Place.RESTING
    before = s.book_of(order).sides[order.side].shown(order.level_price) if rests else (0, 0)
    _write_terms(order, asked)
    if rests:
        order.shown_qty = min(order.shown_qty, order.tranche)
    _replaced_row(s, order)
    if rests:
        s.level_row_of(order, before)


def _take_new_place(s: ShardState, order: Order, asked: Terms) -> None:
    book, place = s.book_of(order), order.place
    old_price, before = order.price, s.detach(order)
    _write_terms(order, asked)
    if place != Place.DORMANT:
        order.entry = s.next_entry()
    if order.ord_type == OrdType.PEGGED:
        order.price = 0
        book.pegs.remove(order)
    if place in (Place.SECONDARY, Place.CLOSING):
        order.place = place  # it waits on
    _replaced_row(s, order)
    if before is not None and old_price and order.ord_type != OrdType.MARKET:
        s.level_row(book, order.side, old_price, before)
    if place == Place.DORMANT:
        if arm(s, order):
            order.entry = s.next_entry()
            s.order_row(ExecKind.TRIGGERED, order, order.leaves_qty)
            enter(s, order)
    elif order.ord_type == OrdType.PEGGED:
        enter_peg(s, order)
    elif place == Place.RESTING:
        enter(s, order)
