"""Stores that die while they are written to, and stores that are not there."""

import asyncio
import os
import signal
from typing import Any

import pytest
from sink_session import INSTRUMENTS, market_data, play

from schemas.enums import ExecKind, MarketDataKind
from schemas.errors import ServiceUnavailable
from sinks.elastic import queries as elastic_queries
from sinks.elastic.sink import ElasticSink
from sinks.mysql import queries as mysql_queries
from sinks.mysql.pool import MySql
from sinks.mysql.sink import MySqlSink
from sinks.redis import prices as redis_prices
from sinks.redis.client import open_redis
from sinks.redis.sink import RedisSink

pytestmark = pytest.mark.integration


@pytest.mark.parametrize("service", ["mariadb", "valkey", "elasticsearch"])
async def test_a_store_that_dies_is_named_and_the_same_batch_is_taken_when_it_is_back(
    stores: Any, service: str, mysql: MySql, elastic: Any
) -> None:
    """A kill -9 while batches are written: ServiceUnavailable says which one; repeated until taken, nothing is lost or doubled."""
    local, settings = stores
    sinks: dict[str, tuple[Any, str, str]] = {
        "mariadb": (MySqlSink, settings.mysql_url, "MySQL"),
        "valkey": (RedisSink, settings.redis_url, "Redis"),
        "elasticsearch": (ElasticSink, settings.elasticsearch_url, "Elasticsearch"),
    }
    kind, url, name = sinks[service]
    sink = await kind.connect(url, INSTRUMENTS)
    session = play(11)
    inputs = [market_data(MarketDataKind.TRADE, n, 1, n) for n in range(1, 60)] if service == "valkey" else session.inputs
    pid = next(child.pid for child in local.status().children if child.name == service)
    failures = []
    for number, one in enumerate(inputs):
        if number == 20:
            os.kill(pid, signal.SIGKILL)
        taken = False
        async with asyncio.timeout(600):
            while not taken:
                try:
                    await sink.write_batch([one])
                    taken = True
                except ServiceUnavailable as error:
                    failures.append(str(error))
                    await asyncio.sleep(0.05)
    assert failures and all(text.startswith(name) for text in failures)
    assert sink.stats().unavailable == len(failures)
    trades = int((session.executions["kind"] == ExecKind.TRADE).sum())
    if service == "mariadb":
        assert (await mysql_queries.counts(mysql)).trades == trades
        assert await mysql_queries.imbalances(mysql) == mysql_queries.Imbalances(0, 0, 0, 0)
    elif service == "elasticsearch":
        await elastic_queries.refresh(elastic)
        assert await elastic_queries.trade_count(elastic) == trades
    else:
        client = await open_redis(url)
        assert (await redis_prices.last_prices(client, ["AAPL"]))["AAPL"]["seq"] == 59
        await client.aclose()
    await sink.close()


@pytest.mark.parametrize(
    ("connect", "url", "says"),
    [
        (MySqlSink.connect, "mysql://u:p@127.0.0.1:1/outcry", "MySQL at 127.0.0.1:1.*outcry up"),
        (MySqlSink.connect, "", "MySQL has no usable address.*outcry up"),
        (RedisSink.connect, "redis://:secret@127.0.0.1:1/0", "Redis at 127.0.0.1:1.*outcry up"),
        (ElasticSink.connect, "http://127.0.0.1:1", "Elasticsearch.*127.0.0.1.*outcry up"),
    ],
)
async def test_a_store_that_is_not_there_is_named_with_what_to_do(connect: Any, url: str, says: str) -> None:
    """The message has the address, never the password."""
    with pytest.raises(ServiceUnavailable, match=says) as caught:
        await connect(url, INSTRUMENTS)
    assert "secret" not in str(caught.value)
