"""Orders and amendments as clients write them, as what the gateway takes. No I/O.

Names and units are those of the order's columns (docs/rules.md, section 3) with prices and quantities as decimals. What has no exact form here is refused
by its field; what the rules say about a whole order is the shards' to decide, and order.place with `validate` asks those rules without sending anything.
"""

import uuid
from dataclasses import replace
from typing import Any, Final

from edge.gateway.accounts.view import Order
from edge.gateway.orders.new_order import NewOrder
from edge.http.client_data import quoted
from edge.native.wire.fields import Fields
from edge.native.wire.problems import Problem, invalid
from schemas.enums import (
    TIME_IN_FORCE_UNCHANGED,
    ContingencyType,
    ExecInst,
    OffsetType,
    OrdType,
    PegPriceType,
    SelfMatchPrevention,
    Side,
    TimeInForce,
)
from schemas.field_rules import LIST_ROWS_MAX, TYPE_RULES
from schemas.instruments import Instrument, InstrumentTable

SIDES: Final = {one.name.lower(): one for one in Side}
ORD_TYPES: Final = {one.name.lower(): one for one in OrdType}
TIMES_IN_FORCE: Final = {one.name.lower(): one for one in TimeInForce}
EXEC_INSTS: Final = {"post_only": ExecInst.POST_ONLY, "post_only_slide": ExecInst.POST_ONLY_SLIDE, "hidden": ExecInst.HIDDEN}
OFFSET_TYPES: Final = {"price": OffsetType.TICKS, "basis_points": OffsetType.BASIS_POINTS}
PEG_PRICE_TYPES: Final = {one.name.lower(): one for one in PegPriceType}
CONTINGENCY_TYPES: Final = {one.name.lower(): one for one in ContingencyType}
INSTRUCTIONS: Final = {one.name.lower(): one for one in SelfMatchPrevention}
_MAX63: Final = (1 << 63) - 1
_TIME_US_MAX: Final = (1 << 62) // 1_000


def instrument_in(given: Fields, instruments: InstrumentTable) -> Instrument:
    """By the field `symbol`."""
    symbol = given.need("symbol", 32)
    found = instruments.by_symbol.get(symbol)
    if found is None:
        raise invalid(given.path("symbol"), f"{quoted(symbol)} is not known")
    return found


def new_order(given: Fields, instruments: InstrumentTable) -> NewOrder:
    """The order, with the other orders of its list; raises Problem naming the first field that cannot be taken."""
    instrument = instrument_in(given, instruments)
    contingency = given.word("contingency_type", CONTINGENCY_TYPES) or ContingencyType.NONE
    legs = given.objects("legs", LIST_ROWS_MAX - 1)
    order = _order(given, instrument, contingency, given.cl_ord_id() or uuid.uuid4().hex.encode())
    given.done()
    if not legs:
        return order
    name = order.cl_ord_id.decode("ascii")
    return replace(order, legs=tuple(_leg(leg, instrument, contingency, f"{name}/{place}") for place, leg in enumerate(legs, 1)))


def _leg(given: Fields, instrument: Instrument, contingency: ContingencyType, name: str) -> NewOrder:
    """Of the same instrument; its id is made of the first one's where it has none, so that a repeated request is the same list."""
    order = _order(given, instrument, contingency, given.cl_ord_id() or name[-128:].encode())
    given.done()
    return order


def _need(given: Fields, name: str, value: Any) -> Any:
    if value is None:
        raise given.missing(name)
    return value


