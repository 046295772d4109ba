"""Whether the records of a day fit together, asked of whole columns: the second half of reports.cat.sound. No I/O.

Quantities are whole units of 10^-8, so sums are exact. Differences of running totals are right even where a total is beyond 64 bits.
"""

from collections.abc import Iterable
from dataclasses import dataclass, fields
from typing import Any, Final, Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from reports.cat.words import BUY, EventType
from schemas.codec import Rows

TYPES: Final = tuple(one.value for one in EventType)
ACCEPTED, MODIFIED, ADJUSTED, CANCELED, TRADE, PRINT, RESTATED, BROKEN = (
    TYPES.index(one)
    for one in (
        EventType.ACCEPTED, EventType.MODIFIED, EventType.ADJUSTED, EventType.CANCELED, EventType.TRADE, EventType.BULK_PRINT,
        EventType.RESTATED, EventType.TRADE_BROKEN,
    )
)  # fmt: skip
QUANTITY_MAX: Final = 90_000_000
"""Below it a double has every multiple of 10^-8 apart: 2^53 / 10^8."""
NONE: Final = -1
"""A quantity or a side that the record does not say."""


def exact_units(values: Rows) -> Rows | None:
    """Quantities as whole units, NONE for NaN; None where one is not exact."""
    there = ~np.isnan(values)
    scaled = np.rint(np.where(there, values, 0) * 1e8)
    if (np.where(there, values, 0) >= QUANTITY_MAX).any() or (there & (scaled / 1e8 != values)).any():
        return None
    return np.where(there, scaled, NONE).astype(np.int64)


def ids_of(texts: Any) -> Rows | None:
    """Ids as numbers; None where one is not written as a number of 63 bits is."""
    try:
        numbers = texts.cast(pa.int64())
    except pa.ArrowInvalid:
        return None
    is_same = pc.equal(numbers.cast(pa.string()), texts)
    return numbers.to_numpy(zero_copy_only=False) if pc.all(is_same, min_count=0).as_py() else None


class _Columns:
    """Columns of equal length that can be put behind one another."""

    @classmethod
    def joined(cls, parts: Iterable[Self]) -> Self:
        listed = list(parts)
        return cls(*(np.concatenate([getattr(part, one.name) for part in listed]) for one in fields(cls)))  # type: ignore[arg-type]


@dataclass(frozen=True)
class Trades(_Columns):
    """Trades outside of auctions."""

    trade: Rows
    place: Rows
    """Of the record within the day, from 0."""


@dataclass(frozen=True)
class Prints(_Columns):
    """Orders' parts of bulk prints."""

    bulk_print: Rows
    units: Rows
    """Below zero: sold."""
    price: Rows
    place: Rows


@dataclass(frozen=True)
class OrderRows(_Columns):
    """What records say of orders: one entry for each record, two for a trade."""

    order: Rows
    place: Rows
    kind: Rows
    """Index into TYPES."""
    date: Rows
    """In the order's key, YYYYMMDD."""
    is_carried: Rows
    """Whether the record says that date."""
    buys: Rows
    """1 or 0, or NONE."""
    quantity: Rows
    """Of the order; of what was traded or canceled, for these. Units."""
    leaves: Rows


def rows_of(columns: Any, kinds: Rows, places: Rows, day: int, quantity: Any) -> OrderRows | None:
    """Entries from the columns orderID, originalOrderDate, side, leavesQty; None where an id is no number, or a quantity is not exact."""
    order = ids_of(columns["orderID"])
    lots, leaves = (exact_units(one.cast(pa.float64()).to_numpy(zero_copy_only=False)) for one in (quantity, columns["leavesQty"]))
    if order is None or lots is None or leaves is None:
        return None
    dates = columns["originalOrderDate"]
    side = columns["side"]
    buys = pc.equal(side, BUY).cast(pa.int8()).fill_null(NONE).to_numpy(zero_copy_only=False)
    date = dates.fill_null(day).to_numpy(zero_copy_only=False)
    return OrderRows(order, places, kinds, date, pc.is_valid(dates).to_numpy(zero_copy_only=False), buys, lots, leaves)


def are_sequences_sound(symbols: Rows, sequences: Rows) -> bool:
    """Whether they rise by symbol. symbols: a number for each."""
    by_symbol = np.argsort(symbols, kind="stable")
    symbol, sequence = symbols[by_symbol], sequences[by_symbol]
    return bool(((symbol[1:] != symbol[:-1]) | (sequence[1:] > sequence[:-1])).all())


