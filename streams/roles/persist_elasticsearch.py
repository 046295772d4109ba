"""Persist to Elasticsearch: every event as an audit document. See streams.host.sink_feeder for how."""

from typing import Final

from schemas.settings import Settings
from sinks.elastic.sink import ElasticSink
from streams.host.sink_feeder import SinkRole, run_sink
from topics.roles import PERSIST_ELASTICSEARCH

GULP_WAIT_MS: Final = 1000
"""A bulk request has a price of its own, in the store more than here, and an audit document is looked for by people."""


def sink_role(settings: Settings) -> SinkRole:
    """Where it reads, and what it feeds."""
    return SinkRole(PERSIST_ELASTICSEARCH.name, PERSIST_ELASTICSEARCH.reads, ElasticSink.connect, settings.elasticsearch_url, GULP_WAIT_MS)


def run(settings: Settings) -> None:
    """Run the role until it is stopped."""
    run_sink(settings, sink_role(settings))
