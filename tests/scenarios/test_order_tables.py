"""Every row of the tables in order_tables.py, driven through the book engines: what a table says is what a book answers."""

from collections.abc import Iterable, Sequence
from decimal import Decimal
from itertools import product
from typing import Any

import numpy as np
import pytest

from matchers.rules.order_tables import (
    CALL_PHASES,
    CHANGE_TABLE,
    ENDS_IN,
    EXEC_INST_MAX,
    INSTRUCTIONS,
    NEW_IN_PHASE,
    ORDER_TABLE,
    PHASE_CHANGES,
    PHASE_COMMANDS,
    PHASE_TABLE,
    REPLACE_IN_PHASE,
    RESUMES_TO,
    STOP_TYPES,
    TIMES,
    TRAILING_TYPES,
)
from matchers.rules.outputs import BOOK_COMMAND_DTYPE, python_rows, rows_of
from schemas.enums import TIME_IN_FORCE_UNCHANGED, BookCommandKind, ExecKind, OrdType, PegPriceType, Phase, Side, TimeInForce
from schemas.instruments import Instrument, InstrumentTable
from schemas.reject_reasons import Reason

Command = dict[str, int]

WAYS: dict[Phase, list[tuple[BookCommandKind, Phase]]] = {
    Phase.CONTINUOUS: [],
    Phase.CLOSED: [(BookCommandKind.TRADING_SESSION_CHANGE, Phase.CLOSED)],
    Phase.PRE_OPEN: [(BookCommandKind.TRADING_SESSION_CHANGE, Phase.CLOSED), (BookCommandKind.TRADING_SESSION_CHANGE, Phase.PRE_OPEN)],
    Phase.OPENING_AUCTION: [
        (BookCommandKind.TRADING_SESSION_CHANGE, Phase.CLOSED),
        (BookCommandKind.TRADING_SESSION_CHANGE, Phase.OPENING_AUCTION),
    ],
    Phase.CLOSING_AUCTION: [(BookCommandKind.TRADING_SESSION_CHANGE, Phase.CLOSING_AUCTION)],
    Phase.POST_CLOSE: [(BookCommandKind.TRADING_SESSION_CHANGE, Phase.POST_CLOSE)],
    Phase.HALTED: [(BookCommandKind.TRADING_HALT, Phase.HALTED)],
    Phase.CANCEL_ONLY: [(BookCommandKind.TRADING_HALT, Phase.CANCEL_ONLY)],
    Phase.VOLATILITY_AUCTION: [(BookCommandKind.TRADING_SESSION_CHANGE, Phase.VOLATILITY_AUCTION)],
}
"""From continuous trading into each phase."""


def instruments() -> InstrumentTable:
    """One, without collar and bands."""
    one = Decimal(1)
    return InstrumentTable([Instrument(1, "I1", "", one / 100, one, Decimal(1000), Decimal(10**6), one, 20)])


def answers(machine: Any, commands: Sequence[Command]) -> list[list[dict[str, Any]]]:
    """The executions of each command."""
    rows = python_rows(machine.apply(rows_of(BOOK_COMMAND_DTYPE, commands)).executions)
    found: list[list[dict[str, Any]]] = [[] for _ in commands]
    for row in rows:
        found[row["command_index"]].append(row)
    return found


def in_phase(book_engine: Any, phase: Phase, before: Iterable[Command] = ()) -> Any:
    """A machine whose book is in the phase; `before`: commands in continuous trading."""
    machine = book_engine(0, instruments(), 1, levels=False)
    machine.apply(rows_of(BOOK_COMMAND_DTYPE, [{"kind": BookCommandKind.TRADING_SESSION_CHANGE, "phase": Phase.CONTINUOUS}]))
    commands = [*before, *({"kind": kind, "phase": to, "instrument": 1} for kind, to in WAYS[phase])]
    if commands:
        machine.apply(rows_of(BOOK_COMMAND_DTYPE, commands))
    return machine


def new_order(order_id: int, ord_type: int, time_in_force: int, exec_inst: int = 0) -> Command:
    """A buy that is right in everything else and trades with nobody."""
    return {
        "kind": BookCommandKind.NEW_ORDER, "instrument": 1, "account": 1, "order_id": order_id, "side": Side.BUY, "order_qty": 10,
        "ord_type": ord_type, "time_in_force": time_in_force, "exec_inst": exec_inst,
        "price": 100 if ord_type in (OrdType.LIMIT, OrdType.STOP_LIMIT) else 0,
        "stop_px": 150 if ord_type in STOP_TYPES - TRAILING_TYPES else 0, "offset": 5 if ord_type in TRAILING_TYPES else 0,
        "peg_price_type": PegPriceType.PRIMARY if ord_type == OrdType.PEGGED else 0,
        "expire_time": 10**9 if time_in_force == TimeInForce.GTD else 0,
    }  # fmt: skip


