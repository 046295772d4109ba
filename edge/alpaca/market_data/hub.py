"""Who wants which channel of which symbol, as topics of the fan-out: one for each channel, symbol and encoding.

Within a flush tick a symbol's newer quote replaces an older one. A client that is behind gets, when it has caught up, the newest quote of each
symbol and the whole book instead of every change. Trades, busts, bars, statuses and bands are never left out.

Heartbeats are a topic too. They say when they were made and whether this edge hears the market now: one that does not still tells its clients so.
"""

import time
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Final

from aiohttp import web

from edge.alpaca.limits import HEARTBEAT_EVERY_S, MESSAGES_PER_ARRAY_MAX
from edge.alpaca.market_data import subscriptions as protocol
from edge.alpaca.market_data.messages import channel_of
from edge.alpaca.market_data.subscriptions import Encoding, MarketClient, Subscription
from edge.fanout.connection import Connection
from edge.fanout.conversations import Voice
from edge.fanout.fan_out import FanOut
from edge.fanout.frames import ready_frame
from edge.fanout.topics import Topic
from edge.gateway.market.events import MarketEvent
from edge.gateway.market.view import MarketView, SymbolView
from edge.http.metrics import HttpMetrics

_NEWEST: Final[dict[str, Callable[[SymbolView], MarketEvent | None]]] = {
    "quotes": lambda known: known.quote,
    "orderbooks": SymbolView.shared_book,
    "imbalances": lambda known: known.auction,
    "dailyBars": SymbolView.daily_bar,
}
"""What holds now in the channels that tell prices: good enough for a client that is behind."""
_REPLACED: Final = frozenset(_NEWEST) - {"orderbooks"}
"""Where an event says all that the one before it said; of a book it says only what has changed."""
_ENCODINGS: Final = (protocol.JSON, protocol.MSGPACK)


class MarketHub:
    """Every market-data connection, by what they want."""

    def __init__(self, view: MarketView, fan_out: FanOut, metrics: HttpMetrics, is_live: Callable[[], bool]) -> None:
        """is_live: whether the view has what the log has."""
        self.view = view
        self._is_live = is_live
        self._fan_out = fan_out
        self._topics: dict[tuple[str, str, str], Topic] = {}
        """By encoding, channel and symbol or "*"; those with subscribers."""
        self._places: dict[Connection, tuple[Encoding, Subscription]] = {}
        """What each socket gets: where it is taken out of, whatever its client has become meanwhile."""
        on_slow = metrics.slow.labels("market_data").inc
        self._voices = {
            one.name: Voice(one.opcode, one.join(MarketClient(one).error(protocol.SLOW_CLIENT).parts), on_slow) for one in _ENCODINGS
        }

    def voice(self, encoding: Encoding) -> Voice:
        """Of all connections of the encoding."""
        return self._voices[encoding.name]

    def publish(self, events: list[MarketEvent]) -> None:
        """Tell one frame's events to whoever wants them, with the next flush."""
        for event in events:
            channel = channel_of(event)
            for encoding in _ENCODINGS:
                for name in (event.symbol, "*"):
                    topic = self._topics.get((encoding.name, channel, name))
                    if topic is not None:
                        self._fan_out.publish(topic, event)

    def place(self, socket: Connection, encoding: Encoding, wanted: Subscription) -> None:
        """The client wants this from now on, and nothing else; an empty subscription: no more messages to the socket."""
        _, before = self._places.pop(socket, (encoding, frozenset()))
        old, new = _told(before), _told(wanted)
        for pair in old - new:
            self._leave(socket, encoding, pair)
        for pair in new - old:
            self._fan_out.subscribe(self._topic(encoding, pair), socket)
        if wanted:
            self._places[socket] = encoding, wanted

    def _leave(self, socket: Connection, encoding: Encoding, pair: tuple[str, str]) -> None:
        key = encoding.name, *pair
        topic = self._topics[key]
        self._fan_out.unsubscribe(topic, socket)
        if not topic.subscribers:
            del self._topics[key]

    def _topic(self, encoding: Encoding, pair: tuple[str, str]) -> Topic:
        key = encoding.name, *pair
        topic = self._topics.get(key)
        if topic is None:
            topic = self._topics[key] = self._heartbeats(encoding) if pair == protocol.HEARTBEATS else self._new_topic(encoding, *pair)
        return topic

    def _heartbeats(self, encoding: Encoding) -> Topic:
        def frame(*_: object) -> bytes:
            beat = {"T": "heartbeat", "t": encoding.of_time(time.time_ns()), "live": self._is_live()}
            return _frames(encoding, [encoding.of_object(beat)])

        topic = Topic(frame, lambda _: None, frame)
        self._fan_out.after(HEARTBEAT_EVERY_S, partial(self._beat, encoding, topic))
        return topic

    def _beat(self, encoding: Encoding, topic: Topic) -> None:
        """As long as anybody listens."""
        if self._topics.get((encoding.name, *protocol.HEARTBEATS)) is topic:
            self._fan_out.publish(topic, "beat")
            self._fan_out.after(HEARTBEAT_EVERY_S, partial(self._beat, encoding, topic))

    def _new_topic(self, encoding: Encoding, channel: str, symbol: str) -> Topic:
        def frames(events: Iterable[MarketEvent]) -> bytes:
            return _frames(encoding, [encoding.of_event(event) for event in events])

        now_of = _NEWEST.get(channel)
        if now_of is None:
            return Topic(frames)

        def newest() -> bytes:
            names = self.view.symbols if symbol == "*" else (symbol,)
            told = (now_of(self.view.symbols[name]) for name in names)
            return frames(event for event in told if event is not None)

        return Topic(frames, (lambda event: event.symbol) if channel in _REPLACED else None, newest)

    @property
    def subscribed(self) -> int:
        """Sockets that want anything."""
        return len(self._places)


def _told(wanted: Subscription) -> Subscription:
    """Without the symbols of channels that are wanted whole: nothing is told twice."""
    whole = {channel for channel, symbol in wanted if symbol == "*"}
    return frozenset(pair for pair in wanted if pair[1] == "*" or pair[0] not in whole) if whole else wanted


def _frames(encoding: Encoding, parts: Sequence[bytes]) -> bytes:
    starts = range(0, len(parts), MESSAGES_PER_ARRAY_MAX)
    return b"".join(ready_frame(encoding.join(parts[start : start + MESSAGES_PER_ARRAY_MAX]), encoding.opcode) for start in starts)


HUB = web.AppKey("market_hub", MarketHub)
