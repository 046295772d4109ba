"""How an incoming order meets the book: what it may reach, what it executes, what stays of it: docs/rules.md, sections 3 and 4.

Best price first; at a price displayed orders before hidden ones, then time. Trades are at the resting order's price. In a phase without matching an
order only rests. Consequences of a trade that do not wait: the other of an OCO pair is cancelled, right behind the row that caused it. Those that
wait for the end of the command's own matching (elected stops, triggered orders) go to `followups`.
"""

from matchers.books.reference.bands import band_limited, note_trade
from matchers.books.reference.book import OPPOSITE, Book, BookSide, Level, Order
from matchers.books.reference.state import ShardState
from matchers.books.reference.stops import elect, tighten
from matchers.state.canonical_hash import Place
from schemas.enums import ExecFlag, ExecInst, ExecKind, MatchingAlgorithm, OrdType, Phase, SelfMatchPrevention, Side, TimeInForce
from schemas.limits import PRICE_TICKS_MAX
from schemas.reject_reasons import Reason

_STOPS_INCOMING = (SelfMatchPrevention.CANCEL_NEWEST, SelfMatchPrevention.CANCEL_BOTH, SelfMatchPrevention.DECREMENT_AND_CANCEL)
"""Instructions under which the incoming order does not get past an order of its owner whole."""


def enter(s: ShardState, order: Order) -> None:
    """Match the order, which is nowhere yet, and rest or cancel what is left of it."""
    book = s.book_of(order)
    if book.phase != Phase.CONTINUOUS:
        _wait(s, book, order)
        return
    limit = limit_of(s, book, order)
    if would_take(book, order, limit) and order.exec_inst & (ExecInst.POST_ONLY | ExecInst.POST_ONLY_SLIDE):
        slid = slid_price(book, order)
        if not order.exec_inst & ExecInst.POST_ONLY_SLIDE or not slid:
            end(s, order, ExecKind.CANCELED, Reason.POST_ONLY_WOULD_TAKE)
            return
        order.price = limit = slid
        s.order_row(ExecKind.RESTATED, order, 0, Reason.POST_ONLY_SLIDE)
    if shortfall := _shortfall(s, book, order, limit):
        end(s, order, ExecKind.CANCELED, shortfall)
        return
    traded_before = order.cum_qty
    sweep(s, book, order, limit)
    if order.order_id in s.orders:
        _leave_rest(s, book, order, limit, traded=order.cum_qty > traded_before)


def _wait(s: ShardState, book: Book, order: Order) -> None:
    """Rest without matching; a market order only where an uncross is to come."""
    if order.ord_type == OrdType.MARKET_TO_LIMIT or (order.ord_type == OrdType.MARKET and not book.in_call):
        end(s, order, ExecKind.CANCELED, Reason.NOT_IN_THIS_PHASE)
    else:
        s.rest(order)


def limit_of(s: ShardState, book: Book, order: Order) -> int:
    """The worst price at which the order may execute now."""
    buy = order.side == Side.BUY
    limit = order.price
    if order.ord_type in (OrdType.MARKET, OrdType.MARKET_TO_LIMIT):
        if not limit:
            low, high = collar_of(s, book)
            limit = high if buy else low
        best = book.sides[OPPOSITE[Side(order.side)]].best
        if order.ord_type == OrdType.MARKET_TO_LIMIT and best is not None:
            limit = min(limit, best) if buy else max(limit, best)
    return band_limited(book, order.side, limit)


def collar_of(s: ShardState, book: Book) -> tuple[int, int]:
    """Lowest and highest price of an order; without a collar every price."""
    percent = int(s.rules[book.instrument]["collar_percent"])
    return price_range(book.reference_px, percent) if percent else (1, PRICE_TICKS_MAX)


def price_range(reference_px: int, percent: int) -> tuple[int, int]:
    """Prices within `percent` of the reference, in whole ticks inside it."""
    width = reference_px * percent // 100
    return max(reference_px - width, 1), min(reference_px + width, PRICE_TICKS_MAX)


def would_take(book: Book, order: Order, limit: int) -> bool:
    """Whether the order would trade at once."""
    opposite = book.sides[OPPOSITE[Side(order.side)]]
    return opposite.best is not None and opposite.reaches(opposite.best, limit)


