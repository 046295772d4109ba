"""Every role of the exchange in one table: what it reads and writes, where it keeps its state, and how it may be run.

Entry points, the supervisor, `outcry verify`, the edge's check of the sinks and the compose files use it. It is in this package because both
`streams` and `edge` need it, and neither may import the other.
"""

from dataclasses import dataclass
from typing import Final

from topics.catalogue import (
    ACCESS_EVENTS,
    ACCOUNT_COMMANDS,
    ACCOUNT_EVENTS,
    ALERTS,
    BOOK_COMMANDS,
    CASES,
    COPIED,
    DEAD_LETTERS,
    EDGE_REPLIES,
    EXECUTIONS,
    FOREVER,
    MARKET_DATA,
    PARTY_FACTS,
    SET_ASIDE,
    TOPICS,
    Topic,
)

GROUP_PREFIX: Final = "outcry-"
REPLICAS: Final = "abcdefgh"
"""Letters of active-active replicas; a role that has one only is the first."""
REPLICAS_OF_REGION: Final = 2
REGIONS_MAX: Final = len(REPLICAS) // REPLICAS_OF_REGION


@dataclass(frozen=True)
class RoleEntry:
    """One role: a kind of process, started by `outcry worker NAME`."""

    name: str
    runs: str
    """module:function; the function takes the Settings and returns when the role has stopped."""
    purpose: str
    reads: tuple[Topic, ...]
    """The first one is the input whose partitions the workers share."""
    writes: tuple[Topic, ...] = ()
    table: str = ""
    """Table of its snapshots; empty for a role whose state is elsewhere."""
    replicas: bool = False
    """May run active-active: its outputs are frames with source marks, or records with an id made from their evidence."""
    workers: bool = True
    """Several may share its partitions. An edge owns a partition of edge.replies instead (OUTCRY_EDGE_INSTANCE)."""
    compiled: bool = False
    """Needs kernels, which are compiled at the first start."""
    critical: bool = True
    """A customer waits for it. Others run at low priority and fetch in bulk."""
    optional: bool = False
    """Not among all roles: started by its name, because it needs something that an operator has to make first."""
    stores: tuple[str, ...] = ()
    """What it connects to besides Kafka: mysql, redis, elasticsearch."""
    files: bool = False
    """Keeps files in its home that are nowhere else, and so needs a disk that outlives it."""
    calls_out: bool = False
    """Calls addresses outside of the exchange, which an operator gives it."""
    looks_at: tuple[Topic, ...] = ()
    """Topics that it looks something up in, beside those that it reads from their beginning to their end."""
    copies: bool = False
    """Appends what it reads in another region's log to the topics of the same names here, as it is: others have signed it."""
    watches: tuple[str, ...] = ()
    """Roles of which it asks how far they have come, and where their inputs end."""

    def letters(self, region: int) -> str:
        """Of its replicas in a region: each region has two of its own, and a region that is alone has all."""
        return REPLICAS[REPLICAS_OF_REGION * (region - 1) :] if self.replicas else REPLICAS[0]

    @property
    def moves(self) -> bool:
        """Whether its shards have placements (streams.host.placement): it must be the only reader of its input, and may have replicas."""
        return self.replicas and "shard_placement" in self.reads[0].schemas

    @property
    def follows(self) -> bool:
        """Whether its shards make again, in a copy of another region's log, what is in that log (streams.host.outbox)."""
        return bool(self.table) and not set(COPIED).isdisjoint(self.writes)

    @property
    def group(self) -> str:
        """The consumer group of its first replica."""
        return GROUP_PREFIX + self.name

    def replica(self, letter: str) -> str:
        """One of its replicas by name; the first has the name of the role."""
        return self.name if letter == REPLICAS[0] else f"{self.name}-{letter}"


def changelog_topic(group: str, table: str) -> str:
    """Faust's name for the changelog of a table. group: the role, or its replica: match-orders, match-orders-b."""
    return f"{GROUP_PREFIX}{group}-{table}-changelog"


