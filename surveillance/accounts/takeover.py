"""Account takeover: an account is opened from a place where it never was, then trades as it never did, to somebody else's gain.

A firm's own rule (FINRA Regulatory Notice 21-18 describes the practice). A traveller opens the account from a new place too, and goes on as usual. A
customer who changes habits trades with everybody, at the market's prices.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from schemas.enums import Side
from schemas.instruments import Instrument, InstrumentTable
from surveillance.accounts.contract import PartyDetector
from surveillance.accounts.facts import PartySum
from surveillance.accounts.parties import SECOND_NS, Entry, Parties
from surveillance.contract import Finding, Measure
from surveillance.wording import counted, seconds, tenths

SAID_MAX = 10_000


@dataclass(frozen=True)
class TakeoverParameters:
    """When an account is in other hands. Every bound is inclusive."""

    after_ns: int = 3_600 * SECOND_NS
    """Trading counts for so long after the new place."""
    known_ns: int = 60 * SECOND_NS
    """The account was opened from elsewhere so long before: a new customer has no habits."""
    usual_times_min: int = 4
    """Lots of a half minute in which it trades : the same before. An instrument that it never traded counts as more."""
    level_times_min: int = 2
    """Lots traded : lots that usually stand at the best price."""
    other_percent_min: int = 40
    """Of what it takes, from the one party from which it takes the most."""
    others_percent_min: int = 50
    """Of what that party trades, with this one: a maker trades with everybody."""
    paid_tenths_min: int = 5
    """What it paid as the taker beyond the middle of the market: tenths of a tick, per lot. Half the spread at least: somebody else gained."""
    halves_min: int = 2
    """Half minutes in which it trades so."""


class TakeoverDetector(PartyDetector):
    """What a party does after a new place, beside what it did before."""

    name: ClassVar[str] = "account_takeover"
    version: ClassVar[int] = 2
    rule_refs: ClassVar[tuple[str, ...]] = ("FINRA 3110", "FINRA Regulatory Notice 21-18")

    def __init__(self, parties: Parties, instruments: InstrumentTable, parameters: TakeoverParameters | None = None) -> None:
        super().__init__(parties, instruments)
        self.parameters = parameters or TakeoverParameters()
        self._said: dict[tuple[int, int, int], int] = {}  # (owner, instrument, time of the new place) -> lots when it was said

    def summed(self, one: PartySum) -> Sequence[Finding]:
        """Trading after a new place."""
        if not one.traded:
            return ()
        return [finding for entry in self.parties.entries(one.owner) for finding in self._judge(one.owner, entry, one.instrument)]

    def entered(self, owner: int, entry: Entry) -> Sequence[Finding]:
        """The sign-in may become known after what was traded."""
        books = sorted({one.instrument for one in self.parties.of(owner) if one.end_at > entry.at})
        return [finding for instrument in books for finding in self._judge(owner, entry, instrument)]

    def _judge(self, owner: int, entry: Entry, instrument: int) -> Iterator[Finding]:
        rules = self.parameters
        if entry.at - entry.since < rules.known_ns:
            return
        rows = [
            one for one in self.parties.of(owner)
            if one.instrument == instrument and one.traded and entry.at <= one.traded_from <= entry.at + rules.after_ns
        ]  # fmt: skip
        if len(rows) < rules.halves_min:
            return
        lots, taken = sum(one.traded for one in rows), sum(one.taken for one in rows)
        paid_tenths = sum(one.paid for one in rows) * 5 // max(taken, 1)
        from_one: dict[int, int] = {}
        all_of: dict[int, int] = {}
        for one in rows:
            from_one[one.other] = from_one.get(one.other, 0) + one.other_qty
            all_of[one.other] = all_of.get(one.other, 0) + one.other_traded
        other = max(from_one, key=lambda party: (from_one[party], -party))
        halves, before = self.parties.habit(owner, instrument, entry.at)
        usual = before // halves if halves else 0
        if lots < rules.level_times_min * max(rows[-1].level_qty, 1) or lots < rules.usual_times_min * usual * len(rows):
            return
        if from_one[other] * 100 < rules.other_percent_min * max(taken, 1) or paid_tenths < rules.paid_tenths_min:
            return
        if from_one[other] * 100 < rules.others_percent_min * all_of[other]:
            return
        key = (owner, instrument, entry.at)
        if lots * 2 <= self._said.get(key, 0) * 3:
            return
        self._said[key] = lots
        if len(self._said) > SAID_MAX:
            del self._said[next(iter(self._said))]
        yield self._finding(entry, rows, (lots, usual, other, from_one[other] * 100 // max(taken, 1), paid_tenths))

    def _finding(self, entry: Entry, rows: list[PartySum], seen: tuple[int, int, int, int, int]) -> Finding:
        rules, (lots, usual, _, share, paid), last = self.parameters, seen, rows[-1]
        side = int(Side.BUY if sum(one.bought for one in rows) >= sum(one.sold for one in rows) else Side.SELL)
        measures = (
            Measure("size to a usual half minute", lots // (max(usual, 1) * len(rows)), rules.usual_times_min, "times"),
            Measure("taken from one party", share, rules.other_percent_min, "percent"),
            Measure("paid beyond the middle in tenths of a tick per lot", paid, rules.paid_tenths_min),
            Measure("half minutes", len(rows), rules.halves_min),
        )
        return Finding(
            "ACCOUNT_TAKEOVER", last.instrument, last.owner, side, (last.owner, last.instrument, entry.account, entry.at),
            min(950, 500 + 3 * share + 10 * len(rows)), entry.at, self._story(entry, rows, seen),
            tuple(found for one in rows[-6:] for found in one.evidence()), measures,
        )  # fmt: skip

    def _story(self, entry: Entry, rows: list[PartySum], seen: tuple[int, int, int, int, int]) -> Any:
        lots, usual, other, share, paid = seen

        def steps(names: Instrument) -> tuple[str, ...]:
            before = f"{names.qty_text(usual)} in a half minute in which it traded" if usual else "nothing"
            return (
                f"Account {entry.account} was opened from a place from which it never was ({entry.what}); {counted(entry.known, 'other place')} were known.",
                f"From {seconds(rows[0].traded_from - entry.at)} after it traded {names.qty_text(lots)} {names.symbol} in {counted(len(rows), 'half minute')}; before: {before}.",
                f"It took {share} % of that from party {other}, and paid {tenths(paid, 10)} ticks per lot beyond the middle of the market.",
                "An account in other hands: call its owner by a way that was known before.",
            )

        return steps

    def state(self) -> Any:
        """What was said."""
        return [[*key, lots] for key, lots in self._said.items()]

    def load(self, state: Any) -> None:
        """The opposite."""
        self._said = {(owner, instrument, at): lots for owner, instrument, at, lots in state}
