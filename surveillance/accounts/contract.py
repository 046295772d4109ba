"""The contract of a detector of the second stage: one pattern over the parties of a partition of the facts. As surveillance.contract, with other events.

A function of these calls and of the parties alone. To add a pattern: a module beside this one, and its name in surveillance.accounts.watch.DETECTORS.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

from schemas.instruments import InstrumentTable
from surveillance.accounts.facts import PartySum
from surveillance.accounts.parties import Entry, Parties
from surveillance.contract import Finding, Rule


class News(NamedTuple):
    """It became public at a time, ns."""

    instrument: int
    at: int
    headline: str


class PartyDetector(Rule):
    """One pattern. The parties have every event first."""

    def __init__(self, parties: Parties, instruments: InstrumentTable) -> None:
        self.parties, self.instruments = parties, instruments

    def advance(self, now: int) -> Sequence[Finding]:
        """Log time is `now`: the latest time of any fact."""
        return ()

    def summed(self, one: PartySum) -> Sequence[Finding]:
        """Half a minute of a party in one book is known."""
        return ()

    def entered(self, owner: int, entry: Entry) -> Sequence[Finding]:
        """An account of the party was opened from a new place."""
        return ()

    def published(self, news: News) -> Sequence[Finding]:
        """There is news."""
        return ()


MakePartyDetector = Callable[[Parties, InstrumentTable], PartyDetector]
