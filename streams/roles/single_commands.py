"""A producer's single Avro command (NewOrderSingle, OrderCancelRequest) as a command frame of one row."""

from typing import Any, Final

import numpy as np

from schemas.codec import FRAMES, BadBytes, Frame, Header
from schemas.enums import CommandKind, ExecInst, OffsetType, OrdType, PegPriceType, SelfMatchPrevention, Side, TimeInForce
from schemas.instruments import InstrumentTable
from schemas.limits import CL_ORD_ID_MAX_BYTES
from schemas.units import NotAMultiple, NotANumber, to_decimal

BAD_FIELD: Final = "BAD_FIELD"
_SCHEMA: Final = FRAMES["order_command_frame"]
_SOURCE: Final = "single"
_QUANTITIES: Final = ("order_qty", "display_qty", "min_qty")
_PRICES: Final = ("price", "stop_px", "offset")


def frame_of_order(order: dict[str, Any], instruments: InstrumentTable) -> Frame:
    """A new_order_single record as a frame; raises BadBytes naming the field that cannot be an order."""
    instrument = instruments.by_symbol.get(order["symbol"])
    if instrument is None:
        raise BadBytes(BAD_FIELD, f"symbol: {order['symbol']!r} is not known")
    row = np.zeros(1, _SCHEMA.dtype)
    for field in (*_QUANTITIES, *_PRICES):
        convert = instrument.qty_to_lots if field in _QUANTITIES else instrument.price_to_ticks
        try:
            row[field] = 0 if order[field] is None else convert(to_decimal(order[field]))
        except (NotANumber, NotAMultiple) as error:
            raise BadBytes(BAD_FIELD, f"{field} {order[field]!r}: {error}") from error
    row["kind"] = CommandKind.NEW_ORDER
    row["side"], row["ord_type"] = Side[order["side"]], OrdType[order["ord_type"]]
    row["time_in_force"], row["instrument"] = TimeInForce[order["time_in_force"]], instrument.number
    _set_attributes(row, order)
    _set_common(row, order)
    return Frame(_SCHEMA.name, Header(_SOURCE), row, _text(order["cl_ord_id"]))


def _set_attributes(row: np.ndarray[Any, np.dtype[np.void]], order: dict[str, Any]) -> None:
    """What is not a price or a quantity."""
    for field in ("offset_basis_points", "expire_time", "self_match_prevention_id"):
        if order[field] < 0:
            raise BadBytes(BAD_FIELD, f"{field}: {order[field]} is negative")
    if order["offset_basis_points"]:
        row["offset"], row["offset_type"] = order["offset_basis_points"], OffsetType.BASIS_POINTS
    row["peg_price_type"] = PegPriceType[order["peg_price_type"]] if order["peg_price_type"] else 0
    row["exec_inst"] = sum({ExecInst[name] for name in order["exec_inst"]})
    row["self_match_prevention_instruction"] = SelfMatchPrevention[order["self_match_prevention_instruction"]]
    for field in ("expire_time", "self_match_prevention_id", "locate"):
        row[field] = order[field]


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
