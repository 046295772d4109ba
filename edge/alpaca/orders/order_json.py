"""An order's state as Alpaca's order object. No I/O.

Fields behind `reject_reason` are ours. `legs` are there where they were asked for: the other orders of the list that this one begins.
"""

from collections.abc import Sequence
from decimal import Decimal
from functools import lru_cache
from typing import Any

from edge.alpaca.order_words import (
    CLASS_TEXT,
    HELD,
    ORD_TYPE_TEXT,
    PEG_TEXT,
    SIDE_TEXT,
    STATUS_TEXT,
    TIME_IN_FORCE_TEXT,
    TRAILING,
    TYPE_TEXT,
)
from edge.gateway.accounts.view import Order
from edge.http.timestamps import rfc3339, rfc3339_or_none
from schemas.enums import ExecInst, OffsetType, OrdStatus, OrdType, Side
from schemas.ids import asset_uuid, order_uuid
from schemas.instruments import Instrument, InstrumentTable
from schemas.reject_reasons import Reason


def average_price_text(cum_cost: int, cum_qty: int, instrument: Instrument) -> str | None:
    """Average price of `cum_qty` lots that cost `cum_cost` ticks x lots; None where nothing traded."""
    if cum_qty <= 0:
        return None
    exact = instrument.tick_size * cum_cost / cum_qty
    return f"{exact:.9f}".rstrip("0").rstrip(".")


# an order is written once for its POST and once for each event, mostly close together
_order_uuid = lru_cache(maxsize=8_192)(order_uuid)
_asset_uuid = lru_cache(maxsize=8_192)(asset_uuid)


def status_text(order: Order) -> str:
    """Alpaca's word for the order's status."""
    return HELD if order.is_held and order.ord_status == OrdStatus.NEW else STATUS_TEXT[order.ord_status]


def order_json(order: Order, instruments: InstrumentTable, legs: Sequence[Order] | None = None) -> dict[str, Any]:
    """Alpaca's order object, with those of its legs within."""
    instrument = instruments.by_number[order.instrument]
    ord_type = TYPE_TEXT[order.ord_type]
    return {
        "id": _order_uuid(order.order_id),
        "client_order_id": order.cl_ord_id,
        "created_at": rfc3339(order.submitted_at),
        "updated_at": rfc3339(order.updated_at),
        "submitted_at": rfc3339(order.submitted_at),
        "filled_at": rfc3339_or_none(order.filled_at),
        "expired_at": rfc3339_or_none(order.expired_at),
        "expires_at": rfc3339_or_none(order.expire_time),
        "canceled_at": rfc3339_or_none(order.canceled_at),
        "failed_at": rfc3339_or_none(order.failed_at),
        "replaced_at": rfc3339_or_none(order.replaced_at),
        # a replaced order keeps its id here
        "replaced_by": None,
        "replaces": None,
        "asset_id": _asset_uuid(order.instrument),
        "symbol": instrument.symbol,
        "asset_class": "us_equity",
        "notional": None,
        "qty": instrument.qty_text(order.order_qty),
        "filled_qty": instrument.qty_text(order.cum_qty),
        "filled_avg_price": average_price_text(order.cum_cost, order.cum_qty, instrument),
        "order_class": CLASS_TEXT[order.contingency_type],
        "order_type": ord_type,
        "type": ord_type,
        "side": SIDE_TEXT[order.side],
        "position_intent": "buy_to_open" if order.side == Side.BUY else "sell_to_close",
        "time_in_force": TIME_IN_FORCE_TEXT[order.time_in_force],
        "status": status_text(order),
        "extended_hours": False,
        "legs": [order_json(one, instruments) for one in legs] if legs else None,
        **_prices(order, instrument),
        "hwm": None,
        "subtag": None,
        "source": None,
        "reject_reason": Reason(order.reason).name if order.reason else None,
        "ord_type": ORD_TYPE_TEXT[order.ord_type],
        "display_qty": instrument.qty_text(order.display_qty) if order.display_qty else None,
        "hidden": bool(order.exec_inst & ExecInst.HIDDEN),
        "post_only": bool(order.exec_inst & ExecInst.POST_ONLY),
        "post_only_slide": bool(order.exec_inst & ExecInst.POST_ONLY_SLIDE),
        "list_id": _order_uuid(order.list_id) if order.list_id else None,
    }


def _prices(order: Order, instrument: Instrument) -> dict[str, str | None]:
    """Every price and distance, None where the order has none."""
    is_distance = order.ord_type == OrdType.TRAILING_STOP_LIMIT and not order.is_elected
    trails, pegged = order.ord_type in TRAILING, order.ord_type == OrdType.PEGGED
    in_percent = trails and order.offset_type == OffsetType.BASIS_POINTS
    return {
        "limit_price": instrument.price_text(order.price) if order.price and not is_distance else None,
        "stop_price": instrument.price_text(order.stop_px) if order.stop_px else None,
        "trail_percent": _percent_text(order.offset) if in_percent and order.offset else None,
        "trail_price": instrument.price_text(order.offset) if trails and not in_percent and order.offset else None,
        "limit_offset": instrument.price_text(order.price) if is_distance else None,
        "peg_price_type": PEG_TEXT.get(order.peg_price_type),
        "peg_offset": instrument.price_text(order.offset) if pegged else None,
    }


def _percent_text(basis_points: int) -> str:
    """Percent, without trailing zeros."""
    return f"{Decimal(basis_points) / 100:f}"
