"""Which fields an order has is said once, in schemas.field_rules: every place that judges orders says the same, and follows when the table changes."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from support.field_rule_places import answers, cases, expected

from matchers.rules.list_rules import list_rows_at
from schemas.enums import CommandKind, ContingencyType, OrdType, TimeInForce
from schemas.field_rules import LIST_ROWS, LIST_ROWS_MAX, TIME_RULES, TYPE_RULES

ROOT = Path(__file__).parents[3]
PACKAGES = ("schemas", "topics", "matchers", "surveillance", "sinks", "edge", "streams")
CHANGES = {
    "OrdType.LIMIT: TypeRule(times=frozenset(TimeInForce), price=MUST, display=MAY, post_only=MAY)":
        "OrdType.LIMIT: TypeRule(times=frozenset(TimeInForce) - {TimeInForce.IOC}, price=MUST, display=NO, post_only=NO)",
    "OrdType.STOP: TypeRule(times=_STOP_TIMES, stop_px=MUST)": "OrdType.STOP: TypeRule(times=_STOP_TIMES, stop_px=MAY, price=MAY)",
    "OrdType.MARKET_TO_LIMIT: TypeRule(times=WORKING | IMMEDIATE, display=MAY)":
        "OrdType.MARKET_TO_LIMIT: TypeRule(times=WORKING, price=MUST, min_qty=NO)",
    "price=MAY, peg_price_type=MUST, offsets=_SIGNED, display=MAY": "price=NO, peg_price_type=MUST, offsets=_DISTANCE, display=MAY",
    "OrdType.TRAILING_STOP: TypeRule(times=_STOP_TIMES, stop_px=MAY, offsets=_DISTANCE)": "OrdType.TRAILING_STOP: TypeRule(times=_STOP_TIMES, stop_px=MUST)",
    "TimeInForce.GTD: TimeRule(expire_time=MUST,": "TimeInForce.GTD: TimeRule(expire_time=MAY,",
    "TimeInForce.FOK: TimeRule(min_qty=MAY)": "TimeInForce.FOK: TimeRule(expire_time=MUST, display=MAY)",
}  # fmt: skip
"""Lines of the table, and other rules in their places: orders that nobody would want, but each place would have to take."""


def differences(one: dict[str, dict[str, bool]], other: dict[str, dict[str, bool]]) -> list[str]:
    """Where two tables of answers are not the same."""
    return [f"{place}: {case}" for place in one for case in one[place] if one[place][case] != other[place][case]]


def test_every_place_judges_every_field_of_every_order_as_the_table_says() -> None:
    """Both makes of both shards, the edge and the producer library; 8 types, 7 times in force, 10 fields, with and without."""
    assert set(TYPE_RULES) == set(OrdType) and set(TIME_RULES) == set(TimeInForce)
    assert differences(answers(compiled=True), expected()) == []


@pytest.fixture(scope="module")
def changed_tree(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What a copy of the sources answers that has other rules in its table."""
    tree = tmp_path_factory.mktemp("changed")
    for package in PACKAGES:
        shutil.copytree(ROOT / package, tree / package, ignore=shutil.ignore_patterns("__pycache__"))
    table = tree / "schemas" / "field_rules.py"
    text = table.read_text()
    for old, new in CHANGES.items():
        assert text.count(old) == 1, old
        text = text.replace(old, new)
    table.write_text(text)
    program = [sys.executable, str(ROOT / "tests" / "support" / "field_rule_places.py")]
    done = subprocess.run(program, env=os.environ | {"PYTHONPATH": str(tree)}, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    assert Path(found["tree"]).is_relative_to(tree), "the copy has answered"
    return found


def test_every_place_follows_a_change_of_the_table(changed_tree: dict[str, Any]) -> None:
    """Nobody has rules of his own: where the table changes, and only there, all answers change."""
    assert differences(changed_tree["answers"], changed_tree["expected"]) == []
    changed = {place: len(differences({place: changed_tree["answers"][place]}, expected())) for place in expected()}
    assert all(count > 30 for count in changed.values()), changed
    assert sum(1 for _ in cases()) == len(changed_tree["answers"]["edge"])


def test_the_fast_path_leaves_to_the_general_one_what_the_table_does_not_let_be_plain(changed_tree: dict[str, Any]) -> None:
    """Limit orders can be neither post-only nor IOC there."""
    assert changed_tree["fast"] == {"LIMIT": [], "MARKET": ["DAY", "IOC"]}


def test_a_list_has_as_many_rows_as_the_table_says() -> None:
    """Fewer rows make no list, and more are not looked at."""
    assert set(LIST_ROWS) == set(ContingencyType) - {ContingencyType.NONE} and max(LIST_ROWS.values()) == LIST_ROWS_MAX
    for kind, rows in LIST_ROWS.items():
        leg = {
            "kind": CommandKind.NEW_ORDER,
            "list_id": 1,
            "contingency_type": kind,
            "instrument": 1,
            "account": 1,
            "time_in_force": TimeInForce.DAY,
        }
        first = leg | {"side": 1, "ord_type": OrdType.LIMIT}
        closing = [leg | {"side": 2, "ord_type": OrdType.LIMIT}, leg | {"side": 2, "ord_type": OrdType.STOP}]
        legs = [first, *([first] if kind == ContingencyType.OCO else closing)]
        assert list_rows_at([*legs[:rows], first], 0, CommandKind.NEW_ORDER) == rows
        assert list_rows_at(legs[: rows - 1], 0, CommandKind.NEW_ORDER) == 0
