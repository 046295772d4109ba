"""The scenario tables in books/, each row against every book engine; README.md says how they are read."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from enum import IntEnum, IntFlag
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

from matchers.rules.limits import DEFAULT_LIMITS, ShardLimits
from matchers.rules.outputs import BOOK_COMMAND_DTYPE, python_rows, rows_of
from schemas import enums
from schemas.instruments import Instrument, InstrumentTable
from schemas.reject_reasons import Reason

BOOKS: Final = Path(__file__).parent / "books"
STEP_NS: Final = 10
UNITS: Final = {"": 1, "ms": 10**6, "s": 10**9, "min": 60 * 10**9, "h": 3600 * 10**9}

Words = dict[str, type[IntEnum] | type[IntFlag]]
COMMAND_WORDS: Final[Words] = {
    "side": enums.Side, "ord_type": enums.OrdType, "time_in_force": enums.TimeInForce, "exec_inst": enums.ExecInst, "phase": enums.Phase,
    "contingency_type": enums.ContingencyType, "self_match_prevention_instruction": enums.SelfMatchPrevention, "offset_type": enums.OffsetType,
    "reason": Reason, "peg_price_type": enums.PegPriceType,
}  # fmt: skip
EXPECTED_WORDS: Final[Words] = {
    "side": enums.Side, "reason": Reason, "phase": enums.Phase, "time_in_force": enums.TimeInForce, "ord_type": enums.OrdType, "flags": enums.ExecFlag,
}  # fmt: skip
ALIASES: Final = {"smp_id": "self_match_prevention_id", "smp": "self_match_prevention_instruction"}
NEW_ORDER_DEFAULTS: Final = {"side": "BUY", "ord_type": "LIMIT", "time_in_force": "DAY", "order_qty": "10"}
PRICED: Final = (enums.OrdType.LIMIT, enums.OrdType.STOP_LIMIT)
REFUSALS: Final = ("REJECTED", "CANCEL_REJECTED")

OF_ACCOUNT_SHARDS: Final = {
    Reason.UNKNOWN_ACCOUNT, Reason.ACCOUNT_SUSPENDED, Reason.INVALID_CL_ORD_ID, Reason.DUPLICATE_CL_ORD_ID, Reason.NOTIONAL_ABOVE_LIMIT,
    Reason.INSUFFICIENT_BUYING_POWER, Reason.INSUFFICIENT_SHARES, Reason.OPEN_ORDER_LIMIT, Reason.CANCEL_ALREADY_PENDING,
    Reason.BELOW_ZERO, Reason.AMOUNT_OUT_OF_RANGE, Reason.ACCOUNT_LIMIT, Reason.RATE_LIMIT, Reason.RESTRICTED, Reason.POSITION_LIMIT,
    Reason.SHORT_SALE_NOT_ALLOWED, Reason.SHORT_SALE_PRICE_TEST, Reason.REPLACE_ALREADY_PENDING,
    Reason.REPLACED_ID_LIMIT, Reason.UPDATE_ID_MISSING, Reason.UPDATE_APPLIED_BEFORE, Reason.UPDATE_ID_REUSED, Reason.UPDATE_ID_TOO_LOW,
    Reason.UPDATE_ID_TOO_HIGH,
}  # fmt: skip
"""No book gives these."""


@dataclass(frozen=True)
class Scenario:
    """A heading, its rows (commands of one frame, expected executions) and the market of its file."""

    file: str
    name: str
    steps: list[tuple[list[str], list[str]]]
    market: dict[str, Any]


def read(path: Path) -> Iterator[Scenario]:
    """The scenarios of a file, in its order."""
    _, front, text = path.read_text().split("---\n", 2)
    market = yaml.safe_load(front) or {}
    for section in text.split("\n## ")[1:]:
        name, *lines = section.splitlines()
        cells = [line.strip("| ").split(" | ") for line in lines if line.startswith("|") and not line.startswith(("|---", "| command"))]
        assert cells and all(len(row) == 2 for row in cells), f"{path.name}: {name}: rows of two cells are expected"
        steps = [(commands.split("<br>"), [] if expected == "-" else expected.split("<br>")) for commands, expected in cells]
        yield Scenario(path.stem, name, steps, market)


SCENARIOS: Final = [scenario for path in sorted(BOOKS.glob("*.md")) for scenario in read(path)]
assert SCENARIOS, "pytest would skip a test of no scenarios"


def market_of(scenario: Scenario) -> tuple[InstrumentTable, ShardLimits, bool, enums.Phase]:
    """(instruments, limits, whether LEVEL and TOP rows are written, phase at the beginning) as the head of the file says."""
    market = dict(scenario.market)
    begin, levels, count = enums.Phase[market.pop("begin")], market.pop("levels", False), market.pop("instruments", 1)
    limits = ShardLimits(**vars(DEFAULT_LIMITS) | market.pop("limits", {}))
    words: dict[str, type[IntEnum]] = {"matching_algorithm": enums.MatchingAlgorithm, "self_match_prevention": enums.SelfMatchPrevention}
    named: dict[str, Any] = {name: words[name][value] if name in words else value for name, value in market.items()}
    decimals = {"reference_price": "1", "max_order_qty": "1000", "min_order_qty": "0", "tick_size": "0.01"}
    one: dict[str, Any] = {"lot_size": Decimal(1), "max_notional": Decimal(10**6), "protection_percent": 20} | named
    one |= {name: Decimal(named.get(name, default)) for name, default in decimals.items()}
    return InstrumentTable(Instrument(number=n, symbol=f"I{n}", name="", **one) for n in range(1, count + 1)), limits, levels, begin


def number(words: Words, column: str, text: str) -> int:
    """A column's value: a number, a time with its unit, or words of its enumeration."""
    if found := re.fullmatch(r"(-?\d+)(|ms|s|min|h)", text):
        return int(found[1]) * UNITS[found[2]]
    return sum(int(words[column][word]) for word in text.split("+"))


