"""Orders as Alpaca's JSON: a POST body to exact integers, and an order's state to the order object.

Numbers are read from their literal text (a client may send 10.05 or "10.05"), so 10.05 is exactly 1005 ticks of 0.01.
The edge refuses what has no integer form here (not a number, off the tick grid, a fraction of a lot, a type we do not have);
rules with limits or money are the account shard's. Unknown fields are ignored, as at Alpaca; null means absent.
"""

import re
import uuid
from dataclasses import dataclass
from decimal import Decimal
from functools import lru_cache
from typing import Any, Final

import msgspec

from edge.account_view import Order
from edge.errors import MALFORMED, UNPROCESSABLE, ApiError, bad_parameter, unprocessable
from edge.limits import NUMBER_DIGITS_MAX
from edge.timestamps import rfc3339, rfc3339_or_none
from schemas.enums import OrdStatus, OrdType, Side, TimeInForce
from schemas.ids import asset_uuid, instrument_of, order_uuid
from schemas.instruments import Instrument, InstrumentTable
from schemas.limits import CL_ORD_ID_MAX_BYTES
from schemas.reject_reasons import SENTENCES, Reason
from schemas.units import NotAMultiple, OutOfRange

SIDES: Final = {"buy": Side.BUY, "sell": Side.SELL}
ORDER_TYPES: Final = {"market": OrdType.MARKET, "limit": OrdType.LIMIT}
TIMES_IN_FORCE: Final = {"day": TimeInForce.DAY, "gtc": TimeInForce.GTC, "ioc": TimeInForce.IOC}

# what Alpaca has and this exchange does not have yet: refused by name rather than misread
_OTHER_ORDER_TYPES: Final = ("stop", "stop_limit", "trailing_stop")
_OTHER_TIMES_IN_FORCE: Final = ("opg", "cls", "fok")
_REFUSED_FIELDS: Final = {
    "notional": "orders by notional are not supported: send qty",
    "stop_price": "stop_price is not supported: only market and limit orders are",
    "trail_price": "trail_price is not supported: only market and limit orders are",
    "trail_percent": "trail_percent is not supported: only market and limit orders are",
    "take_profit": "take_profit is not supported: order_class must be simple",
    "stop_loss": "stop_loss is not supported: order_class must be simple",
    "legs": "legs are not supported: order_class must be simple",
}

SIDE_TEXT: Final = {int(v): k for k, v in SIDES.items()}
# every kind has a word: orders that came straight to the log are shown too
TYPE_TEXT: Final = {int(one): one.name.lower() for one in OrdType}
TIME_IN_FORCE_TEXT: Final = {int(one): one.name.lower() for one in TimeInForce}
STATUS_TEXT: Final = {
    int(OrdStatus.NEW): "new",
    int(OrdStatus.PARTIALLY_FILLED): "partially_filled",
    int(OrdStatus.FILLED): "filled",
    int(OrdStatus.CANCELED): "canceled",
    int(OrdStatus.PENDING_CANCEL): "pending_cancel",
    int(OrdStatus.REJECTED): "rejected",
    int(OrdStatus.EXPIRED): "expired",
    int(OrdStatus.PENDING_REPLACE): "pending_replace",
}

_NUMBER: Final = re.compile(r"[+-]?\d{1,24}(\.\d{0,24})?([eE][+-]?\d{1,2})?", re.ASCII)
_CLIENT_ORDER_ID: Final = re.compile(f"[ -~]{{1,{CL_ORD_ID_MAX_BYTES}}}", re.ASCII)
_DECODER: Final = msgspec.json.Decoder(float_hook=Decimal)


@dataclass(frozen=True, slots=True)
class NewOrder:
    """A parsed order: enumeration values, `qty` in lots, `price` in ticks (0 for market)."""

    instrument: Instrument
    side: Side
    ord_type: OrdType
    time_in_force: TimeInForce
    qty: int
    price: int
    cl_ord_id: bytes


