"""Patterns that take minutes or days, on tapes written by hand: ahead of customers, levels that are held, prices that are pumped; and their look-alikes."""

from typing import Any

import pytest
from support.records.watch_tape import AT, BUY, CROWD, SELL, A, C, market, patterns

from surveillance import Owners


def broker(own: int, customer: int) -> Owners:
    """A member and its customer."""
    return Owners.of_toml(f"[[owner_set]]\neffective_from = 1\ngroups = []\nmembers = [{{ own = [{own}], customers = [{customer}] }}]\n")


@pytest.mark.parametrize(
    ("how", "found"),
    [
        ({}, True),
        ({"ahead_at": 35.5}, False),  # after the block it hedges
        ({"out_px": AT}, False),  # nothing gained
        ({"block": 150}, False),  # no block
        ({"other_way": 60}, False),  # it makes a market
        ({"customer": CROWD}, False),  # of somebody else
    ],
)
def test_a_member_that_trades_ahead_of_its_customers_block_runs_in_front_of_it(how: dict[str, Any], found: bool) -> None:
    """Bought before, sold dearer after."""
    given = {"ahead_at": 32.0, "out_px": AT + 4, "block": 400, "other_way": 0, "customer": C} | how
    tape = market()
    steps = [
        (given["ahead_at"], lambda at: tape.meet(at, A, CROWD, BUY, AT, 240)),
        (36.0, lambda at: tape.meet(at, CROWD, A, BUY, given["out_px"], 130)),
    ]
    if given["other_way"]:
        steps.append((33.0, lambda at: tape.meet(at, A, CROWD, SELL, AT, given["other_way"])))
    steps.append((35.0, lambda at: tape.meet(at, given["customer"], CROWD + 1, BUY, AT + 3, given["block"])))
    for at, step in sorted(steps, key=lambda one: one[0]):
        step(at)
    assert (("FRONT_RUNNING", (A,)) in patterns(tape, broker(A, C))) is found
    assert not {name for name, _ in patterns(tape)} & {"FRONT_RUNNING"}, "nobody is known to be a customer"


@pytest.mark.parametrize(("hedged_at", "found"), [(31.0, False), (20.0, True)])
def test_a_hedge_of_a_block_is_not_ahead_of_the_next_block(hedged_at: float, found: bool) -> None:
    """Bought two seconds after a customer's block, or twelve; then the next block comes, and what was bought is sold dearer."""
    tape = market()
    tape.meet(hedged_at, C, CROWD + 1, BUY, AT + 3, 400)
    tape.meet(33.0, A, CROWD, BUY, AT, 240)
    tape.meet(35.0, C, CROWD + 1, BUY, AT + 3, 400)
    tape.meet(36.0, CROWD, A, BUY, AT + 4, 130)
    assert (("FRONT_RUNNING", (A,)) in patterns(tape, broker(A, C))) is found


@pytest.mark.parametrize(
    ("how", "found"),
    [
        ({}, True),
        ({"orders": 1}, False),  # one investor with one order
        ({"price_step": 1}, False),  # it goes with the market
        ({"others": 8}, False),  # most is bought by others
        ({"two_sided": True}, False),  # a market maker
    ],
)
def test_an_owner_that_buys_at_one_price_again_and_again_holds_a_floor(how: dict[str, Any], found: bool) -> None:
    """Ten orders in two minutes, nearly all that is sold."""
    given = {"orders": 10, "price_step": 0, "others": 1, "two_sided": False} | how
    tape, resting = market(trades=240), 0
    for n in range(20):
        at, price = 125.0 + 6 * n, AT - 1 + n * given["price_step"]
        if n % (20 // given["orders"]) == 0:
            resting = tape.new(at, A, BUY, price, 1_000 if given["orders"] == 1 else 100)
        tape.trade(at + 1, tape.new(at + 1, CROWD + n, SELL, price, 50), resting, 50)
        for more in range(given["others"]):
            tape.meet(at + 2 + more / 10, CROWD + n, CROWD + 90, SELL, price, 20)
        if given["two_sided"]:
            tape.meet(at + 3, CROWD + n, A, BUY, price + 2, 40)
    tape.time(260.0)
    assert (("FLOOR_AND_CEILING", (A,)) in patterns(tape)) is found


@pytest.mark.parametrize("others_sell", [0, 40])
def test_a_floor_is_judged_by_the_time_in_which_it_stood(others_sell: int) -> None:
    """It gives way ten seconds before the half minute ends: then the price falls and others trade, which is not its doing."""
    tape = market(trades=240)
    for n in range(17):
        at, resting = 121.0 + 6 * n, tape.new(121.0 + 6 * n, A, BUY, AT - 1, 80)
        for more in range(4):
            tape.trade(at + 1 + more / 10, tape.new(at + 1 + more / 10, CROWD + n, SELL, AT - 1, 20), resting, 20)
    for n in range(others_sell):
        at, price = 220.0 + n / 5, AT - 2 - n
        tape.level(at, BUY, price - 1, 100)
        tape.level(at, SELL, price + 1, 100)
        tape.meet(at, CROWD + n, CROWD + 90, SELL, price, 60)
    tape.time(231.0)
    assert ("FLOOR_AND_CEILING", (A,)) in patterns(tape)


@pytest.mark.parametrize(
    ("how", "found"),
    [
        ({}, True),
        ({"crowd": 2_200}, True),  # thousands trade before the price is back
        ({"back": 0.9}, False),  # news: the price stays
        ({"top": 0.015}, False),  # a quiet day
        ({"sold": 40}, False),  # it keeps what it has
        ({"bought_at": 0.5}, False),  # it followed the rise
    ],
)
def test_who_buys_low_and_sells_into_a_rise_that_collapses_pumps_and_dumps(how: dict[str, Any], found: bool) -> None:
    """Up by ten percent within ten minutes, and back."""
    given = {"top": 0.1, "back": 0.1, "sold": 1_000, "bought_at": 0.02, "crowd": 0} | how
    tape, rise = market(trades=80), int(AT * given["top"])
    way = [*(n / 20 for n in range(21)), *(1 - n / 5 * (1 - given["back"]) for n in range(1, 6))]
    for n, share in enumerate(way):
        at, price = 60.0 + 30 * n, AT + int(rise * share)
        tape.level(at, BUY, price - 1, 100)
        tape.level(at, SELL, price + 1, 100)
        for more in range(5):
            tape.meet(at + more, CROWD + more, CROWD + 50 + n, BUY if more % 2 else SELL, price, 20)
        if share >= given["bought_at"] and not any(row["account"] == A for row in tape.rows if "account" in row):
            tape.meet(at + 6, A, CROWD + 70, BUY, price, 1_300)
        if share >= 0.95:
            tape.meet(at + 7, A, CROWD + 71, SELL, price, given["sold"] // 2)
        for more in range(given["crowd"] if n == 21 else 0):
            tape.meet(at + 8 + more / 1_000, 100_000 + 2 * more, 100_001 + 2 * more, BUY, price, 20)
    tape.time(900.0)
    assert (("PUMP_AND_DUMP", (A,)) in patterns(tape)) is found
