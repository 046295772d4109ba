"""Marking the close, or the open: aggressive trading of one owner just then, large for the market, that moves the price by which others are paid.

Commodity Exchange Act 4c(a)(5)(B); MAR Annex I.A(g); Securities Exchange Act 9(a)(2). The windows are the last 2 s (Athena: more than 70 % of the volume),
10 s and 60 s before continuous trading ends, and the first 60 s after it began. Whether the owner gains by the price (holdings, auction
orders) is not known to the book shard: the alert says what was seen, and an analyst looks at positions.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import isqrt
from typing import Any, ClassVar, Final

from schemas.enums import Phase, Side
from schemas.instruments import Instrument
from surveillance.activity import BUCKET_NS
from surveillance.contract import Detector, Finding, Measure, trade_evidence
from surveillance.market import Book, Market, Trade
from surveillance.orders import OrderTracker
from surveillance.wording import VERBS, counted, seconds

SECOND_NS: Final = 1_000_000_000
OPENING_NS: Final = 60 * SECOND_NS
CLOSING_NS: Final = (2 * SECOND_NS, 10 * SECOND_NS, 60 * SECOND_NS)
_ENDS: Final = (Phase.CLOSING_AUCTION, Phase.POST_CLOSE, Phase.CLOSED)


@dataclass(frozen=True)
class MarkingTheCloseParameters:
    """When trading at the close or open marks it. Every bound is inclusive."""

    share_percent_min: int = 40
    """Of the window's aggressive volume, on one side; of the usual volume of such a time if that is less, as others join a market that runs."""
    share_of_all_percent_min: int = 20
    """Of the window's aggressive volume at any rate."""
    one_sided_percent_min: int = 80
    """Of the owner's own aggressive volume in the window, on that side."""
    size_min: int = 10
    """The owner's lots in the window : usual trade."""
    move_permille_min: int = 2_000
    """Price move in the owner's direction : the mean move of the day for a window of this length; in 1/1000."""
    ticks_min: int = 2
    """Price move, ticks."""
    orders_min: int = 3
    """Aggressive orders of the owner. One large order that goes through the book is a wish."""
    evidence_max: int = 32
    """Trades that are kept as evidence."""


