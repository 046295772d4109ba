"""Every place that judges the fields of an order, asked about every type of order, time in force and field; beside it what schemas.field_rules says.

As a program it prints the answers of a tree of sources (PYTHONPATH) as JSON; there the compiled rules are interpreted, so that nothing has to be compiled.
"""

import json
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Final

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))
import schemas
from edge.alpaca.order_words import ORDER_TYPES, TIMES_IN_FORCE
from edge.alpaca.orders.order_requests import parse_new_order
from edge.http.errors import HttpError
from matchers.accounts.kernel import orders as account_kernel_orders
from matchers.accounts.reference.shard import AccountShard as ReferenceAccountShard
from matchers.accounts.shard import AccountShard
from matchers.books.kernel import checks as book_kernel_checks
from matchers.books.kernel import fast
from matchers.books.reference.shard import BookShard as ReferenceBookShard
from matchers.books.shard import BookShard
from matchers.compiled import order_checks
from matchers.rules.order_tables import ORDER_TABLE
from matchers.rules.outputs import BOOK_COMMAND_DTYPE, COMMAND_DTYPE
from schemas.codec import Rows
from schemas.enums import BookCommandKind, CommandKind, ExecInst, ExecKind, OrdType, PegPriceType, Phase, TimeInForce
from schemas.field_rules import TIME_RULES, TYPE_RULES, Use
from schemas.instruments import load_instruments
from schemas.limits import PRICE_TICKS_MAX
from schemas.reject_reasons import Reason
from support.interpreted import interpreted
from topics.order_rows import BadOrder, order_row

TABLE: Final = load_instruments(None)
INSTRUMENT: Final = TABLE.by_number[1]
START: Final = 1_800_000_000_000_000_000
QTY: Final = 100
FIELDS: Final[dict[str, dict[str, Any]]] = {
    "price": {"price": 100}, "stop_px": {"stop_px": 100}, "offset": {"offset": 5}, "peg_price_type": {"peg_price_type": PegPriceType.PRIMARY},
    "display_qty": {"display_qty": 10}, "hidden": {"exec_inst": ExecInst.HIDDEN}, "post_only": {"exec_inst": ExecInst.POST_ONLY},
    "post_only_slide": {"exec_inst": ExecInst.POST_ONLY_SLIDE}, "min_qty": {"min_qty": 10}, "expire_time": {"expire_time": START + 10**12},
}  # fmt: skip
"""The columns of an order that has the field."""
RULES: Final = {"hidden": "display", "display_qty": "display", "post_only_slide": "post_only"}
"""The name of the rule, where it is not the field's."""
SHARDS: Final = ("account rules", "account kernel", "book rules", "book kernel")
JUDGES: Final = {
    "edge": ("price", "stop_px", "offset", "peg_price_type", "expire_time"),
    "producer": ("price", "stop_px", "offset", "peg_price_type"),
}
"""What the places judge that leave the rest to the shards."""
FIELD_REASONS: Final = {
    Reason.INVALID_PRICE, Reason.INVALID_STOP_PRICE, Reason.INVALID_OFFSET, Reason.INVALID_PEG, Reason.INVALID_DISPLAY_QTY, Reason.INVALID_MIN_QTY,
    Reason.INVALID_EXPIRE_TIME, Reason.INVALID_COMBINATION,
}  # fmt: skip


