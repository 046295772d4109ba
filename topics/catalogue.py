"""Every topic of the exchange in one table: what it carries, how it is partitioned, how long it is kept."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from schemas.settings import Settings

_DAY_MS: Final = 86_400_000
FOREVER: Final = -1
CALENDAR: Final = "calendar"
"""Source of the frames of `run-market`; source_offset is the number of the step (schemas.market_hours)."""


@dataclass(frozen=True)
class Feed:
    """The shards that write frames to a topic."""

    topic: str
    """The topic that these shards read; they name it as the source of their frames."""
    crosses: bool
    """A shard writes to any partition, not only to that of its own number."""
    alone: bool
    """No customer, operator or clock writes frames there."""
    numbered: tuple[str, ...] = ()
    """Others who number their frames as shards do, so that each is taken once, whoever sends it and however often."""


@dataclass(frozen=True)
class Topic:
    """One topic. `partition_of` says what decides the partition. It is always explicit, never the hash of a key."""

    name: str
    schemas: tuple[str, ...]
    partition_of: str
    partitions: Callable[[Settings], int]
    retention_ms: int
    purpose: str
    feed: Feed | None = None
    waits_ms: int = 0
    """How long after a sending small records of it wait for one another, to be sent together (topics.sender). 0: a customer waits for it."""

    def config(self) -> dict[str, str]:
        """Kafka's topic settings. Inputs are never compacted: offset gaps would break Faust's run of acknowledged offsets."""
        return {
            "cleanup.policy": "delete", "retention.ms": str(self.retention_ms), "retention.bytes": "-1",
            "message.timestamp.type": "LogAppendTime",  # the broker's clock bounds what a sender may claim as time (shard_runner.clamp_time)
        }  # fmt: skip


def _account_shards(settings: Settings) -> int:
    return settings.account_shards


def _book_shards(settings: Settings) -> int:
    return settings.book_shards


def _edge_instances(settings: Settings) -> int:
    return settings.edge_instances


def _one(settings: Settings) -> int:
    return 1


ACCOUNT_COMMANDS: Final = Topic(
    "account.commands", ("order_command_frame", "new_order_single", "order_cancel_request", "book_report_frame", "shard_placement"),
    "account shard", _account_shards, FOREVER, "customers' commands, and the books' reports",
    Feed("book.commands", crosses=True, alone=False),
)  # fmt: skip
BOOK_COMMANDS: Final = Topic(
    "book.commands", ("book_command_frame", "shard_placement"), "book shard", _book_shards, FOREVER,
    "orders whose funds are held, and the phases of the day", Feed("account.commands", crosses=True, alone=False, numbered=(CALENDAR,)),
)  # fmt: skip
EXECUTIONS: Final = Topic(
    "executions", ("execution_frame",), "book shard", _book_shards, FOREVER, "the books' decisions; a trade exists only here",
    Feed("book.commands", crosses=False, alone=True), waits_ms=25,
)  # fmt: skip
ACCOUNT_EVENTS: Final = Topic(
    "account.events", ("account_event_frame",), "account shard", _account_shards, FOREVER, "orders accepted and refused, postings",
    Feed("account.commands", crosses=False, alone=True), waits_ms=50,
)  # fmt: skip
EDGE_REPLIES: Final = Topic(
    "edge.replies", ("account_event_frame",), "edge instance", _edge_instances, _DAY_MS, "answers and private updates for one edge",
    Feed("account.commands", crosses=True, alone=True),
)  # fmt: skip
MARKET_DATA: Final = Topic(
    "market.data", ("market_data_frame",), "book shard", _book_shards, 7 * _DAY_MS, "public trades, quotes, bars, levels",
    Feed("executions", crosses=False, alone=True), waits_ms=8,
)  # fmt: skip
PARTY_FACTS: Final = Topic(
    "party.facts", ("book_sums", "sign_in", "news"), "always 0", _one, FOREVER,
    "what parties did in each book by half minutes, from where accounts are opened, and news", Feed("executions", crosses=True, alone=False),
)  # fmt: skip
ALERTS: Final = Topic("alerts", ("alert",), "book shard", _book_shards, FOREVER, "suspicious patterns with their evidence")
CASES: Final = Topic(
    "cases", ("case_action",), "always 0", _one, FOREVER, "what analysts do with cases and suppressions, and which evidence they read",
)  # fmt: skip
DEAD_LETTERS: Final = Topic(
    "dead.letters", ("dead_letter",), "always 0", _one, 30 * _DAY_MS, "records that were refused, with reason and bytes",
)  # fmt: skip
SET_ASIDE: Final = Topic(
    "set.aside", ("set_aside",), "always 0", _one, FOREVER, "inputs that every shard skips, because it would stop at them",
)  # fmt: skip
ACCESS_EVENTS: Final = Topic(
    "access.events", ("access_event",), "always 0", _one, FOREVER, "who signed in, was refused, or changed something",
)  # fmt: skip

TOPICS: Final = (
    ACCOUNT_COMMANDS,
    BOOK_COMMANDS,
    EXECUTIONS,
    ACCOUNT_EVENTS,
    EDGE_REPLIES,
    MARKET_DATA,
    PARTY_FACTS,
    ALERTS,
    CASES,
    DEAD_LETTERS,
    SET_ASIDE,
    ACCESS_EVENTS,
)

COPIED: Final = (ACCOUNT_COMMANDS, BOOK_COMMANDS, EXECUTIONS, ACCOUNT_EVENTS, PARTY_FACTS, CASES, SET_ASIDE)
"""What another region has a copy of, record by record at the same offset (docs/regions.md): whatever cannot be made again from these.

Prices and alerts are made there from the copy. Facts of the books could be made again, but not their order among sign-ins and news. Who worked on the
exchange, and what was refused, each region keeps for itself.
"""
COPIED_NAMES: Final = frozenset(topic.name for topic in COPIED)
