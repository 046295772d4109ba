"""Instruments: what may be traded, in which steps and within which limits.

Read from a TOML list by a shell; the core gets the integer table (`InstrumentTable.rules`), whose digest is part of every snapshot.
"""

import hashlib
import tomllib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, fields
from decimal import Decimal
from enum import IntEnum
from functools import cached_property
from importlib.resources import files
from pathlib import Path
from typing import Any, Final

import numpy as np

from schemas.enums import MatchingAlgorithm, SelfMatchPrevention
from schemas.errors import OutcryError
from schemas.limits import LOT_FEE_MINOR_MAX, ORDER_QTY_LOTS_MAX, POSITION_LOTS_MAX, PRICE_TICKS_MAX, SHORT_MARGIN_PERCENT, TICK_MINOR_MAX
from schemas.units import MINOR_PER_UNIT, NANOS_PER_SECOND, NotAMultiple, NotANumber, from_steps, to_decimal, to_steps

RULES_DTYPE = np.dtype(
    [
        ("known", "u1"),
        ("lot_minor_per_tick", "<i8"),  # cash of one lot at a price of one tick
        ("order_qty_max", "<i8"),  # lots
        ("notional_minor_max", "<i8"),
        ("reference_px", "<i8"),  # ticks
        ("protection_low_px", "<i8"),  # ticks; a market sell executes at this price or above: the collar's, if there is one
        ("protection_high_px", "<i8"),  # ticks; a market buy executes at this price or below
        ("order_qty_min", "<i8"),  # lots
        ("tick_minor", "<i8"),  # 1/10,000 currency units per tick
        ("auction_extension_ns", "<i8"),
        ("no_cancel_ns", "<i8"),  # before the end of an auction
        ("cls_cutoff_ns", "<i8"),  # before the end of the closing auction
        ("protection_percent", "u1"),
        ("collar_percent", "u1"),  # 0: no collar
        ("luld_tier", "u1"),  # 0: no price bands
        ("matching_algorithm", "u1"),
        ("self_match_prevention_instruction", "u1"),  # of orders that say DEFAULT
        ("restricted", "u1"),  # no new orders
        ("maker_fee_minor", "<i8"),  # of a lot that rested, or traded in an auction
        ("taker_fee_minor", "<i8"),  # of a lot that came in
        ("position_lots_max", "<i8"),  # long or short, of one account
        ("short_margin_minor", "<i8"),  # cash that a lot sold short keeps held
    ],
    align=True,
)
"""One row per instrument number (row 0 is never known): all that the shards know of an instrument."""


_DAY_SECONDS: Final = 86_400
_OPTIONAL_NUMBERS: Final = ("collar_percent", "luld_tier", "auction_extension_seconds", "no_cancel_seconds", "cls_cutoff_seconds")
_OPTIONAL_DECIMALS: Final = ("min_order_qty", "maker_fee", "taker_fee", "max_position")
_OPTIONAL_WORDS: Final[dict[str, type[IntEnum]]] = {"matching_algorithm": MatchingAlgorithm, "self_match_prevention": SelfMatchPrevention}


_EXPONENT_MAX: Final = 1_000
"""Beyond every limit, and within what can be calculated with."""


class BadInstruments(OutcryError):
    """The instrument list is not valid; the message says which entry and why."""


