"""A POST /v2/orders body as an order (or a list of orders), and a PATCH body as what it changes; exact integers. No I/O.

The edge refuses what has no integer form here (not a number, off the tick grid, a fraction of a lot), a field that its type of order does not have, and
a list that is none; rules with limits, money or the state of a book are the account shard's and the book's, whose reasons the client gets.

Lists (order_class). OCO: a limit order and a stop, of one side. OTO: an order and one that closes it; BRACKET: and two that do, take-profit and stop-loss.
The first is the order of the body; the others are for the same quantity. A market order of a list is DAY: `time_in_force` is that of the closing orders.
So is a market order that is sent as `gtc`, as many clients of Alpaca do: it never rests, so there is nothing to carry over to another day.
`notional` of a market order is turned into whole lots at the best price of the other side, or the last one.

An id of the others that the client does not give is made of the first one's, so that a repeated request is the same list.
"""

import uuid
from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from typing import Final

from edge.alpaca.errors import unprocessable
from edge.alpaca.order_words import (
    ORD_TYPE_TEXT,
    ORDER_CLASSES,
    ORDER_TYPES,
    PEG_PRICE_TYPES,
    PEGS,
    SELF_MATCH_PREVENTIONS,
    SIDES,
    TIMES_IN_FORCE,
    TRAILING,
)
from edge.alpaca.request_fields import Fields, decode_object, find_instrument
from edge.gateway.accounts.view import Order
from edge.gateway.orders.new_order import NewOrder
from edge.http.client_data import quoted
from edge.http.errors import HttpError, bad_parameter
from schemas.enums import (
    TIME_IN_FORCE_UNCHANGED,
    ContingencyType,
    ExecInst,
    OffsetType,
    OrdType,
    SelfMatchPrevention,
    Side,
    TimeInForce,
)
from schemas.field_rules import TIME_RULES, TYPE_RULES, WORKING, Use
from schemas.instruments import Instrument, InstrumentTable
from schemas.limits import OFFSET_BASIS_POINTS_MAX

_REFUSED: Final = {
    "legs": "legs are not supported: a list of orders is an order_class with take_profit and stop_loss",
}
_AT_ENTRY_ONLY: Final = (
    "min_qty", "post_only", "post_only_slide", "peg_price_type", "self_match_prevention_id", "self_match_prevention_instruction", "locate",
)  # fmt: skip
"""What no replace changes: it is refused rather than passed over."""
_NEW_IDS: Final = uuid.UUID("0de40000-0000-8000-8000-6c697374696e")
"""Name space of the ids of a list's other orders."""
_SMP_ID_MAX: Final = (1 << 63) - 1
_TRAILS: Final = {"trail_price": OffsetType.TICKS, "trail_percent": OffsetType.BASIS_POINTS}
"""How a client says a trail in each unit."""


Price = Callable[[Instrument, Side], Decimal]
"""What a share of an instrument costs now, for one who buys or sells it."""


def parse_new_order(body: bytes, instruments: InstrumentTable, price_now: Price | None = None) -> NewOrder:
    """The order in a POST /v2/orders body; raises HttpError naming the first field that cannot be taken. price_now: asked for an order by notional alone."""
    given = Fields(decode_object(body))
    for name, message in _REFUSED.items():
        if name in given:
            raise bad_parameter(message)
    if given.flag("extended_hours"):
        raise unprocessable("extended_hours orders are not supported")
    order_class = given.word("order_class", ORDER_CLASSES, ContingencyType.NONE)
    instrument = _symbol(given, instruments)
    side = given.word("side", SIDES)
    ord_type = given.word("type", ORDER_TYPES)
    time_in_force = given.word("time_in_force", TIMES_IN_FORCE)
    qty = given.qty("qty", instrument) if "notional" not in given else _qty_for(given, instrument, side, ord_type, price_now)
    if qty is None:
        raise bad_parameter("qty is required")
    offset, offset_type = _offset(given, instrument, ord_type)
    order = NewOrder(
        instrument, given.client_order_id() or str(uuid.uuid4()).encode(), side, ord_type, time_in_force, qty,
        price=_price(given, instrument, ord_type, order_class), stop_px=_stop_px(given, instrument, ord_type), offset=offset, offset_type=offset_type,
        peg_price_type=_peg(given, ord_type), display_qty=given.qty("display_qty", instrument) or 0, min_qty=given.qty("min_qty", instrument) or 0,
        exec_inst=_exec_inst(given), expire_time=_expire_time(given, time_in_force),
        self_match_prevention_id=given.whole("self_match_prevention_id", _SMP_ID_MAX),
        self_match_prevention_instruction=given.word(
            "self_match_prevention_instruction", SELF_MATCH_PREVENTIONS, SelfMatchPrevention.DEFAULT
        ),
        locate=given.flag("locate"), contingency_type=order_class,
    )  # fmt: skip
    return _listed(given, order)


