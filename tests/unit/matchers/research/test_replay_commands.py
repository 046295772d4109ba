"""Command objects to rows and rows to event objects: words, values, names of orders, and what is said of a line that is wrong."""

from collections import Counter
from pathlib import Path

import pytest

from matchers.research.command_fields import BadCommand
from matchers.research.command_lines import COMMAND_WORDS, SHAPES, CommandLines
from matchers.research.engines import make_engine
from matchers.research.execution_lines import COLUMNS
from matchers.research.order_names import OrderNames
from matchers.research.replay import Replay
from schemas.enums import TIME_IN_FORCE_UNCHANGED, BookCommandKind, ExecInst, ExecKind, Phase
from schemas.instruments import load_instruments, parse_instruments
from schemas.reject_reasons import Reason

INSTRUMENTS = load_instruments(None)
OPEN = {"command": "TradingSessionChange", "phase": "CONTINUOUS"}
DOCUMENT = Path(__file__).parents[4] / "docs" / "replay.md"


def order(cl_ord_id, side="BUY", price="180.00", account=1, **fields):
    """A NewOrderSingle of 10 AAPL."""
    common = {"command": "NewOrderSingle", "account": account, "cl_ord_id": cl_ord_id, "symbol": "AAPL", "side": side, "ord_type": "LIMIT"}
    return common | {"order_qty": "10", "price": price} | fields


def columns(given):
    """The columns of a single command."""
    return CommandLines(INSTRUMENTS, OrderNames()).parse(given)[0].columns


def events(*given, frame_rows=100):
    """The events of commands behind an opening, without those of the opening; line 1 is the first of them."""
    replay = Replay(make_engine("reference", INSTRUMENTS), INSTRUMENTS, frame_rows=frame_rows)
    for line, one in enumerate((OPEN, *given)):
        replay.add(line, one)
    replay.flush()
    return [event for event in replay.take_events() if event["line"]]


def kinds(found):
    """The kind of each."""
    return [event["event"] for event in found]


@pytest.mark.parametrize(
    ("field", "value", "expected"),
    [
        ("price", "180.05", 18005),
        ("price", 18005, 18005),
        ("price", "1.8e2", 18000),
        ("stop_px", "0.01", 1),
        ("order_qty", "7", 7),
        ("min_qty", -3, -3),
        ("side", "SELL", 2),
        ("side", 9, 9),
        ("time_in_force", "GTD", 6),
        ("exec_inst", ["POST_ONLY", "HIDDEN"], ExecInst.POST_ONLY | ExecInst.HIDDEN),
        ("exec_inst", "POST_ONLY_SLIDE", ExecInst.POST_ONLY_SLIDE),
        ("offset", "-0.05", -5),
        ("expire_time", "2026-01-05T14:30:00.000000001Z", 1767623400000000001),
        ("expire_time", "2026-01-05T09:30:00-05:00", 1767623400000000000),
        ("expire_time", 5, 5),
        ("transact_time", "1969-12-31T23:59:59.5Z", -500_000_000),
        ("self_match_prevention_id", "18446744073709551615", 2**64 - 1),
        ("peg_price_type", "MIDPOINT", 2),
    ],
)
def test_a_value_becomes_the_integer_of_its_column(field, value, expected):
    """Decimal text by tick and lot, integers as they are, names by number, times to the nanosecond."""
    assert columns(order("a", **{field: value}))[field] == expected


