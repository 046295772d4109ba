"""Trading ahead of news: a party builds up a position just before news, as it never did before, and the news moves the price its way.

Rule 10b-5; MAR Articles 8 and 14. Judged once the market has had time to react. A fund that trades the stock all day, a maker and a trend follower did
the same before. Looks back over what is known one by one, at most two hours (surveillance.accounts.parties): a build-up over days is not seen.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import isqrt
from typing import Any, ClassVar

from schemas.enums import Side
from schemas.instruments import Instrument, InstrumentTable
from surveillance.accounts.contract import News, PartyDetector
from surveillance.accounts.facts import PartySum
from surveillance.accounts.parties import SECOND_NS, BookHalf, Parties
from surveillance.contract import Finding, Measure
from surveillance.wording import VERBS, counted, seconds

WAITING_MAX = 1_000
"""News whose effect is not known yet; then the oldest is dropped."""
HALF_NS = 30 * SECOND_NS
"""The half minute that is open when the reaction is over counts too; one more is waited for, as other books may be told later."""


@dataclass(frozen=True)
class AheadOfNewsParameters:
    """When somebody knew. Every bound is inclusive."""

    ahead_ns: tuple[int, ...] = (240 * SECOND_NS, 1_800 * SECOND_NS)
    """Lengths of a build-up; each is looked at."""
    before_ns: int = 90 * SECOND_NS
    """The book must be known for so long before a build-up, or nobody has habits."""
    reaction_ns: int = 60 * SECOND_NS
    """The market's reaction is the move until then."""
    ticks_min: int = 5
    """The reaction, ticks."""
    move_permille_min: int = 1_500
    """The reaction : the mean move of a half minute times the root of their number; in 1/1000."""
    level_times_min: int = 4
    """Lots built up : lots that usually stand at the best price."""
    share_percent_min: int = 8
    """Lots built up : lots that takers traded in the half minutes in which it did."""
    one_sided_percent_min: int = 85
    """Of what it traded in the build-up, on that side."""
    usual_times_min: int = 4
    """Lots of a half minute in which it trades : the same before. Who never traded the instrument has no bound."""
    halves_min: int = 2
    """Half minutes in which it built up."""