def _qty_for(given: Fields, instrument: Instrument, side: Side, ord_type: OrdType, price_now: Price | None) -> int:
    """Whole lots for `notional` dollars at the price of now; what is left of them stays with the customer."""
    if "qty" in given:
        raise bad_parameter("qty and notional cannot be sent together")
    if ord_type != OrdType.MARKET or price_now is None:
        raise bad_parameter("notional is for market orders: send qty")
    notional = given.number("notional") or Decimal(0)
    if notional <= 0:
        raise bad_parameter("notional must be > 0")
    cost = price_now(instrument, side) * instrument.lot_size
    lots = int(notional / cost)
    if not lots:
        raise unprocessable(f"notional {notional} is less than {instrument.lot_size} {instrument.symbol} costs, about {cost:f}")
    most = instrument.qty_to_lots(instrument.max_order_qty)
    if lots > most:
        raise bad_parameter(f"invalid notional {notional}: more than {instrument.max_order_qty} {instrument.symbol}")
    return lots


def _symbol(given: Fields, instruments: InstrumentTable) -> Instrument:
    symbol = given.text("symbol")
    if symbol is None:
        raise bad_parameter("symbol is required")
    found = find_instrument(symbol, instruments)
    if found is None:
        raise bad_parameter(f"asset {quoted(symbol)} not found")
    return found


def _misplaced(ord_type: OrdType, name: str) -> HttpError:
    if ord_type == OrdType.MARKET and name in ("limit_price", "stop_price"):
        return bad_parameter("market orders require no stop or limit price")
    return bad_parameter(f"{name} does not go with {ORD_TYPE_TEXT[ord_type]} orders")


def _price(given: Fields, instrument: Instrument, ord_type: OrdType, order_class: ContingencyType) -> int:
    """The limit, or a TRAILING_STOP_LIMIT's distance of the limit from the stop."""
    rule = TYPE_RULES[ord_type]
    price, distance = given.price("limit_price", instrument), given.price("limit_offset", instrument, is_distance=True)
    if distance is not None and not (rule.price and rule.price_is_distance):
        raise _misplaced(ord_type, "limit_offset")
    if price is not None and (rule.price == Use.NO or rule.price_is_distance):
        raise _misplaced(ord_type, "limit_price")
    if distance is not None and distance < 0:
        raise bad_parameter("limit_offset must not be negative")
    may_come_later = order_class == ContingencyType.OCO and ord_type == OrdType.LIMIT
    if price is None and distance is None and rule.price == Use.MUST and not may_come_later:
        raise bad_parameter(f"{_spoken(ord_type)} orders require limit price")
    return price or distance or 0


def _stop_px(given: Fields, instrument: Instrument, ord_type: OrdType) -> int:
    use = TYPE_RULES[ord_type].stop_px
    stop_px = given.price("stop_price", instrument)
    if stop_px is not None and use == Use.NO:
        raise _misplaced(ord_type, "stop_price")
    if stop_px is None and use == Use.MUST:
        raise bad_parameter(f"{_spoken(ord_type)} orders require stop price")
    return stop_px or 0


def _spoken(ord_type: OrdType) -> str:
    return ORD_TYPE_TEXT[ord_type].replace("_", " ")


def _offset(given: Fields, instrument: Instrument, ord_type: OrdType) -> tuple[int, OffsetType]:
    """(offset, its unit): a trail, or what is added to a peg."""
    names = [name for name in _TRAILS if name in given]
    units = TYPE_RULES[ord_type].offsets if ord_type in TRAILING else {}
    for name in names:
        if _TRAILS[name] not in units:
            raise _misplaced(ord_type, name)
    if "peg_offset" in given and ord_type not in PEGS:
        raise _misplaced(ord_type, "peg_offset")
    if ord_type not in TRAILING:
        offset = given.price("peg_offset", instrument, is_distance=True)
        if offset is None and TYPE_RULES[ord_type].offset == Use.MUST:
            raise bad_parameter(f"{_spoken(ord_type)} orders require peg_offset")
        return offset or 0, OffsetType.TICKS
    if not names and TYPE_RULES[ord_type].offset == Use.MAY:
        return 0, OffsetType.TICKS
    if len(names) != 1:
        raise bad_parameter("trailing_stop orders require either trail_price or trail_percent")
    return trail_of(given, names[0], instrument, in_percent=names[0] == "trail_percent")


