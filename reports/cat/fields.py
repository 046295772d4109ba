"""The fields of every event in their order, and how each is written in JSON and in CSV. One table for writers, readers and checks. No I/O."""

import csv
import io
from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum, auto
from typing import Any, Final

import orjson

from reports.cat.words import (
    BUY,
    INSTRUCTIONS,
    LIMIT,
    MARKET,
    SELL_LONG,
    SELL_SHORT,
    TIMES_IN_FORCE,
    ActionType,
    EventType,
    Initiator,
    Liquidity,
)
from reports.reference import CAPACITIES

SCHEMA_VERSION: Final = "1.7.1-outcry-1"
"""Of the fields here. They are modelled on CAT Participants v1.7.1 (2018-09); later versions of it were not compared."""


class Form(Enum):
    """How a value is written."""

    TEXT = auto()
    NUMBER = auto()
    """A whole number."""
    PRICE = auto()
    """At most 10 digits before the point and 8 behind it."""
    QUANTITY = auto()
    DATE = auto()
    """YYYYMMDD as a number."""
    STAMP = auto()
    """YYYYMMDDTHHMMSS.nnnnnnnnn, New York time."""
    NAMES = auto()
    """Names, some with a value: an object in JSON; NAME or NAME=VALUE, parted by |, in CSV."""
    SIDE = auto()
    """One side of a trade: an object in JSON; the values of SIDE_FIELDS, parted by @, in CSV."""


@dataclass(frozen=True, slots=True)
class Field:
    """One field of an event."""

    name: str
    form: Form = Form.TEXT
    required: bool = True
    choices: frozenset[str] | None = None


def _choice(name: str, words: Iterable[str], *, required: bool = True) -> Field:
    return Field(name, Form.TEXT, required, frozenset(words))


def _maybe(name: str, form: Form = Form.TEXT) -> Field:
    return Field(name, form, required=False)


_SIDES: Final = (BUY, SELL_LONG, SELL_SHORT)
HEAD: Final = (
    _choice("actionType", ActionType), _maybe("errorROEID", Form.NUMBER), Field("firmROEID"), _choice("type", EventType), Field("exchange"),
    Field("eventTimestamp", Form.STAMP), Field("sequenceNumber", Form.NUMBER), Field("symbol"),
)  # fmt: skip
"""What every event begins with."""
_BEST: Final = (Field("nbbPrice", Form.PRICE), Field("nboPrice", Form.PRICE))
_INITIATOR: Final = _choice("initiator", Initiator)
_STATE: Final = (
    Field("routingParty"), Field("routedOrderID"), Field("session"), _choice("side", _SIDES), _maybe("price", Form.PRICE),
    Field("quantity", Form.QUANTITY), Field("leavesQty", Form.QUANTITY), Field("displayQty", Form.QUANTITY), _maybe("workingPrice", Form.PRICE),
    _choice("orderType", (MARKET, LIMIT)), Field("timeInForce", Form.NAMES), _choice("capacity", CAPACITIES),
    Field("handlingInstructions", Form.NAMES),
)  # fmt: skip
_ORIGINAL: Final = _maybe("originalOrderDate", Form.DATE)
EVENTS: Final[dict[str, tuple[Field, ...]]] = {
    EventType.ACCEPTED: (*HEAD, Field("orderID"), *_STATE, *_BEST, Field("member")),
    EventType.MODIFIED: (*HEAD, Field("orderID"), _maybe("originalOrderID"), _ORIGINAL, _INITIATOR, *_STATE, *_BEST, Field("member")),
    EventType.ADJUSTED: (
        *HEAD, Field("orderID"), _ORIGINAL, _INITIATOR, _choice("side", _SIDES, required=False), _maybe("price", Form.PRICE),
        _maybe("quantity", Form.QUANTITY), Field("leavesQty", Form.QUANTITY), *_BEST, Field("member"),
    ),
    EventType.CANCELED: (
        *HEAD, Field("orderID"), _ORIGINAL, Field("cancelQty", Form.QUANTITY), Field("leavesQty", Form.QUANTITY), _INITIATOR, _maybe("cancelReason"),
        Field("member"),
    ),
    EventType.TRADE: (
        *HEAD, Field("tradeID"), Field("quantity", Form.QUANTITY), Field("price", Form.PRICE), _maybe("saleCondition"), Field("buyDetails", Form.SIDE),
        Field("sellDetails", Form.SIDE), *_BEST,
    ),
    EventType.BULK_PRINT: (
        *HEAD, Field("bulkPrintID"), Field("price", Form.PRICE), Field("quantity", Form.QUANTITY), Field("orderID"), _ORIGINAL,
        _choice("side", _SIDES), Field("clearingNumber"), Field("member"),
    ),
    EventType.RESTATED: (*HEAD, Field("orderID"), Field("originalOrderDate", Form.DATE), *_STATE, *_BEST, Field("member")),
    EventType.TRADE_BROKEN: (
        *HEAD, Field("tradeID"), _maybe("bulkPrintID"), _maybe("tradeDate", Form.DATE), Field("quantity", Form.QUANTITY), Field("price", Form.PRICE),
    ),
}  # fmt: skip
SIDE_FIELDS: Final = (
    _choice("side", _SIDES), _maybe("leavesQty", Form.QUANTITY), Field("orderID"), _ORIGINAL, _choice("capacity", CAPACITIES), Field("clearingNumber"),
    _choice("liquidityCode", Liquidity), Field("member"),
)  # fmt: skip
NAMES: Final = {"timeInForce": frozenset(TIMES_IN_FORCE), "handlingInstructions": frozenset(INSTRUCTIONS)}
"""Which names a field of that form may have."""

