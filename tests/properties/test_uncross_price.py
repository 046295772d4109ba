"""The uncross price of small random books against a search over every tick, written down from the rules."""

from dataclasses import dataclass
from decimal import Decimal

from hypothesis import example, given, settings
from hypothesis import strategies as st

from matchers.books.reference.auction import find_cross
from matchers.books.reference.book import Book, Order
from matchers.books.reference.shard import BookShard
from matchers.rules.outputs import BOOK_COMMAND_DTYPE, rows_of
from schemas.enums import BookCommandKind, ContingencyType, ExecInst, ExecKind, OrdType, Phase, Side, TimeInForce
from schemas.instruments import Instrument, InstrumentTable
from schemas.limits import PRICE_TICKS_MAX

TICKS = 12
"""Limits are 1..TICKS; a search up to TICKS + 2 sees every stretch of ticks that a book can have."""


@dataclass(frozen=True)
class Draft:
    """An order of a random book; price 0: a market order."""

    side: int
    price: int
    qty: int
    display_qty: int = 0
    hidden: bool = False


DRAFTS = st.builds(
    Draft,
    side=st.sampled_from(Side),
    price=st.integers(0, TICKS),
    qty=st.integers(1, 9),
    display_qty=st.integers(0, 3),
    hidden=st.booleans(),
)

PHANTOM = [Draft(Side.SELL, 5, 9), Draft(Side.SELL, 5, 9), Draft(Side.SELL, 6, 9), Draft(Side.BUY, 7, 18)]
"""The first two as an OCO pair: if both counted, the price would be 5, and what then remains would be crossed."""


def book_of(drafts: list[Draft], reference_px: int, last_px: int, pair: bool) -> Book:
    """The drafts at rest. `pair`: the first two limit orders of one side are an OCO pair."""
    book = Book(1, reference_px, last_px=last_px)
    orders = []
    for number, draft in enumerate(drafts, 1):
        ord_type = OrdType.LIMIT if draft.price else OrdType.MARKET
        hidden = draft.hidden and bool(draft.price)
        order = Order(number, 1, 1, draft.side, ord_type, TimeInForce.DAY, draft.qty, draft.qty, draft.price, entry=number)
        order.exec_inst, order.display_qty = (ExecInst.HIDDEN if hidden else 0), (draft.display_qty if draft.price and not hidden else 0)
        order.shown_qty = order.tranche
        book.sides[draft.side].add(order)
        orders.append(order)
    limits = [order for order in orders if order.ord_type == OrdType.LIMIT]
    legs = [order for order in limits if order.side == limits[0].side][:2]
    if pair and len(legs) == 2:
        legs[0].oco_id, legs[1].oco_id = legs[1].order_id, legs[0].order_id
    return book


def executable(book: Book, side: Side, price: int) -> int:
    """Lots of a side that would execute at a price; of an OCO pair the order that comes first."""
    total, seen = 0, set()
    orders = [order for at in book.sides[side].prices() for order in book.sides[side].levels[at].orders()]
    for order in orders:
        reaches = order.ord_type == OrdType.MARKET or (order.price >= price if side == Side.BUY else order.price <= price)
        if reaches and order.oco_id not in seen:
            total += order.leaves_qty
            seen.add(order.order_id)
    return total


def searched(book: Book, low: int, high: int) -> tuple[int, int, int]:
    """(price, volume, surplus) by the rules, tick by tick: most volume, least surplus, pressure, reference."""
    at = {price: (executable(book, Side.BUY, price), executable(book, Side.SELL, price)) for price in range(low, high + 1)}
    volume = max(min(quantities) for quantities in at.values())
    if not volume:
        return 0, 0, 0
    tied = [price for price, quantities in at.items() if min(quantities) == volume]
    least = min(abs(at[price][0] - at[price][1]) for price in tied)
    tied = [price for price in tied if abs(at[price][0] - at[price][1]) == least]
    surpluses = {at[price][0] - at[price][1] for price in tied}
    market = [
        order for side in Side for level in book.sides[side].levels.values() for order in level.orders() if order.ord_type == OrdType.MARKET
    ]
    both = [sum(order.leaves_qty for order in market if order.side == side) for side in Side]
    if min(both) < volume and all(surplus > 0 for surplus in surpluses):
        price = tied[-1]
    elif min(both) < volume and all(surplus < 0 for surplus in surpluses):
        price = tied[0]
    else:
        reference = book.last_px or book.reference_px
        price = min(tied, key=lambda one: (abs(one - reference), one))
    return price, volume, at[price][0] - at[price][1]


