"""The market-data protocol as a state machine: what a client says, what it is told, what it is subscribed to. No I/O.

Alpaca's words: greet `connected`, `auth`, `subscribe`, `unsubscribe`; errors by code. As at Alpaca each `subscribe` and `unsubscribe` is
confirmed by the whole list of subscriptions; it is written once for as long as it is the same. A name or a channel that does not exist here
is told by an error behind the confirmation, and the rest of the message holds: alpaca-py sends all its channels in one message.

Ours: `resume` in a subscribe message ({"AAPL": last_seq}) sends the trades behind that sequence first, {"T": "gap", "missing": n} where they are
not kept any more, and every bust that is kept ("x"; hearing of one twice does no harm); a new `orderbooks` subscription begins with the
whole book ("r": true), as on Alpaca's crypto stream, and one to `statuses`, `lulds`, `imbalances` or `dailyBars` with what holds now.
`"heartbeats": true` in a subscribe message asks for {"T": "heartbeat"} each second, so that a client notices a connection that is mute.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import msgpack
import msgspec

from edge.alpaca.limits import RESUMED_TRADES_MAX, SUBSCRIPTIONS_MAX, UNKNOWN_NAMES_TOLD
from edge.alpaca.market_data.messages import CHANNELS, json_of, packed_of
from edge.fanout.frames import BINARY, TEXT
from edge.gateway.market.events import MarketEvent
from edge.gateway.market.view import MarketView, SymbolView
from edge.http.client_data import decode_json, decode_packed
from edge.http.timestamps import rfc3339

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

_WITH_TRADES: Final = ("corrections", "cancelErrors")
"""Come with a subscription to trades and cannot be had alone. We bust trades ("x") but never correct one."""
_STANDING: Final[dict[str, Callable[[SymbolView], MarketEvent | None]]] = {
    "statuses": lambda known: known.status,
    "lulds": lambda known: known.bands,
    "imbalances": lambda known: known.auction,
    "dailyBars": lambda known: known.daily_bar(),
}
"""What holds now in the channels that speak only when something changes."""
HEARTBEATS: Final = ("heartbeats", "*")
"""What a client is subscribed to that has asked for them."""
_ENCODER: Final = msgspec.json.Encoder(decimal_format="number")


@dataclass(frozen=True)
class Encoding:
    """How one client wants its messages: an array of encoded messages, an encoded object."""

    name: str
    opcode: int
    join: Callable[[Sequence[bytes]], bytes]
    of_event: Callable[[MarketEvent], bytes]
    of_object: Callable[[dict[str, Any]], bytes]
    of_time: Callable[[int], Any]
    """A time in ns, for of_object."""
    decode: Callable[[str | bytes], Any]


def _join_json(parts: Sequence[bytes]) -> bytes:
    return b"[" + b",".join(parts) + b"]"


def _join_packed(parts: Sequence[bytes]) -> bytes:
    return bytes(msgpack.Packer().pack_array_header(len(parts))) + b"".join(parts)


def _pack(value: dict[str, Any]) -> bytes:
    packed: bytes = msgpack.packb(value, default=float)
    return packed


def _unpack(data: str | bytes) -> Any:
    # some clients speak JSON in text frames although they asked for msgpack
    return decode_json(data) if isinstance(data, str) else decode_packed(data)


JSON: Final = Encoding("json", TEXT, _join_json, json_of, _ENCODER.encode, rfc3339, decode_json)
MSGPACK: Final = Encoding("msgpack", BINARY, _join_packed, packed_of, _pack, msgpack.Timestamp.from_unix_nano, _unpack)

Subscription = frozenset[tuple[str, str]]
"""(channel, symbol or "*") pairs."""
_PAIRS: Final[dict[tuple[str, str], tuple[str, str]]] = {}
"""Those that have been asked for and exist: a hundred thousand clients share them."""


@dataclass
class Reply:
    """What to send now: encoded messages for one array; `close` ends the connection after them."""

    parts: list[bytes] = field(default_factory=list)
    close: bool = False


@dataclass(slots=True)
class MarketClient:
    """One connection's state. `authenticated` is True from the start on the public path."""

    encoding: Encoding
    authenticated: bool = False
    wanted: Subscription = frozenset()
    _confirmation: bytes | None = None
    """Encoded; None: to be written anew."""

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
        except ValueError:
            return None
        return message if isinstance(message, dict) else None

    def subscribe(self, message: dict[str, Any], view: MarketView) -> Reply:
        """Take `subscribe`: confirm, say what does not exist, then what the client missed (`resume`), then whole books that are new to it."""
        asked, resume = _pairs(message), message.get("resume", {})
        if asked is None or not _is_resume(resume):
            return self.error(SYNTAX)
        added = frozenset(_PAIRS.setdefault(pair, pair) for pair in asked if pair[1] == "*" or pair[1] in view.symbols)
        if len(self.wanted | added) > SUBSCRIPTIONS_MAX:
            return self.error(SYMBOL_LIMIT)
        new = added - self.wanted
        self._want(self.wanted | added)
        reply = self._confirm_subscription()
        if unknown := {symbol for _, symbol in asked - added}:
            reply.parts += self.error((SYNTAX[0], f"{SYNTAX[1]}: unknown symbol {_listed(unknown)}")).parts
        if absent := _absent(message):
            reply.parts += self.error((INVALID_SUBSCRIPTION[0], f"{INVALID_SUBSCRIPTION[1]}: {_listed(absent)}")).parts
        reply.parts += self._missed(resume, view)
        reply.parts += self._books({symbol for channel, symbol in new if channel == "orderbooks"}, view)
        reply.parts += self._standing(new, view)
        return reply

    def unsubscribe(self, message: dict[str, Any]) -> Reply:
        """Take `unsubscribe`; names that were not subscribed are ignored."""
        removed = _pairs(message)
        if removed is None:
            return self.error(SYNTAX)
        self._want(self.wanted - removed)
        return self._confirm_subscription()

    def _want(self, wanted: Subscription) -> None:
        if wanted != self.wanted:
            self.wanted, self._confirmation = wanted, None

    def _confirm_subscription(self) -> Reply:
        if self._confirmation is None:
            lists: dict[str, list[str]] = {channel: [] for channel in CHANNELS}
            for channel, symbol in sorted(self.wanted - {HEARTBEATS}):
                lists[channel].append(symbol)
            for channel in _WITH_TRADES:
                lists[channel] = lists["trades"]
            beats = {"heartbeats": True} if HEARTBEATS in self.wanted else {}
            self._confirmation = self._control("subscription", **lists, **beats)
        return Reply([self._confirmation])

    def _missed(self, resume: dict[str, int], view: MarketView) -> list[bytes]:
        """What came behind the given sequences, RESUMED_TRADES_MAX trades at most, the newest of each symbol."""
        parts: list[bytes] = []
        left = RESUMED_TRADES_MAX
        for symbol, seq in resume.items():
            known = view.symbols.get(symbol)
            if known is None or not ({("trades", symbol), ("trades", "*")} & self.wanted):
                continue
            kept, missing = known.trades_after(seq, left)
            left -= len(kept)
            if missing:
                parts.append(self._control("gap", S=symbol, after=seq, missing=missing))
            missed: list[MarketEvent] = [*kept, *known.busts]
            parts += [self.encoding.of_event(event) for event in missed]
        return parts

    def _books(self, symbols: set[str], view: MarketView) -> list[bytes]:
        names = view.symbols if "*" in symbols else symbols
        return [self.encoding.of_event(view.symbols[name].shared_book()) for name in sorted(names)]

    def _standing(self, new: Subscription, view: MarketView) -> list[bytes]:
        """What holds now in the channels that speak only when something changes."""
        parts: list[bytes] = []
        for channel, now_of in _STANDING.items():
            symbols = {symbol for of, symbol in new if of == channel}
            told = (now_of(view.symbols[name]) for name in (view.symbols if "*" in symbols else sorted(symbols)))
            parts += [self.encoding.of_event(event) for event in told if event is not None]
        return parts

    def _control(self, kind: str, **fields: Any) -> bytes:
        return self.encoding.of_object({"T": kind, **fields})