@dataclass(frozen=True)
class Instrument:
    """One tradable instrument; decimals are exact."""

    number: int
    symbol: str
    name: str
    tick_size: Decimal
    lot_size: Decimal
    max_order_qty: Decimal
    max_notional: Decimal
    reference_price: Decimal
    protection_percent: int
    min_order_qty: Decimal = Decimal(0)
    """0: one lot."""
    collar_percent: int = 0
    """Orders priced farther than this from the reference price are refused, and auctions do not trade there; 0: no collar."""
    luld_tier: int = 0
    """Limit Up-Limit Down tier, 1 or 2; 0: no price bands."""
    matching_algorithm: MatchingAlgorithm = MatchingAlgorithm.FIFO
    self_match_prevention: SelfMatchPrevention = SelfMatchPrevention.CANCEL_NEWEST
    auction_extension_seconds: int = 300
    no_cancel_seconds: int = 0
    """Opening and closing orders stay once the end of their auction is this near."""
    cls_cutoff_seconds: int = 0
    """No closing orders are taken once the end of the closing auction is this near."""
    maker_fee: Decimal = Decimal(0)
    """Per share, of an order that rested, or traded in an auction. US venues charge by the share, 0.0030 at most for taking (Rule 610)."""
    taker_fee: Decimal = Decimal(0)
    """Per share, of an order that came in; at least the maker's."""
    max_position: Decimal = Decimal(0)
    """Largest position of an account, long or short; 0: POSITION_LOTS_MAX."""
    restricted: bool = False
    """On the restricted list: no new orders."""

    def price_to_ticks(self, price: Decimal) -> int:
        """Ticks of a decimal price; raises schemas.units.NotAMultiple off the tick grid."""
        return to_steps(price, self.tick_size)

    def qty_to_lots(self, qty: Decimal) -> int:
        """Lots of a decimal quantity; raises schemas.units.NotAMultiple for a fraction of a lot."""
        return to_steps(qty, self.lot_size)

    def price_text(self, ticks: int) -> str:
        """Decimal text of a price in ticks."""
        return from_steps(ticks, self.tick_size)

    def qty_text(self, lots: int) -> str:
        """Decimal text of a quantity in lots."""
        return from_steps(lots, self.lot_size)

    def rules_row(self) -> tuple[int, ...]:
        """This instrument as a row of RULES_DTYPE. Raises BadInstruments where a number breaks a limit of the system."""
        for field in ("tick_size", "lot_size"):
            if getattr(self, field) <= 0:  # everything else is divided by them
                raise BadInstruments(f"instrument {self.symbol}: {field} is out of range")
        tick_minor = to_steps(self.tick_size * MINOR_PER_UNIT, Decimal(1))
        lot_minor = to_steps(self.tick_size * MINOR_PER_UNIT * self.lot_size, Decimal(1))
        max_lots, reference = self.qty_to_lots(self.max_order_qty), self.price_to_ticks(self.reference_price)
        band = reference * (self.collar_percent or self.protection_percent) // 100
        maker, taker = (to_steps(fee * MINOR_PER_UNIT * self.lot_size, Decimal(1)) for fee in (self.maker_fee, self.taker_fee))
        checks = {
            "tick_size": 0 < tick_minor <= TICK_MINOR_MAX and 0 < lot_minor <= TICK_MINOR_MAX,
            "max_order_qty": 0 < max_lots <= ORDER_QTY_LOTS_MAX,
            "reference_price": reference > 0 and reference + band <= PRICE_TICKS_MAX,
            "protection_percent": 0 < self.protection_percent < 100,
            "min_order_qty": 0 <= self.min_order_qty <= self.max_order_qty,
            "collar_percent": 0 <= self.collar_percent < 100,
            "luld_tier": self.luld_tier in (0, 1, 2),
            "self_match_prevention": self.self_match_prevention != SelfMatchPrevention.DEFAULT,
            "auction_extension_seconds": 0 <= self.auction_extension_seconds <= _DAY_SECONDS,
            "no_cancel_seconds": 0 <= self.no_cancel_seconds <= _DAY_SECONDS,
            "maker_fee": 0 <= maker <= taker,
            "taker_fee": taker <= LOT_FEE_MINOR_MAX,
            "max_position": 0 <= self.max_position <= POSITION_LOTS_MAX * self.lot_size,
            "cls_cutoff_seconds": 0 <= self.cls_cutoff_seconds <= _DAY_SECONDS,
            "max_notional": 0 < self.max_notional * MINOR_PER_UNIT < 1 << 62,
        }
        for field, good in checks.items():
            if not good:
                raise BadInstruments(f"instrument {self.symbol}: {field} is out of range")
        notional = to_steps(self.max_notional * MINOR_PER_UNIT, Decimal(1))
        return (
            1, lot_minor, max_lots, notional, reference, max(reference - band, 1), reference + band,
            max(self.qty_to_lots(self.min_order_qty), 1), tick_minor, self.auction_extension_seconds * NANOS_PER_SECOND,
            self.no_cancel_seconds * NANOS_PER_SECOND, self.cls_cutoff_seconds * NANOS_PER_SECOND, self.protection_percent, self.collar_percent,
            self.luld_tier, self.matching_algorithm, self.self_match_prevention, self.restricted, maker, taker,
            self.qty_to_lots(self.max_position) or POSITION_LOTS_MAX, reference * lot_minor * SHORT_MARGIN_PERCENT // 100,
        )  # fmt: skip


class InstrumentTable:
    """All instruments, by number and by symbol."""

    def __init__(self, instruments: Iterable[Instrument]) -> None:
        self.by_number: dict[int, Instrument] = {}
        self.by_symbol: dict[str, Instrument] = {}
        for one in instruments:
            if one.number in self.by_number or one.symbol in self.by_symbol:
                raise BadInstruments(f"instrument {one.symbol}: its number or symbol is there twice")
            if not 1 <= one.number <= 65_535:
                raise BadInstruments(f"instrument {one.symbol}: number must be 1 to 65535")
            self.by_number[one.number] = self.by_symbol[one.symbol] = one
        if not self.by_number:
            raise BadInstruments("the instrument list is empty")
        _ = self.rules  # checks every row now rather than at the first order

    def __iter__(self) -> Iterator[Instrument]:
        return iter(self.by_number.values())

    def __len__(self) -> int:
        return len(self.by_number)

    @cached_property
    def rules(self) -> np.ndarray[Any, np.dtype[np.void]]:
        """RULES_DTYPE rows, index = instrument number."""
        rows = np.zeros(max(self.by_number) + 1, RULES_DTYPE)
        for number, one in self.by_number.items():
            try:
                rows[number] = one.rules_row()
            except NotAMultiple as error:
                raise BadInstruments(f"instrument {one.symbol}: {error}") from error
        rows.setflags(write=False)
        return rows

    @cached_property
    def digest(self) -> bytes:
        """16 bytes that change with anything the shards know of the instruments."""
        return hashlib.blake2b(self.rules.tobytes(), digest_size=16).digest()


