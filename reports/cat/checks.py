"""What every record of a day must be like, each rule with its code. No I/O.

Codes of four digits are those of the public list of CAT errors with the same meaning; codes that begin with OO are ours. A record is told of once for
each rule that it breaks.
"""

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, Final

import orjson

from reports.cat.fields import EVENTS, NAMES, SIDE_FIELDS, Field, Form, NotACsvLine, Record, record_of_csv
from reports.cat.words import BUY, LIMIT, MARKET, ActionType, EventType, Liquidity

RECORD_BYTES_MAX: Final = 4_095
TEXT_CHARACTERS_MAX: Final = 128
_STAMP: Final = re.compile(r"[0-9]{8}T(?:[01][0-9]|2[0-3])[0-5][0-9][0-5][0-9]\.[0-9]{9}")
_DATE_MIN, _DATE_MAX = 19_000_101, 99_991_231
PRICE_END: Final = 10**10
_ROE_ID: Final = re.compile(r"([0-9]{8})_.+_[0-9]+")


class Code(StrEnum):
    """A broken rule."""

    NOT_A_RECORD = "OO01"
    """The line is no JSON object, or no CSV line of an event."""
    TYPE = "2105"
    """The type is none that this exchange reports."""
    MISSING = "OO02"
    """A required field is not there."""
    UNKNOWN_FIELD = "2133"
    """The event has no such field."""
    FORM = "OO03"
    """The value is not of the field's form."""
    CHOICE = "2018"
    """The value is none of the field's words."""
    ACTION = "2026"
    """Only a repair names the record that it repairs, and it must."""
    ROE_ID = "2032"
    """firmROEID is not DAY_SYMBOL_SEQUENCE of the record itself."""
    ROE_DATE = "2033"
    """firmROEID has another day than the event."""
    STAMP = "2027"
    """eventTimestamp is not YYYYMMDDTHHMMSS with nanoseconds."""
    STAMP_DAY = "2139"
    """eventTimestamp is of another day than the file."""
    LEAVES = "2040"
    """leavesQty is more than the quantity."""
    PRICE_TYPE = "2067"
    """A limit order has no price, or a market order has one."""
    SIDES = "2108"
    """buyDetails are not of a buy, or sellDetails not of a sell."""
    SIDE_DETAILS = "2115"
    """A field of the side details is missing, unknown or wrong, or not exactly one side added liquidity."""
    LENGTH = "2132"
    """The record has more bytes than allowed."""
    SELF_ORIGIN = "2190"
    """The order names itself as its original."""
    SELF_TRADE = "2191"
    """Both sides of the trade are one order."""
    ENCODING = "OO04"
    """Text that is not ISO-8859-1."""
    SEQUENCE = "OO05"
    """sequenceNumber does not rise by symbol."""
    ORDER_TWICE = "OO06"
    """The order's key is there twice."""
    TRADE_TWICE = "OO07"
    """The trade's key is there twice."""
    ROUTE_TWICE = "OO08"
    """Two orders have the same route link: symbol, routedOrderID, session and routingParty."""
    NO_ORDER = "OO09"
    """The order was neither accepted nor restated before."""
    ENDED = "OO10"
    """The order had ended before."""
    CONSERVATION = "OO11"
    """Quantity is not what was traded, canceled and left."""
    RESTATED_LATE = "OO12"
    """The order is restated after something else was reported of it."""
    PRINT = "OO13"
    """A bulk print's buys and sells do not add up to the same, or its prices differ."""
    NO_TRADE = "OO14"
    """The broken trade is of this day and was not reported."""
    ADJUSTED = "OO15"
    """An adjustment changes neither side, price nor quantity."""
    SIDE_OF_ORDER = "OO16"
    """The event has another side than its order."""


@dataclass(frozen=True, slots=True)
class Finding:
    """A record that breaks a rule."""

    line: int
    """From 1; 0: of the whole day."""
    code: Code
    field: str
    text: str

    def __str__(self) -> str:
        return f"line {self.line:,}: {self.code} {self.field}: {self.text}"


Tell = Callable[[Code, str, str], None]


@dataclass(slots=True)
class _Order:
    """What the records so far say of an order. Quantities as reported."""

    side: str
    quantity: float
    leaves: float
    traded: float = 0
    canceled: float = 0
    before: float = 0
    """Traded before this day."""
    is_doubtful: bool = False
    """A record of it was not sound, so what is left of it is not known."""


