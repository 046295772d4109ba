"""`outcry topics set-aside`: set one input of a shard aside, once a replay has shown that the shard stops there."""

from schemas.errors import OutcryError, StaleData
from schemas.instruments import load_instruments
from schemas.settings import Settings
from streams.host.read_log import Log, place
from streams.host.set_aside import append, read_set_aside, require_not_passed, require_stuck
from streams.host.shard_runner import Processor, ShardRunner
from streams.process.worker_identity import REPLICAS, WorkerId
from streams.proofs.recorded_snapshots import changelog_topic, read_snapshots
from streams.proofs.verify import ROLES
from streams.roles.watch_trading import WatchTrading, read_owner_sets

_WATCH = "watch-trading"
_TABLES = {one.role: one.table for one in ROLES.values()} | {_WATCH: "surveillance"}


def set_aside_input(settings: Settings, topic: str, role: str | None, partition: int, offset: int, reason: str) -> str:
    """Write the entry and return the engine's error for the input. `role`: None for the topic's only reader.

    Raises OutcryError if the input does not exist, is already set aside, can be applied by the engine, or is behind the shard.
    """
    verified = next(one for one in ROLES.values() if one.source.name == topic)
    name = role or verified.role
    with Log(settings) as log:
        bounds = log.bounds(topic, partition)
        if bounds is None or not bounds.low <= offset < bounds.high:
            raise OutcryError(f"{place(topic, partition)} has no offset {offset:,}: {'no such partition' if bounds is None else bounds}")
        aside = read_set_aside(log).of(name, partition)
        if offset in aside:
            raise OutcryError(f"{place(topic, partition)} offset {offset:,} is set aside already: {aside[offset]}")
        if name != _WATCH:  # its output is alerts, which are rare and no frames
            require_not_passed(log, topic, verified.own.name, partition, offset)
        instruments = load_instruments(settings.instruments_file)
        owner_sets = read_owner_sets(settings)
        counts = {one.name: log.partitions(one) for one in verified.needs}

        def processor() -> Processor:
            return WatchTrading(partition, instruments, owner_sets) if name == _WATCH else verified.make(partition, instruments, counts)

        def newest() -> ShardRunner:
            """The shard at the newest snapshot of any replica; without one, at the beginning of the log."""
            groups = [WorkerId(name, letter).group for letter in REPLICAS]
            kept = [one for one in groups if log.bounds(changelog_topic(one, _TABLES[name]), partition) is not None]
            found = [read_snapshots(log, one, _TABLES[name], partition).newest for one in kept]
            snapshots = sorted((one for one in found if one is not None), key=lambda one: int(one.meta["next_offset"]))
            if not snapshots and bounds.low:
                raise StaleData(f"{place(topic, partition)} begins at {bounds.low:,}, and there is no snapshot")
            return ShardRunner(processor(), snapshots[-1] if snapshots else None, aside)

        if name != _WATCH:
            verified.warm()
        why = require_stuck(log, newest, topic, partition, offset)
    append(settings, name, topic, partition, offset, reason)
    return why
