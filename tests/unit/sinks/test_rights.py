"""Rights in the stores: every table, key and request has somebody whose it is, and no login has all of them."""

import re
from pathlib import Path

import sinks.redis
from sinks.elastic.rights import RIGHTS as ELASTIC_RIGHTS
from sinks.elastic.rights import login_lines
from sinks.mysql.rights import ALL_TABLES, RIGHTS, user_statements
from sinks.mysql.schema import table_statements
from sinks.redis.rights import CACHE_RIGHTS, user_lines
from sinks.redis.rights import RIGHTS as REDIS_RIGHTS
from topics.rights import ADMINISTRATOR, LOGINS
from topics.roles import COPY_LOG, ROLES

TABLES = {match[1] for statement in table_statements() if (match := re.match(r"CREATE TABLE IF NOT EXISTS (\w+)", statement))}
WRITTEN_BY_COMMANDS = {"operator_tokens"}
"""Of operators, alone."""


def test_every_table_has_somebody_who_writes_it() -> None:
    """A table that is added to the schema needs a line in sinks/mysql/rights.py, or the role that fills it is refused in a secure set."""
    written = {
        table
        for login, rights in RIGHTS.items()
        if login != COPY_LOG.name
        for table, some in rights.items()
        if "INSERT" in some or "UPDATE" in some
    }
    assert written | WRITTEN_BY_COMMANDS == TABLES
    assert not written & WRITTEN_BY_COMMANDS


def test_the_sink_and_the_edge_write_no_table_of_one_another() -> None:
    """What is stored of the log is the sink's; people, keys and what customers keep is not."""
    own = {login: set(RIGHTS[login]) - {ALL_TABLES} for login in ("persist-mysql", "edge")}
    assert not own["persist-mysql"] & own["edge"]


def test_roles_with_a_store_have_a_login_there_and_others_have_none() -> None:
    """As topics/roles.py says who connects to what."""
    for store, logins in (("mysql", RIGHTS), ("redis", REDIS_RIGHTS), ("elasticsearch", ELASTIC_RIGHTS)):
        assert {name for name, role in ROLES.items() if store in role.stores} == set(logins) - {"operator", ADMINISTRATOR}, store
    assert set(CACHE_RIGHTS) <= {*LOGINS, ADMINISTRATOR}


def test_every_key_that_a_module_of_redis_makes_is_somebodys() -> None:
    """A kind of key that is added needs its place in sinks/redis/rights.py, or who uses it is refused in a secure set."""
    kinds = {kind for path in Path(str(sinks.redis.__path__[0])).glob("*.py") for kind in re.findall(r"\{PREFIX\}(\w+):", path.read_text())}
    assert {"session", "trader"} <= kinds
    for kind in kinds - {"rebuild", "cache"}:  # of the operator's commands; of the cache
        assert f"~outcry:{kind}:*" in REDIS_RIGHTS["edge"], kind


def test_no_role_administrates_a_store() -> None:
    """Only the supervisor does."""
    for login in {*RIGHTS, *REDIS_RIGHTS, *CACHE_RIGHTS} - {"operator", ADMINISTRATOR}:
        assert not any("ALL" in some for some in RIGHTS.get(login, {}).values()), login
        for rights in (REDIS_RIGHTS, CACHE_RIGHTS):
            assert "-@all" in rights.get(login, "-@all"), login
            assert "+@all" not in rights.get(login, ""), login


def test_users_are_made_with_tls_and_nobody_without_a_password() -> None:
    """In each store; the file of Elasticsearch has digests."""
    passwords = {name: f"secret-of-{name}" for name in (*LOGINS, ADMINISTRATOR)}
    made = list(user_statements(passwords))
    assert all("REQUIRE SSL" in one and "IDENTIFIED BY 'secret-of-" in one for one in made if one.startswith(("CREATE", "ALTER")))
    lines = list(user_lines(REDIS_RIGHTS, passwords))
    assert lines[0] == "user default off"
    assert all(f" >secret-of-{line.split()[1]} " in line for line in lines[1:])
    assert "secret-of-" not in "".join(login_lines(passwords))
