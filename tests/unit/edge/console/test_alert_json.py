"""Alerts as the pages and GET /surveillance/alerts have them: of this version, and of version 0.2."""

from typing import Any

from support.records.alert_records import whole
from support.records.watch_tape import BUY, INSTRUMENTS, Tape

from edge.console.alert_json import alert_json
from edge.gateway.analysts.book_replays import _place_of
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


def over_two_books() -> dict[str, Any]:
    """An alert of the second stage: its source is a fact, its evidence is in two books."""
    seen = {"role": "SHOWN", "side": "BUY", "qty": 5, "traded_qty": 0, "placed_at": 1, "ended_at": 2, "account": 3, "trd_match_id": 0}
    return whole(OLD) | {
        "pattern": "CROSS_BOOK", "instrument": 1, "source": "party.facts/0@900",
        "evidence": [
            seen | {"order_id": 1, "price": 500, "seq": 4, "offset": 40, "place": "executions/1", "instrument": 2},
            seen | {"order_id": 2, "price": 17_999, "seq": 9, "offset": 90, "place": "executions/0", "instrument": 1},
            seen | {"order_id": 3, "price": 17_998, "seq": 7, "offset": 70, "place": "executions/0", "instrument": 1},
        ],
    }  # fmt: skip


def test_evidence_of_another_book_is_in_that_books_units_and_place() -> None:
    """Each order names its symbol and the record where it is."""
    shown = alert_json(over_two_books(), INSTRUMENTS)["evidence"]
    other, own = INSTRUMENTS.by_number[2], INSTRUMENTS.by_number[1]
    assert [(one["symbol"], one["topic"], one["partition"], one["offset"]) for one in shown] == [
        (other.symbol, "executions", 1, 40), (own.symbol, "executions", 0, 90), (own.symbol, "executions", 0, 70),
    ]  # fmt: skip
    assert shown[0]["price"] == other.price_text(500)


def test_the_book_around_an_alert_is_read_where_its_own_evidence_is() -> None:
    """Not where the fact is that completed it, and not in the other book."""
    alert = over_two_books()
    assert _place_of(alert) == (("executions", 0), 70, 90)
    assert _place_of(alert | {"instrument": 2}) == (("executions", 1), 40, 40)
    assert _place_of(alert | {"evidence": []}) is None
    assert _place_of(whole(OLD)) == (("executions", 0), 7, 7), "an alert of one book is read up to its frame"
