"""Market data: every trade, the newest quote and level of a frame, and bars that close by log time."""

import numpy as np
import pytest

from matchers.market_data import MINUTE_NS, MarketData
from schemas.codec import FRAMES
from schemas.enums import ExecFlag, ExecKind, MarketDataKind, Phase, Side
from schemas.reject_reasons import Reason

START = 1_700_000_040 * 1_000_000_000  # a whole minute


def executions(*rows: dict) -> np.ndarray:
    """Rows of execution_frame from dictionaries."""
    out = np.zeros(len(rows), FRAMES["execution_frame"].dtype)
    for index, row in enumerate(rows):
        for name, value in {"instrument": 1, "transact_time": START, **row}.items():
            out[name][index] = value
    return out


def trade(price: int, qty: int, at: int = START, **more) -> dict:
    """A TRADE row."""
    return {"kind": ExecKind.TRADE, "side": Side.BUY, "price": price, "qty": qty, "transact_time": at, "trd_match_id": price, **more}


def status(phase: Phase, **more) -> dict:
    """A SECURITY_STATUS row."""
    return {"kind": ExecKind.SECURITY_STATUS, "phase": phase, **more}


def test_every_trade_is_told_in_order_with_a_dense_sequence_per_instrument():
    """Trades are never conflated."""
    view = MarketData(3)
    rows = view.apply(executions(trade(100, 5), trade(101, 6), trade(50, 1, instrument=2)))
    assert rows["kind"].tolist() == [MarketDataKind.TRADE] * 3
    assert rows["seq"].tolist() == [1, 2, 1]
    assert rows["price"].tolist() == [100, 101, 50]


def test_quotes_and_levels_are_conflated_to_the_newest_of_a_frame():
    """A frame of many changes tells each level once and each instrument's quote once."""
    view = MarketData(3)
    top = {"kind": ExecKind.TOP, "side": Side.BUY, "price": 100, "qty": 5}
    rows = view.apply(
        executions(
            top, {**top, "qty": 7}, {"kind": ExecKind.TOP, "side": Side.SELL, "price": 102, "qty": 1},
            {"kind": ExecKind.LEVEL, "side": Side.BUY, "price": 100, "qty": 5, "order_count": 1},
            {"kind": ExecKind.LEVEL, "side": Side.BUY, "price": 100, "qty": 7, "order_count": 2},
        )
    )  # fmt: skip
    (level,) = rows[rows["kind"] == MarketDataKind.LEVEL]
    (quote,) = rows[rows["kind"] == MarketDataKind.QUOTE]
    assert (level["qty"], level["order_count"]) == (7, 2)
    assert (quote["bid_px"], quote["bid_qty"], quote["ask_px"], quote["ask_qty"]) == (100, 7, 102, 1)


def test_a_bar_closes_when_time_passes_its_minute_and_holds_its_trades():
    """Open, high, low, close, volume and notional of one minute; the clock's TIME row is enough to close it."""
    view = MarketData(3)
    view.apply(executions(trade(100, 5), trade(90, 1, START + 1), trade(110, 2, START + MINUTE_NS - 1)))
    rows = view.apply(executions({"kind": ExecKind.TIME, "instrument": 0, "transact_time": START + MINUTE_NS}))
    (bar,) = rows
    assert bar["kind"] == MarketDataKind.BAR
    assert [int(bar[name]) for name in ("open_px", "high_px", "low_px", "price", "qty", "order_count")] == [100, 110, 90, 110, 8, 3]
    assert int(bar["notional"]) == 100 * 5 + 90 + 220
    assert int(bar["transact_time"]) == START


def test_a_minute_without_a_trade_has_no_bar():
    """Nothing is made up."""
    view = MarketData(3)
    assert len(view.apply(executions({"kind": ExecKind.TIME, "transact_time": START + 10 * MINUTE_NS}))) == 0


@pytest.mark.parametrize("phase", list(Phase))
def test_every_phase_is_told_with_its_reason(phase: Phase):
    """Clients see the market open, halt and close, and why."""
    (row,) = MarketData(3).apply(executions(status(phase, reason=Reason.REGULATORY_HALT)))
    assert (row["kind"], row["phase"], row["reason"]) == (MarketDataKind.STATUS, phase, Reason.REGULATORY_HALT)


def test_trades_of_an_uncross_have_no_aggressor_and_name_their_auction():
    """Also when the next phase has been told already; a trade of continuous trading names none."""
    view = MarketData(3)
    view.apply(executions(status(Phase.OPENING_AUCTION), status(Phase.CONTINUOUS)))
    rows = view.apply(executions(trade(100, 5, flags=ExecFlag.UNCROSS | ExecFlag.SELF_MATCH), trade(101, 1)))
    assert rows["phase"].tolist() == [Phase.OPENING_AUCTION, 0]
    assert rows["side"].tolist() == [0, Side.BUY]