def assert_answered(machine: Any, commands: Sequence[Command], expected: Sequence[Reason]) -> None:
    """Each new order is NEW where the reason is NONE, else REJECTED for it and nothing more."""
    for command, reason, rows in zip(commands, expected, answers(machine, commands), strict=True):
        if reason:
            assert [(row["kind"], row["reason"]) for row in rows] == [(ExecKind.REJECTED, reason)], command
        else:
            assert rows[0]["kind"] == ExecKind.NEW, (command, rows)


def test_every_table_is_total() -> None:
    """A new member of an enumeration cannot be forgotten."""
    assert set(TIMES) == set(product(OrdType, TimeInForce))
    assert set(INSTRUCTIONS) == set(product(range(EXEC_INST_MAX + 1), OrdType, TimeInForce))
    assert set(NEW_IN_PHASE) == set(product(Phase, OrdType, TimeInForce))
    assert set(REPLACE_IN_PHASE) == set(Phase) == set(WAYS)
    assert set(PHASE_CHANGES) == set(product(PHASE_COMMANDS, Phase, Phase))
    assert set(ENDS_IN) == CALL_PHASES
    assert all(not PHASE_CHANGES[BookCommandKind.TRADING_SESSION_CHANGE, phase, to] for phase, to in ENDS_IN.items())
    assert all(not PHASE_CHANGES[BookCommandKind.TRADING_RESUME, phase, to] for phase, to in RESUMES_TO.items())


def test_the_arrays_for_the_kernel_say_what_the_tables_say() -> None:
    """They are made of them, and must not drift apart."""
    assert all(PHASE_TABLE[key] == reason for key, reason in NEW_IN_PHASE.items())
    assert all(CHANGE_TABLE[key] == reason for key, reason in PHASE_CHANGES.items())
    for ord_type, time_in_force, exec_inst in np.ndindex(ORDER_TABLE.shape):
        if (ord_type, time_in_force) not in set(product(OrdType, TimeInForce)):
            assert ORDER_TABLE[ord_type, time_in_force, exec_inst] in (Reason.INVALID_ORD_TYPE, Reason.INVALID_TIME_IN_FORCE)
        else:
            times = TIMES[OrdType(ord_type), TimeInForce(time_in_force)]
            found = times or INSTRUCTIONS[exec_inst, OrdType(ord_type), TimeInForce(time_in_force)]
            assert ORDER_TABLE[ord_type, time_in_force, exec_inst] == found


def test_every_order_type_goes_with_the_times_in_force_of_the_table(book_engine: Any) -> None:
    """Numbers that are no order type or time in force are refused as such, the order type first."""
    pairs = list(product((*range(40), 255), (*range(10), 255)))
    commands, expected = [], []
    for place, (ord_type, time_in_force) in enumerate(pairs):
        commands.append(new_order(place + 1, ord_type, time_in_force))
        if ord_type not in set(OrdType):
            expected.append(Reason.INVALID_ORD_TYPE)
        elif time_in_force not in set(TimeInForce):
            expected.append(Reason.INVALID_TIME_IN_FORCE)
        else:
            key = OrdType(ord_type), TimeInForce(time_in_force)
            expected.append(TIMES[key] or NEW_IN_PHASE[Phase.CONTINUOUS, *key])
    assert_answered(in_phase(book_engine, Phase.CONTINUOUS), commands, expected)


def test_every_instruction_goes_with_the_orders_of_the_table(book_engine: Any) -> None:
    """Bits that are no instruction are INVALID_EXEC_INST, once order type and time in force go together."""
    commands: list[Command] = []
    expected: list[Reason] = []
    for exec_inst, ord_type, time_in_force in product((*range(17), 128, 255), OrdType, TimeInForce):
        commands.append(new_order(len(commands) + 1, ord_type, time_in_force, exec_inst))
        known = exec_inst <= EXEC_INST_MAX
        instruction = INSTRUCTIONS[exec_inst, ord_type, time_in_force] if known else Reason.INVALID_EXEC_INST
        expected.append(TIMES[ord_type, time_in_force] or instruction or NEW_IN_PHASE[Phase.CONTINUOUS, ord_type, time_in_force])
    assert_answered(in_phase(book_engine, Phase.CONTINUOUS), commands, expected)