@settings(max_examples=600, deadline=None)
@given(
    drafts=st.lists(DRAFTS, min_size=1, max_size=10), reference_px=st.integers(1, TICKS), last_px=st.integers(0, TICKS),
    low=st.integers(1, TICKS), width=st.integers(0, TICKS), pair=st.booleans(),
)  # fmt: skip
@example(drafts=[Draft(Side.BUY, 0, 10), Draft(Side.SELL, 0, 7)], reference_px=5, last_px=0, low=1, width=13, pair=False)
@example(drafts=PHANTOM, reference_px=5, last_px=0, low=1, width=13, pair=True)
def test_the_price_is_that_of_a_search_over_every_tick(
    drafts: list[Draft], reference_px: int, last_px: int, low: int, width: int, pair: bool
) -> None:
    """In any range of ticks, and over all of them: there the highest tick stands for all that nobody names."""
    book = book_of(drafts, reference_px, last_px, pair)
    high = low + width
    cross = find_cross(book, low, high)
    assert (cross.price, cross.volume, cross.surplus) == searched(book, low, high)
    everywhere = find_cross(book)
    price, volume, surplus = searched(book, 1, TICKS + 2)
    top = PRICE_TICKS_MAX if price == TICKS + 2 else price
    assert (everywhere.price, everywhere.volume, everywhere.surplus) == (top, volume, surplus)


@settings(max_examples=200, deadline=None)
@given(drafts=st.lists(DRAFTS, min_size=2, max_size=10), pair=st.booleans())
@example(drafts=PHANTOM, pair=True)
def test_an_uncross_executes_the_volume_that_was_published_and_leaves_nothing_crossed(drafts: list[Draft], pair: bool) -> None:
    """Through the book shard: what is indicated for the range of the auction is what trades, at one price."""
    one = Decimal(1)
    instrument = Instrument(1, "I1", "", one / 100, one, Decimal(1000), Decimal(10**6), Decimal("0.50"), 99)
    machine = BookShard(0, InstrumentTable([instrument]), 1)
    commands: list[dict[str, int]] = [{"kind": BookCommandKind.TRADING_SESSION_CHANGE, "phase": Phase.PRE_OPEN}]
    listed = pair and drafts[0].side == drafts[1].side and bool(drafts[0].price and drafts[1].price)
    for number, draft in enumerate(drafts, 1):
        hidden = draft.hidden and bool(draft.price)
        shown = min(draft.display_qty, draft.qty) if draft.price and not hidden else 0
        in_list = listed and number <= 2
        commands.append({
            "kind": BookCommandKind.NEW_ORDER, "instrument": 1, "account": 1, "order_id": number, "side": draft.side, "order_qty": draft.qty,
            "ord_type": OrdType.LIMIT if draft.price else OrdType.MARKET, "price": draft.price + 40 if draft.price else 0, "display_qty": shown,
            "exec_inst": ExecInst.HIDDEN if hidden else 0, "list_id": int(in_list), "contingency_type": ContingencyType.OCO if in_list else 0,
        })  # fmt: skip
    machine.apply(rows_of(BOOK_COMMAND_DTYPE, commands))
    book = machine.state.books[1]
    cross, bounded = find_cross(book), find_cross(book, 1, 99)
    change = rows_of(BOOK_COMMAND_DTYPE, [{"kind": BookCommandKind.TRADING_SESSION_CHANGE, "phase": Phase.CONTINUOUS}])
    if cross.price > 99:
        assert (machine.apply(change).executions["kind"] == ExecKind.TRADE).sum() == 0, "extended once"
        cross = bounded
    rows = machine.apply(change).executions
    trades = rows[rows["kind"] == ExecKind.TRADE]
    assert trades["qty"].sum() == cross.volume
    assert set(trades["price"].tolist()) == ({cross.price} if cross.volume else set())
    buys, sells = book.sides[Side.BUY].best, book.sides[Side.SELL].best
    assert book.phase == Phase.CONTINUOUS
    assert buys is None or sells is None or buys < sells
