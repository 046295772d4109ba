"""The contract of a detector of the second stage: one pattern over the parties of a partition of the facts. As surveillance.contract, with other events.

A function of these calls and of the parties alone. To add a pattern: a module beside this one, and its name in surveillance.accounts.watch.DETECTORS.
"""

from collections.abc import Callable, Sequence
from typing import Any, ClassVar, NamedTuple

from schemas.codec import Rows
from schemas.instruments import InstrumentTable
from surveillance.accounts.facts import PartySum
from surveillance.accounts.parties import Entry, Parties
from surveillance.contract import Arrays, Finding
from surveillance.state_bytes import pack, unpack


class News(NamedTuple):
    """It became public at a time, ns."""

    instrument: int
    at: int
    headline: str


class PartyDetector:
    """One pattern. The parties have every event first."""

    name: ClassVar[str]
    """Prefix of the detector's arrays in a snapshot."""
    version: ClassVar[int] = 1
    """Raised with every change of its rule."""
    rule_refs: ClassVar[tuple[str, ...]] = ()
    parameters: Any = None
    """A frozen dataclass: the one table of the detector's bounds."""

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

    def state(self) -> Any:
        """The whole state as lists of integers."""
        return []

    def load(self, state: Any) -> None:
        """Restore what `state` returned."""

    def snapshot(self) -> dict[str, Rows]:
        """The whole state as named arrays."""
        return {"state": pack(self.state())}

    def restore(self, arrays: Arrays) -> None:
        """Restore the state of a snapshot."""
        self.load(unpack(arrays["state"]))


MakePartyDetector = Callable[[Parties, InstrumentTable], PartyDetector]
