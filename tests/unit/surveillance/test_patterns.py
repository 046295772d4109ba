"""Every pattern on a tape written by hand: what completes it, and the look-alike beside it that may not.

Layering has its own file, and what takes minutes or days is in test_slow_patterns.
"""

from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
from support.records.watch_tape import AT, BUY, CROWD, INSTRUMENTS, SELL, A, B, C, Tape, market, patterns

from schemas.enums import ExecFlag, ExecKind, Phase, TimeInForce
from schemas.reject_reasons import Reason
from surveillance import Owners, Place, TradingWatch
from surveillance.detectors import PATTERNS
from surveillance.market import Market
from surveillance.orders import OrderTracker, Tracking

IOC = {"time_in_force": TimeInForce.IOC}


def group(*accounts: int) -> Owners:
    """These are one owner."""
    return Owners.of_toml(f"[[owner_set]]\neffective_from = 1\ngroups = [{list(accounts)}]\n")


# -- spoofing


def spoof(tape: Tape, at: float, account: int = A, shown: int = 800, own: int = 20, cancel_after: float = 1.0, contra: int = CROWD) -> None:
    """Shows a large bid, sells a little, cancels."""
    bid = tape.new(at, account, BUY, AT - 1, shown)
    tape.meet(at + 0.5, account, contra, SELL, AT, own)
    tape.end(at + 0.5 + cancel_after, bid)


@pytest.mark.parametrize(
    ("turns", "how", "found"),
    [
        (2, {}, True),
        (1, {}, False),  # once, an investor may change its mind
        (1, {"shown": 2_100}, True),  # a hundred times its own interest speaks for itself
        (2, {"shown": 390}, False),  # less than four usual levels
        (2, {"own": 200}, False),  # its interest is real
        (2, {"cancel_after": 5.1}, False),  # it had its chance
    ],
)
def test_a_large_order_shown_while_the_other_side_trades_is_spoofing(turns: int, how: dict[str, Any], found: bool) -> None:
    """Large for the book, one-sided, canceled at once, and not only one time."""
    tape = market()
    for turn in range(turns):
        spoof(tape, 30.0 + 10 * turn, **how)
    assert (("SPOOFING", (A,)) in patterns(tape)) is found


def test_accounts_of_one_owner_spoof_together() -> None:
    """One shows, the other trades: nothing by themselves, a spoof as a party."""
    tape = market()
    for turn in range(2):
        at = 30.0 + 10 * turn
        bid = tape.new(at, A, BUY, AT - 1, 800)
        tape.meet(at + 0.5, B, CROWD, SELL, AT, 20)
        tape.end(at + 1.0, bid)
    assert not {name for name, _ in patterns(tape)} & {"SPOOFING"}
    assert ("SPOOFING", (A, B)) in patterns(tape, group(A, B))


# -- trades of one party


@pytest.mark.parametrize("flags", [0, ExecFlag.UNCROSS])
def test_a_trade_of_an_owner_with_itself_is_a_wash_trade_in_auctions_too(flags: int) -> None:
    """Of one account, or of two that one owner has."""
    same, linked, foreign = Tape(), Tape(), Tape()
    for at in (0.0, 1.0):
        same.meet(at, A, A, BUY, AT, 5)
    for tape in (linked, foreign):
        tape.meet(0.0, A, B, BUY, AT, 5)
    for tape in (same, linked, foreign):
        for row in tape.rows:
            row["flags"] = flags * (row["kind"] == ExecKind.TRADE)
    assert patterns(same) == {("WASH_TRADE", (A,))}
    assert patterns(linked, group(A, B)) == {("WASH_TRADE", (A, B))}
    assert patterns(foreign) == set()


@pytest.mark.parametrize(("times", "others", "found"), [(1, 0, False), (4, 0, False), (5, 15, True), (5, 16, False)])
def test_an_account_that_meets_itself_by_chance_washes_nothing_unless_again_and_again(times: int, others: int, found: bool) -> None:
    """Old orders of other sizes: five of twenty trades are no chance any more."""
    tape = Tape()
    resting = [tape.new(float(n), A, SELL, AT, 30 + n) for n in range(times)]
    for n, order_id in enumerate(resting):
        tape.trade(20.0 + n, tape.new(20.0 + n, A, BUY, AT, 10), order_id, 10)
        for more in range(others) if n == 0 else ():
            tape.meet(20.01 + more / 1000, CROWD + more, A, BUY, AT, 10)
    assert (("WASH_TRADE", (A,)) in patterns(tape)) is found