@pytest.mark.parametrize(
    ("changes", "field", "why"),
    [
        ({"price": "180.055"}, "price", "180.055 is not a multiple of 0.01 (AAPL)"),
        ({"price": "NaN"}, "price", "'NaN' is not a finite number"),
        ({"price": "dear"}, "price", "'dear' is not a decimal number"),
        ({"price": True}, "price", "True is neither decimal text"),
        ({"order_qty": "0.5"}, "order_qty", "0.5 is not a multiple of 1 (AAPL)"),
        ({"order_qty": 2**63}, "order_qty", "is out of range"),
        ({"account": -1}, "account", "-1 is out of range: 0 to 18446744073709551615"),
        ({"account": "one"}, "account", "'one' is not a whole number"),
        ({"side": "buy"}, "side", "'buy' is not one of BUY, SELL"),
        ({"exec_inst": ["POST_ONLY", "POSTONLY"]}, "exec_inst", "'POSTONLY' is not one of POST_ONLY"),
        ({"symbol": "APPL"}, "symbol", "'APPL' is not in the instrument list"),
        ({"symbol": None}, "symbol", "is missing"),
        ({"symbol": None, "instrument": 99}, "order_qty", "'10' cannot be converted without a symbol"),
        ({"instrument": 1}, "instrument", "goes without symbol"),
        ({"expire_time": "2026-01-05T14:30:00"}, "expire_time", "is neither nanoseconds since 1970 nor a time like"),
        ({"expire_time": "2026-13-05T14:30:00Z"}, "expire_time", "month must be in 1..12"),
        ({"cl_ord_id": ""}, "cl_ord_id", "'' is not text of 1 to 128 printable ASCII characters"),
        ({"cl_ord_id": 7}, "cl_ord_id", "7 is not text"),
        ({"cl_ord_id": None}, "cl_ord_id", "is missing; an order needs cl_ord_id or order_id"),
        ({"account": None}, "account", "is missing"),
        ({"prise": "1"}, "prise", "NewOrderSingle has no such field"),
        ({"command": "NewOrder"}, "command", "'NewOrder' is not one of NewOrderSingle"),
        ({"command": None}, "command", "is missing"),
    ],
)
def test_a_wrong_value_is_told_by_its_field_and_why(changes, field, why):
    """Whoever wrote the line finds the place without reading code."""
    with pytest.raises(BadCommand) as caught:
        columns(order("a") | changes)
    assert caught.value.field == field
    assert why in caught.value.why


def test_a_decimal_json_number_is_refused():
    """180.0 and 180 would be a price and a number of ticks."""
    from streams.research.command_files import decode_line

    with pytest.raises(BadCommand, match=r'price: 180.05 is neither decimal text like "180.05" nor a whole number of ticks'):
        columns(order("a") | decode_line(b'{"price":180.05}'))


def test_each_command_becomes_its_kind():
    """One word each for what book.commands knows; a list is new orders."""
    given = {
        "NewOrderSingle": order("a"),
        "OrderCancelRequest": {"account": 1, "order_id": 5},
        "OrderCancelReplaceRequest": {"account": 1, "order_id": 5, "order_qty": 3},
        "OrderMassCancelRequest": {},
        "TradingSessionChange": {"phase": "CLOSED"},
        "TradingHalt": {},
        "TradingResume": {},
        "Timer": {"transact_time": 1},
        "TradeBust": {"symbol": "AAPL", "trd_match_id": 1},
        "InstrumentUpdate": {"symbol": "AAPL", "price": "181"},
    }
    assert given.keys() == SHAPES.keys()
    found = {word: columns(fields | {"command": word})["kind"] for word, fields in given.items()}
    assert sorted(found.values()) == sorted(BookCommandKind)


def test_what_is_left_out_has_the_documented_default():
    """A replace leaves the time in force, a halt halts, for a reason that fits."""
    replace = columns({"command": "OrderCancelReplaceRequest", "account": 1, "order_id": 5, "order_qty": 3})
    assert replace["time_in_force"] == TIME_IN_FORCE_UNCHANGED
    halt = columns({"command": "TradingHalt", "symbol": "AAPL"})
    assert (halt["phase"], halt["reason"]) == (Phase.HALTED, Reason.REGULATORY_HALT)
    assert columns({"command": "TradingHalt"})["reason"] == Reason.MARKET_WIDE_HALT


def test_display_qty_zero_hides_an_order_at_entry_and_in_a_replace():
    """The word of FIX; in the column 0 says nothing."""
    assert columns(order("a", display_qty="0"))["exec_inst"] == ExecInst.HIDDEN
    replace = columns({"command": "OrderCancelReplaceRequest", "account": 1, "order_id": 5, "order_qty": 3, "display_qty": 0})
    assert (replace["exec_inst"], replace["display_qty"]) == (ExecInst.HIDDEN, 0)


