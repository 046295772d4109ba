"""Rights in Kafka are made of the tables of roles and senders: enough for what each does, and no more."""

from topics.catalogue import ACCOUNT_COMMANDS, BOOK_COMMANDS, COPIED, EXECUTIONS, SET_ASIDE, TOPICS
from topics.rights import LOGINS, SUPER_USERS, Right, kafka_rights, topics_read, topics_written
from topics.roles import COPY_LOG, ROLES
from topics.speakers import OPERATOR, PRODUCER, WRITERS


def test_a_login_writes_what_its_records_are_believed_in() -> None:
    """Kafka and readers decide by one table."""
    for login in LOGINS:
        believed = {topic for topic, senders in WRITERS.items() if any(login in some for some in senders.values())}
        copied = {topic.name for topic in COPIED} if login == COPY_LOG.name else set()  # as others have signed it
        assert topics_written(login) == believed | copied, login


def test_a_role_reads_its_inputs_and_what_it_looks_up() -> None:
    """Nothing else of the catalogue."""
    for name, role in ROLES.items():
        assert topics_read(name) == {topic.name for topic in (*role.reads, *role.looks_at)}, name


def test_nobody_has_every_right() -> None:
    """No login reads and writes everything, and none has a right on a name that is not its own."""
    for login in LOGINS:
        assert topics_written(login) < {topic.name for topic in TOPICS}, login
        if login != OPERATOR:
            assert not any(right.prefixed for right in kafka_rights(login)), login
    assert not set(SUPER_USERS) & set(LOGINS)


def test_a_producer_writes_orders_and_reads_nothing() -> None:
    """Whoever writes for customers."""
    assert kafka_rights(PRODUCER) == {Right("topic", ACCOUNT_COMMANDS.name, "WRITE")}


def test_each_replica_has_a_group_and_a_changelog_of_its_own() -> None:
    """Of roles that have replicas; no other role has a right on them."""
    own = {right.name for right in kafka_rights("match-orders") if right.operation in ("READ", "CREATE")} - {
        BOOK_COMMANDS.name,
        SET_ASIDE.name,
    }
    assert {
        "outcry-match-orders",
        "outcry-match-orders-b",
        "outcry-match-orders-books-changelog",
        "outcry-match-orders-b-books-changelog",
    } <= own
    for login in set(LOGINS) - {"match-orders", OPERATOR}:
        assert not own & {right.name for right in kafka_rights(login) if right.operation != "DESCRIBE" or login != COPY_LOG.name}, login


def test_the_edge_may_ask_how_far_the_sink_is_and_not_move_it() -> None:
    """By the group of persist-mysql, and the ends of what that reads."""
    rights = kafka_rights("edge")
    assert Right("group", "outcry-persist-mysql", "DESCRIBE") in rights
    assert Right("group", "outcry-persist-mysql", "READ") not in rights
    assert Right("topic", "account.events", "DESCRIBE") in rights
    assert Right("topic", EXECUTIONS.name, "WRITE") not in rights
