"""The AsyncAPI 3.0 document of the WebSockets: market data, order updates and the native API, from the tables of the code."""

from typing import Any, Final

from edge.alpaca.market_data import subscriptions
from edge.alpaca.market_data.messages import CHANNELS
from edge.alpaca.order_words import EVENT_TEXT
from edge.alpaca.orders.trade_updates import STREAMS
from edge.documents import native
from edge.documents.shapes import example_order, measured, one_of

_SYMBOLS: Final[dict[str, Any]] = {"type": "array", "items": {"type": "string"}, "description": 'Symbols, or "*".'}
MARKET_TYPES: Final = {
    "t": "a trade", "x": "a trade that was busted", "q": "the best prices", "b": "a minute's bar", "u": "a bar told again", "d": "the day so far", "o": "levels of the book",
    "s": "a trading state", "l": "price bands", "i": "what an auction would do", "subscription": "the whole subscription", "success": "connected, authenticated",
    "error": "what was wrong", "gap": "trades that can no longer be resumed",
    "heartbeat": "each second for who has asked for it: the time, and whether the edge hears the market",
}  # fmt: skip
"""The field T of a message."""
_PLACES: Final = {
    "iex": ("/v2/iex", "Market data with an API key."),
    "sip": ("/v2/sip", "The same."),
    "crypto": ("/v1beta3/crypto/us", "The same, where ccxt looks for order books."),
    "publicPrices": ("/ws/public-prices", "The same without a key, for the pages."),
}


def asyncapi(version: str) -> dict[str, Any]:
    """The document."""
    errors = sorted(value for name, value in vars(subscriptions).items() if name.isupper() and _is_error(value))
    market = {"subscribe": _subscribe(), "marketData": _market_data(errors)}
    updates = {"listen": _listen(), "tradeUpdate": _trade_update()}
    channels = {name: _channel(address, told, market) for name, (address, told) in _PLACES.items()}
    channels["stream"] = _channel("/stream", "Updates of the account's own orders, in binary frames.", updates)
    channels["native"] = _channel("/ws/v1", "The exchange's own API; Sec-WebSocket-Protocol chooses JSON or msgpack.", native.messages())
    return {
        "asyncapi": "3.0.0",
        "info": {"title": "Open Outcry: streams", "version": version, "license": {"name": "Apache-2.0"}},
        "defaultContentType": "application/json",
        "channels": channels,
        "operations": {
            f"{action}_{name}": {
                "action": action,
                "channel": {"$ref": f"#/channels/{name}"},
                "messages": [{"$ref": f"#/channels/{name}/messages/{_message_of(name, action)}"}],
            }
            for name in channels
            for action in ("send", "receive")
        },
        "components": {"messages": market | updates | native.messages(), "schemas": native.schemas()},
    }


def _is_error(value: object) -> bool:
    return isinstance(value, tuple) and len(value) == 2 and isinstance(value[0], int) and isinstance(value[1], str)


def _message_of(channel: str, action: str) -> str:
    """The exchange sends what is told, and receives what is asked."""
    own = {"stream": ("tradeUpdate", "listen"), "native": ("nativeTold", "nativeRequest")}
    told, asked = own.get(channel, ("marketData", "subscribe"))
    return told if action == "send" else asked


def _channel(address: str, told: str, messages: dict[str, Any]) -> dict[str, Any]:
    return {"address": address, "description": told, "messages": {name: {"$ref": f"#/components/messages/{name}"} for name in messages}}


def _subscribe() -> dict[str, Any]:
    properties = {
        "action": one_of(("auth", "subscribe", "unsubscribe")),
        "key": {"type": "string"},
        "secret": {"type": "string"},
        **dict.fromkeys(CHANNELS, _SYMBOLS),
        "heartbeats": {"type": "boolean", "description": "true: a heartbeat each second from now on."},
        "resume": {
            "type": "object",
            "additionalProperties": {"type": "integer", "minimum": 0},
            "description": "By symbol, the last seq that you have.",
        },
    }
    return {
        "title": "What a client says",
        "payload": {"type": "object", "required": ["action"], "properties": properties},
        "examples": [{"payload": {"action": "subscribe", "trades": ["AAPL"], "resume": {"AAPL": 123}}}],
    }


def _market_data(errors: list[tuple[int, str]]) -> dict[str, Any]:
    message = {
        "type": "object",
        "required": ["T"],
        "properties": {
            "T": one_of(MARKET_TYPES),
            "S": {"type": "string"},
            "seq": {"type": "integer"},
            "t": {"type": "string", "format": "date-time"},
        },
    }
    kinds = "; ".join(f"{name}: {text}" for name, text in MARKET_TYPES.items())
    told = ", ".join(f"{code} {text}" for code, text in errors)
    return {
        "title": "What it is told",
        "description": f"Arrays of messages. T is {kinds}. Errors: {told}.",
        "payload": {"type": "array", "items": message},
    }


def _listen() -> dict[str, Any]:
    data = {
        "type": "object",
        "properties": {
            "streams": {"type": "array", "items": one_of(STREAMS)},
            "key_id": {"type": "string"},
            "secret_key": {"type": "string"},
        },
    }
    return {
        "title": "What a client says",
        "payload": {
            "type": "object",
            "required": ["action"],
            "properties": {"action": one_of(("authenticate", "auth", "listen")), "data": data},
        },
        "examples": [{"payload": {"action": "listen", "data": {"streams": list(STREAMS)}}}],
    }


def _trade_update() -> dict[str, Any]:
    text = {"type": "string"}
    data = {
        "type": "object",
        "required": ["event", "execution_id", "order", "timestamp", "seq"],
        "properties": {
            "event": one_of(EVENT_TEXT.values()), "execution_id": text, "order": measured(example_order()), "timestamp": {"type": "string", "format": "date-time"},
            "seq": {"type": "integer"}, "price": text, "qty": text, "position_qty": text, "trd_match_id": {"type": "integer"}, "reason": text, "reason_text": text,
        },
    }  # fmt: skip
    properties = {"stream": one_of((*STREAMS, "authorization", "listening", "error")), "data": {"anyOf": [data, {"type": "object"}]}}
    return {"title": "What it is told", "payload": {"type": "object", "required": ["stream", "data"], "properties": properties}}
