"""Market data: every trade, the newest quote and level of a frame, and bars that close by log time."""

import numpy as np

from matchers.market_data import MINUTE_NS, MarketData
from schemas.codec import FRAMES
from schemas.enums import ExecKind, MarketDataKind, Phase, Side

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


def test_the_phase_is_told():
    """Clients see the market open."""
    (row,) = MarketData(3).apply(executions({"kind": ExecKind.SECURITY_STATUS, "phase": Phase.CONTINUOUS}))
    assert (row["kind"], row["phase"]) == (MarketDataKind.STATUS, Phase.CONTINUOUS)


def test_a_restored_view_continues_as_if_nothing_had_been():
    """Snapshot in the middle of a minute."""
    before, straight = MarketData(3), MarketData(3)
    first, second = executions(trade(100, 5)), executions(trade(120, 1, START + MINUTE_NS))
    before.apply(first)
    straight.apply(first)
    after = MarketData.restore(before.snapshot())
    assert (after.apply(second) == straight.apply(second)).all()
    assert after.state_hash() == straight.state_hash()