def _pairs(message: dict[str, Any]) -> Subscription | None:
    """The pairs a message names in our channels; None where a channel's value is not a list of names, or `heartbeats` neither true nor false."""
    beats = message.get("heartbeats", False)
    if not isinstance(beats, bool):
        return None
    pairs: set[tuple[str, str]] = {HEARTBEATS} if beats else set()
    for channel in (*CHANNELS, *_WITH_TRADES):
        symbols = message.get(channel, [])
        if not isinstance(symbols, list) or not all(isinstance(symbol, str) for symbol in symbols):
            return None
        if channel in CHANNELS:
            pairs.update((channel, symbol) for symbol in symbols)
    return frozenset(pairs)


def _absent(message: dict[str, Any]) -> set[str]:
    """The channels a message names that do not exist here: every other field with a list in it."""
    lists = {name for name, value in message.items() if isinstance(name, str) and isinstance(value, list) and value}
    return lists.difference(CHANNELS, _WITH_TRADES)


def _listed(names: Iterable[str]) -> str:
    """The first few, shortened, and how many others."""
    first = sorted(names)
    more = len(first) - UNKNOWN_NAMES_TOLD
    text = ", ".join(name[:20] for name in first[:UNKNOWN_NAMES_TOLD])
    return f"{text} and {more} more" if more > 0 else text


def _is_resume(resume: Any) -> bool:
    if not isinstance(resume, dict):
        return False
    return all(isinstance(name, str) and isinstance(seq, int) and not isinstance(seq, bool) and seq >= 0 for name, seq in resume.items())