def are_prints_sound(trades: Trades, prints: Prints) -> bool:
    """Whether the buys and sells of each print are as many, at one price, and whether every trade and print has an id of its own."""
    by_print = np.argsort(prints.bulk_print, kind="stable")
    found = prints.bulk_print[by_print]
    starts = np.flatnonzero(np.concatenate([[True], found[1:] != found[:-1]])) if len(found) else np.zeros(0, np.int64)
    every = np.concatenate([trades.trade, found[starts]])
    if len(np.unique(every)) != len(every):
        return False
    if not len(found):
        return True
    price = prints.price[by_print]
    first = np.repeat(price[starts], np.diff([*starts, len(found)]))
    return bool((np.add.reduceat(prints.units[by_print], starts) == 0).all() and (price == first).all())


def are_trades_known(broken: Iterable[tuple[int, str]], trades: Trades, prints: Prints) -> bool:
    """Whether each trade of the day that was undone, (place, its id or its print's), was reported before."""
    ids, places = np.concatenate([trades.trade, prints.bulk_print]), np.concatenate([trades.place, prints.place])
    return all(name.isdecimal() and (places[ids == int(name)] < place).any() for place, name in broken)


def are_orders_sound(rows: OrderRows, symbols: Rows) -> bool:
    """Whether each order is accepted or restated first and once, stays what it was, and quantity is what was traded, canceled and left.

    symbols: a number for the symbol of each record of the day. An id that two orders of other symbols or dates share counts as unsound.
    """
    if not len(rows.order):
        return True
    by_order = np.lexsort((rows.place, rows.order))
    found = OrderRows(*(getattr(rows, one.name)[by_order] for one in fields(rows)))
    symbol = symbols[found.place]
    begins = np.concatenate([[True], found.order[1:] != found.order[:-1]])
    first = np.maximum.accumulate(np.where(begins, np.arange(len(begins)), 0))
    is_one = (found.date == found.date[first]) & (symbol == symbol[first])
    is_opening = np.isin(found.kind, (ACCEPTED, RESTATED))
    has_side = (found.buys == NONE) | (found.buys == found.buys[first])
    return bool(is_one.all() and (is_opening == begins).all() and has_side.all() and _is_conserved(found, first, begins))


def _is_conserved(rows: OrderRows, first: Rows, begins: Rows) -> bool:
    """rows: by order and place. first: where each one's order begins."""
    is_print = rows.kind == PRINT
    fills = np.where(is_print | (rows.kind == TRADE), rows.quantity, 0)
    if (rows.leaves[~is_print] < 0).any():  # a side of a trade need not say it
        return False
    traded = np.cumsum(fills)
    traded -= traded[first]
    leaves = _leaves_after(rows, is_print)
    before = np.concatenate([[0], leaves[:-1]])
    earlier = _traded_earlier(rows, traded, first)
    has_quantity = rows.quantity >= 0
    done = rows.quantity - earlier - traded
    expected = np.select(
        [begins | is_print, rows.kind == MODIFIED, (rows.kind == ADJUSTED) & has_quantity, rows.kind == ADJUSTED],
        [np.where(begins, rows.quantity, leaves), done, done, before],
        before - rows.quantity,
    )
    return bool((leaves >= 0).all() and (leaves == expected).all() and (begins | (before > 0)).all())


def _leaves_after(rows: OrderRows, is_print: Rows) -> Rows:
    """After each record, units. A print does not say it: what was left at the last record that did, less what was printed since."""
    printed = np.cumsum(np.where(is_print, rows.quantity, 0))
    said = np.maximum.accumulate(np.where(is_print, 0, np.arange(len(is_print))))
    found: Rows = np.where(is_print, rows.leaves[said] - (printed - printed[said]), rows.leaves)
    return found


def _traded_earlier(rows: OrderRows, traded: Rows, first: Rows) -> Rows:
    """What was traded of each order on days before, as its first modification that says more than the day's trades shows it. Units."""
    found = np.zeros(len(traded), np.int64)
    excess = rows.quantity - rows.leaves - traded
    for at in np.flatnonzero((rows.kind == MODIFIED) & rows.is_carried & (excess > 0)).tolist():
        if not found[at]:
            end = np.searchsorted(first, first[at], side="right")
            found[at:end] = excess[at]
    return found
