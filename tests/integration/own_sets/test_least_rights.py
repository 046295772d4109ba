"""A secure set: the exchange trades on it, and whoever has one login, or none, gets no further than that login's rights.

Each attempt is an attack. The same attempt succeeds on a set without this protection (the last tests), so these can fail.
"""

import asyncio
import json
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import aiohttp
import aiomysql
import pytest
from least_rights_session import committed, metadata_of, read, written
from redis import Redis
from redis.exceptions import AuthenticationError, NoPermissionError, ResponseError

from outcry.client import Client
from schemas.enums import Phase
from schemas.errors import ServiceUnavailable
from schemas.logins import MARK, PLAIN, address_of, named, read_login, with_login
from schemas.settings import Settings
from sinks.elastic.client import open_elasticsearch
from sinks.elastic.queries import refresh, trade_count
from sinks.mysql import people
from sinks.mysql.pool import MySql
from sinks.redis.client import client_of
from sinks.redis.rights import CACHE_RIGHTS, RIGHTS
from streams.operate.accounts import Opening, make_api_keys, open_accounts, store_api_keys
from streams.operate.command_books import change_session
from streams.process import service_keys
from streams.process.authority import make_authority, make_certificate, serial_in
from streams.services.certificates import reload_certificates
from streams.services.commands import role_names
from streams.services.local_set import LocalSet
from streams.services.recipes.ports import choose
from streams.transport.cluster import metadata
from topics.catalogue import EXECUTIONS, TOPICS
from topics.kafka_clients import native_client
from topics.rights import LOGINS, topics_read, topics_written

NAMES = frozenset(topic.name for topic in TOPICS)
WAIT_S = 300.0
CASH_MINOR, LOTS = 10_000_000 * 10_000, 100_000


@pytest.fixture(scope="module")
def secure(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Settings]:
    """Every service and role, with TLS and logins."""
    home = tmp_path_factory.mktemp("secure")
    local = LocalSet(Settings(home=home, edge_port=choose(home, ["edge"])["edge"], secure=True))
    with local.running(roles=role_names()) as settings:
        yield settings


@pytest.fixture(scope="module")
def traders(secure: Settings) -> list[Any]:
    """Keys of two accounts with cash and shares, in an open market."""
    change_session(secure, Phase.CONTINUOUS)
    open_accounts(secure, [Opening(account, CASH_MINOR, {1: LOTS}) for account in (1, 2)])
    keys = make_api_keys((1, 2))
    store_api_keys(secure, keys)
    return keys


@pytest.fixture(scope="module")
def unprotected(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Settings]:
    """The same services without TLS and logins, and with their topics."""
    from streams.operate.topics import create_topics

    with LocalSet(Settings(home=tmp_path_factory.mktemp("open"))).running(services=("kafka", "mariadb", "valkey")) as settings:
        create_topics(settings)
        yield settings


def when(condition: Any, what: str) -> None:
    """Return when the condition holds."""
    deadline = time.monotonic() + WAIT_S
    while not condition():
        assert time.monotonic() < deadline, f"not within {WAIT_S:g} s: {what}"
        time.sleep(0.05)


def edge_of(settings: Settings) -> str:
    """Where the edge is."""
    return f"http://127.0.0.1:{json.loads((settings.run_dir / 'edge.json').read_text())['port']}"


def mysql_as(settings: Settings, login: str, *statements: str) -> list[Any]:
    """Rows of the last statement. Raises ServiceUnavailable, or the client's error."""

    async def run() -> list[Any]:
        db = await MySql.connect(named(settings.mysql_url, login), size_max=1)
        try:
            async with db.transaction() as transaction:
                for statement in statements[:-1]:
                    await transaction.execute(statement)
                return await transaction.fetch(statements[-1])
        finally:
            await db.close()

    return asyncio.run(run())


def redis_as(url: str, login: str, *command: str) -> Any:
    """The answer. Raises the client's error."""

    async def run() -> Any:
        client = client_of(named(url, login))
        try:
            return await client.execute_command(*command)
        finally:
            await client.aclose()

    return asyncio.run(run())


def document_count(settings: Settings) -> int:
    """Trades in Elasticsearch."""

    async def run() -> int:
        client = open_elasticsearch(settings.elasticsearch_url)
        try:
            await refresh(client)
            return await trade_count(client)
        finally:
            await client.close()

    return asyncio.run(run())