class DayCheck:
    """Checks the records of one day, in the order of its files. `take` each line, then `finish`."""

    def __init__(self, day: str) -> None:
        """day: YYYYMMDD."""
        self._day = day
        self.records = 0
        self._sequences: dict[str, int] = {}
        self._orders: dict[str, _Order | None] = {}
        """By order key; None: it has ended."""
        self._trades: set[str] = set()
        self._routes: set[tuple[str, str, str, str]] = set()
        self._prints: dict[str, list[float]] = {}
        """By bulkPrintID: bought, sold, price."""

    def take(self, line: bytes, *, is_csv: bool = False) -> list[Finding]:
        """What is wrong with the next record, also beside those before it."""
        return self._take(line, is_csv=is_csv, alone=False)

    def take_alone(self, line: bytes) -> list[Finding]:
        """What is wrong with the next record in itself: of a supplement, whose other records are in the files before."""
        return self._take(line, is_csv=False, alone=True)

    def _take(self, line: bytes, *, is_csv: bool, alone: bool) -> list[Finding]:
        self.records += 1
        found: list[Finding] = []
        number = self.records

        def tell(code: Code, name: str, text: str) -> None:
            found.append(Finding(number, code, name, text))

        if len(line.rstrip(b"\n")) > RECORD_BYTES_MAX:
            tell(Code.LENGTH, "", f"{len(line):,} bytes, at most {RECORD_BYTES_MAX:,}")
        record = _record_of(line, tell, is_csv=is_csv)
        if record is not None:
            is_sound = check_record(record, self._day, tell)
            if not alone and is_sound:
                self._link(record, tell)
            elif not alone:
                self._doubt(record)
        return found

    def _doubt(self, record: Record) -> None:
        """The orders of a record that is not sound: what follows from that is not told of again with every later record."""
        for one in (record, record.get("buyDetails"), record.get("sellDetails")):
            if isinstance(one, dict) and isinstance(one.get("orderID"), str):
                order = self._orders.get(self._key(one, record.get("symbol", "")))
                if order is not None:
                    order.is_doubtful = True

    def finish(self) -> list[Finding]:
        """What is wrong with the day as a whole."""
        return [
            Finding(0, Code.PRINT, print_id, f"{bought:g} bought and {sold:g} sold")
            for print_id, (bought, sold, _) in self._prints.items()
            if not _same(bought, sold)
        ]

    @property
    def open_orders(self) -> int:
        """Orders that have something left."""
        return sum(one is not None for one in self._orders.values())

    # ---- across records

    def _link(self, record: Record, tell: Tell) -> None:
        """The rules that need the records before; of a record that is well-formed."""
        symbol, sequence = record["symbol"], record["sequenceNumber"]
        if sequence <= self._sequences.get(symbol, -1):
            tell(Code.SEQUENCE, "sequenceNumber", f"{sequence} after {self._sequences[symbol]} of {symbol}")
        self._sequences[symbol] = max(sequence, self._sequences.get(symbol, -1))
        match record["type"]:
            case EventType.ACCEPTED | EventType.RESTATED:
                self._open(record, tell)
            case EventType.MODIFIED:
                self._modify(record, tell)
            case EventType.ADJUSTED:
                self._adjust(record, tell)
            case EventType.CANCELED:
                self._cancel(record, tell)
            case EventType.TRADE:
                self._trade(record, tell)
            case EventType.BULK_PRINT:
                self._print(record, tell)
            case EventType.TRADE_BROKEN:
                if record.get("tradeDate") == int(self._day) and record.get("bulkPrintID", record["tradeID"]) not in self._trades:
                    tell(Code.NO_TRADE, "tradeID", f"trade {record['tradeID']} was not reported before")

    def _key(self, order: Record, symbol: str) -> str:
        return f"{order.get('originalOrderDate', self._day)} {symbol} {order['orderID']}"

    def _open(self, record: Record, tell: Tell) -> None:
        key, is_new = self._key(record, record["symbol"]), record["type"] == EventType.ACCEPTED
        if key in self._orders:
            code = Code.ORDER_TWICE if is_new else Code.RESTATED_LATE
            tell(code, "orderID", f"order {record['orderID']} was reported before")
            return
        if record["leavesQty"] < record["quantity"]:  # more has its own code
            tell(Code.CONSERVATION, "leavesQty", f"{record['leavesQty']:g} left of {record['quantity']:g} before anything happened")
        self._orders[key] = _Order(record["side"], record["quantity"], record["quantity"])
        if is_new:
            route = (record["symbol"], record["routedOrderID"], record["session"], record["routingParty"])
            if route in self._routes:
                tell(Code.ROUTE_TWICE, "routedOrderID", f"{' '.join(route)} was accepted before")
            self._routes.add(route)

    def _known(self, key: str, order_id: str, side: str | None, tell: Tell) -> _Order | None:
        if key not in self._orders:
            tell(Code.NO_ORDER, "orderID", f"order {order_id} was not reported before")
            return None
        order = self._orders[key]
        if order is None:
            tell(Code.ENDED, "orderID", f"nothing was left of order {order_id}")
        elif side is not None and (side == BUY) != (order.side == BUY):
            tell(Code.SIDE_OF_ORDER, "side", f"{side}, but order {order_id} is {order.side}")
        return order

    def _modify(self, record: Record, tell: Tell) -> None:
        key = self._key(record, record["symbol"])
        order = self._known(key, record["orderID"], record["side"], tell)
        if order is None:
            return
        done = record["quantity"] - record["leavesQty"]
        traded = order.before + order.traded
        if not _same(done, traded):
            if "originalOrderDate" in record and not order.before and done > order.traded:
                order.before = done - order.traded
            elif not order.is_doubtful:
                tell(
                    Code.CONSERVATION,
                    "leavesQty",
                    f"{record['leavesQty']:g} left of {record['quantity']:g}, of which {traded:g} were traded",
                )
        order.quantity, order.leaves, order.canceled = record["quantity"], record["leavesQty"], 0
        self._end(key, order)

    def _adjust(self, record: Record, tell: Tell) -> None:
        key = self._key(record, record["symbol"])
        order = self._known(key, record["orderID"], record.get("side"), tell)
        if order is None:
            return
        order.quantity = record.get("quantity", order.quantity)
        if "quantity" in record:
            order.leaves = order.quantity - order.before - order.traded
        self._compare(order, record["leavesQty"], "leavesQty", tell)
        self._end(key, order)

    def _cancel(self, record: Record, tell: Tell) -> None:
        key = self._key(record, record["symbol"])
        order = self._known(key, record["orderID"], None, tell)
        if order is None:
            return
        order.canceled += record["cancelQty"]
        order.leaves -= record["cancelQty"]
        self._compare(order, record["leavesQty"], "cancelQty", tell)
        self._end(key, order)

    def _trade(self, record: Record, tell: Tell) -> None:
        if record["tradeID"] in self._trades:
            tell(Code.TRADE_TWICE, "tradeID", f"trade {record['tradeID']} was reported before")
            return
        self._trades.add(record["tradeID"])
        for name in ("buyDetails", "sellDetails"):
            details = record[name]
            key = self._key(details, record["symbol"])
            order = self._known(key, details["orderID"], details["side"], tell)
            if order is not None:
                self._fill(order, record["quantity"])
                self._compare(order, details.get("leavesQty", order.leaves), f"{name}.leavesQty", tell)
                self._end(key, order)

    def _print(self, record: Record, tell: Tell) -> None:
        print_id, key = record["bulkPrintID"], self._key(record, record["symbol"])
        sums = self._prints.setdefault(print_id, [0, 0, record["price"]])
        self._trades.add(print_id)
        if record["price"] != sums[2]:
            tell(Code.PRINT, "price", f"{record['price']:g}, but the print is at {sums[2]:g}")
        order = self._known(key, record["orderID"], record["side"], tell)
        sums[0 if (record["side"] if order is None else order.side) == BUY else 1] += record["quantity"]
        if order is not None:
            self._fill(order, record["quantity"])
            if order.leaves < 0 and not _same(order.leaves, 0) and not order.is_doubtful:
                tell(Code.CONSERVATION, "quantity", f"{-order.leaves:g} more than order {record['orderID']} had left")
            self._end(key, order)

    @staticmethod
    def _fill(order: _Order, quantity: float) -> None:
        order.traded += quantity
        order.leaves -= quantity

    @staticmethod
    def _compare(order: _Order, leaves: float, name: str, tell: Tell) -> None:
        if not _same(order.leaves, leaves):
            if not order.is_doubtful:
                less = f"{order.quantity:g} less {order.before + order.traded:g} traded and {order.canceled:g} canceled"
                tell(Code.CONSERVATION, name, f"{leaves:g} left, but {less} is {order.leaves:g}")
            order.leaves, order.is_doubtful = leaves, True  # told once, not with every later record

    def _end(self, key: str, order: _Order) -> None:
        if _same(order.leaves, 0):
            self._orders[key] = None


# ---- one record


def _record_of(line: bytes, tell: Tell, *, is_csv: bool) -> Record | None:
    try:
        line.decode().encode("latin-1")
    except UnicodeError:
        if not is_csv:  # every byte is a character of ISO-8859-1
            tell(Code.ENCODING, "", "text that is not ISO-8859-1")
            return None
    try:
        record = record_of_csv(line) if is_csv else orjson.loads(line)
    except (orjson.JSONDecodeError, NotACsvLine) as error:
        tell(Code.NOT_A_RECORD, "", str(error))
        return None
    if not isinstance(record, dict):
        tell(Code.NOT_A_RECORD, "", "not an object")
        return None
    return record


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


def _same(one: float, other: float) -> bool:
    """Quantities as reported are decimals of at most 8 places: sums of doubles are as near as that."""
    return abs(one - other) < 5e-9
