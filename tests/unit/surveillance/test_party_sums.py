"""What the first stage tells of a party's half minute: what it showed on one side, what it traded and when, what it paid."""

import pytest
from support.records.watch_tape import AT, BUY, CROWD, INSTRUMENTS, SECOND, SELL, START, A, B, Tape

from surveillance import Place, TradingWatch
from surveillance.accounts.facts import PartySum


def told(tape: Tape, account: int = A) -> PartySum | None:
    """Of the account, from the tape's first half minute; None: nothing."""
    tape.time(60.0)
    watch = TradingWatch(INSTRUMENTS, (), for_accounts=True)
    watch.apply(tape.array(), Place(first_seq=1))
    return next((one for half in watch.sums() for one in half.sums if one.owner == account), None)


def touched() -> Tape:
    """A book with both best prices."""
    tape = Tape()
    tape.level(0.0, BUY, AT - 1, 100)
    tape.level(0.0, SELL, AT + 1, 100)
    return tape


def show(tape: Tape, at: float, until: float, side: int, qty: int) -> None:
    """Two orders of one side, taken back one behind the other."""
    orders = [tape.new(at, A, side, AT - 3 if side == BUY else AT + 3, qty // 2) for _ in range(2)]
    for order in orders:
        tape.end(until, order)


@pytest.mark.parametrize("first", [BUY, SELL])
def test_a_maker_that_takes_back_both_sides_has_shown_none(first: int) -> None:
    """Whichever side goes first: what stood on the other side while the order stood counts, though it is gone."""
    tape = touched()
    orders = [tape.new(1.0, A, side, AT - 3 if side == BUY else AT + 3, 500) for side in (first, BUY + SELL - first)]
    for order in orders:
        tape.end(3.0, order)
    assert told(tape) is None


def test_who_shows_one_side_and_then_the_other_has_shown_both() -> None:
    """Each with its time; ten seconds lie between them."""
    tape = touched()
    show(tape, 1.0, 3.0, BUY, 800)
    show(tape, 13.0, 15.0, SELL, 600)
    one = told(tape)
    assert one is not None
    assert (one.shown(BUY), one.shown(SELL)) == (
        (800, START + SECOND, START + 3 * SECOND), (600, START + 13 * SECOND, START + 15 * SECOND),
    )  # fmt: skip


@pytest.mark.parametrize(("other", "lots"), [(100, 400), (101, 0)])
def test_a_quarter_of_it_on_the_other_side_is_little(other: int, lots: int) -> None:
    """More is an interest of its own."""
    tape = touched()
    tape.new(1.0, A, SELL, AT + 3, other)
    tape.end(3.0, tape.new(1.0, A, BUY, AT - 3, 400))
    one = told(tape)
    assert (one.shown(BUY)[0] if one else 0) == lots


def test_trades_have_their_times_by_side_and_takers_what_they_paid_beyond_the_middle() -> None:
    """Bought one tick above the middle, sold two below it; the maker pays nothing. Half ticks x lots."""
    tape = touched()
    tape.meet(2.0, A, B, BUY, AT + 1, 10)
    tape.meet(9.0, A, CROWD, SELL, AT - 2, 20)
    tape.meet(12.0, A, CROWD, SELL, AT - 1, 5)
    one, maker = told(tape), told(tape, B)
    assert one is not None
    assert maker is not None
    assert one.traded_on(BUY) == (10, START + 2 * SECOND, START + 2 * SECOND)
    assert one.traded_on(SELL) == (25, START + 9 * SECOND, START + 12 * SECOND)
    assert (one.paid, maker.paid) == (10 * 2 + 20 * 4 + 5 * 2, 0)


def test_without_a_best_price_on_a_side_nobody_knows_what_was_paid() -> None:
    """At the first trades of a day, say."""
    tape = Tape()
    tape.level(0.0, SELL, AT + 1, 100)
    tape.meet(2.0, A, B, BUY, AT + 9, 10)
    one = told(tape)
    assert one is not None
    assert one.paid == 0
