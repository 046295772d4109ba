"""A pattern is a detector of its own: the watch calls what it wants, keeps its arrays apart and reports what it finds."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from schemas.codec import FRAMES, decode_record, encode_record
from schemas.enums import ExecKind, OrdType, Side, TimeInForce
from schemas.instruments import load_instruments
from surveillance import EpisodeRules, LayeringDetector, Place, TradingWatch
from surveillance.contract import Arrays, Detector, Evidence, Finding
from surveillance.orders import TrackedOrder

INSTRUMENTS = load_instruments(None)


class EveryThird(Detector):
    """Every third new order of anybody is suspicious."""

    name = "every_third"

    def __init__(self, tracker: Any, market: Any) -> None:
        super().__init__(tracker, market)
        self.count = 0

    def placed(self, order: TrackedOrder, now: int) -> Sequence[Finding]:
        """Counts."""
        self.count += 1
        if self.count % 3:
            return ()
        evidence = Evidence("ORDER", order.order_id, order.side, order.price, order.order_qty, 0, order.placed_at, 0)
        return (
            Finding(
                "EVERY_THIRD", order.instrument, order.account, order.side, (order.order_id,), 500, now,
                lambda instrument: (f"{instrument.qty_text(order.order_qty)} {instrument.symbol}",), (evidence,),
            ),
        )  # fmt: skip

    def snapshot(self) -> dict[str, Any]:
        """The count, under a name that another detector may use too."""
        return {"attempts": np.array([self.count], "<u8")}

    def restore(self, arrays: Arrays) -> None:
        """The count."""
        self.count = int(arrays["attempts"][0])


BOTH = (LayeringDetector, EveryThird)


def new_orders(count: int) -> Any:
    """Rows of executions."""
    rows = np.zeros(count, FRAMES["execution_frame"].dtype)
    rows["kind"], rows["ord_type"], rows["time_in_force"], rows["side"] = ExecKind.NEW, OrdType.LIMIT, TimeInForce.DAY, Side.BUY
    rows["order_id"], rows["transact_time"] = np.arange(1, count + 1), np.arange(1, count + 1)
    rows["instrument"], rows["account"], rows["price"], rows["qty"] = 1, 7, 100, 5
    return rows


def test_a_detector_that_nobody_named_before_raises_whole_alerts() -> None:
    """Each can be written as the schema says, and reads back equal."""
    alerts = TradingWatch(INSTRUMENTS, BOTH, rules=EpisodeRules(quiet_ns=1, revise_ns=0)).apply(new_orders(7), Place(first_seq=1))
    alerts = [one for one in alerts if one["revision"] == 1]
    assert [(alert["pattern"], alert["evidence"][0]["order_id"], alert["explanation"]) for alert in alerts] == [
        ("EVERY_THIRD", 3, "5 AAPL"),
        ("EVERY_THIRD", 6, "5 AAPL"),
    ]
    assert [decode_record(encode_record("alert", alert))[1] for alert in alerts] == alerts
    assert len({alert["alert_id"] for alert in alerts}) == 2


def test_detectors_keep_their_arrays_apart_and_come_back() -> None:
    """Both have one called attempts."""
    rows = new_orders(7)
    whole, watch = TradingWatch(INSTRUMENTS, BOTH), TradingWatch(INSTRUMENTS, BOTH)
    expected = whole.apply(rows, Place(first_seq=1))
    alerts = watch.apply(rows[:5], Place(first_seq=1))
    arrays = {name: array.copy() for name, array in watch.snapshot().items()}
    assert {"layering.attempts", "every_third.attempts"} <= arrays.keys()
    watch = TradingWatch.restore(INSTRUMENTS, arrays, BOTH)
    assert alerts + watch.apply(rows[5:], Place(first_seq=6)) == expected
    assert watch.state_hash() == whole.state_hash()
