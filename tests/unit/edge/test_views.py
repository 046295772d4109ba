"""The edge's views: accounts from replies, prices from market data, the subscription protocol, waiting requests, sessions."""

import asyncio
import json
from typing import Any

import msgpack
import numpy as np
import pytest
from support.edge_parts import FakeStore, OneQueue, reply

from edge.alpaca.account_json import account_json
from edge.alpaca.market_messages import channel_of, fields_of, json_of, packed_of
from edge.alpaca.order_words import EVENT_TEXT
from edge.alpaca.subscriptions import JSON, MSGPACK, MarketClient, selected
from edge.alpaca.trade_updates import trade_update
from edge.gateway.account_view import AccountView, OrderEvent, OrderUpdate, ReplyRow
from edge.gateway.accounts import Accounts
from edge.gateway.command_frames import Command, encode_commands
from edge.gateway.limits import DONE_ORDERS_PER_VIEW_MAX, RATE_LIMIT_PER_MINUTE
from edge.gateway.market_calendar import CLOSE, NEW_YORK, OPEN, next_at
from edge.gateway.market_view import MarketRow, MarketView
from edge.gateway.outcomes import Accepted, Cause, Denied, OutcomeUnknown, Unavailable
from edge.gateway.pending_requests import PendingRequests
from edge.gateway.rate_limits import TokenBucket
from edge.gateway.reply_rows import reply_rows
from edge.gateway.sessions import Sessions
from edge.gateway.source_filter import SourceFilter
from schemas.codec import FRAMES, Header, decode_frame, encode_frame
from schemas.enums import AccountEventKind as Kind
from schemas.enums import AccountStatus, CommandKind, ContingencyType, MarketDataKind, OrdStatus, Phase, Side
from schemas.instruments import load_instruments
from schemas.reject_reasons import SENTENCES, Reason
from topics.catalogue import EDGE_REPLIES
from topics.sources import sources_of

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


def asked() -> tuple[Accounts, OneQueue]:
    """Accounts and the queue of what they send."""
    accounts, queue = Accounts(PendingRequests(60_000, lambda: 1), lambda: 1), OneQueue()
    accounts.producer = queue  # type: ignore[assignment]  # the two methods that Accounts calls
    return accounts, queue


async def test_a_list_is_one_command_with_legs_and_has_an_answer_for_each() -> None:
    """They stay together in the frame, under one list_id."""
    accounts, queue = asked()
    waiting = asyncio.create_task(accounts.decide_list(1, [{"cl_ord_id": name} for name in (b"a", b"b", b"c")]))
    await asyncio.sleep(0)
    (command,) = queue.commands
    frame = decode_frame(encode_commands([command], "edge-0", 1, 0, 9), "order_command_frame")
    assert frame.cl_ord_id is not None
    assert frame.cl_ord_id.tolist() == [b"a", b"b", b"c"]
    assert set(frame.rows["list_id"].tolist()) == {command.request_id}
    ids = frame.rows["request_id"].tolist()
    accounts.take_rows(iter([(reply(Kind.ACCEPTED, request_id=one, order_id=one), "") for one in ids]))
    answers = await waiting
    assert isinstance(answers, list)
    assert [answer.row.order_id for answer in answers] == ids


async def test_a_list_that_could_not_be_sent_ends_every_wait() -> None:
    """None of its orders is left waiting."""
    accounts, queue = asked()
    waiting = asyncio.create_task(accounts.decide_list(1, [{}, {}]))
    await asyncio.sleep(0)
    accounts.pending.give_up(queue.commands[0], TimeoutError("x"))
    assert await waiting == OutcomeUnknown(CommandKind.NEW_ORDER)
    assert (len(accounts.pending), queue.commands[0].abandoned) == (0, True)


ENDINGS = [
    (reply(Kind.REPLACED), True),
    (reply(Kind.CANCEL_REJECTED, reason=Reason.REDUCE_ONLY), True),
    (reply(Kind.CANCELED, ord_status=OrdStatus.CANCELED, reason=Reason.REPLACED_TO_NOTHING), True),
    (reply(Kind.TRADE, ord_status=OrdStatus.FILLED, leaves_qty=0), False),
    (reply(Kind.CANCELED, ord_status=OrdStatus.CANCELED, reason=Reason.MASS_CANCEL), False),
    (reply(Kind.CANCEL_REJECTED, ord_status=OrdStatus.PENDING_REPLACE, reason=Reason.REPLACE_ALREADY_PENDING), False),
    (reply(Kind.REPLACED, order_id=6), False),
]


