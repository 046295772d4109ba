"""A bounded pool of MySQL connections: transactions, reads, and what each failure of the server means."""

import asyncio
import warnings
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final, Protocol, Self
from urllib.parse import unquote, urlsplit

import aiomysql
from pymysql.constants import CLIENT
from pymysql.err import InterfaceError, MySQLError, OperationalError

from schemas.errors import ServiceUnavailable
from schemas.logins import address_of, login_of, why_not_trusted

CONNECT_TIMEOUT_S: Final = 5.0
STATEMENT_TIMEOUT_S: Final = 30.0
"""A slower server is treated as down; the transaction is lost with its connection."""

# The modes make a wrong value an error rather than a different value; set here so that no server's default decides.
SESSION: Final = (
    "SET SESSION sql_mode = 'STRICT_ALL_TABLES,ERROR_FOR_DIVISION_BY_ZERO,ONLY_FULL_GROUP_BY,NO_ENGINE_SUBSTITUTION', time_zone = '+00:00'"
)
# No gap locks, so two workers on different partitions do not wait for one another.
ISOLATION: Final = "SET TRANSACTION ISOLATION LEVEL READ COMMITTED"

_CHECK_URL: Final = "check OUTCRY_MYSQL_URL"
ADVICE: Final[dict[int, str]] = {
    1040: "the server has no connection left: raise its max_connections or stop other clients",
    1142: "the user has no right to do that with this table (sinks/mysql/rights.py)",
    1143: "the user has no right to do that with this column (sinks/mysql/rights.py)",
    1044: f"the user has no right to the database: {_CHECK_URL} and the grants",
    1045: f"the server does not accept user and password: {_CHECK_URL}",
    1049: f"there is no such database: {_CHECK_URL}",
    1053: "the server is shutting down; start it again",
    1146: "the tables are not there yet: start persist-mysql, which makes them",
    1205: "another transaction holds a lock; try again",
    1213: "two transactions waited for each other; try again",
    1290: "the server is read-only: point OUTCRY_MYSQL_URL to the primary",
    1836: "the server is read-only: point OUTCRY_MYSQL_URL to the primary",
    1927: "the server closed the connection; try again",
    2003: "nothing answers there: run `outcry up`, or start the server",
    2006: "the connection was lost; try again",
    2013: "the connection was lost; try again",
    2026: "no connection without TLS: look at the certificate with `outcry keys certificates`",
    2014: "the connection is out of sync; try again",
}
"""What to do, by error number of the server or of the client library. Other numbers are bugs of ours."""