def test_the_newest_indicative_price_of_a_frame_is_told_unless_its_phase_is_over():
    """One instrument goes on, of the other the uncross comes in the same frame."""
    view = MarketData(3)
    indicative = {"kind": ExecKind.AUCTION_INDICATIVE, "side": Side.SELL, "price": 100, "qty": 5, "leaves_qty": 2}
    (row,) = view.apply(
        executions(indicative, {**indicative, "qty": 7}, {**indicative, "instrument": 2}, status(Phase.CONTINUOUS, instrument=2))
    )[1:]
    assert [int(row[name]) for name in ("kind", "instrument", "price", "qty", "side", "imbalance_qty", "seq")] == [
        MarketDataKind.AUCTION, 1, 100, 7, Side.SELL, 2, 1,
    ]  # fmt: skip


def test_both_bands_are_told_when_one_moves_and_survive_a_snapshot():
    """A reader that comes late needs no earlier row."""
    view = MarketData(3)
    upper, lower = ({"kind": ExecKind.PRICE_BAND, "side": side, "price": price} for side, price in ((Side.BUY, 110), (Side.SELL, 90)))
    (both,) = view.apply(executions(upper, lower))
    (moved,) = MarketData.restore(view.snapshot()).apply(executions({**upper, "price": 120, "reason": Reason.LIMIT_STATE}))
    assert [(int(row["high_px"]), int(row["low_px"]), int(row["seq"])) for row in (both, moved)] == [(110, 90, 1), (120, 90, 2)]
    assert moved["reason"] == Reason.LIMIT_STATE


def test_the_end_of_continuous_trading_takes_the_bands_away():
    """Books do not say so; a pause does."""
    view = MarketData(3)
    view.apply(executions({"kind": ExecKind.PRICE_BAND, "side": Side.BUY, "price": 110}))
    rows = view.apply(executions(status(Phase.VOLATILITY_AUCTION, reason=Reason.LULD_PAUSE)))
    assert rows["kind"].tolist() == [MarketDataKind.STATUS, MarketDataKind.BAND]
    assert (int(rows["high_px"][1]), int(rows["reason"][1])) == (0, Reason.LULD_PAUSE)
    assert len(view.apply(executions(status(Phase.HALTED)))) == 1


def test_an_indicative_price_outlives_the_change_from_one_call_phase_to_the_next():
    """The books say it again only when it changes."""
    indicative = {"kind": ExecKind.AUCTION_INDICATIVE, "price": 100, "qty": 5}
    rows = MarketData(3).apply(executions(status(Phase.PRE_OPEN), indicative, status(Phase.OPENING_AUCTION)))
    assert rows["kind"].tolist() == [MarketDataKind.STATUS, MarketDataKind.STATUS, MarketDataKind.AUCTION]


def test_a_busted_trade_is_told_by_its_number():
    """Its price and quantity come with it, so that nobody has to remember trades."""
    bust = {"kind": ExecKind.TRADE_BUSTED, "trd_match_id": 9, "price": 100, "qty": 5, "reason": Reason.CLEARLY_ERRONEOUS}
    (row,) = MarketData(3).apply(executions(bust))
    assert [int(row[name]) for name in ("kind", "trd_match_id", "price", "qty", "reason", "seq")] == [
        MarketDataKind.TRADE_BUST, 9, 100, 5, Reason.CLEARLY_ERRONEOUS, 1,
    ]  # fmt: skip


@pytest.mark.parametrize("kind", list(ExecKind))
def test_orders_of_single_accounts_are_nobodys_business(kind: ExecKind):
    """Whatever a book decides about an order, the public sees prices, trades and phases, never an order or an account."""
    private = (ExecKind.NEW, ExecKind.CANCELED, ExecKind.EXPIRED, ExecKind.REJECTED, ExecKind.CANCEL_REJECTED, ExecKind.REPLACED,
               ExecKind.TRIGGERED, ExecKind.RESTATED)  # fmt: skip
    told = MarketData(3).apply(executions({"kind": kind, "order_id": 5, "side": Side.BUY, "price": 100, "qty": 1}))
    assert len(told) == (0 if kind in (*private, ExecKind.TIME) else 1)


def test_a_restored_view_continues_as_if_nothing_had_been():
    """Snapshot in the middle of a minute."""
    before, straight = MarketData(3), MarketData(3)
    first, second = executions(trade(100, 5)), executions(trade(120, 1, START + MINUTE_NS))
    before.apply(first)
    straight.apply(first)
    after = MarketData.restore(before.snapshot())
    assert (after.apply(second) == straight.apply(second)).all()
    assert after.state_hash() == straight.state_hash()
