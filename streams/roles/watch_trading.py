"""Watch trading: look for suspicious patterns in each book shard's executions.

In:     executions (partition = book shard)
Out:    alerts (same partition): revisions of episodes; party.facts: what parties did in each half minute, for watch-accounts
State:  tracked orders, the market, open episodes, the detectors' own; table `surveillance`, see streams.host.shard_host
On failure: the process stops; replay raises the same alerts with the same ids, and tells the same facts.
"""

import hashlib

from schemas.codec import Frame, decode_frame
from schemas.errors import OutcryError
from schemas.instruments import InstrumentTable, load_instruments
from schemas.settings import Settings
from streams.host.run_role import run_role
from streams.host.shard_host import role_of
from streams.host.shard_runner import Emitter, Record, configuration_digest
from streams.host.snapshots import Arrays
from streams.transport.consumer import consumer_class
from surveillance.accounts.facts import identified
from surveillance.alerts import Place
from surveillance.owners import BadOwnerSets, Owners
from surveillance.watch import TradingWatch
from topics.catalogue import ALERTS, EXECUTIONS, PARTY_FACTS
from topics.roles import WATCH_TRADING
from topics.sources import Sources, sources_of

GULP_BYTES = 1 << 20
GULP_WAIT_MS = 100
"""An alert may come 100 ms later. Reading in bulk leaves the processor to what an execution waits for."""


class WatchTrading:
    """The detectors over one partition of executions."""

    def __init__(self, shard: int, instruments: InstrumentTable, owner_sets: str = "") -> None:
        """`owner_sets`: the text of OUTCRY_OWNER_SETS_FILE. Raises BadOwnerSets."""
        self._shard, self._instruments, self._owner_sets = shard, instruments, owner_sets
        self._watch = TradingWatch(instruments, owners=Owners.of_toml(owner_sets), for_accounts=True)
        self._where = Place()

    @property
    def log_time(self) -> int:
        """Log time of the shard, ns."""
        return self._watch.log_time

    @property
    def sources(self) -> Sources:
        """The book shard of the same number."""
        return sources_of(EXECUTIONS, self._shard)

    def decode(self, record: Record) -> Frame:
        """A frame of executions."""
        frame = decode_frame(record.value or b"", "execution_frame")
        self._where = Place(record.topic, record.partition, record.offset, frame.header.first_seq)
        return frame

    def apply(self, frame: Frame, emit: Emitter) -> None:
        """Raise the alerts that this frame completes, and tell of the half minutes that it ends."""
        for alert in self._watch.apply(frame.rows, self._where):
            emit.record(ALERTS, self._shard, "alert", alert)
        facts = (fact for half in self._watch.sums() for fact in half.records())
        for index, fact in enumerate(facts):
            emit.record(PARTY_FACTS, 0, "book_sums", identified(fact, f"{EXECUTIONS.name}/{self._shard}", self._where.offset, index))

    def snapshot(self) -> Arrays:
        """Named arrays of the detectors."""
        return self._watch.snapshot()

    def restore(self, arrays: Arrays) -> None:
        """Restore a snapshot."""
        self._watch = TradingWatch.restore(self._instruments, dict(arrays), owners=Owners.of_toml(self._owner_sets), for_accounts=True)

    def state_hash(self) -> bytes:
        """The detectors' hash."""
        return self._watch.state_hash()

    def configuration(self) -> bytes:
        """The instruments, which explanations name, and every parameter of the detectors."""
        text = configuration_digest(self._instruments, self._shard) + self._watch.configuration
        return hashlib.blake2b(text, digest_size=16).digest()


def read_owner_sets(settings: Settings) -> str:
    """The owner sets as text, checked; empty if no file is named. Raises OutcryError."""
    path = settings.owner_sets_file
    if path is None:
        return ""
    try:
        text = path.read_text("utf-8")
        Owners.of_toml(text)
    except (OSError, UnicodeDecodeError, BadOwnerSets) as error:
        raise OutcryError(f"OUTCRY_OWNER_SETS_FILE {path}: {error}") from None
    return text


def run(settings: Settings) -> None:
    """Run the role until it is stopped."""
    instruments, owner_sets = load_instruments(settings.instruments_file), read_owner_sets(settings)
    gulping = consumer_class(GULP_BYTES, GULP_WAIT_MS)
    run_role(settings, role_of(WATCH_TRADING, lambda shard: WatchTrading(shard, instruments, owner_sets), consumer=gulping))
