"""The events of a day as the Consolidated Audit Trail takes them."""

from collections import Counter, defaultdict
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from support.records.reported_day import DAY, REFERENCE, reported_day

from reports.cat import event_lines
from reports.cat.checks import DayCheck
from reports.cat.event_lines import CatLines
from reports.cat.events import CatEvents
from reports.cat.fields import EVENTS, csv_line, json_line, record_of_csv
from reports.cat.scales import Scale
from reports.cat.words import BUY, CANCEL_REASONS, ORDER_TYPES, PEGS, SIDES, EventType
from schemas.enums import ExecKind, OrdType, PegPriceType, Side
from schemas.instruments import load_instruments


@pytest.fixture(scope="module")
def facts():
    """Of the day."""
    return reported_day().facts


@pytest.fixture(scope="module")
def records(facts):
    """All of its events."""
    return list(CatEvents(facts, REFERENCE).records())


def of_type(records, event):
    """Those of one type."""
    return [one for one in records if one["type"] == event]


def test_each_decision_of_a_book_about_an_order_is_one_event(facts, records):
    """Auctions are an event for each order instead of each trade, and what changes neither price nor quantity is none."""
    rows, found = Counter(facts.executions["kind"].tolist()), Counter(one["type"] for one in records)
    assert found[EventType.ACCEPTED] == rows[ExecKind.NEW] == 23
    assert found[EventType.CANCELED] == rows[ExecKind.CANCELED] + rows[ExecKind.EXPIRED]
    assert found[EventType.TRADE] == rows[ExecKind.TRADE] - 4
    assert (found[EventType.BULK_PRINT], found[EventType.RESTATED], found[EventType.MODIFIED], found[EventType.TRADE_BROKEN]) == (
        5,
        2,
        3,
        1,
    )


def test_the_lines_of_a_day_are_its_records(facts, records):
    """Byte for byte, also of members with a session, of names that JSON escapes, and of orders of an earlier day."""
    assert list(CatLines(facts, REFERENCE).lines()) == [json_line(one) for one in records]
    strange = replace(facts, cl_ord_ids=np.array([b'a"b\\c\xe9 %d' % at for at in range(len(facts.cl_ord_ids))]))
    with_session = replace(REFERENCE, default=replace(REFERENCE.default, session="FIX-7"))
    later = replace(facts, orders=facts.orders.copy())
    later.orders["submitted_at"] -= 86_400 * 10**9
    for changed in (strange, later):
        expected = [json_line(one) for one in CatEvents(changed, with_session).records()]
        assert list(CatLines(changed, with_session).lines()) == expected != [json_line(one) for one in records]


