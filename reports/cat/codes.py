"""The rules of a day's records by their codes, and what is told of a record that breaks one.

Codes of four digits are those of the public list of CAT errors with the same meaning; codes that begin with OO are ours.
"""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum


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