def test_min_qty_belongs_to_the_entry_and_is_no_field_of_a_replace():
    """The book would refuse it whatever it says."""
    with pytest.raises(BadCommand, match="min_qty: OrderCancelReplaceRequest has no such field"):
        columns({"command": "OrderCancelReplaceRequest", "account": 1, "order_id": 5, "order_qty": 3, "min_qty": 1})


def test_a_replace_to_nothing_tells_the_old_name_as_any_replace_does():
    """It is the answer to a replace, though the order ends: under the new name, with the one before it."""
    found = events(
        order("a1"),
        {"command": "OrderCancelReplaceRequest", "account": 1, "orig_cl_ord_id": "a1", "cl_ord_id": "a2", "order_qty": "0"},
        order("b1", price="179.00"),
        {"command": "OrderCancelReplaceRequest", "account": 1, "orig_cl_ord_id": "b1", "order_qty": "0"},
    )
    named = [(event["reason"], event["cl_ord_id"], event.get("orig_cl_ord_id")) for event in found if event["event"] == "CANCELED"]
    assert named == [("REPLACED_TO_NOTHING", "a2", "a1"), ("REPLACED_TO_NOTHING", "b1", None)]


def test_events_tell_plain_orders_icebergs_and_hidden_ones_apart():
    """display_qty is what the market sees from then on, whichever event says it."""
    given = [order("a"), order("b", display_qty="2"), order("c", display_qty="0")]
    change = {"command": "OrderCancelReplaceRequest", "account": 1}
    given += [change | {"orig_cl_ord_id": name, "order_qty": "4"} for name in ("a", "b", "c")]
    found = [
        (event["event"], event["cl_ord_id"], event["display_qty"]) for event in events(*given) if event["event"] in ("NEW", "REPLACED")
    ]
    assert found == [
        ("NEW", "a", "10"), ("NEW", "b", "2"), ("NEW", "c", "0"), ("REPLACED", "a", "4"), ("REPLACED", "b", "2"), ("REPLACED", "c", "0"),
    ]  # fmt: skip


def test_a_replace_renames_the_order_and_both_names_find_it():
    """Reports carry the newest name, and tell the old one once."""
    found = events(
        order("a1"),
        {"command": "OrderCancelReplaceRequest", "account": 1, "orig_cl_ord_id": "a1", "cl_ord_id": "a2", "order_qty": "4"},
        {"command": "OrderCancelReplaceRequest", "account": 1, "orig_cl_ord_id": "a2", "cl_ord_id": "a3", "order_qty": "3"},
        {"command": "OrderCancelRequest", "account": 1, "orig_cl_ord_id": "a1"},
    )
    named = [(event["event"], event.get("cl_ord_id"), event.get("orig_cl_ord_id")) for event in found if "order_id" in event]
    assert named == [("NEW", "a1", None), ("REPLACED", "a2", "a1"), ("REPLACED", "a3", "a2"), ("CANCELED", "a3", None)]


def test_a_refused_replace_gives_no_name():
    """The name is free again, and is nobody's."""
    found = events(
        order("a1"),
        {"command": "OrderCancelReplaceRequest", "account": 1, "orig_cl_ord_id": "a1", "cl_ord_id": "a2", "order_qty": "-4"},
        {"command": "OrderCancelRequest", "account": 1, "orig_cl_ord_id": "a2"},
        order("a2", price="179.00"),
    )
    refused = [event for event in found if event["event"] == "CANCEL_REJECTED"]
    assert [(event["line"], event["order_id"], event["orig_cl_ord_id"]) for event in refused] == [(2, 1, "a1"), (3, 0, "a2")]
    assert [event["cl_ord_id"] for event in found if event["event"] == "NEW"] == ["a1", "a2"]


