"""A Redis client, and what each of its failures means."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final
from urllib.parse import unquote, urlsplit

from redis.asyncio import Redis
from redis.asyncio.sentinel import Sentinel, SentinelConnectionPool
from redis.exceptions import (
    AuthenticationError,
    ConnectionError,  # noqa: A004
    NoPermissionError,
    OutOfMemoryError,
    ReadOnlyError,
    RedisError,
    TimeoutError,  # noqa: A004
)

from schemas.errors import ServiceUnavailable
from schemas.logins import Login, address_of, login_of, why_not_trusted

TIMEOUT_S: Final = 5.0
CONNECTIONS_MAX: Final = 16
SENTINEL: Final = "redis+sentinel"
"""Scheme of an address that names sentinels rather than a server."""
PREFIX: Final = "outcry:"
"""Prefix of every key, so that our keys on a shared server can be recognised and removed."""

# The first class that fits; AuthenticationError is a ConnectionError too. What is not here is a fault of ours.
ADVICE: Final[dict[type[RedisError], str]] = {
    NoPermissionError: "the user has no right to do that (sinks/redis/rights.py)",
    AuthenticationError: "it does not accept user and password: check OUTCRY_REDIS_URL",
    ConnectionError: "nothing answers there: run `outcry up`, or start the server",
    TimeoutError: f"no answer within {TIMEOUT_S:g} s; see its log",
    ReadOnlyError: "it is a replica: point OUTCRY_REDIS_URL to the primary",
    OutOfMemoryError: "its memory is full: raise maxmemory",
}


class OfSentinels(Redis):
    """A client of the server that sentinels call the primary; it lets go of them too."""

    async def aclose(self, close_connection_pool: bool | None = None) -> None:
        """Close all connections."""
        await super().aclose(close_connection_pool)
        assert isinstance(self.connection_pool, SentinelConnectionPool)
        for sentinel in self.connection_pool.sentinel_manager.sentinels:
            await sentinel.aclose()


def client_of(url: str, timeout_s: float = TIMEOUT_S) -> Redis:
    """A client on redis://[user:password@]host:port/database, on unix:///path, or on redis+sentinel://[user:password@]host:port[,host:port]/service[/database].

    It is not connected yet. Sentinels are asked for the primary at each new connection, and after an answer that only a replica gives.
    """
    common: dict[str, Any] = {"socket_timeout": timeout_s, "socket_connect_timeout": timeout_s, "max_connections": CONNECTIONS_MAX}
    login, url = login_of(url), address_of(url)
    parts = urlsplit(url)
    signed_in = _signed_in(login, parts.scheme)
    if parts.scheme != SENTINEL:
        client: Redis = Redis.from_url(url, **common, **signed_in)
        return client
    credentials, _, hosts = parts.netloc.rpartition("@")
    service, _, database = parts.path.strip("/").partition("/")
    user, _, password = credentials.partition(":")
    addresses = [(host, int(port)) for host, _, port in (one.rpartition(":") for one in hosts.split(","))]
    own = {"username": unquote(user) or None, "password": unquote(password) or None, "db": int(database or 0)}
    sentinel: Any = Sentinel(  # type: ignore[no-untyped-call]
        addresses, sentinel_kwargs={"socket_timeout": timeout_s, "socket_connect_timeout": timeout_s}, **common, **own
    )
    found: Redis = sentinel.master_for(service, redis_class=OfSentinels)
    return found


def _signed_in(login: Login | None, scheme: str) -> dict[str, Any]:
    """What a login adds. A socket of this machine needs no TLS: who may reach it is said by its file. Raises ServiceUnavailable."""
    if login is None:
        return {}
    if scheme not in ("rediss", "unix"):
        raise ServiceUnavailable(f"Redis: an address with ?login= must begin with rediss:// or unix://, not {scheme}://")
    who = {"username": login.name, "password": login.password}
    return (
        who if scheme == "unix" else {**who, "ssl_ca_certs": str(login.authority), "ssl_cert_reqs": "required", "ssl_check_hostname": True}
    )


async def open_redis(url: str) -> Redis:
    """A client with a bounded pool, after it has answered. Raises ServiceUnavailable."""
    if not url:
        raise ServiceUnavailable("Redis has no address: OUTCRY_REDIS_URL is not set; run `outcry up`")
    client = client_of(url)
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
        advice = why_not_trusted(error) or next((text for kind, text in ADVICE.items() if isinstance(error, kind)), None)
        if advice is None and isinstance(error, OSError):
            advice = ADVICE[ConnectionError]
        if advice is None:
            raise
        raise ServiceUnavailable(f"Redis at {_where(client)} refused the request ({error}): {advice}") from error


def _where(client: Redis) -> str:
    pool = client.connection_pool
    if isinstance(pool, SentinelConnectionPool):
        return f"{pool.service_name} of its sentinels"
    if (path := pool.connection_kwargs.get("path")) is not None:
        return str(path)
    return f"{pool.connection_kwargs.get('host')}:{pool.connection_kwargs.get('port')}"
