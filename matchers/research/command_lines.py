"""Commands as JSON objects, one a line, to rows of book_command_frame: the words of `outcry replay`, described in docs/replay.md.

Only the words are checked here. What the rules have to say (a price of 0, a peg with FOK) goes to the book, which answers with an event.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Final

from matchers.research.command_fields import BadCommand, cl_ord_id_of, convert
from matchers.research.order_names import OrderNames
from schemas.enums import (
    TIME_IN_FORCE_UNCHANGED,
    BookCommandKind,
    ContingencyType,
    ExecInst,
    OffsetType,
    Phase,
)  # fmt: skip
from schemas.instruments import Instrument, InstrumentTable
from schemas.reject_reasons import Reason

_ORDER_FIELDS: Final = (
    "side", "ord_type", "time_in_force", "order_qty", "price", "stop_px", "display_qty", "min_qty", "exec_inst", "peg_price_type", "offset_type", "offset",
    "expire_time", "self_match_prevention_id", "self_match_prevention_instruction", "contingency_type", "list_id",
)  # fmt: skip
_REPLACE_FIELDS: Final = (
    "side", "ord_type", "time_in_force", "order_qty", "price", "stop_px", "display_qty", "offset_type", "offset", "expire_time",
)  # fmt: skip
_NAMES: Final = ("account", "order_id", "cl_ord_id")
_NEW_ORDER_LIST: Final = "NewOrderList"


@dataclass(frozen=True)
class Shape:
    """One kind of command: its columns, which of them must be there, and what others are if they are not."""

    kind: BookCommandKind
    fields: tuple[str, ...]
    required: tuple[str, ...] = ()
    names: tuple[str, ...] = ()
    """Fields that say which order and whose."""
    defaults: Mapping[str, int] = field(default_factory=dict)

    @cached_property
    def known(self) -> frozenset[str]:
        """Every field that such a command may have."""
        return frozenset(("symbol", "instrument", "transact_time", *self.fields, *self.names))

    @cached_property
    def converted(self) -> frozenset[str]:
        """The fields that are columns by themselves."""
        return frozenset((*self.fields, "transact_time"))


SHAPES: Final[dict[str, Shape]] = {
    "NewOrderSingle": Shape(BookCommandKind.NEW_ORDER, _ORDER_FIELDS, ("account", "side", "ord_type", "order_qty"), _NAMES),
    "OrderCancelRequest": Shape(BookCommandKind.CANCEL, ("side",), ("account",), (*_NAMES, "orig_cl_ord_id")),
    "OrderCancelReplaceRequest": Shape(
        BookCommandKind.REPLACE, _REPLACE_FIELDS, ("account", "order_qty"), (*_NAMES, "orig_cl_ord_id"), {"time_in_force": TIME_IN_FORCE_UNCHANGED}
    ),
    "OrderMassCancelRequest": Shape(BookCommandKind.MASS_CANCEL, ("account", "side")),
    "TradingSessionChange": Shape(BookCommandKind.TRADING_SESSION_CHANGE, ("phase", "expire_time"), ("phase",)),
    "TradingHalt": Shape(BookCommandKind.TRADING_HALT, ("phase", "reason"), (), (), {"phase": Phase.HALTED}),
    "TradingResume": Shape(BookCommandKind.TRADING_RESUME, ("phase", "reason", "expire_time")),
    "Timer": Shape(BookCommandKind.TIMER, (), ("transact_time",)),
    "TradeBust": Shape(
        BookCommandKind.TRADE_BUST, ("trd_match_id", "price", "order_qty", "reason"), ("trd_match_id",), (), {"reason": Reason.CLEARLY_ERRONEOUS}
    ),
    "InstrumentUpdate": Shape(BookCommandKind.INSTRUMENT_UPDATE, ("price", "expire_time")),
}  # fmt: skip
COMMAND_WORDS: Final = (*SHAPES, _NEW_ORDER_LIST)
_NEEDS_SYMBOL: Final = frozenset({"NewOrderSingle", "TradeBust", "InstrumentUpdate"})
"""Cancels and replaces know it from their order; elsewhere no symbol says "every one"."""
_LEG_NAMES: Final = ("cl_ord_id", "order_id")


@dataclass(slots=True)
class Command:
    """One row: its columns (others are zero), and the names that it gives and uses."""

    columns: dict[str, int]
    cl_ord_id: str | None = None
    orig_cl_ord_id: str | None = None


class CommandLines:
    """Makes rows of command objects. Reads `names` and never changes them."""

    def __init__(self, instruments: InstrumentTable, names: OrderNames) -> None:
        self._instruments, self._names = instruments, names

    def parse(self, given: object) -> list[Command]:
        """The rows of one object, one but for NewOrderList. Fields that are null count as absent.

        Raises BadCommand, or Unsettled if a name waits for the book.
        """
        if not isinstance(given, dict):
            raise BadCommand("command", f"an object is expected, not {type(given).__name__}")
        fields = {name: value for name, value in given.items() if value is not None}
        word = fields.pop("command", None)
        if word is None:
            raise BadCommand("command", "is missing")
        if word == _NEW_ORDER_LIST:
            return self._list(fields)
        if not isinstance(word, str) or word not in SHAPES:
            raise BadCommand("command", f"{word!r} is not one of {', '.join(COMMAND_WORDS)}")
        return [self._command(word, fields)]

    def _list(self, fields: dict[str, Any]) -> list[Command]:
        legs = fields.pop("orders", None)
        if not isinstance(legs, list) or not legs:
            raise BadCommand("orders", "a list of at least one order is expected")
        for name in _LEG_NAMES:
            if name in fields:
                raise BadCommand(name, "belongs to each of the orders, not to the list")
        if "contingency_type" not in fields:
            raise BadCommand("contingency_type", f"is missing; one of {', '.join(ContingencyType.__members__)}")
        found: list[Command] = []
        for number, leg in enumerate(legs):
            if not isinstance(leg, dict):
                raise BadCommand(f"orders[{number}]", f"an object is expected, not {type(leg).__name__}")
            own = {name: value for name, value in leg.items() if value is not None}
            try:
                command = self._command("NewOrderSingle", fields | own)
            except BadCommand as error:
                raise BadCommand(f"orders[{number}].{error.field}" if error.field in own else error.field, error.why) from None
            if any(_same_name(command, other) for other in found):
                raise BadCommand(f"orders[{number}].cl_ord_id", f"{command.cl_ord_id!r} is the name of another order of this list")
            found.append(command)
        return found

    def _command(self, word: str, fields: dict[str, Any]) -> Command:
        shape = SHAPES[word]
        for name in fields:
            if name not in shape.known:
                raise BadCommand(name, f"{word} has no such field")
        for name in shape.required:
            if name not in fields:
                raise BadCommand(name, "is missing")
        columns: dict[str, int] = {"kind": shape.kind, **shape.defaults}
        if "account" in fields:
            columns["account"] = convert("account", fields["account"], None)
        self._order(shape, fields, columns)
        instrument = self._instrument(word, fields, columns)
        offset_type = convert("offset_type", fields["offset_type"], None) if "offset_type" in fields else OffsetType.TICKS
        # the book refuses a change of nobody's order, whatever it asks for; without an instrument its decimals mean nothing
        nobodys = instrument is None and "orig_cl_ord_id" in fields and not columns["order_id"]
        converted = {"transact_time"} if nobodys else shape.converted
        for name, value in fields.items():
            if name in converted:
                columns[name] = convert(name, value, instrument, offset_type=offset_type)
        _DEFAULTS.get(word, _nothing)(fields, columns)
        cl_ord_id = cl_ord_id_of("cl_ord_id", fields["cl_ord_id"]) if "cl_ord_id" in fields else None
        if cl_ord_id is not None and word != "OrderCancelRequest" and not self._names.is_free(columns["account"], cl_ord_id):
            raise BadCommand("cl_ord_id", f"{cl_ord_id!r} is the name of another order of account {columns['account']}")
        return Command(columns, cl_ord_id, fields.get("orig_cl_ord_id"))

    def _order(self, shape: Shape, fields: dict[str, Any], columns: dict[str, int]) -> None:
        """order_id, and of an order that is known its instrument and side."""
        if not shape.names:
            return
        if "order_id" in fields:
            columns["order_id"] = convert("order_id", fields["order_id"], None)
        if shape.kind == BookCommandKind.NEW_ORDER:
            if "order_id" not in fields and "cl_ord_id" not in fields:
                raise BadCommand("cl_ord_id", "is missing; an order needs cl_ord_id or order_id")
            if self._names.is_numbered_by_us(columns.get("order_id", 0)):
                raise BadCommand("order_id", f"{columns['order_id']} was given to an order that named none")
            return
        if "orig_cl_ord_id" in fields:
            if "order_id" in fields:
                raise BadCommand("orig_cl_ord_id", "goes without order_id: either of them names the order")
            columns["order_id"] = self._names.order_id_of(columns["account"], cl_ord_id_of("orig_cl_ord_id", fields["orig_cl_ord_id"]))
        elif "order_id" not in fields:
            raise BadCommand("orig_cl_ord_id", "is missing; orig_cl_ord_id or order_id names the order")
        home = self._names.home(columns["order_id"])
        if home is not None:
            columns["instrument"], columns["side"] = home

    def _instrument(self, word: str, fields: dict[str, Any], columns: dict[str, int]) -> Instrument | None:
        """The instrument by symbol, by number, or of the order; the book refuses a number that it does not know."""
        if "symbol" in fields:
            if "instrument" in fields:
                raise BadCommand("instrument", "goes without symbol: either of them names the instrument")
            found = self._instruments.by_symbol.get(fields["symbol"]) if isinstance(fields["symbol"], str) else None
            if found is None:
                raise BadCommand("symbol", f"{fields['symbol']!r} is not in the instrument list")
            columns["instrument"] = found.number
            return found
        if "instrument" in fields:
            columns["instrument"] = convert("instrument", fields["instrument"], None)
        elif word in _NEEDS_SYMBOL:
            raise BadCommand("symbol", "is missing")
        return self._instruments.by_number.get(columns.get("instrument", 0))


def _same_name(one: Command, other: Command) -> bool:
    return one.cl_ord_id is not None and (one.cl_ord_id, one.columns["account"]) == (other.cl_ord_id, other.columns["account"])


def _nothing(fields: dict[str, Any], columns: dict[str, int]) -> None:
    """No more defaults."""


def _hide(fields: dict[str, Any], columns: dict[str, int]) -> None:
    """In the words of FIX display_qty 0 hides an order, a new one and one that is replaced; in the column 0 says nothing."""
    if "display_qty" in fields and columns["display_qty"] == 0:
        columns["exec_inst"] = columns.get("exec_inst", 0) | ExecInst.HIDDEN


def _reason_of_halt(fields: dict[str, Any], columns: dict[str, int]) -> None:
    columns.setdefault("reason", Reason.REGULATORY_HALT if columns.get("instrument") else Reason.MARKET_WIDE_HALT)


_DEFAULTS: Final = {"NewOrderSingle": _hide, "OrderCancelReplaceRequest": _hide, "TradingHalt": _reason_of_halt}
