"""Orders, executions and accounts as clients read them. No I/O.

Times are microseconds since 1970, which a JavaScript number holds exactly; ids of 64 bits, prices and quantities are texts. A field that an order does
not have is absent. An execution is a function of its row in the log alone, so the same event is the same message whichever process tells it, and when.
"""

from functools import lru_cache
from typing import Any, Final

from edge.gateway.accounts.view import AccountView, Order, ReplyRow
from edge.native.orders.requests import EXEC_INSTS
from schemas.enums import AccountEventKind as Kind
from schemas.enums import (
    AccountStatus,
    ContingencyType,
    OffsetType,
    OrdStatus,
    OrdType,
    PegPriceType,
    Side,
    TimeInForce,
)
from schemas.field_rules import TYPE_RULES
from schemas.instruments import Instrument, InstrumentTable
from schemas.reject_reasons import SENTENCES, Reason
from schemas.units import from_steps, minor_to_text

SIDE_TEXT: Final = {int(one): one.name.lower() for one in Side} | {0: ""}
_TYPE: Final = {int(one): one.name.lower() for one in OrdType}
_TIME: Final = {int(one): one.name.lower() for one in TimeInForce}
_STATUS: Final = {int(one): one.name.lower() for one in OrdStatus}
_LIST: Final = {int(one): one.name.lower() for one in ContingencyType}
_PEG: Final = {int(one): one.name.lower() for one in PegPriceType}

EXEC_TYPES: Final[dict[int, str]] = {
    int(Kind.ACCEPTED): "new",
    int(Kind.CANCEL_PENDING): "pending_cancel",
    int(Kind.CANCEL_REJECTED): "cancel_rejected",
    int(Kind.TRADE): "trade",
    int(Kind.CANCELED): "canceled",
    int(Kind.EXPIRED): "expired",
    int(Kind.BOOK_REJECTED): "rejected",
    int(Kind.REPLACE_PENDING): "pending_replace",
    int(Kind.REPLACED): "replaced",
    int(Kind.RESTATED): "restated",
    int(Kind.TRIGGERED): "triggered",
    int(Kind.TRADE_BUSTED): "trade_busted",
}
"""By the kind of row: those that are events of an order."""


def is_execution(row: ReplyRow) -> bool:
    """Whether a row is an event of the channel `orders`. What was refused before it became an order, and a refused cancel, are told to who asked."""
    if row.kind not in EXEC_TYPES or not row.order_id:
        return False
    return not (row.kind == Kind.CANCEL_REJECTED and row.request_id)


def _price_text(ticks: int, one: Instrument) -> str:
    return _text(ticks, one.tick_size)


def _qty_text(lots: int, one: Instrument) -> str:
    return _text(lots, one.lot_size)


_text: Final = lru_cache(maxsize=1 << 14)(from_steps)
"""Prices and quantities repeat: an order is told three times, and finding a text costs a fifth of making it."""


def _us(time_ns: int) -> int:
    return time_ns // 1_000


def _average(cum_cost: int, cum_qty: int, one: Instrument) -> str:
    return f"{one.tick_size * cum_cost / cum_qty:.9f}".rstrip("0").rstrip(".")


