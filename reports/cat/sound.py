"""Whether every record of a day keeps every rule, asked of whole columns: quick, and a plain yes or no. No I/O.

`reports.cat.record_rules` and `checks` say the rules one record at a time, and which record breaks which. These are the same rules. Yes means that it finds nothing in this
day. No means that it has to be asked: there is a fault, or something rare that is not decided here, such as text that is not ASCII or an order of more
than QUANTITY_MAX shares.
"""

from collections.abc import Iterator, Mapping
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.json

from reports.cat.fields import EVENTS, SIDE_FIELDS, Field, Form
from reports.cat.record_rules import PRICE_END, RECORD_BYTES_MAX, TEXT_CHARACTERS_MAX, is_date
from reports.cat.sound_links import (
    ACCEPTED,
    ADJUSTED,
    BROKEN,
    PRINT,
    TRADE,
    TYPES,
    OrderRows,
    Prints,
    Trades,
    are_orders_sound,
    are_prints_sound,
    are_sequences_sound,
    are_trades_known,
    exact_units,
    ids_of,
    rows_of,
)
from reports.cat.words import (
    BUY,
    HIDDEN,
    INSTRUCTIONS,
    LIMIT,
    LINKED,
    MARKET,
    POST_ONLY,
    SLIDE,
    TIMES_IN_FORCE,
    TO_LIMIT,
    TRAIL_POINTS,
    ActionType,
)
from schemas.codec import Rows

_BLOCK_BYTES: Final = 1 << 20
"""Parsed at once by one thread: many records, few enough bytes for their columns to be small, and more blocks than threads."""
_LINE_END, _OPEN, _CLOSE = (ord(one) for one in "\n{}")
_IN_FORCE: Final = pa.struct(
    [(name, pa.int64() if name == "DAY" else pa.string() if name == "GTT" else pa.bool_()) for name in TIMES_IN_FORCE]
)
_FLAGS: Final = (POST_ONLY, SLIDE, HIDDEN, TO_LIMIT)


def _type_of_instruction(name: str) -> pa.DataType:
    if name == LINKED:
        return pa.string()
    return pa.bool_() if name in _FLAGS else pa.int64() if name == TRAIL_POINTS else pa.float64()


_NAMES: Final = {
    "timeInForce": _IN_FORCE,
    "handlingInstructions": pa.struct([(name, _type_of_instruction(name)) for name in INSTRUCTIONS]),
}
_PLAIN: Final = {
    Form.TEXT: pa.string(), Form.STAMP: pa.string(), Form.NUMBER: pa.int64(), Form.DATE: pa.int64(), Form.PRICE: pa.float64(),
    Form.QUANTITY: pa.float64(),
}  # fmt: skip
_SIDE: Final = pa.struct([(one.name, _PLAIN[one.form]) for one in SIDE_FIELDS])


def _type_of(field: Field) -> pa.DataType:
    return _SIDE if field.form == Form.SIDE else _NAMES[field.name] if field.form == Form.NAMES else _PLAIN[field.form]


_FIELDS: Final[dict[str, Field]] = {one.name: one for fields in EVENTS.values() for one in fields}
_SCHEMA: Final = pa.schema([(name, _type_of(field)) for name, field in _FIELDS.items()])
_ALLOWED: Final = {name: np.array([any(one.name == name for one in EVENTS[event]) for event in TYPES]) for name in _FIELDS}
_REQUIRED: Final = {
    name: np.array([any(one.name == name and one.required for one in EVENTS[event]) for event in TYPES]) for name in _FIELDS
}
_DETAILS: Final = ("buyDetails", "sellDetails")
Columns = Mapping[str, Any]


