"""`outcry topics set-aside`: set one input of a shard aside, once a replay has shown that the shard stops there."""

from schemas.errors import OutcryError, StaleData
from schemas.instruments import load_instruments
from schemas.settings import Settings
from streams.host.read_log import Log, place
from streams.host.set_aside import append, read_set_aside, require_not_passed, require_stuck
from streams.host.shard_runner import ShardRunner
from streams.process.worker_identity import WorkerId
from streams.proofs.recorded_snapshots import read_snapshots
from streams.proofs.verified_roles import ROLES, Setup
from streams.roles.watch_trading import read_owner_sets
from topics.catalogue import ALERTS
from topics.roles import REPLICAS, changelog_topic


def set_aside_input(settings: Settings, topic: str, role: str | None, partition: int, offset: int, reason: str) -> str:
    """Write the entry and return the engine's error for the input. `role`: None for the topic's only reader.

    Raises OutcryError if the input does not exist, is already set aside, can be applied by the engine, or is behind the shard.
    """
    verified = next(one for one in ROLES.values() if one.source.name == topic and role in (None, one.role))
    name = verified.role
    with Log(settings) as log:
        bounds = log.bounds(topic, partition)
        if bounds is None or not bounds.low <= offset < bounds.high:
            raise OutcryError(f"{place(topic, partition)} has no offset {offset:,}: {'no such partition' if bounds is None else bounds}")
        aside = read_set_aside(log).of(name, partition)
        if offset in aside:
            raise OutcryError(f"{place(topic, partition)} offset {offset:,} is set aside already: {aside[offset]}")
        if verified.own is not ALERTS:  # they are rare, and no frames
            require_not_passed(log, topic, verified.own.name, partition, offset)
        counts = {one.name: log.partitions(one) for one in verified.needs}
        setup = Setup(load_instruments(settings.instruments_file), counts, read_owner_sets(settings))

        def newest() -> ShardRunner:
            """The shard at the newest snapshot of any replica; without one, at the beginning of the log."""
            workers = [WorkerId(name, letter) for letter in REPLICAS]
            kept = [one for one in workers if log.bounds(changelog_topic(one.group, verified.table), partition) is not None]
            found = [read_snapshots(log, one, verified.table, partition).newest for one in kept]
            snapshots = sorted((one for one in found if one is not None), key=lambda one: int(one.meta["next_offset"]))
            if not snapshots and bounds.low:
                raise StaleData(f"{place(topic, partition)} begins at {bounds.low:,}, and there is no snapshot")
            return ShardRunner(verified.make(partition, setup), snapshots[-1] if snapshots else None, aside)

        verified.warm()
        why = require_stuck(log, newest, topic, partition, offset)
    append(settings, name, topic, partition, offset, reason)
    return why
