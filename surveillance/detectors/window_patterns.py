"""What detectors share that look at an owner's sums over some minutes, whenever a bucket of 30 s ends (surveillance.activity)."""

from abc import abstractmethod
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from typing import ClassVar, Final

from schemas.enums import Side
from schemas.instruments import Instrument
from surveillance.activity import MADE_QTY, TAKEN_QTY, Counters
from surveillance.contract import Detector, Evidence, Finding, Measure, trade_evidence
from surveillance.market import Book, Market, Trade
from surveillance.orders import OrderTracker

Steps = Callable[[Instrument], tuple[str, ...]]
EVIDENCE_MAX: Final = 24
SIDES: Final = ((0, int(Side.BUY), 1), (1, int(Side.SELL), -1))
"""(place in the counters, side, sign of a price move in its favour)."""


class WindowPattern(Detector):
    """Judges every owner of a window. The windows are the market's; its own state is what it has said.

    A window looks back over the same minutes many times. So what was found is said again only once its first measure is half as large again.
    """

    buckets: ClassVar[int]
    """Length of the window."""

    def __init__(self, tracker: OrderTracker, market: Market) -> None:
        super().__init__(tracker, market)
        self._said: dict[tuple[int, int, int], int] = {}  # (instrument, owner, side) -> first measure

    @abstractmethod
    def judge(self, book: Book, owner: int, sums: Counters, volume: int) -> Iterable[Finding]:
        """Findings about an owner, at most one a side. volume: lots taken by all in the window."""

    def bucket_closed(self, book: Book, now: int) -> Sequence[Finding]:
        """By ascending owner, so that the order does not depend on who came first."""
        sums = book.windows.sums[self.buckets]
        volume = sum(one[TAKEN_QTY] + one[TAKEN_QTY + 1] for one in sums.values())
        found = [finding for owner in sorted(sums) for finding in self.judge(book, owner, sums[owner], volume)]
        keys = {(one.instrument, one.account, one.side) for one in found}
        for key in [key for key in self._said if key[0] == book.instrument and key not in keys]:
            del self._said[key]
        return [one for one in found if self._is_news(one)]

    def _is_news(self, finding: Finding) -> bool:
        key, value = (finding.instrument, finding.account, finding.side), finding.measures[0].value
        if value * 2 <= self._said.get(key, -1) * 3:
            return False
        self._said[key] = value
        return True

    def state(self) -> object:
        """What was said."""
        return [[*key, value] for key, value in self._said.items()]

    def load(self, state: list[list[int]]) -> None:
        """The opposite."""
        self._said = {(instrument, owner, side): value for instrument, owner, side, value in state}

    def found(self, book: Book, owner: int, side: int, score: int, steps: Steps, measures: tuple[Measure, ...]) -> Finding | None:
        """A finding with the owner's newest trades as evidence; None if none of them is known any more."""
        trades = newest_trades(book, owner)
        if not trades:
            return None
        first = trades[0]
        return Finding(
            self.name.upper(), book.instrument, owner, side, (book.instrument, owner, side, first[0].trd_match_id), score, first[0].time,
            steps, tuple(view for _, view in trades), measures,
        )  # fmt: skip


def newest_trades(book: Book, owner: int) -> list[tuple[Trade, Evidence]]:
    """An owner's newest trades, oldest first, each as it took part in it. Some, however many others have traded since."""
    newest = list(_newest(book, owner))[::-1]
    kept = list(book.newest.get(owner, ()))
    return [seen_by(owner, trade) for trade in (newest if len(newest) >= len(kept) else kept)]


def _newest(book: Book, owner: int) -> Iterator[Trade]:
    return islice((trade for trade in reversed(book.trades) if owner in (trade.owner, trade.contra_owner)), EVIDENCE_MAX)


def seen_by(owner: int, trade: Trade) -> tuple[Trade, Evidence]:
    """A trade, and as the owner took part in it."""
    maker = trade.owner != owner
    return trade, trade_evidence("MAKER" if maker else "TAKER", trade, maker=maker)


def traded(sums: Counters, at: int) -> int:
    """Lots that an owner bought (at = 0) or sold (1)."""
    return sums[TAKEN_QTY + at] + sums[MADE_QTY + at]
