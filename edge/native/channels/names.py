"""Names of channels: `book.AAPL.10.50ms`, `quotes.AAPL.1s`, `trades.AAPL`, `orders`. No I/O."""

from dataclasses import dataclass
from typing import Final

from edge.http.client_data import quoted
from edge.native.limits import CADENCES, DEPTHS
from edge.native.wire.problems import Problem
from schemas.instruments import InstrumentTable

PRIVATE: Final = frozenset({"orders", "account"})
STREAMS: Final = frozenset({"trades", "busts", "bars"})
"""Of the market, of which nothing is left out. Of the others a slow client, and one that comes back, gets the newest."""
CONFLATED: Final = frozenset({"quotes", "status", "auction", "bands"})
MARKET: Final = STREAMS | CONFLATED | {"book"}


@dataclass(frozen=True, slots=True)
class ChannelName:
    """A parsed name. depth: levels a side, of a book; cadence_ms: 0 for raw."""

    text: str
    kind: str
    symbol: str = ""
    depth: int = 0
    cadence_ms: int = 0


def parse_channel(text: object, instruments: InstrumentTable) -> ChannelName:
    """Raises Problem."""
    if not isinstance(text, str):
        raise _unknown(text)
    kind, _, rest = text.partition(".")
    if text in PRIVATE:
        return ChannelName(text, text)
    if kind not in MARKET:
        raise _unknown(text)
    depth, cadence = 0, "raw"
    if kind in ("book", "quotes"):
        rest, _, cadence = rest.rpartition(".")
        if cadence not in CADENCES:
            raise _unknown(text, f"its last part is a cadence: {', '.join(CADENCES)}")
    if kind == "book":
        rest, _, levels = rest.rpartition(".")
        if levels not in DEPTHS:
            raise _unknown(text, f"its third part is a depth: {', '.join(DEPTHS)}")
        depth = DEPTHS[levels]
    if rest not in instruments.by_symbol:
        raise _unknown(text, "its symbol is not known")
    return ChannelName(text, kind, rest, depth, CADENCES[cadence])


def _unknown(text: object, why: str = "") -> Problem:
    names = "book.SYMBOL.DEPTH.CADENCE, quotes.SYMBOL.CADENCE, trades, busts, bars, status, auction or bands with .SYMBOL, orders, account"
    return Problem("unknown_channel", f"{quoted(text)}: {why or names}", channel=str(text)[:80])
