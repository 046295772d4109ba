"""The machine of watch-trading: one book shard's executions in, revisions of alerts out.

In:     rows of execution_frame, in the order of the log, each once (the shell drops frames that a replaying shard wrote twice)
Out:    records of schemas/avro/alert.avsc, see surveillance.episodes
State:  the tracked orders, the market, open episodes and what the detectors keep; a function of the rows alone, whatever frames they come in
Ignored: a busted trade was a trade when it was published.
On failure: a row that contradicts the log is an assertion. A row about an order that was forgotten (or is older than the watch) is skipped.
"""

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from typing import Any, Final, Self

import numpy as np

from schemas.codec import Rows
from schemas.errors import StaleData
from schemas.instruments import InstrumentTable
from surveillance.accounts.facts import BookSums
from surveillance.accounts.sums import PartySums
from surveillance.alerts import Place
from surveillance.contract import Detector, MakeDetector, hash_of, own_arrays, prefixed, settings_of, wants
from surveillance.detectors import DETECTORS
from surveillance.episodes import EpisodeRules, Episodes
from surveillance.market import Market
from surveillance.orders import OrderTracker, Tracking
from surveillance.owners import Owners
from surveillance.row_events import COLUMNS, Row, RowEvents

Alerts = list[dict[str, Any]]
EVENTS: Final = (
    "advance", "placed", "executed", "traded", "withdrawn", "phase_changed", "indicated", "bucket_closed", "forgotten",
)  # fmt: skip


@dataclass(frozen=True)
class WatchStats:
    """Counts since the watch was made."""

    rows: int
    alerts: int
    """Revisions that were written."""
    orders_tracked: int
    episodes_open: int


class TradingWatch:
    """Surveillance of one book shard; one instance per partition of `executions`. It knows no pattern: see surveillance.contract."""

    def __init__(
        self, instruments: InstrumentTable, detectors: Sequence[MakeDetector] = DETECTORS, tracking: Tracking | None = None,
        rules: EpisodeRules | None = None, owners: Owners | None = None, *, for_accounts: bool = False,
    ) -> None:  # fmt: skip
        """for_accounts: gather what the second stage goes by too, see `sums`."""
        self._owners = owners or Owners()
        tracker, self._market = OrderTracker(tracking or Tracking()), Market(self._owners)
        self._tracker = tracker
        self._sums = PartySums(tracker, self._market)
        self._detectors: list[Detector] = [make(tracker, self._market) for make in detectors]
        if for_accounts:
            self._detectors.append(self._sums)
        self._config = _digest_of(self._detectors, tracking or Tracking(), rules or EpisodeRules())
        self._episodes = Episodes(instruments, self._config.hex(), self._owners.accounts_of, rules or EpisodeRules())
        listeners = {event: [(one, getattr(one, event)) for one in self._detectors if wants(one, event)] for event in EVENTS}
        self._events = RowEvents(tracker, self._market, self._owners, set(instruments.by_number), listeners)
        self._rows = self._alerts = 0

    @property
    def log_time(self) -> int:
        """Log time of the shard, ns."""
        return self._events.log_time

    @property
    def configuration(self) -> bytes:
        """16 bytes over every parameter of every detector: `config_digest` of the alerts, in hexadecimal."""
        return self._config

    def apply(self, executions: Rows, where: Place) -> Alerts:
        """The revisions that these rows cause. `where`: of the rows."""
        events, episodes, found = self._events, self._episodes, self._events.found
        self._sums.take()  # of the rows before, if nobody wanted them
        handlers = events.handlers
        wanted = np.flatnonzero(events.wanted[executions["kind"]])
        taken = executions[wanted]
        rows: Iterable[Row] = zip(
            *(taken[name].tolist() for name in COLUMNS), strict=True
        )  # a third of the time of taken[COLUMNS].tolist()
        alerts: Alerts = []
        events.offset = where.offset
        for at, row in zip((wanted + where.first_seq).tolist(), rows, strict=True):
            if row[-1] > events.log_time:
                events.advance(row[-1])
                if self._owners.next_at and self._owners.next_at <= row[-1]:
                    self._take_owners()
                if episodes.next_due:
                    alerts += episodes.advance(row[-1], where)
            events.seq = at
            handlers[row[0]](row)
            if found:
                for detector, finding in found:
                    alerts += episodes.take(finding, detector, events.log_time, where)
                found.clear()
        self._rows += len(executions)
        self._alerts += len(alerts)
        return alerts

    def sums(self) -> list[BookSums]:
        """The half minutes of books that became complete with the rows that were applied last. None of a watch that is not `for_accounts`."""
        return self._sums.take()

    def stats(self) -> WatchStats:
        """Counts since this watch was made or restored."""
        return WatchStats(self._rows, self._alerts, len(self._tracker), len(self._episodes))

    def snapshot(self) -> dict[str, Rows]:
        """The whole state as named arrays."""
        arrays = {
            **self._tracker.snapshot(), "clock": np.array([self.log_time], "<i8"), "market": self._market.snapshot(),
            "episodes": self._episodes.snapshot(), "owners": np.frombuffer(self._owners.digest, np.uint8),
        }  # fmt: skip
        for detector in self._detectors:
            arrays |= prefixed(detector)
        return arrays

    @classmethod
    def restore(
        cls, instruments: InstrumentTable, arrays: dict[str, Any], detectors: Sequence[MakeDetector] = DETECTORS, tracking: Tracking | None = None,
        rules: EpisodeRules | None = None, owners: Owners | None = None, *, for_accounts: bool = False,
    ) -> Self:  # fmt: skip
        """A watch that continues where the snapshot was taken. Raises StaleData if it was taken with other owner sets."""
        watch = cls(instruments, detectors, tracking, rules, owners, for_accounts=for_accounts)
        watch._events.log_time = int(arrays["clock"][0])
        watch._take_owners()
        if watch._owners.digest != arrays["owners"].tobytes():
            raise StaleData(
                "the snapshot was made with other owner sets in effect: sets may be added before their time, not changed or removed after it; "
                "put them back, or let watch-trading read the log from its beginning"
            )
        watch._tracker.restore(arrays)
        watch._market.restore(arrays["market"])
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


def _digest_of(detectors: Sequence[Detector], *tables: Any) -> bytes:
    settings = [settings_of(one) for one in detectors]
    values = [(field.name, getattr(table, field.name)) for table in tables for field in fields(table)]
    return hashlib.blake2b(repr((settings, values)).encode(), digest_size=16).digest()