def columns_of(words: Words, quantity: str, cell: list[str]) -> dict[str, int]:
    """The columns that the words of a row name; README.md lists the short forms."""
    found: dict[str, int] = {}
    for word in cell:
        if match := re.fullmatch(r"(-?\d+)(?:@(-?\d+))?", word):
            found |= {quantity: int(match[1])} | ({"price": int(match[2])} if match[2] else {})
        elif match := re.fullmatch(r"(x?)#(\d+)", word):
            found["contra_order_id" if match[1] else "order_id"] = int(match[2])
        elif "=" in word:
            name, text = word.split("=")
            column = ALIASES.get(name, name)
            found[column] = number(words, column, text)
        else:
            first = word.split("+")[0]
            column = next(name for name, kind in words.items() if first in kind.__members__ and first != "NONE")
            found[column] = number(words, column, word)
    return found


def command_rows(commands: list[str], now: int, next_order_id: int) -> list[dict[str, int]]:
    """The frame of a row's left side."""
    rows: list[dict[str, int]] = []
    for command in commands:
        kind, *cell = command.split()
        row = {"kind": int(kind) if kind.isdigit() else enums.BookCommandKind[kind], "transact_time": now}
        named = columns_of(COMMAND_WORDS, "order_qty", cell)
        if kind == "NEW_ORDER":
            defaults = columns_of(COMMAND_WORDS, "", [f"{column}={text}" for column, text in NEW_ORDER_DEFAULTS.items()])
            row |= {"order_id": next_order_id, "account": 1, "instrument": 1} | defaults
            if named.get("ord_type", enums.OrdType.LIMIT) in PRICED:
                row["price"] = 100
            next_order_id += 1
        elif kind in ("CANCEL", "REPLACE"):
            row["account"] = 1
        if kind == "REPLACE":
            row["time_in_force"] = enums.TIME_IN_FORCE_UNCHANGED
        rows.append(row | named)
    return rows


def wrong(expected: str, row: dict[str, Any]) -> str:
    """What of the execution is not as expected; empty if all is."""
    kind, *cell = expected.split()
    wanted = {"kind": int(enums.ExecKind[kind])} | columns_of(EXPECTED_WORDS, "qty", cell)
    return ", ".join(f"{column} is {row[column]!r}, not {value!r}" for column, value in wanted.items() if row[column] != value)


def told(row: dict[str, Any]) -> str:
    """An execution as text, for failures."""
    return " ".join([enums.ExecKind(row["kind"]).name] + [f"{name}={Reason(value).name if name == 'reason' else value}"
                    for name, value in row.items() if value and name not in ("kind", "rpt_seq", "transact_time", "command_index")])  # fmt: skip


