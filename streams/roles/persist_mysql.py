"""Persist to MySQL: the system of record: orders, executions, trades, postings, alerts, cases, news. See streams.host.sink_feeder for how."""

from functools import partial
from typing import Final

from schemas.settings import Settings
from sinks.mysql.servers import ServersFile
from sinks.mysql.sink import PASSED_BY, MySqlSink
from streams.host.sink_feeder import SinkRole, run_sink
from surveillance.cases.desk import decide
from topics.roles import PERSIST_MYSQL

GULP_WAIT_MS: Final = 250
"""A commit has a price of its own; what customers see at once is in the memory of the edge."""


def sink_role(settings: Settings) -> SinkRole:
    """Where it reads, and what it feeds."""
    servers = ServersFile(settings.mysql_servers_file) if settings.mysql_servers_file is not None else None
    connect = partial(MySqlSink.connect, decide=decide, servers=servers)
    return SinkRole(
        PERSIST_MYSQL.name, PERSIST_MYSQL.reads, connect, settings.mysql_url, GULP_WAIT_MS, may_fall_back=servers is not None, passed_by=PASSED_BY
    )  # fmt: skip


def run(settings: Settings) -> None:
    """Run the role until it is stopped."""
    run_sink(settings, sink_role(settings))
