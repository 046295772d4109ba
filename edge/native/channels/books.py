"""Books as channels tell them: a snapshot, then absolute sizes of what has changed in the best levels, and a checksum. No I/O."""

from dataclasses import dataclass, field
from heapq import nlargest, nsmallest
from typing import Any, Final
from zlib import crc32

from edge.gateway.market.view import SymbolView
from schemas.enums import MarketDataKind, Side
from schemas.instruments import Instrument

CHECKSUM_LEVELS: Final = 10
_SORT_FROM: Final = 100
"""Levels from which sorting all costs less than choosing."""
Levels = tuple[tuple[int, int], ...]
"""(price in ticks, quantity in lots), the best first."""


def checksum(bids: Levels, asks: Levels, one: Instrument) -> int:
    """Kraken's rule: asks low to high, then bids high to low, ten of each; price and quantity as texts without the point and leading zeros."""
    return crc32("".join(_digits(one, asks) + _digits(one, bids)).encode())


def _digits(one: Instrument, levels: Levels) -> list[str]:
    return [
        text.replace(".", "").lstrip("0") for price, qty in levels[:CHECKSUM_LEVELS] for text in (one.price_text(price), one.qty_text(qty))
    ]


@dataclass
class BookNow:
    """The book of one instrument as it is now, sorted once for all channels that look at it in the meantime."""

    view: SymbolView
    _seq: int = -1
    _sorted: dict[int, tuple[Levels, Levels]] = field(default_factory=dict)

    @property
    def seq(self) -> int:
        """Of the newest change."""
        return self.view.seqs.get(MarketDataKind.LEVEL, 0)

    def best(self, depth: int) -> tuple[Levels, Levels]:
        """(bids, asks)."""
        if self._seq != self.seq:
            self._seq, self._sorted = self.seq, {}
        found = self._sorted.get(depth)
        if found is None:
            bids, asks = self.view.levels[Side.BUY], self.view.levels[Side.SELL]
            found = self._sorted[depth] = _best(bids, depth, highest=True), _best(asks, depth, highest=False)
        return found


def _best(levels: dict[int, tuple[int, int]], depth: int, *, highest: bool) -> Levels:
    if depth >= _SORT_FROM or depth * 4 >= len(levels):
        prices = sorted(levels, reverse=highest)[:depth]
    else:
        prices = nlargest(depth, levels) if highest else nsmallest(depth, levels)
    return tuple((price, levels[price][0]) for price in prices)


def changes(before: Levels, now: Levels) -> Levels:
    """What makes the one of the other: new sizes, and 0 for a level that is gone or is no longer among the best."""
    if before == now:
        return ()
    old, new = dict(before), dict(now)
    changed = tuple((price, qty) for price, qty in now if old.get(price) != qty)
    return changed + tuple((price, 0) for price in old if price not in new)


def written(levels: Levels, one: Instrument) -> list[list[str]]:
    """As the field `b` or `a`."""
    return [[one.price_text(price), one.qty_text(qty)] for price, qty in levels]


def book_fields(bids: Levels, asks: Levels, whole: tuple[Levels, Levels], one: Instrument) -> dict[str, Any]:
    """Fields of a push: levels to set, and the checksum of the book that results."""
    return {"cs": checksum(*whole, one), "b": written(bids, one), "a": written(asks, one)}