@dataclass(frozen=True)
class Case:
    """An order that says what its type and time must say, but (`has`) this field or not. Without a field: just that."""

    ord_type: OrdType
    time: TimeInForce
    field: str
    has: bool

    @property
    def said(self) -> set[str]:
        """The fields that the order has."""
        needed = {name for name in FIELDS if self.use(name) == Use.MUST}
        return needed | {self.field} if self.has else needed - {self.field}

    def use(self, field: str) -> Use:
        """What the table says of a field of such an order."""
        name = RULES.get(field, field)
        uses = [getattr(rule, name) for rule in (TYPE_RULES[self.ord_type], TIME_RULES[self.time]) if hasattr(rule, name)]
        return min(uses)

    def is_refused(self, place: str) -> bool:
        """What the table says of the order; a book has been given a protection price where there is no limit."""
        if place in JUDGES and self.field not in JUDGES[place]:
            return False
        if place in SHARDS and self.time not in TYPE_RULES[self.ord_type].times:
            return True
        use = self.use(self.field)
        if place.startswith("book") and self.field == "price" and self.has:
            return False
        return use == Use.NO if self.has else use == Use.MUST

    def columns(self) -> dict[str, Any]:
        """The row that the shards get."""
        columns: dict[str, Any] = {
            "side": 1, "ord_type": self.ord_type, "time_in_force": self.time, "order_qty": QTY, "instrument": 1, "account": 2, "transact_time": START,
        }  # fmt: skip
        for name in self.said:
            columns |= FIELDS[name]
        if "price" in self.said and self.ord_type in (OrdType.MARKET, OrdType.MARKET_TO_LIMIT):
            columns["price"] = PRICE_TICKS_MAX  # as a protection price it must let the order trade anywhere in an auction
        return columns

    def __str__(self) -> str:
        return f"{self.ord_type.name} {self.time.name} {'with' if self.has else 'without'} {self.field}"


def cases() -> Iterator[Case]:
    """All of them."""
    for ord_type in OrdType:
        for time in TimeInForce:
            for field in FIELDS:
                yield from (Case(ord_type, time, field, has) for has in (False, True))


def answers(compiled: bool) -> dict[str, dict[str, bool]]:
    """Whether each place refuses each case for what it says."""
    asked = list(cases())
    places: dict[str, list[bool]] = {
        "account rules": _by_accounts(ReferenceAccountShard, asked),
        "account kernel": _by_accounts(AccountShard, asked) if compiled else _by_helper(asked, account_kernel_orders, in_book=False),
        "book rules": _by_books(ReferenceBookShard, asked),
        "book kernel": _by_books(BookShard, asked) if compiled else _by_helper(asked, book_kernel_checks, in_book=True),
        "edge": [_edge_refuses(case) for case in asked],
        "producer": [_producer_refuses(case) for case in asked],
    }
    return {place: dict(zip(map(str, asked), refused, strict=True)) for place, refused in places.items()}


def expected() -> dict[str, dict[str, bool]]:
    """The same by the table."""
    return {place: {str(case): case.is_refused(place) for case in cases()} for place in (*SHARDS, *JUDGES)}


def _rows(asked: list[Case], dtype: np.dtype[np.void], **common: Any) -> Rows:
    rows = np.zeros(len(asked), dtype)
    for row, case in zip(rows, asked, strict=True):
        for name, value in (case.columns() | common).items():
            row[name] = value
    return rows


def _by_accounts(make: Callable[..., Any], asked: list[Case]) -> list[bool]:
    machine = make(0, TABLE, 1)
    opening = np.zeros(1, COMMAND_DTYPE)
    opening["kind"], opening["account"], opening["cash"], opening["request_id"] = CommandKind.ACCOUNT_UPDATE, 2, 10**15, 1
    machine.apply_commands(opening, np.zeros(1, "S1"), -1)
    texts = np.array([f"c{number}".encode() for number in range(len(asked))])
    events = machine.apply_commands(_rows(asked, COMMAND_DTYPE, kind=CommandKind.NEW_ORDER), texts, -1).events
    assert len(events) == len(asked), "each order is accepted or refused"
    return [reason in FIELD_REASONS for reason in events["reason"].tolist()]


