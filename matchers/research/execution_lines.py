"""Rows of execution_frame as JSON objects with names and decimal text: the events of `outcry replay`, described in docs/replay.md."""

from collections.abc import Callable, Sequence
from enum import IntEnum
from functools import lru_cache
from typing import Any, Final

from matchers.research.order_names import Asked, OrderNames
from schemas.codec import Rows
from schemas.enums import ExecFlag, ExecKind, OrdType, Phase, Side, TimeInForce
from schemas.instruments import InstrumentTable
from schemas.reject_reasons import Reason

_ORDER: Final = ("order_id", "cl_ord_id", "account", "side", "ord_type", "time_in_force", "price", "qty", "leaves_qty", "display_qty")
_TRADE: Final = (
    "order_id", "cl_ord_id", "account", "side", "ord_type", "time_in_force", "price", "qty", "leaves_qty", "contra_order_id", "contra_cl_ord_id",
    "contra_account", "contra_leaves_qty", "display_qty", "trd_match_id",
)  # fmt: skip
COLUMNS: Final[dict[int, tuple[str, ...]]] = {
    ExecKind.NEW: _ORDER,
    ExecKind.TRADE: _TRADE,
    ExecKind.CANCELED: (*_ORDER[:2], "orig_cl_ord_id", *_ORDER[2:], "reason"),
    ExecKind.EXPIRED: (*_ORDER, "reason"),
    ExecKind.REJECTED: (*_ORDER, "reason"),
    ExecKind.CANCEL_REJECTED: ("order_id", "cl_ord_id", "orig_cl_ord_id", "account", "side", "reason"),
    ExecKind.LEVEL: ("side", "price", "qty", "order_count"),
    ExecKind.TOP: ("side", "price", "qty", "order_count"),
    ExecKind.SECURITY_STATUS: ("phase",),
    ExecKind.TIME: (),
    ExecKind.REPLACED: (*_ORDER[:2], "orig_cl_ord_id", *_ORDER[2:]),
    ExecKind.TRIGGERED: _ORDER,
    ExecKind.RESTATED: (*_ORDER, "reason"),
    ExecKind.AUCTION_INDICATIVE: ("price", "qty", "side", "leaves_qty"),
    ExecKind.TRADE_BUSTED: ("trd_match_id", "price", "qty", "reason"),
    ExecKind.PRICE_BAND: ("side", "price"),
}
"""What an event of each kind always has, behind seq, rpt_seq, event, line, transact_time and symbol. Any other column is there when it is not zero."""

_NAMED: Final = ("cl_ord_id", "orig_cl_ord_id", "contra_cl_ord_id")
_HEAD: Final = ("seq", "rpt_seq", "event", "line", "transact_time")
_HEAD_OF_REFUSED: Final = (*_HEAD, "symbol", "cl_ord_id", "reason")
"""A command that was refused and is about no order that the book could name."""
_QUANTITIES: Final = ("qty", "leaves_qty", "contra_leaves_qty", "display_qty")
_WORDS: Final[dict[str, type[IntEnum]]] = {
    "side": Side, "ord_type": OrdType, "time_in_force": TimeInForce, "phase": Phase, "reason": Reason,
}  # fmt: skip
_WORD_OF: Final = {column: {int(one): one.name for one in kind} for column, kind in _WORDS.items()}
_EVENT: Final = {int(kind): kind.name for kind in ExecKind}
_SOMETIMES: Final = (
    "side", "ord_type", "time_in_force", "phase", "flags", "reason", "order_count", "order_id", "account", "contra_order_id", "contra_account",
    "trd_match_id", "price", "qty", "leaves_qty", "contra_leaves_qty", "display_qty",
)  # fmt: skip
TEXTS_KEPT: Final = 1 << 16
"""Decimal texts of prices and of quantities that are kept: making one takes longer than the rest of its event."""

Event = dict[str, Any]


