"""Cross-book manipulation: orders shown in one book and taken back, while their owner trades what moves with it in another.

Securities Exchange Act 9(a)(2), Commodity Exchange Act 4c(a)(5)(C), MAR Annex I.A(f). The layering of one book needs a fill in the same book; here the fill
is elsewhere. A maker quotes both sides of both books; an arbitrageur's orders are filled; who follows the market with one order shows little at once.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

from schemas.enums import Side
from schemas.instruments import Instrument, InstrumentTable
from surveillance.accounts.contract import PartyDetector
from surveillance.accounts.facts import PartySum
from surveillance.accounts.parties import SECOND_NS, Parties
from surveillance.contract import Finding, Measure
from surveillance.wording import VERBS, counted, seconds

OPEN_MAX = 10_000
"""Attempts of so many pairs are remembered, ~500 B each; then the oldest is forgotten."""


@dataclass(frozen=True)
class CrossBookParameters:
    """When orders of one book serve trades of another. Every bound is inclusive."""

    level_times_min: int = 4
    """Lots shown at once : lots that usually stand at the best price of that book."""
    filled_percent_max: int = 20
    """Traded in that book on the side that was shown : lots shown."""
    traded_percent_min: int = 20
    """Traded in the other book : lots that usually stand at its best price."""
    one_sided_percent_min: int = 75
    """Of what was traded in the other book while the orders were shown, on the side that gains."""
    together_percent_min: int = 40
    """Correlation of the two books' moves, by half minutes; either sign."""
    after_ns: int = 2 * SECOND_NS
    """The trade may be so long after the cancel."""
    attempts_min: int = 2
    """Half minutes in which it was done."""
    within_ns: int = 900 * SECOND_NS
    """So long apart from the first to the last."""


class Attempt(NamedTuple):
    """One half minute of showing and trading."""

    shown: PartySum
    traded: PartySum
    side: int
    """Side that was shown."""
    gains: int
    """Side of the other book that this serves."""
    lots: int
    """Traded there meanwhile on that side, and against it."""
    against: int
    together: int