@pytest.mark.parametrize(("row", "ends"), ENDINGS)
async def test_a_replace_waits_for_the_books_word_on_it(row: ReplyRow, ends: bool) -> None:
    """Not for another order's, a trade, or a refusal of somebody else's request."""
    accounts, queue = asked()
    waiting = asyncio.create_task(accounts.replace(1, 0.05, order_id=5))
    await asyncio.sleep(0)
    accounts.take_rows(iter([(reply(Kind.REPLACE_PENDING, request_id=queue.commands[0].request_id), ""), (row, "")]))
    outcome = await waiting
    assert isinstance(outcome, tuple)
    answer, decided = outcome
    assert answer.row.kind == Kind.REPLACE_PENDING
    assert decided == (row if ends else None)


def test_commands_become_one_frame() -> None:
    """Columns and ids as they were given."""
    commands = [Command(CommandKind.NEW_ORDER, 3, 11, 12, side=1, instrument=2, order_qty=5, price=7, cl_ord_id=b"abc"),
                Command(CommandKind.CANCEL, 4, 12, 13, order_id=9)]  # fmt: skip
    frame = decode_frame(encode_commands(commands, "edge-0", 4, 0, 99), "order_command_frame")
    assert (frame.header.source, frame.header.source_offset, frame.header.reply_partition) == ("edge-0", 4, 0)
    assert frame.rows["request_id"].tolist() == [11, 12]
    assert frame.rows["account"].tolist() == [3, 4]
    assert frame.cl_ord_id is not None
    assert frame.cl_ord_id.tolist() == [b"abc", b""]


def test_a_source_is_heard_once_per_offset_and_index() -> None:
    """A shard that replays says the same again."""
    sources = SourceFilter(sources_of(EDGE_REPLIES, 0, 2))
    heard = [
        sources.is_new(Header("account.commands/0", offset, index), 0) for offset, index in ((1, 0), (1, 1), (1, 0), (0, 5), (2, 0), (2, 0))
    ]
    assert heard == [True, True, False, False, True, False]
    assert sources.is_new(Header("account.commands/1", 0, 0), 0)
    assert sources.dropped == 3


# ---- prices


def told(kind: MarketDataKind, seq: int, **values: int) -> MarketRow:
    """A row about AAPL."""
    return MarketRow(
        **{**dict.fromkeys(MarketRow._fields, 0), "instrument": 1, "kind": int(kind), "seq": seq, "transact_time": 10**18, **values}
    )


def trade(seq: int) -> MarketRow:
    """A trade of 2 at 180.05."""
    return told(MarketDataKind.TRADE, seq, price=18_005, qty=2, side=1, trd_match_id=1_000 + seq)


def test_a_trade_is_the_same_in_json_and_msgpack() -> None:
    """JSON has the exact decimal and nine decimals of a second, msgpack a float and a Timestamp."""
    (message,) = MarketView(INSTRUMENTS).apply([trade(1)])
    assert b'"p":180.05,' in json_of(message)
    as_json, packed = json.loads(json_of(message)), msgpack.unpackb(packed_of(message))
    assert as_json["t"] == "2001-09-09T01:46:40.000000000Z"
    assert packed["t"].to_unix_nano() == 10**18
    assert {name: value for name, value in as_json.items() if name != "t"} == {name: value for name, value in packed.items() if name != "t"}


def test_rows_seen_before_are_dropped_and_missing_ones_counted() -> None:
    """The sequence is dense per instrument and kind."""
    view = MarketView(INSTRUMENTS)
    assert [message.seq for message in view.apply([trade(1), trade(2), trade(2), trade(1), trade(5)])] == [1, 2, 5]
    assert view.gaps == 2
    assert view.symbols["AAPL"].trades_after(1, 10) == (list(view.symbols["AAPL"].trades)[1:], 2)
    assert view.symbols["AAPL"].trades_after(1, 1) == (list(view.symbols["AAPL"].trades)[-1:], 3), "the newest; the others count as missing"


def test_levels_of_a_frame_become_one_book_message() -> None:
    """The last word of each level; zero takes it away."""
    view = MarketView(INSTRUMENTS)
    level = {"side": int(Side.BUY), "price": 100}
    rows = [
        told(MarketDataKind.LEVEL, 1, qty=5, **level),
        told(MarketDataKind.LEVEL, 2, qty=7, **level),
        told(MarketDataKind.LEVEL, 3, qty=1, side=2, price=101),
    ]
    (message,) = view.apply(rows)
    assert json.loads(json_of(message))["b"] == [{"p": 1.0, "s": 7}]
    view.apply([told(MarketDataKind.LEVEL, 4, qty=0, **level)])
    book = view.symbols["AAPL"].book(10)
    assert (book.bids, len(book.asks), book.is_whole) == ((), 1, True)


