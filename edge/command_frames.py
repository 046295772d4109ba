"""The edge's commands and how a batch of them becomes one order_command_frame. No I/O."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from schemas.codec import FRAMES, Header, encode_frame
from schemas.enums import CommandKind

_DTYPE: Final = FRAMES["order_command_frame"].dtype


@dataclass(slots=True)
class Command:
    """One row of an order_command_frame; units as there. `abandoned`: who asked has been told 503, so it is not sent any more."""

    kind: CommandKind
    account: int
    request_id: int
    transact_time: int
    side: int = 0
    ord_type: int = 0
    time_in_force: int = 0
    instrument: int = 0
    order_id: int = 0
    order_qty: int = 0
    price: int = 0
    cl_ord_id: bytes = b""
    abandoned: bool = False

    def row(self) -> tuple[int, ...]:
        """The values in the order of the frame's columns."""
        return (
            self.kind, self.side, self.ord_type, self.time_in_force, self.instrument, self.account, self.order_id, self.order_qty, self.price,
            0, self.request_id, self.transact_time, *_NOT_ASKED,
        )  # fmt: skip


_GIVEN: Final = (
    "kind", "side", "ord_type", "time_in_force", "instrument", "account", "order_id", "order_qty", "price", "cash", "request_id", "transact_time",
)  # fmt: skip
_NOT_ASKED: Final = (0,) * (len(_DTYPE.names or ()) - len(_GIVEN))
"""The attributes of orders that this edge does not offer."""
assert (_DTYPE.names or ())[: len(_GIVEN)] == _GIVEN, "Command.row must give the frame's columns in their order"


def encode_commands(commands: Sequence[Command], source: str, number: int, reply_partition: int, created_at: int) -> bytes:
    """The commands as one frame: `number` is the sender's dense count of frames, `created_at` its clock in ns."""
    rows = np.array([command.row() for command in commands], _DTYPE)
    text = np.array([command.cl_ord_id for command in commands], "S")
    return encode_frame("order_command_frame", Header(source, number, 0, 0, created_at, reply_partition), rows, text)
