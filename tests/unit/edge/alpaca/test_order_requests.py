"""Every kind of order as Alpaca's JSON: what a body becomes in a frame, what is refused and how, lists, replaces, and the way back."""

import json
from typing import Any

import pytest

from edge.alpaca.order_words import CLASS_TEXT, ORD_TYPE_TEXT, PEG_TEXT, TIME_IN_FORCE_TEXT, TYPE_TEXT
from edge.alpaca.orders.order_json import order_json
from edge.alpaca.orders.order_requests import parse_new_order, parse_replace
from edge.gateway.accounts.view import Order
from edge.gateway.orders.new_order import NewOrder
from edge.http.errors import HttpError
from schemas.codec import FRAMES
from schemas.enums import (
    TIME_IN_FORCE_UNCHANGED,
    ContingencyType,
    ExecInst,
    OffsetType,
    OrdType,
    PegPriceType,
    SelfMatchPrevention,
    Side,
    TimeInForce,
)
from schemas.field_rules import TIME_RULES, TYPE_RULES
from schemas.ids import order_uuid
from schemas.instruments import load_instruments

INSTRUMENTS = load_instruments(None)
BASE = {"symbol": "AAPL", "qty": 10, "side": "buy", "type": "limit", "time_in_force": "day", "client_order_id": "a"}
ALPACAS_TYPES = {"market", "limit", "stop", "stop_limit", "trailing_stop"}
ALPACAS_TIMES = {"day", "gtc", "opg", "cls", "ioc", "fok"}


def parsed(**fields: Any) -> NewOrder:
    """The order of a body."""
    return parse_new_order(json.dumps(BASE | fields).encode(), INSTRUMENTS)


def named(order: NewOrder) -> dict[str, int]:
    """Its columns that are not zero, without those that every order has."""
    plain = {"cl_ord_id", "instrument", "order_qty", "side", "ord_type", "time_in_force"}
    return {name: value for name, value in order.columns().items() if value and name not in plain}


KINDS: list[tuple[dict[str, Any], OrdType, dict[str, int]]] = [
    ({"type": "market"}, OrdType.MARKET, {}),
    ({"limit_price": "10.05"}, OrdType.LIMIT, {"price": 1005}),
    ({"type": "stop", "stop_price": 10.05}, OrdType.STOP, {"stop_px": 1005}),
    ({"type": "stop_limit", "stop_price": "10", "limit_price": "11"}, OrdType.STOP_LIMIT, {"stop_px": 1000, "price": 1100}),
    ({"type": "trailing_stop", "trail_price": "0.25"}, OrdType.TRAILING_STOP, {"offset": 25}),
    ({"type": "trailing_stop", "trail_percent": 1.5}, OrdType.TRAILING_STOP, {"offset": 150, "offset_type": OffsetType.BASIS_POINTS}),
    ({"type": "trailing_stop_limit", "trail_price": "1", "limit_offset": "0.10"}, OrdType.TRAILING_STOP_LIMIT, {"offset": 100, "price": 10}),
    ({"type": "market_to_limit"}, OrdType.MARKET_TO_LIMIT, {}),
    ({"type": "pegged", "peg_price_type": "primary", "peg_offset": "-0.01", "limit_price": "12"}, OrdType.PEGGED,
     {"peg_price_type": PegPriceType.PRIMARY, "offset": -1, "price": 1200}),
]  # fmt: skip


@pytest.mark.parametrize(("fields", "ord_type", "columns"), KINDS, ids=[f"{kind[1].name}-{len(kind[0])}" for kind in KINDS])
def test_every_type_of_order_arrives_in_its_columns(fields: dict[str, Any], ord_type: OrdType, columns: dict[str, int]) -> None:
    """Ticks, lots and basis points; nothing that was not said."""
    order = parsed(**fields)
    assert (order.ord_type, named(order)) == (ord_type, columns)


def test_the_tables_of_fields_and_the_words_are_total() -> None:
    """No type of order, time in force or class is without a word, and the words of Alpaca's closed lists are used alone."""
    assert set(TYPE_RULES) == set(OrdType) == set(ORD_TYPE_TEXT)
    assert set(TYPE_TEXT.values()) == ALPACAS_TYPES
    assert set(TIME_RULES) == set(TIME_IN_FORCE_TEXT) == set(TimeInForce)
    assert set(TIME_IN_FORCE_TEXT.values()) == ALPACAS_TIMES
    assert set(CLASS_TEXT) == set(ContingencyType)
    assert set(PEG_TEXT) == set(PegPriceType)