def _state(of: Order | ReplyRow, one: Instrument) -> dict[str, Any]:
    """What an order and a row about it both say."""
    state: dict[str, Any] = {
        "order_id": str(of.order_id), "symbol": one.symbol, "side": SIDE_TEXT[of.side], "ord_type": _TYPE.get(of.ord_type, ""),
        "time_in_force": _TIME.get(of.time_in_force, ""), "ord_status": _STATUS.get(of.ord_status, ""),
        "order_qty": _qty_text(of.order_qty, one), "leaves_qty": _qty_text(of.leaves_qty, one), "cum_qty": _qty_text(of.cum_qty, one),
    }  # fmt: skip
    if of.price:
        state["price"] = _price_text(of.price, one)
    if of.cum_qty > 0:
        state["avg_px"] = _average(of.cum_cost, of.cum_qty, one)
    if of.stop_px:
        state["stop_px"] = _price_text(of.stop_px, one)
    if of.display_qty:
        state["display_qty"] = _qty_text(of.display_qty, one)
    if of.offset or (of.ord_type in _TYPE and TYPE_RULES[OrdType(of.ord_type)].offset):
        in_points = of.offset_type == OffsetType.BASIS_POINTS
        state |= (
            {"offset": of.offset, "offset_type": "basis_points"}
            if in_points
            else {"offset": _price_text(of.offset, one), "offset_type": "price"}
        )
    if of.peg_price_type:
        state["peg_price_type"] = _PEG[of.peg_price_type]
    if of.exec_inst:
        state["exec_inst"] = [word for word, bit in EXEC_INSTS.items() if of.exec_inst & bit]
    if of.expire_time:
        state["expire_time"] = _us(of.expire_time)
    if of.contingency_type:
        state |= {"contingency_type": _LIST[of.contingency_type], "list_id": str(of.list_id)}
    if of.reason:
        state |= {"reason": Reason(of.reason).name, "reason_text": SENTENCES[Reason(of.reason)]}
    return state


def order_object(order: Order, instruments: InstrumentTable) -> dict[str, Any]:
    """An order as it is now."""
    found = {"cl_ord_id": order.cl_ord_id} | _state(order, instruments.by_number[order.instrument])
    found |= {"submitted_at": _us(order.submitted_at), "updated_at": _us(order.updated_at)}
    return found | {"is_held": True} if order.is_held else found


def execution(row: ReplyRow, cl_ord_id: str, instruments: InstrumentTable) -> dict[str, Any]:
    """One event of one order; `seq` is the account's shard's, and rises."""
    one = instruments.by_number[row.instrument]
    told = {"exec_type": EXEC_TYPES[row.kind], "ts": _us(row.transact_time), "cl_ord_id": cl_ord_id}
    if row.kind == Kind.TRADE_BUSTED:  # the row says nothing of the order's state, which stays
        told |= {"order_id": str(row.order_id), "symbol": one.symbol, "side": SIDE_TEXT[row.side]}
        told |= {"reason": Reason(row.reason).name, "reason_text": SENTENCES[Reason(row.reason)]}
    else:
        told |= _state(row, one)
    if row.kind in (Kind.TRADE, Kind.TRADE_BUSTED):
        told |= {
            "last_px": _price_text(row.last_px, one), "last_qty": _qty_text(row.last_qty, one), "trd_match_id": str(row.trd_match_id),
            "fee": minor_to_text(row.fee), "liquidity": "taker" if row.aggressor else "maker",
        }  # fmt: skip
    return told


def position_object(number: int, qty: int, held: int, cost: int, instruments: InstrumentTable) -> dict[str, Any]:
    """A position; a closed one has the quantity 0."""
    one = instruments.by_number[number]
    return {"symbol": one.symbol, "qty": _qty_text(qty, one), "held": _qty_text(held, one), "cost": minor_to_text(cost)}


def account_object(view: AccountView, instruments: InstrumentTable) -> dict[str, Any]:
    """All of an account."""
    positions = [position_object(number, one.qty, one.held, one.cost, instruments) for number, one in sorted(view.positions.items())]
    return {
        "account": view.account, "status": AccountStatus(view.status).name.lower(), "cash": minor_to_text(view.cash),
        "cash_held": minor_to_text(view.cash_held), "positions": positions,
    }  # fmt: skip


def account_change(row: ReplyRow, instruments: InstrumentTable) -> dict[str, Any]:
    """What a row says of the account after it: its cash, and the one position that the row names."""
    positions = [position_object(row.instrument, row.position, row.position_held, row.position_cost, instruments)] if row.instrument else []
    return {
        "ts": _us(row.transact_time),
        "cash": minor_to_text(row.cash),
        "cash_held": minor_to_text(row.cash_held),
        "positions": positions,
    }