def _by_books(make: Callable[..., Any], asked: list[Case]) -> list[bool]:
    machine = make(0, TABLE, 1)
    opening = np.zeros(1, BOOK_COMMAND_DTYPE)
    opening["kind"], opening["phase"] = BookCommandKind.TRADING_SESSION_CHANGE, Phase.CONTINUOUS
    machine.apply(opening)
    rows = _rows(asked, BOOK_COMMAND_DTYPE, kind=BookCommandKind.NEW_ORDER)
    rows["order_id"] = 1 + np.arange(len(rows))
    executions = machine.apply(rows).executions
    told = executions[np.isin(executions["kind"], (ExecKind.NEW, ExecKind.REJECTED))]
    assert told["command_index"].tolist() == list(range(len(asked))), "each order is accepted or refused"
    return [kind == ExecKind.REJECTED and reason in FIELD_REASONS for kind, reason in told[["kind", "reason"]].tolist()]


def _by_helper(asked: list[Case], kernel: Any, *, in_book: bool) -> list[bool]:
    """By the compiled rule that the kernel calls, interpreted."""
    assert kernel.order_refusal is order_checks.order_refusal, "both kernels have the same rule"
    refusal, rules = interpreted(kernel.order_refusal), TABLE.rules[1]
    empty = dict.fromkeys(COMMAND_DTYPE.names or (), 0)
    return [
        int(
            refusal(
                ORDER_TABLE.ravel(),
                SimpleNamespace(**empty | case.columns()),
                rules["order_qty_min"],
                rules["order_qty_max"],
                START,
                in_book,
            )
        )
        in FIELD_REASONS
        for case in asked
    ]


def _edge_refuses(case: Case) -> bool:
    """Whether a client's body is refused that says these fields in Alpaca's words."""
    rule = TYPE_RULES[case.ord_type]
    words: dict[str, dict[str, Any]] = {
        "price": {"limit_offset" if rule.price_is_distance else "limit_price": "1.00"},
        "stop_px": {"stop_price": "1.00"},
        "offset": {"peg_offset" if rule.peg_price_type else "trail_price": "0.05"},
        "peg_price_type": {"peg_price_type": "primary"},
        "display_qty": {"display_qty": "10"},
        "hidden": {"hidden": True},
        "post_only": {"post_only": True},
        "post_only_slide": {"post_only_slide": True},
        "min_qty": {"min_qty": "10"},
        "expire_time": {"expire_time": "2030-01-01T00:00:00Z"},
    }
    body = {"symbol": INSTRUMENT.symbol, "qty": str(QTY), "side": "buy", "type": _word_of(case.ord_type, ORDER_TYPES)}
    body["time_in_force"] = _word_of(case.time, TIMES_IN_FORCE)
    for name in case.said:
        body |= words[name]
    try:
        parse_new_order(json.dumps(body).encode(), TABLE)
    except HttpError:
        return True
    return False


def _word_of(wanted: Any, words: Any) -> str:
    """The first of a client's words that means this."""
    return next(word for word, meaning in words.items() if meaning == wanted)


def _producer_refuses(case: Case) -> bool:
    """Whether the library refuses a call that says these fields."""
    said = {name: value for field in case.said for name, value in FIELDS[field].items() if name != "exec_inst"}
    said |= {name: str(said[name] / 100) for name in ("price", "stop_px", "offset") if name in said}
    instructions = [ExecInst[field.upper()] for field in case.said if field.upper() in ExecInst.__members__]
    try:
        order_row(TABLE, 2, INSTRUMENT.symbol, "BUY", QTY, ord_type=case.ord_type, time_in_force=case.time, exec_inst=instructions, **said)
    except BadOrder:
        return True
    return False


if __name__ == "__main__":
    fast_times = {name: [time.name for time in TimeInForce if int(bits) >> time & 1] for name, bits in
                  (("LIMIT", fast._LIMIT_TIMES), ("MARKET", fast._MARKET_TIMES))}  # fmt: skip
    print(json.dumps({"tree": schemas.__file__, "answers": answers(compiled=False), "expected": expected(), "fast": fast_times}))
