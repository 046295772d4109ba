"""A producer's orders as rows of order_command_frame. No I/O except for the clock that stamps a row.

Values without an integer form are checked here (not a number, off the tick grid, an unknown word), and prices that an order's type lacks or does not
have. The account shard and the book judge everything else, with a reason in `account.events`.
"""

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from decimal import Decimal
from enum import IntEnum
from typing import Any, Final, NotRequired, Required, TypedDict, TypeVar

from schemas.codec import FRAMES, Rows
from schemas.enums import (
    TIME_IN_FORCE_UNCHANGED,
    CommandKind,
    ContingencyType,
    ExecInst,
    OffsetType,
    OrdType,
    PegPriceType,
    SelfMatchPrevention,
    Side,
    TimeInForce,
)
from schemas.field_rules import LIST_ROWS, TYPE_RULES, Use
from schemas.instruments import Instrument, InstrumentTable
from schemas.limits import CL_ORD_ID_MAX_BYTES
from schemas.units import to_decimal

Word = TypeVar("Word", bound=IntEnum)
Row = tuple[Any, ...]
Number = str | int | Decimal

ROW_DTYPE: Final = FRAMES["order_command_frame"].dtype
_INT64: Final = (1 << 63) - 1
_OFFSETS: Final = {"offset": OffsetType.TICKS, "offset_basis_points": OffsetType.BASIS_POINTS}
"""How a customer says an offset in each unit."""


class BadOrder(ValueError):
    """A field of an order that cannot be expressed in a frame; nothing was sent. `field` is the argument's name."""

    def __init__(self, field: str, why: str) -> None:
        super().__init__(f"{field}: {why}")
        self.field = field


class OrderFields(TypedDict, total=False):
    """Keyword arguments of an order. Quantities in shares and prices in currency, as text, int or Decimal; codes as text or enumerations."""

    side: Required[str | Side]
    order_qty: Required[Number]
    price: Number | None
    """The limit; TRAILING_STOP_LIMIT: distance of the limit from the stop."""
    ord_type: str | OrdType
    """Default: LIMIT."""
    time_in_force: str | TimeInForce
    """Default: DAY."""
    stop_px: Number | None
    """Trailing stops: where they begin. Default: from the last price."""
    display_qty: Number | None
    min_qty: Number | None
    offset: Number | None
    """PEGGED: added to the price that it follows, of either sign. Trailing stops: the distance, in currency."""
    offset_basis_points: int
    """Trailing stops: the distance as a share of the price, instead of `offset`."""
    peg_price_type: str | PegPriceType | None
    exec_inst: Iterable[str | ExecInst]
    """POST_ONLY, POST_ONLY_SLIDE, HIDDEN."""
    expire_time: int
    """ns since 1970 UTC; GTD orders."""
    self_match_prevention_id: int
    self_match_prevention_instruction: str | SelfMatchPrevention
    locate: bool
    """Shares for a short sale have been located."""


class ListedOrder(OrderFields):
    """An order of a list: as OrderFields, with its own cl_ord_id."""

    cl_ord_id: str


class ReplaceFields(TypedDict, total=False):
    """Keyword arguments of a replace, as in OrderFields; what is left out stays as it is."""

    order_qty: Required[Number]
    price: NotRequired[Number | None]
    stop_px: NotRequired[Number | None]
    display_qty: NotRequired[Number | None]
    """Also shows a hidden order."""
    offset: NotRequired[Number | None]
    """Not 0, which means "unchanged" in a replace."""
    offset_basis_points: NotRequired[int]
    time_in_force: NotRequired[str | TimeInForce | None]
    expire_time: NotRequired[int]
    hidden: NotRequired[bool]
    """True hides the order; False has no effect."""
    new_cl_ord_id: NotRequired[str]
    """The cl_ord_id of the order once it is replaced. Default: it keeps its own."""


