"""The edge's view of the market: prices from market data, what subscribers hear, the subscription protocol."""

import json
from typing import Any

import msgpack
import pytest

from edge.alpaca.market_data.messages import channel_of, fields_of, json_of, packed_of
from edge.alpaca.market_data.subscriptions import JSON, MSGPACK, MarketClient, Subscription
from edge.gateway.market.events import MarketEvent
from edge.gateway.market.view import MarketRow, MarketView
from schemas.enums import MarketDataKind, Phase, Side
from schemas.instruments import load_instruments
from schemas.reject_reasons import SENTENCES, Reason
from sinks.cached.kinds import Head

INSTRUMENTS = load_instruments(None)


def selected(events: list[MarketEvent], wanted: Subscription) -> list[MarketEvent]:
    """Those of the events that the subscription names."""
    return [event for event in events if {(channel_of(event), event.symbol), (channel_of(event), "*")} & wanted]


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


def test_what_was_told_before_a_time_is_its_newest_trade_and_the_newest_bust() -> None:
    """Where all trades that are kept are later, the first of them: an answer that has it has what was told before."""
    market = MarketView(load_instruments(None))
    assert market.told_of(1, 10**18) == Head(0, 0)
    market.apply([told(MarketDataKind.TRADE, seq, trd_match_id=1_000 + seq, transact_time=seq * 100) for seq in (1, 2, 3)])
    assert [market.told_of(1, end).trade for end in (50, 101, 200, 201, 10**18)] == [1_001, 1_001, 1_001, 1_002, 1_003]
    market.apply([told(MarketDataKind.TRADE_BUST, 1, trd_match_id=1_001, transact_time=900)])
    assert market.told_of(1, 101) == Head(1_001, 900), "a bust changes what lies before it"


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