def check_numbers(machine: Any, out: Any, last: dict[int, int]) -> None:
    """Rows are dense in the shard and in each instrument. `last`: latest rpt_seq of each."""
    assert out.first_seq + len(out.executions) == machine.last_seq + 1
    for row in python_rows(out.executions):
        if row["rpt_seq"]:
            last[row["instrument"]] = last.get(row["instrument"], 0) + 1
            assert row["rpt_seq"] == last[row["instrument"]]


@pytest.mark.parametrize("restored", [False, True], ids=["at once", "restored before every row"])
@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda one: f"{one.file}: {one.name}")
def test_a_book_scenario_happens_as_written(book_engine: Any, scenario: Scenario, restored: bool) -> None:
    """Executions are exactly those of the table; a refused command leaves the state hash alone; a snapshot in between changes nothing."""
    instruments, limits, levels, begin = market_of(scenario)
    machine = book_engine(0, instruments, 1, limits, levels=levels)
    next_order_id, now = 1, 0
    last: dict[int, int] = {}
    if begin != enums.Phase.CLOSED:
        change = {"kind": enums.BookCommandKind.TRADING_SESSION_CHANGE, "phase": begin}
        check_numbers(machine, machine.apply(rows_of(BOOK_COMMAND_DTYPE, [change])), last)
    for commands, expected in scenario.steps:
        if restored:
            before = machine.state_hash()
            machine = book_engine.restore(0, instruments, {name: one.copy() for name, one in machine.snapshot().items()}, levels=levels)
            assert machine.state_hash() == before
        rows = command_rows(commands, now + STEP_NS, next_order_id)
        next_order_id += sum(command.startswith("NEW_ORDER") for command in commands)
        before = machine.state_hash()
        out = machine.apply(rows_of(BOOK_COMMAND_DTYPE, rows))
        now = machine.log_time
        got = python_rows(out.executions)
        listing = f"{commands}\nexpected\n  " + "\n  ".join(expected) + "\ngot\n  " + "\n  ".join(told(row) for row in got)
        assert len(got) == len(expected), listing
        for one, row in zip(expected, got, strict=True):
            assert not wrong(one, row), f"{one}: {wrong(one, row)}\n{listing}"
        check_numbers(machine, out, last)
        if expected and all(one.split()[0] in REFUSALS for one in expected):
            assert machine.state_hash() == before, f"{commands} refused, and the state is another"


def expected_rows() -> Iterator[tuple[str, dict[str, int]]]:
    """(kind, columns named) of every expected execution."""
    for scenario in SCENARIOS:
        for _, expected in scenario.steps:
            for one in expected:
                kind, *cell = one.split()
                yield kind, columns_of(EXPECTED_WORDS, "qty", cell)


def test_every_reason_of_a_book_has_a_scenario() -> None:
    """A reason that no scenario shows is a rule that nobody can read."""
    shown = {Reason(columns["reason"]) for _, columns in expected_rows() if columns.get("reason")}
    assert shown == set(Reason) - {Reason.NONE} - OF_ACCOUNT_SHARDS


def test_every_execution_and_command_kind_has_a_scenario() -> None:
    """The same for what a book can be asked, and can say."""
    assert {kind for kind, _ in expected_rows()} == set(enums.ExecKind.__members__)
    asked = {command.split()[0] for scenario in SCENARIOS for commands, _ in scenario.steps for command in commands}
    assert set(enums.BookCommandKind.__members__) <= asked


def test_every_word_that_an_order_can_have_has_a_scenario() -> None:
    """Each order type, time in force, instruction, contingency, peg and self-match prevention is used in some command."""
    used: dict[str, set[int]] = {column: set() for column in COMMAND_WORDS}
    for scenario in SCENARIOS:
        for commands, _ in scenario.steps:
            for row in command_rows(commands, 0, 1):
                for column in used.keys() & row.keys():
                    used[column].add(row[column])
    for column in ("ord_type", "time_in_force", "contingency_type", "peg_price_type", "offset_type", "self_match_prevention_instruction"):
        assert {int(value) for value in COMMAND_WORDS[column] if value} <= used[column], column
    assert {1, 2, 4, 5} <= used["exec_inst"]


def test_scenario_names_are_sentences_and_differ() -> None:
    """They are the table of contents."""
    names = [(scenario.file, scenario.name) for scenario in SCENARIOS]
    assert len(set(names)) == len(names)
    assert all(name[0].isupper() and " " in name for _, name in names)
