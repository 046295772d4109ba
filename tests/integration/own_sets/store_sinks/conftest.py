"""MariaDB, Valkey and Elasticsearch of their own for the tests of the sinks, emptied before each."""

from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
from sink_session import INSTRUMENTS

from schemas.settings import Settings
from sinks.elastic.client import open_elasticsearch
from sinks.mysql.pool import MySql
from sinks.mysql.schema import apply_schema
from sinks.mysql.sink import MySqlSink
from sinks.redis.client import open_redis
from streams.services.local_set import LocalSet

TABLES = (
    "orders", "trades", "trade_busts", "bars", "phases", "executions", "postings", "rejects", "alerts", "cases", "case_alerts", "case_actions", "api_keys", "watchlists", "news",
    "account_configurations", "sink_marks",
)  # fmt: skip


@pytest.fixture(scope="package")
def stores(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[LocalSet, Settings]]:
    """Stores of their own: these tests empty tables and stop servers."""
    local = LocalSet(Settings(home=tmp_path_factory.mktemp("stores")))
    with local.running(services=("mariadb", "valkey", "elasticsearch")) as settings:
        yield local, settings


@pytest.fixture
async def mysql(stores: tuple[LocalSet, Settings]) -> AsyncIterator[MySql]:
    """The database, empty."""
    db = await MySql.connect(stores[1].mysql_url)
    await apply_schema(db, INSTRUMENTS)
    async with db.transaction() as transaction:
        for table in TABLES:
            await transaction.execute(f"DELETE FROM {table}")
    yield db
    await db.close()


@pytest.fixture
async def mysql_sink(stores: tuple[LocalSet, Settings], mysql: MySql) -> AsyncIterator[MySqlSink]:
    """A sink on the empty database."""
    sink = await MySqlSink.connect(stores[1].mysql_url, INSTRUMENTS)
    yield sink
    await sink.close()


@pytest.fixture
async def elastic(stores: tuple[LocalSet, Settings]) -> AsyncIterator[Any]:
    """An Elasticsearch client; no audit index is there."""
    client = open_elasticsearch(stores[1].elasticsearch_url)
    for index in await client.indices.get(index="audit-*"):
        await client.indices.delete(index=index)
    yield client
    await client.close()


@pytest.fixture
async def redis(stores: tuple[LocalSet, Settings]) -> AsyncIterator[Any]:
    """A Redis client; the database is empty."""
    client = await open_redis(stores[1].redis_url)
    await client.flushdb()
    yield client
    await client.aclose()