def test_columns_of_an_order_are_columns_of_the_frame() -> None:
    """A misspelt one would never be sent."""
    assert parsed(limit_price="1").columns().keys() <= {*(FRAMES["order_command_frame"].dtype.names or ()), "cl_ord_id"}


@pytest.mark.parametrize("word", ["day", "gtc", "opg", "cls", "ioc", "fok"])
def test_every_time_in_force_of_alpaca_is_taken(word: str) -> None:
    """What does not go together is the account shard's to say."""
    assert TIME_IN_FORCE_TEXT[parsed(limit_price="1", time_in_force=word).time_in_force] == word


def test_our_own_fields_arrive() -> None:
    """Display, minimum, instructions, date, self-match prevention, located shares."""
    order = parsed(
        limit_price="10", time_in_force="gtd", expire_time="2030-01-01T00:00:00Z", display_qty="2", min_qty=3, post_only=True,
        self_match_prevention_id=7, self_match_prevention_instruction="cancel_both", locate=True,
    )  # fmt: skip
    assert order.time_in_force == TimeInForce.GTD
    assert named(order) == {
        "price": 1000, "expire_time": 1_893_456_000 * 10**9, "display_qty": 2, "min_qty": 3, "exec_inst": ExecInst.POST_ONLY,
        "self_match_prevention_id": 7, "self_match_prevention_instruction": SelfMatchPrevention.CANCEL_BOTH, "locate": 1,
    }  # fmt: skip
    assert named(parsed(limit_price="10", hidden=True, post_only_slide=True))["exec_inst"] == ExecInst.HIDDEN | ExecInst.POST_ONLY_SLIDE


REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"type": "stop"}, "stop orders require stop price"),
    ({"type": "stop", "stop_price": "1", "limit_price": "1"}, "limit_price does not go with stop orders"),
    ({"type": "stop_limit", "limit_price": "1"}, "stop limit orders require stop price"),
    ({"type": "stop_limit", "stop_price": "1"}, "stop limit orders require limit price"),
    ({"type": "market", "stop_price": "1"}, "market orders require no stop or limit price"),
    ({"limit_price": "1", "stop_price": "1"}, "stop_price does not go with limit orders"),
    ({"type": "trailing_stop"}, "either trail_price or trail_percent"),
    ({"type": "trailing_stop", "trail_price": "1", "trail_percent": "1"}, "either trail_price or trail_percent"),
    ({"type": "trailing_stop", "trail_percent": "0.001"}, "trail_percent must be from 0.01 to 99.99"),
    ({"type": "trailing_stop", "trail_percent": "100"}, "trail_percent must be from 0.01 to 99.99"),
    ({"type": "trailing_stop", "trail_price": "-1"}, "trail_price must be > 0"),
    ({"limit_price": "1", "trail_price": "1"}, "trail_price does not go with limit orders"),
    ({"limit_price": "1", "limit_offset": "1"}, "limit_offset does not go with limit orders"),
    ({"limit_price": "1", "peg_price_type": "primary"}, "peg_price_type does not go with limit orders"),
    ({"limit_price": "1", "peg_offset": "1"}, "peg_offset does not go with limit orders"),
    ({"type": "pegged"}, "peg_price_type is required"),
    ({"type": "pegged", "peg_price_type": "last"}, "must be one of midpoint, market, primary"),
    ({"type": "loc"}, 'invalid type "loc"'),
    ({"limit_price": "1", "time_in_force": "gtx"}, 'invalid time_in_force "gtx"'),
    ({"limit_price": "1", "time_in_force": "gtd"}, "expire_time is required for gtd"),
    ({"limit_price": "1", "expire_time": "2030-01-01"}, "expire_time is required for gtd orders, and does not go with any other"),
    ({"limit_price": "1", "time_in_force": "gtd", "expire_time": "soon"}, "expire_time must be a date"),
    ({"limit_price": "1", "post_only": "yes"}, "post_only must be true or false"),
    ({"limit_price": "1", "display_qty": "0.5"}, "display_qty 0.5: must be a multiple"),
    ({"limit_price": "1", "self_match_prevention_id": -1}, "self_match_prevention_id must be a whole number"),
    ({"limit_price": "1", "self_match_prevention_instruction": "x"}, "invalid self_match_prevention_instruction"),
    ({"limit_price": "1", "order_class": "mleg"}, 'invalid order_class "mleg": must be one of simple, oco, oto, bracket'),
    ({"limit_price": "1", "take_profit": {"limit_price": "2"}}, "take_profit needs an order_class"),
    ({"limit_price": "1", "order_class": "bracket", "take_profit": {"limit_price": "2"}}, "bracket orders require take_profit and stop_loss"),
    ({"limit_price": "1", "order_class": "oto"}, "oto orders require either take_profit or stop_loss"),
    ({"limit_price": "1", "order_class": "oco"}, "oco orders require stop_loss"),
    ({"order_class": "oco", "stop_loss": {"stop_price": "1"}}, "oco orders require limit_price or take_profit.limit_price"),
    ({"type": "market", "order_class": "oco", "stop_loss": {"stop_price": "1"}}, "oco orders must be of type limit"),
    ({"limit_price": "1", "order_class": "oto", "take_profit": 5}, "take_profit must be an object"),
    ({"limit_price": "1", "order_class": "oto", "take_profit": {}}, "take_profit.limit_price is required"),
    ({"limit_price": "1", "order_class": "oto", "stop_loss": {}}, "stop_loss.stop_price is required"),
    ({"limit_price": "1", "order_class": "oto", "stop_loss": {"stop_price": "x"}}, "stop_loss.stop_price must be a decimal number"),
    ({"limit_price": "1", "order_class": "oto", "stop_loss": {"stop_price": "1"}, "time_in_force": "ioc"}, "time_in_force must be day, gtc or gtd"),
    ({"limit_price": "5", "order_class": "bracket", "take_profit": {"limit_price": "4"}, "stop_loss": {"stop_price": "4"}},
     "take_profit.limit_price must be > stop_loss.stop_price"),
    ({"limit_price": "1", "notional": "5"}, "notional"),
    ({"limit_price": "1", "extended_hours": True}, "extended_hours"),
    ({"limit_price": "1", "legs": []}, "legs are not supported"),
]  # fmt: skip


