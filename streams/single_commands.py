"""A producer's single Avro command (NewOrderSingle, OrderCancelRequest) as a command frame of one row."""

from typing import Any, Final

import numpy as np

from schemas.codec import FRAMES, BadBytes, Frame, Header
from schemas.enums import CommandKind, OrdType, Side, TimeInForce
from schemas.instruments import InstrumentTable
from schemas.limits import CL_ORD_ID_MAX_BYTES
from schemas.units import NotAMultiple, NotANumber, to_decimal

BAD_FIELD: Final = "BAD_FIELD"
_SCHEMA: Final = FRAMES["order_command_frame"]
_SOURCE: Final = "single"


def frame_of_order(order: dict[str, Any], instruments: InstrumentTable) -> Frame:
    """A new_order_single record as a frame; raises BadBytes naming the field that cannot be an order."""
    instrument = instruments.by_symbol.get(order["symbol"])
    if instrument is None:
        raise BadBytes(BAD_FIELD, f"symbol: {order['symbol']!r} is not known")
    row = np.zeros(1, _SCHEMA.dtype)
    try:
        qty = instrument.qty_to_lots(to_decimal(order["order_qty"]))
        price = 0 if order["price"] is None else instrument.price_to_ticks(to_decimal(order["price"]))
    except (NotANumber, NotAMultiple) as error:
        raise BadBytes(BAD_FIELD, f"order_qty {order['order_qty']!r}, price {order['price']!r}: {error}") from error
    row["kind"] = CommandKind.NEW_ORDER
    row["side"], row["ord_type"] = Side[order["side"]], OrdType[order["ord_type"]]
    row["time_in_force"], row["instrument"] = TimeInForce[order["time_in_force"]], instrument.number
    row["order_qty"], row["price"] = qty, price
    _set_common(row, order)
    return Frame(_SCHEMA.name, Header(_SOURCE), row, _text(order["cl_ord_id"]))


def frame_of_cancel(cancel: dict[str, Any]) -> Frame:
    """An order_cancel_request record as a frame; raises BadBytes naming the field that cannot be."""
    row = np.zeros(1, _SCHEMA.dtype)
    if cancel["order_id"] < 0:
        raise BadBytes(BAD_FIELD, f"order_id: {cancel['order_id']} is negative")
    row["kind"], row["order_id"] = CommandKind.CANCEL, cancel["order_id"]
    _set_common(row, cancel)
    return Frame(_SCHEMA.name, Header(_SOURCE), row, _text(cancel["orig_cl_ord_id"]))


def _set_common(row: np.ndarray[Any, np.dtype[np.void]], command: dict[str, Any]) -> None:
    if command["account"] < 0:
        raise BadBytes(BAD_FIELD, f"account: {command['account']} is negative")
    row["account"], row["transact_time"] = command["account"], max(command["transact_time"], 0)


def _text(cl_ord_id: str) -> np.ndarray[Any, np.dtype[np.bytes_]]:
    data = cl_ord_id.encode()
    if len(data) > CL_ORD_ID_MAX_BYTES:
        raise BadBytes(BAD_FIELD, f"cl_ord_id: {len(data)} bytes, more than {CL_ORD_ID_MAX_BYTES}")
    return np.array([data or b"\0"], dtype=f"S{max(len(data), 1)}")
