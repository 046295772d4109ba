"""Send a service or a role a real request: the same probes for `up`, `status` and `doctor`, whoever runs the server.

Each probe takes an address as in the settings and returns a short text about what answered, or raises ServiceUnavailable. For the probes of ALIVE
any answer will do, even a refusal: they check whether the server is there, not whether it works.
"""

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable
from typing import TypeVar
from urllib.parse import urlsplit

import aiohttp

from schemas.errors import ServiceUnavailable
from schemas.logins import address_of, login_of, why_not_trusted
from topics.kafka_clients import python_client, security_of

PROBE_TIMEOUT_S = 3.0
MYSQL_CLIENT_ERRORS = 2_000  # from here on an error is of the client: nothing came, or the connection broke
CAUGHT_UP_RECORDS = 20  # of what comes all the time some are always on their way

Probe = Callable[[str], Awaitable[str]]
Answer = TypeVar("Answer")


async def kafka(url: str) -> str:
    """Brokers that are registered and serving, by metadata request."""
    from aiokafka.admin import AIOKafkaAdminClient

    # One word on the log for each refused connection is the client's habit; that nothing answers is told by the exception.
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
    admin = AIOKafkaAdminClient(**python_client(url), request_timeout_ms=int(PROBE_TIMEOUT_S * 1000))
    try:
        await admin.start()
        cluster = await admin.describe_cluster()
    finally:
        await admin.close()
    brokers = len(cluster["brokers"])
    if brokers == 0:
        raise ServiceUnavailable("the cluster has no broker yet")
    return f"{brokers} broker(s), cluster {cluster['cluster_id']}"


async def kafka_cluster_id(url: str) -> str:
    """The id that Kafka gave its cluster when it was formatted. Raises ServiceUnavailable."""
    answer = await ask(kafka, url)
    return answer.rpartition(" ")[2]


async def mysql(url: str) -> str:
    """A statement in the application's database, with the application's rights."""
    import aiomysql

    from sinks.mysql.pool import arguments_of

    connection = await aiomysql.connect(**arguments_of(url)[1], connect_timeout=PROBE_TIMEOUT_S)
    try:
        async with connection.cursor() as cursor:
            await cursor.execute("SELECT VERSION()")
            (version,) = await cursor.fetchone()
    finally:
        connection.close()
    return str(version)


async def redis(url: str) -> str:
    """PING, and the version."""
    from sinks.redis.client import client_of

    client = client_of(url, PROBE_TIMEOUT_S)
    try:
        info = await client.info("server")
    finally:
        await client.aclose()
    return f"{info.get('server_name', 'redis')} {info.get('valkey_version', info.get('redis_version'))}"


async def elasticsearch(url: str) -> str:
    """The cluster's health must be yellow or green. A single node cannot be green once an index wants a replica."""
    body = await _get_json(url, "/_cluster/health")
    if body.get("status") not in ("yellow", "green"):
        raise ServiceUnavailable(f"cluster health is {body.get('status')}")
    return f"health {body['status']}"


async def kafka_lives(url: str) -> None:
    """This broker itself, not its cluster, says which requests it supports."""
    from aiokafka.conn import create_conn

    host, _, port = address_of(url).rpartition(":")
    (await create_conn(host, int(port), **security_of(url))).close()


async def mysql_lives(url: str) -> None:
    """A server that is full, or refuses, has answered. Server error numbers are below those of the client."""
    from pymysql.err import MySQLError

    try:
        await mysql(url)
    except MySQLError as error:
        if not (error.args and isinstance(error.args[0], int) and error.args[0] < MYSQL_CLIENT_ERRORS):
            raise


async def redis_lives(url: str) -> None:
    """Any byte: "password required", "loading" and "full" are answers too, and clients take some of them for a lost connection."""
    parts = urlsplit(address_of(url))
    if parts.scheme == "unix":
        reader, writer = await asyncio.open_unix_connection(parts.path)
    else:
        tls = login.tls() if (login := login_of(url)) is not None else None
        reader, writer = await asyncio.open_connection(parts.hostname, parts.port, ssl=tls)
    try:
        writer.write(b"PING\r\n")
        if not await reader.read(1):
            raise ServiceUnavailable("it closes the connection")
    finally:
        writer.close()