def test_the_market_is_open_when_a_book_says_so() -> None:
    """By status rows, not by the clock."""
    view = MarketView(INSTRUMENTS)
    assert not view.is_open
    view.apply([told(MarketDataKind.STATUS, 1, phase=int(Phase.CONTINUOUS))])
    assert view.is_open
    view.apply([told(MarketDataKind.STATUS, 2, phase=int(Phase.CLOSED))])
    assert not view.is_open


@pytest.mark.parametrize("phase", list(Phase))
def test_every_phase_is_a_status_message_with_alpacas_code(phase: Phase) -> None:
    """Our own word for the phase comes with it."""
    (message,) = MarketView(INSTRUMENTS).apply([told(MarketDataKind.STATUS, 1, phase=int(phase))])
    told_status = json.loads(json_of(message))
    assert (channel_of(message), told_status["T"], told_status["phase"], told_status["reason"]) == ("statuses", "s", phase.name.lower(), "")
    assert told_status["sc"] in "HQT"


@pytest.mark.parametrize(
    ("phase", "reason", "code", "reason_code"),
    [
        (Phase.VOLATILITY_AUCTION, Reason.LULD_PAUSE, "P", "LUDP"),
        (Phase.HALTED, Reason.REGULATORY_HALT, "H", "H11"),
        (Phase.CONTINUOUS, Reason.LIMIT_STATE, "F", ""),
        (Phase.CONTINUOUS, Reason.LIMIT_STATE_LEFT, "T", ""),
    ],
)
def test_a_status_says_why(phase: Phase, reason: Reason, code: str, reason_code: str) -> None:
    """Code, reason code, the reason in words and by its name."""
    (message,) = MarketView(INSTRUMENTS).apply([told(MarketDataKind.STATUS, 1, phase=int(phase), reason=int(reason))])
    fields = json.loads(json_of(message))
    assert [fields[name] for name in ("sc", "rc", "rm", "reason")] == [code, reason_code, SENTENCES[reason], reason.name]


def test_trades_of_an_auction_are_prints_of_their_auction_without_a_taker() -> None:
    """Opening, closing and re-opening; a market-data client can tell them from the others."""
    view = MarketView(INSTRUMENTS)
    auctions = (Phase.CLOSED, Phase.OPENING_AUCTION, Phase.CLOSING_AUCTION, Phase.VOLATILITY_AUCTION)
    messages = view.apply([trade(n + 1)._replace(phase=int(phase), side=int(phase == Phase.CLOSED)) for n, phase in enumerate(auctions)])
    assert [(fields_of(one)["c"], fields_of(one)["tks"]) for one in messages] == [
        (["@"], "B"),
        (["@", "O"], ""),
        (["@", "6"], ""),
        (["@", "5"], ""),
    ]


def test_bands_are_told_as_luld_messages_with_what_kind_of_update_it_is() -> None:
    """Opening, intraday, suspended by a pause, re-opening, over for today."""
    view = MarketView(INSTRUMENTS)
    some = {"high_px": 18_900, "low_px": 17_100}
    rows = [
        told(MarketDataKind.BAND, 1, **some), told(MarketDataKind.BAND, 2, high_px=19_000, low_px=17_200),
        told(MarketDataKind.STATUS, 1, phase=int(Phase.VOLATILITY_AUCTION)), told(MarketDataKind.BAND, 3),
        told(MarketDataKind.STATUS, 2, phase=int(Phase.CONTINUOUS)), told(MarketDataKind.BAND, 4, **some),
        told(MarketDataKind.STATUS, 3, phase=int(Phase.CLOSING_AUCTION)), told(MarketDataKind.BAND, 5),
    ]  # fmt: skip
    lulds = [json.loads(json_of(message)) for message in view.apply(rows) if channel_of(message) == "lulds"]
    assert [(one["T"], one["u"], one["d"], one["i"]) for one in lulds] == [
        ("l", 189.0, 171.0, "A"), ("l", 190.0, 172.0, "B"), ("l", 0.0, 0.0, "D"), ("l", 189.0, 171.0, "E"), ("l", 0.0, 0.0, "F"),
    ]  # fmt: skip


