"""The edge's commands and how a batch of them becomes one order_command_frame. No I/O."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from operator import attrgetter
from typing import Final

import numpy as np

from schemas.codec import FRAMES, Header, encode_frame
from schemas.enums import CommandKind

_DTYPE: Final = FRAMES["order_command_frame"].dtype
_COLUMNS: Final = _DTYPE.names or ()


@dataclass(slots=True)
class Command:
    """One row of an order_command_frame; units as there. `abandoned`: its caller has been answered, so it is not sent any more.

    `legs` are the other orders of a list that this one begins: they go into the same frame, right behind it, or are not sent either.
    """

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
    cash: int = 0
    exec_inst: int = 0
    self_match_prevention_instruction: int = 0
    contingency_type: int = 0
    peg_price_type: int = 0
    offset_type: int = 0
    locate: int = 0
    account_word: int = 0
    self_match_prevention_id: int = 0
    stop_px: int = 0
    display_qty: int = 0
    min_qty: int = 0
    offset: int = 0
    expire_time: int = 0
    list_id: int = 0
    legs: "tuple[Command, ...]" = ()

    def rows(self) -> "Iterator[Command]":
        """The command and its legs."""
        yield self
        yield from self.legs

    def row(self) -> tuple[int, ...]:
        """The values in the order of the frame's columns."""
        values: tuple[int, ...] = _row_of(self)
        return values


_row_of: Final = attrgetter(*_COLUMNS)
assert set(_COLUMNS) <= set(Command.__slots__), "a Command has every column of the frame"


def encode_commands(commands: Sequence[Command], source: str, number: int, reply_partition: int, created_at: int) -> bytes:
    """The commands as one frame: `number` is the sender's dense count of frames, `created_at` its clock in ns."""
    flat = [one for command in commands for one in command.rows()]
    rows = np.array([command.row() for command in flat], _DTYPE)
    text = np.array([command.cl_ord_id for command in flat], "S")
    return encode_frame("order_command_frame", Header(source, number, 0, 0, created_at, reply_partition), rows, text)