def decode_object(body: bytes) -> dict[str, Any]:
    """The JSON object of a request body, numbers exact. Raises ApiError 400 for what is not JSON, 422 for another kind of value."""
    try:
        value = _DECODER.decode(body)
    except (msgspec.DecodeError, ValueError, ArithmeticError, RecursionError) as error:
        raise ApiError(400, MALFORMED, f"request body format is invalid: {error}") from None
    if not isinstance(value, dict):
        raise bad_parameter("request body must be a JSON object")
    return value


def parse_new_order(body: bytes, instruments: InstrumentTable) -> NewOrder:
    """The order in a POST /v2/orders body; raises ApiError naming the first field that cannot be taken."""
    fields = decode_object(body)
    for name, message in _REFUSED_FIELDS.items():
        if fields.get(name) is not None:
            raise bad_parameter(message)
    _check_flags(fields)
    instrument = _symbol(fields, instruments)
    side = SIDES[_word(fields, "side", SIDES, ())]
    ord_type = ORDER_TYPES[_word(fields, "type", ORDER_TYPES, _OTHER_ORDER_TYPES)]
    time_in_force = TIMES_IN_FORCE[_word(fields, "time_in_force", TIMES_IN_FORCE, _OTHER_TIMES_IN_FORCE)]
    qty = _quantity(fields, instrument)
    price = _price(fields, instrument, ord_type)
    return NewOrder(instrument, side, ord_type, time_in_force, qty, price, _client_order_id(fields))


def _check_flags(fields: dict[str, Any]) -> None:
    extended = fields.get("extended_hours")
    if extended is not None and not isinstance(extended, bool):
        raise bad_parameter("extended_hours must be true or false")
    if extended:
        raise unprocessable("extended_hours orders are not supported")
    order_class = fields.get("order_class")
    if order_class not in (None, "", "simple"):
        raise bad_parameter(f"order_class {_quoted(order_class)} is not supported: must be simple")


def _symbol(fields: dict[str, Any], instruments: InstrumentTable) -> Instrument:
    symbol = fields.get("symbol")
    if symbol is None or symbol == "":
        raise bad_parameter("symbol is required")
    if not isinstance(symbol, str):
        raise bad_parameter(f"symbol must be text, not {_quoted(symbol)}")
    found = find_instrument(symbol, instruments)
    if found is None:
        raise bad_parameter(f"asset {_quoted(symbol)} not found")
    return found


def find_instrument(symbol_or_asset_id: str, instruments: InstrumentTable) -> Instrument | None:
    """By symbol or by asset UUID."""
    found = instruments.by_symbol.get(symbol_or_asset_id)
    if found is None and len(symbol_or_asset_id) == 36:
        number = instrument_of(symbol_or_asset_id)
        found = instruments.by_number.get(number) if number is not None else None
    return found


def _word(fields: dict[str, Any], name: str, known: dict[str, Any], known_elsewhere: tuple[str, ...]) -> str:
    word = fields.get(name)
    if word is None or word == "":
        raise bad_parameter(f"{name} is required")
    if isinstance(word, str) and word in known:
        return word
    if word in known_elsewhere:
        raise bad_parameter(f"{name} {_quoted(word)} is not supported here: must be one of {', '.join(known)}")
    raise bad_parameter(f"invalid {name} {_quoted(word)}: must be one of {', '.join(known)}")


def _number(fields: dict[str, Any], name: str) -> Decimal | None:
    """The exact value of a field that is a JSON number or a decimal text; None if absent."""
    value = fields.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | str | Decimal):
        raise bad_parameter(f"{name} must be a number, not {_quoted(value)}")
    if isinstance(value, str) and not _NUMBER.fullmatch(value):
        raise bad_parameter(f"{name} must be a decimal number, not {_quoted(value)}")
    number = Decimal(value)
    if not number.is_finite() or len(number.as_tuple().digits) > NUMBER_DIGITS_MAX or abs(number.adjusted()) > NUMBER_DIGITS_MAX:
        raise bad_parameter(f"{name} is out of range: at most {NUMBER_DIGITS_MAX} digits")
    return number


def _quantity(fields: dict[str, Any], instrument: Instrument) -> int:
    number = _number(fields, "qty")
    if number is None:
        raise bad_parameter("qty is required")
    if number <= 0:
        raise bad_parameter("qty must be > 0")
    try:
        return instrument.qty_to_lots(number)
    except OutOfRange:
        raise bad_parameter(f"invalid qty {number}: more than {instrument.max_order_qty}") from None
    except NotAMultiple:
        raise bad_parameter(
            f"invalid qty {number}: must be a multiple of {instrument.lot_size}, fractional orders are not supported"
        ) from None