async def http_lives(url: str) -> None:
    """Any status in answer to /healthz, which the event loop serves. Elasticsearch has no such page and says so."""
    login = login_of(url)
    tls = login.tls() if login is not None else True
    async with aiohttp.ClientSession() as session, session.get(address_of(url).rstrip("/") + "/healthz", ssl=tls):
        pass


async def role(url: str) -> str:
    """Whether the role reports ready; url is its base address."""
    body = await _readiness(url)
    lag, suspicious = body.get("lag_records"), body.get("suspicious_frames")
    alarm = f", {suspicious:,} SUSPICIOUS FRAMES" if suspicious else ""
    behind = "" if lag is None else f", {lag:,} records behind"
    return f"ready{_fan_out(body)}{behind}{_shards(body)}{alarm}"


def _fan_out(body: dict[str, object]) -> str:
    """Of an edge with fan-out workers."""
    found = body.get("fan_out")
    if not isinstance(found, dict):
        return ""
    return f", {found['ready']} of {found['workers']} fan-out workers ready with {found['websockets']:,} WebSockets"


def _shards(body: dict[str, object]) -> str:
    """Of a role with a state machine: the shards that it has. It writes all of them if no other word follows."""
    found = body.get("partitions")
    if not isinstance(found, dict) or not found:
        return ""
    numbers = sorted(found, key=int)
    follows = [number for number in numbers if not found[number].get("writes", True)]
    writes = "" if not follows else f" (writes {', '.join(one for one in numbers if one not in follows) or 'none'})"
    return f", shard{'s' if len(numbers) > 1 else ''} {', '.join(numbers)}{writes}"


async def caught_up(url: str) -> bool:
    """Whether a role reports ready and has almost nothing to catch up with."""
    lag = (await ask(_readiness, url)).get("lag_records")
    return isinstance(lag, int) and lag <= CAUGHT_UP_RECORDS


async def _readiness(url: str) -> dict[str, object]:
    async with _session() as session, session.get(url.rstrip("/") + "/readyz") as answer:
        if answer.status != 200:
            raise ServiceUnavailable(f"/readyz answers {answer.status}: {(await answer.text())[:200].strip()}")
        body = await answer.text()
    return json.loads(body) if body else {}


PROBES: dict[str, Probe] = {
    "kafka_url": kafka,
    "mysql_url": mysql,
    "redis_url": redis,
    "cache_url": redis,
    "elasticsearch_url": elasticsearch,
}
ALIVE: dict[str, Callable[[str], Awaitable[None]]] = {
    "kafka_url": kafka_lives,
    "mysql_url": mysql_lives,
    "redis_url": redis_lives,
    "cache_url": redis_lives,
    "elasticsearch_url": http_lives,
}


async def ask(probe: Callable[[str], Awaitable[Answer]], url: str, timeout_s: float = PROBE_TIMEOUT_S) -> Answer:
    """Run a probe with a time limit. Whatever a client library raises becomes ServiceUnavailable."""
    try:
        # Not wait_for: before Python 3.12 it loses a cancellation that comes as the probe ends.
        async with asyncio.timeout(timeout_s):
            return await probe(url)
    except ServiceUnavailable:
        raise
    except TimeoutError as error:
        raise ServiceUnavailable(f"no answer within {timeout_s:g} s") from error
    except Exception as error:  # the clients share no base class of errors
        raise ServiceUnavailable(why_not_trusted(error) or f"{type(error).__name__}: {error}") from error


def without_password(url: str) -> str:
    """An address for status and logs."""
    address = address_of(url)
    before, at, after = address.rpartition("@")
    return address if not at else f"{before.rpartition(':')[0]}@{after}"


def _session() -> aiohttp.ClientSession:
    return aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=PROBE_TIMEOUT_S))


async def _get_json(url: str, path: str) -> dict[str, object]:
    login = login_of(url)
    auth = aiohttp.BasicAuth(login.name, login.password) if login is not None else None
    tls = login.tls() if login is not None else True
    async with _session() as session, session.get(address_of(url).rstrip("/") + path, auth=auth, ssl=tls) as answer:
        answer.raise_for_status()
        body: dict[str, object] = await answer.json()
        return body