def test_the_exchange_trades_with_tls_and_logins(secure: Settings, traders: list[Any]) -> None:
    """Two orders meet; the trade is in MySQL, its price in Redis: every role has the rights that it needs."""
    seller, buyer = traders
    order = {"symbol": "AAPL", "ord_type": "limit", "time_in_force": "day", "order_qty": 10, "price": "180.05"}
    with Client(edge_of(secure), seller.key_id, seller.secret) as client:
        client.place(side="sell", **order)
    with Client(edge_of(secure), buyer.key_id, buyer.secret) as client:
        client.place(side="buy", **order)
    when(lambda: mysql_as(secure, "operator", "SELECT COUNT(*) FROM trades") == [(1,)], "the trade is stored")
    when(lambda: document_count(secure) == 1, "it is in the audit trail")
    when(lambda: redis_as(secure.redis_url, "operator", "HGET", "outcry:price:AAPL", "price_decimal") == b"180.05", "its price is kept")
    denied = [line for line in (secure.log_dir / "kafka.log").read_text().splitlines() if " is Denied " in line]
    assert not [line for line in denied if "User:ANONYMOUS" not in line], "a role has asked for what it has no right to"


@pytest.mark.parametrize("login", LOGINS)
def test_a_login_writes_and_reads_no_topic_of_others(secure: Settings, login: str) -> None:
    """Every topic outside of its rights, one by one."""
    client = native_client(named(secure.kafka_url, login))
    foreign = NAMES - topics_written(login)
    assert foreign, f"{login} may write everything"
    assert written(client, foreign) == dict.fromkeys(foreign, "TOPIC_AUTHORIZATION_FAILED")
    if unread := NAMES - topics_read(login):
        assert read(client, unread) == dict.fromkeys(unread, "TOPIC_AUTHORIZATION_FAILED")
    if own := topics_read(login):
        assert read(client, own) == dict.fromkeys(own, ""), "it cannot read its own"


@pytest.mark.parametrize("login", [name for name in LOGINS if name != "hold-funds"])
def test_nobody_moves_the_place_of_another_role(secure: Settings, login: str) -> None:
    """Nor joins its group, which takes the same right."""
    assert committed(native_client(named(secure.kafka_url, login)), "outcry-hold-funds", "account.commands") == "GROUP_AUTHORIZATION_FAILED"


def test_nobody_gets_in_without_a_login(secure: Settings) -> None:
    """In plain text, over TLS with a wrong password, over TLS with another's password, and at the controllers' port."""
    servers = address_of(secure.kafka_url)
    login = read_login(secure.service_keys / "logins" / "edge.json")
    tls = {"bootstrap.servers": servers, "security.protocol": "SASL_SSL", "ssl.ca.location": str(login.authority)}
    scram = {"sasl.mechanisms": login.mechanism, "sasl.username": "edge"}
    controller = {"bootstrap.servers": f"127.0.0.1:{json.loads((secure.data_dir / 'ports.json').read_text())['kafka.controller']}"}
    assert metadata_of({"bootstrap.servers": servers})
    assert metadata_of(controller)
    assert metadata_of(tls | {"security.protocol": "SSL"})
    assert metadata_of(tls | scram | {"sasl.password": "wrong"})
    assert metadata_of(tls | scram | {"sasl.username": "hold-funds", "sasl.password": login.password})
    assert metadata_of(tls | scram | {"sasl.mechanisms": PLAIN, "sasl.password": login.password})
    assert metadata_of(tls | scram | {"sasl.password": login.password}, WAIT_S) == ""


def test_a_client_trusts_no_server_of_another_authority(secure: Settings, tmp_path: Path) -> None:
    """And says so, whichever service it is."""
    make_authority(tmp_path / "authority.pem", tmp_path / "authority-key.pem", "another")
    found = json.loads((secure.service_keys / "logins" / "edge.json").read_text())
    (tmp_path / "edge.json").write_text(json.dumps(found))
    with pytest.raises(ServiceUnavailable, match="from an authority that this login does not trust"):
        metadata(secure.model_copy(update={"kafka_url": with_login(address_of(secure.kafka_url), tmp_path / "edge.json")}))
    with pytest.raises(ServiceUnavailable, match="from an authority that this login does not trust"):
        mysql_as(secure.model_copy(update={"mysql_url": with_login(address_of(secure.mysql_url), tmp_path / "edge.json")}), "", "SELECT 1")


@pytest.mark.parametrize(
    ("login", "statement"),
    [
        ("edge", "UPDATE orders SET cum_qty = 0"),
        ("edge", "DELETE FROM trades"),
        ("edge", "UPDATE people SET roles = 'operator'"),
        ("edge", "UPDATE people SET password_hash = ''"),
        ("edge", "INSERT INTO postings (account) VALUES (1)"),
        ("edge", "DROP TABLE api_keys"),
        ("edge", "CREATE TABLE mine (a INT)"),
        ("persist-mysql", "SELECT * FROM people"),
        ("persist-mysql", "SELECT * FROM api_keys"),
        ("persist-mysql", "UPDATE api_keys SET scopes = 'read,trade'"),
        ("persist-mysql", "DROP TABLE trades"),
        ("edge", "SELECT * FROM mysql.user"),
        ("operator", "SELECT * FROM mysql.user"),
        ("operator", "CREATE USER me"),
    ],
)
def test_a_login_of_mysql_does_only_what_is_its_own(secure: Settings, login: str, statement: str) -> None:
    """By table, and where a role may change some columns, by column."""
    with pytest.raises(Exception, match=r"denied"):
        mysql_as(secure, login, statement)


