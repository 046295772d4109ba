"""Fields of a request as exact values, each refused by its own name. No I/O.

A number is an integer, a decimal text, or in JSON a number with a point, which is read from its digits; a binary float (msgpack) is refused.
A field that nobody has asked for does not exist, and `done` says so: a misspelt price is not passed over.
"""

import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Final, TypeVar

from edge.http.client_data import quoted
from edge.native.limits import NUMBER_DIGITS_MAX
from edge.native.wire.problems import Problem, invalid
from schemas.instruments import Instrument
from schemas.limits import CL_ORD_ID_MAX_BYTES
from schemas.reject_reasons import SENTENCES, Reason
from schemas.units import NotAMultiple, OutOfRange

T = TypeVar("T")

_NUMBER: Final = re.compile(r"-?\d{1,24}(\.\d{1,24})?", re.ASCII)
_CL_ORD_ID: Final = re.compile(f"[ -~]{{1,{CL_ORD_ID_MAX_BYTES}}}", re.ASCII)


class Fields:
    """One object. `where` stands before the names of its fields, such as "order."."""

    def __init__(self, values: Mapping[str, Any], where: str = "") -> None:
        self._values, self._where = values, where
        self._asked: set[str] = set()

    def raw(self, name: str) -> Any:
        """The value as it came; None if absent."""
        self._asked.add(name)
        return self._values.get(name)

    def path(self, name: str) -> str:
        """How a problem calls the field."""
        return self._where + name

    def done(self) -> None:
        """Raises Problem for a field that nobody has asked for."""
        for name in self._values:
            if name not in self._asked:
                raise Problem("unknown_field", f"{quoted(self._where + str(name))} is no field of this", field=self.path(str(name))[:80])

    def missing(self, name: str) -> Problem:
        """To raise."""
        return invalid(self.path(name), "is required")

    def text(self, name: str, most: int = 128) -> str | None:
        """A text that is not empty; None if absent."""
        value = self.raw(name)
        if value is None:
            return None
        if not isinstance(value, str) or not 0 < len(value) <= most:
            raise invalid(self.path(name), f"must be a text of 1 to {most} characters, not {quoted(value)}")
        return value

    def need(self, name: str, most: int = 128) -> str:
        """A text that must be there."""
        text = self.text(name, most)
        if text is None:
            raise self.missing(name)
        return text

    def word(self, name: str, known: Mapping[str, T]) -> T | None:
        """What a word of a closed list stands for; None if absent."""
        value = self.raw(name)
        if value is None:
            return None
        if isinstance(value, str) and value in known:
            return known[value]
        raise invalid(self.path(name), f"must be one of {', '.join(known)}, not {quoted(value)}")

    def flag(self, name: str) -> bool:
        """False if absent."""
        value = self.raw(name)
        if value is not None and not isinstance(value, bool):
            raise invalid(self.path(name), f"must be true or false, not {quoted(value)}")
        return bool(value)

    def inner(self, name: str) -> "Fields | None":
        """An object within this one; None if absent."""
        value = self.raw(name)
        if value is None:
            return None
        if not isinstance(value, dict):
            raise invalid(self.path(name), f"must be an object, not {quoted(value)}")
        return Fields(value, f"{self._where}{name}.")

    def items(self, name: str, most: int) -> list[Any]:
        """A list; empty if absent."""
        value = self.raw(name)
        if value is None:
            return []
        if not isinstance(value, list):
            raise invalid(self.path(name), f"must be a list, not {quoted(value)}")
        if len(value) > most:
            raise Problem("limit_reached", f"{self.path(name)} has {len(value)} items, at most {most}", field=self.path(name))
        return value

    def objects(self, name: str, most: int) -> "list[Fields]":
        """A list of objects; empty if absent."""
        found = self.items(name, most)
        for place, value in enumerate(found):
            if not isinstance(value, dict):
                raise invalid(f"{self.path(name)}[{place}]", f"must be an object, not {quoted(value)}")
        return [Fields(value, f"{self._where}{name}[{place}].") for place, value in enumerate(found)]

    def whole(self, name: str, least: int, most: int) -> int | None:
        """A whole number; None if absent."""
        value = self.raw(name)
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
            raise invalid(self.path(name), f"must be a whole number from {least} to {most}, not {quoted(value)}")
        return value

    def number(self, name: str) -> Decimal | None:
        """Exact; None if absent."""
        value, path = self.raw(name), self.path(name)
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, int | str | Decimal):
            raise invalid(path, f"must be a decimal number as text, not {quoted(value)}")
        if isinstance(value, str) and not _NUMBER.fullmatch(value):
            raise invalid(path, f"must be a decimal number, not {quoted(value)}")
        if isinstance(value, int) and abs(value) >= 10**NUMBER_DIGITS_MAX:
            raise invalid(path, f"is out of range: at most {NUMBER_DIGITS_MAX} digits")
        number = Decimal(value)
        if not number.is_finite() or len(number.as_tuple().digits) > NUMBER_DIGITS_MAX or abs(number.adjusted()) > NUMBER_DIGITS_MAX:
            raise invalid(path, f"is out of range: at most {NUMBER_DIGITS_MAX} digits")
        return number

    def qty(self, name: str, one: Instrument) -> int | None:
        """Lots of a positive quantity; None if absent."""
        number = self.number(name)
        if number is None:
            return None
        if number <= 0:
            raise invalid(self.path(name), "must be > 0")
        try:
            return one.qty_to_lots(number)
        except OutOfRange:
            raise invalid(self.path(name), f"must be at most {one.max_order_qty}") from None
        except NotAMultiple:
            raise invalid(self.path(name), f"must be a multiple of {one.lot_size}") from None

    def price(self, name: str, one: Instrument, *, is_distance: bool = False) -> int | None:
        """Ticks of a positive price, or of a distance of either sign; None if absent. A price off the grid is told the nearest ones."""
        number = self.number(name)
        if number is None:
            return None
        if number <= 0 and not is_distance:
            raise invalid(self.path(name), "must be > 0")
        try:
            return one.price_to_ticks(number)
        except OutOfRange:
            raise invalid(self.path(name), "is out of range") from None
        except NotAMultiple:
            below = one.price_text(int(number // one.tick_size))
            raise invalid(self.path(name), f"must be a multiple of {one.tick_size}: {below} is the next one below") from None

    def cl_ord_id(self, name: str = "cl_ord_id") -> bytes | None:
        """The client's own id of an order; None if absent."""
        value = self.raw(name)
        if value is None:
            return None
        if not isinstance(value, str) or not _CL_ORD_ID.fullmatch(value):
            raise Problem(
                "invalid_field", SENTENCES[Reason.INVALID_CL_ORD_ID].replace("client_order_id", self.path(name)), field=self.path(name)
            )
        return value.encode()
