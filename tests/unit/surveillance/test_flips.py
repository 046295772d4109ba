"""Spoofs that turn: what is canceled just before its owner trades, who shows now this side and now that one, what holds an indicative price."""

from typing import Any

import pytest
from support.records.watch_tape import AT, BUY, CROWD, INSTRUMENTS, SELL, A, Tape, market

from schemas.enums import Phase
from surveillance import Place, TradingWatch


def patterns(tape: Tape) -> set[tuple[str, int]]:
    """(pattern, account) of all alerts."""
    return {(one["pattern"], account) for one in tape.alerts() for account in one["accounts"]}


def flip(tape: Tape, at: float, shown: int = 800, own: int = 0, wait: float = 0.005, met: int = 0) -> None:
    """Shows a large bid, cancels it, and sells 40 to whoever came to bid beside it. own: lots that it offered all the time; met: of the bid."""
    offer = tape.new(at, A, SELL, AT + 3, own) if own else 0
    bid = tape.new(at, A, BUY, AT - 1, shown)
    if met:
        tape.trade(at + 0.2, tape.new(at + 0.2, CROWD + 2, SELL, AT - 1, met), bid, met)
    other = tape.new(at + 0.3, CROWD, BUY, AT - 1, 40)
    tape.end(at + 1.0, bid)
    if offer:
        tape.end(at + 1.0, offer)
    tape.trade(at + 1.0 + wait, tape.new(at + 1.0 + wait, A, SELL, AT - 1, 40), other, 40)


@pytest.mark.parametrize(
    ("turns", "how", "found"),
    [
        (2, {}, True),
        (1, {}, False),  # an investor changes its mind once
        (2, {"shown": 390}, False),  # less than four usual levels
        (2, {"own": 200}, False),  # a quoter: it wanted to sell before, too
        (2, {"wait": 1.1}, False),  # it thought about it
        (2, {"met": 100}, False),  # others traded with a good part of it
    ],
)
def test_a_large_order_canceled_just_before_its_owner_takes_the_other_side_is_a_spoof(turns: int, how: dict[str, Any], found: bool) -> None:
    """As in CFTC v. Oystacher."""
    tape = market()
    for turn in range(turns):
        flip(tape, 30.0 + 20 * turn, **how)
    assert (("SPOOFING", A) in patterns(tape)) is found


def test_the_alert_of_a_flip_says_what_came_first() -> None:
    """The time from the cancel to the trade, and both orders."""
    tape = market()
    for turn in range(2):
        flip(tape, 30.0 + 20 * turn)
    (alert,) = [one for one in tape.alerts() if one["pattern"] == "SPOOFING"]
    assert alert["features"]["time_from_cancel_to_trade"] == 5_000_000
    assert [one["role"] for one in alert["evidence"]] == ["LAYER", "EXECUTION"]
    assert "It canceled them, and 0.005 s later it sold" in alert["steps"][1]


def turning(pause: float) -> Tape:
    """Spoofs by turns, a bid and an offer; of the first a half is executed, so that it is no spoof yet."""
    tape = market()
    for turn in range(4):
        at, side = 30.0 + pause * turn, BUY if turn % 2 == 0 else SELL
        shown = tape.new(at, A, side, AT - 1 if side == BUY else AT + 1, 800)
        if turn == 0:
            tape.trade(at + 0.1, tape.new(at + 0.1, CROWD, SELL, AT - 1, 400), shown, 400)
        tape.meet(at + 0.5, A, CROWD + 1, BUY + SELL - side, AT, 20)
        tape.end(at + 1.0, shown)
    return tape


@pytest.mark.parametrize("pause", [3.0, 30.0])
def test_who_shows_now_this_side_and_now_that_one_is_no_market_maker(pause: float) -> None:
    """However soon it turns: what it canceled before never stood beside what it shows now."""
    assert ("SPOOFING", A) in patterns(turning(pause))


def held(qty: int) -> Tape:
    """A call phase: the order moves nothing as it comes, holds the price two percent away, and leaves."""
    tape = market()
    tape.phase(40.0, Phase.CLOSING_AUCTION)
    tape.indicative(41.0, AT)
    tape.rows[-1]["qty"] = 1_000
    order = tape.new(42.0, A, BUY, AT * 102 // 100, qty)
    tape.indicative(42.0, AT + 1)
    tape.rows[-1]["qty"] = 1_000
    tape.end(43.0, tape.new(43.0, CROWD + 5, SELL, AT + 2, 5))
    tape.indicative(43.0, AT * 102 // 100)
    tape.rows[-1]["qty"] = 1_000
    tape.end(44.0, order)
    tape.indicative(44.0, AT)
    return tape


@pytest.mark.parametrize(("qty", "found"), [(500, True), (90, False)])
def test_an_order_that_held_the_indicative_price_is_seen_as_it_leaves(qty: int, found: bool) -> None:
    """A tenth of what would trade, or more: where a price hangs by a thread, any order seems to hold it."""
    assert (("INDICATIVE_PRICE", A) in patterns(held(qty))) is found


def flips() -> Tape:
    """Two of them."""
    tape = market()
    for turn in range(2):
        flip(tape, 30.0 + 20 * turn)
    return tape


@pytest.mark.parametrize("tape", [flips(), turning(3.0), held(500)], ids=["flips", "turning", "held"])
def test_a_watch_that_is_restored_after_every_row_writes_the_same(tape: Tape) -> None:
    """Half a flip and an order on its way out are part of the state."""
    rows, whole, watch = tape.array(), TradingWatch(INSTRUMENTS), TradingWatch(INSTRUMENTS)
    expected, before = whole.apply(rows, Place(first_seq=1)), len(market().rows)
    found = watch.apply(rows[:before], Place(first_seq=1))
    for at in range(before, len(rows)):
        found += watch.apply(rows[at : at + 1], Place(first_seq=at + 1))
        watch = TradingWatch.restore(INSTRUMENTS, {name: array.copy() for name, array in watch.snapshot().items()})
    assert expected
    assert [one["alert_id"] for one in found] == [one["alert_id"] for one in expected]
    assert watch.state_hash() == whole.state_hash()


def test_an_owners_last_trades_are_known_however_many_others_have_made_since() -> None:
    """1,024 trades of a book are seconds in a busy one."""
    tape = market()
    tape.meet(30.0, A, CROWD, BUY, AT, 20)
    for n in range(1_100):
        tape.meet(31.0 + n / 100, CROWD + 1, CROWD + 2, BUY, AT, 20)
    watch = TradingWatch(INSTRUMENTS)
    watch.apply(tape.array(), Place(first_seq=1))
    book = watch._market.book(1)
    assert not any(A in (trade.owner, trade.contra_owner) for trade in book.trades)
    assert [trade.owner for trade in book.newest[A]] == [A]
