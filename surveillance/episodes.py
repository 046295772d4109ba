"""Episodes: what one party does again in one instrument is one alert, which grows.

The first finding opens an episode and is revision 1 of its alert. Findings of the same pattern, instrument and accounts join it until QUIET_NS
pass without one; then it is closed by a last revision. A revision repeats the whole record, with its number, so the newest is all that a store
needs. After a revision the next waits REVISE_NS of log time and takes everything since with it: a storm of findings is a handful of records.

The score grows with repetition: FINRA asks for a pattern or practice, the Commodity Exchange Act for one act, so one finding is enough to open.
"""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any, Final

from schemas.codec import Rows
from schemas.instruments import InstrumentTable
from surveillance.alerts import EXPLAINED_MAX, Place, evidence_record, first_record, severity
from surveillance.contract import Finding, Rule
from surveillance.state_bytes import pack, unpack
from surveillance.wording import counted, counterfactual, seconds

Record = dict[str, Any]
Key = tuple[Any, ...]
SECOND_NS: Final = 1_000_000_000
REPEATED_PERMILLE: Final = 25
"""What each further finding adds to the score."""
REPEATED_PERMILLE_MAX: Final = 200


@dataclass(frozen=True)
class EpisodeRules:
    """Bounds of episodes."""

    quiet_ns: int = 600 * SECOND_NS
    """An episode is over when nothing joined it for so long."""
    revise_ns: int = 10 * SECOND_NS
    """Shortest time between two revisions, except the closing one."""
    evidence_max: int = 64
    """Orders and trades that an alert lists; the rest is counted."""
    episodes_max: int = 10_000
    """Open at once, ~20 KB each at most; then the one that has been quiet for longest is closed."""


@dataclass
class Episode:
    """An alert that may still grow."""

    record: Record
    strongest: int
    """Score of the strongest finding, permille."""
    last_at: int
    emitted_at: int
    changed: int = 0
    """1: something joined that no revision has yet."""


class Episodes:
    """All open episodes of one watch, by pattern, instrument and accounts; those that were quiet for longest first."""

    def __init__(
        self, instruments: InstrumentTable, digest: str, accounts_of: Callable[[int], tuple[int, ...]], rules: EpisodeRules
    ) -> None:
        self._instruments, self._digest, self._accounts_of, self.rules = instruments, digest, accounts_of, rules
        self._open: dict[Key, Episode] = {}
        self.next_due = 0
        """When something must be closed or revised; 0: never."""
        self.reference_digest = ""

    def __len__(self) -> int:
        return len(self._open)

    def take(self, finding: Finding, detector: Rule, now: int, where: Place) -> list[Record]:
        """A finding opens an episode or joins one. Returns the records to be written."""
        accounts = tuple(sorted({one for owner in finding.accounts or (finding.account,) for one in self._accounts_of(owner)}))
        key = (finding.pattern, finding.instrument, accounts)
        episode = self._open.pop(key, None)
        if episode is None:
            records = self._make_room(now, where)
            record = first_record(finding, detector, now, where, accounts, self._instruments, self._digest)
            record["evidence"] = record["evidence"][: self.rules.evidence_max]
            record["reference_digest"] = self.reference_digest
            self._open[key] = Episode(record, finding.score_permille, now, now)
            self._due(now + self.rules.quiet_ns)
            return [*records, _copy(record)]
        self._open[key] = episode  # now the last to become quiet
        self._join(episode, finding, now)
        if now - episode.emitted_at >= self.rules.revise_ns:
            return [self._revise(episode, now, where)]
        self._due(episode.emitted_at + self.rules.revise_ns)
        return []

    def advance(self, now: int, where: Place) -> list[Record]:
        """Log time is `now`: the revisions that are due."""
        if not self.next_due or now < self.next_due:
            return []
        records = []
        for key, episode in list(self._open.items()):
            if now - episode.last_at >= self.rules.quiet_ns:
                del self._open[key]
                records.append(self._close(episode, now, where))
            elif episode.changed and now - episode.emitted_at >= self.rules.revise_ns:
                records.append(self._revise(episode, now, where))
        self._set_due()
        return records

    def snapshot(self) -> Rows:
        """The whole state."""
        return pack([[list(key), asdict(episode)] for key, episode in self._open.items()])

    def restore(self, array: Rows) -> None:
        """Restore the state of a snapshot."""
        for (pattern, instrument, accounts), values in unpack(array):
            self._open[pattern, instrument, tuple(accounts)] = Episode(**values)
        self._set_due()

    def _join(self, episode: Episode, finding: Finding, now: int) -> None:
        record, instrument = episode.record, self._instruments.by_number[finding.instrument]
        episode.last_at, episode.changed = now, 1
        record["occurrences"] += 1
        record["window_start"] = min(record["window_start"], finding.window_start)
        record["window_end"] = now
        known = {_name(one) for one in record["evidence"]}
        added = [one for one in map(evidence_record, finding.evidence) if _name(one) not in known]
        record["evidence_total"] += len(added)
        record["evidence"] += added[: self.rules.evidence_max - len(record["evidence"])]
        if finding.score_permille > episode.strongest:
            episode.strongest = finding.score_permille
            record["steps"] = list(finding.steps(instrument))
            record["features"] = {one.name.replace(" ", "_"): one.value for one in finding.measures}
            record["counterfactual"] = counterfactual(finding.measures, instrument)
        score = min(1000, episode.strongest + min(REPEATED_PERMILLE_MAX, REPEATED_PERMILLE * (record["occurrences"] - 1)))
        record["score"], record["severity"] = score / 1000, severity(score)

    def _revise(self, episode: Episode, now: int, where: Place) -> Record:
        record = episode.record
        episode.emitted_at, episode.changed = now, 0
        record["revision"] += 1
        record["revised_at"], record["source"] = now, where.text
        times, span = record["occurrences"], record["window_end"] - record["window_start"]
        again = f"Seen {counted(times, 'time')} within {seconds(span)}." if times > 1 else ""
        record["explanation"] = " ".join([*record["steps"], again]).strip()[:EXPLAINED_MAX]
        return _copy(record)

    def _close(self, episode: Episode, now: int, where: Place) -> Record:
        episode.record["status"] = "CLOSED"
        return self._revise(episode, now, where)

    def _make_room(self, now: int, where: Place) -> list[Record]:
        records = []
        while len(self._open) >= self.rules.episodes_max:
            records.append(self._close(self._open.pop(next(iter(self._open))), now, where))
        return records

    def _due(self, at: int) -> None:
        self.next_due = min(self.next_due or at, at)

    def _set_due(self) -> None:
        rules = self.rules
        times = [one.last_at + rules.quiet_ns for one in self._open.values()]
        times += [one.emitted_at + rules.revise_ns for one in self._open.values() if one.changed]
        self.next_due = min(times, default=0)


def _copy(record: Record) -> Record:
    """The lists of an open record go on growing."""
    return {
        **record,
        "evidence": [dict(one) for one in record["evidence"]],
        "steps": list(record["steps"]),
        "features": dict(record["features"]),
    }


def _name(evidence: Record) -> tuple[Any, ...]:
    return evidence["role"], evidence["place"], evidence["order_id"], evidence["trd_match_id"]