def order_row(
    instruments: InstrumentTable,
    account: int,
    symbol: str,
    side: str | Side,
    order_qty: Number,
    price: Number | None = None,
    ord_type: str | OrdType = OrdType.LIMIT,
    time_in_force: str | TimeInForce = TimeInForce.DAY,
    **more: Any,
) -> Row:
    """A NEW_ORDER as a tuple in ROW_DTYPE's order, stamped with the current time. Raises BadOrder naming the field. `more`: see OrderFields."""
    return _row(**_order_columns(instruments, account, symbol, side, order_qty, price, ord_type, time_in_force, **more))


def _order_columns(
    instruments: InstrumentTable,
    account: int,
    symbol: str,
    side: str | Side,
    order_qty: Number,
    price: Number | None = None,
    ord_type: str | OrdType = OrdType.LIMIT,
    time_in_force: str | TimeInForce = TimeInForce.DAY,
    **more: Any,
) -> dict[str, int]:
    instrument = _instrument(instruments, symbol)
    kind = _word("ord_type", ord_type, OrdType)
    if unknown := more.keys() - OrderFields.__annotations__.keys():
        raise BadOrder(min(unknown), "an order has no such field")
    _check_prices(kind, more | {"price": price})
    peg = more.get("peg_price_type")
    basis_points = _whole("offset_basis_points", more.get("offset_basis_points", 0))
    return {
        "kind": CommandKind.NEW_ORDER,
        "side": _word("side", side, Side),
        "ord_type": kind,
        "time_in_force": _word("time_in_force", time_in_force, TimeInForce),
        "instrument": instrument.number,
        "account": _checked_account(account),
        "order_qty": _steps("order_qty", order_qty, instrument.qty_to_lots),
        "price": _steps("price", price, instrument.price_to_ticks, least=0 if TYPE_RULES[kind].price_is_distance else 1),
        "stop_px": _steps("stop_px", more.get("stop_px"), instrument.price_to_ticks),
        "display_qty": _steps("display_qty", more.get("display_qty"), instrument.qty_to_lots),
        "min_qty": _steps("min_qty", more.get("min_qty"), instrument.qty_to_lots),
        "offset": basis_points or _distance(kind, more.get("offset"), instrument),
        "offset_type": OffsetType.BASIS_POINTS if basis_points else OffsetType.TICKS,
        "peg_price_type": _word("peg_price_type", peg, PegPriceType) if peg is not None else 0,
        "exec_inst": _exec_inst(more.get("exec_inst", ())),
        "expire_time": _whole("expire_time", more.get("expire_time", 0)),
        "self_match_prevention_id": _whole("self_match_prevention_id", more.get("self_match_prevention_id", 0)),
        "self_match_prevention_instruction": _word(
            "self_match_prevention_instruction",
            more.get("self_match_prevention_instruction", SelfMatchPrevention.DEFAULT),
            SelfMatchPrevention,
        ),
        "locate": bool(more.get("locate", False)),
        "transact_time": time.time_ns(),
    }


def list_rows(
    instruments: InstrumentTable, account: int, symbol: str, contingency_type: str | ContingencyType, orders: Sequence[ListedOrder]
) -> list[Row]:
    """The rows of a list, tied by a list_id; raises BadOrder naming the field."""
    kind = _word("contingency_type", contingency_type, ContingencyType)
    if kind not in LIST_ROWS:
        raise BadOrder("contingency_type", "must be OCO, OTO or BRACKET")
    if len(orders) != LIST_ROWS[kind]:
        raise BadOrder("orders", f"{kind.name} has {LIST_ROWS[kind]} orders, not {len(orders)}")
    rows: list[Row] = []
    list_id = time.time_ns()  # it ties rows of one frame; those of two lists there differ by the time that making a row takes
    for order in orders:
        said = {name: value for name, value in order.items() if name != "cl_ord_id"}
        if missing := {"side", "order_qty"} - said.keys():
            raise BadOrder(min(missing), "every order of the list needs one")
        rows.append(_row(**_order_columns(instruments, account, symbol, **said), contingency_type=kind, list_id=list_id))  # type: ignore[arg-type]  # names are those of ListedOrder
    return rows


