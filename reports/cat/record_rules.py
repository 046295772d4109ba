"""The rules that one record of a day keeps or breaks by itself. No I/O."""

import re
from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Any, Final

from reports.cat.codes import Code, Tell
from reports.cat.fields import EVENTS, NAMES, SIDE_FIELDS, Field, Form, Record
from reports.cat.words import BUY, LIMIT, MARKET, ActionType, EventType, Liquidity

RECORD_BYTES_MAX: Final = 4_095
TEXT_CHARACTERS_MAX: Final = 128
_STAMP: Final = re.compile(r"[0-9]{8}T(?:[01][0-9]|2[0-3])[0-5][0-9][0-5][0-9]\.[0-9]{9}")
_DATE_MIN, _DATE_MAX = 19_000_101, 99_991_231
PRICE_END: Final = 10**10
_ROE_ID: Final = re.compile(r"([0-9]{8})_.+_[0-9]+")


def check_record(record: Record, day: str, tell: Tell) -> bool:
    """The rules of one record; whether it can be compared with others."""
    kind = record.get("type")
    fields = EVENTS.get(kind) if isinstance(kind, str) else None
    if fields is None:
        tell(Code.TYPE, "type", f"{kind!r} is no event of this exchange")
        return False
    is_sound = _check_fields(record, fields, Code.FORM, "", tell)
    if not is_sound:
        return False
    _check_head(record, day, tell)
    _check_order(record, tell)
    if record["type"] == EventType.TRADE:
        return _check_sides(record, tell)
    return True


def _check_fields(record: Record, fields: Iterable[Field], form: Code, within: str, tell: Tell) -> bool:
    """Presence and form of each field; True where all are well-formed."""
    sound, known = True, 0
    for one in fields:
        value = record.get(one.name)
        if value is None:
            if one.required:
                tell(Code.MISSING if form == Code.FORM else form, within + one.name, "is missing")
                sound = False
            continue
        known += 1
        if one.choices is not None:
            if not isinstance(value, str) or value not in one.choices:
                tell(
                    Code.CHOICE if form == Code.FORM else form, within + one.name, f"{value!r} is none of {', '.join(sorted(one.choices))}"
                )
                sound = False
        elif one.name == "eventTimestamp":
            if not isinstance(value, str) or not _STAMP.fullmatch(value):
                tell(Code.STAMP, one.name, f"{value!r} is not YYYYMMDDTHHMMSS.nnnnnnnnn")
                sound = False
        elif not _FORMS[one.form](value, one.name):
            tell(form, within + one.name, f"{value!r} is not of the form {one.form.name}")
            sound = False
    if known != len(record):
        names = {one.name for one in fields}
        for name in record:
            if name not in names:
                tell(Code.UNKNOWN_FIELD if form == Code.FORM else form, within + name, "there is no such field")
    return sound


def _check_head(record: Record, day: str, tell: Tell) -> None:
    is_repair = record["actionType"] == ActionType.REPAIR
    if is_repair != ("errorROEID" in record):
        tell(Code.ACTION, "errorROEID", f"{record['actionType']} {'without' if is_repair else 'with'} the record that it repairs")
    stamp, roe_id = record["eventTimestamp"], record["firmROEID"]
    if stamp[:8] != day:
        tell(Code.STAMP_DAY, "eventTimestamp", f"{stamp} is not of {day}")
    matched = _ROE_ID.fullmatch(roe_id)
    if matched is None or roe_id != f"{matched[1]}_{record['symbol']}_{record['sequenceNumber']}":
        tell(Code.ROE_ID, "firmROEID", f"{roe_id!r} is not DAY_SYMBOL_SEQUENCE")
    elif matched[1] != stamp[:8]:
        tell(Code.ROE_DATE, "firmROEID", f"{matched[1]}, but the event is of {stamp[:8]}")


def _check_order(record: Record, tell: Tell) -> None:
    if record.get("leavesQty", 0) > record.get("quantity", record.get("leavesQty", 0)):
        tell(Code.LEAVES, "leavesQty", f"{record['leavesQty']:g} of {record['quantity']:g}")
    order_type = record.get("orderType")
    if (order_type == LIMIT and "price" not in record) or (order_type == MARKET and "price" in record):
        tell(Code.PRICE_TYPE, "price", f"{order_type} {'with' if 'price' in record else 'without'} a price")
    if record.get("originalOrderID") == record.get("orderID", 0):
        tell(Code.SELF_ORIGIN, "originalOrderID", f"order {record['orderID']} is not its own original")
    if record["type"] == EventType.ADJUSTED and not record.keys() & {"side", "price", "quantity"}:
        tell(Code.ADJUSTED, "price", "neither side, price nor quantity")


def _check_sides(record: Record, tell: Tell) -> bool:
    buy, sell = record["buyDetails"], record["sellDetails"]
    sound = True
    for name, details in (("buyDetails", buy), ("sellDetails", sell)):
        sound &= _check_fields(details, SIDE_FIELDS, Code.SIDE_DETAILS, f"{name}.", tell)
    if not sound:
        return False
    if buy["side"] != BUY or sell["side"] == BUY:
        tell(Code.SIDES, "buyDetails", f"{buy['side']} buys from {sell['side']}")
        return False
    if {buy["liquidityCode"], sell["liquidityCode"]} != set(Liquidity):
        tell(Code.SIDE_DETAILS, "buyDetails.liquidityCode", f"both sides {buy['liquidityCode']}")
    if buy["orderID"] == sell["orderID"]:
        tell(Code.SELF_TRADE, "sellDetails.orderID", f"order {buy['orderID']} on both sides")
        return False
    return True


def _is_text(value: Any, _name: str) -> bool:
    return isinstance(value, str) and 0 < len(value) <= TEXT_CHARACTERS_MAX and value.isprintable()


def _is_number(value: Any, _name: str) -> bool:
    return type(value) is int and value >= 0


def _is_price(value: Any, _name: str) -> bool:
    return type(value) in (int, float) and 0 <= value < PRICE_END and round(value, 8) == value


def _is_quantity(value: Any, _name: str) -> bool:
    return type(value) in (int, float) and 0 <= value < PRICE_END


def is_date(value: Any, _name: str) -> bool:
    """Whether a value is a date as YYYYMMDD."""
    if type(value) is not int or not _DATE_MIN <= value <= _DATE_MAX:
        return False
    try:
        datetime.strptime(str(value), "%Y%m%d")  # noqa: DTZ007  a date has no zone
    except ValueError:
        return False
    return True


def _is_names(value: Any, name: str) -> bool:
    return isinstance(value, dict) and value.keys() <= NAMES[name] and (name != "timeInForce" or len(value) == 1)


def _is_side(value: Any, _name: str) -> bool:
    return isinstance(value, dict)


_FORMS: Final[dict[Form, Callable[[Any, str], bool]]] = {
    Form.TEXT: _is_text, Form.NUMBER: _is_number, Form.PRICE: _is_price, Form.QUANTITY: _is_quantity, Form.DATE: is_date, Form.STAMP: _is_text,
    Form.NAMES: _is_names, Form.SIDE: _is_side,
}  # fmt: skip
