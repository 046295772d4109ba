"""The words of orders, for type checkers. docs/native-api.md says what they mean; a test compares them with the exchange's."""

from decimal import Decimal
from typing import Any, Literal, TypedDict

Side = Literal["buy", "sell"]
OrdType = Literal[
    "market", "limit", "stop", "stop_limit", "trailing_stop", "trailing_stop_limit", "market_to_limit", "pegged",
]  # fmt: skip
TimeInForce = Literal["day", "gtc", "gtd", "ioc", "fok", "opg", "cls"]
Number = str | int | Decimal
"""A price or a quantity, exact: "180.05", Decimal("180.05"). Not a float."""


class Which(TypedDict, total=False):
    """Names an order: by one of the two."""

    order_id: str
    cl_ord_id: str


class _Needed(TypedDict):
    symbol: str
    side: Side
    ord_type: OrdType
    time_in_force: TimeInForce
    order_qty: Number


class NewOrder(_Needed, total=False):
    """Fields of an order. Times are in microseconds since 1970."""

    cl_ord_id: str
    """Your own id, up to 128 characters. The client makes one where there is none: the same order again is never placed twice."""
    price: Number
    stop_px: Number
    offset: Number
    offset_type: Literal["price", "basis_points"]
    peg_price_type: Literal["primary", "midpoint", "market"]
    display_qty: Number
    min_qty: Number
    exec_inst: list[Literal["post_only", "post_only_slide", "hidden"]]
    expire_time: int
    self_match_prevention_id: int
    self_match_prevention_instruction: str
    locate: bool
    contingency_type: Literal["oco", "oto", "bracket"]
    legs: list[dict[str, Any]]


class Changes(Which, total=False):
    """What an amendment changes, of the order that it names."""

    new_cl_ord_id: str
    order_qty: Number
    price: Number
    stop_px: Number
    display_qty: Number
    offset: Number
    expire_time: int
    exec_inst: list[Literal["hidden"]]
    time_in_force: TimeInForce


class _Known(TypedDict):
    order_id: str
    cl_ord_id: str
    symbol: str
    side: Side
    ord_type: OrdType
    time_in_force: TimeInForce
    ord_status: str
    order_qty: str
    leaves_qty: str
    cum_qty: str
    submitted_at: int
    updated_at: int


class Order(_Known, total=False):
    """An order as the exchange tells it. A field that it does not have is absent."""

    price: str
    avg_px: str
    stop_px: str
    display_qty: str
    offset: str | int
    offset_type: str
    peg_price_type: str
    exec_inst: list[str]
    expire_time: int
    contingency_type: str
    list_id: str
    reason: str
    reason_text: str
    is_held: bool


class Filter(TypedDict, total=False):
    """Which orders a mass cancel is about; all of them where it says nothing. `key`: those that this API key has sent."""

    symbol: str
    side: Side
    key: bool