Record = dict[str, Any]


class NotACsvLine(ValueError):
    """The line has no event's fields; the message says why."""


def json_line(record: Record) -> bytes:
    """A record as a line, fields in the order of the table."""
    return orjson.dumps(record) + b"\n"


def csv_line(record: Record) -> bytes:
    """The same as CSV: no header, a field that is absent is empty. The record must have passed the checks."""
    out = io.StringIO()
    csv.writer(out, lineterminator="\n").writerow(_to_text(field, record.get(field.name)) for field in EVENTS[record["type"]])
    return out.getvalue().encode("latin-1")


def record_of_csv(line: bytes) -> Record:
    """What csv_line has written. Raises NotACsvLine."""
    try:
        (values,) = csv.reader([line.decode("latin-1").rstrip("\n")])
    except (csv.Error, ValueError) as error:  # a line end within it makes two
        raise NotACsvLine(f"it is no line of CSV: {error}") from None
    at = next(place for place, field in enumerate(HEAD) if field.name == "type")
    fields = EVENTS.get(values[at]) if len(values) > at else None
    if fields is None:
        raise NotACsvLine(f"field {at + 1} is no type of an event")
    if len(values) != len(fields):
        raise NotACsvLine(f"{values[at]} has {len(fields)} fields, not {len(values)}")
    return {field.name: _from_text(field, text) for field, text in zip(fields, values, strict=True) if text or field.form == Form.NAMES}


def _to_text(field: Field, value: Any) -> str:
    if value is None:
        return ""
    if field.form == Form.NAMES:
        return "|".join(name if held is True else f"{name}={_to_text(_NUMBERS, held)}" for name, held in value.items())
    if field.form == Form.SIDE:
        return "@".join(_to_text(one, value.get(one.name)) for one in SIDE_FIELDS)
    return value if isinstance(value, str) else orjson.dumps(value).decode()


def _from_text(field: Field, text: str) -> Any:
    if field.form == Form.NAMES:
        parts = (part.partition("=") for part in text.split("|") if part)
        return {name: _from_text(_NUMBERS, value) if equals else True for name, equals, value in parts}
    if field.form == Form.SIDE:
        return {one.name: _from_text(one, part) for one, part in zip(SIDE_FIELDS, text.split("@"), strict=False) if part}
    if field.form in (Form.TEXT, Form.STAMP):
        return text
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        return text


_NUMBERS: Final = Field("value", Form.PRICE)
