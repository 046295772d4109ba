"""The market-data protocol as a state machine: what a client says, what it is told, what it is subscribed to. No I/O.

Alpaca's words: greet `connected`, `auth`, `subscribe`, `unsubscribe`; errors by code. Ours: `resume` in a subscribe message
({"AAPL": last_seq}) sends the trades behind that sequence first, {"T": "gap", "missing": n} where they are not kept any more, and every
bust that is kept ("x"; hearing of one twice does no harm); a new `orderbooks` subscription begins with the whole book ("r": true), as on
Alpaca's crypto stream, and one to `statuses`, `lulds` or `imbalances` with what holds now.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

import msgpack
import msgspec
from aiohttp import WSMsgType

from edge.limits import BOOK_LEVELS_SHOWN, SUBSCRIPTIONS_MAX
from edge.market_view import CHANNELS, MarketView, Message

SYNTAX: Final = (400, "invalid syntax")
NOT_AUTHENTICATED: Final = (401, "not authenticated")
AUTH_FAILED: Final = (402, "auth failed")
ALREADY_AUTHENTICATED: Final = (403, "already authenticated")
AUTH_TIMEOUT: Final = (404, "auth timeout")
SYMBOL_LIMIT: Final = (405, "symbol limit exceeded")
CONNECTION_LIMIT: Final = (406, "connection limit exceeded")
SLOW_CLIENT: Final = (407, "slow client")
INVALID_SUBSCRIPTION: Final = (410, "invalid subscribe action for this feed")
INTERNAL: Final = (500, "internal error")

# channels of Alpaca's stock feed that exist in its subscription message but carry nothing here
_EMPTY_CHANNELS: Final = ("updatedBars", "dailyBars", "corrections", "cancelErrors")
_WITH_TRADES: Final = ("corrections", "cancelErrors")
"""Come with a subscription to trades and cannot be had alone. We bust trades ("x") but never correct one."""
_ENCODER: Final = msgspec.json.Encoder(decimal_format="number")


@dataclass(frozen=True)
class Encoding:
    """How one client wants its messages: an array of encoded messages, an encoded object."""

    name: str
    frames: WSMsgType
    join: Callable[[list[bytes]], bytes]
    of_message: Callable[[Message], bytes]
    of_object: Callable[[dict[str, Any]], bytes]
    decode: Callable[[str | bytes], Any]


def _join_json(parts: list[bytes]) -> bytes:
    return b"[" + b",".join(parts) + b"]"


def _join_packed(parts: list[bytes]) -> bytes:
    return bytes(msgpack.Packer().pack_array_header(len(parts))) + b"".join(parts)


def _pack(value: dict[str, Any]) -> bytes:
    packed: bytes = msgpack.packb(value, default=float)
    return packed


def _unpack(data: str | bytes) -> Any:
    # some clients speak JSON in text frames although they asked for msgpack
    return json.loads(data) if isinstance(data, str) else msgpack.unpackb(data)


JSON: Final = Encoding("json", WSMsgType.TEXT, _join_json, lambda message: message.json, _ENCODER.encode, json.loads)
MSGPACK: Final = Encoding("msgpack", WSMsgType.BINARY, _join_packed, lambda message: message.packed, _pack, _unpack)

Subscription = frozenset[tuple[str, str]]
"""(channel, symbol or "*") pairs; clients with equal ones share each payload."""


@dataclass
class Reply:
    """What to send now: encoded messages for one array; `close` ends the connection after them."""

    parts: list[bytes] = field(default_factory=list)
    close: bool = False


@dataclass
class MarketClient:
    """One connection's state. `authenticated` is True from the start on the public path."""

    encoding: Encoding
    authenticated: bool = False
    wanted: Subscription = frozenset()

    def greeting(self) -> Reply:
        """What a client hears first."""
        return Reply([self._control("success", msg="connected")])

    def confirm(self) -> Reply:
        """The key was right."""
        self.authenticated = True
        return Reply([self._control("success", msg="authenticated")])

    def error(self, what: tuple[int, str], *, close: bool = False) -> Reply:
        """Alpaca's error message."""
        return Reply([self._control("error", code=what[0], msg=what[1])], close)

    def decode(self, data: str | bytes) -> dict[str, Any] | None:
        """The client's message; None if it is not an object in its encoding."""
        try:
            message = self.encoding.decode(data)
        except (ValueError, msgpack.UnpackException, RecursionError, TypeError):
            return None
        return message if isinstance(message, dict) else None

    def subscribe(self, message: dict[str, Any], view: MarketView) -> Reply:
        """Take `subscribe`: confirm, then what the client missed (`resume`), then whole books that are new to it."""
        added = self._pairs(message)
        if added is None:
            return self.error(SYNTAX)
        if any(channel in _EMPTY_CHANNELS and symbols for channel, symbols in message.items() if isinstance(symbols, list)):
            return self.error(INVALID_SUBSCRIPTION)
        resume = message.get("resume", {})
        if not _is_resume(resume):
            return self.error(SYNTAX)
        if len(self.wanted | added) > SUBSCRIPTIONS_MAX:
            return self.error(SYMBOL_LIMIT)
        new = added - self.wanted
        self.wanted |= added
        reply = self._confirm_subscription()
        for symbol, seq in resume.items():
            reply.parts += self._missed(symbol, seq, view)
        reply.parts += self._books({symbol for channel, symbol in new if channel == "orderbooks"}, view)
        reply.parts += self._standing(new, view)
        return reply

    def unsubscribe(self, message: dict[str, Any]) -> Reply:
        """Take `unsubscribe`; names that were not subscribed are ignored."""
        removed = self._pairs(message)
        if removed is None:
            return self.error(SYNTAX)
        self.wanted -= removed
        return self._confirm_subscription()

    def _pairs(self, message: dict[str, Any]) -> Subscription | None:
        """The pairs a message names; None where a channel's value is not a list of names."""
        pairs: set[tuple[str, str]] = set()
        for channel in (*CHANNELS, *_EMPTY_CHANNELS):
            symbols = message.get(channel, [])
            if not isinstance(symbols, list) or not all(isinstance(symbol, str) for symbol in symbols):
                return None
            if channel in CHANNELS:
                pairs.update((channel, symbol) for symbol in symbols)
        return frozenset(pairs)

    def _confirm_subscription(self) -> Reply:
        lists: dict[str, list[str]] = {channel: [] for channel in (*CHANNELS, *_EMPTY_CHANNELS)}
        for channel, symbol in sorted(self.wanted):
            lists[channel].append(symbol)
        for channel in _WITH_TRADES:
            lists[channel] = lists["trades"]
        return Reply([self._control("subscription", **lists)])

    def _missed(self, symbol: str, seq: int, view: MarketView) -> list[bytes]:
        known = view.symbols.get(symbol)
        if known is None or not ({("trades", symbol), ("trades", "*")} & self.wanted):
            return []
        kept, missing = known.trades_after(seq)
        gap = [self._control("gap", S=symbol, after=seq, missing=missing)] if missing else []
        return gap + [self.encoding.of_message(message) for message in (*kept, *known.busts)]

    def _books(self, symbols: set[str], view: MarketView) -> list[bytes]:
        names = view.symbols if "*" in symbols else symbols & view.symbols.keys()
        messages = (Message("orderbooks", name, view.symbols[name].book(BOOK_LEVELS_SHOWN)) for name in sorted(names))
        return [self.encoding.of_message(message) for message in messages]

    def _standing(self, new: Subscription, view: MarketView) -> list[bytes]:
        """What holds now in the channels that speak only when something changes."""
        now = [one for known in view.symbols.values() for one in (known.status, known.band, known.auction) if one is not None]
        return [self.encoding.of_message(message) for message in selected(now, new)]

    def _control(self, kind: str, **fields: Any) -> bytes:
        return self.encoding.of_object({"T": kind, **fields})


def _is_resume(resume: Any) -> bool:
    if not isinstance(resume, dict):
        return False
    return all(isinstance(name, str) and isinstance(seq, int) and not isinstance(seq, bool) and seq >= 0 for name, seq in resume.items())


def selected(messages: list[Message], wanted: Subscription) -> list[Message]:
    """Those of the messages that the subscription names."""
    return [m for m in messages if (m.channel, m.symbol) in wanted or (m.channel, "*") in wanted]
