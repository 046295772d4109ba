"""Every native connection of one edge process: who has which channel, and what everybody is told. `edge.fanout` writes it."""

import asyncio
import random
import time
from typing import Final, Protocol

from edge.fanout.connection import Connection
from edge.fanout.conversations import Voice
from edge.fanout.fan_out import FanOut
from edge.gateway.gateway import Gateway
from edge.gateway.market.events import MarketEvent
from edge.http.metrics import HttpMetrics
from edge.native.channels.account_streams import AccountStreams, Member, PrivateChannel
from edge.native.channels.books import BookNow
from edge.native.channels.cadences import Turns
from edge.native.channels.live import MarketChannel, market_channel
from edge.native.channels.market_told import kind_of
from edge.native.channels.names import ChannelName
from edge.native.limits import CADENCES, HEARTBEAT_S, RETRY_MS_MAX
from edge.native.wire.closing import Close, closing
from edge.native.wire.encodings import ENCODINGS, Encoding, Message

Channel = MarketChannel | PrivateChannel


class Talk(Member, Protocol):
    """A conversation, as the hub knows it."""

    encoding: Encoding
    out: Connection


class Hub:
    """Follows the market and the accounts."""

    def __init__(self, gateway: Gateway, fan_out: FanOut, metrics: HttpMetrics) -> None:
        self._gateway, self._fan_out = gateway, fan_out
        self._born = f"{time.time_ns():x}"
        self.talks: set[Talk] = set()
        self.accounts = AccountStreams(gateway.instruments)
        self._channels: dict[tuple[str, str], MarketChannel] = {}
        """By encoding and name; those with subscribers."""
        self._followers: dict[tuple[str, str], list[MarketChannel]] = {}
        """By kind and symbol."""
        self._books: dict[str, BookNow] = {}
        self._turns = {cadence_ms: Turns(cadence_ms, self._publish) for cadence_ms in CADENCES.values() if cadence_ms}
        self._hurried: list[Connection] = []
        self._heartbeat = Message({"event": "heartbeat", "ts": 0})
        self.resumed = self.not_resumed = 0
        on_slow = metrics.slow.labels("native").inc
        self._voices: Final = {
            one.name: Voice(one.opcode, one.encode(closing(Close.SLOW)), on_slow, Close.SLOW, Close.SHUTDOWN) for one in ENCODINGS
        }

    def epoch(self, kind: str) -> str:
        """Of channels of this kind: which log they tell. A client that comes with another one gets a snapshot.

        Books are of this process: after a start, levels that have not changed for MARKET_DATA_REPLAY_MS are not known.
        """
        return f"{self._gateway.log_id}.{self._born}" if kind == "book" else self._gateway.log_id

    def voice(self, encoding: Encoding) -> Voice:
        """Of all connections of the encoding."""
        return self._voices[encoding.name]

    # ---- channels

    def join(self, talk: Talk, name: ChannelName) -> MarketChannel:
        """A channel of the market, from now on; made if there is none. What is told already, others get before this."""
        key = talk.encoding.name, name.text
        channel = self._channels.get(key)
        if channel is None:
            view = self._gateway.market.symbols[name.symbol]
            book = self._books.setdefault(name.symbol, BookNow(view))
            channel = self._channels[key] = market_channel(name, talk.encoding, view, book)
            self._followers.setdefault(channel.key, []).append(channel)
        self._fan_out.subscribe(channel.topic, talk.out)
        return channel

    def leave(self, talk: Talk, channel: Channel) -> None:
        """Not any more. Channels of the market that nobody has are forgotten."""
        if isinstance(channel, PrivateChannel):
            channel.members.discard(talk)
            return
        self._fan_out.unsubscribe(channel.topic, talk.out)
        if not channel.topic.subscribers and self._channels.pop((channel.encoding.name, channel.name), None) is not None:
            followers = self._followers[channel.key]
            followers.remove(channel)
            if not followers:
                del self._followers[channel.key]
            for turns in self._turns.values():
                turns.forget(channel)

    def publish(self, events: list[MarketEvent]) -> None:
        """One frame of market data."""
        for event in events:
            for channel in self._followers.get((kind_of(event), event.symbol), ()):
                if channel.cadence_ms:
                    self._turns[channel.cadence_ms].add(channel, event)
                else:
                    self._publish(channel, event)

    def _publish(self, channel: MarketChannel, event: MarketEvent) -> None:
        self._fan_out.publish(channel.topic, event)

    def hurry(self, out: Connection, frame: bytes) -> None:
        """What must not wait for the next flush: written when this turn of the loop is over, in one piece with all others of the turn."""
        out.tell_nowait(frame)
        if not self._hurried:
            asyncio.get_running_loop().call_soon(self._write_hurried)
        self._hurried.append(out)

    def _write_hurried(self) -> None:
        hurried, self._hurried = self._hurried, []
        for out in hurried:
            out.write_pending()

    # ---- connections

    def begin(self, talk: Talk) -> None:
        """It has begun."""
        self.talks.add(talk)
        self._fan_out.after(HEARTBEAT_S, lambda: self._beat(talk))

    def end(self, talk: Talk) -> None:
        """It is over."""
        self.talks.discard(talk)

    def _beat(self, talk: Talk) -> None:
        if talk in self.talks:
            now = time.time_ns() // 1_000
            if now - self._heartbeat.body["ts"] > 50_000:
                self._heartbeat = Message({"event": "heartbeat", "ts": now})
            talk.out.tell_nowait(self._heartbeat.frame(talk.encoding))
            self._fan_out.after(HEARTBEAT_S, lambda: self._beat(talk))

    def announce_shutdown(self) -> None:
        """Tell everybody that the process ends, and each when to come back: not all at once."""
        for talk in self.talks:
            after_ms = random.randrange(RETRY_MS_MAX)  # noqa: S311 - spreads the load, protects nothing
            talk.out.send_frame_nowait(talk.encoding.frame({"event": "serverShutdown", "reconnect_after_ms": after_ms}))