@pytest.mark.parametrize("phase", Phase, ids=lambda one: one.name)
def test_every_phase_takes_the_orders_of_the_table(book_engine: Any, phase: Phase) -> None:
    """All that go together at all."""
    keys = [key for key in product(OrdType, TimeInForce) if not TIMES[key]]
    commands = [new_order(place + 1, *key) for place, key in enumerate(keys)]
    assert_answered(in_phase(book_engine, phase), commands, [NEW_IN_PHASE[phase, *key] for key in keys])


@pytest.mark.parametrize("phase", Phase, ids=lambda one: one.name)
def test_every_phase_takes_the_replaces_of_the_table_and_every_cancel(book_engine: Any, phase: Phase) -> None:
    """One that only reduces, then one for more, then another price, then a cancel and a mass cancel."""
    orders = [new_order(order_id, OrdType.LIMIT, TimeInForce.GTC) for order_id in (1, 2)]
    machine = in_phase(book_engine, phase, orders)
    base = {"instrument": 1, "account": 1, "order_id": 1}
    replace = base | {"kind": BookCommandKind.REPLACE, "time_in_force": TIME_IN_FORCE_UNCHANGED}
    asked = [replace | {"order_qty": 9}, replace | {"order_qty": 11}, replace | {"order_qty": 9, "price": 99}]
    reason = REPLACE_IN_PHASE[phase]
    reduces_only = reason == Reason.REDUCE_ONLY
    expected = [Reason.NONE if reduces_only else reason, reason, reason]
    for wanted, rows in zip(expected, answers(machine, asked), strict=True):
        assert (rows[0]["kind"], rows[0]["reason"]) == (ExecKind.CANCEL_REJECTED if wanted else ExecKind.REPLACED, wanted)
    cancels = [base | {"kind": BookCommandKind.CANCEL}, {"kind": BookCommandKind.MASS_CANCEL, "account": 1}]
    reasons = [(rows[0]["kind"], rows[0]["reason"]) for rows in answers(machine, cancels)]
    assert reasons == [(ExecKind.CANCELED, Reason.REQUESTED_BY_CUSTOMER), (ExecKind.CANCELED, Reason.MASS_CANCEL)]


@pytest.mark.parametrize("kind", PHASE_COMMANDS, ids=lambda one: one.name)
@pytest.mark.parametrize("phase", Phase, ids=lambda one: one.name)
def test_every_phase_is_left_as_the_table_says(book_engine: Any, kind: BookCommandKind, phase: Phase) -> None:
    """To every other phase, and to itself. A resume to CLOSED names none: it leads where RESUMES_TO says."""
    for to in Phase:
        target = RESUMES_TO.get(phase, to) if kind == BookCommandKind.TRADING_RESUME and to == Phase.CLOSED else to
        machine = in_phase(book_engine, phase)
        before = machine.state_hash()
        (rows,) = answers(machine, [{"kind": kind, "phase": to, "instrument": 1}])
        reason = PHASE_CHANGES[kind, phase, target]
        wanted = (ExecKind.REJECTED, reason, 0) if reason else (ExecKind.SECURITY_STATUS, Reason.NONE, target)
        assert [(row["kind"], row["reason"], row["phase"]) for row in rows] == [wanted], to.name
        assert not reason or machine.state_hash() == before


@pytest.mark.parametrize("phase", sorted(CALL_PHASES), ids=lambda one: one.name)
def test_every_call_phase_ends_in_the_phase_of_the_table(book_engine: Any, phase: Phase) -> None:
    """By a TIMER, once its end has come."""
    machine = in_phase(book_engine, phase)
    answers(machine, [{"kind": BookCommandKind.TRADING_SESSION_CHANGE, "phase": phase, "instrument": 1, "expire_time": 50}])
    early, due = answers(
        machine, [{"kind": BookCommandKind.TIMER, "transact_time": 49}, {"kind": BookCommandKind.TIMER, "transact_time": 50}]
    )
    assert [row["kind"] for row in early] == [ExecKind.TIME]
    assert (due[1]["kind"], due[1]["phase"], due[1]["reason"]) == (ExecKind.SECURITY_STATUS, ENDS_IN[phase], Reason.AUCTION_ENDED)