def test_the_indicative_price_holds_until_its_auction_ends() -> None:
    """Price as at Alpaca; volume, imbalance and its side are ours."""
    view = MarketView(INSTRUMENTS)
    view.apply([told(MarketDataKind.STATUS, 1, phase=int(Phase.OPENING_AUCTION))])
    (message,) = view.apply([told(MarketDataKind.AUCTION, 1, price=18_000, qty=7, side=int(Side.SELL), imbalance_qty=2)])
    fields = json.loads(json_of(message))
    assert (channel_of(message), [fields[name] for name in ("T", "p", "s", "imbalance", "side")]) == ("imbalances", ["i", 180.0, 7, 2, "S"])
    assert view.symbols["AAPL"].auction is message
    view.apply([told(MarketDataKind.STATUS, 2, phase=int(Phase.CONTINUOUS))])
    assert view.symbols["AAPL"].auction is None


def test_quotes_outside_continuous_trading_are_not_firm() -> None:
    """They may be crossed, and nobody trades at them."""
    view = MarketView(INSTRUMENTS)
    conditions = []
    for seq, phase in enumerate((Phase.OPENING_AUCTION, Phase.CONTINUOUS, Phase.HALTED), 1):
        messages = view.apply([told(MarketDataKind.STATUS, seq, phase=int(phase)), told(MarketDataKind.QUOTE, seq, bid_px=1)])
        conditions += [fields_of(message)["c"] for message in messages if channel_of(message) == "quotes"]
    assert conditions == [["N"], ["R"], ["N"]]


def test_a_bust_goes_to_whoever_has_trades_and_again_to_who_resumes() -> None:
    """As at Alpaca, corrections and cancelErrors come with trades."""
    view, client = MarketView(INSTRUMENTS), MarketClient(JSON, authenticated=True)
    (confirmed,) = spoken(client.subscribe({"trades": ["AAPL"]}, view).parts)
    assert confirmed["cancelErrors"] == confirmed["corrections"] == ["AAPL"]
    bust = told(MarketDataKind.TRADE_BUST, 1, price=18_005, qty=2, trd_match_id=1_001, reason=int(Reason.CLEARLY_ERRONEOUS))
    messages = view.apply([trade(1), bust])
    assert [json.loads(json_of(message))["T"] for message in selected(messages, client.wanted)] == ["t", "x"]
    _, again = spoken(client.subscribe({"trades": ["AAPL"], "resume": {"AAPL": 1}}, view).parts)
    assert [again[name] for name in ("T", "i", "p", "s", "a")] == ["x", 1_001, 180.05, 2, "E"]
    assert view.symbols["AAPL"].volume == 0


def test_who_subscribes_to_statuses_bands_or_imbalances_hears_what_holds_now() -> None:
    """Once, and not again with the next subscription."""
    view, client = MarketView(INSTRUMENTS), MarketClient(JSON, authenticated=True)
    view.apply([told(MarketDataKind.STATUS, 1, phase=int(Phase.OPENING_AUCTION)), told(MarketDataKind.BAND, 1, high_px=2, low_px=1)])
    view.apply([told(MarketDataKind.AUCTION, 1, price=18_000)])
    wanted = {"statuses": ["*"], "lulds": ["AAPL"], "imbalances": ["MSFT"]}
    assert [one["T"] for one in spoken(client.subscribe(wanted, view).parts)] == ["subscription", "s", "l"]
    assert [one["T"] for one in spoken(client.subscribe(wanted | {"imbalances": ["*"]}, view).parts)] == ["subscription", "i"]


def spoken(parts: list[bytes]) -> list[Any]:
    """Encoded JSON messages as objects."""
    return [json.loads(part) for part in parts]


def test_a_subscription_grows_shrinks_and_chooses_messages() -> None:
    """Names and "*"."""
    view, client = MarketView(INSTRUMENTS), MarketClient(JSON, authenticated=True)
    (confirmed,) = spoken(client.subscribe({"trades": ["AAPL"], "quotes": ["*"]}, view).parts)
    assert (confirmed["T"], confirmed["trades"], confirmed["quotes"], confirmed["dailyBars"]) == ("subscription", ["AAPL"], ["*"], [])
    messages = view.apply([trade(1), told(MarketDataKind.QUOTE, 1, instrument=2), told(MarketDataKind.TRADE, 1, instrument=2)])
    assert [(channel_of(m), m.symbol) for m in selected(messages, client.wanted)] == [("trades", "AAPL"), ("quotes", "MSFT")]
    (left,) = spoken(client.unsubscribe({"quotes": ["*"], "bars": ["AAPL"]}).parts)
    assert (left["trades"], left["quotes"]) == (["AAPL"], [])


