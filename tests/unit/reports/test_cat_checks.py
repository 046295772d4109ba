"""Every rule of the records has its code: one fault in a day of sound records is found as exactly that code."""

from collections import Counter
from copy import deepcopy

import orjson
import pytest
from support.records.reported_day import DAY, REFERENCE, reported_day

from reports.cat.checks import DayCheck
from reports.cat.codes import Code
from reports.cat.events import CatEvents
from reports.cat.fields import json_line
from reports.cat.record_rules import RECORD_BYTES_MAX
from reports.cat.sound import SoundDay
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


def is_sound(records, together=1_000):
    """Whether the columns of a day say that it is, in blocks of so many records."""
    lines, day = [json_line(one) for one in records], SoundDay(DAY.compact)
    blocks = [b"".join(lines[at : at + together]) for at in range(0, len(lines), together)]
    return all(day.take(block) for block in blocks) and day.finish()


@pytest.mark.parametrize(("code", "number"), [(code, number) for code, faults in FAULTS.items() for number in range(len(faults))])
def test_a_day_with_a_fault_is_not_sound_by_its_columns(sound, code, number):
    """So that nobody goes by the quick answer alone where the rules would find something."""
    records = deepcopy(sound)
    FAULTS[code][number](records)
    assert not is_sound(records)
    assert not is_sound(records, together=20)


def test_a_day_without_a_fault_is_sound_by_its_columns(sound):
    """In any number of blocks, and an empty one too."""
    for together in (1, 7, 1_000):
        assert is_sound(sound, together)
    assert is_sound([])


@pytest.mark.parametrize(
    "line",
    [b"", b"\n", b"{}\n", b"[]\n", b"{\n", b'{"type":"EOC"} {"type":"EOC"}\n', b'{"type":"EOC","type":"EOC"}\n', '{"type":"\u0416"}\n'.encode(), b'{"type":"EOC"}'],
)  # fmt: skip
def test_lines_that_are_no_records_are_not_sound(sound, line):
    """Beside sound ones."""
    lines = [json_line(one) for one in sound]
    assert not SoundDay(DAY.compact).take(b"".join([*lines, line]) if line else lines[0][:-1])


def test_values_changed_at_random_are_sound_only_where_the_rules_find_nothing(sound):
    """Each twelfth field of each record with values of other fields and of the bounds; the seed is the order."""
    values = ["", "x", 0, -1, 1.5, 1e10, True, {}, {"DAY": 1}, None, "B", "SS", "7", 20_270_115, "a\tb", "é"]
    tried = Counter()
    for at, record in enumerate(sound):
        for place, name in list(enumerate([*record, "errorROEID", "side"]))[at % 12 :: 12]:
            changed_record = record | {name: values[(at + 7 * place) % len(values)]}
            records = [*sound[:at], changed_record, *sound[at + 1 :]]
            found, answer = findings(records), is_sound(records)
            assert not (answer and found), (name, changed_record, found[0])
            tried[answer, bool(found)] += 1
    assert tried[False, True] > 80
    assert tried[True, False] > 0


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