class AheadOfNewsDetector(PartyDetector):
    """News waits until the market has reacted."""

    name: ClassVar[str] = "ahead_of_news"
    version: ClassVar[int] = 1
    rule_refs: ClassVar[tuple[str, ...]] = ("SEA 10(b), Rule 10b-5", "MAR Art. 8", "MAR Art. 14")

    def __init__(self, parties: Parties, instruments: InstrumentTable, parameters: AheadOfNewsParameters | None = None) -> None:
        super().__init__(parties, instruments)
        self.parameters = parameters or AheadOfNewsParameters()
        self._waiting: list[News] = []

    def published(self, news: News) -> Sequence[Finding]:
        """Its effect is judged later."""
        if news not in self._waiting:  # a sender may tell twice
            self._waiting = [*self._waiting[-(WAITING_MAX - 1) :], news]
        return ()

    def advance(self, now: int) -> Sequence[Finding]:
        """News whose reaction is over, by the half minutes of its book."""
        due = [news for news in self._waiting if now >= news.at + self.parameters.reaction_ns + 2 * HALF_NS]
        if not due:
            return ()
        self._waiting = [news for news in self._waiting if news not in due]
        return [finding for news in due for finding in self._judge(news)]

    def _judge(self, news: News) -> Iterator[Finding]:
        rules = self.parameters
        known = [half for half in self.parties.halves(news.instrument, 0, news.at) if half.middle]
        after = [half for half in self.parties.halves(news.instrument, news.at, news.at + rules.reaction_ns + HALF_NS) if half.middle]
        if len(known) < 4 or not after:
            return
        reaction, bound = after[-1].middle - known[-1].middle, self._move_bound(known, len(after))
        if abs(reaction) < bound:
            return
        side = int(Side.BUY if reaction > 0 else Side.SELL)
        for owner in self.parties.owners_in(news.instrument, news.at - max(rules.ahead_ns)):
            for length in rules.ahead_ns:
                if known[0].at <= news.at - length - rules.before_ns:
                    finding = self._built_up(news, owner, side, length, known, (abs(reaction), bound))
                    if finding is not None:
                        yield finding
                        break

    def _move_bound(self, known: list[BookHalf], halves: int) -> int:
        """Ticks that are more than the market's own noise."""
        moves = [abs(known[n].middle - known[n - 1].middle) for n in range(1, len(known))]
        rules: AheadOfNewsParameters = self.parameters
        usual = sum(moves) * isqrt(halves * 1_000_000) * rules.move_permille_min // (len(moves) * 1_000_000)
        return max(rules.ticks_min, usual)

    def _built_up(self, news: News, owner: int, side: int, length: int, known: list[BookHalf], moved: tuple[int, int]) -> Finding | None:
        rules, since = self.parameters, news.at - length
        rows = [
            one
            for one in self.parties.of(owner)
            if one.instrument == news.instrument and one.traded and since < one.end_at and one.traded_until <= news.at
        ]
        rows = [one for one in rows if (one.bought if side == Side.BUY else one.sold)]
        if len(rows) < rules.halves_min:
            return None
        own = sum(one.bought if side == Side.BUY else one.sold for one in rows)
        net = 2 * own - sum(
            one.traded
            for one in self.parties.of(owner)
            if one.instrument == news.instrument and since < one.end_at and one.traded_until <= news.at
        )
        ends = {one.end_at for one in rows}
        taken = sum(half.taken for half in known if half.at in ends)
        halves, before = self.parties.habit(owner, news.instrument, since)
        usual = before // halves if halves else 0
        level = max(rows[-1].level_qty, 1)
        if net < rules.level_times_min * level or own * 100 < rules.one_sided_percent_min * (2 * own - net):
            return None
        if own * 100 < rules.share_percent_min * max(taken, 1) or own < rules.usual_times_min * usual * len(rows):
            return None
        return self._finding(news, rows, side, (own, usual, own * 100 // max(taken, 1), *moved))

    def _finding(self, news: News, rows: list[PartySum], side: int, seen: tuple[int, int, int, int, int]) -> Finding:
        rules, (own, usual, share, reaction, bound), last = self.parameters, seen, rows[-1]
        measures = (
            Measure("price move after the news", reaction, bound, "ticks"),
            Measure("share of what was taken", share, rules.share_percent_min, "percent"),
            Measure("size to a usual half minute", own // (max(usual, 1) * len(rows)), rules.usual_times_min, "times"),
            Measure("size to a usual level", own // max(last.level_qty, 1), rules.level_times_min, "times"),
            Measure("half minutes", len(rows), rules.halves_min),
        )
        return Finding(
            "AHEAD_OF_NEWS", news.instrument, last.owner, side, (last.owner, news.instrument, news.at), min(950, 500 + 10 * min(share, 40)),
            rows[0].traded_from, self._story(news, rows, side, seen), tuple(found for one in rows[-10:] for found in one.evidence()), measures,
        )  # fmt: skip

    def _story(self, news: News, rows: list[PartySum], side: int, seen: tuple[int, int, int, int, int]) -> Any:
        own, usual, share, reaction, _ = seen

        def steps(names: Instrument) -> tuple[str, ...]:
            before = f"{names.qty_text(usual)} in a half minute in which it traded" if usual else "nothing"
            return (
                f"Account {rows[0].owner} {VERBS[side][1]} {names.qty_text(own)} {names.symbol} in {counted(len(rows), 'half minute')}, {share} % of what was taken in them; "
                f"before: {before}.",
                f"{seconds(news.at - rows[-1].traded_until)} after its last trade there was news: {news.headline[:200]}",
                f"The price moved {counted(reaction, 'tick')} its way within a minute and a half.",
                "Who knew? Compare Rule 10b-5 and Article 14 of the Market Abuse Regulation.",
            )

        return steps

    def state(self) -> Any:
        """News that waits."""
        return [list(news) for news in self._waiting]

    def load(self, state: Any) -> None:
        """The opposite."""
        self._waiting = [News(*one) for one in state]
