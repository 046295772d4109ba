"""One field of a command's JSON object to the integer of its column: decimals by tick and lot, enumerations by name, times, numbers."""

import re
from collections.abc import Callable
from datetime import datetime
from decimal import Decimal
from enum import IntEnum, IntFlag
from functools import lru_cache
from operator import attrgetter
from typing import Any, Final

import numpy as np

from matchers.rules.outputs import BOOK_COMMAND_DTYPE
from schemas.enums import (
    ContingencyType,
    ExecInst,
    OffsetType,
    OrdType,
    PegPriceType,
    Phase,
    SelfMatchPrevention,
    Side,
    TimeInForce,
)  # fmt: skip
from schemas.errors import BadRecord
from schemas.instruments import Instrument
from schemas.limits import CL_ORD_ID_MAX_BYTES
from schemas.reject_reasons import Reason
from schemas.units import NANOS_PER_SECOND, NotAMultiple, NotANumber, to_decimal, to_steps

Convert = Callable[[Any, Instrument | None], int]
"""(JSON value, instrument of the command if it has one) -> integer of the column; raises ValueError that says what is wrong."""

_BOUNDS: Final = {
    column: (int(np.iinfo(kind[0]).min), int(np.iinfo(kind[0]).max)) for column, kind in (BOOK_COMMAND_DTYPE.fields or {}).items()
}
TEXTS_KEPT: Final = 1 << 16
"""Decimal texts whose steps are kept: a book's prices and quantities come again and again, and a conversion takes 2 us."""

_CL_ORD_ID: Final = re.compile(f"[ -~]{{1,{CL_ORD_ID_MAX_BYTES}}}", re.ASCII)
_TIME: Final = re.compile(r"(\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?(Z|[+-]\d\d:?\d\d)", re.ASCII)


class BadCommand(BadRecord):
    """A command object that is not understood: `field` and `why`. What the rules refuse is no BadCommand but an event with a reason."""

    def __init__(self, field: str, why: str) -> None:
        super().__init__(f"{field}: {why}")
        self.field = field
        self.why = why


def _is_integer(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _number(value: Any, _instrument: Instrument | None) -> int:
    if _is_integer(value):
        return int(value)
    if isinstance(value, str) and re.fullmatch(r"[+-]?\d{1,20}", value, re.ASCII):
        return int(value)
    raise ValueError(f"{value!r} is not a whole number")


def _steps(value: Any, unit: str, step: Callable[[Instrument], Decimal], instrument: Instrument | None) -> int:
    if _is_integer(value):
        return int(value)
    if not isinstance(value, str):
        raise ValueError(f'{value} is neither decimal text like "180.05" nor a whole number of {unit}')  # noqa: TRY004 - one kind for all
    if instrument is None:
        raise ValueError(f"{value!r} cannot be converted without a symbol; name one, or give a whole number of {unit}")
    return _steps_of_text(value, step(instrument))


@lru_cache(TEXTS_KEPT)
def _steps_of_text(text: str, step: Decimal) -> int:
    return to_steps(to_decimal(text), step)


def _price(value: Any, instrument: Instrument | None) -> int:
    return _steps(value, "ticks", attrgetter("tick_size"), instrument)


def _qty(value: Any, instrument: Instrument | None) -> int:
    return _steps(value, "lots", attrgetter("lot_size"), instrument)


def _time(value: Any, _instrument: Instrument | None) -> int:
    if _is_integer(value):
        return int(value)
    found = _TIME.fullmatch(value) if isinstance(value, str) else None
    if found is None:
        raise ValueError(f'{value!r} is neither nanoseconds since 1970 nor a time like "2026-01-05T14:30:00.000000001Z"')
    whole, fraction, zone = found.groups()
    return int(datetime.fromisoformat(whole + zone).timestamp()) * NANOS_PER_SECOND + int((fraction or "").ljust(9, "0"))


def _word(kind: type[IntEnum] | type[IntFlag]) -> Convert:
    members = {name: int(value) for name, value in kind.__members__.items()}
    known = ", ".join(members)

    def convert(value: Any, _instrument: Instrument | None) -> int:
        if isinstance(value, str) and value in members:
            return members[value]
        if _is_integer(value):
            return int(value)
        raise ValueError(f"{value!r} is not one of {known}")

    return convert


def _flags(kind: type[IntFlag]) -> Convert:
    one = _word(kind)

    def convert(value: Any, instrument: Instrument | None) -> int:
        bits = 0
        for word in value if isinstance(value, list) else [value]:
            bits |= one(word, instrument)
        return bits

    return convert


CONVERTERS: Final[dict[str, Convert]] = {
    "account": _number, "order_id": _number, "list_id": _number, "trd_match_id": _number, "self_match_prevention_id": _number,
    "price": _price, "stop_px": _price, "order_qty": _qty, "display_qty": _qty, "min_qty": _qty,
    "transact_time": _time, "expire_time": _time,
    "side": _word(Side), "ord_type": _word(OrdType), "time_in_force": _word(TimeInForce), "phase": _word(Phase), "reason": _word(Reason),
    "exec_inst": _flags(ExecInst), "self_match_prevention_instruction": _word(SelfMatchPrevention),
    "contingency_type": _word(ContingencyType), "peg_price_type": _word(PegPriceType), "offset_type": _word(OffsetType),
}  # fmt: skip
"""By column. `offset` is a price for ticks and a number for basis points, see convert()."""


def convert(field: str, value: Any, instrument: Instrument | None, *, offset_type: int = OffsetType.TICKS) -> int:
    """The integer of column `field`. Raises BadCommand that names the field."""
    converter = CONVERTERS.get(field, _number if offset_type == OffsetType.BASIS_POINTS else _price)
    try:
        number = converter(value, instrument)
    except (NotANumber, NotAMultiple) as error:
        unit = "" if instrument is None or isinstance(error, NotANumber) else f" ({instrument.symbol})"
        raise BadCommand(field, f"{error}{unit}") from None
    except (ValueError, OverflowError) as error:
        raise BadCommand(field, str(error)) from None
    low, high = _BOUNDS[field]
    if not low <= number <= high:
        raise BadCommand(field, f"{value} is out of range: {low} to {high}")
    return number


def cl_ord_id_of(field: str, value: Any) -> str:
    """A checked cl_ord_id. Raises BadCommand that names the field."""
    if not isinstance(value, str) or not _CL_ORD_ID.fullmatch(value):
        raise BadCommand(field, f"{value!r} is not text of 1 to {CL_ORD_ID_MAX_BYTES} printable ASCII characters")
    return value
