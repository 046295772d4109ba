"""The canonical state of the reference book shard: to arrays, for the hash and for snapshots, and back."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from matchers.books.reference.book import Book, Order
from matchers.books.reference.state import ShardState
from matchers.books.reference.stops import arm
from matchers.state.canonical_hash import BOOK_FACTS, BOOK_ORDER_STATE, QUEUE_STATE, SECOND_STATE, Place
from schemas.codec import Rows
from schemas.enums import OrdType, Phase

_LINKS = ("secondary_1", "secondary_2")
_INDICATIVE = ("indicative_px", "indicative_volume", "indicative_side", "indicative_imbalance")


def canonical_state(s: ShardState) -> dict[str, Rows]:
    """The arrays of canonical_hash.py."""
    orders = sorted(s.orders.values(), key=lambda one: one.entry)
    queue = [
        order.order_id
        for book in s.books.values()
        for side in book.sides.values()
        for price in side.prices()
        for order in side.levels[price].orders()
    ]
    seconds = [(book.instrument, second, *entry) for book in s.books.values() for second, entry in sorted(book.trades_by_second.items())]
    return {
        "books": _rows(BOOK_FACTS, [_book_values(book) for book in s.books.values()]),
        "orders": _rows(BOOK_ORDER_STATE, [_order_values(order) for order in orders]),
        "queue": np.array(queue, np.uint64).view(QUEUE_STATE),
        "seconds": np.array(seconds, SECOND_STATE),
        "busted": np.array(sorted(s.busted), np.uint64),
        "counters": np.array([s.last_trade, s.last_entry], np.uint64),
    }


def load_state(s: ShardState, arrays: Mapping[str, Rows]) -> None:
    """Fill an empty shard from the arrays of canonical_state and rpt_seq."""
    s.last_trade, s.last_entry = arrays["counters"].tolist()
    s.busted = set(arrays["busted"].tolist())
    for values, rpt_seq in zip(_values(arrays["books"]), arrays["rpt_seq"].tolist(), strict=True):
        book = s.books[values["instrument"]]
        book.rpt_seq = rpt_seq
        book.indicative = tuple(values.pop(name) for name in _INDICATIVE)
        for name, value in values.items():
            setattr(book, name, value)
        book.phase = Phase(book.phase)
    for instrument, second, total, trades in arrays["seconds"].tolist():
        s.books[instrument].trades_by_second[second] = total, trades
    for values in _values(arrays["orders"]):
        links = tuple(link for link in (values.pop(name) for name in _LINKS) if link)
        order = s.orders[values["order_id"]] = Order(**values, secondaries=links)
        _restore_place(s, order)
    for order in s.orders.values():
        for order_id in order.secondaries:
            s.orders[order_id].primary_id = order.order_id
    for (order_id,) in arrays["queue"].tolist():
        order = s.orders[order_id]
        s.book_of(order).sides[order.side].add(order)


def _restore_place(s: ShardState, order: Order) -> None:
    book = s.book_of(order)
    if order.ord_type == OrdType.PEGGED:
        book.pegs.append(order)
    if order.place == Place.DORMANT:
        phase, last_px, book.phase, book.last_px = (
            book.phase,
            book.last_px,
            Phase.CLOSED,
            0,
        )  # armed as it is: neither tightened nor elected
        arm(s, order)
        book.phase, book.last_px = phase, last_px


def _book_values(book: Book) -> dict[str, Any]:
    return vars(book) | dict(zip(_INDICATIVE, book.indicative, strict=True))


def _order_values(order: Order) -> dict[str, Any]:
    return vars(order) | dict(zip(_LINKS, (*order.secondaries, 0, 0), strict=False))


def _rows(dtype: np.dtype[np.void], values: list[dict[str, Any]]) -> Rows:
    return np.array([tuple(one[name] for name in dtype.names or ()) for one in values], dtype)


def _values(rows: Rows) -> list[dict[str, Any]]:
    return [dict(zip(rows.dtype.names or (), row, strict=True)) for row in rows.tolist()]
