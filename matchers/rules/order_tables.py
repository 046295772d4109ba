"""What goes with what, as total tables for the reference and the kernel: order types, times in force, instructions, phases, commands.

Every table answers every combination of its enumerations with a Reason; NONE says that it is allowed. The u1 columns that could hold other values are
judged first: order type, then time in force, then exec_inst. Source: docs/rules.md, sections 3 and 5.
"""

from itertools import product
from typing import Final

import numpy as np

from schemas.enums import BookCommandKind, ExecInst, OrdType, Phase, TimeInForce
from schemas.field_rules import IMMEDIATE, TIME_RULES, TYPE_RULES, can_rest
from schemas.reject_reasons import Reason

CALL_PHASES: Final = frozenset({Phase.PRE_OPEN, Phase.OPENING_AUCTION, Phase.CLOSING_AUCTION, Phase.VOLATILITY_AUCTION})
"""Orders rest without matching until the uncross."""

STOP_TYPES: Final = frozenset({OrdType.STOP, OrdType.STOP_LIMIT, OrdType.TRAILING_STOP, OrdType.TRAILING_STOP_LIMIT})
TRAILING_TYPES: Final = frozenset({OrdType.TRAILING_STOP, OrdType.TRAILING_STOP_LIMIT})
CARRIED: Final = frozenset({TimeInForce.GTC, TimeInForce.GTD})

TIMES: Final[dict[tuple[OrdType, TimeInForce], Reason]] = {
    (ord_type, time): Reason.NONE if time in TYPE_RULES[ord_type].times else Reason.INVALID_COMBINATION
    for ord_type, time in product(OrdType, TimeInForce)
}
"""Which time in force goes with which order type."""

POST_ONLY: Final = ExecInst.POST_ONLY | ExecInst.POST_ONLY_SLIDE
EXEC_INST_MAX: Final = int(POST_ONLY | ExecInst.HIDDEN)


def _exec_inst_reason(exec_inst: ExecInst, ord_type: OrdType, time: TimeInForce) -> Reason:
    if exec_inst & POST_ONLY == POST_ONLY:
        return Reason.INVALID_EXEC_INST
    if exec_inst & POST_ONLY and not (TYPE_RULES[ord_type].post_only and TIME_RULES[time].post_only):
        return Reason.INVALID_COMBINATION
    return Reason.INVALID_COMBINATION if exec_inst & ExecInst.HIDDEN and not can_rest(ord_type, time) else Reason.NONE


INSTRUCTIONS: Final[dict[tuple[int, OrdType, TimeInForce], Reason]] = {
    (exec_inst, ord_type, time): _exec_inst_reason(ExecInst(exec_inst), ord_type, time)
    for exec_inst, ord_type, time in product(range(EXEC_INST_MAX + 1), OrdType, TimeInForce)
}
"""Which execution instructions go with which orders; exec_inst bits beyond these are INVALID_EXEC_INST."""


def _phase_reason(phase: Phase, ord_type: OrdType, time: TimeInForce) -> Reason:
    if phase in (Phase.CLOSED, Phase.POST_CLOSE):
        return Reason.MARKET_CLOSED
    if phase in (Phase.HALTED, Phase.CANCEL_ONLY):
        return Reason.NOT_IN_THIS_PHASE
    if time == TimeInForce.OPG:
        return Reason.NONE if phase in (Phase.PRE_OPEN, Phase.OPENING_AUCTION) else Reason.NOT_IN_THIS_PHASE
    if phase == Phase.CONTINUOUS or ord_type in STOP_TYPES:
        return Reason.NONE
    waits = time not in IMMEDIATE and ord_type != OrdType.MARKET_TO_LIMIT
    return Reason.NONE if waits else Reason.NOT_IN_THIS_PHASE


NEW_IN_PHASE: Final[dict[tuple[Phase, OrdType, TimeInForce], Reason]] = {
    key: _phase_reason(*key) for key in product(Phase, OrdType, TimeInForce)
}
"""Which new orders a phase takes. In call phases stops stay dormant and pegs parked; CLS orders wait for the closing auction."""

REPLACE_IN_PHASE: Final[dict[Phase, Reason]] = {
    Phase.CLOSED: Reason.MARKET_CLOSED,
    Phase.CONTINUOUS: Reason.NONE,
    Phase.PRE_OPEN: Reason.NONE,
    Phase.OPENING_AUCTION: Reason.NONE,
    Phase.CLOSING_AUCTION: Reason.NONE,
    Phase.POST_CLOSE: Reason.MARKET_CLOSED,
    Phase.HALTED: Reason.REDUCE_ONLY,
    Phase.CANCEL_ONLY: Reason.REDUCE_ONLY,
    Phase.VOLATILITY_AUCTION: Reason.NONE,
}
"""REDUCE_ONLY: taken if it only reduces. Cancels and mass cancels are taken in every phase."""

_TRADING: Final = frozenset({Phase.PRE_OPEN, Phase.OPENING_AUCTION, Phase.CONTINUOUS, Phase.CLOSING_AUCTION, Phase.VOLATILITY_AUCTION})
_HALTS: Final = frozenset({Phase.HALTED, Phase.CANCEL_ONLY})