def _price(fields: dict[str, Any], instrument: Instrument, ord_type: OrdType) -> int:
    number = _number(fields, "limit_price")
    if ord_type == OrdType.MARKET:
        if number is not None:
            raise bad_parameter("market orders require no stop or limit price")
        return 0
    if number is None:
        raise bad_parameter("limit orders require limit price")
    if number <= 0:
        raise bad_parameter("limit_price must be > 0")
    try:
        return instrument.price_to_ticks(number)
    except OutOfRange:
        raise bad_parameter(f"invalid limit_price {number}: out of range") from None
    except NotAMultiple:
        message = f"invalid limit_price {number}. sub-penny increment does not fulfill minimum pricing criteria: must be a multiple of "
        raise ApiError(422, UNPROCESSABLE, message + str(instrument.tick_size)) from None


def _client_order_id(fields: dict[str, Any]) -> bytes:
    text = fields.get("client_order_id")
    if text is None or text == "":
        return str(uuid.uuid4()).encode()
    if not isinstance(text, str) or not _CLIENT_ORDER_ID.fullmatch(text):
        raise bad_parameter(SENTENCES[Reason.INVALID_CL_ORD_ID])
    return text.encode()


def _quoted(value: Any) -> str:
    """A client's value in an error message, shortened."""
    text = str(value)
    return f'"{text if len(text) <= 40 else text[:40] + "..."}"'


def average_price_text(cum_cost: int, cum_qty: int, instrument: Instrument) -> str | None:
    """Average price of `cum_qty` lots that cost `cum_cost` ticks x lots; None where nothing traded."""
    if cum_qty <= 0:
        return None
    exact = instrument.tick_size * cum_cost / cum_qty
    return f"{exact:.9f}".rstrip("0").rstrip(".")


# an order is written once for its POST and once for each event, mostly close together
_order_uuid = lru_cache(maxsize=8_192)(order_uuid)
_asset_uuid = lru_cache(maxsize=8_192)(asset_uuid)


def order_json(order: Order, instruments: InstrumentTable) -> dict[str, Any]:
    """Alpaca's order object. `reject_reason` is ours."""
    instrument = instruments.by_number[order.instrument]
    ord_type = TYPE_TEXT[order.ord_type]
    return {
        "id": _order_uuid(order.order_id),
        "client_order_id": order.cl_ord_id,
        "created_at": rfc3339(order.submitted_at),
        "updated_at": rfc3339(order.updated_at),
        "submitted_at": rfc3339(order.submitted_at),
        "filled_at": rfc3339_or_none(order.filled_at),
        "expired_at": rfc3339_or_none(order.expired_at),
        "canceled_at": rfc3339_or_none(order.canceled_at),
        "failed_at": rfc3339_or_none(order.failed_at),
        "replaced_at": None,
        "replaced_by": None,
        "replaces": None,
        "asset_id": _asset_uuid(order.instrument),
        "symbol": instrument.symbol,
        "asset_class": "us_equity",
        "notional": None,
        "qty": instrument.qty_text(order.order_qty),
        "filled_qty": instrument.qty_text(order.cum_qty),
        "filled_avg_price": average_price_text(order.cum_cost, order.cum_qty, instrument),
        "order_class": "",
        "order_type": ord_type,
        "type": ord_type,
        "side": SIDE_TEXT[order.side],
        "position_intent": "buy_to_open" if order.side == Side.BUY else "sell_to_close",
        "time_in_force": TIME_IN_FORCE_TEXT[order.time_in_force],
        "limit_price": instrument.price_text(order.price) if order.price else None,
        "stop_price": None,
        "status": STATUS_TEXT[order.ord_status],
        "extended_hours": False,
        "legs": None,
        "trail_percent": None,
        "trail_price": None,
        "hwm": None,
        "subtag": None,
        "source": None,
        "reject_reason": Reason(order.reason).name if order.reason else None,
    }