class SoundDay:
    """Takes the lines of a day in the order of its files, then says whether they are sound together."""

    def __init__(self, day: str) -> None:
        """day: YYYYMMDD."""
        self._day = day
        self._stamp = rf"^{day}T([01][0-9]|2[0-3])[0-5][0-9][0-5][0-9]\.[0-9]{{9}}$"
        self._records = 0
        self._heads: list[tuple[Any, Rows]] = []
        self._orders: list[OrderRows] = []
        self._routes: list[Any] = []
        self._trades: list[Trades] = []
        self._prints: list[Prints] = []
        self._broken: list[tuple[int, str]] = []
        """Trades of the day that were undone: the place of the record, and the id under which the trade was reported."""

    def take(self, lines: bytes) -> bool:
        """Whether each of these whole lines is sound in itself; whether they fit together is known in the end."""
        columns = _parsed(lines)
        return columns is not None and self._are_records_sound(columns) and self._keep(columns)

    def finish(self) -> bool:
        """Whether the records that were taken are sound together."""
        if not self._records:
            return True
        symbols = pa.concat_arrays([symbol for symbol, _ in self._heads])
        sequences = np.concatenate([sequence for _, sequence in self._heads])
        codes = symbols.dictionary_encode().indices.to_numpy()
        routes = pa.chunked_array(self._routes, pa.string())
        trades, prints = Trades.joined(self._trades), Prints.joined(self._prints)
        return (
            are_sequences_sound(codes, sequences)
            and pc.count_distinct(routes).as_py() == len(routes)
            and are_prints_sound(trades, prints)
            and are_trades_known(self._broken, trades, prints)
            and are_orders_sound(OrderRows.joined(self._orders), codes)
        )

    # ---- records in themselves

    def _are_records_sound(self, columns: Columns) -> bool:
        if pc.index_in(columns["type"], pa.array(TYPES)).null_count:
            return False
        kinds = _kinds(columns)
        return (
            _are_fields_there(columns, kinds)
            and all(_is_form_sound(columns[name], field) for name, field in _FIELDS.items() if name != "eventTimestamp")
            and self._are_heads_sound(columns)
            and _are_states_sound(columns, kinds)
            and _are_sides_sound(columns)
        )

    def _are_heads_sound(self, columns: Columns) -> bool:
        """Repairs and changes of earlier records are in supplements, which are not decided here."""
        expected = pc.binary_join_element_wise(self._day, columns["symbol"], columns["sequenceNumber"].cast(pa.string()), "_")
        return (
            _all(pc.equal(columns["actionType"], ActionType.NEW.value))
            and _has_none(columns["errorROEID"])
            and _has_none(columns["originalOrderID"])
            and _all(pc.equal(columns["firmROEID"], expected))
            and _all(pc.match_substring_regex(columns["eventTimestamp"], self._stamp))
        )

    # ---- what is kept for the day

    def _keep(self, columns: Columns) -> bool:
        """False where an id is no number, or a quantity is not exact."""
        kinds = _kinds(columns)
        first, day = self._records, int(self._day)
        self._records += len(kinds)
        orders = [_orders_of(columns, kinds, first, day), *(_sides_of(columns, kinds, first, day, name) for name in _DETAILS)]
        trades, prints = _trades_of(columns, kinds, first), _prints_of(columns, kinds, first)
        if trades is None or prints is None or None in orders:
            return False
        self._orders += [one for one in orders if one is not None]
        self._trades.append(trades)
        self._prints.append(prints)
        self._heads.append((columns["symbol"], columns["sequenceNumber"].to_numpy()))
        accepted = pa.array(kinds == ACCEPTED)
        names = ("symbol", "routedOrderID", "session", "routingParty")
        self._routes.append(pc.binary_join_element_wise(*(columns[name].filter(accepted) for name in names), "\n"))
        self._broken += _broken_of(columns, kinds, first, day)
        return True


def _parsed(lines: bytes) -> Columns | None:
    """The records as columns by field; None where they are not one record of known fields a line, none of them null."""
    data = np.frombuffer(lines, np.uint8)
    ends = np.flatnonzero(data == _LINE_END)
    if not lines.isascii() or b":null" in lines or not len(ends) or ends[-1] != len(data) - 1:
        return None
    starts = np.concatenate([[0], ends[:-1] + 1])
    lengths = ends - starts
    if lengths.min() < 2 or lengths.max() > RECORD_BYTES_MAX or (data[starts] != _OPEN).any() or (data[ends - 1] != _CLOSE).any():
        return None
    parse = pyarrow.json.ParseOptions(explicit_schema=_SCHEMA, unexpected_field_behavior="error")
    try:
        table = pyarrow.json.read_json(
            pa.BufferReader(lines), read_options=pyarrow.json.ReadOptions(block_size=_BLOCK_BYTES), parse_options=parse
        )
    except pa.ArrowInvalid:
        return None
    if len(table) != len(ends):
        return None
    return {name: table.column(name).combine_chunks() for name in _FIELDS}


def _all(found: Any) -> bool:
    """Of an array of bool: a null is no yes."""
    return bool(found.null_count == 0 and pc.all(found, min_count=0).as_py())


def _has_none(column: Any) -> bool:
    return bool(column.null_count == len(column))


def _there(column: Any) -> Rows:
    found: Rows = pc.is_valid(column).to_numpy(zero_copy_only=False)
    return found


def _are_fields_there(columns: Columns, kinds: Rows) -> bool:
    for name in _FIELDS:
        there = _there(columns[name])
        if (there & ~_ALLOWED[name][kinds]).any() or (_REQUIRED[name][kinds] & ~there).any():
            return False
    return True


def _is_form_sound(column: Any, field: Field) -> bool:
    """Of the values that are there."""
    values = column.drop_null()
    if not len(values) or field.form == Form.SIDE:  # their fields are looked at in _are_sides_sound
        return True
    if field.choices is not None:
        return not pc.index_in(values, pa.array(sorted(field.choices))).null_count
    if field.form == Form.TEXT:
        lengths = pc.min_max(pc.binary_length(values)).as_py()
        return bool(lengths["min"] and lengths["max"] <= TEXT_CHARACTERS_MAX and _all(pc.ascii_is_printable(values)))
    if field.form == Form.NAMES:
        return field.name != "timeInForce" or _has_one_name(values)
    numbers = values.to_numpy()
    if field.form == Form.DATE:
        return all(is_date(int(one), "") for one in np.unique(numbers).tolist())
    if field.form == Form.NUMBER:
        return bool((numbers >= 0).all())
    is_exact = field.form == Form.QUANTITY or bool((np.rint(numbers * 1e8) / 1e8 == numbers).all())
    return is_exact and bool(((numbers >= 0) & (numbers < PRICE_END)).all())