def slid_price(book: Book, order: Order) -> int:
    """One tick away from the opposite best; 0 if there is no such price."""
    best = book.sides[OPPOSITE[Side(order.side)]].best
    assert best is not None, "slides only where it would take"
    price = best - 1 if order.side == Side.BUY else best + 1
    return price if 1 <= price <= PRICE_TICKS_MAX else 0


# -- available quantity


def _shortfall(s: ShardState, book: Book, order: Order, limit: int) -> Reason:
    """Why a FOK or min_qty order is cancelled untouched, or NONE."""
    if order.time_in_force == TimeInForce.FOK:
        return Reason.NONE if available(s, book, order, limit, order.leaves_qty) >= order.leaves_qty else Reason.FILL_OR_KILL
    if order.min_qty and available(s, book, order, limit, order.min_qty) < order.min_qty:
        return Reason.MIN_QTY_NOT_AVAILABLE
    return Reason.NONE


def available(s: ShardState, book: Book, order: Order, limit: int, needed: int) -> int:
    """Lots that the order would execute, counted until `needed` are found.

    Hidden and reserve quantity counts. Left out: what self-match prevention would remove, everything behind an order of the same owner where the
    instruction stops the incoming one there, and the second of an OCO pair, which goes when the first is executed or removed.
    """
    opposite = book.sides[OPPOSITE[Side(order.side)]]
    total = 0
    gone: set[int] = set()
    for price in opposite.prices():
        if not opposite.reaches(price, limit) or total >= needed:
            break
        level = opposite.levels[price]
        count = _available_pro_rata if _is_pro_rata(s, book) else _available_fifo
        found, stopped = count(order, level, gone)
        total += found
        if stopped:
            break
    return total


def _available_fifo(order: Order, level: Level, gone: set[int]) -> tuple[int, bool]:
    """(lots, whether an own order ends it): displayed tranches in their order, then their reserves, then hidden orders."""
    total = reserves = 0
    for resting in level.displayed:
        if is_prevented(order, resting):
            if order.self_match_prevention_instruction in _STOPS_INCOMING:
                return total, True
            gone.add(resting.oco_id)
        elif resting.order_id not in gone:
            total += resting.shown_qty
            reserves += resting.leaves_qty - resting.shown_qty
            gone.add(resting.oco_id)
    total += reserves
    for resting in level.hidden:
        if is_prevented(order, resting):
            if order.self_match_prevention_instruction in _STOPS_INCOMING:
                return total, True
            gone.add(resting.oco_id)
        elif resting.order_id not in gone:
            total += resting.leaves_qty
            gone.add(resting.oco_id)
    return total, False


def _available_pro_rata(order: Order, level: Level, gone: set[int]) -> tuple[int, bool]:
    """The same where own orders are met last. Of an OCO pair in one level the smaller counts: either may be executed first."""
    total, stopped = 0, False
    here = {resting.order_id: resting for resting in level.orders()}
    for resting in level.orders():
        if is_prevented(order, resting):
            stopped = stopped or order.self_match_prevention_instruction in _STOPS_INCOMING
        elif resting.order_id not in gone:
            other = here.get(resting.oco_id)
            total += min(resting.leaves_qty, other.leaves_qty) if other and not is_prevented(order, other) else resting.leaves_qty
            gone.add(resting.oco_id)
    gone.update(resting.oco_id for resting in level.orders() if is_prevented(order, resting))
    return total, stopped


def is_own(order: Order, resting: Order) -> bool:
    """Whether both have the same self_match_prevention_id."""
    return order.self_match_prevention_id != 0 and order.self_match_prevention_id == resting.self_match_prevention_id


def is_prevented(order: Order, resting: Order) -> bool:
    """Whether the two must not trade with each other."""
    return is_own(order, resting) and order.self_match_prevention_instruction != SelfMatchPrevention.NONE


def _is_pro_rata(s: ShardState, book: Book) -> bool:
    return bool(s.rules[book.instrument]["matching_algorithm"] == MatchingAlgorithm.PRO_RATA)


# -- execution


