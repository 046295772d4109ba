"""The scenario table of the account shards, each row against the reference and the compiled engine."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from enum import IntEnum
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from matchers.accounts import shard as account_shard
from matchers.accounts.reference import shard as reference_account_shard
from matchers.rules.limits import ShardLimits
from matchers.rules.outputs import COMMAND_DTYPE, REPORT_DTYPE, python_rows, rows_of
from schemas import enums
from schemas.instruments import Instrument, InstrumentTable
from schemas.reject_reasons import Reason

HERE = Path(__file__).parent
LIMITS = ShardLimits(accounts_max=4, orders_max=4, open_orders_per_account_max=3, done_orders_max=2, updates_max=3, replaced_ids_max=2)
WORDS: dict[str, type[IntEnum]] = {
    "side": enums.Side, "ord_type": enums.OrdType, "time_in_force": enums.TimeInForce, "ord_status": enums.OrdStatus, "reason": Reason,
    "phase": enums.Phase, "contingency_type": enums.ContingencyType, "peg_price_type": enums.PegPriceType, "offset_type": enums.OffsetType,
    "exec_inst": enums.ExecInst, "account_word": enums.AccountStatus, "self_match_prevention_instruction": enums.SelfMatchPrevention,
}  # fmt: skip
DEFAULTS = {
    "account": "1", "instrument": "1", "side": "BUY", "ord_type": "LIMIT", "time_in_force": "DAY", "order_qty": "10", "price": "100",
}  # fmt: skip
UPDATES = ("ACCOUNT_UPDATE", "ACCOUNT_STATUS", "ACCOUNT_LIMITS")
ENGINES: dict[str, Any] = {"reference": reference_account_shard.AccountShard, "kernel": account_shard.AccountShard}


@dataclass(frozen=True)
class Scenario:
    """A heading and its rows (command, expected)."""

    name: str
    steps: list[tuple[str, list[str]]]


def scenarios(file: str) -> Iterator[Scenario]:
    """The scenarios of a file, in its order."""
    for section in (HERE / file).read_text().split("\n## ")[1:]:
        name, *lines = section.splitlines()
        cells = [line.strip("| ").split(" | ") for line in lines if line.startswith("|") and not line.startswith(("|---", "| command"))]
        steps = [(command, [] if expected == "-" else expected.split("<br>")) for command, expected in cells]
        assert steps, f"{file}: {name} has no rows"
        yield Scenario(name, steps)


def instruments() -> InstrumentTable:
    """As the head of the file says."""
    one = Decimal(1)
    more: dict[int, dict[str, Any]] = {
        5: {"maker_fee": Decimal("0.001"), "taker_fee": Decimal("0.003"), "max_position": Decimal(20), "min_order_qty": Decimal(2)},
        6: {"restricted": True},
        7: {"collar_percent": 10},
    }
    return InstrumentTable(
        Instrument(n, f"I{n}", "", one / 100, one, Decimal(1000), Decimal(1000), one, 20, **more.get(n, {})) for n in (1, 2, 5, 6, 7)
    )


def number(column: str, text: str) -> int:
    """A column's value: a number or a word of its enumeration."""
    return int(text) if re.fullmatch(r"-?\d+", text) else int(WORDS[column][text])


def values(words: list[str]) -> dict[str, str]:
    """`column=value` words."""
    return dict(word.split("=", 1) for word in words)


def mismatch(kinds: type[IntEnum], expected: str, row: dict[str, Any]) -> str:
    """What of the row is not as expected; empty if all is."""
    kind, *rest = expected.split()
    wanted = {"kind": int(kinds[kind])} | {
        column: number(column, text) if not column.endswith("cl_ord_id") else text.encode() for column, text in values(rest).items()
    }
    return ", ".join(f"{column} is {row[column]!r}, not {value!r}" for column, value in wanted.items() if row[column] != value)


def check(step: str, kinds: type[IntEnum], expected: list[str], rows: list[dict[str, Any]]) -> None:
    """As many rows as expected, each with the columns named."""
    kept = [{column: value for column, value in row.items() if value} for row in rows]
    assert len(rows) == len(expected), f"{step}\nexpected {expected}\ngot {kept}"
    for one, row in zip(expected, rows, strict=True):
        assert not (wrong := mismatch(kinds, one, row)), f"{step}\nexpected {one}\n{wrong}\ngot {kept}"


