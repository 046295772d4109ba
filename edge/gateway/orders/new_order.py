"""What a customer asks for when placing an order, whatever the protocol: the columns of order_command_frame. No I/O."""

from dataclasses import dataclass, fields
from operator import attrgetter
from typing import Any, Final

from schemas.enums import OrdType, Side, TimeInForce
from schemas.instruments import Instrument


@dataclass(frozen=True, slots=True)
class NewOrder:
    """A parsed order in the columns of order_command_frame; `legs` are the other orders of its list."""

    instrument: Instrument
    cl_ord_id: bytes
    side: Side
    ord_type: OrdType
    time_in_force: TimeInForce
    qty: int
    price: int = 0
    stop_px: int = 0
    offset: int = 0
    offset_type: int = 0
    peg_price_type: int = 0
    display_qty: int = 0
    min_qty: int = 0
    exec_inst: int = 0
    expire_time: int = 0
    self_match_prevention_id: int = 0
    self_match_prevention_instruction: int = 0
    locate: int = 0
    contingency_type: int = 0
    legs: tuple["NewOrder", ...] = ()

    def columns(self) -> dict[str, Any]:
        """Its row, as far as the order says."""
        return dict(zip(_NAMES, _values(self), strict=True)) | {"instrument": self.instrument.number, "order_qty": self.qty}


_NAMES: Final = tuple(one.name for one in fields(NewOrder) if one.name not in ("instrument", "qty", "legs"))
_values: Final = attrgetter(*_NAMES)