def sweep(s: ShardState, book: Book, order: Order, limit: int) -> None:
    """Trade with opposite levels, best first, each followed by its LEVEL row."""
    opposite = book.sides[OPPOSITE[Side(order.side)]]
    while order.leaves_qty and order.order_id in s.orders and opposite.best is not None and opposite.reaches(opposite.best, limit):
        price = opposite.best
        before = opposite.shown(price)
        if _is_pro_rata(s, book):
            _match_pro_rata(s, order, opposite, price)
        else:
            _match_fifo(s, order, opposite, price)
        s.level_row(book, opposite.side, price, before)


def _match_fifo(s: ShardState, order: Order, opposite: BookSide, price: int) -> None:
    """In the order of the queues; an iceberg's next tranche is behind the displayed orders that are there."""
    while order.leaves_qty and order.order_id in s.orders and price in opposite.levels:
        resting = opposite.levels[price].orders()[0]
        if is_prevented(order, resting):
            prevent(s, order, resting)
        else:
            trade(s, order, resting, price, min(order.leaves_qty, resting.shown_qty or resting.leaves_qty))


def _match_pro_rata(s: ShardState, order: Order, opposite: BookSide, price: int) -> None:
    """In rounds: each displayed order gets floor(incoming x its share), what is left goes by time; then hidden orders by time, own ones last.

    An iceberg that displays a new tranche is in the next round.
    """
    while order.leaves_qty and order.order_id in s.orders and price in opposite.levels:
        level = opposite.levels[price]
        displayed = [resting for resting in level.displayed if not is_prevented(order, resting)]
        hidden = [resting for resting in level.hidden if not is_prevented(order, resting)]
        if displayed:
            for resting, qty in zip(displayed, shares(order.leaves_qty, [one.shown_qty for one in displayed]), strict=True):
                if qty and resting.order_id in s.orders:
                    trade(s, order, resting, price, qty)
        elif hidden:
            trade(s, order, hidden[0], price, min(order.leaves_qty, hidden[0].leaves_qty))
        else:
            prevent(s, order, level.orders()[0])