class CrossBookDetector(PartyDetector):
    """Pairs of half minutes of one party in two books."""

    name: ClassVar[str] = "cross_book"
    version: ClassVar[int] = 2
    rule_refs: ClassVar[tuple[str, ...]] = ("SEA 9(a)(2)", "CEA 4c(a)(5)(C)", "MAR Annex I.A(f)")

    def __init__(self, parties: Parties, instruments: InstrumentTable, parameters: CrossBookParameters | None = None) -> None:
        super().__init__(parties, instruments)
        self.parameters = parameters or CrossBookParameters()
        self._attempts: dict[tuple[int, int, int], list[int]] = {}  # (owner, shown in, traded in) -> ends of half minutes

    def summed(self, one: PartySum) -> Sequence[Finding]:
        """Whatever half minute of the two is told last completes the pair."""
        found = []
        for attempt in self._attempts_with(one):
            finding = self._noted(attempt)
            if finding is not None:
                found.append(finding)
        return found

    def _attempts_with(self, one: PartySum) -> Iterator[Attempt]:
        sides = [side for side in (1, 2) if self._is_shown(one, side)]
        if not sides and not one.traded:
            return
        reach = 60 * SECOND_NS
        for other in self.parties.of(one.owner):
            if other.instrument == one.instrument or abs(other.end_at - one.end_at) > reach:
                continue
            for side in sides:
                yield from self._attempt(one, other, side)
            for side in (1, 2):
                if self._is_shown(other, side):
                    yield from self._attempt(other, one, side)

    def _is_shown(self, one: PartySum, side: int) -> bool:
        """Much on one side at once, taken back, hardly filled. That there was little on the other side is seen to by surveillance.accounts.sums."""
        rules: CrossBookParameters = self.parameters
        lots = one.shown(side)[0]
        if not lots or lots < rules.level_times_min * max(one.level_qty, 1):
            return False
        filled = one.bought if side == Side.BUY else one.sold
        return filled * 100 <= lots * rules.filled_percent_max

    def _attempt(self, shown: PartySum, traded: PartySum, side: int) -> Iterator[Attempt]:
        rules = self.parameters
        if not traded.traded:
            return
        together = self.parties.together(shown.instrument, traded.instrument)
        if abs(together) < rules.together_percent_min:
            return
        # what is bid for in one book lifts the other: its owner sells there; the other way round where the two move against one another
        gains = 3 - side if together > 0 else side
        lots, against = self._meanwhile(shown, side, traded, gains), self._meanwhile(shown, side, traded, 3 - gains)
        if (
            not lots
            or lots * 100 < rules.one_sided_percent_min * (lots + against)
            or lots * 100 < rules.traded_percent_min * traded.level_qty
        ):
            return
        yield Attempt(shown, traded, side, gains, lots, against, together)

    def _meanwhile(self, shown: PartySum, side: int, traded: PartySum, on: int) -> int:
        """Lots that it traded on a side of the other book, if any of them while the orders stood or soon after."""
        _, begun, canceled = shown.shown(side)
        lots, since, until = traded.traded_on(on)
        return lots if begun <= until and since <= canceled + self.parameters.after_ns else 0

    def _noted(self, attempt: Attempt) -> Finding | None:
        rules, shown, traded = self.parameters, attempt.shown, attempt.traded
        key = (shown.owner, shown.instrument, traded.instrument)
        known = self._attempts.pop(key, [])
        ends = [end for end in known if end > shown.end_at - rules.within_ns and end != shown.end_at]
        self._attempts[key] = [*ends, shown.end_at]
        if len(self._attempts) > OPEN_MAX:
            del self._attempts[next(iter(self._attempts))]
        if shown.end_at in known or len(ends) + 1 < rules.attempts_min:
            return None
        return self._finding(attempt, len(ends) + 1)

    def _finding(self, attempt: Attempt, attempts: int) -> Finding:
        rules, shown, traded, gains = self.parameters, attempt.shown, attempt.traded, attempt.gains
        lots, begun, canceled = shown.shown(attempt.side)
        levels = lots // max(shown.level_qty, 1)
        measures = (
            Measure("lots shown to a usual level", levels, rules.level_times_min, "times"),
            Measure("correlation of the books", abs(attempt.together), rules.together_percent_min, "percent"),
            Measure(
                "trades on the side that gains",
                attempt.lots * 100 // (attempt.lots + attempt.against),
                rules.one_sided_percent_min,
                "percent",
            ),
            Measure("half minutes", attempts, rules.attempts_min),
        )
        return Finding(
            "CROSS_BOOK", traded.instrument, shown.owner, gains, (shown.owner, shown.instrument, traded.instrument, shown.end_at),
            min(950, 500 + 10 * min(levels, 20) + 50 * attempts), min(begun, traded.traded_from),
            self._story(attempt, lots, canceled - begun), (*shown.evidence(), *traded.evidence()), measures,
        )  # fmt: skip

    def _story(self, attempt: Attempt, lots: int, duration: int) -> Any:
        one, shown = self.instruments.by_number[attempt.shown.instrument], attempt.shown

        def steps(names: Instrument) -> tuple[str, ...]:
            return (
                f"Account {shown.owner} showed {one.qty_text(lots)} {one.symbol} to {VERBS[attempt.side][0]} at once, {counted(lots // max(shown.level_qty, 1), 'time')} what usually "
                f"stands at the best price, and took them back after {seconds(duration)}, hardly filled.",
                f"Meanwhile it {VERBS[attempt.gains][1]} {names.qty_text(attempt.lots)} {names.symbol}.",
                f"Prices of the two moved {'together' if attempt.together > 0 else 'against one another'}: correlation {abs(attempt.together)} % by half minutes.",
                "Orders in one book that serve trades in another: compare section 9(a)(2) of the Securities Exchange Act.",
            )

        return steps

    def state(self) -> Any:
        """Attempts by pair."""
        return [[list(key), ends] for key, ends in self._attempts.items()]

    def load(self, state: Any) -> None:
        """The opposite."""
        self._attempts = {(owner, shown, traded): ends for (owner, shown, traded), ends in state}
