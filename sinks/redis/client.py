"""A Redis client, and what each of its failures means."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from redis.asyncio import Redis
from redis.exceptions import AuthenticationError, ConnectionError, OutOfMemoryError, ReadOnlyError, RedisError, TimeoutError  # noqa: A004

from schemas.errors import ServiceUnavailable

TIMEOUT_S: Final = 5.0
CONNECTIONS_MAX: Final = 16
PREFIX: Final = "outcry:"
"""Prefix of every key, so that our keys on a shared server can be recognised and removed."""

# The first class that fits; AuthenticationError is a ConnectionError too. What is not here is a fault of ours.
ADVICE: Final[dict[type[RedisError], str]] = {
    AuthenticationError: "it does not accept user and password: check OUTCRY_REDIS_URL",
    ConnectionError: "nothing answers there: run `outcry up`, or start the server",
    TimeoutError: f"no answer within {TIMEOUT_S:g} s; see its log",
    ReadOnlyError: "it is a replica: point OUTCRY_REDIS_URL to the primary",
    OutOfMemoryError: "its memory is full: raise maxmemory",
}


async def open_redis(url: str) -> Redis:
    """A client on redis://host:port/database with a bounded pool, after it has answered. Raises ServiceUnavailable."""
    if not url:
        raise ServiceUnavailable("Redis has no address: OUTCRY_REDIS_URL is not set; run `outcry up`")
    client = Redis.from_url(url, socket_timeout=TIMEOUT_S, socket_connect_timeout=TIMEOUT_S, max_connections=CONNECTIONS_MAX)
    try:
        with translated(client):
            await client.ping()
    except BaseException:
        await client.aclose()
        raise
    return client


@contextmanager
def translated(client: Redis) -> Iterator[None]:
    """Turn what the client raises into ServiceUnavailable where it is one."""
    try:
        yield
    except (RedisError, OSError) as error:
        advice = next((text for kind, text in ADVICE.items() if isinstance(error, kind)), None)
        if isinstance(error, OSError):
            advice = ADVICE[ConnectionError]
        if advice is None:
            raise
        known = client.connection_pool.connection_kwargs
        raise ServiceUnavailable(f"Redis at {known.get('host')}:{known.get('port')} refused the request ({error}): {advice}") from error
