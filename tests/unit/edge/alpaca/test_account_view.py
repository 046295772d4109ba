"""The edge's view of an account, made from reply rows, and the events that it tells."""

import json

import numpy as np
import pytest
from support.edge_parts import reply

from edge.alpaca.accounts.account_json import account_json
from edge.alpaca.order_words import EVENT_TEXT
from edge.alpaca.orders.trade_updates import trade_update
from edge.gateway.accounts.reply_rows import reply_rows
from edge.gateway.accounts.view import AccountView, OrderEvent, OrderUpdate, ReplyRow
from edge.gateway.limits import DONE_ORDERS_PER_VIEW_MAX
from edge.gateway.market.view import MarketRow, MarketView
from schemas.codec import FRAMES, Header, decode_frame, encode_frame
from schemas.enums import AccountEventKind as Kind
from schemas.enums import AccountStatus, ContingencyType, MarketDataKind, OrdStatus
from schemas.instruments import load_instruments
from schemas.reject_reasons import Reason

INSTRUMENTS = load_instruments(None)


def events_of(view: AccountView, *rows: ReplyRow) -> list[str]:
    """What the stream tells."""
    told = [view.apply(row, "a") for row in rows]
    return [EVENT_TEXT[update.event] for update in told if update is not None]


def test_an_order_goes_from_new_to_filled_and_stays_findable() -> None:
    """Money, shares and order are those of the last row."""
    view = AccountView(1)
    part = reply(
        Kind.TRADE, ord_status=OrdStatus.PARTIALLY_FILLED, leaves_qty=6, cum_qty=4, position=4, position_cost=9, cash=900, cash_held=300
    )
    full = reply(
        Kind.TRADE,
        ord_status=OrdStatus.FILLED,
        leaves_qty=0,
        cum_qty=10,
        position=10,
        position_cost=22,
        cash=500,
        cash_held=0,
        transact_time=300,
    )
    assert events_of(view, reply(Kind.ACCEPTED), part, full) == ["new", "partial_fill", "fill"]
    order = view.find(5)
    assert order is not None
    assert (order.leaves_qty, order.cum_qty, order.filled_at, order.is_done) == (0, 10, 300, True)
    assert (view.cash, view.cash_held, view.positions[1].qty, view.open_orders) == (500, 0, 10, {})
    assert view.find_by_cl_ord_id("a") is order


def test_a_row_applied_twice_changes_nothing() -> None:
    """Rows are absolute."""
    rows = [reply(Kind.ACCEPTED), reply(Kind.TRADE, ord_status=OrdStatus.PARTIALLY_FILLED, leaves_qty=6, cum_qty=4, position=4)]
    once, twice = AccountView(1), AccountView(1)
    for row in rows:
        once.apply(row, "a")
        twice.apply(row, "a")
        twice.apply(row, "a")
    assert once == twice


@pytest.mark.parametrize(
    ("kind", "status", "event", "stamp"),
    [(Kind.CANCELED, OrdStatus.CANCELED, "canceled", "canceled_at"), (Kind.EXPIRED, OrdStatus.EXPIRED, "expired", "expired_at"),
     (Kind.BOOK_REJECTED, OrdStatus.REJECTED, "rejected", "failed_at"), (Kind.CANCEL_PENDING, OrdStatus.PENDING_CANCEL, "pending_cancel", ""),
     (Kind.CANCEL_REJECTED, OrdStatus.NEW, "order_cancel_rejected", "")],
)  # fmt: skip
def test_each_event_has_alpacas_name_and_sets_its_time(kind: Kind, status: OrdStatus, event: str, stamp: str) -> None:
    """And its message names the reason."""
    view = AccountView(1)
    view.apply(reply(Kind.ACCEPTED), "a")
    update = view.apply(reply(kind, ord_status=status, reason=Reason.REQUESTED_BY_CUSTOMER, transact_time=200), "a")
    assert isinstance(update, OrderUpdate)
    assert EVENT_TEXT[update.event] == event
    assert not stamp or getattr(update.order, stamp) == 200
    message = json.loads(trade_update(update, INSTRUMENTS))
    assert message["data"]["reason"] == "REQUESTED_BY_CUSTOMER"
    assert message["data"]["order"]["client_order_id"] == "a"


def test_a_refused_order_and_a_cancel_of_an_unknown_one_make_no_order() -> None:
    """The customer's mistake must not appear as an order of his."""
    view = AccountView(1)
    assert events_of(view, reply(Kind.REJECTED, reason=Reason.INSUFFICIENT_SHARES, order_id=0, submitted_at=0)) == []
    assert events_of(view, reply(Kind.CANCEL_REJECTED, reason=Reason.UNKNOWN_ORDER, order_id=77, submitted_at=0)) == []
    assert list(view.orders()) == []