class MarkingTheCloseDetector(Detector):
    """Looks at the last trades of a book when its continuous trading ends, and a minute after it began."""

    name: ClassVar[str] = "marking_the_close"
    version: ClassVar[int] = 2
    rule_refs: ClassVar[tuple[str, ...]] = ("CEA 4c(a)(5)(B)", "SEA 9(a)(2)", "MAR Annex I.A(g)")

    def __init__(self, tracker: OrderTracker, market: Market, parameters: MarkingTheCloseParameters | None = None) -> None:
        super().__init__(tracker, market)
        self.parameters = parameters or MarkingTheCloseParameters()
        self._opened: dict[int, int] = {}  # instrument -> when its continuous trading began, until that is looked at

    def phase_changed(self, book: Book, before: int, now: int) -> Sequence[Finding]:
        """Continuous trading begins or ends."""
        if book.phase == Phase.CONTINUOUS and before in (Phase.CLOSED, Phase.PRE_OPEN, Phase.OPENING_AUCTION):
            self._opened[book.instrument] = now
        if before != Phase.CONTINUOUS or book.phase not in _ENDS:
            return ()
        self._opened.pop(book.instrument, None)
        for window in CLOSING_NS:
            trades = [one for one in book.trades if one.time > now - window and not one.uncross]
            if found := self._look(book, trades, window, "end", now):
                return found
        return ()

    def advance(self, now: int) -> Sequence[Finding]:
        """A minute after an opening."""
        if not self._opened:
            return ()
        found: list[Finding] = []
        for instrument, opened_at in list(self._opened.items()):
            if now > opened_at + OPENING_NS:
                del self._opened[instrument]
                book = self.market.book(instrument)
                trades = [one for one in book.trades if opened_at <= one.time <= opened_at + OPENING_NS and not one.uncross]
                found += self._look(book, trades, OPENING_NS, "beginning", now)
        return found

    def _look(self, book: Book, trades: Sequence[Trade], window: int, which: str, now: int) -> list[Finding]:
        if len(trades) < self.parameters.orders_min:
            return []
        taken: dict[tuple[int, int], int] = {}
        for one in trades:
            taken[one.owner, one.side] = taken.get((one.owner, one.side), 0) + one.qty
        volume, usual_volume = sum(taken.values()), book.windows.usual_taken(window)
        expected = min(volume, usual_volume or volume)
        first_px = self._price_before(book, trades[0])
        usual_move = book.move_per_bucket() * isqrt(window * 1_000_000 // BUCKET_NS) // 1000  # grows with the root of time; 1/1000 tick
        found = []
        for (owner, side), qty in sorted(taken.items()):
            own = qty + taken.get((owner, int(Side.BUY) + int(Side.SELL) - side), 0)
            mine = [one for one in trades if one.owner == owner and one.side == side]
            move = (mine[-1].price - first_px) * (1 if side == Side.BUY else -1)
            rules = self.parameters
            if (
                qty * 100 >= expected * rules.share_percent_min
                and qty * 100 >= volume * rules.share_of_all_percent_min
                and qty * 100 >= own * rules.one_sided_percent_min
                and qty >= rules.size_min * max(book.trade_qty, 1)
                and len({one.order_id for one in mine}) >= rules.orders_min
                and move >= rules.ticks_min
                and move * 1_000_000 >= usual_move * rules.move_permille_min
            ):
                found.append(self._finding(book, mine, (volume, expected, qty, move, usual_move), (window, which), now))
        return found

    def _price_before(self, book: Book, first: Trade) -> int:
        """The last price before a trade; its own if nothing is known before it."""
        before = first.price
        for one in book.trades:
            if one.trd_match_id == first.trd_match_id:
                break
            before = one.price
        return before

    def _finding(self, book: Book, mine: list[Trade], seen: tuple[int, int, int, int, int], when: tuple[int, str], now: int) -> Finding:
        rules, (volume, expected, qty, move, usual_move), (window, which) = self.parameters, seen, when
        owner, side = mine[0].owner, mine[0].side
        share = qty * 100 // volume

        def steps(names: Instrument) -> tuple[str, ...]:
            return (
                f"In the {seconds(window)} at the {which} of continuous trading account {owner} {VERBS[side][1]} {names.qty_text(qty)} "
                f"{names.symbol} aggressively in {counted(len(mine), 'trade')}: {share} % of all that was taken.",
                f"The price moved {counted(move, 'tick')} its way, to {names.price_text(mine[-1].price)}; usual for such a time are "
                f"{usual_move // 1000}.{usual_move % 1000:03d} ticks.",
                "Look for holdings or auction orders that gain by this price: compare section 4c(a)(5)(B) of the Commodity Exchange Act.",
            )

        return Finding(
            "MARKING_THE_CLOSE", book.instrument, owner, side, (book.instrument, owner, mine[0].trd_match_id),
            min(950, 400 + 5 * share + min(100, 10 * move)), mine[0].time, steps,
            tuple(trade_evidence("TAKER", one) for one in mine[-rules.evidence_max :]),
            (
                Measure("share of the volume", share, rules.share_of_all_percent_min, "percent"),
                Measure("share of the usual volume", qty * 100 // max(expected, 1), rules.share_percent_min, "percent"),
                Measure("size to usual trade", qty // max(book.trade_qty, 1), rules.size_min, "times"),
                Measure("price move", move, max(rules.ticks_min, -(-usual_move * rules.move_permille_min // 1_000_000)), "ticks"),
                Measure("aggressive orders", len({one.order_id for one in mine}), rules.orders_min),
            ),
        )  # fmt: skip

    def state(self) -> Any:
        """When books opened."""
        return list(self._opened.items())

    def load(self, state: Any) -> None:
        """The opposite."""
        self._opened = dict(state)