def with_text(rows: Any, text: Any, orig: Any) -> list[dict[str, Any]]:
    """Rows as dictionaries, with their cl_ord_id and orig_cl_ord_id."""
    origs = [b""] * len(rows) if orig is None else orig.tolist()
    return [
        row | {"cl_ord_id": one, "orig_cl_ord_id": before} for row, one, before in zip(python_rows(rows), text.tolist(), origs, strict=True)
    ]


def text_of(given: dict[str, str], column: str) -> bytes:
    """Taken out of what is given; empty if it is not there."""
    return given.pop(column, "").encode().decode("unicode_escape").encode("latin1")


def apply_to_account(machine: Any, commands: str, now: int) -> Any:
    """Apply the left side of an account row: one frame of the commands that it names."""
    asking, rows, texts, origs = -1, [], [], []
    for command in commands.split("<br>"):
        kind, *words = command.split()
        given = values(words)
        asking = int(given.pop("asking", asking))
        if kind.startswith("REPORT_"):
            given = {"account": "1", "instrument": "1"} | given
            row = {column: number(column, text) for column, text in given.items()}
            return machine.apply_reports(rows_of(REPORT_DTYPE, [{"kind": enums.ReportKind[kind[7:]], "transact_time": now} | row]))
        texts.append(text_of(given, "cl_ord_id"))
        origs.append(text_of(given, "orig_cl_ord_id"))
        row = {column: number(column, value) for column, value in (DEFAULTS | given).items()}
        number_of_update = {"request_id": now + len(rows)} if kind in UPDATES else {}
        rows.append({"kind": int(kind) if kind.isdigit() else enums.CommandKind[kind], "transact_time": now} | number_of_update | row)
    return machine.apply_commands(rows_of(COMMAND_DTYPE, rows), np.array(texts, "S128"), asking, np.array(origs, "S128"))


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("scenario", list(scenarios("accounts.md")), ids=lambda one: one.name)
def test_an_account_scenario_happens_as_written(engine: str, scenario: Scenario) -> None:
    """Events, book commands and, where an edge asks, replies are exactly those of the table; refused commands leave the state hash alone."""
    machine = ENGINES[engine](0, instruments(), 1, LIMITS)
    for at, (command, expected) in enumerate(scenario.steps):
        before = machine.state_hash()
        out = apply_to_account(machine, command, 10 * (at + 1))
        replies = [one[2:] for one in expected if one.startswith("> ")]
        to_books = [one[7:] for one in expected if one.startswith("books: ")]
        left_out = [one[10:] for one in expected if one.startswith("left out: ")]
        events = [one for one in expected if not one.startswith(("> ", "books: ", "left out: "))]
        check(command, enums.AccountEventKind, events, with_text(out.events, out.event_cl_ord_id, out.event_orig_cl_ord_id))
        assert [why for _, why in out.refused] == left_out, command
        assert not left_out or machine.state_hash() == before, f"{command} was left out and changed the state"
        check(command, enums.BookCommandKind, to_books, python_rows(out.book_commands))
        if "asking=" in command:
            masks = [",".join(str(bit) for bit in range(64) if mask >> bit & 1) for mask in out.reply_mask.tolist()]
            assert masks == [one.split()[0][3:] for one in replies], command
            told = with_text(out.replies, out.reply_cl_ord_id, out.reply_orig_cl_ord_id)
            check(command, enums.AccountEventKind, [one.split(" ", 1)[1] for one in replies], told)
        if events and {one.split()[0] for one in events} <= {"REJECTED", "ACCOUNT_UPDATE_REJECTED"} and not command.startswith("REPORT_"):
            assert machine.state_hash() == before, f"{command} was refused and changed the state"


def test_every_reason_has_a_scenario() -> None:
    """A reason that no scenario shows is a rule that nobody can read; those of books are in test_book_scenarios.py."""
    texts = [path.read_text() for path in (HERE / "accounts.md", *sorted((HERE / "books").glob("*.md")))]
    shown = {name for text in texts for name in re.findall(r"\b[A-Z_]+\b", text)}
    assert {reason.name for reason in set(Reason) - {Reason.NONE}} <= shown


def test_every_event_and_command_kind_has_a_scenario() -> None:
    """The same for what the account shard can say and be asked."""
    text = (HERE / "accounts.md").read_text()
    names = {kind.name for words in (enums.AccountEventKind, enums.CommandKind) for kind in words}
    assert not {name for name in names if not re.search(rf"\b{name}\b", text)}
