"""Published Python order books beside ours, on the same tape. Each adapter says what its book does not do, and how the tape is put to it.

What a book needs in its own types (prices, flags) is made outside the clock; orders and calls are inside it. IOC orders and modifies that a book does not
know are done as its user would: enter, then cancel what is left; cancel, then enter again. A modify is given what was left of the order in our engine, as
these books keep no total. All have price-time priority, so trades must agree in number and quantity; where they do not, the row says so.
"""

import importlib
import logging
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from importlib.metadata import PackageNotFoundError, version
from typing import Any, Final, NamedTuple

from schemas.codec import Rows
from schemas.enums import BookCommandKind, ExecKind, Side, TimeInForce

NEW, CANCEL, MODIFY = 0, 1, 2


class Message(NamedTuple):
    """One message of the tape in plain Python. price: ticks; qty: lots (MODIFY: what is left after it)."""

    kind: int
    order_id: int
    buy: bool
    price: int
    qty: int
    ioc: bool


Runner = Callable[[], tuple[int, int]]
"""Play the tape: (trades, lots traded)."""


@dataclass(frozen=True)
class Peer:
    """One book: the name of its package, what it lacks, and how to make a player of a tape for it."""

    package: str
    lacks: str
    player: Callable[[list[Message]], Runner]

    @property
    def installed(self) -> str | None:
        """Its version, or None."""
        try:
            return version(self.package)
        except PackageNotFoundError:
            return None


def messages(rows: Rows, executions: Rows) -> list[Message]:
    """The tape for peers; `executions` are ours for the same rows, command_index counted over all of them."""
    leaves = dict(
        zip(*(executions[executions["kind"] == ExecKind.REPLACED][one].tolist() for one in ("command_index", "leaves_qty")), strict=True)
    )
    kinds = {BookCommandKind.NEW_ORDER: NEW, BookCommandKind.CANCEL: CANCEL, BookCommandKind.REPLACE: MODIFY}
    columns = (rows[one].tolist() for one in ("kind", "order_id", "side", "price", "order_qty", "time_in_force"))
    return [
        Message(kinds[BookCommandKind(kind)], order_id, side == Side.BUY, price, leaves.get(index, qty), time == TimeInForce.IOC)
        for index, (kind, order_id, side, price, qty, time) in enumerate(zip(*columns, strict=True))
    ]


def _bourse(tape: list[Message]) -> Runner:
    book = importlib.import_module("bourse.core").OrderBook(0, 1)

    def run() -> tuple[int, int]:
        ids: dict[int, int] = {}
        place, cancel, modify, set_time = book.place_order, book.cancel_order, book.modify_order, book.set_time
        for now, (kind, order_id, buy, price, qty, ioc) in enumerate(tape):
            set_time(now)  # its queues are ordered by time
            if kind == NEW:
                number = place(buy, qty, 1, price=price)
                if ioc:
                    cancel(number)
                else:
                    ids[order_id] = number
            elif kind == CANCEL:
                cancel(ids[order_id])
            else:
                modify(ids[order_id], new_price=price, new_vol=qty)
        trades = book.get_trades()
        return len(trades), sum(trade[3] for trade in trades)

    return run


def _cython_orderbook(tape: list[Message]) -> Runner:
    library = importlib.import_module("cython_orderbook")
    book, sides = library.OrderBook(), {True: library.OrderSide.BID, False: library.OrderSide.ASK}
    prices = {one.price: Decimal(one.price) for one in tape}

    def run() -> tuple[int, int]:
        ids: dict[int, str] = {}
        make, add, cancel = library.Order, book.add_limit_order, book.cancel_order
        for kind, order_id, buy, price, qty, ioc in tape:
            if kind != NEW and not cancel(ids[order_id]):
                continue
            if kind == CANCEL:
                continue
            order = make(side=sides[buy], price=prices[price], original_quantity=qty)
            add(order)
            if ioc:
                cancel(order.order_id)
            else:
                ids[order_id] = order.order_id
        return len(book.trade_log), sum(trade.quantity_filled for trade in book.trade_log)

    return run


def _pyorderbook(tape: list[Message]) -> Runner:
    library = importlib.import_module("pyorderbook")
    logging.getLogger("pyorderbook.book").setLevel(logging.CRITICAL)  # it logs every cancel that comes too late
    book = library.Book()

    def run() -> tuple[int, int]:
        orders: dict[int, Any] = {}
        trades = lots = 0
        match, cancel, live, bid, ask = book.match, book.cancel, book.order_map, library.bid, library.ask
        for kind, order_id, buy, price, qty, ioc in tape:
            if kind != NEW:
                order = orders[order_id]
                if order.id not in live:
                    continue
                cancel(order)
                if kind == CANCEL:
                    continue
            orders[order_id] = order = (bid if buy else ask)("B1", price, qty)
            for trade in match(order).trades:
                trades += 1
                lots += trade.fill_quantity
            if ioc and order.quantity:
                cancel(order)
        return trades, lots

    return run


PEERS: Final = (
    Peer("bourse", "IOC by enter and cancel; reports nothing of an order but its trades, read once at the end", _bourse),
    Peer("cython-orderbook", "IOC and modify by cancel and enter; a log of trades is its only report", _cython_orderbook),
    Peer("pyorderbook", "IOC and modify by cancel and enter; a blotter of trades an order is its only report", _pyorderbook),
)
