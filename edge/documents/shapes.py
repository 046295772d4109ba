"""JSON schemas of what is sent and answered. Words come from the tables of the code; objects are measured from what the code writes of an example.

A text of an answer may be null in another state of the same object, so every text and every null of an example is "text or null".
"""

from collections.abc import Iterable
from typing import Any, Final

from edge.alpaca.accounts.account_json import account_json, asset_json, position_json
from edge.alpaca.order_words import ORDER_CLASSES, ORDER_TYPES, PEG_PRICE_TYPES, SELF_MATCH_PREVENTIONS, SIDES, TIMES_IN_FORCE
from edge.alpaca.orders.order_json import order_json
from edge.gateway.accounts.view import AccountView, Order, Position
from edge.gateway.market.view import MarketView
from schemas.enums import OrdStatus, OrdType, Side, TimeInForce
from schemas.instruments import load_instruments
from schemas.reject_reasons import Reason

Schema = dict[str, Any]

_INSTRUMENTS: Final = load_instruments(None)
_NOW: Final = 1_767_225_600_000_000_000
NUMBER: Final[Schema] = {
    "description": "A decimal as text or as a JSON number; read exactly.",
    "anyOf": [{"type": "string", "pattern": r"^-?[0-9]+(\.[0-9]+)?$", "maxLength": 40}, {"type": "number"}],
}
TIME: Final[Schema] = {"type": "string", "format": "date-time", "description": "RFC 3339"}
TEXT_OR_NULL: Final[Schema] = {"type": ["string", "null"]}
ERROR: Final[Schema] = {
    "type": "object",
    "required": ["code", "message"],
    "properties": {
        "code": {"type": "integer", "description": "The first three digits are an HTTP status, the rest a family."},
        "message": {"type": "string"},
        "reject_reason": {
            "type": "string",
            "description": f"The rule for which it was refused, such as {Reason.INSUFFICIENT_BUYING_POWER.name}.",
        },
    },
}


def one_of(words: Iterable[str]) -> Schema:
    """A word of a closed list."""
    return {"type": "string", "enum": list(words)}


def or_null(schema: Schema) -> Schema:
    """The same of a field that may be null, which counts as absent."""
    if "anyOf" in schema:
        return {**schema, "anyOf": [*schema["anyOf"], {"type": "null"}]}
    return {**schema, "type": [schema["type"], "null"]} | ({"enum": [*schema["enum"], None]} if "enum" in schema else {})


def measured(value: Any) -> Schema:
    """The schema of a value and of those like it."""
    match value:
        case bool():
            return {"type": "boolean"}
        case int() | float():
            return {"type": "number"}
        case list():
            return {"type": "array", **({"items": measured(value[0])} if value else {})}
        case dict():
            return {"type": "object", "required": list(value), "properties": {name: measured(one) for name, one in value.items()}}
        case _:
            return dict(TEXT_OR_NULL)


def example_order() -> Schema:
    """Alpaca's order object of a limit order that waits."""
    order = Order(
        1, 1, "a-1", 1, int(Side.BUY), int(OrdType.LIMIT), int(TimeInForce.DAY), 10, 18_005, 10, 0, 0, int(OrdStatus.NEW), _NOW, _NOW
    )
    return order_json(order, _INSTRUMENTS)


def _account() -> Schema:
    view = AccountView(1, cash=100_000_000, positions={1: Position(50, 0, 90_000_000)})
    return account_json(view, MarketView(_INSTRUMENTS))


def _position() -> Schema:
    market = MarketView(_INSTRUMENTS)
    return position_json(Position(50, 0, 90_000_000), next(one for one in market.symbols.values() if one.instrument.number == 1))


def _order() -> Schema:
    schema = measured(example_order())
    legs = {"type": ["array", "null"], "items": {"$ref": "#/components/schemas/Order"}}
    words = {"side": one_of(SIDES), "ord_type": one_of(ORDER_TYPES), "legs": legs}
    return {**schema, "properties": schema["properties"] | words, "examples": [example_order()]}


def _new_order() -> Schema:
    of_leg: dict[str, Schema] = {"limit_price": NUMBER, "stop_price": NUMBER, "client_order_id": {"type": "string", "maxLength": 128}}
    leg = {"type": "object", "properties": {name: or_null(one) for name, one in of_leg.items()}}
    prices = ("limit_price", "stop_price", "trail_price", "trail_percent", "limit_offset", "peg_offset", "display_qty", "min_qty")
    optional: dict[str, Schema] = {
        "qty": NUMBER,
        "notional": NUMBER,
        "order_class": one_of(ORDER_CLASSES),
        "client_order_id": {"type": "string", "maxLength": 128},
        **dict.fromkeys(prices, NUMBER),
        "peg_price_type": one_of(PEG_PRICE_TYPES),
        "expire_time": TIME,
        **{name: {"type": "boolean"} for name in ("hidden", "post_only", "post_only_slide", "locate")},
        "self_match_prevention_id": {"type": "integer", "minimum": 0},
        "self_match_prevention_instruction": one_of(SELF_MATCH_PREVENTIONS),
        "take_profit": leg,
        "stop_loss": leg,
    }
    return {
        "type": "object",
        "required": ["symbol", "side", "type", "time_in_force"],
        "properties": {
            "symbol": {"type": "string", "maxLength": 64},
            "side": one_of(SIDES),
            "type": one_of(ORDER_TYPES),
            "time_in_force": one_of(TIMES_IN_FORCE),
            **{name: or_null(one) for name, one in optional.items()},
        },
        "examples": [{"symbol": "AAPL", "side": "buy", "type": "limit", "time_in_force": "day", "qty": "10", "limit_price": "180.05"}],
    }


def _replace() -> Schema:
    prices = ("qty", "limit_price", "stop_price", "trail", "limit_offset", "peg_offset", "display_qty")
    others: dict[str, Schema] = {
        "time_in_force": one_of(TIMES_IN_FORCE),
        "client_order_id": {"type": "string", "maxLength": 128},
        "hidden": {"type": "boolean"},
        "expire_time": TIME,
    }
    return {
        "type": "object",
        "minProperties": 1,
        "properties": {name: or_null(one) for name, one in (dict.fromkeys(prices, NUMBER) | others).items()},
        "examples": [{"qty": "8", "limit_price": "180.00"}],
    }


def schemas() -> dict[str, Schema]:
    """By name, all that documents refer to."""
    return {
        "Error": ERROR,
        "NewOrder": _new_order(),
        "ReplaceOrder": _replace(),
        "Order": _order(),
        "Account": measured(_account()) | {"examples": [_account()]},
        "Position": measured(_position()) | {"examples": [_position()]},
        "Asset": measured(asset_json(_INSTRUMENTS.by_number[1])),
    }