def trail_of(given: Fields, name: str, instrument: Instrument, *, in_percent: bool) -> tuple[int, OffsetType]:
    """(offset, its unit) of a field that must be there."""
    if not in_percent:
        return given.price(name, instrument) or 0, OffsetType.TICKS
    percent = given.number(name)
    points = (percent or 0) * 100
    if points != int(points) or not 1 <= points <= OFFSET_BASIS_POINTS_MAX:
        raise bad_parameter(f"{name} must be from 0.01 to {OFFSET_BASIS_POINTS_MAX / 100} in steps of 0.01")
    return int(points), OffsetType.BASIS_POINTS


def _peg(given: Fields, ord_type: OrdType) -> int:
    use = TYPE_RULES[ord_type].peg_price_type
    if use == Use.MUST or (use and "peg_price_type" in given):
        return given.word("peg_price_type", PEG_PRICE_TYPES)
    if "peg_price_type" in given:
        raise _misplaced(ord_type, "peg_price_type")
    return 0


def _exec_inst(given: Fields) -> int:
    bits = {"post_only": ExecInst.POST_ONLY, "post_only_slide": ExecInst.POST_ONLY_SLIDE, "hidden": ExecInst.HIDDEN}
    return sum(bit for name, bit in bits.items() if given.flag(name))


def _expire_time(given: Fields, time_in_force: TimeInForce) -> int:
    at = given.time("expire_time")
    use = TIME_RULES[time_in_force].expire_time
    if use == Use.NO if at else use == Use.MUST:
        raise bad_parameter("expire_time is required for gtd orders, and does not go with any other")
    return at


# ---- lists


def _listed(given: Fields, first: NewOrder) -> NewOrder:
    """The order with the others of its list."""
    take_profit, stop_loss = given.inner("take_profit"), given.inner("stop_loss")
    match first.contingency_type:
        case ContingencyType.NONE:
            for name, found in (("take_profit", take_profit), ("stop_loss", stop_loss)):
                if found is not None:
                    raise bad_parameter(f"{name} needs an order_class: oco, oto or bracket")
            return _for_the_day(first, TimeInForce.GTC)
        case ContingencyType.OCO:
            return _oco(first, take_profit, stop_loss)
        case ContingencyType.OTO:
            if (take_profit is None) == (stop_loss is None):
                raise bad_parameter("oto orders require either take_profit or stop_loss")
        case _:
            if take_profit is None or stop_loss is None:
                raise bad_parameter("bracket orders require take_profit and stop_loss")
    closing = _second(first, Side.SELL if first.side == Side.BUY else Side.BUY)
    legs = [_profit_leg(closing, take_profit)] if take_profit is not None else []
    legs += [_loss_leg(closing, stop_loss)] if stop_loss is not None else []
    _check_sides(legs)
    return replace(_for_the_day(first, TimeInForce.GTC, TimeInForce.GTD), legs=tuple(legs))


def _for_the_day(order: NewOrder, *times: TimeInForce) -> NewOrder:
    """The order; DAY if it is a market order with one of these times in force."""
    if order.ord_type == OrdType.MARKET and order.time_in_force in times:
        return replace(order, time_in_force=TimeInForce.DAY, expire_time=0)
    return order


def _oco(first: NewOrder, take_profit: Fields | None, stop_loss: Fields | None) -> NewOrder:
    if first.ord_type != OrdType.LIMIT:
        raise bad_parameter("oco orders must be of type limit")
    if stop_loss is None:
        raise bad_parameter("oco orders require stop_loss")
    price = take_profit.price("limit_price", first.instrument) if take_profit is not None else None
    if price and first.price and price != first.price:
        raise bad_parameter("limit_price and take_profit.limit_price must be the same")
    first = replace(first, price=price or first.price)
    if not first.price:
        raise bad_parameter("oco orders require limit_price or take_profit.limit_price")
    leg = _loss_leg(_second(first, first.side), stop_loss)
    _check_sides([first, leg])
    return replace(first, legs=(leg,))


def _second(first: NewOrder, side: Side) -> NewOrder:
    """What the others of the list have in common; what only the first has (display, minimum, instructions, locate) is left out."""
    if first.time_in_force not in WORKING:
        raise unprocessable("time_in_force must be day, gtc or gtd for orders of a list")
    return NewOrder(
        first.instrument, first.cl_ord_id, side, OrdType.LIMIT, first.time_in_force, first.qty, expire_time=first.expire_time,
        self_match_prevention_id=first.self_match_prevention_id,
        self_match_prevention_instruction=first.self_match_prevention_instruction, contingency_type=first.contingency_type,
    )  # fmt: skip