def parse_instruments(text: str, where: str) -> InstrumentTable:
    """Instruments from TOML text; raises BadInstruments naming `where` and what is wrong."""
    try:
        return InstrumentTable(_parse(place, entry) for place, entry in enumerate(_entries(text), 1))
    except (ValueError, RecursionError, BadInstruments) as error:  # ValueError: not TOML
        raise BadInstruments(f"{where}: {error}") from error


def load_instruments(path: Path | None) -> InstrumentTable:
    """The instruments of a file, or the built-in ones."""
    if path is None:
        return parse_instruments((files("schemas") / "instruments.toml").read_text(), "built-in instruments")
    try:
        return parse_instruments(path.read_text(), str(path))
    except OSError as error:
        raise BadInstruments(f"{path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise BadInstruments(f"{path}: not UTF-8 text: {error}") from error


def _entries(text: str) -> list[dict[str, Any]]:
    entries = tomllib.loads(text).get("instrument", [])
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise BadInstruments("instruments are an array of tables: write [[instrument]]")
    return entries


def _parse(place: int, entry: dict[str, Any]) -> Instrument:
    try:
        return _instrument(entry)
    except (KeyError, ValueError) as error:
        problem = f"{error} is missing" if isinstance(error, KeyError) else error
        raise BadInstruments(f"instrument {place} ({entry.get('symbol', 'without a symbol')}): {problem}") from error


def _instrument(entry: dict[str, Any]) -> Instrument:
    unknown = entry.keys() - {field.name for field in fields(Instrument)}
    if unknown:
        raise ValueError(f"no such field: {', '.join(sorted(unknown))}")
    decimals: dict[str, Any] = {
        name: _decimal(entry[name], name) for name in ("tick_size", "lot_size", "max_order_qty", "max_notional", "reference_price")
    }
    numbers: dict[str, Any] = {name: _whole(entry[name], name) for name in _OPTIONAL_NUMBERS if name in entry}
    words: dict[str, Any] = {name: _word(kind, entry[name], name) for name, kind in _OPTIONAL_WORDS.items() if name in entry}
    decimals |= {name: _decimal(entry[name], name) for name in _OPTIONAL_DECIMALS if name in entry}
    return Instrument(
        number=_whole(entry["number"], "number"), symbol=_text(entry["symbol"], "symbol"), name=str(entry["name"]),
        protection_percent=_whole(entry["protection_percent"], "protection_percent"), restricted=_flag(entry.get("restricted", False), "restricted"),
        **decimals, **numbers, **words,
    )  # fmt: skip


def _decimal(value: Any, name: str) -> Decimal:
    if not isinstance(value, str | int) or isinstance(value, bool):  # a float is not what was written
        raise ValueError(f"{name} is {value!r}, not decimal text")  # noqa: TRY004 - one kind for all
    try:
        number = to_decimal(value)
    except NotANumber as error:
        raise ValueError(f"{name}: {error}") from error
    if abs(number.adjusted()) > _EXPONENT_MAX:  # what is made of it would overflow
        raise ValueError(f"{name} is out of range")
    return number


def _text(value: object, name: str) -> str:
    if not isinstance(value, str) or not value:
        raise ValueError(f"{name} is {value!r}, not text")
    return value


def _whole(value: object, name: str) -> int:
    """Not 20.9, which int() would take for 20."""
    if not isinstance(value, int) or isinstance(value, bool):
        raise ValueError(f"{name} is {value!r}, not a whole number")  # noqa: TRY004 - one kind for all
    return value


def _flag(value: object, name: str) -> bool:
    """Not "false", which bool() would take for true."""
    if not isinstance(value, bool):
        raise ValueError(f"{name} is {value!r}, not true or false")  # noqa: TRY004 - one kind for all
    return value


def _word(kind: type[IntEnum], text: object, name: str) -> IntEnum:
    if not isinstance(text, str) or text not in kind.__members__:
        raise ValueError(f"{name} is {text!r}, not one of {', '.join(kind.__members__)}")
    return kind[text]
