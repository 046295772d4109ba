"""Every rule of the records has its code: one fault in a day of sound records is found as exactly that code."""

from copy import deepcopy

import orjson
import pytest
from support.reported_day import DAY, REFERENCE, reported_day

from reports.cat.checks import RECORD_BYTES_MAX, Code, DayCheck
from reports.cat.events import CatEvents
from reports.cat.fields import json_line
from reports.cat.words import EventType


@pytest.fixture(scope="module")
def sound():
    """The records of the day."""
    return list(CatEvents(reported_day().facts, REFERENCE).records())


def find(records, event, **having):
    """Where the first record of a type, with these values, is."""
    return next(
        at for at, one in enumerate(records) if one["type"] == event and all(one.get(name) == value for name, value in having.items())
    )


def changed(event, having=None, **values):
    """A fault: values in the first such record; None takes the field away."""

    def fault(records):
        one = records[find(records, event, **(having or {}))]
        for name, value in values.items():
            if value is None:
                del one[name]
            else:
                one[name] = value

    return fault


def in_details(name_of_side, /, **values):
    """A fault within the side of the first trade."""

    def fault(records):
        details = records[find(records, EventType.TRADE)][name_of_side]
        for name, value in values.items():
            if value is None:
                del details[name]
            else:
                details[name] = value

    return fault


def twice(event, **values):
    """A record once more, as a later one."""

    def fault(records):
        at = find(records, event)
        sequence = records[-1]["sequenceNumber"] + 2
        again = deepcopy(records[at]) | {"sequenceNumber": sequence, "firmROEID": f"{DAY.compact}_AAPL_{sequence}"}
        records.append(again | values)

    return fault


def dropped(event, **having):
    """A record is missing."""
    return lambda records: records.pop(find(records, event, **having))


def traded_with_itself(records):
    """A trade more, of the order that is left at the end, with itself."""
    twice(EventType.TRADE, tradeID="99")(records)
    for side in ("buyDetails", "sellDetails"):
        records[-1][side] |= {"orderID": "17592186044417", "originalOrderDate": 20270114}


FAULTS = {
    Code.TYPE: [changed(EventType.ADJUSTED, type="MENO")],
    Code.MISSING: [changed(EventType.ADJUSTED, member=None), changed(EventType.ADJUSTED, leavesQty=None)],
    Code.UNKNOWN_FIELD: [changed(EventType.TRADE, colour="red")],
    Code.FORM: [
        changed(EventType.ADJUSTED, price="180"), changed(EventType.ADJUSTED, price=1e10), changed(EventType.ADJUSTED, price=1.123456789),
        changed(EventType.ADJUSTED, symbol=""), changed(EventType.ADJUSTED, sequenceNumber=1.5), changed(EventType.TRADE_BROKEN, tradeDate=20261331),
        changed(EventType.TRADE_BROKEN, quantity=-1),
    ],
    Code.CHOICE: [changed(EventType.ADJUSTED, initiator="Nobody"), changed(EventType.ADJUSTED, actionType="ADD")],
    Code.ACTION: [changed(EventType.TRADE, errorROEID=7), changed(EventType.TRADE, actionType="RPR")],
    Code.ROE_ID: [changed(EventType.TRADE, firmROEID="x"), changed(EventType.TRADE, firmROEID=f"{DAY.compact}_MSFT_84")],
    Code.ROE_DATE: [changed(EventType.TRADE, firmROEID="20270116_AAPL_84")],
    Code.STAMP: [changed(EventType.ADJUSTED, eventTimestamp="20270115T090001"), changed(EventType.ADJUSTED, eventTimestamp="20270115T250001.000000000")],
    Code.LEAVES: [changed(EventType.ACCEPTED, leavesQty=31), changed(EventType.RESTATED, leavesQty=101)],
    Code.PRICE_TYPE: [changed(EventType.ACCEPTED, price=None), changed(EventType.ACCEPTED, {"orderType": "MKT"}, price=1.0)],
    Code.SIDES: [in_details("buyDetails", side="SL")],
    Code.SIDE_DETAILS: [
        in_details("buyDetails", member=None), in_details("sellDetails", leavesQty="x"), in_details("sellDetails", capacity="Own"),
        in_details("sellDetails", liquidityCode="Removed"), in_details("sellDetails", colour="red"),
    ],
    Code.SELF_ORIGIN: [changed(EventType.MODIFIED, originalOrderID="17592186044424")],
    Code.SELF_TRADE: [traded_with_itself],
    Code.SEQUENCE: [changed(EventType.TRADE, sequenceNumber=82, firmROEID=f"{DAY.compact}_AAPL_82")],
    Code.ORDER_TWICE: [twice(EventType.ACCEPTED)],
    Code.TRADE_TWICE: [twice(EventType.TRADE)],
    Code.ROUTE_TWICE: [twice(EventType.ACCEPTED, orderID="99")],
    Code.NO_ORDER: [dropped(EventType.ACCEPTED, orderID="17592186044422")],
    Code.ENDED: [twice(EventType.CANCELED)],
    Code.CONSERVATION: [
        changed(EventType.CANCELED, cancelQty=475), in_details("sellDetails", leavesQty=26), changed(EventType.ADJUSTED, {"quantity": 4}, leavesQty=3),
        changed(EventType.MODIFIED, leavesQty=59), changed(EventType.RESTATED, leavesQty=99),
    ],
    Code.RESTATED_LATE: [twice(EventType.RESTATED)],
    Code.PRINT: [changed(EventType.BULK_PRINT, {"sequenceNumber": 58}, price=180.01)],
    Code.NO_TRADE: [changed(EventType.TRADE_BROKEN, tradeID="7")],
    Code.ADJUSTED: [changed(EventType.ADJUSTED, price=None)],
    Code.SIDE_OF_ORDER: [changed(EventType.BULK_PRINT, {"sequenceNumber": 53}, side="B")],
    Code.STAMP_DAY: [changed(EventType.ADJUSTED, eventTimestamp="20270116T090001.000000000", firmROEID="20270116_AAPL_162")],
}  # fmt: skip