class Reader(Protocol):
    """Whatever rows can be read from: a pool on the primary, or one of its replicas (sinks.mysql.routing)."""

    async def fetch(self, sql: str, args: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """All rows of a query. Raises ServiceUnavailable."""


class MySql:
    """Connections to one database."""

    def __init__(self, pool: Any, where: str) -> None:
        self._pool = pool
        self._where = where

    @classmethod
    async def connect(cls, url: str, size_max: int = 4) -> Self:
        """A pool on mysql://user:password@host:port/database. Raises ServiceUnavailable."""
        where, arguments = arguments_of(url)
        with translated(where):
            pool = await aiomysql.create_pool(
                **arguments, minsize=1, maxsize=size_max, autocommit=False, connect_timeout=CONNECT_TIMEOUT_S, pool_recycle=600
            )
        return cls(pool, where)

    async def close(self) -> None:
        """Close all connections. Queries that still use one get an error."""
        self._pool.terminate()
        await self._pool.wait_closed()

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator["Transaction"]:
        """All or nothing. Raises ServiceUnavailable; then a commit that was under way may or may not have happened."""
        with translated(self._where):
            connection = await asyncio.wait_for(self._pool.acquire(), CONNECT_TIMEOUT_S + STATEMENT_TIMEOUT_S)
            try:
                async with asyncio.timeout(STATEMENT_TIMEOUT_S):
                    transaction = Transaction(connection)
                    await transaction.execute(ISOLATION)
                    yield transaction
                    await connection.commit()
            except BaseException:
                connection.close()  # rolls back; after a cancellation or a lost answer the connection is of no more use
                raise
            finally:
                self._pool.release(connection)

    @asynccontextmanager
    async def snapshot(self, timeout_s: float = STATEMENT_TIMEOUT_S) -> AsyncIterator["Transaction"]:
        """Reads of one consistent moment, in timeout_s together. Raises ServiceUnavailable."""
        with translated(self._where):
            connection = await asyncio.wait_for(self._pool.acquire(), CONNECT_TIMEOUT_S + STATEMENT_TIMEOUT_S)
            try:
                async with asyncio.timeout(timeout_s):
                    transaction = Transaction(connection)
                    await transaction.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
                    await transaction.execute("START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY")
                    yield transaction
                    await connection.rollback()
            except BaseException:
                connection.close()
                raise
            finally:
                self._pool.release(connection)

    async def fetch(self, sql: str, args: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """All rows of a query, outside of any larger transaction. Raises ServiceUnavailable."""
        async with self.transaction() as transaction:
            return await transaction.fetch(sql, args)


class Transaction:
    """What can be done inside MySql.transaction."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection

    async def execute(self, sql: str, args: Sequence[Any] | None = None) -> int:
        """Run one statement; returns the number of affected rows. Without args nothing in it is interpreted."""
        async with self._connection.cursor() as cursor:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", aiomysql.Warning)  # notes such as "table exists already"
                return int(await cursor.execute(sql, args))

    async def fetch(self, sql: str, args: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """All rows of a query."""
        async with self._connection.cursor() as cursor:
            await cursor.execute(sql, args or None)
            return list(await cursor.fetchall())


def arguments_of(url: str) -> tuple[str, dict[str, Any]]:
    """The server in words, and what the client library has to know to connect. Raises ServiceUnavailable for no address, BadLogin."""
    parts, login = urlsplit(address_of(url)), login_of(url)
    if parts.scheme != "mysql" or not parts.hostname or not parts.path.strip("/"):
        raise ServiceUnavailable(
            f"MySQL has no usable address: OUTCRY_MYSQL_URL must be mysql://user:password@host:port/database{_run_up(url)}"
        )
    port = parts.port or 3306
    who: dict[str, Any] = {"user": unquote(parts.username or ""), "password": unquote(parts.password or "")}
    if login is not None:
        who = {"user": login.name, "password": login.password, "ssl": login.tls()}
    return f"{parts.hostname}:{port}{parts.path}", {
        "host": parts.hostname, "port": port, "db": parts.path.strip("/"), "charset": "utf8mb4", "init_command": SESSION, **who,
    }  # fmt: skip


def _insist_on_tls(connection_class: Any) -> None:
    """Where TLS was asked for, send no login without it. aiomysql goes on in plain text where a server, or whoever stands before it, offers none."""
    sign_in = connection_class._request_authentication

    async def checked(connection: Any) -> None:
        if connection._ssl_context and not connection.server_capabilities & CLIENT.SSL:
            raise OperationalError(2026, "the server offers no TLS, and this login wants it")
        await sign_in(connection)

    connection_class._request_authentication = checked


_insist_on_tls(aiomysql.Connection)


class translated:  # noqa: N801  a context manager that reads as a word
    """Turn what the client library raises into ServiceUnavailable where it is one."""

    def __init__(self, where: str) -> None:
        self._where = where

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, error: BaseException | None, traceback: object) -> None:
        advice = _advice(error)
        if advice is not None:
            text = why_not_trusted(error) or str(error) or type(error).__name__
            raise ServiceUnavailable(f"MySQL at {self._where} refused the request ({text}): {advice}") from error


def _advice(error: BaseException | None) -> str | None:
    if isinstance(error, TimeoutError):
        return f"no answer within {STATEMENT_TIMEOUT_S:g} s; see its log"
    if isinstance(error, InterfaceError | ConnectionError | asyncio.IncompleteReadError):
        return "the connection was lost; try again"
    if isinstance(error, MySQLError) and error.args:
        return ADVICE.get(error.args[0], ADVICE[2013] if isinstance(error, OperationalError) and error.args[0] in _LOST else None)
    return ADVICE[2003] if isinstance(error, OSError) else None


_LOST: Final = frozenset(range(2000, 2056))
"""Error numbers of the client library: all of them are about the connection."""


def _run_up(url: str) -> str:
    return "" if url else " (it is not set: run `outcry up`)"
