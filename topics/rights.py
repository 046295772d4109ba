"""What each login may do in Kafka, made from the tables of roles, topics and senders. No I/O.

A role reads what `topics.roles` says that it reads, writes what `topics.speakers` lets it say, and has its groups, its changelog and nothing else. Records prove their senders in
any case (topics.speakers): this is what keeps a stolen login of one role from filling or reading the topics of others.
"""

from typing import Final, NamedTuple

from topics.catalogue import ACCOUNT_COMMANDS, COPIED, TOPICS, Topic
from topics.roles import COPY_LOG, GROUP_PREFIX, REPLICAS, ROLES, RoleEntry, changelog_topic
from topics.speakers import OPERATOR, PRODUCER, WRITERS

ADMINISTRATOR: Final = "administrator"
"""The supervisor, `outcry topics create` and `outcry recover`: may do everything."""
BROKER: Final = "broker"
"""Brokers to one another."""
SUPER_USERS: Final = (BROKER, ADMINISTRATOR)
LOGINS: Final = (*ROLES, OPERATOR, PRODUCER)
"""Whoever has rights here, and so a login."""
READERS: Final = ("outcry-reader", "outcry-offsets", "outcry-read-log")
"""Groups that nobody joins: librdkafka wants a name, and asks who would coordinate it."""


class Right(NamedTuple):
    """One entry of an access control list. kind: topic or group. prefixed: for every name that begins so."""

    kind: str
    name: str
    operation: str
    prefixed: bool = False


_OWNER: Final = Right("topic", ACCOUNT_COMMANDS.name, "DESCRIBE_CONFIGS")


def kafka_rights(login: str) -> frozenset[Right]:
    """Of one of LOGINS."""
    writes = {Right("topic", name, "WRITE") for name, senders in WRITERS.items() if any(login in some for some in senders.values())}
    if login == PRODUCER:
        return frozenset(writes)
    return frozenset({*writes, *(_operators() if login == OPERATOR else _rights_of(ROLES[login]))})


def topics_read(login: str) -> frozenset[str]:
    """The topics of the catalogue that a login may read."""
    return frozenset(one.name for one in kafka_rights(login) if one.kind == "topic" and one.operation == "READ") & _names(TOPICS)


def topics_written(login: str) -> frozenset[str]:
    """The topics of the catalogue that a login may write."""
    return frozenset(one.name for one in kafka_rights(login) if one.kind == "topic" and one.operation == "WRITE") & _names(TOPICS)


def _rights_of(role: RoleEntry) -> list[Right]:
    found = [Right("topic", name, "READ") for name in _names((*role.reads, *role.looks_at))]
    found += [Right("group", name, "DESCRIBE") for name in (*READERS, *(f"{GROUP_PREFIX}{other}" for other in role.watches))]
    found += [Right("topic", name, "DESCRIBE") for other in role.watches for name in _names(ROLES[other].reads)]
    if role.copies or set(role.writes) & set(COPIED):  # before it appends, it asks whose the log is (topics.own_log)
        found.append(_OWNER)
    if role.copies:
        found += [Right("topic", name, "WRITE") for name in _names(role.reads)]
        followed = [other.replica(letter) for other in ROLES.values() if other.follows for letter in REPLICAS]
        found += [Right("group", f"{GROUP_PREFIX}{replica}", "DESCRIBE") for replica in followed]
    if role.table and role.replicas:  # to see what the copy of another region covers
        found.append(Right("group", COPY_LOG.group, "DESCRIBE"))
    for letter in REPLICAS if role.replicas else REPLICAS[:1]:
        replica = role.replica(letter)
        found.append(Right("group", f"{GROUP_PREFIX}{replica}", "READ"))
        if role.table:
            found += [Right("topic", changelog_topic(replica, role.table), operation) for operation in ("READ", "WRITE", "CREATE")]
    return found


def _operators() -> list[Right]:
    """`outcry` reads every topic, and changelogs too."""
    return [
        *(Right("topic", name, "READ") for name in _names(TOPICS)),
        Right("topic", GROUP_PREFIX, "READ", prefixed=True),
        Right("group", GROUP_PREFIX, "DESCRIBE", prefixed=True),
        _OWNER,
    ]


def _names(topics: tuple[Topic, ...]) -> frozenset[str]:
    return frozenset(topic.name for topic in topics)
