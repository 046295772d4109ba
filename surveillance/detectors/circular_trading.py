"""Circular trading: three or more owners sell to one another in a ring, and nobody's position changes.

CME Rule 534; MAR Annex I.A(c). The idea of Victor and Weintraud (2021): parties that trade nearly all with one another and end flat. A market maker ends
flat too, but its counterparties are everybody.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from schemas.enums import Phase, Side
from schemas.instruments import Instrument
from surveillance.contract import Detector, Finding, Measure, trade_evidence
from surveillance.market import Book, Market, Trade
from surveillance.orders import OrderTracker


@dataclass(frozen=True)
class CircularTradingParameters:
    """When owners are a ring. Every bound is inclusive; of the day."""

    members_min: int = 3
    """Two owners are matched orders."""
    members_max: int = 8
    """More are a market."""
    trades_min: int = 9
    """Trades inside the ring."""
    inside_percent_min: int = 80
    """Of each member's volume, with other members."""
    net_percent_max: int = 15
    """Of each member's volume inside, the position that it made. Now and then somebody else takes a member's order."""
    pairs_max: int = 50_000
    """Pairs of seller and buyer remembered, ~200 B each; then the oldest is forgotten."""
    evidence_max: int = 32
    """Newest trades inside the ring."""


class CircularTradingDetector(Detector):
    """Who sold how much to whom, by instrument, from one CLOSED phase to the next."""

    name: ClassVar[str] = "circular_trading"
    version: ClassVar[int] = 2
    rule_refs: ClassVar[tuple[str, ...]] = ("CME 534", "MAR Annex I.A(c)", "(EU) 2016/522 Annex II 1.3(a)")

    def __init__(self, tracker: OrderTracker, market: Market, parameters: CircularTradingParameters | None = None) -> None:
        super().__init__(tracker, market)
        self.parameters = parameters or CircularTradingParameters()
        self._sold: dict[int, dict[tuple[int, int], list[int]]] = {}  # instrument -> (seller, buyer) -> [lots, trades]
        self._totals: dict[int, dict[int, list[int]]] = {}  # instrument -> owner -> [lots traded, position made]; follows from the pairs
        self._said: dict[tuple[int, ...], int] = {}  # (instrument, *members) -> trades when last reported

    def traded(self, trade: Trade) -> Sequence[Finding]:
        """Counts."""
        if trade.owner == trade.contra_owner:
            return ()
        pair = (trade.contra_owner, trade.owner) if trade.side == Side.BUY else (trade.owner, trade.contra_owner)
        sold = self._sold.setdefault(trade.instrument, {})
        known = sold.get(pair)
        if known is None:
            if len(sold) >= self.parameters.pairs_max:
                oldest = next(iter(sold))
                self._add(trade.instrument, oldest, -sold.pop(oldest)[0])
            known = sold[pair] = [0, 0]
        known[0] += trade.qty
        known[1] += 1
        self._add(trade.instrument, pair, trade.qty)
        return ()

    def _add(self, instrument: int, pair: tuple[int, int], lots: int) -> None:
        totals = self._totals.setdefault(instrument, {})
        for owner, made in ((pair[0], -lots), (pair[1], lots)):
            total = totals.get(owner)
            if total is None:
                total = totals[owner] = [0, 0]
            total[0] += lots
            total[1] += made
            if not total[0]:
                del totals[owner]

    def phase_changed(self, book: Book, before: int, now: int) -> Sequence[Finding]:
        """A day is over."""
        if book.phase == Phase.CLOSED:
            self._sold.pop(book.instrument, None)
            self._totals.pop(book.instrument, None)
            for key in [key for key in self._said if key[0] == book.instrument]:
                del self._said[key]
        return ()

    def bucket_closed(self, book: Book, now: int) -> Sequence[Finding]:
        """Rings among those who end flat."""
        sold, rules = self._sold.get(book.instrument, {}), self.parameters
        found = []
        for ring in self._rings(sold, self._totals.get(book.instrument, {})):
            lots = sum(sold[pair][0] for pair in ring[1])
            trades = sum(sold[pair][1] for pair in ring[1])
            key = (book.instrument, *ring[0])
            if trades >= rules.trades_min and trades * 2 > self._said.get(key, -1) * 3:
                self._said[key] = trades
                if finding := self._finding(book, ring[0], lots, trades):
                    found.append(finding)
        return found

    def _rings(
        self, sold: dict[tuple[int, int], list[int]], totals: dict[int, list[int]]
    ) -> list[tuple[tuple[int, ...], list[tuple[int, int]]]]:
        """(members, pairs inside): parts of the graph that hold together by trades that are a fifth of either party's volume."""
        rules = self.parameters
        # flat over all that they did; what they did outside may move them by as much as it may be
        slack = rules.net_percent_max + 100 - rules.inside_percent_min
        gross = {owner: lots for owner, (lots, net) in totals.items() if abs(net) * 100 <= lots * slack}
        strong: defaultdict[int, set[int]] = defaultdict(set)
        for (seller, buyer), (lots, _) in sold.items():
            if seller in gross and buyer in gross and lots * 5 >= gross[seller] and lots * 5 >= gross[buyer]:
                strong[seller].add(buyer)
                strong[buyer].add(seller)
        rings, seen = [], set[int]()
        for owner in sorted(strong):
            if owner not in seen:
                part = _part_of(owner, strong)
                seen |= part
                if rules.members_min <= len(part) <= rules.members_max and (pairs := self._inside(sold, part, gross)):
                    rings.append((tuple(sorted(part)), pairs))
        return rings

    def _inside(self, sold: dict[tuple[int, int], list[int]], part: set[int], gross: dict[int, int]) -> list[tuple[int, int]]:
        """The pairs inside, or nothing if a member is not closed in or not flat."""
        pairs = sorted(pair for pair in sold if pair[0] in part and pair[1] in part)
        for member in part:
            bought, sold_lots = (sum(sold[pair][0] for pair in pairs if pair[at] == member) for at in (1, 0))
            inside = bought + sold_lots
            if inside * 100 < gross[member] * self.parameters.inside_percent_min:
                return []
            if abs(bought - sold_lots) * 100 > inside * self.parameters.net_percent_max:
                return []
        return pairs

    def _finding(self, book: Book, members: tuple[int, ...], lots: int, trades: int) -> Finding | None:
        inside = [one for one in book.trades if one.owner in members and one.contra_owner in members][-self.parameters.evidence_max :]
        if not inside:
            return None

        def steps(names: Instrument) -> tuple[str, ...]:
            return (
                f"Accounts {', '.join(map(str, members))} traded {names.qty_text(lots)} {names.symbol} with one another in {trades} trades today.",
                f"At least {self.parameters.inside_percent_min} % of what each of them traded was with the others, and each ends with at most "
                f"{self.parameters.net_percent_max} % of it.",
                "Volume without a change of ownership, in a ring: compare CME Rule 534 and MAR, Annex I.A(c).",
            )

        evidence = tuple(trade_evidence(role, one, maker=maker) for one in inside for role, maker in (("TAKER", False), ("MAKER", True)))
        return Finding(
            "CIRCULAR_TRADING", book.instrument, members[0], inside[0].side, (book.instrument, *members), min(950, 600 + 10 * trades), inside[0].time,
            steps, evidence,
            (
                Measure("members", len(members), self.parameters.members_min),
                Measure("trades inside", trades, self.parameters.trades_min),
            ),
            members,
        )  # fmt: skip

    def state(self) -> Any:
        """Pairs, and what was said."""
        sold = [[instrument, [[*pair, *known] for pair, known in pairs.items()]] for instrument, pairs in self._sold.items()]
        return [sold, [[list(key), trades] for key, trades in self._said.items()]]

    def load(self, state: Any) -> None:
        """The opposite."""
        for instrument, pairs in state[0]:
            self._sold[instrument] = {(seller, buyer): [lots, trades] for seller, buyer, lots, trades in pairs}
            for pair, (lots, _) in self._sold[instrument].items():
                self._add(instrument, pair, lots)
        self._said = {tuple(key): trades for key, trades in state[1]}


def _part_of(owner: int, strong: dict[int, set[int]]) -> set[int]:
    part, waiting = {owner}, [owner]
    while waiting:
        for other in strong[waiting.pop()] - part:
            part.add(other)
            waiting.append(other)
    return part