def shares(qty: int, shown: list[int]) -> list[int]:
    """How pro-rata divides `qty` among displayed quantities in time priority."""
    total = sum(shown)
    qty = min(qty, total)
    parts = [qty * one // total for one in shown]
    left = qty - sum(parts)
    for place, one in enumerate(shown):
        more = min(left, one - parts[place])
        parts[place] += more
        left -= more
    return parts


def trade(s: ShardState, order: Order, resting: Order, price: int, qty: int) -> None:
    """One execution in continuous trading, and what follows from it at once."""
    book = s.book_of(order)
    fill(s, order, resting, price, qty, ExecFlag(0))
    note_trade(s, book, price)
    if resting.leaves_qty and not resting.hidden and not resting.shown_qty:
        replenish(s, resting)
    elect(s, book, price)
    after_fill(s, order)
    after_fill(s, resting)


def fill(s: ShardState, order: Order, resting: Order, price: int, qty: int, flags: ExecFlag) -> None:
    """The TRADE row; an order that is filled leaves its level."""
    book = s.book_of(order)
    for one in (order, resting):
        one.leaves_qty -= qty
        if one.place == Place.RESTING:
            one.shown_qty -= min(qty, one.shown_qty)
            if not one.leaves_qty:
                s.detach(one)
    book.last_px = price
    s.order_row(
        ExecKind.TRADE, order, qty, price=price, contra_order_id=resting.order_id, contra_account=resting.account,
        contra_leaves_qty=resting.leaves_qty, trd_match_id=s.next_trade(), display_qty=resting.displayed_qty,
        flags=flags | (ExecFlag.SELF_MATCH if is_own(order, resting) else ExecFlag(0)),
    )  # fmt: skip
    tighten(book, price)


def replenish(s: ShardState, order: Order) -> None:
    """An iceberg displays its next tranche, behind the displayed orders of its price."""
    side = s.book_of(order).sides[order.side]
    side.remove(order)
    order.shown_qty = order.tranche
    side.add(order)
    s.order_row(ExecKind.RESTATED, order, 0, Reason.ICEBERG_REPLENISHED)


def prevent(s: ShardState, order: Order, resting: Order) -> None:
    """Two orders of one owner meet; the incoming order's instruction says what goes."""
    instruction = order.self_match_prevention_instruction
    if instruction == SelfMatchPrevention.DECREMENT_AND_CANCEL:
        qty = min(order.leaves_qty, resting.leaves_qty)
        for one in (resting, order):
            _decrement(s, one, qty)
        return
    if instruction in (SelfMatchPrevention.CANCEL_OLDEST, SelfMatchPrevention.CANCEL_BOTH):
        end(s, resting, ExecKind.CANCELED, Reason.SELF_MATCH_PREVENTION)
    if instruction in (SelfMatchPrevention.CANCEL_NEWEST, SelfMatchPrevention.CANCEL_BOTH):
        end(s, order, ExecKind.CANCELED, Reason.SELF_MATCH_PREVENTION)


def _decrement(s: ShardState, order: Order, qty: int) -> None:
    if order.leaves_qty == qty:
        end(s, order, ExecKind.CANCELED, Reason.SELF_MATCH_PREVENTION)
        return
    order.leaves_qty -= qty
    order.order_qty -= qty
    order.shown_qty = min(order.shown_qty, order.leaves_qty)
    s.order_row(ExecKind.RESTATED, order, qty, Reason.SELF_MATCH_PREVENTION)


# -- what is left, and the end of orders


def _leave_rest(s: ShardState, book: Book, order: Order, limit: int, traded: bool) -> None:
    """Rest what is left, or cancel it with its reason."""
    if order.ord_type == OrdType.MARKET or (order.ord_type == OrdType.MARKET_TO_LIMIT and not traded):
        empty = book.sides[OPPOSITE[Side(order.side)]].best is None
        end(s, order, ExecKind.CANCELED, Reason.NO_LIQUIDITY if empty else Reason.PROTECTION_PRICE)
    elif order.time_in_force == TimeInForce.IOC:
        end(s, order, ExecKind.CANCELED, Reason.IMMEDIATE_OR_CANCEL)
    else:
        if order.ord_type == OrdType.MARKET_TO_LIMIT:
            order.ord_type, order.price = OrdType.LIMIT, book.last_px
            s.order_row(ExecKind.RESTATED, order, 0, Reason.MARKET_TO_LIMIT)
        elif order.price != limit:
            order.price = limit
            s.order_row(ExecKind.RESTATED, order, 0, Reason.PRICE_BAND)
        s.rest(order)


def end(s: ShardState, order: Order, kind: ExecKind, reason: Reason) -> None:
    """Take a live order out of the market for good: its row, the LEVEL row, and what hangs on it."""
    filled = order.cum_qty
    before = s.detach(order)
    qty, order.leaves_qty = order.leaves_qty, 0
    s.order_row(kind, order, qty, reason, leaves_qty=0)
    s.level_row_of(order, before)
    _finish(s, order, filled)


def after_fill(s: ShardState, order: Order) -> None:
    """The other of an OCO pair goes; a filled order is done."""
    if order.leaves_qty:
        _cancel_other(s, order)
    else:
        _finish(s, order, order.order_qty)


def _finish(s: ShardState, order: Order, filled: int) -> None:
    """The order is no more: cancel the other of its pair, then trigger or cancel what waits for it."""
    del s.orders[order.order_id]
    book = s.book_of(order)
    if order in book.pegs:
        book.pegs.remove(order)
    if order.primary_id:
        primary = s.orders[order.primary_id]
        primary.secondaries = tuple(order_id for order_id in primary.secondaries if order_id != order.order_id)
    _cancel_other(s, order)
    waiting = [s.orders[order_id] for order_id in order.secondaries]
    for secondary in waiting:
        secondary.primary_id = 0
        if filled:
            if surplus := max(secondary.order_qty - filled, 0):
                secondary.order_qty = secondary.leaves_qty = filled
                s.order_row(ExecKind.RESTATED, secondary, surplus, Reason.PRIMARY_NOT_FILLED)
            secondary.place = Place.QUEUED
            s.followups.append(secondary)
        else:
            secondary.oco_id = 0
    for secondary in waiting:
        if not filled:
            end(s, secondary, ExecKind.CANCELED, Reason.PRIMARY_NOT_FILLED)


def _cancel_other(s: ShardState, order: Order) -> None:
    other = s.orders.get(order.oco_id)
    order.oco_id = 0
    if other is not None:
        other.oco_id = 0
        end(s, other, ExecKind.CANCELED, Reason.LINKED_ORDER)