def _profit_leg(leg: NewOrder, given: Fields) -> NewOrder:
    price = given.price("limit_price", leg.instrument)
    if price is None:
        raise bad_parameter("take_profit.limit_price is required")
    return replace(leg, price=price, cl_ord_id=_leg_id(given, leg, "take_profit"))


def _loss_leg(leg: NewOrder, given: Fields) -> NewOrder:
    stop_px, price = given.price("stop_price", leg.instrument), given.price("limit_price", leg.instrument)
    if stop_px is None:
        raise bad_parameter("stop_loss.stop_price is required")
    ord_type = OrdType.STOP if price is None else OrdType.STOP_LIMIT
    return replace(leg, ord_type=ord_type, stop_px=stop_px, price=price or 0, cl_ord_id=_leg_id(given, leg, "stop_loss"))


def _leg_id(given: Fields, leg: NewOrder, name: str) -> bytes:
    return given.client_order_id() or str(uuid.uuid5(_NEW_IDS, f"{leg.cl_ord_id.decode()}/{name}")).encode()


def _check_sides(orders: list[NewOrder]) -> None:
    """A profit must be on the better side of the loss."""
    if len(orders) < 2:
        return
    profit, loss = orders
    if profit.price <= loss.stop_px if profit.side == Side.SELL else profit.price >= loss.stop_px:
        sign = ">" if profit.side == Side.SELL else "<"
        raise unprocessable(f"take_profit.limit_price must be {sign} stop_loss.stop_price")


# ---- replaces


def parse_replace(body: bytes, order: Order, instruments: InstrumentTable) -> dict[str, int | bytes]:
    """The columns of a REPLACE of this order, and the cl_ord_id that it is to have; raises HttpError naming the first field that cannot be taken."""
    given = Fields(decode_object(body))
    instrument = instruments.by_number[order.instrument]
    if "notional" in given:
        raise bad_parameter("notional cannot be changed: send qty")
    cl_ord_id = given.client_order_id()
    renamed = {"cl_ord_id": cl_ord_id} if cl_ord_id is not None and cl_ord_id != order.cl_ord_id.encode() else {}
    trailing = order.ord_type in TRAILING
    price = given.price("limit_price", instrument)
    if trailing and price is not None:
        raise _misplaced(OrdType(order.ord_type), "limit_price")
    distance = given.price("limit_offset", instrument, is_distance=True)
    if distance is not None and not TYPE_RULES[OrdType(order.ord_type)].price_is_distance:
        raise _misplaced(OrdType(order.ord_type), "limit_offset")
    if distance == 0 and order.price:
        raise _no_zero("limit_offset")
    for name in _AT_ENTRY_ONLY:
        if given.raw(name):
            raise bad_parameter(f"{name} cannot be changed: it belongs to a new order")
    if order.exec_inst & ExecInst.HIDDEN and "hidden" in given and not given.flag("hidden") and "display_qty" not in given:
        raise bad_parameter("a hidden order is shown by display_qty: say how much of it at a time")
    asked = {
        "order_qty": given.qty("qty", instrument), "price": price if distance is None else distance,
        "stop_px": given.price("stop_price", instrument), "display_qty": given.qty("display_qty", instrument),
        "offset": _new_offset(given, order, instrument), "expire_time": given.time("expire_time") or None,
        "exec_inst": ExecInst.HIDDEN if given.flag("hidden") else None,
        "time_in_force": given.word("time_in_force", TIMES_IN_FORCE) if given.text("time_in_force") else None,
    }  # fmt: skip
    changes = {name: int(value) for name, value in asked.items() if value is not None}
    if not changes and not renamed:
        raise bad_parameter(
            "nothing to replace: qty, time_in_force, limit_price, stop_price, trail, client_order_id, display_qty, hidden or expire_time"
        )
    return {"order_qty": order.order_qty, "time_in_force": TIME_IN_FORCE_UNCHANGED} | changes | renamed


def _new_offset(given: Fields, order: Order, instrument: Instrument) -> int | None:
    for name, types in (("trail", TRAILING), ("peg_offset", PEGS)):
        if name in given and order.ord_type not in types:
            raise _misplaced(OrdType(order.ord_type), name)
    if "trail" in given:
        return trail_of(given, "trail", instrument, in_percent=order.offset_type == OffsetType.BASIS_POINTS)[0]
    offset = given.price("peg_offset", instrument, is_distance=True)
    if offset == 0 and order.offset:
        raise _no_zero("peg_offset")
    return offset


def _no_zero(name: str) -> HttpError:
    """In a REPLACE 0 says "as it is"."""
    return bad_parameter(f"{name} cannot be replaced by 0: cancel the order and send a new one")