def test_a_cancel_that_is_refused_at_once_is_an_answer_and_no_event() -> None:
    """The client that asked gets 422; the stream stays silent, as Alpaca's does."""
    view = AccountView(1)
    view.apply(reply(Kind.ACCEPTED), "a")
    view.apply(reply(Kind.CANCELED, ord_status=OrdStatus.CANCELED, leaves_qty=0), "a")
    late = reply(Kind.CANCEL_REJECTED, ord_status=OrdStatus.CANCELED, leaves_qty=0, reason=Reason.TOO_LATE_TO_CANCEL, request_id=9)
    assert events_of(view, late) == []


def test_a_registration_replaces_everything_but_keeps_done_orders() -> None:
    """What the snapshot does not name is no longer so."""
    view = AccountView(1)
    view.apply(reply(Kind.ACCEPTED), "gone")
    view.apply(reply(Kind.ACCEPTED, order_id=6), "done")
    view.apply(reply(Kind.CANCELED, order_id=6, ord_status=OrdStatus.CANCELED), "done")
    view.apply(reply(Kind.POSITION_STATE, instrument=2, position=7, position_held=1), "")
    view.apply(reply(Kind.ORDER_STATE, order_id=8), "open")
    view.apply(reply(Kind.SESSION_REGISTERED, cash=5, cash_held=1, order_id=0), "")
    assert sorted(view.open_orders) == [8]
    assert {number: position.qty for number, position in view.positions.items()} == {2: 7}
    assert view.find_by_cl_ord_id("gone") is None
    assert view.find_by_cl_ord_id("done") is view.find(6)
    assert (view.cash, view.cash_held) == (5, 1)


def test_done_orders_are_forgotten_oldest_first() -> None:
    """Nothing grows without bound."""
    view = AccountView(1)
    for number in range(1, DONE_ORDERS_PER_VIEW_MAX + 3):
        view.apply(reply(Kind.CANCELED, order_id=number, ord_status=OrdStatus.CANCELED), f"id-{number}")
    assert len(view.done_orders) == DONE_ORDERS_PER_VIEW_MAX
    assert view.find(1) is None
    assert view.find_by_cl_ord_id("id-1") is None
    assert view.find(3) is not None


def test_reply_rows_survive_the_wire() -> None:
    """Frame bytes to named integers and text."""
    rows = np.zeros(2, FRAMES["account_event_frame"].dtype)
    rows["kind"], rows["order_id"], rows["cash"] = Kind.TRADE, [1 << 50, 2], [-5, 6]
    frame = decode_frame(encode_frame("account_event_frame", Header("x"), rows, np.array([b"abc", b""])))
    assert [(row.order_id, row.cash, text) for row, text in reply_rows(frame)] == [(1 << 50, -5, "abc"), (2, 6, "")]


def test_a_list_begins_held_and_its_orders_are_new_once_the_first_is_done() -> None:
    """Alpaca's events of a bracket; the first order finds the others."""
    view = AccountView(1)
    bracket = {"list_id": 5, "contingency_type": ContingencyType.BRACKET}
    accepted = [reply(Kind.ACCEPTED, order_id=number, **bracket) for number in (5, 6, 7)]
    assert events_of(view, *accepted) == ["new", "held", "held"]
    assert [one.order_id for one in view.list_of(view.open_orders[5])] == [6, 7]
    assert view.list_of(view.open_orders[6]) == []
    filled = reply(Kind.TRADE, ord_status=OrdStatus.FILLED, leaves_qty=0, cum_qty=10, **bracket)
    woken = [reply(Kind.TRIGGERED, order_id=number, **bracket) for number in (6, 7)]
    assert events_of(view, filled, *woken) == ["fill", "new", "new"]
    elected = reply(Kind.TRIGGERED, order_id=7, **bracket)
    assert events_of(view, elected) == ["triggered"], "the stop-loss is elected: no longer held, so it is not new"


def test_a_registration_knows_which_orders_of_a_list_wait() -> None:
    """Those whose first order is open, in whatever order the rows come."""
    view = AccountView(1)
    listed = {"list_id": 5, "contingency_type": ContingencyType.OTO}
    for number in (6, 5):
        view.apply(reply(Kind.ORDER_STATE, order_id=number, **listed), f"o{number}")
    view.apply(reply(Kind.ORDER_STATE, order_id=9, list_id=8, contingency_type=ContingencyType.OTO), "woken")
    view.apply(reply(Kind.SESSION_REGISTERED, order_id=0), "")
    assert {number: order.is_held for number, order in view.open_orders.items()} == {5: False, 6: True, 9: False}