def test_one_self_match_of_equal_orders_is_still_chance() -> None:
    """The second of a day is not."""
    tape = Tape()
    tape.meet(0.0, A, A, BUY, AT, 5)
    assert patterns(tape) == set()


def test_a_prevented_self_match_is_no_wash_trade() -> None:
    """Nothing traded."""
    tape = Tape()
    tape.new(0.0, A, SELL, AT, 5)
    tape.end(0.1, tape.new(0.1, A, BUY, AT, 5), reason=Reason.SELF_MATCH_PREVENTION)
    assert patterns(tape) == set()


@pytest.mark.parametrize(
    ("meetings", "apart", "sizes", "found"),
    [(5, 0.1, (50, 50), True), (4, 0.1, (50, 50), False), (6, 3.0, (50, 50), False), (6, 0.1, (50, 80), False)],
)
def test_two_who_meet_with_equal_orders_again_and_again_match_them(
    meetings: int, apart: float, sizes: tuple[int, int], found: bool
) -> None:
    """Five times, entered together, of one size."""
    tape = market()
    for n in range(meetings):
        at = 30.0 + 5 * n
        resting = tape.new(at, B, SELL, AT, sizes[1])
        tape.trade(at + apart, tape.new(at + apart, A, BUY, AT, sizes[0]), resting, sizes[0])
    assert (("MATCHED_ORDERS", (A, B)) in patterns(tape)) is found


def test_busy_makers_who_meet_as_often_as_chance_has_it_do_not() -> None:
    """Each is in half of all trades: that they meet is no wonder."""
    tape = Tape()
    for n in range(60):
        taker, maker = [(A, CROWD + n), (CROWD + n, A), (B, CROWD + n), (CROWD + n, B), (A, B)][n % 5]
        tape.meet(n * 1.0, taker, maker, BUY, AT, 50)
    assert patterns(tape) == set()


@pytest.mark.parametrize(("outside", "found"), [(0, True), (8, False)])
def test_three_who_sell_to_one_another_in_a_ring_trade_in_circles(outside: int, found: bool) -> None:
    """Unless a good part of what each trades is with others: then they are a market."""
    tape = market()
    for n in range(outside):
        for member in (A, B, C):
            tape.meet(20.0 + n, member, CROWD + n, BUY if n % 2 else SELL, AT, 50)
    for turn in range(4):
        for n, (seller, buyer) in enumerate([(A, B), (B, C), (C, A)]):
            tape.meet(30.0 + 6 * turn + n, buyer, seller, BUY, AT, 50 + turn)
    tape.time(95.0)
    assert (("CIRCULAR_TRADING", (A, B, C)) in patterns(tape)) is found


# -- prices


def close(orders: int, qty: int, step: int) -> Tape:
    """An account buys in the last second before the closing auction, each time `step` ticks higher."""
    tape = market(trades=260)
    for n in range(orders):
        tape.meet(130.0 + 0.2 * n, A, CROWD + n, BUY, AT + 1 + step * n, qty)
    tape.phase(131.0, Phase.CLOSING_AUCTION)
    return tape


@pytest.mark.parametrize(("orders", "qty", "step", "found"), [(4, 100, 2, True), (2, 300, 4, False), (4, 10, 2, False), (4, 100, 0, False)])
def test_aggressive_buys_that_lift_the_last_price_mark_the_close(orders: int, qty: int, step: int, found: bool) -> None:
    """Several orders, large for this book, and the price follows."""
    assert (("MARKING_THE_CLOSE", (A,)) in patterns(close(orders, qty, step))) is found


@pytest.mark.parametrize(("resold", "found"), [(200, True), (0, False), (90, False)])
def test_a_push_that_is_sold_into_is_momentum_ignition(resold: int, found: bool) -> None:
    """400 lots through four prices; half of it sold above the average. A large buyer that keeps what it bought is none."""
    tape = market()
    for n in range(4):
        tape.meet(30.0 + n, A, CROWD + n, BUY, AT + 1 + n, 100)
    if resold:
        tape.meet(50.0, CROWD, A, BUY, AT + 6, resold)
    assert (("MOMENTUM_IGNITION", (A,)) in patterns(tape)) is found


