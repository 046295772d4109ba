"""Channels of the market that somebody has subscribed to: what they tell, what they begin with, and what comes behind a place. No I/O.

Rules
* Each push has `seq`, and `prev`: the `seq` of the push before it in the same channel. A snapshot has no `prev`: it stands for all before it.
* A channel is of one encoding. It is a topic of the fan-out: its pushes are made when the fan-out flushes, once, and shared by all who have it. So
  `last` is always what everybody has been sent, and a snapshot tells the channel as of `last`, not as the market is.
* `after` answers with everything behind a place, or with None: then a snapshot is due. Never with a part.
"""

from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, Final

from edge.fanout.topics import Topic
from edge.gateway.market.events import MarketEvent
from edge.gateway.market.view import SymbolView
from edge.native.channels.books import BookNow, book_fields, changes
from edge.native.channels.market_told import fields_of
from edge.native.channels.names import STREAMS, ChannelName
from edge.native.wire.encodings import Encoding
from schemas.enums import MarketDataKind

ITEMS_SHOWN: Final = 50
"""The newest of a stream, with which it begins."""
Told = tuple[Any, int]
"""What a push tells, and its `prev`."""


class MarketChannel:
    """One that follows an instrument. `last`: the `seq` of what was told last; `key`: its kind and symbol."""

    def __init__(self, name: ChannelName, encoding: Encoding, last: int) -> None:
        self.name, self.last = name.text, last
        self.key, self.cadence_ms = (name.kind, name.symbol), name.cadence_ms
        self.encoding = encoding
        is_stream = name.kind in STREAMS
        self.topic = Topic(self.write, None if is_stream else _same, None if is_stream else self._newest)

    def write(self, events: Sequence[MarketEvent]) -> bytes:
        """The pushes that tell the events, as ready frames."""
        raise NotImplementedError

    def snapshot(self) -> dict[str, Any]:
        """The push that tells what the channel stands at, as of `last`."""
        raise NotImplementedError

    def after(self, seq: int) -> list[Told] | None:
        """What comes behind a place, or None if it is not all there. Of a channel of prices: nothing, or None."""
        return [] if seq == self.last else None

    def push_of(self, told: Told) -> dict[str, Any]:
        """One of `after`."""
        raise NotImplementedError

    def _newest(self) -> bytes:
        return self.encoding.frame(self.snapshot())

    def _push(self, fields: dict[str, Any], seq: int) -> bytes:
        """Tell everybody."""
        prev, self.last = self.last, seq
        return self.encoding.frame({"ch": self.name, "seq": seq, "prev": prev} | fields)

    def _whole(self, fields: dict[str, Any]) -> dict[str, Any]:
        return {"ch": self.name, "seq": self.last, "prev": None, "snapshot": True} | fields


def _same(_event: MarketEvent) -> int:
    """Of prices, the newest event of a flush stands for all before it."""
    return 0


_RINGS: Final[dict[str, tuple[MarketDataKind, Callable[[SymbolView], deque[Any]]]]] = {
    "trades": (MarketDataKind.TRADE, lambda view: view.trades),
    "busts": (MarketDataKind.TRADE_BUST, lambda view: view.busts),
    "bars": (MarketDataKind.BAR, lambda view: view.bars),
}
_NEWEST: Final[dict[str, tuple[MarketDataKind, Callable[[SymbolView], MarketEvent | None]]]] = {
    "quotes": (MarketDataKind.QUOTE, lambda view: view.quote),
    "status": (MarketDataKind.STATUS, lambda view: view.status),
    "auction": (MarketDataKind.AUCTION, lambda view: view.auction),
    "bands": (MarketDataKind.BAND, lambda view: view.bands),
}


class StreamChannel(MarketChannel):
    """Trades, busts or bars: the log's own dense sequence, and a ring of what was."""

    def __init__(self, name: ChannelName, encoding: Encoding, view: SymbolView) -> None:
        number, ring_of = _RINGS[name.kind]
        super().__init__(name, encoding, view.seqs.get(number, 0))
        self._ring = ring_of(view)

    def write(self, events: Sequence[MarketEvent]) -> bytes:
        """Each of them."""
        return b"".join(self._push(fields_of(event), event.seq) for event in events)

    def snapshot(self) -> dict[str, Any]:
        """The newest of the ring."""
        return self._whole({"items": [{"seq": one.seq} | fields_of(one) for one in self._told(ITEMS_SHOWN)]})

    def after(self, seq: int) -> list[Told] | None:
        """From the ring, if it reaches so far back and the log itself has no gap there."""
        missed = self.last - seq
        found = self._told(missed) if missed >= 0 else None
        if found is None or [one.seq for one in found] != list(range(seq + 1, self.last + 1)):
            return None
        return [(event, event.seq - 1) for event in found]

    def push_of(self, told: Told) -> dict[str, Any]:
        """As it was told."""
        event, prev = told
        return {"ch": self.name, "seq": event.seq, "prev": prev} | fields_of(event)

    def _told(self, most: int) -> list[MarketEvent]:
        """The newest of the ring, the oldest of them first; not those that come with the next flush."""
        found: list[MarketEvent] = []
        for event in reversed(self._ring):
            if len(found) == most:
                break
            if event.seq <= self.last:
                found.append(event)
        return found[::-1]


class NewestChannel(MarketChannel):
    """Quotes, status, auction or bands: the newest counts."""

    def __init__(self, name: ChannelName, encoding: Encoding, view: SymbolView) -> None:
        number, newest_of = _NEWEST[name.kind]
        super().__init__(name, encoding, view.seqs.get(number, 0))
        self._event = newest_of(view)

    def write(self, events: Sequence[MarketEvent]) -> bytes:
        """The newest."""
        self._event = events[-1]
        return self._push(fields_of(self._event), self._event.seq)

    def snapshot(self) -> dict[str, Any]:
        """What was told last; only its place where there is nothing."""
        return self._whole(fields_of(self._event) if self._event is not None else {})


class BookChannel(MarketChannel):
    """The best levels of a book."""

    def __init__(self, name: ChannelName, encoding: Encoding, now: BookNow) -> None:
        super().__init__(name, encoding, now.seq)
        self._now, self._depth = now, name.depth
        self._told, self._at = now.best(name.depth), now.view.last_at
        self._whole_book: bytes | None = None

    def write(self, events: Sequence[MarketEvent]) -> bytes:
        """What of the best levels is otherwise than was told; nothing where only others have changed."""
        self._at = events[-1].at
        whole = self._now.best(self._depth)
        bids, asks = changes(self._told[0], whole[0]), changes(self._told[1], whole[1])
        if not bids and not asks:
            return b""
        self._told, self._whole_book = whole, None
        return self._push({"ts": self._at // 1_000} | book_fields(bids, asks, whole, self._now.view.instrument), self._now.seq)

    def snapshot(self) -> dict[str, Any]:
        """All of the best levels."""
        return self._whole({"ts": self._at // 1_000} | book_fields(*self._told, self._told, self._now.view.instrument))

    def _newest(self) -> bytes:
        """Made once for all who begin, or begin again, between two changes."""
        if self._whole_book is None:
            self._whole_book = super()._newest()
        return self._whole_book


def market_channel(name: ChannelName, encoding: Encoding, view: SymbolView, book: BookNow) -> MarketChannel:
    """The channel of this name."""
    if name.kind == "book":
        return BookChannel(name, encoding, book)
    return StreamChannel(name, encoding, view) if name.kind in STREAMS else NewestChannel(name, encoding, view)