def replace_row(instruments: InstrumentTable, account: int, symbol: str, order_id: int, **changes: Any) -> Row:
    """A REPLACE; `changes`: see ReplaceFields. Raises BadOrder naming the field."""
    instrument = _instrument(instruments, symbol)
    changes.pop("new_cl_ord_id", None)  # text, which goes beside the row
    if unknown := changes.keys() - ReplaceFields.__annotations__.keys():
        raise BadOrder(min(unknown), "a replace has no such field")
    if changes.get("order_qty") is None:
        raise BadOrder("order_qty", "say the new total, also where it stays")
    time_in_force = changes.get("time_in_force")
    if changes.get("offset") is not None and changes.get("offset_basis_points"):
        raise BadOrder("offset", "give either offset or offset_basis_points")
    distance = _distance(OrdType.PEGGED, changes.get("offset"), instrument)
    if changes.get("offset") is not None and not distance:
        raise BadOrder("offset", "0 says nothing in a replace: cancel the order and send a new one")
    return _row(
        kind=CommandKind.REPLACE,
        account=_checked_account(account),
        order_id=_whole("order_id", order_id),
        order_qty=_steps("order_qty", changes["order_qty"], instrument.qty_to_lots, least=0),
        price=_steps("price", changes.get("price"), instrument.price_to_ticks),
        stop_px=_steps("stop_px", changes.get("stop_px"), instrument.price_to_ticks),
        display_qty=_steps("display_qty", changes.get("display_qty"), instrument.qty_to_lots),
        offset=_whole("offset_basis_points", changes.get("offset_basis_points", 0)) or distance,
        time_in_force=TIME_IN_FORCE_UNCHANGED if time_in_force is None else _word("time_in_force", time_in_force, TimeInForce),
        expire_time=_whole("expire_time", changes.get("expire_time", 0)),
        exec_inst=ExecInst.HIDDEN if changes.get("hidden") else 0,
        transact_time=time.time_ns(),
    )


def cancel_row(account: int, order_id: int) -> Row:
    """A CANCEL by order_id, or (0) by the cl_ord_id beside it."""
    return _row(
        kind=CommandKind.CANCEL, account=_checked_account(account), order_id=_whole("order_id", order_id), transact_time=time.time_ns()
    )


def replace_ids(cl_ord_id: str, order_id: int, new_cl_ord_id: str) -> tuple[bytes, bytes]:
    """(cl_ord_id, orig_cl_ord_id) of a REPLACE that names its order by either id, and may give it a new one. Raises BadOrder."""
    named = named_order(cl_ord_id, order_id)
    if not new_cl_ord_id:
        return named, b""
    return checked_cl_ord_id(new_cl_ord_id, "new_cl_ord_id"), named


def named_order(cl_ord_id: str, order_id: int) -> bytes:
    """The cl_ord_id's bytes, empty if order_id names the order. Raises BadOrder unless exactly one of them does."""
    if bool(cl_ord_id) == bool(order_id):
        raise BadOrder("cl_ord_id", "name the order either by cl_ord_id or by order_id")
    return checked_cl_ord_id(cl_ord_id) if cl_ord_id else b""


def checked_cl_ord_id(text: str, field: str = "cl_ord_id") -> bytes:
    """Its bytes; raises BadOrder."""
    if not (1 <= len(text) <= CL_ORD_ID_MAX_BYTES and text.isascii() and text.isprintable()):
        raise BadOrder(field, f"must be 1 to {CL_ORD_ID_MAX_BYTES} printable ASCII characters")
    return text.encode()


def frame_bounds(list_ids: Rows, most: int) -> Iterator[tuple[int, int]]:
    """(start, end) of frames of at most `most` rows each. No frame ends within a list."""
    start, count = 0, len(list_ids)
    while start < count:
        end = min(start + most, count)
        cut = end
        while end < count and start < cut and list_ids[cut] and list_ids[cut] == list_ids[cut - 1]:
            cut -= 1
        if cut > start:  # else one "list" fills the frame: none is so long, the shard refuses it wherever it is cut
            end = cut
        yield start, end
        start = end