def test_the_edge_has_the_rights_that_signing_in_takes(secure: Settings) -> None:
    """It counts attempts, begins, prolongs and ends sessions, and reads who may do what."""

    async def run() -> tuple[bool, bool, Any]:
        operator, edge = [await MySql.connect(named(secure.mysql_url, login), size_max=1) for login in ("operator", "edge")]
        try:
            await people.add_person(operator, "ann", "hash", "", "analyst", 1)
            counted = await people.claim_attempt(edge, "ann", 0, 2)
            begun = await people.open_session(edge, "ab" * 32, "ann", 0, "127.0.0.1", 3, 0)
            found = await people.person(edge, "ann")
            await people.end_session(edge, "ab" * 32)
            return counted, begun, found
        finally:
            await operator.close()
            await edge.close()

    counted, begun, found = asyncio.run(run())
    assert (counted, begun, found.roles) == (True, True, "analyst")


def test_a_role_without_a_login_of_mysql_has_none(secure: Settings) -> None:
    """Its password of Kafka opens nothing."""
    with pytest.raises(ServiceUnavailable, match="does not accept user and password"):
        mysql_as(secure, "match-orders", "SELECT 1")


async def test_mysql_takes_no_login_in_plain_text_and_none_of_a_set_without_logins(secure: Settings) -> None:
    """Not even the right password; and the user of all roles is gone."""
    login = read_login(secure.service_keys / "logins" / "edge.json")
    host, _, port = address_of(secure.mysql_url).removeprefix("mysql://").partition("/")[0].partition(":")
    with pytest.raises(aiomysql.OperationalError):
        await aiomysql.connect(host=host, port=int(port), user="edge", password=login.password, db="outcry")
    with pytest.raises(aiomysql.OperationalError):
        await aiomysql.connect(host=host, port=int(port), user="outcry", password="", ssl=login.tls())


@pytest.mark.parametrize(
    ("login", "command"),
    [
        ("edge", ("HSET", "outcry:price:AAPL", "price", "1")),
        ("edge", ("FLUSHALL",)),
        ("edge", ("CONFIG", "GET", "*")),
        ("persist-redis", ("GET", "outcry:session:x")),
        ("persist-redis", ("DEL", "outcry:price:AAPL")),
        ("persist-redis", ("EVAL", "return redis.call('GET', KEYS[1])", "1", "outcry:session:x")),
        ("operator", ("CONFIG", "GET", "*")),
        ("operator", ("ACL", "LIST")),
    ],
)
def test_a_login_of_redis_does_only_what_is_its_own(secure: Settings, login: str, command: tuple[str, ...]) -> None:
    """By key and by command, in a script too."""
    with pytest.raises((NoPermissionError, ResponseError), match="(?i)permission"):
        redis_as(secure.redis_url, login, *command)


def test_redis_has_no_port_and_nobody_without_a_login(secure: Settings) -> None:
    """Its socket is the owner's alone, and even there everybody has to say who he is."""
    for url in (secure.redis_url, secure.cache_url):
        path = Path(address_of(url).removeprefix("unix://"))
        assert path.stat().st_mode & 0o077 == 0
        with pytest.raises((AuthenticationError, ResponseError), match="(?i)auth"):
            Redis(unix_socket_path=str(path)).ping()
    assert {*RIGHTS, *CACHE_RIGHTS} == {"persist-redis", "edge", "operator", "administrator"}


def elasticsearch_as(url: str, login: str, method: str, path: str, body: str = "") -> int:
    """Status of the answer. login: "" for nobody."""

    async def run() -> int:
        found = read_login(Path(url.partition(MARK)[2]) / f"{login or 'edge'}.json")
        auth = aiohttp.BasicAuth(found.name, found.password) if login else None
        async with (
            aiohttp.ClientSession() as session,
            session.request(
                method, address_of(url) + path, data=body, auth=auth, ssl=found.tls(), headers={"Content-Type": "application/json"}
            ) as answer,
        ):
            return answer.status

    return asyncio.run(run())