HOLD_FUNDS: Final = RoleEntry(
    "hold-funds", "streams.roles.hold_funds:run", "accepts orders and holds their funds; settles", (ACCOUNT_COMMANDS,),
    (ACCOUNT_EVENTS, BOOK_COMMANDS, EDGE_REPLIES, DEAD_LETTERS), table="accounts", replicas=True, compiled=True, looks_at=(SET_ASIDE,),
)  # fmt: skip
MATCH_ORDERS: Final = RoleEntry(
    "match-orders", "streams.roles.match_orders:run", "matches orders", (BOOK_COMMANDS,), (EXECUTIONS, ACCOUNT_COMMANDS, DEAD_LETTERS),
    table="books", replicas=True, compiled=True, looks_at=(SET_ASIDE,),
)  # fmt: skip
PUBLISH_MARKET_DATA: Final = RoleEntry(
    "publish-market-data", "streams.roles.publish_market_data:run", "makes public prices of executions", (EXECUTIONS,), (MARKET_DATA, DEAD_LETTERS),
    table="market_data", replicas=True, looks_at=(SET_ASIDE,),
)  # fmt: skip
WATCH_TRADING: Final = RoleEntry(
    "watch-trading", "streams.roles.watch_trading:run", "looks for suspicious patterns", (EXECUTIONS,), (ALERTS, PARTY_FACTS, DEAD_LETTERS),
    table="surveillance", replicas=True, critical=False, looks_at=(SET_ASIDE,),
)  # fmt: skip
WATCH_ACCOUNTS: Final = RoleEntry(
    "watch-accounts", "streams.roles.watch_accounts:run", "looks for patterns over several books, sign-ins and news", (PARTY_FACTS,),
    (ALERTS, DEAD_LETTERS), table="parties", replicas=True, critical=False, looks_at=(SET_ASIDE,),
)  # fmt: skip
PERSIST_MYSQL: Final = RoleEntry(
    "persist-mysql", "streams.roles.persist_mysql:run", "stores orders, trades, postings, alerts, cases and news in MySQL",
    (EXECUTIONS, ACCOUNT_EVENTS, ALERTS, CASES, PARTY_FACTS), (DEAD_LETTERS,), critical=False, stores=("mysql",),
)  # fmt: skip
PERSIST_REDIS: Final = RoleEntry(
    "persist-redis", "streams.roles.persist_redis:run", "keeps the newest prices in Redis", (MARKET_DATA,), (DEAD_LETTERS,), critical=False,
    stores=("redis",),
)  # fmt: skip
PERSIST_ELASTICSEARCH: Final = RoleEntry(
    "persist-elasticsearch", "streams.roles.persist_elasticsearch:run", "stores the audit trail in Elasticsearch",
    (EXECUTIONS, ACCOUNT_EVENTS, ALERTS), (DEAD_LETTERS,), critical=False, stores=("elasticsearch",),
)  # fmt: skip
EDGE: Final = RoleEntry(
    "edge", "edge.app:run", "serves customers over HTTP and WebSocket", (EDGE_REPLIES, MARKET_DATA, CASES),
    (ACCOUNT_COMMANDS, ACCESS_EVENTS, PARTY_FACTS, CASES), workers=False, stores=("mysql", "redis", "elasticsearch"),
    looks_at=(EXECUTIONS, ACCESS_EVENTS), watches=("persist-mysql",),
)  # fmt: skip

AUDIT_LOG: Final = RoleEntry(
    "audit-log", "streams.roles.audit_log:run", "commits to every record in signed Merkle trees (needs `outcry audit keys create`)",
    tuple(topic for topic in TOPICS if topic.retention_ms == FOREVER), workers=False, critical=False, optional=True, files=True,
    calls_out=True,
)  # fmt: skip

RUN_MARKET: Final = RoleEntry(
    "run-market", "streams.roles.run_market:run", "opens and closes the market by its calendar (else `outcry session` does)", (BOOK_COMMANDS,),
    (BOOK_COMMANDS,), workers=False, critical=False, optional=True,
)  # fmt: skip

ARCHIVE: Final = RoleEntry(
    "archive", "streams.roles.archive:run", "writes executions, account events and market data to Parquet files (needs the extra `archive`)",
    (EXECUTIONS, ACCOUNT_EVENTS, MARKET_DATA), workers=False, critical=False, optional=True, files=True,
)  # fmt: skip

MAKE_REPORTS: Final = RoleEntry(
    "make-reports", "streams.compliance.make_reports:run", "makes the regulatory reports of each day that is over (needs `outcry report reference`)",
    (EXECUTIONS, ACCOUNT_EVENTS), workers=False, critical=False, optional=True, files=True,
)  # fmt: skip

RUN_FUNCTIONS: Final = RoleEntry(
    "run-functions", "streams.roles.run_functions:run", "runs users' functions on the stream, and delivers their alerts",
    (MARKET_DATA, EXECUTIONS, ACCOUNT_EVENTS), (DEAD_LETTERS,), workers=False, critical=False, optional=True, files=True, calls_out=True,
)  # fmt: skip

FORECAST_LOAD: Final = RoleEntry(
    "forecast-load", "streams.roles.forecast_load:run", "says how many processes of each role the coming hour takes (needs the extra `forecast`)",
    (EXECUTIONS,), workers=False, critical=False, optional=True,
)  # fmt: skip

COPY_LOG: Final = RoleEntry(
    "copy-log", "streams.regions.copy_log:run", "appends another region's log to a copy, each record at the same offset (needs OUTCRY_COPIES_FROM)",
    COPIED, workers=False, optional=True, stores=("mysql",), copies=True, calls_out=True,
)  # fmt: skip  # critical: what it has not brought yet is lost with the other region

ROLES: Final = {
    one.name: one
    for one in (
        HOLD_FUNDS, MATCH_ORDERS, PUBLISH_MARKET_DATA, WATCH_TRADING, WATCH_ACCOUNTS, PERSIST_MYSQL, PERSIST_REDIS, PERSIST_ELASTICSEARCH, AUDIT_LOG,
        RUN_MARKET, ARCHIVE, MAKE_REPORTS, RUN_FUNCTIONS, FORECAST_LOAD, COPY_LOG, EDGE,
    )
}  # fmt: skip