def _order(given: Fields, instrument: Instrument, contingency: ContingencyType, cl_ord_id: bytes) -> NewOrder:
    ord_type = _need(given, "ord_type", given.word("ord_type", ORD_TYPES))
    offset, offset_type = _offset(given, instrument)
    is_distance = TYPE_RULES[ord_type].price_is_distance
    return NewOrder(
        instrument, cl_ord_id, _need(given, "side", given.word("side", SIDES)), ord_type,
        _need(given, "time_in_force", given.word("time_in_force", TIMES_IN_FORCE)), _need(given, "order_qty", given.qty("order_qty", instrument)),
        price=given.price("price", instrument, is_distance=is_distance) or 0, stop_px=given.price("stop_px", instrument) or 0,
        offset=offset, offset_type=offset_type, peg_price_type=given.word("peg_price_type", PEG_PRICE_TYPES) or 0,
        display_qty=given.qty("display_qty", instrument) or 0, min_qty=given.qty("min_qty", instrument) or 0, exec_inst=_exec_inst(given),
        expire_time=(given.whole("expire_time", 0, _TIME_US_MAX) or 0) * 1_000,
        self_match_prevention_id=given.whole("self_match_prevention_id", 0, _MAX63) or 0,
        self_match_prevention_instruction=given.word("self_match_prevention_instruction", INSTRUCTIONS) or SelfMatchPrevention.DEFAULT,
        locate=given.flag("locate"), contingency_type=contingency,
    )  # fmt: skip


def _offset(given: Fields, instrument: Instrument) -> tuple[int, OffsetType]:
    unit = given.word("offset_type", OFFSET_TYPES) or OffsetType.TICKS
    if unit == OffsetType.TICKS:
        return given.price("offset", instrument, is_distance=True) or 0, unit
    return given.whole("offset", 1, 1 << 31) or 0, unit


def _exec_inst(given: Fields) -> int:
    bits = 0
    for word in given.items("exec_inst", len(EXEC_INSTS)):
        if not isinstance(word, str) or word not in EXEC_INSTS:
            raise invalid(given.path("exec_inst"), f"has {quoted(word)}: must be of {', '.join(EXEC_INSTS)}")
        bits |= EXEC_INSTS[word]
    return bits


def amendment(given: Fields, order: Order, instruments: InstrumentTable) -> dict[str, int | bytes]:
    """The columns of a REPLACE of this order; raises Problem. The fields that name the order were asked for before."""
    instrument = instruments.by_number[order.instrument]
    is_distance = TYPE_RULES[OrdType(order.ord_type)].price_is_distance and not order.is_elected
    in_points = order.offset_type == OffsetType.BASIS_POINTS
    asked: dict[str, int | None] = {
        "order_qty": given.qty("order_qty", instrument), "price": given.price("price", instrument, is_distance=is_distance),
        "stop_px": given.price("stop_px", instrument), "display_qty": given.qty("display_qty", instrument),
        "offset": given.whole("offset", 1, 1 << 31) if in_points else given.price("offset", instrument, is_distance=True),
        "expire_time": _at_ns(given), "exec_inst": _exec_inst(given) or None, "time_in_force": given.word("time_in_force", TIMES_IN_FORCE),
    }  # fmt: skip
    for name in ("price", "offset"):
        if asked[name] == 0:  # in a REPLACE 0 says "as it is"
            raise invalid(given.path(name), "cannot be changed to 0: cancel the order and send a new one")
    if asked["exec_inst"] not in (None, ExecInst.HIDDEN):
        raise invalid(given.path("exec_inst"), "can only become hidden: the others belong to a new order")
    renamed = given.cl_ord_id("new_cl_ord_id")
    given.done()
    changes: dict[str, int | bytes] = {name: int(value) for name, value in asked.items() if value is not None}
    if renamed is not None and renamed != order.cl_ord_id.encode():
        changes["cl_ord_id"] = renamed
    if not changes:
        raise Problem("invalid_field", f"nothing to amend: one of {', '.join(asked)} or new_cl_ord_id is needed", field=given.path(""))
    return {"order_qty": order.order_qty, "time_in_force": TIME_IN_FORCE_UNCHANGED} | changes


def _at_ns(given: Fields) -> int | None:
    at_us = given.whole("expire_time", 1, _TIME_US_MAX)
    return None if at_us is None else at_us * 1_000