def test_a_refused_order_does_not_use_up_its_name_and_an_accepted_one_does():
    """As account shards have it."""
    found = events(order("a", order_qty="0"), order("a"))
    assert [(event["event"], event["line"]) for event in found[:2]] == [("REJECTED", 1), ("NEW", 2)]
    with pytest.raises(BadCommand, match="cl_ord_id: 'a' is the name of another order of account 1"):
        events(order("a"), order("a"))
    assert kinds(events(order("a"), order("a", account=2))).count("NEW") == 2, "another account has names of its own"


def test_a_command_that_is_not_understood_changes_nothing():
    """Neither names nor numbers nor the book."""
    replay = Replay(make_engine("reference", INSTRUMENTS), INSTRUMENTS)
    replay.add(1, OPEN)
    with pytest.raises(BadCommand, match=r"orders\[1\].price: "):
        replay.add(
            2,
            {
                "command": "NewOrderList",
                "contingency_type": "OCO",
                "orders": [order("a") | {"command": None}, order("b", price="x") | {"command": None}],
            },
        )
    replay.add(3, order("a"))
    replay.flush()
    assert [(event["order_id"], event["line"]) for event in replay.take_events() if event["event"] == "NEW"] == [(1, 3)]


@pytest.mark.parametrize(
    ("given", "why"),
    [
        ({}, "orders: a list of at least one order is expected"),
        ({"orders": []}, "orders: a list of at least one order is expected"),
        ({"orders": [1]}, "contingency_type: is missing"),
        ({"orders": [1], "contingency_type": "OCO"}, r"orders\[0\]: an object is expected, not int"),
        ({"orders": [{}], "contingency_type": "OCO", "cl_ord_id": "a"}, "cl_ord_id: belongs to each of the orders"),
        ({"orders": [{"account": 1}], "contingency_type": "OCO"}, "side: is missing"),
    ],
)
def test_a_list_that_is_none_is_told_by_what_is_wrong(given, why):
    """The place within the list is named."""
    with pytest.raises(BadCommand, match=why):
        columns({"command": "NewOrderList"} | given)


def test_a_list_hangs_together_and_takes_what_its_orders_have_in_common():
    """One object, one list_id; the fill of one cancels the other."""
    legs = [{"cl_ord_id": "x", "ord_type": "LIMIT", "price": "180.00"}, {"cl_ord_id": "y", "ord_type": "LIMIT", "price": "179.00"}]
    common = {
        "command": "NewOrderList",
        "contingency_type": "OCO",
        "account": 4,
        "symbol": "AAPL",
        "side": "BUY",
        "order_qty": "7",
        "orders": legs,
    }
    found = events(common, order("s", "SELL", order_qty="1", account=2), frame_rows=1)
    assert [(event["event"], event["cl_ord_id"]) for event in found if event["event"] in ("NEW", "CANCELED") and event["account"] == 4] == [
        ("NEW", "x"), ("NEW", "y"), ("CANCELED", "y"),
    ]  # fmt: skip
    two = events(
        {**common, "orders": [legs[0], {**legs[1], "cl_ord_id": "y"}]},
        {**common, "orders": [{**leg, "cl_ord_id": leg["cl_ord_id"] * 2} for leg in legs]},
    )
    assert kinds(two).count("NEW") == 4
    with pytest.raises(BadCommand, match=r"orders\[1\].cl_ord_id: 'x' is the name of another order of this list"):
        events({**common, "orders": [legs[0], {**legs[1], "cl_ord_id": "x"}]})


def test_legs_that_come_one_by_one_stay_in_one_frame():
    """A frame that is full waits for the end of the list."""
    legs = [order("x", contingency_type="OCO", list_id=9), order("y", price="179.00", contingency_type="OCO", list_id=9)]
    assert kinds(events(*legs, frame_rows=1)).count("NEW") == 2


def test_numbers_that_commands_name_and_numbers_given_do_not_collide():
    """An order without order_id gets the next that nobody has named; naming one of ours is an error."""
    found = events(order("a", order_id=2), order("b"), order("c"))
    assert [(event["cl_ord_id"], event["order_id"]) for event in found if event["event"] == "NEW"] == [("a", 2), ("b", 1), ("c", 3)]
    with pytest.raises(BadCommand, match="order_id: 1 was given to an order that named none"):
        events(order("a"), order("b", order_id=1))


