"""What would have fired with another bound: ranges, the sentence of the table, and which alerts are the same."""

from typing import Any

import pytest
from support.records.watch_tape import BUY, INSTRUMENTS, SECOND, SELL, START, Tape

from surveillance.alerts import Place
from surveillance.detectors import PATTERNS
from surveillance.what_if import BadParameter, Comparison, WhatIf, changed, parameters_of, pattern_names

CROWD = 100


def layered(tape: Tape, at: float, account: int, orders: int) -> None:
    """So many orders at as many prices, a purchase, and their cancellation."""
    layers = [tape.new(at + number / 10, account, SELL, 18_010 + number, 500) for number in range(orders)]
    tape.meet(at + 1, account, CROWD, BUY, 18_000, 50)
    for one in layers:
        tape.end(at + 2, one)


def compared(tape: Tape, *, begin: float = 0, end: float = 9_000, symbols: tuple[str, ...] = (), **values: int) -> Comparison:
    """The comparison of LAYERING over a tape."""
    what_if = WhatIf(INSTRUMENTS, "LAYERING", values, begin=START + int(begin * SECOND), end=START + int(end * SECOND))
    what_if.take(tape.array(), Place("executions", 0, 5, 1))
    return what_if.comparison(symbols)


def told(found: list[dict[str, Any]]) -> list[list[int]]:
    """Whom they accuse."""
    return [one["accounts"] for one in found]


def three_layerers() -> Tape:
    """Of four orders, of three, and of six."""
    tape = Tape()
    for at, account, orders in ((1, 7, 4), (20, 8, 3), (40, 9, 6)):
        layered(tape, at, account, orders)
    return tape


@pytest.mark.parametrize(
    ("orders_min", "both", "only_now", "only_then"), [(3, [[7], [9]], [], [[8]]), (5, [[9]], [[7]], []), (7, [], [[7], [9]], [])]
)
def test_alerts_are_those_of_both_of_now_and_of_the_other_bound(orders_min: int, both: Any, only_now: Any, only_then: Any) -> None:
    """A lower bound gains, a higher one loses; what stays is counted once."""
    found = compared(three_layerers(), orders_min=orders_min)
    assert (told(found.alerts["both"]), told(found.alerts["only_now"]), told(found.alerts["only_then"])) == (both, only_now, only_then)
    assert (found.both, found.only_now, found.only_then) == (len(both), len(only_now), len(only_then))


def test_only_the_range_and_the_symbols_count() -> None:
    """What was before it is what the detectors know."""
    found = compared(three_layerers(), orders_min=3, begin=10, end=30)
    assert (found.both, found.only_now, told(found.alerts["only_then"])) == (0, 0, [[8]])
    assert compared(three_layerers(), orders_min=3, symbols=("MSFT",)).only_then == 0


def test_an_alert_that_another_bound_completes_earlier_is_the_same() -> None:
    """Another first finding, another id."""
    tape = Tape()
    layered(tape, 1, 7, 3)
    layered(tape, 10, 7, 4)
    found = compared(tape, orders_min=3)
    assert (found.both, found.only_now, found.only_then) == (1, 0, 0)
    layered(tape, 2_000, 7, 3)
    found = compared(tape, orders_min=3)
    assert (found.both, found.only_now, found.only_then) == (1, 0, 1)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"canceled_percent_min": 101}, "canceled_percent_min must be a whole number from 0 to 100, not 101. canceled_percent_min: Share of the layers' open lots"),
        ({"age_ns_max": 0}, "age_ns_max must be a whole number from 1 to 86,400,000,000,000, not 0. age_ns_max: Longest time between"),
        ({"orders_min": True}, "orders_min must be a whole number from 1 to 1,000,000, not True"),
        ({"orders_min": "3"}, "not '3'"),
        ({"layers_max": 1 << 40}, "layers_max is no parameter of LAYERING that can be moved"),
        ({"__class__": 3}, "__class__ is no parameter"),
        ({}, "parameters: name one of orders_min, levels_min"),
        ({"orders_min": 4}, "these are those of now: orders_min 4"),
    ],
)  # fmt: skip
def test_a_parameter_out_of_range_is_refused_with_the_sentence_of_its_table(values: Any, message: str) -> None:
    """And so is one that bounds memory, or that there is not."""
    with pytest.raises(BadParameter) as error:
        changed("LAYERING", values)
    assert message in str(error.value)


def test_every_parameter_of_every_pattern_is_within_its_range_and_has_its_sentence() -> None:
    """So a page can show them all."""
    assert len(pattern_names()) == len(PATTERNS)
    for pattern in pattern_names():
        assert parameters_of(pattern), pattern
        for one in parameters_of(pattern):
            assert one.low <= one.value <= one.high, (pattern, one)
            assert len(one.told) > 10, (pattern, one)
    with pytest.raises(BadParameter, match="is no pattern"):
        parameters_of("layering")