def test_resume_sends_what_was_missed_and_says_what_is_gone() -> None:
    """Trades behind the given sequence, oldest first; a gap is told before them."""
    view, client = MarketView(INSTRUMENTS), MarketClient(JSON, authenticated=True)
    view.apply([trade(4), trade(5), trade(6)])
    _, gap, *missed = spoken(client.subscribe({"trades": ["AAPL"], "resume": {"AAPL": 1}}, view).parts)
    assert (gap["T"], gap["missing"]) == ("gap", 2)
    assert [one["seq"] for one in missed] == [4, 5, 6]
    _, *missed = spoken(client.subscribe({"trades": ["AAPL"], "resume": {"AAPL": 5}}, view).parts)
    assert [one["seq"] for one in missed] == [6]


@pytest.mark.parametrize(
    "message", [{"trades": "AAPL"}, {"trades": [1]}, {"resume": {"AAPL": -1}}, {"resume": {"AAPL": True}}, {"resume": []}]
)
def test_a_malformed_subscription_is_a_syntax_error_and_changes_nothing(message: dict[str, Any]) -> None:
    """Error 400."""
    client = MarketClient(JSON, authenticated=True)
    assert spoken(client.subscribe(message, MarketView(INSTRUMENTS)).parts)[0]["code"] == 400
    assert client.wanted == frozenset()


@pytest.mark.parametrize("data", [b"\xc1", b"", b"\x93\x01", "{", "[]"])
def test_what_is_not_an_object_is_no_message(data: str | bytes) -> None:
    """In either encoding."""
    assert MarketClient(MSGPACK).decode(data) is None


# ---- requests and sessions


async def test_waiting_requests_are_answered_once_or_expire_in_order() -> None:
    """An expired command is abandoned, so that it is not sent any more."""
    now = [0]
    pending = PendingRequests(10, lambda: now[0])
    commands = [Command(CommandKind.CANCEL, 1, pending.next_request_id(), 0) for _ in range(2)]
    first = pending.wait_for(commands[0])
    now[0] = 5_000_000
    second = pending.wait_for(commands[1])
    now[0] = 10_000_000
    assert pending.expire() == 1
    assert commands[0].abandoned
    with pytest.raises(TimeoutError):
        await first
    row = reply(Kind.CANCEL_PENDING, request_id=commands[1].request_id)
    assert pending.answer(row, "a")
    assert not pending.answer(row, "a")
    assert (await second).row is row


async def test_a_key_is_looked_up_once_remembered_and_outlives_its_store() -> None:
    """Wrong secrets and unknown keys are denied; a new key while the store is away is unavailable."""
    now, store = [0.0], FakeStore()
    sessions = Sessions(store, lambda: now[0])
    both = await asyncio.gather(sessions.authenticate("k", "s", "here"), sessions.authenticate("k", "s", "here"))
    assert isinstance(both[0], Accepted)
    assert (both[0].value.account, store.asked) == (9, 1)
    for key, secret in (("k", "wrong"), ("other", "s"), ("", ""), ("k\n", "s"), ("x" * 200, "s")):
        assert await sessions.authenticate(key, secret, "here") == Denied()
    store.away, now[0] = True, 1_000.0
    assert isinstance(await sessions.authenticate("k", "s", "here"), Accepted)
    new = await sessions.authenticate("new", "s", "here")
    assert isinstance(new, Unavailable)
    assert new.cause == Cause.STORE_AWAY


def test_a_bucket_refuses_when_empty_and_fills_with_time() -> None:
    """Exact arithmetic does not matter here, the limits do."""
    bucket = TokenBucket(60, 1, 60, 0.0)
    assert [bucket.take(0.0) for _ in range(61)] == [True] * 60 + [False]
    assert bucket.take(1.0)
    assert not bucket.take(1.0)
    assert TokenBucket(RATE_LIMIT_PER_MINUTE, RATE_LIMIT_PER_MINUTE / 60, 0, 0).seconds_until_full() == 60


def test_the_calendar_skips_weekends_and_follows_new_york() -> None:
    """Friday evening to Monday morning, across a change of clocks too."""
    from datetime import datetime

    friday = datetime(2026, 3, 6, 17, 0, tzinfo=NEW_YORK)
    assert next_at(friday, OPEN).isoformat() == "2026-03-09T09:30:00-04:00"
    assert next_at(friday, CLOSE).isoformat() == "2026-03-09T16:00:00-04:00"
    assert next_at(datetime(2026, 3, 9, 9, 0, tzinfo=NEW_YORK), OPEN).isoformat() == "2026-03-09T09:30:00-04:00"
