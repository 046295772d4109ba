"""Alerts as the pages and GET /surveillance/alerts have them: of this version, and of version 0.2."""

from support.records.alert_records import whole
from support.records.watch_tape import BUY, INSTRUMENTS, Tape

from edge.console.alert_json import alert_json
from schemas.ids import account_uuid
from surveillance.detectors.wash_trade import WashTradeDetector

OLD = {
    "alert_id": "layering-00ff", "pattern": "LAYERING", "instrument": 1, "symbol": "AAPL", "account": 3, "side": "BUY", "score": 0.97,
    "explanation": "Said in one text.", "window_start": 1, "window_end": 2, "detected_at": 2, "source": "executions/0@7",
    "evidence": [{"role": "LAYER", "order_id": 1, "side": "BUY", "price": 17_999, "qty": 5, "traded_qty": 0, "placed_at": 1, "ended_at": 0}],
}  # fmt: skip


def test_an_alert_of_version_0_2_is_whole() -> None:
    """Its text is its one step, its account the only one; what it never said is empty and not wrong. Stored rows lack the places too."""
    for alert in (whole(OLD), {**whole(OLD), "evidence": OLD["evidence"]}):
        shown = alert_json(alert, INSTRUMENTS)
        assert (shown["steps"], shown["accounts"], shown["account_ids"]) == (["Said in one text."], [3], [account_uuid(3)])
        assert (shown["status"], shown["revision"], shown["severity"], shown["rule_refs"], shown["counterfactual"]) == (
            "CLOSED",
            1,
            "",
            [],
            "",
        )
        assert shown["revised_at"] == shown["detected_at"]
        assert shown["evidence_total"] == 1
        (layer,) = shown["evidence"]
        assert (layer["topic"], layer["partition"], layer["offset"], layer["seq"], layer["account"]) == ("executions", 0, None, None, None)


def test_an_alert_of_this_version_says_where_its_evidence_is() -> None:
    """Order, account, trade and place in the log."""
    tape = Tape()
    for at in (0.0, 1.0):
        tape.meet(at, 7, 7, BUY, 18_000, 5)
    (alert,) = tape.alerts(WashTradeDetector)
    shown = alert_json(whole(alert), INSTRUMENTS)
    assert (shown["severity"], shown["occurrences"], len(shown["steps"])) == ("MEDIUM", 1, 3)
    taker, maker = shown["evidence"]
    assert (taker["role"], taker["account"], taker["trade_id"], taker["seq"], taker["offset"]) == ("TAKER", 7, 6, 6, 0)
    assert (maker["side"], maker["price"], maker["order_number"]) == ("sell", "180", 3)