def test_an_order_answers_to_the_client_order_id_that_its_replace_gave_it() -> None:
    """From the book's word on, not before; the former id is no order's."""
    view = AccountView(1)
    view.apply(reply(Kind.ACCEPTED), "a")
    view.apply(reply(Kind.REPLACE_PENDING, ord_status=OrdStatus.PENDING_REPLACE, request_id=3), "a")
    assert view.find_by_cl_ord_id("b") is None
    update = view.apply(reply(Kind.REPLACED, transact_time=400), "b")
    assert update is not None and (update.event, update.order.cl_ord_id) == (OrderEvent.REPLACED, "b")
    assert view.find_by_cl_ord_id("b") is view.open_orders[5]
    assert view.find_by_cl_ord_id("a") is None
    view.apply(reply(Kind.CANCELED, ord_status=OrdStatus.CANCELED, leaves_qty=0), "b")
    assert view.find_by_cl_ord_id("b") is view.done_orders[5]


def test_a_replace_changes_the_order_and_a_refused_one_is_told_as_such() -> None:
    """pending_replace keeps the old columns; the book's no is no refused cancel."""
    view = AccountView(1)
    pending = reply(Kind.REPLACE_PENDING, ord_status=OrdStatus.PENDING_REPLACE, request_id=3)
    done = reply(Kind.REPLACED, order_qty=12, leaves_qty=12, price=11_000, stop_px=9, display_qty=2, expire_time=77, transact_time=400)
    refused = reply(Kind.CANCEL_REJECTED, order_qty=12, leaves_qty=12, price=11_000, reason=Reason.REDUCE_ONLY)
    assert events_of(view, reply(Kind.ACCEPTED), pending) == ["new", "pending_replace"]
    assert view.open_orders[5].price == 10_000
    assert events_of(view, done) == ["replaced"]
    order = view.open_orders[5]
    assert (order.order_qty, order.price, order.stop_px, order.display_qty, order.expire_time) == (12, 11_000, 9, 2, 77)
    assert (order.replaced_at, order.replace_pending) == (400, False)
    assert events_of(view, pending, refused) == ["pending_replace", "order_replace_rejected"]
    assert events_of(view, reply(Kind.CANCEL_PENDING, ord_status=OrdStatus.PENDING_CANCEL), refused) == [
        "pending_cancel",
        "order_cancel_rejected",
    ]


def test_a_restatement_and_a_bust_are_told_with_their_reason() -> None:
    """The order has its new columns; a bust changes money and shares and leaves the order."""
    view = AccountView(1)
    restated = reply(Kind.RESTATED, order_qty=8, leaves_qty=8, reason=Reason.SELF_MATCH_PREVENTION)
    assert events_of(view, reply(Kind.ACCEPTED), restated) == ["new", "restated"]
    assert view.open_orders[5].order_qty == 8
    bust = reply(Kind.TRADE_BUSTED, order_qty=0, leaves_qty=0, submitted_at=0, cash=77, trd_match_id=3, last_px=9_000, last_qty=2,
                 reason=Reason.CLEARLY_ERRONEOUS)  # fmt: skip
    update = view.apply(bust, "")
    assert update is not None
    told = json.loads(trade_update(update, INSTRUMENTS))["data"]
    assert (told["event"], told["price"], told["qty"], told["trd_match_id"], told["reason"]) == (
        "trade_bust", "90", "2", 3, "CLEARLY_ERRONEOUS",
    )  # fmt: skip
    assert (view.cash, view.open_orders[5].order_qty) == (77, 8)
    assert view.apply(reply(Kind.TRADE_BUSTED, order_id=99, submitted_at=0), "") is None


def test_a_suspended_account_is_blocked_and_free_again() -> None:
    """GET /v2/account says so."""
    view, market = AccountView(1), MarketView(INSTRUMENTS)
    seen = []
    for status in (AccountStatus.SUSPENDED, AccountStatus.KILLED, AccountStatus.ACTIVE):
        assert view.apply(reply(Kind.ACCOUNT_STATUS_CHANGED, order_id=0, account_word=status), "") is None
        seen.append(account_json(view, market)["trading_blocked"])
    assert seen == [True, True, False]


def test_an_edge_that_was_restarted_hears_with_the_registration_that_the_account_is_suspended() -> None:
    """It was not there when that was decided."""
    view = AccountView(1)
    view.apply(reply(Kind.SESSION_REGISTERED, order_id=0, account_word=AccountStatus.SUSPENDED), "")
    assert account_json(view, MarketView(INSTRUMENTS))["trading_blocked"]


def told(kind: MarketDataKind, seq: int, **values: int) -> MarketRow:
    """A row about AAPL."""
    return MarketRow(
        **{**dict.fromkeys(MarketRow._fields, 0), "instrument": 1, "kind": int(kind), "seq": seq, "transact_time": 10**18, **values}
    )
