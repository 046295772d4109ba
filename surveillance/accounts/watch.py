"""The machine of the second stage: facts about the parties of one partition in, revisions of alerts out.

In:     facts (surveillance.accounts.facts) in the order of their log, each once
Out:    records of schemas/avro/alert.avsc, as those of surveillance.watch; `source` is the fact that completed them, evidence says its own place
State:  the parties, open episodes and what the detectors keep; a function of the records alone
On failure: a fact about an instrument that nobody knows is refused as bad bytes before it comes here.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import fields
from typing import Any, Final, Self

import numpy as np

from schemas.codec import Rows
from schemas.errors import StaleData
from schemas.instruments import InstrumentTable
from surveillance.accounts.ahead_of_news import AheadOfNewsDetector
from surveillance.accounts.contract import MakePartyDetector, News, PartyDetector
from surveillance.accounts.cross_book import CrossBookDetector
from surveillance.accounts.facts import BOOK, SIGN_IN, Record, sums_of
from surveillance.accounts.parties import BookHalf, Parties
from surveillance.accounts.takeover import TakeoverDetector
from surveillance.alerts import Place
from surveillance.contract import Finding, hash_of, own_arrays, prefixed, settings_of
from surveillance.episodes import EpisodeRules, Episodes
from surveillance.owners import Owners

PARTY_PATTERNS: Final[tuple[type[PartyDetector], ...]] = (TakeoverDetector, AheadOfNewsDetector, CrossBookDetector)
DETECTORS: Final[tuple[MakePartyDetector, ...]] = PARTY_PATTERNS
Alerts = list[dict[str, Any]]


class AccountsWatch:
    """Surveillance of the parties of one partition of the facts. It knows no pattern: see surveillance.accounts.contract."""

    def __init__(
        self, instruments: InstrumentTable, owners: Owners | None = None, rules: EpisodeRules | None = None,
        detectors: Sequence[MakePartyDetector] = DETECTORS,
    ) -> None:  # fmt: skip
        self._owners, self._parties = owners or Owners(), Parties()
        self._detectors = [make(self._parties, instruments) for make in detectors]
        rules = rules or EpisodeRules()
        values = ([settings_of(one) for one in self._detectors], [(field.name, getattr(rules, field.name)) for field in fields(rules)])
        self._config = hashlib.blake2b(repr(values).encode(), digest_size=16).digest()
        self._episodes = Episodes(instruments, self._config.hex(), self._owners.accounts_of, rules)
        self.log_time = 0

    @property
    def configuration(self) -> bytes:
        """16 bytes over every parameter of every detector: `config_digest` of the alerts, in hexadecimal."""
        return self._config

    def apply(self, record: Record, where: Place) -> Alerts:
        """The revisions that one fact causes. `where`: of the record."""
        alerts: Alerts = []
        if record["at"] > self.log_time:
            self.log_time = record["at"]
            self._take_owners()
            alerts += self._episodes.advance(self.log_time, where)
        found = self._found(record)
        for detector in self._detectors:
            found += [(detector, one) for one in detector.advance(self.log_time)]
        for detector, finding in found:
            alerts += self._episodes.take(finding, detector, self.log_time, where)
        return alerts

    def _found(self, record: Record) -> list[tuple[PartyDetector, Finding]]:
        if record["kind"] == BOOK:
            return self._take_book(record)
        if record["kind"] == SIGN_IN:
            owner = self._owners.owner_of(record["account"])
            entry = self._parties.note_place(owner, record["account"], record["place"], record["at"], record["what"])
            return [(one, finding) for one in self._detectors for finding in one.entered(owner, entry)] if entry else []
        news = News(record["instrument"], record["at"], record["what"])
        return [(one, finding) for one in self._detectors for finding in one.published(news)]

    def _take_book(self, record: Record) -> list[tuple[PartyDetector, Finding]]:
        half = BookHalf(record["at"], record["middle"], record["level_qty"], record["taken"])
        self._parties.note_book(record["instrument"], half)
        found = []
        for one in sums_of(record):
            self._parties.note(one)
            found += [(detector, finding) for detector in self._detectors for finding in detector.summed(one)]
        return found

    def snapshot(self) -> dict[str, Rows]:
        """The whole state as named arrays."""
        arrays = {
            **{f"parties.{name}": array for name, array in self._parties.snapshot().items()}, "clock": np.array([self.log_time], "<i8"),
            "episodes": self._episodes.snapshot(), "owners": np.frombuffer(self._owners.digest, np.uint8),
        }  # fmt: skip
        for detector in self._detectors:
            arrays |= prefixed(detector)
        return arrays

    @classmethod
    def restore(
        cls, instruments: InstrumentTable, arrays: dict[str, Any], owners: Owners | None = None, rules: EpisodeRules | None = None,
        detectors: Sequence[MakePartyDetector] = DETECTORS,
    ) -> Self:  # fmt: skip
        """A watch that continues where the snapshot was taken. Raises StaleData if it was taken with other owner sets."""
        watch = cls(instruments, owners, rules, detectors)
        watch.log_time = int(arrays["clock"][0])
        watch._take_owners()
        if watch._owners.digest != arrays["owners"].tobytes():
            raise StaleData(
                "the snapshot was made with other owner sets in effect: put them back, or let the second stage read the log from its beginning"
            )
        watch._parties.restore({name.removeprefix("parties."): array for name, array in arrays.items() if name.startswith("parties.")})
        watch._episodes.restore(arrays["episodes"])
        for detector in watch._detectors:
            detector.restore(own_arrays(detector, arrays))
        return watch

    def state_hash(self) -> bytes:
        """16 bytes, equal for equal states."""
        return hash_of(self.snapshot())

    def _take_owners(self) -> None:
        self._owners.advance(self.log_time)
        if self._owners.accounts_known:
            self._episodes.reference_digest = self._owners.digest.hex()