@pytest.mark.parametrize(("fields", "message"), REFUSED, ids=[str(n) for n in range(len(REFUSED))])
def test_what_cannot_be_is_refused_by_the_name_of_the_field(fields: dict[str, Any], message: str) -> None:
    """422 with Alpaca's codes."""
    with pytest.raises(HttpError) as caught:
        parsed(**fields)
    assert (caught.value.status, caught.value.code in (40010001, 42210000)) == (422, True)
    assert message in caught.value.message


# ---- lists


def test_a_bracket_is_three_orders_of_which_two_close_the_first() -> None:
    """Same quantity, other side; the stop-loss with a limit is a stop-limit order."""
    order = parsed(
        limit_price="10", order_class="bracket", display_qty=1, time_in_force="gtc", self_match_prevention_id=4,
        take_profit={"limit_price": "12"}, stop_loss={"stop_price": "9", "limit_price": "8.5"},
    )  # fmt: skip
    profit, loss = order.legs
    assert {one.contingency_type for one in (order, profit, loss)} == {ContingencyType.BRACKET}
    assert (profit.side, profit.ord_type, profit.price, profit.qty) == (Side.SELL, OrdType.LIMIT, 1200, 10)
    assert (loss.side, loss.ord_type, loss.stop_px, loss.price, loss.qty) == (Side.SELL, OrdType.STOP_LIMIT, 900, 850, 10)
    assert {one.time_in_force for one in (order, profit, loss)} == {TimeInForce.GTC}
    assert (order.display_qty, profit.display_qty, loss.self_match_prevention_id) == (1, 0, 4), "a display is the first order's alone"


def test_a_market_bracket_that_is_good_till_canceled_enters_for_the_day() -> None:
    """As Alpaca's clients mean it: the time in force is that of the orders that close the position."""
    order = parsed(type="market", time_in_force="gtc", order_class="oto", take_profit={"limit_price": "12"})
    assert (order.time_in_force, order.legs[0].time_in_force) == (TimeInForce.DAY, TimeInForce.GTC)