_SESSION_CHANGES: Final[dict[Phase, frozenset[Phase]]] = {
    Phase.CLOSED: frozenset({Phase.PRE_OPEN, Phase.OPENING_AUCTION, Phase.CONTINUOUS}),  # the last: a day without an opening auction
    Phase.PRE_OPEN: frozenset({Phase.OPENING_AUCTION, Phase.CONTINUOUS, Phase.CLOSED}),
    Phase.OPENING_AUCTION: frozenset({Phase.CONTINUOUS, Phase.CLOSED}),
    Phase.CONTINUOUS: frozenset({Phase.CLOSING_AUCTION, Phase.VOLATILITY_AUCTION, Phase.POST_CLOSE, Phase.CLOSED}),
    Phase.CLOSING_AUCTION: frozenset({Phase.POST_CLOSE, Phase.CLOSED}),
    Phase.POST_CLOSE: frozenset({Phase.CLOSED}),
    Phase.HALTED: frozenset({Phase.CLOSED}),
    Phase.CANCEL_ONLY: frozenset({Phase.CLOSED}),
    Phase.VOLATILITY_AUCTION: frozenset({Phase.CONTINUOUS, Phase.CLOSING_AUCTION, Phase.CLOSED}),
}


def _change_reason(command: BookCommandKind, phase: Phase, to: Phase) -> Reason:
    if command == BookCommandKind.TRADING_SESSION_CHANGE:
        allowed = to == phase or to in _SESSION_CHANGES[phase]  # the same once more: says it again, and may move its end
    elif command == BookCommandKind.TRADING_HALT:
        allowed = to in _HALTS and phase in _TRADING | _HALTS
    else:
        allowed = to in _TRADING and phase in _HALTS
    return Reason.NONE if allowed else Reason.INVALID_PHASE_CHANGE


PHASE_COMMANDS: Final = (BookCommandKind.TRADING_SESSION_CHANGE, BookCommandKind.TRADING_HALT, BookCommandKind.TRADING_RESUME)

PHASE_CHANGES: Final[dict[tuple[BookCommandKind, Phase, Phase], Reason]] = {
    key: _change_reason(*key) for key in product(PHASE_COMMANDS, Phase, Phase)
}
"""(command, from, to)."""

RESUMES_TO: Final[dict[Phase, Phase]] = {Phase.HALTED: Phase.VOLATILITY_AUCTION, Phase.CANCEL_ONLY: Phase.CONTINUOUS}
"""Where a TRADING_RESUME leads that names no phase."""

ENDS_IN: Final[dict[Phase, Phase]] = {
    Phase.PRE_OPEN: Phase.OPENING_AUCTION,
    Phase.OPENING_AUCTION: Phase.CONTINUOUS,
    Phase.CLOSING_AUCTION: Phase.POST_CLOSE,
    Phase.VOLATILITY_AUCTION: Phase.CONTINUOUS,
}
"""Where a TIMER leads when the end of a call phase has come."""


def order_reason(ord_type: int, time_in_force: int, exec_inst: int) -> Reason:
    """Why such an order is refused whatever the phase (any u1 values), or NONE."""
    if ord_type not in set(OrdType):
        return Reason.INVALID_ORD_TYPE
    if time_in_force not in set(TimeInForce):
        return Reason.INVALID_TIME_IN_FORCE
    if reason := TIMES[OrdType(ord_type), TimeInForce(time_in_force)]:
        return reason
    if exec_inst > EXEC_INST_MAX:
        return Reason.INVALID_EXEC_INST
    return INSTRUCTIONS[exec_inst, OrdType(ord_type), TimeInForce(time_in_force)]


ORD_TYPES_END: Final = max(OrdType) + 1
TIMES_END: Final = max(TimeInForce) + 1


def _order_table() -> np.ndarray[tuple[int, int, int], np.dtype[np.uint16]]:
    """order_reason of every value below the ends, for the kernel: [ord_type, time_in_force, exec_inst]."""
    table = np.empty((ORD_TYPES_END, TIMES_END, EXEC_INST_MAX + 1), np.uint16)
    for key in np.ndindex(table.shape):
        table[key] = order_reason(*key)
    table.setflags(write=False)
    return table


def _phase_table() -> np.ndarray[tuple[int, int, int], np.dtype[np.uint16]]:
    """NEW_IN_PHASE for the kernel: [phase, ord_type, time_in_force]; where there is no such order, 0."""
    table = np.zeros((len(Phase), ORD_TYPES_END, TIMES_END), np.uint16)
    for key, reason in NEW_IN_PHASE.items():
        table[key] = reason
    table.setflags(write=False)
    return table


def _change_table() -> np.ndarray[tuple[int, int, int], np.dtype[np.uint16]]:
    """PHASE_CHANGES for the kernel: [command kind, from, to]."""
    table = np.full((max(BookCommandKind) + 1, len(Phase), len(Phase)), Reason.INVALID_PHASE_CHANGE, np.uint16)
    for key, reason in PHASE_CHANGES.items():
        table[key] = reason
    table.setflags(write=False)
    return table


ORDER_TABLE: Final = _order_table()
PHASE_TABLE: Final = _phase_table()
CHANGE_TABLE: Final = _change_table()