# ---- values


def _row(**fields: int) -> Row:
    names = ROW_DTYPE.names or ()
    assert fields.keys() <= set(names)
    return tuple(fields.get(name, 0) for name in names)


def _instrument(instruments: InstrumentTable, symbol: str) -> Instrument:
    instrument = instruments.by_symbol.get(symbol)
    if instrument is None:
        raise BadOrder("symbol", f"{symbol!r} is not traded here")
    return instrument


def _check_prices(kind: OrdType, given: dict[str, Any]) -> None:
    """Check that prices and distances fit the order's type."""
    rule = TYPE_RULES[kind]
    units = [name for name, unit in _OFFSETS.items() if unit in rule.offsets]
    uses = {"price": rule.price, "stop_px": rule.stop_px, "peg_price_type": rule.peg_price_type}
    uses |= {name: Use.NO if name not in units else rule.offset if len(units) == 1 else Use.MAY for name in _OFFSETS}
    said = {name for name in uses if given.get(name) is not None and not (name == "offset_basis_points" and given[name] == 0)}
    for name, use in uses.items():
        if name in said and use == Use.NO:
            raise BadOrder(name, f"a {kind.name} order has none")
        if name not in said and use == Use.MUST:
            raise BadOrder(name, f"a {kind.name} order needs one")
    if len(units) > 1 and not (rule.offset == Use.MUST) <= len(said & set(units)) <= 1:
        raise BadOrder(units[0], f"a {kind.name} order needs either {' or '.join(units)}")


def _word(field: str, value: str | IntEnum, words: type[Word]) -> Word:
    if not isinstance(value, str):
        if value not in set(words):
            raise BadOrder(field, f"{value!r} is not one of {', '.join(words.__members__)}")
        return words(value)
    found = words.__members__.get(value.upper())
    if found is None:
        raise BadOrder(field, f"{value!r} is not one of {', '.join(words.__members__)}")
    return found


def _exec_inst(values: Iterable[str | ExecInst]) -> int:
    if isinstance(values, str):
        raise BadOrder("exec_inst", f"{values!r} is a text; give a list of instructions")
    bits = ExecInst(0)
    for value in values if not isinstance(values, ExecInst) else (values,):
        found = ExecInst.__members__.get(value.upper()) if isinstance(value, str) else value
        if found is None:
            raise BadOrder("exec_inst", f"{value!r} is not one of {', '.join(ExecInst.__members__)}")
        bits |= found
    return int(bits)


def _steps(field: str, value: Number | None, convert: Callable[[Decimal], int], least: int = 1) -> int:
    """Lots or ticks of an exact decimal, 0 for None. Floats are refused, because 0.1 is not exactly a tenth."""
    if value is None:
        return 0
    if isinstance(value, float):
        raise BadOrder(field, f"{value!r} is a float; give a string or a Decimal")
    try:
        steps = convert(to_decimal(value))
    except ValueError as error:
        raise BadOrder(field, str(error)) from error
    if steps < least:
        raise BadOrder(field, f"{value} is {'negative' if least == 0 else 'not positive'}")
    return steps


def _distance(kind: OrdType, value: Number | None, instrument: Instrument) -> int:
    """Ticks. Only the offset of a peg may be negative."""
    return _steps(
        "offset", value, instrument.price_to_ticks, least=-_INT64 if any(least < 0 for least, _ in TYPE_RULES[kind].offsets.values()) else 1
    )


def _whole(field: str, value: int) -> int:
    if not isinstance(value, int) or not 0 <= value <= _INT64:
        raise BadOrder(field, f"{value!r} is not a whole number from 0 to 2^63 - 1")
    return value


def _checked_account(account: int) -> int:
    if not 0 <= account < 1 << 63:
        raise BadOrder("account", f"{account!r} is not an account number")
    return account