def findings(records):
    """What is found in a day of these records."""
    check = DayCheck(DAY.compact)
    return [finding for one in records for finding in check.take(json_line(one))] + check.finish()


@pytest.mark.parametrize(("code", "number"), [(code, number) for code, faults in FAULTS.items() for number in range(len(faults))])
def test_a_fault_is_found_as_its_code(sound, code, number):
    """Once: what follows from it is not told of again."""
    records = deepcopy(sound)
    FAULTS[code][number](records)
    found = findings(records)
    assert [one.code for one in found] == [code], found


def test_lines_that_are_no_records_are_found():
    """Too long, of another encoding, no JSON, no object, no CSV of an event."""
    stamp = f'"type":"EOC","note":"{"x" * RECORD_BYTES_MAX}"'
    for line, code, is_csv in (
        (b'{"type":"MENO"}', Code.TYPE, False), (f"{{{stamp}}}".encode(), Code.LENGTH, False), ('{"type":"\u0416"}'.encode(), Code.ENCODING, False),
        (b"{", Code.NOT_A_RECORD, False), (b"[1]", Code.NOT_A_RECORD, False), (b"NEW,,x,EOC,y", Code.NOT_A_RECORD, True),
        (b"NEW,,x,MENO,y", Code.NOT_A_RECORD, True),
    ):  # fmt: skip
        assert DayCheck(DAY.compact).take(line, is_csv=is_csv)[0].code == code


def test_every_code_is_tried():
    """A rule without a fault here would not be known to work."""
    assert {*FAULTS, Code.LENGTH, Code.ENCODING, Code.NOT_A_RECORD} == set(Code)


def test_a_record_of_a_supplement_is_checked_in_itself(sound):
    """A repair names what it repairs; the orders before it are in another file."""
    repair = sound[find(sound, EventType.CANCELED)] | {"actionType": "RPR", "errorROEID": 17}
    assert DayCheck(DAY.compact).take_alone(orjson.dumps(repair)) == []
    assert DayCheck(DAY.compact).take_alone(orjson.dumps(repair | {"actionType": "NEW"}))[0].code == Code.ACTION
