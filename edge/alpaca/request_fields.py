"""Fields of a request's JSON object as exact values, each refused by its own name. No I/O.

Numbers are read from their literal text (a client may send 10.05 or "10.05"), so 10.05 is exactly 1005 ticks of 0.01.
Unknown fields are ignored, as at Alpaca; null means absent.
"""

import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Final, TypeVar

from edge.alpaca.errors import unprocessable
from edge.alpaca.limits import NUMBER_DIGITS_MAX
from edge.http.client_data import decode_json, quoted
from edge.http.errors import HttpError, bad_parameter
from edge.http.timestamps import parse_time_ns
from schemas.ids import instrument_of
from schemas.instruments import Instrument, InstrumentTable
from schemas.limits import CL_ORD_ID_MAX_BYTES
from schemas.reject_reasons import SENTENCES, Reason
from schemas.units import NotAMultiple, OutOfRange

T = TypeVar("T")

NUMBER: Final = re.compile(r"[+-]?\d{1,24}(\.\d{0,24})?([eE][+-]?\d{1,2})?", re.ASCII)
_CLIENT_ORDER_ID: Final = re.compile(f"[ -~]{{1,{CL_ORD_ID_MAX_BYTES}}}", re.ASCII)


def decode_object(body: bytes) -> dict[str, Any]:
    """The JSON object of a request body, numbers exact. Raises HttpError 400 for what is not JSON, 422 for another kind of value."""
    try:
        value = decode_json(body)
    except ValueError as error:
        raise HttpError(400, f"request body format is invalid: {error}") from None
    if not isinstance(value, dict):
        raise bad_parameter("request body must be a JSON object")
    return value


def find_instrument(symbol_or_asset_id: str, instruments: InstrumentTable) -> Instrument | None:
    """By symbol or by asset UUID."""
    found = instruments.by_symbol.get(symbol_or_asset_id)
    if found is None and len(symbol_or_asset_id) == 36:
        number = instrument_of(symbol_or_asset_id)
        found = instruments.by_number.get(number) if number is not None else None
    return found


class Fields:
    """One JSON object. Every method raises HttpError 422 that names the field; `where` stands before the names (such as "take_profit.")."""

    def __init__(self, values: Mapping[str, Any], where: str = "") -> None:
        self._values = values
        self._where = where

    def __contains__(self, name: str) -> bool:
        return self._values.get(name) is not None

    def raw(self, name: str) -> Any:
        """The value as it came; None if absent."""
        return self._values.get(name)

    def inner(self, name: str) -> "Fields | None":
        """An object within this one; None if absent."""
        value = self.raw(name)
        if value is None:
            return None
        if not isinstance(value, dict):
            raise bad_parameter(f"{self._where}{name} must be an object")
        return Fields(value, f"{self._where}{name}.")

    def text(self, name: str) -> str | None:
        """A text that is not empty."""
        value = self.raw(name)
        if value is None or value == "":
            return None
        if not isinstance(value, str):
            raise bad_parameter(f"{self._where}{name} must be text, not {quoted(value)}")
        return value

    def word(self, name: str, known: Mapping[str, T], default: T | None = None) -> T:
        """What a word of a closed list stands for."""
        word = self.raw(name)
        if word is None or word == "":
            if default is None:
                raise bad_parameter(f"{self._where}{name} is required")
            return default
        if isinstance(word, str) and word in known:
            return known[word]
        raise bad_parameter(f"invalid {self._where}{name} {quoted(word)}: must be one of {', '.join(filter(None, known))}")

    def flag(self, name: str) -> bool:
        """true, or false if absent."""
        value = self.raw(name)
        if value is not None and not isinstance(value, bool):
            raise bad_parameter(f"{self._where}{name} must be true or false")
        return bool(value)

    def number(self, name: str) -> Decimal | None:
        """The exact value of a JSON number or a decimal text; None if absent."""
        value, name = self.raw(name), self._where + name
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, int | str | Decimal):
            raise bad_parameter(f"{name} must be a number, not {quoted(value)}")
        if isinstance(value, str) and not NUMBER.fullmatch(value):
            raise bad_parameter(f"{name} must be a decimal number, not {quoted(value)}")
        number = Decimal(value)
        if not number.is_finite() or len(number.as_tuple().digits) > NUMBER_DIGITS_MAX or abs(number.adjusted()) > NUMBER_DIGITS_MAX:
            raise bad_parameter(f"{name} is out of range: at most {NUMBER_DIGITS_MAX} digits")
        return number

    def qty(self, name: str, instrument: Instrument) -> int | None:
        """Lots of a positive quantity; None if absent."""
        number = self.number(name)
        name = self._where + name
        if number is None:
            return None
        if number <= 0:
            raise bad_parameter(f"{name} must be > 0")
        try:
            return instrument.qty_to_lots(number)
        except OutOfRange:
            raise bad_parameter(f"invalid {name} {number}: more than {instrument.max_order_qty}") from None
        except NotAMultiple:
            raise bad_parameter(
                f"invalid {name} {number}: must be a multiple of {instrument.lot_size}, fractional orders are not supported"
            ) from None

    def price(self, name: str, instrument: Instrument, *, is_distance: bool = False) -> int | None:
        """Ticks of a positive price, or of a distance of either sign; None if absent."""
        number = self.number(name)
        name = self._where + name
        if number is None:
            return None
        if number <= 0 and not is_distance:
            raise bad_parameter(f"{name} must be > 0")
        try:
            return instrument.price_to_ticks(number)
        except OutOfRange:
            raise bad_parameter(f"invalid {name} {number}: out of range") from None
        except NotAMultiple:
            message = f"invalid {name} {number}. sub-penny increment does not fulfill minimum pricing criteria: must be a multiple of "
            raise unprocessable(message + str(instrument.tick_size)) from None

    def whole(self, name: str, most: int) -> int:
        """A whole number from 0 to `most`; 0 if absent."""
        number = self.number(name)
        if number is None:
            return 0
        if number != number.to_integral_value() or not 0 <= number <= most:
            raise bad_parameter(f"{self._where}{name} must be a whole number from 0 to {most}")
        return int(number)

    def time(self, name: str) -> int:
        """Nanoseconds of a date or an RFC 3339 time; 0 if absent."""
        text = self.text(name)
        if text is None:
            return 0
        found = parse_time_ns(text)
        if found is None or not 0 <= found < 1 << 62:
            raise bad_parameter(f"{self._where}{name} must be a date or an RFC 3339 time")
        return found

    def client_order_id(self) -> bytes | None:
        """The client's own id; None if absent."""
        text = self.raw("client_order_id")
        if text is None or text == "":
            return None
        if not isinstance(text, str) or not _CLIENT_ORDER_ID.fullmatch(text):
            raise bad_parameter(self._where + SENTENCES[Reason.INVALID_CL_ORD_ID])
        return text.encode()