class ExecutionLines:
    """Makes event objects of executions; changes `names` as it goes through them, as reports carry the newest name."""

    def __init__(self, instruments: InstrumentTable, names: OrderNames) -> None:
        self._names = names
        self._symbols = {number: one.symbol for number, one in instruments.by_number.items()}
        self._price_text = lru_cache(TEXTS_KEPT)(lambda number, ticks: instruments.by_number[number].price_text(ticks))
        self._qty_text = lru_cache(TEXTS_KEPT)(lambda number, lots: instruments.by_number[number].qty_text(lots))

    def events(self, executions: Rows, first_seq: int, asked: Sequence[Asked], renamed: dict[int, str]) -> list[Event]:
        """One object a row. `asked`: by command_index; `renamed`: from OrderNames.settle."""
        columns = self._columns(executions, asked)
        columns["seq"] = list(range(first_seq, first_seq + len(executions)))
        columns |= self._name_columns(columns, asked, renamed)
        kinds = columns["kind"]
        more = {kind: _more(kind, executions[executions["kind"] == kind]) for kind in set(kinds)}
        raw = {name: executions[name].tolist() for names in more.values() for name in names}
        always = {kind: [(name, columns[name]) for name in (*_HEAD, "symbol", *COLUMNS[kind])] for kind in more}
        of_no_order = [(name, columns[name]) for name in _HEAD_OF_REFUSED]
        found = []
        for row, kind in enumerate(kinds):
            refused = kind == ExecKind.REJECTED and not columns["order_id"][row]
            event = {name: value for name, column in (of_no_order if refused else always[kind]) if (value := column[row]) is not None}
            for name in more[kind]:
                if raw[name][row] and not refused:
                    event[name] = columns[name][row]
            found.append(event)
        return found

    def _columns(self, executions: Rows, asked: Sequence[Asked]) -> dict[str, list[Any]]:
        """Every column as a list of what JSON shows; None where there is nothing to show."""
        columns: dict[str, list[Any]] = {name: executions[name].tolist() for name in executions.dtype.names or ()}
        numbers = columns["instrument"]
        columns["symbol"] = [self._symbols.get(number) for number in numbers]
        columns["event"] = [_EVENT[kind] for kind in columns["kind"]]
        columns["line"] = [asked[index].line for index in columns["command_index"]]
        for name, words in _WORD_OF.items():
            columns[name] = [words.get(value, value) for value in columns[name]]
        for name in ("side", "ord_type"):
            columns[name] = [value or None for value in columns[name]]
        columns["flags"] = [[flag.name for flag in ExecFlag if flag & value] if value else None for value in columns["flags"]]
        for name, text in (("price", self._price_text), *((name, self._qty_text) for name in _QUANTITIES)):
            columns[name] = self._texts(text, numbers, columns[name])
        columns["price"] = [None if text == "0" else text for text in columns["price"]]
        return columns

    def _texts(self, text: Callable[[int, int], str], numbers: list[int], values: list[int]) -> list[Any]:
        """Decimal text; the integer as it is where the instrument is not known (a refused command)."""
        symbols = self._symbols
        return [text(number, value) if number in symbols else value for number, value in zip(numbers, values, strict=True)]

    def _name_columns(self, columns: dict[str, list[Any]], asked: Sequence[Asked], renamed: dict[int, str]) -> dict[str, list[str | None]]:
        """cl_ord_id of each row's order as of that row; of a refused command its own."""
        names, now, own, orig, contra = self._names, -1, list[str | None](), list[str | None](), list[str | None]()
        for row, index in enumerate(columns["command_index"]):
            before = None
            if index != now and index in renamed:
                before = names.newest_of(asked[index].order_id)
                names.rename(asked[index].order_id, renamed[index])
            now = index
            event = columns["event"][row]
            order_id = columns["order_id"][row]
            if event in ("REJECTED", "CANCEL_REJECTED") and order_id in (0, asked[index].order_id):
                own.append(asked[index].cl_ord_id)
                orig.append(asked[index].orig_cl_ord_id or names.newest_of(order_id))
            else:
                own.append(names.newest_of(order_id))
                orig.append(before if before != own[-1] else None)
            contra.append(names.newest_of(columns["contra_order_id"][row]))
        return dict(zip(_NAMED, (own, orig, contra), strict=True))


def _more(kind: int, rows: Rows) -> tuple[str, ...]:
    """Columns in which any row of this kind has something that events of the kind do not always have."""
    return tuple(name for name in _SOMETIMES if name not in COLUMNS[kind] and rows[name].any())
