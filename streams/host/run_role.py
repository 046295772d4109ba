"""Run a role with a state machine: everything that its process has."""

import time
from collections.abc import Awaitable, Callable
from typing import Any

import structlog

from schemas.settings import Settings
from streams.host.set_aside import set_aside_of
from streams.host.shard_host import Role, ShardHost
from streams.host.takeover import LOOK_EVERY_S, AskKafka, FollowCopy, Takeover, patience_s
from streams.host.traced_shard import TracedShard
from streams.process.health import HealthServer
from streams.process.logging import configure_logging
from streams.process.record_keys import record_keys
from streams.process.spans import span_teller
from streams.transport.app import TP, App, make_app, run_app, snapshot_table
from streams.transport.cluster import partition_counts
from streams.transport.credentials import native_client_of
from streams.transport.lag import LAG_EVERY_S
from streams.transport.log_ends import end_for
from topics.order_traces import OrderTraces
from topics.own_log import LogOwner, NotOurs, Successor
from topics.roles import ROLES

log = structlog.get_logger("outcry.streams")


def run_role(settings: Settings, role: Role, prepare: Callable[[], object] | None = None) -> None:
    """Run a role until it is stopped. `prepare` (for example, compiling) is done before the consumer group is joined."""
    configure_logging(settings.log_level, role.name)
    partitions = partition_counts(settings, role.source)[role.source.name]
    keys = record_keys(settings, role.name)
    app = make_app(settings, role.name, keys.signer(role.name), role.consumer)
    table = snapshot_table(app, role.table, partitions, settings.insync_copies_min)
    entry = ROLES[role.name]
    movable, owner = entry.moves, LogOwner(settings.kafka_url)
    copies = entry.follows and owner.is_copy()
    successor = Successor(settings.copied_to) if movable and settings.copied_to else None
    if successor is not None and (why := successor.why_stop()):
        raise NotOurs(why)
    host = ShardHost(
        app, settings, role, table, set_aside=set_aside_of(settings), keys=keys, replica=settings.worker_replica, copies=copies,
        traced=traced_shard(settings, role.name),
    )  # fmt: skip
    health = HealthServer(settings, role.name, host.not_ready, host.status)
    if prepare is not None:
        started = time.monotonic()
        prepare()
        log.info("prepared", seconds=round(time.monotonic() - started, 3))
    app.agent(app.topic(role.source.name, key_type=bytes, value_type=bytes), name=role.name)(host.consume)
    app.on_partitions_revoked.connect(_revoked_handler(host), weak=False)
    host.suspicious.register()
    app.task(health.start)
    app.timer(LAG_EVERY_S)(host.measure_lag)
    app.timer(LAG_EVERY_S)(host.check_ends)
    if copies:
        app.timer(LOOK_EVERY_S)(FollowCopy(host, role.source.name, native_client_of(app)).look)
        if not movable:  # nobody places its shards after a take-over
            app.task(lambda: _end_copy(host, owner))
    elif movable:
        committed = AskKafka(entry, native_client_of(app))
        app.timer(LOOK_EVERY_S)(Takeover(host, role.source.name, committed, patience_s(settings.snapshot_interval_ms)).look)
    if successor is not None:
        app.task(lambda: successor.watch(lambda why: end_for(why, "another region has taken over")))
    if role.tick is not None:
        app.timer(role.tick.seconds)(host.tick)
    run_app(app, settings)


async def _end_copy(host: ShardHost, owner: LogOwner) -> None:
    await owner.until_own()
    await host.end_copy()


def traced_shard(settings: Settings, role: str) -> TracedShard | None:
    """None where no traces are wanted. Raises OutcryError."""
    tell = span_teller(settings, role)
    return None if tell is None else TracedShard(role, OrderTraces(settings.traces_share), tell)


def _revoked_handler(host: ShardHost) -> Callable[..., Awaitable[None]]:
    async def on_revoked(_app: App, revoked: set[TP], **_: Any) -> None:
        await host.on_revoked(revoked)

    return on_revoked