def test_a_market_order_that_is_good_till_canceled_is_one_for_the_day() -> None:
    """Alpaca takes it, and ccxt sends it: it never rests, so nothing is carried over. The answer says what it is."""
    order = parsed(type="market", time_in_force="gtc")
    assert (order, order.time_in_force) == (parsed(type="market", time_in_force="day"), TimeInForce.DAY)
    assert parsed(type="stop", stop_price="1", time_in_force="gtc").time_in_force == TimeInForce.GTC, "that one waits"
    assert parsed(type="market_to_limit", time_in_force="gtc").time_in_force == TimeInForce.GTC, "that one may rest"


def test_an_oco_is_a_limit_order_and_a_stop_of_one_side_and_its_limit_may_stand_in_take_profit() -> None:
    """alpaca-py's LimitOrderRequest leaves limit_price out."""
    order = parsed(side="sell", order_class="oco", take_profit={"limit_price": "12"}, stop_loss={"stop_price": "9"})
    (loss,) = order.legs
    assert (order.price, order.side, loss.side, loss.ord_type, loss.stop_px) == (1200, Side.SELL, Side.SELL, OrdType.STOP, 900)
    again = parsed(side="sell", order_class="oco", limit_price="12", stop_loss={"stop_price": "9"})
    assert again == order
    with pytest.raises(HttpError, match="must be the same"):
        parsed(side="sell", order_class="oco", limit_price="13", take_profit={"limit_price": "12"}, stop_loss={"stop_price": "9"})


def test_the_other_orders_ids_follow_from_the_first_ones_unless_they_are_given() -> None:
    """So that a repeated request is the same list; other lists have other ids."""
    lists = [parsed(client_order_id=name, limit_price="10", order_class="oto", take_profit={"limit_price": "12"}) for name in "aab"]
    ids = [one.legs[0].cl_ord_id for one in lists]
    assert ids[0] == ids[1] != ids[2]
    given = parsed(limit_price="10", order_class="oto", stop_loss={"stop_price": "9", "client_order_id": "mine"})
    assert given.legs[0].cl_ord_id == b"mine"


# ---- replaces


def an_order(**changes: Any) -> Order:
    """A resting order."""
    values: dict[str, Any] = {
        "order_id": 7, "account": 1, "cl_ord_id": "a", "instrument": 1, "side": 1, "ord_type": OrdType.LIMIT, "time_in_force": 0, "order_qty": 5,
        "price": 1005, "leaves_qty": 5, "cum_qty": 0, "cum_cost": 0, "ord_status": 0, "submitted_at": 1, "updated_at": 2,
    }  # fmt: skip
    return Order(**values | changes)


def replaced(order: Order, **fields: Any) -> dict[str, int]:
    """The columns of a PATCH."""
    return parse_replace(json.dumps(fields).encode(), order, INSTRUMENTS)


def test_a_replace_names_what_changes_and_leaves_the_rest() -> None:
    """0 and 255 say "as it is"; the quantity is always said, as a total."""
    same = {"order_qty": 5, "time_in_force": TIME_IN_FORCE_UNCHANGED}
    assert replaced(an_order(), limit_price="11") == same | {"price": 1100}
    assert replaced(an_order(), qty=8, time_in_force="gtc", client_order_id="a") == {"order_qty": 8, "time_in_force": TimeInForce.GTC}
    assert replaced(an_order(ord_type=OrdType.STOP), stop_price="9.5") == same | {"stop_px": 950}
    percent = an_order(ord_type=OrdType.TRAILING_STOP, offset=100, offset_type=OffsetType.BASIS_POINTS)
    assert replaced(percent, trail="2.5") == same | {"offset": 250}
    assert replaced(an_order(ord_type=OrdType.TRAILING_STOP, offset=100), trail=2.5) == same | {"offset": 250}
    assert replaced(an_order(ord_type=OrdType.TRAILING_STOP_LIMIT), limit_offset="0.2") == same | {"price": 20}
    assert replaced(an_order(ord_type=OrdType.PEGGED), peg_offset="-0.03") == same | {"offset": -3}
    assert replaced(an_order(), display_qty=2) == same | {"display_qty": 2}
    assert replaced(an_order(), client_order_id="b") == same | {"cl_ord_id": b"b"}
    assert replaced(an_order(), qty=8, client_order_id="b") == {**same, "order_qty": 8, "cl_ord_id": b"b"}
    assert replaced(an_order(), hidden=True) == same | {"exec_inst": ExecInst.HIDDEN}
    assert replaced(an_order(exec_inst=ExecInst.HIDDEN), hidden=False, display_qty=2) == same | {"display_qty": 2}
    assert replaced(an_order(), qty=5, hidden=False, post_only=False) == same