@pytest.mark.parametrize(("begins", "pushes"), [(28.6, 30.0), (28.05, 30.05), (27.9, 30.2)])
def test_who_follows_a_move_that_is_there_ignites_nothing(begins: float, pushes: float) -> None:
    """The same push, after others had moved the price four ticks within three seconds, wherever a second of the clock begins."""
    tape = market()
    for n in range(4):
        at = begins + 0.3 * n
        tape.meet(at, CROWD + n, CROWD + 20, BUY, AT + 1 + n, 20)
        tape.level(at, BUY, AT + n, 100)
        tape.level(at, SELL, AT + 2 + n, 100)
    for n in range(4):
        tape.meet(pushes + n, A, CROWD + n, BUY, AT + 5 + n, 100)
    tape.meet(50.0, CROWD, A, BUY, AT + 10, 300)
    assert ("MOMENTUM_IGNITION", (A,)) not in patterns(tape)


@pytest.mark.parametrize(("taken_at", "found"), [(38.0, True), (38.5, False)])
def test_a_push_is_closed_by_trades_that_its_owner_takes_within_five_seconds(taken_at: float, found: bool) -> None:
    """A trend follower takes the other side too, once the move has turned: later."""
    tape = market()
    for n in range(4):
        tape.meet(30.0 + n, A, CROWD + n, BUY, AT + 1 + n, 100)
    tape.meet(taken_at, A, CROWD, SELL, AT + 6, 200)
    assert (("MOMENTUM_IGNITION", (A,)) in patterns(tape)) is found


def test_a_lot_that_is_taken_late_does_not_hide_what_is_sold_later() -> None:
    """It does not count, and ends nothing."""
    tape = market()
    for n in range(4):
        tape.meet(30.0 + n, A, CROWD + n, BUY, AT + 1 + n, 100)
    tape.meet(39.0, A, CROWD, SELL, AT + 6, 1)
    tape.meet(41.0, CROWD, A, BUY, AT + 6, 200)
    assert ("MOMENTUM_IGNITION", (A,)) in patterns(tape)


@pytest.mark.parametrize(("offered", "found"), [(300, True), (100, False)])
def test_a_push_whose_gains_are_offered_and_find_few_takers_is_an_ignition_too(offered: int, found: bool) -> None:
    """A fifth of it trades at the better price; half of it must have been wanted there."""
    tape = market()
    for n in range(4):
        tape.meet(30.0 + n, A, CROWD + n, BUY, AT + n, 100)
    offer = tape.new(40.0, A, SELL, AT + 6, offered)
    tape.trade(41.0, tape.new(41.0, CROWD, BUY, AT + 6, 80), offer, 80)
    assert (("MOMENTUM_IGNITION", (A,)) in patterns(tape)) is found


@pytest.mark.parametrize(
    ("gives_back", "moves", "lots", "found"),
    [(True, True, 1, True), (False, True, 1, False), (True, False, 1, False), (True, True, 6, False)],
)
def test_small_trades_that_move_the_price_and_leave_no_position_paint_the_tape(
    gives_back: bool, moves: bool, lots: int, found: bool
) -> None:
    """A small investor keeps what it buys, and seldom moves the price. Who paints takes as little as it can: a usual order has 20."""
    tape = market()
    for n in range(12):
        at = 30.0 + 3 * n
        for more in range(4):
            tape.meet(at + 0.1 * more, CROWD, CROWD + 1, SELL, AT, 20)
        tape.meet(at + 1, A, CROWD + 2, BUY, AT + moves, lots)
        if gives_back:
            tape.meet(at + 2, CROWD + 3, A, BUY, AT + moves, lots)
    tape.time(95.0)
    assert (("PAINTING_THE_TAPE", (A,)) in patterns(tape)) is found


@pytest.mark.parametrize(("sold", "found"), [(600, True), (0, False)])
def test_a_trend_bought_and_sold_into_is_a_ramp(sold: int, found: bool) -> None:
    """A large investor that only buys makes a trend too."""
    tape = market(trades=300)
    for n in range(20):
        at = 151.0 + 3 * n
        tape.level(at, BUY, AT - 1 + n, 100)
        tape.level(at, SELL, AT + 1 + n, 100)
        tape.meet(at, A, CROWD + n, BUY, AT + 1 + n, 150)
    if sold:
        tape.meet(212.0, CROWD, A, BUY, AT + 20, sold)
    tape.time(245.0)
    assert (("RAMPING", (A,)) in patterns(tape)) is found


# -- messages


