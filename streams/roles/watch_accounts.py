"""Watch accounts: look for patterns over several books, sign-ins and news.

In:     party.facts, one partition
Out:    alerts (partition = book shard of the alert's instrument): revisions of episodes
State:  what parties did lately and usually, open episodes, the detectors' own; table `parties`, see streams.host.shard_host
On failure: the process stops; replay raises the same alerts with the same ids. No customer waits for it.
"""

import hashlib
from typing import Final

import numpy as np

from schemas.codec import WRONG_SCHEMA, BadBytes, Frame, Header, decode_record
from schemas.instruments import InstrumentTable, load_instruments
from schemas.settings import Settings
from streams.host.run_role import run_role
from streams.host.shard_host import role_of
from streams.host.shard_runner import Emitter, Record, configuration_digest
from streams.host.snapshots import Arrays
from streams.roles.watch_trading import GULP_BYTES, GULP_WAIT_MS, read_owner_sets
from streams.transport.cluster import partition_counts
from streams.transport.consumer import consumer_class
from surveillance.accounts.facts import SCHEMAS, check, fact_of
from surveillance.accounts.watch import AccountsWatch
from surveillance.alerts import Place
from surveillance.owners import Owners
from topics.catalogue import ALERTS, PARTY_FACTS
from topics.partitioning import book_shard
from topics.roles import WATCH_ACCOUNTS
from topics.sources import Sources, sources_of

AHEAD_NS: Final = 1_000_000_000
"""A fact may be so far ahead of the broker's clock; a forged year 2200 would end every window."""


class WatchAccounts:
    """The second stage of surveillance over its partition of party.facts."""

    def __init__(self, shard: int, instruments: InstrumentTable, book_shards: int, owner_sets: str = "") -> None:
        """book_shards: partitions of alerts. owner_sets: the text of OUTCRY_OWNER_SETS_FILE. Raises BadOwnerSets."""
        self._shard, self._instruments, self._book_shards, self._owner_sets = shard, instruments, book_shards, owner_sets
        self._watch = AccountsWatch(instruments, Owners.of_toml(owner_sets))
        self._known = set(instruments.by_number)
        self._where = Place()

    @property
    def log_time(self) -> int:
        """The latest time of any fact, ns."""
        return self._watch.log_time

    @property
    def sources(self) -> Sources:
        """Every book shard; doors and operators beside them."""
        return sources_of(PARTY_FACTS, self._shard)

    def decode(self, record: Record) -> Frame:
        """One fact, as the only row of a frame. Raises BadBytes for what is none."""
        schema, stored = decode_record(record.value or b"")
        if schema not in SCHEMAS:
            raise BadBytes(WRONG_SCHEMA, f"{schema} does not belong here; expected {' or '.join(SCHEMAS)}")
        fact = fact_of(schema, stored)
        fact["at"] = min(fact["at"], record.time_ns + AHEAD_NS)
        check(fact, self._known)
        self._where = Place(record.topic, record.partition, record.offset)
        rows = np.empty(1, object)
        rows[0] = fact
        made_at: int = stored["created_at"] if schema == "news" else fact["at"]
        return Frame(schema, Header(fact["source"], fact["source_offset"], fact["source_index"], created_at=made_at), rows)

    def apply(self, frame: Frame, emit: Emitter) -> None:
        """Raise the alerts that this fact completes."""
        for alert in self._watch.apply(frame.rows[0], self._where):
            emit.record(ALERTS, book_shard(alert["instrument"], self._book_shards), "alert", alert)

    def snapshot(self) -> Arrays:
        """Named arrays of parties and detectors."""
        return self._watch.snapshot()

    def restore(self, arrays: Arrays) -> None:
        """Restore a snapshot."""
        self._watch = AccountsWatch.restore(self._instruments, dict(arrays), Owners.of_toml(self._owner_sets))

    def state_hash(self) -> bytes:
        """The watch's hash."""
        return self._watch.state_hash()

    def configuration(self) -> bytes:
        """The instruments, the number of book shards, and every parameter of the detectors."""
        text = configuration_digest(self._instruments, self._shard, self._book_shards) + self._watch.configuration
        return hashlib.blake2b(text, digest_size=16).digest()


def run(settings: Settings) -> None:
    """Run the role until it is stopped."""
    instruments, owner_sets = load_instruments(settings.instruments_file), read_owner_sets(settings)
    books = partition_counts(settings, ALERTS)[ALERTS.name]
    gulping = consumer_class(GULP_BYTES, GULP_WAIT_MS)
    run_role(settings, role_of(WATCH_ACCOUNTS, lambda shard: WatchAccounts(shard, instruments, books, owner_sets), consumer=gulping))