def _has_one_name(values: Any) -> bool:
    counts = sum(_there(pc.struct_field(values, name)).astype(np.int8) for name in TIMES_IN_FORCE)
    return bool(np.all(counts == 1))


def _is_word(column: Any, word: str) -> Rows:
    found: Rows = pc.coalesce(pc.equal(column, word), pa.scalar(value=False)).to_numpy(zero_copy_only=False)
    return found


def _are_states_sound(columns: Columns, kinds: Rows) -> bool:
    """What is left, prices by type of order, and that an adjustment changes something."""
    quantity, leaves = (columns[name].to_numpy(zero_copy_only=False) for name in ("quantity", "leavesQty"))
    has_price, side, has_quantity = (_there(columns[name]) for name in ("price", "side", "quantity"))
    is_limit, is_market = (_is_word(columns["orderType"], word) for word in (LIMIT, MARKET))
    adjusted = kinds == ADJUSTED
    return not (
        (leaves > quantity).any()  # NaN, which is none, is not more
        or (is_limit & ~has_price).any()
        or (is_market & has_price).any()
        or (adjusted & ~has_price & ~side & ~has_quantity).any()
    )


def _are_sides_sound(columns: Columns) -> bool:
    """Of trades: each side is complete, one buys from the other, and one of them added liquidity."""
    sides = [columns[name].drop_null() for name in _DETAILS]
    if not len(sides[0]):
        return True
    buy, sell = ({one.name: pc.struct_field(side, one.name) for one in SIDE_FIELDS} for side in sides)
    for details in (buy, sell):
        for one in SIDE_FIELDS:
            if (one.required and details[one.name].null_count) or not _is_form_sound(details[one.name], one):
                return False
    return (
        _all(pc.equal(buy["side"], BUY))
        and _all(pc.not_equal(sell["side"], BUY))
        and _all(pc.not_equal(buy["liquidityCode"], sell["liquidityCode"]))
        and _all(pc.not_equal(buy["orderID"], sell["orderID"]))
    )


def _kinds(columns: Columns) -> Rows:
    """Index into TYPES of each record."""
    found: Rows = pc.index_in(columns["type"], pa.array(TYPES)).to_numpy(zero_copy_only=False)
    return found


def _orders_of(columns: Columns, kinds: Rows, first: int, day: int) -> OrderRows | None:
    """Of the records that are about one order."""
    chosen = pa.array((kinds != TRADE) & (kinds != BROKEN))
    own = {name: columns[name].filter(chosen) for name in ("orderID", "originalOrderDate", "side", "leavesQty", "quantity", "cancelQty")}
    places = np.flatnonzero(chosen.to_numpy(zero_copy_only=False))
    return rows_of(own, kinds[places], first + places, day, pc.coalesce(own["cancelQty"], own["quantity"]))


def _sides_of(columns: Columns, kinds: Rows, first: int, day: int, details: str) -> OrderRows | None:
    """Of one side of each trade."""
    places = np.flatnonzero(kinds == TRADE)
    side = columns[details].take(pa.array(places))
    own = {name: pc.struct_field(side, name) for name in ("orderID", "originalOrderDate", "side", "leavesQty")}
    return rows_of(own, kinds[places], first + places, day, columns["quantity"].take(pa.array(places)))


def _trades_of(columns: Columns, kinds: Rows, first: int) -> Trades | None:
    places = np.flatnonzero(kinds == TRADE)
    ids = ids_of(columns["tradeID"].take(pa.array(places)))
    return None if ids is None else Trades(ids, first + places)


def _prints_of(columns: Columns, kinds: Rows, first: int) -> Prints | None:
    places = np.flatnonzero(kinds == PRINT)
    own = {name: columns[name].take(pa.array(places)) for name in ("bulkPrintID", "quantity", "price", "side")}
    ids, units = ids_of(own["bulkPrintID"]), exact_units(own["quantity"].to_numpy(zero_copy_only=False))
    if ids is None or units is None:
        return None
    buys = pc.equal(own["side"], BUY).to_numpy(zero_copy_only=False)
    return Prints(ids, np.where(buys, units, -units), own["price"].to_numpy(zero_copy_only=False), first + places)


def _broken_of(columns: Columns, kinds: Rows, first: int, day: int) -> Iterator[tuple[int, str]]:
    """Of trades of the day that were undone: the place of the record, and the id under which the trade was reported."""
    for at in np.flatnonzero(kinds == BROKEN).tolist():
        if columns["tradeDate"][at].as_py() == day:
            yield first + at, columns["bulkPrintID"][at].as_py() or columns["tradeID"][at].as_py()