@pytest.mark.parametrize("rows", [1, 2, 3, 7])
def test_where_blocks_of_lines_end_makes_no_difference(facts, records, rows, monkeypatch):
    """Auctions, replaces and carried orders go across their ends."""
    monkeypatch.setattr(event_lines, "BLOCK_ROWS", rows)
    blocks = list(CatLines(facts, REFERENCE).blocks())
    assert len(blocks) == -(-len(facts.executions) // rows)
    assert [line for block in blocks for line in block] == [json_line(one) for one in records]


def test_every_record_keeps_every_rule(records):
    """And nothing is left at the end of the day but the order that goes on."""
    check = DayCheck(DAY.compact)
    assert [finding for one in records for finding in check.take(json_line(one))] == []
    assert check.finish() == []
    assert check.open_orders == 1


def test_json_to_csv_to_json_is_the_same(records):
    """Byte for byte, every type of event."""
    assert {one["type"] for one in records} == set(EVENTS)
    for one in records:
        assert json_line(record_of_csv(csv_line(one))) == json_line(one)
    check = DayCheck(DAY.compact)
    assert [finding for one in records for finding in check.take(csv_line(one), is_csv=True)] == []


def test_quantity_is_what_was_traded_canceled_and_left(records):
    """A second, plain reckoning by order."""
    left: dict[str, float] = defaultdict(float)
    for one in records:
        if one["type"] in (EventType.ACCEPTED, EventType.RESTATED):
            left[one["orderID"]] += one["quantity"]
        elif one["type"] == EventType.MODIFIED or (one["type"] == EventType.ADJUSTED and "quantity" in one):
            left[one["orderID"]] = one["leavesQty"]
        elif one["type"] == EventType.CANCELED:
            left[one["orderID"]] -= one["cancelQty"]
        elif one["type"] == EventType.BULK_PRINT:
            left[one["orderID"]] -= one["quantity"]
        elif one["type"] == EventType.TRADE:
            for side in ("buyDetails", "sellDetails"):
                left[one[side]["orderID"]] -= one["quantity"]
                assert left[one[side]["orderID"]] == one[side]["leavesQty"]
    assert {order: lots for order, lots in left.items() if lots} == {"17592186044417": 100}


def test_sequence_numbers_rise_by_symbol_and_bulk_prints_balance(records):
    """Both orders of one row of an auction have a number."""
    for one, other in pairwise(records):
        assert one["symbol"] != other["symbol"] or one["sequenceNumber"] < other["sequenceNumber"]
    prints = of_type(records, EventType.BULK_PRINT)
    assert sum(one["quantity"] if one["side"] == BUY else -one["quantity"] for one in prints) == 0
    assert len({one["bulkPrintID"] for one in prints}) == 1


def test_an_order_of_an_earlier_day_is_restated_with_its_date_before_anything_else(records):
    """Its account shard described it the day before; its key has that date in every event."""
    restated = of_type(records, EventType.RESTATED)
    assert [one["originalOrderDate"] for one in restated] == [20270114, 20270114]
    assert records[:2] == restated
    canceled = next(one for one in of_type(records, EventType.CANCELED) if one["orderID"] == restated[1]["orderID"])
    assert canceled["originalOrderDate"] == 20270114
    assert (canceled["initiator"], canceled["cancelReason"]) == ("Firm", "REQ")


def test_a_modification_has_the_whole_state_and_the_new_name(records):
    """The broker's name of an order follows its replaces."""
    one = of_type(records, EventType.MODIFIED)[0]
    assert (one["routedOrderID"], one["price"], one["quantity"], one["leavesQty"]) == ("c13", 180.31, 60, 60)


def test_best_prices_are_those_before_the_command(records):
    """The order that takes the best offer away still saw it."""
    trade = of_type(records, EventType.TRADE)[0]
    assert (trade["nbbPrice"], trade["nboPrice"], trade["price"]) == (180.0, 180.2, 180.2)
    assert (trade["buyDetails"]["liquidityCode"], trade["sellDetails"]["liquidityCode"]) == ("Removed", "Added")


def test_instructions_say_what_the_order_is(records):
    """A stop, an iceberg, a hidden order and a peg."""
    found = [one["handlingInstructions"] for one in of_type(records, EventType.ACCEPTED)]
    for expected in ({"STP": 179.5}, {"STP": 180.35}, {"RSV": 10}, {"HID": True}, {"PEGPRM": 0.0}, {"MTL": True}):
        assert expected in found


def test_tables_of_words_are_total():
    """A new member of an enumeration needs a word."""
    assert set(ORDER_TYPES) == set(OrdType)
    assert set(SIDES) == set(Side)
    assert set(PEGS) == set(PegPriceType)
    assert set(EVENTS) == set(EventType)
    assert all(len(word) <= 3 for word in CANCEL_REASONS.values())


@pytest.mark.parametrize("ticks", [1, 3, 18_031, 2_147_483_647])
def test_prices_are_written_as_their_exact_decimals(ticks):
    """No digit of a double's error."""
    one = load_instruments(None).by_symbol["AAPL"]
    assert repr(Scale(one).price(ticks)).removesuffix(".0") == one.price_text(ticks)
