"""The edge as a process against a real Kafka, MariaDB and Valkey, and the thin exchange of edge_session.py behind it.

Tests share all of it, so each uses accounts of its own. The whole pipeline is tested in test_alpaca_py.py.
"""

import asyncio
from collections.abc import AsyncIterator, Iterator
from hashlib import sha256

import pytest
from edge_session import SHARDS, Edge, Gate, ThinExchange

from access.people import Role
from schemas.enums import Phase
from schemas.settings import Settings
from sinks.mysql.api_keys import insert_api_keys
from sinks.mysql.pool import MySql
from sinks.mysql.schema import apply_schema
from streams.operate.topics import create_topics
from streams.operate.users import make_token, put_person
from streams.services.local_set import LocalSet

CASH = 1_000_000 * 10_000
ACCOUNTS = range(1, 41)


@pytest.fixture(scope="package")
def own_services(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Settings]:
    """A Kafka of their own: the edge's topics have fixed names, and other tests run whole exchanges on theirs."""
    local = LocalSet(Settings(home=tmp_path_factory.mktemp("edge"), account_shards=SHARDS, book_shards=SHARDS))
    with local.running(services=("kafka", "mariadb", "valkey")) as settings:
        create_topics(settings)
        yield settings


@pytest.fixture(scope="package")
async def thin(own_services: Settings) -> AsyncIterator[ThinExchange]:
    """The exchange behind the edge, open, with accounts that have money and shares, and their API keys."""
    db = await MySql.connect(own_services.mysql_url)
    await apply_schema(db)
    await insert_api_keys(db, [(f"KEY{n}", sha256(f"secret-{n}".encode()).hexdigest(), n) for n in (*ACCOUNTS, 99)])
    await db.close()
    exchange = ThinExchange(own_services)
    for account in ACCOUNTS:
        exchange.open_account(account, CASH, {1: 1_000, 2: 1_000})
    running = asyncio.create_task(exchange.run())
    await exchange.producer.start()
    await exchange.change_phase(Phase.CONTINUOUS)
    yield exchange
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


Gates = dict[str, Gate]


@pytest.fixture(scope="package")
async def gates(own_services: Settings) -> AsyncIterator[Gates]:
    """The ways from the edge to its stores, open."""
    made = {"mysql": Gate(own_services.mysql_url), "redis": Gate(own_services.redis_url)}
    for gate in made.values():
        await gate.open()
    yield made
    for gate in made.values():
        await gate.shut()


@pytest.fixture(scope="package")
async def analyst(own_services: Settings) -> str:
    """The token of somebody who may read alerts."""
    await asyncio.to_thread(put_person, own_services, "ann", "a few plain words", frozenset({Role.ANALYST}))
    return (await asyncio.to_thread(make_token, own_services, "ann", frozenset({Role.ANALYST}), read_only=True, days=1, label=""))[1]


@pytest.fixture(scope="package")
async def edge(own_services: Settings, thin: ThinExchange, gates: Gates) -> AsyncIterator[Edge]:
    """The edge, ready; its stores are behind gates."""
    process = Edge(own_services, OUTCRY_MYSQL_URL=gates["mysql"].url, OUTCRY_REDIS_URL=gates["redis"].url)
    try:
        await process.wait_until_ready()
        yield process
    finally:
        process.stop()