def test_a_cancel_knows_instrument_and_side_of_its_order():
    """As the account shard would say; nobody's order gets the book's answer."""
    known = columns({"command": "OrderCancelRequest", "account": 1, "order_id": 5})
    assert "instrument" not in known
    found = events(order("a", symbol="MSFT", price="410.00"), {"command": "OrderCancelRequest", "account": 1, "orig_cl_ord_id": "a"})
    assert [event["symbol"] for event in found if event["event"] == "CANCELED"] == ["MSFT"]
    assert events({"command": "OrderCancelRequest", "account": 1, "orig_cl_ord_id": "ghost", "cl_ord_id": "c"}) == [
        {"seq": 7, "rpt_seq": 0, "event": "CANCEL_REJECTED", "line": 1, "transact_time": 0, "order_id": 0, "cl_ord_id": "c",
         "orig_cl_ord_id": "ghost", "account": 1, "reason": "TOO_LATE_TO_CANCEL"},
    ]  # fmt: skip


def test_prices_and_quantities_of_events_are_decimal_text_of_the_instrument():
    """A tick of 0.0005 and lots of 10: what went in comes out."""
    text = '[[instrument]]\nnumber=3\nsymbol="T"\nname="t"\ntick_size="0.0005"\nlot_size="10"\nmax_order_qty="10000"\nmax_notional="5000000"\nreference_price="20"\nprotection_percent=20'
    table = parse_instruments(text, "here")
    replay = Replay(make_engine("reference", table), table)
    replay.add(1, OPEN)
    replay.add(2, order("a", symbol="T", price="19.9995", order_qty="300"))
    replay.flush()
    new = next(event for event in replay.take_events() if event["event"] == "NEW")
    assert (new["symbol"], new["price"], new["qty"]) == ("T", "19.9995", "300")


def test_frames_change_nothing():
    """Events and hash are those of single commands, whatever the size of frames."""
    commands = [order(f"o{n}", "BUY" if n % 3 else "SELL", f"{180 + n % 7 / 100:.2f}", account=n % 4 + 1) for n in range(60)]
    for old, new in (("o57", "r"), ("r", "q"), ("o57", "q"), ("nobody", "z")):
        commands.append(
            {
                "command": "OrderCancelReplaceRequest",
                "account": 2,
                "orig_cl_ord_id": old,
                "cl_ord_id": f"{new}{len(commands)}",
                "order_qty": "5",
            }
        )
    commands += [{"command": "OrderCancelRequest", "account": n % 4 + 1, "orig_cl_ord_id": f"o{n}"} for n in range(0, 60, 5)]
    assert events(*commands, frame_rows=1) == events(*commands, frame_rows=7) == events(*commands, frame_rows=1000)


def test_totals_count_what_happened():
    """Lines, commands, trades, volume and refusals."""
    replay = Replay(make_engine("reference", INSTRUMENTS), INSTRUMENTS, want_events=False)
    for line, one in enumerate((OPEN, order("a"), order("b", "SELL", account=2, order_qty="4"), order("c", order_qty="0")), 1):
        replay.add(line, one)
    replay.flush()
    totals = replay.totals
    assert (totals.lines, totals.commands, totals.trades, totals.rejects, totals.lots) == (4, 4, 1, 1, Counter({1: 4}))
    assert replay.take_events() == []
    assert totals.events == replay.engine.last_seq


def test_every_event_kind_has_its_columns_and_the_document_names_every_word():
    """The table is total; docs/replay.md leaves nothing out."""
    assert COLUMNS.keys() == set(ExecKind)
    text = DOCUMENT.read_text()
    words = {*COMMAND_WORDS, *(kind.name for kind in ExecKind), *(name for names in COLUMNS.values() for name in names)}
    words |= {name for shape in SHAPES.values() for name in (*shape.fields, *shape.names)}
    assert not [word for word in sorted(words) if f"`{word}`" not in text]
