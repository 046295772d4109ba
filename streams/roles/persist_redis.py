"""Persist to Redis: last price, top of book and last bar of each instrument. See streams.host.sink_feeder for how."""

from typing import Final

from schemas.settings import Settings
from sinks.redis.sink import RedisSink
from streams.host.sink_feeder import SinkRole, run_sink
from topics.roles import PERSIST_REDIS

GULP_WAIT_MS: Final = 100
"""Prices are looked at while they are new."""


def sink_role(settings: Settings) -> SinkRole:
    """Where it reads, and what it feeds."""
    return SinkRole(PERSIST_REDIS.name, PERSIST_REDIS.reads, RedisSink.connect, settings.redis_url, GULP_WAIT_MS)


def run(settings: Settings) -> None:
    """Run the role until it is stopped."""
    run_sink(settings, sink_role(settings))
