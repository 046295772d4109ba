"""Matched orders: two parties enter opposite orders at about the same time, price and size, again and again, so that they meet one another.

Securities Exchange Act 9(a)(1); (EU) 2016/522 Annex II, section 1, 3(c). Two busy market makers meet often too. So a pair must meet in this way
far more often than the rest of its trading lets expect: if a and b made n and m of the T trades beside those with one another, chance would let
them meet n x m / 2T times.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from schemas.enums import Phase
from schemas.instruments import Instrument
from surveillance.contract import Detector, Finding, Measure, trade_evidence
from surveillance.market import Book, Market, Trade
from surveillance.orders import OrderTracker
from surveillance.wording import seconds

SECOND_NS = 1_000_000_000


@dataclass(frozen=True)
class MatchedOrdersParameters:
    """When two parties meet too often. Every bound is inclusive."""

    entered_within_ns: int = 2 * SECOND_NS
    """Between the entries of the two orders."""
    size_percent_max: int = 2
    """Difference of their sizes."""
    filled_percent_min: int = 90
    """Of the smaller order, by this trade: it was meant for the other one."""
    pairs_min: int = 5
    """Meetings of a day."""
    times_min: int = 8
    """Meetings : what chance lets expect."""
    pairs_max: int = 20_000
    """Pairs remembered, ~1 KB each; then the oldest is forgotten."""
    owners_max: int = 100_000
    """Owners whose trades are counted."""
    evidence_max: int = 16
    """Meetings of a pair that are kept as evidence."""


class MatchedOrdersDetector(Detector):
    """Pairs of owners, by instrument, from one CLOSED phase to the next."""

    name: ClassVar[str] = "matched_orders"
    rule_refs: ClassVar[tuple[str, ...]] = ("SEA 9(a)(1)", "FINRA 5210.02", "(EU) 2016/522 Annex II 1.3(c)")

    def __init__(self, tracker: OrderTracker, market: Market, parameters: MatchedOrdersParameters | None = None) -> None:
        super().__init__(tracker, market)
        self.parameters = parameters or MatchedOrdersParameters()
        self._pairs: dict[tuple[int, int, int], list[Trade]] = {}  # (instrument, lower, higher owner) -> newest meetings
        self._met: dict[tuple[int, int, int], list[int]] = {}  # -> [meetings, lots, trades of any kind with one another]
        self._trades: dict[tuple[int, int], int] = {}  # (instrument, owner) -> trades; owner -1: all

    def traded(self, trade: Trade) -> Sequence[Finding]:
        """Did two orders meet that were made for one another?"""
        a, b = sorted((trade.owner, trade.contra_owner))
        if a == b or trade.uncross:
            return ()
        instrument, counts = trade.instrument, self._trades
        for owner in (a, b, -1):
            key = (instrument, owner)
            if key in counts or len(counts) < self.parameters.owners_max:
                counts[key] = counts.get(key, 0) + 1
        pair = (instrument, a, b)
        met = self._met.get(pair)
        if met is not None:
            met[2] += 1
        if not self._are_matched(trade):
            return ()
        if met is None:
            self._make_room()
            met, self._pairs[pair] = self._met.setdefault(pair, [0, 0, 1]), []
        met[0] += 1
        met[1] += trade.qty
        meetings = self._pairs[pair]
        meetings.append(trade)
        del meetings[: -self.parameters.evidence_max]
        return self._judge(pair, met, meetings)

    def phase_changed(self, book: Book, before: int, now: int) -> Sequence[Finding]:
        """A day is over."""
        if book.phase == Phase.CLOSED:
            for pair in [pair for pair in self._met if pair[0] == book.instrument]:
                del self._met[pair], self._pairs[pair]
            for key in [key for key in self._trades if key[0] == book.instrument]:
                del self._trades[key]
        return ()

    def _are_matched(self, trade: Trade) -> bool:
        taker, maker = self.tracker.get(trade.order_id), self.tracker.get(trade.contra_order_id)
        rules: MatchedOrdersParameters = self.parameters
        if taker is None or maker is None or abs(taker.placed_at - maker.placed_at) > rules.entered_within_ns:
            return False
        smaller, larger = sorted((taker.order_qty, maker.order_qty))
        return (larger - smaller) * 100 <= larger * rules.size_percent_max and trade.qty * 100 >= smaller * rules.filled_percent_min

    def _judge(self, pair: tuple[int, int, int], met: list[int], meetings: list[Trade]) -> Sequence[Finding]:
        instrument, a, b = pair
        count, lots, together = met
        others = [self._trades.get((instrument, owner), 0) - together for owner in (a, b, -1)]
        expected_milli = max(others[0], 0) * max(others[1], 0) * 500 // max(others[2], 1)
        if count < self.parameters.pairs_min or count * 1000 < expected_milli * self.parameters.times_min:
            return ()
        last, first = meetings[-1], meetings[0]

        def steps(names: Instrument) -> tuple[str, ...]:
            return (
                f"Accounts {a} and {b} met {count} times today with opposite orders in {names.symbol} of the same price and size, entered within "
                f"{seconds(self.parameters.entered_within_ns)} of one another, for {names.qty_text(lots)} in all.",
                f"From the rest of their trading chance would let them meet {expected_milli // 1000}.{expected_milli % 1000:03d} times.",
                f"The last one: {names.qty_text(last.qty)} at {names.price_text(last.price)}. Prearranged: compare section 9(a)(1).",
            )

        evidence = tuple(trade_evidence(role, one, maker=maker) for one in meetings for role, maker in (("TAKER", False), ("MAKER", True)))
        return (
            Finding(
                "MATCHED_ORDERS", instrument, a, last.side, (instrument, a, b, first.trd_match_id), min(950, 600 + 10 * count), first.time, steps,
                evidence,
                (
                    Measure("meetings", count, self.parameters.pairs_min),
                    Measure("meetings to chance", count * 1000 // max(expected_milli, 1), self.parameters.times_min, "times"),
                ),
                (a, b),
            ),
        )  # fmt: skip

    def _make_room(self) -> None:
        while len(self._met) >= self.parameters.pairs_max:
            oldest = next(iter(self._met))
            del self._met[oldest], self._pairs[oldest]

    def state(self) -> Any:
        """Pairs with their meetings, and counts."""
        pairs = [[pair, met, [tuple(one) for one in self._pairs[pair]]] for pair, met in self._met.items()]
        return [pairs, [[*key, count] for key, count in self._trades.items()]]

    def load(self, state: Any) -> None:
        """The opposite."""
        for pair, met, meetings in state[0]:
            self._met[tuple(pair)] = met
            self._pairs[tuple(pair)] = [Trade(*one) for one in meetings]
        self._trades = {(instrument, owner): count for instrument, owner, count in state[1]}