@pytest.mark.parametrize(
    ("order", "fields", "message"),
    [
        (an_order(), {}, "nothing to replace"),
        (an_order(), {"qty": 0}, "qty must be > 0"),
        (an_order(), {"trail": "1"}, "trail does not go with limit orders"),
        (an_order(), {"peg_offset": "1"}, "peg_offset does not go with limit orders"),
        (an_order(), {"limit_offset": "1"}, "limit_offset does not go with limit orders"),
        (an_order(ord_type=OrdType.TRAILING_STOP), {"limit_price": "1"}, "limit_price does not go with trailing_stop orders"),
        (an_order(), {"limit_price": "1.001"}, "sub-penny"),
        (an_order(), {"notional": "1"}, "notional"),
        (an_order(), {"qty": 9, "min_qty": 2}, "min_qty cannot be changed"),
        (an_order(), {"qty": 9, "post_only": True}, "post_only cannot be changed"),
        (an_order(), {"qty": 9, "self_match_prevention_id": 4}, "self_match_prevention_id cannot be changed"),
        (an_order(exec_inst=ExecInst.HIDDEN), {"qty": 9, "hidden": False}, "a hidden order is shown by display_qty"),
        (an_order(ord_type=OrdType.PEGGED, offset=-3), {"peg_offset": 0}, "peg_offset cannot be replaced by 0"),
        (an_order(ord_type=OrdType.TRAILING_STOP_LIMIT, price=20), {"limit_offset": 0}, "limit_offset cannot be replaced by 0"),
    ],
)
def test_a_replace_that_cannot_be_is_refused_by_name(order: Order, fields: dict[str, Any], message: str) -> None:
    """422 before anything is sent."""
    with pytest.raises(HttpError, match=message) as caught:
        replaced(order, **fields)
    assert caught.value.status == 422


# ---- the way back


def test_an_order_of_ours_says_alpacas_nearest_word_and_its_own_beside_it() -> None:
    """Closed lists of the SDK hold; nothing is hidden."""
    peg = order_json(an_order(ord_type=OrdType.PEGGED, offset=-1, peg_price_type=PegPriceType.PRIMARY), INSTRUMENTS)
    assert (peg["type"], peg["ord_type"], peg["peg_price_type"], peg["peg_offset"]) == ("limit", "pegged", "primary", "-0.01")
    dated = order_json(an_order(time_in_force=TimeInForce.GTD, expire_time=10**9), INSTRUMENTS)
    assert (dated["time_in_force"], dated["expires_at"]) == ("gtc", "1970-01-01T00:00:01.000000000Z")


def test_stops_and_trails_are_written_in_alpacas_fields() -> None:
    """A trailing stop's limit is a distance until it is elected."""
    stop = order_json(an_order(ord_type=OrdType.STOP_LIMIT, stop_px=990), INSTRUMENTS)
    assert (stop["stop_price"], stop["limit_price"], stop["trail_price"]) == ("9.9", "10.05", None)
    trailing = {"ord_type": OrdType.TRAILING_STOP, "price": 0}
    percent = order_json(an_order(**trailing, offset=150, offset_type=OffsetType.BASIS_POINTS), INSTRUMENTS)
    assert (percent["trail_percent"], percent["trail_price"], percent["limit_price"]) == ("1.5", None, None)
    limit = an_order(ord_type=OrdType.TRAILING_STOP_LIMIT, price=10, offset=25)
    written = order_json(limit, INSTRUMENTS)
    assert (written["trail_price"], written["limit_offset"], written["limit_price"]) == ("0.25", "0.1", None)
    limit.price, limit.is_elected = 990, True
    written = order_json(limit, INSTRUMENTS)
    assert (written["limit_offset"], written["limit_price"]) == (None, "9.9")


def test_a_list_is_written_as_legs_and_those_that_wait_are_held() -> None:
    """The class is on every order of it."""
    first, leg = (an_order(order_id=n, list_id=7, contingency_type=ContingencyType.OTO) for n in (7, 8))
    leg.is_held = True
    written = order_json(first, INSTRUMENTS, [leg])
    assert (written["order_class"], written["status"], written["list_id"]) == ("oto", "new", order_uuid(7))
    assert [(one["id"], one["status"], one["order_class"]) for one in written["legs"]] == [(order_uuid(8), "held", "oto")]
    assert order_json(first, INSTRUMENTS)["legs"] is None