@pytest.mark.parametrize(("orders", "life", "found"), [(60, 0.005, True), (40, 0.005, False), (60, 0.06, False)])
def test_a_flood_of_orders_that_live_for_a_moment_is_quote_stuffing(orders: int, life: float, found: bool) -> None:
    """A hundred messages in a second, and nearly all of them short-lived."""
    tape = Tape()
    waiting: list[tuple[float, int]] = []
    for n in range(orders):
        at = 1.0 + n * 0.01
        while waiting and waiting[0][0] <= at:
            tape.end(*waiting.pop(0))
        waiting.append((at + life, tape.new(at, A, BUY, AT, 10)))
    for end in waiting:
        tape.end(*end)
    assert (("QUOTE_STUFFING", (A,)) in patterns(tape)) is found


@pytest.mark.parametrize(("trades", "found"), [(1, True), (20, False)])
def test_a_thousand_orders_a_trade_break_the_order_to_trade_ratio(trades: int, found: bool) -> None:
    """Eleven hundred orders for a trade, or for twenty."""
    tape = Tape()
    for n in range(trades):
        tape.meet(0.1 * n, A, CROWD + n, BUY, AT, 10)
    for n in range(1_100):
        tape.end(10.0 + 0.1 * n + 0.05, tape.new(10.0 + 0.1 * n, A, BUY, AT, 10))
    tape.time(170.0)
    assert (("ORDER_TO_TRADE", (A,)) in patterns(tape)) is found


@pytest.mark.parametrize(("other_side", "fills", "found"), [(False, 6, True), (True, 6, False), (False, 0, False)])
def test_bids_that_are_canceled_and_offers_that_trade_are_unbalanced(other_side: bool, fills: int, found: bool) -> None:
    """A quoter cancels on both sides; who unwinds trades on one only."""
    tape = market()
    for n in range(60):
        at = 30.0 + n
        tape.end(at + 0.5, tape.new(at, A, BUY, AT - 2, 20))
        if other_side:
            tape.end(at + 0.6, tape.new(at + 0.55, A, SELL, AT + 2, 20))
    for n in range(fills):
        tape.meet(91.0 + n, A, CROWD, SELL, AT, 20)
    tape.time(130.0)
    assert (("UNBALANCED_CANCEL", (A,)) in patterns(tape)) is found


# -- single orders


@pytest.mark.parametrize(
    ("price", "qty", "phase", "found"),
    [(18_900, 20, Phase.CONTINUOUS, True), (18_800, 20, Phase.CONTINUOUS, False), (18_900, 20, Phase.CLOSING_AUCTION, False),
     (AT, 1_800, Phase.CONTINUOUS, True), (AT, 1_500, Phase.CONTINUOUS, False)],
)  # fmt: skip
def test_a_price_or_a_size_that_nobody_would_wish_is_an_erroneous_order(price: int, qty: int, phase: int, found: bool) -> None:
    """Five percent through the last trade, or 80 usual orders from who never sent such; in an auction there is no touch to be far from."""
    tape = market()
    for n in range(20):
        tape.end(30.0 + n, tape.new(30.0 + n, A, BUY, AT - 1, 20))
    tape.phase(51.0, phase)
    tape.new(52.0, A, BUY, price, qty)
    assert (("ERRONEOUS_ORDER", (A,)) in patterns(tape)) is found


@pytest.mark.parametrize(
    ("pings", "filled", "large", "found"), [(5, True, 200, True), (4, True, 200, False), (5, False, 200, False), (5, True, 50, False)]
)
def test_tiny_immediate_orders_before_a_large_one_are_pinging(pings: int, filled: bool, large: int, found: bool) -> None:
    """Five, one of which found something. A router's children are all alike."""
    tape = market()
    for n in range(pings):
        ping = tape.new(30.0 + n, A, BUY, AT, 1, **IOC)
        if filled and n == pings - 1:
            tape.trade(30.0 + n, ping, tape.new(29.0, CROWD, SELL, AT, 50), 1)
        else:
            tape.end(30.0 + n, ping, reason=Reason.IMMEDIATE_OR_CANCEL)
    tape.new(30.0 + pings, A, BUY, AT + 1, large)
    assert (("PINGING", (A,)) in patterns(tape)) is found


def test_tiny_orders_among_ordinary_ones_are_no_search() -> None:
    """An immediate order of ordinary size begins it anew."""
    tape = market()
    for n in range(6):
        ping = tape.new(30.0 + n, A, BUY, AT, 1, **IOC)
        tape.trade(30.0 + n, ping, tape.new(29.0, CROWD, SELL, AT, 50), 1)
    tape.end(36.5, tape.new(36.5, A, BUY, AT - 5, 20, **IOC), reason=Reason.IMMEDIATE_OR_CANCEL)
    tape.new(37.0, A, BUY, AT + 1, 200)
    assert patterns(tape) == set()


