"""Auctions: the uncross price, what an uncross executes, and the indicative price before it: docs/rules.md, section 5.

The price, over every tick of a range: (1) most volume, (2) least surplus, (3) market pressure: surplus on the buy side at every tied tick -> the highest,
on the sell side -> the lowest, (4) else the reference price (the day's last price, or the previous close) clamped into the tied ticks. Where market
orders alone make the whole volume, (3) is left out: nothing but the reference speaks for a price. Of an OCO pair whose orders both rest the one that would
execute first counts: what fills it cancels the other.
Executed at that one price: market orders first, then price, then displayed quantity by time, then reserves and hidden orders by time. In a TRADE
order_id is the buy. Self-match prevention does not apply, such trades are flagged. A fill of one of an OCO pair cancels the other at once.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from matchers.books.reference.book import MARKET_LEVEL, OPPOSITE, Book, BookSide, Order
from matchers.books.reference.matching import after_fill, fill, price_range, replenish
from matchers.books.reference.state import ShardState
from schemas.enums import ExecFlag, ExecKind, Side
from schemas.limits import PRICE_TICKS_MAX


@dataclass(frozen=True)
class Cross:
    """Where the book would uncross; price 0: nowhere."""

    price: int = 0
    volume: int = 0
    surplus: int = 0
    """Buys minus sells that could execute at the price, lots."""


def auction_range(s: ShardState, book: Book) -> tuple[int, int]:
    """Prices at which an auction may trade: the collar, or the protection band where there is none."""
    rules = s.rules[book.instrument]
    return price_range(book.reference_px, int(rules["collar_percent"] or rules["protection_percent"]))


def find_cross(book: Book, low: int = 1, high: int = PRICE_TICKS_MAX) -> Cross:
    """The uncross price among the ticks low..high."""
    steps = list(_steps(book, low, high))
    volume = max(min(buys, sells) for _, _, buys, sells in steps)
    if not volume:
        return Cross()
    tied = [step for step in steps if min(step[2], step[3]) == volume]
    least = min(abs(buys - sells) for _, _, buys, sells in tied)
    tied = [step for step in tied if abs(step[2] - step[3]) == least]
    lowest, highest = tied[0][0], tied[-1][1]
    only_market = volume == min(_quantities(book.sides[side]).get(MARKET_LEVEL[side], 0) for side in Side)
    surpluses = [buys - sells for _, _, buys, sells in tied]
    if not only_market and all(surplus > 0 for surplus in surpluses):
        price = highest
    elif not only_market and all(surplus < 0 for surplus in surpluses):
        price = lowest
    else:
        price = min(max(book.last_px or book.reference_px, lowest), highest)
    return Cross(price, volume, next(buys - sells for first, last, buys, sells in tied if first <= price <= last))


def _steps(book: Book, low: int, high: int) -> Iterator[tuple[int, int, int, int]]:
    """(first tick, last tick, buys, sells) of stretches with the same executable quantities, ascending, that cover low..high."""
    buys, sells = _quantities(book.sides[Side.BUY]), _quantities(book.sides[Side.SELL])
    limits = {price for price in (*buys, *sells) if low <= price <= high and price not in MARKET_LEVEL.values()}
    starts = sorted({low} | limits | {price + 1 for price in limits if price < high})
    for first, after in zip(starts, [*starts[1:], high + 1], strict=True):
        executable_buys = sum(qty for price, qty in buys.items() if price >= first)
        executable_sells = sum(qty for price, qty in sells.items() if price <= first)
        yield first, after - 1, executable_buys, executable_sells


def _quantities(side: BookSide) -> dict[int, int]:
    """Lots that could execute at each price, hidden and reserve included; without the second of an OCO pair."""
    counted: set[int] = set()
    quantities: dict[int, int] = {}
    for order, qty in _executable(side, MARKET_LEVEL[OPPOSITE[Side(side.side)]]):
        if order.oco_id not in counted:
            quantities[order.level_price] = quantities.get(order.level_price, 0) + qty
            counted.add(order.order_id)
    return quantities


def indicate(s: ShardState, book: Book) -> None:
    """In a call phase: publish where the book would uncross, if that has changed."""
    if not book.in_call:
        return
    cross = find_cross(book)
    side = Side.BUY if cross.surplus > 0 else Side.SELL if cross.surplus < 0 else 0
    now = (cross.price, cross.volume, int(side), abs(cross.surplus))
    if now != book.indicative:
        book.indicative = now
        s.row(ExecKind.AUCTION_INDICATIVE, book, price=cross.price, qty=cross.volume, side=side, leaves_qty=abs(cross.surplus))


def uncross(s: ShardState, book: Book, price: int) -> None:
    """Execute everything that can at the price, then the LEVEL rows: buys, then sells, best first."""
    levels = [(side, at, book.sides[side].shown(at)) for side in Side for at in book.sides[side].prices() if at != MARKET_LEVEL[side]]
    queues = {side: list(_executable(book.sides[side], price)) for side in Side}
    at = dict.fromkeys(Side, 0)
    traded: list[Order] = []
    while all(at[side] < len(queues[side]) for side in Side):
        parts = {side: queues[side][at[side]] for side in Side}
        for side, (order, qty) in parts.items():
            if not qty or order.order_id not in s.orders:
                at[side] += 1
        if any(not qty or order.order_id not in s.orders for order, qty in parts.values()):
            continue
        (buy, buy_qty), (sell, sell_qty) = parts[Side.BUY], parts[Side.SELL]
        qty = min(buy_qty, sell_qty)
        queues[Side.BUY][at[Side.BUY]], queues[Side.SELL][at[Side.SELL]] = (buy, buy_qty - qty), (sell, sell_qty - qty)
        fill(s, buy, sell, price, qty, ExecFlag.UNCROSS)
        traded += [buy, sell]
        after_fill(s, buy)
        after_fill(s, sell)
    for order in dict.fromkeys(traded):
        if order.order_id in s.orders and not order.shown_qty and not order.hidden:
            replenish(s, order)
    for side, level_price, before in levels:
        s.level_row(book, side, level_price, before)


def _executable(side: BookSide, price: int) -> Iterator[tuple[Order, int]]:
    """(order, lots) in the order in which they execute; an iceberg comes twice, with what it displays and with its reserve."""
    for at in side.prices():
        if not side.reaches(at, price):
            break
        level = side.levels[at]
        yield from [(order, order.shown_qty) for order in level.displayed]
        behind = [(order, order.leaves_qty - order.shown_qty) for order in level.displayed] + [
            (order, order.leaves_qty) for order in level.hidden
        ]
        yield from sorted(behind, key=lambda part: part[0].entry)