@pytest.mark.parametrize(
    ("login", "method", "path", "status"),
    [
        ("", "GET", "/", 401),
        ("", "GET", "/audit-executions/_search", 401),
        ("edge", "GET", "/", 403),
        ("match-orders", "POST", "/_bulk", 401),
        ("persist-elasticsearch", "DELETE", "/audit-executions-000001", 403),
        ("persist-elasticsearch", "GET", "/_search", 403),
        ("persist-elasticsearch", "PUT", "/mine", 403),
        ("edge", "POST", "/audit-account-events-*/_search", 200),
        ("edge", "POST", "/audit-alerts-*/_search", 403),
        ("edge", "DELETE", "/audit-account-events-000001", 403),
        ("persist-elasticsearch", "DELETE", "/_index_template/audit-executions", 403),
        ("persist-elasticsearch", "POST", "/_bulk/../audit-executions-000001/_close", 403),
        ("administrator", "GET", "/_search", 403),
        ("administrator", "GET", "/_cluster/health", 200),
        ("operator", "GET", "/_search", 200),
    ],
)
def test_a_login_of_elasticsearch_does_only_what_is_its_own(secure: Settings, login: str, method: str, path: str, status: int) -> None:
    """By method and path; nobody does anything."""
    assert elasticsearch_as(secure.elasticsearch_url, login, method, path) == status


async def test_elasticsearch_speaks_no_plain_text(secure: Settings) -> None:
    """A request without TLS gets no answer that a client takes for one."""
    address = address_of(secure.elasticsearch_url).replace("https", "http")
    async with aiohttp.ClientSession() as session:
        with pytest.raises(aiohttp.ClientError):
            await session.get(address)


def test_certificates_are_renewed_while_orders_flow_and_no_request_fails(secure: Settings, traders: list[Any]) -> None:
    """All services get new ones, twice; connections go on, new ones are made with the new ones, and every order is answered."""
    seller, _ = traders
    folder, answered = secure.service_keys, 0
    before = {name: serial_in(service_keys.certificate_of(folder, name)) for name in ("kafka", "mariadb", "elasticsearch")}
    order = {"symbol": "AAPL", "side": "sell", "ord_type": "limit", "time_in_force": "day", "order_qty": 1, "price": "190.00"}
    with Client(edge_of(secure), seller.key_id, seller.secret) as client:
        for _ in range(2):
            service_keys.renew(folder, everything=True)
            for _ in range(50):
                assert client.place(**order)["ord_status"] == "new"
                answered += 1
            assert reload_certificates(secure) == ["kafka broker 1", "mariadb", "elasticsearch"]
            for _ in range(50):
                assert client.place(**order)["ord_status"] == "new"
                answered += 1
    after = {name: serial_in(service_keys.certificate_of(folder, name)) for name in ("kafka", "mariadb", "elasticsearch")}
    assert before.keys() == after.keys()
    assert not set(before.values()) & set(after.values())
    when(lambda: mysql_as(secure, "operator", "SELECT COUNT(*) FROM orders WHERE price = 19000") == [(answered,)], "every order is stored")


def test_an_expired_certificate_is_said_to_be_expired(secure: Settings) -> None:
    """A new connection is refused by the client, with the command that helps; afterwards a new certificate mends it without a restart."""
    folder = secure.service_keys
    file = service_keys.certificate_of(folder, "elasticsearch")
    make_certificate(file, folder / "authority.pem", folder / "authority-key.pem", ("127.0.0.1", "localhost"), timedelta(minutes=-1))
    try:
        with pytest.raises(ServiceUnavailable, match="has expired: `outcry keys certificates --renew`"):
            document_count(secure)
        with pytest.raises(ServiceUnavailable, match="has expired"):
            reload_certificates(secure)
    finally:
        assert service_keys.renew(folder, everything=False) == ["elasticsearch"]
    assert reload_certificates(secure)[-1] == "elasticsearch"
    assert document_count(secure) == 1


def test_every_attempt_succeeds_where_services_want_no_login(unprotected: Settings) -> None:
    """The same attempts, without the protection: whoever reaches the ports writes and reads every topic, and moves every place."""
    anybody = native_client(unprotected.kafka_url)
    assert metadata_of(anybody, WAIT_S) == ""
    assert written(anybody, NAMES) == dict.fromkeys(NAMES, "")
    assert read(anybody, NAMES) == dict.fromkeys(NAMES, "")
    assert committed(anybody, "outcry-hold-funds", EXECUTIONS.name) == ""


def test_every_statement_succeeds_with_the_user_of_a_set_without_logins(unprotected: Settings) -> None:
    """One user, with every right on every table; and Redis has one too."""
    from sinks.mysql.schema import table_statements

    found = mysql_as(
        unprotected, "", *table_statements(), "INSERT INTO people (name, password_hash, totp_secret, roles, created_at, changed_at) "
        "VALUES ('me', '', '', 'operator', 0, 0)", "UPDATE people SET roles = 'operator,analyst'", "SELECT roles FROM people",
    )  # fmt: skip
    assert found == [("operator,analyst",)]
    assert redis_as(unprotected.redis_url, "", "HSET", "outcry:price:AAPL", "price", "1") == 1
    assert redis_as(unprotected.redis_url, "", "SET", "outcry:session:x", "me")