@pytest.mark.parametrize(("indicative", "canceled", "found"), [(AT + 200, True, True), (AT + 100, True, False), (AT + 200, False, False)])
def test_an_order_that_moves_the_indicative_price_and_leaves_is_a_game(indicative: int, canceled: bool, found: bool) -> None:
    """Who stays until the uncross meant it."""
    tape = Tape()
    tape.phase(0.0, Phase.OPENING_AUCTION)
    tape.new(1.0, CROWD, SELL, AT, 50)
    tape.indicative(1.0, AT)
    order = tape.new(2.0, A, BUY, AT + 500, 5_000)
    tape.indicative(2.0, indicative)
    if canceled:
        tape.end(3.0, order)
    tape.phase(4.0, Phase.CONTINUOUS)
    if not canceled:
        tape.end(5.0, order)
    assert (("INDICATIVE_PRICE", (A,)) in patterns(tape)) is found


@pytest.mark.parametrize(("indicative", "found"), [(AT + 200, True), (AT + 100, False)])
def test_where_nothing_crossed_before_the_middle_is_what_an_order_moves(indicative: int, found: bool) -> None:
    """A thin call phase has no indicative price until somebody goes through the other side."""
    tape = Tape()
    tape.phase(0.0, Phase.OPENING_AUCTION)
    tape.new(1.0, CROWD, SELL, AT + 1, 50)
    tape.level(1.0, SELL, AT + 1, 50)
    tape.new(1.5, CROWD, BUY, AT - 1, 50)
    tape.level(1.5, BUY, AT - 1, 50)
    order = tape.new(2.0, A, BUY, AT + 500, 5_000)
    tape.indicative(2.0, indicative)
    tape.end(3.0, order)
    assert (("INDICATIVE_PRICE", (A,)) in patterns(tape)) is found


# -- every pattern


def test_every_alert_tells_its_story_with_numbers_rules_and_a_counterfactual() -> None:
    """Of every pattern that these tapes complete."""
    tapes = [market() for _ in range(2)]
    spoof(tapes[0], 30.0)
    spoof(tapes[0], 40.0)
    for at in (30.0, 31.0):
        tapes[1].meet(at, A, A, BUY, AT, 5)
    for tape in [*tapes, close(4, 100, 2)]:
        for alert in tape.alerts():
            assert len(alert["steps"]) >= 2
            assert " ".join(alert["steps"]) == alert["explanation"]
            assert str(alert["account"]) in alert["explanation"]
            assert alert["rule_refs"]
            assert alert["features"]
            assert alert["counterfactual"].startswith("It would not have fired with ")
            assert alert["evidence"]
            assert all(one["seq"] > 0 and one["offset"] == 0 for one in alert["evidence"])
            assert alert["severity"] in ("LOW", "MEDIUM", "HIGH")


def test_every_detector_has_a_table_of_parameters_a_name_and_rules() -> None:
    """And a change of any parameter is another configuration."""
    names = [pattern.name for pattern in PATTERNS]
    assert len(set(names)) == len(names) == 18
    assert all(pattern.rule_refs for pattern in PATTERNS)
    watch = TradingWatch(INSTRUMENTS)
    assert watch.apply(market().array(), Place(first_seq=1)) == []
    assert watch.configuration != TradingWatch(INSTRUMENTS, PATTERNS[1:]).configuration


def test_the_analysts_page_has_every_pattern_with_its_version_and_parameters() -> None:
    """docs/surveillance.md: values as in the tables; bounds of memory and of evidence are left out."""
    page = (Path(__file__).parents[3] / "docs" / "surveillance.md").read_text()
    unsaid = (
        "evidence_max",
        "executions_max",
        "layers_max",
        "pairs_max",
        "owners_max",
        "runs_max",
        "searches_max",
        "movers_max",
        "trades_max",
        "walls_max",
        "buyers_max",
    )
    for pattern in PATTERNS:
        parameters = pattern(OrderTracker(Tracking()), Market()).parameters
        (row,) = [line for line in page.splitlines() if line.startswith(f"| {pattern.name.upper()} | {pattern.version} |")]
        for field in fields(parameters):
            if field.name not in unsaid:
                value = getattr(parameters, field.name)
                shown = f"{value // 10**9} s" if value >= 10**9 else f"{value // 10**6} ms" if "_ns" in field.name else f"{value:,}"
                assert f"`{field.name}` {shown}" in row, f"{pattern.name}.{field.name}"
        assert f"| {', '.join(pattern.rule_refs)} |" in page, pattern.name
