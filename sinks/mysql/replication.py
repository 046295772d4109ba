"""One server's part in replication, as its administrator: read where it stands, attach it to a primary, fence it, open it for writes.

The rights of the application do not reach as far, on purpose: `read_only` binds who has grants on the schema only, and not who has READ_ONLY ADMIN.
"""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from typing import Any, Final, Self
from urllib.parse import quote, urlsplit, urlunsplit

import aiomysql
from pymysql.err import MySQLError

from schemas.errors import OutcryError, ServiceUnavailable
from sinks.mysql.dialect import GtidDialect, ReplicaThreads, dialect_of
from sinks.mysql.pool import arguments_of, translated

CONNECT_TIMEOUT_S: Final = 3.0
FENCE_TIMEOUT_S: Final = 1.0
_NO_SUCH_THREAD: Final = 1094
_BYPASSES: Final = ("READ_ONLY ADMIN", "READ ONLY ADMIN", "SUPER", "CONNECTION_ADMIN")
"""Privileges whose holder writes to a server that is read-only."""


class NotFenced(OutcryError):
    """The former primary may still take writes. The message says why."""


@dataclass(frozen=True, slots=True)
class Login:
    """A user of the servers, the same on all of them."""

    user: str
    password: str

    def url(self, url: str) -> str:
        """The address of a server with this user instead of the application's."""
        parts = urlsplit(url)
        return urlunsplit(parts._replace(netloc=f"{quote(self.user)}:{quote(self.password)}@{parts.hostname}:{parts.port or 3306}"))


@dataclass(frozen=True, slots=True)
class Standing:
    """Where a server is in replication. position: transactions applied; received: transactions that it has, applied or not."""

    version: str
    read_only: bool
    gtid: str
    position: int
    received: int
    threads: ReplicaThreads


class Administrator:
    """A connection to one server with its administrator's rights. Every method raises ServiceUnavailable."""

    def __init__(self, connection: Any, where: str, version: str) -> None:
        self._connection, self._where, self.version = connection, where, version
        self.dialect: GtidDialect = dialect_of(version)

    @classmethod
    @asynccontextmanager
    async def of(cls, url: str, timeout_s: float = CONNECT_TIMEOUT_S) -> AsyncIterator[Self]:
        """Connected for as long as the block runs. url: with the administrator's name and password."""
        where, arguments = arguments_of(url)
        with translated(where):
            connection = await aiomysql.connect(**arguments, autocommit=True, connect_timeout=timeout_s)
            try:
                async with connection.cursor() as cursor:
                    await cursor.execute("SELECT VERSION()")
                    (version,) = await cursor.fetchone()
                yield cls(connection, where, str(version))
                await connection.ensure_closed()  # with a goodbye, or the server's log has a warning
            finally:
                connection.close()

    async def standing(self) -> Standing:
        """Where it is."""
        status = await self.rows(self.dialect.status)
        threads = self.dialect.threads(status)
        (row,) = await self.rows(f"SELECT {self.dialect.position} AS applied, {self.dialect.written} AS written, @@read_only AS closed")
        gtid = max(row["applied"], row["written"], key=self.dialect.number)
        position = self.dialect.number(gtid)
        received = max(position, self.dialect.number(threads.received))
        return Standing(self.version, bool(row["closed"]), gtid, position, received, threads)

    async def attach(self, source_url: str, login: Login) -> None:
        """Replicate from there, from where this server is. It must be closed for writes."""
        parts = urlsplit(source_url)
        await self._do(self.dialect.stop)
        if self.dialect.name == "MariaDB":
            (row,) = await self.rows("SELECT @@gtid_slave_pos AS applied, @@gtid_binlog_pos AS written")
            if self.dialect.number(row["written"]) > self.dialect.number(row["applied"]):  # it was a primary, or is a copy of one
                await self._do("SET GLOBAL gtid_slave_pos = %s", (row["written"],))
        await self._do(*self.dialect.point_to(parts.hostname or "", parts.port or 3306, login.user, login.password))
        await self._do(self.dialect.start)

    async def start_replication(self) -> None:
        """Of a server that has a source. Whose threads run already goes on."""
        await self._do(self.dialect.start)

    async def close_for_writes(self, application: str) -> str:
        """No user of the application can write any more. Returns the position up to which its log goes; it has no later transaction.

        Raises NotFenced where the user has a right by which he writes all the same.
        """
        bypasses = await self.rows(
            "SELECT privilege_type FROM information_schema.user_privileges WHERE grantee LIKE %s AND privilege_type IN (%s, %s, %s, %s)",
            (f"'{application}'@%", *_BYPASSES),
        )
        if bypasses:
            rights = ", ".join(sorted({next(iter(row.values())) for row in bypasses}))
            raise NotFenced(
                f"user {application} of {self._where} has {rights}, so read_only does not bind it: give it grants on its schema only"
            )
        await self._do(self.dialect.read_only)
        await self.end_connections(application)
        (written,) = await self.rows(f"SELECT {self.dialect.written} AS written")
        return str(written["written"])

    async def end_connections(self, user: str) -> None:
        """Those that it has now."""
        for row in await self.rows("SELECT id FROM information_schema.processlist WHERE user = %s", (user,)):
            await self._do_if_there(f"KILL {int(next(iter(row.values())))}")

    async def run_out(self, gtid: str, timeout_s: float) -> None:
        """Apply everything up to `gtid`; without one, everything that was received. Raises ServiceUnavailable if it takes longer.

        One that follows nobody, as a former primary that has just come back, has nothing that waits to be applied.
        """
        follows = bool(self.dialect.threads(await self.rows(self.dialect.status)).source)
        if follows:
            await self._do(self.dialect.start)  # somebody may have stopped it
        target = gtid
        if not target and follows:
            await self._do(self.dialect.stop_receiving)
            target = self.dialect.threads(await self.rows(self.dialect.status)).received
        if target:
            (row,) = await self.rows(self.dialect.wait, (target, timeout_s))
            if next(iter(row.values())) not in self.dialect.waited:
                raise ServiceUnavailable(f"MySQL at {self._where} has not applied {target} within {timeout_s:g} s")

    async def open_for_writes(self) -> None:
        """It is the primary: no replica of anybody, every commit on disk before it is acknowledged."""
        await self._do(self.dialect.stop)
        await self._do(self.dialect.forget)
        for name in ("innodb_flush_log_at_trx_commit", "sync_binlog"):
            await self._do(f"SET GLOBAL {name} = 1")
        await self._do(self.dialect.writable)

    async def open_again(self) -> None:
        """A primary that has come back."""
        await self._do(self.dialect.writable)

    async def stay_closed(self) -> None:
        """A replica."""
        await self._do(self.dialect.read_only)

    async def connections_of(self, user: str) -> int:
        """How many it has."""
        (row,) = await self.rows("SELECT COUNT(*) AS found FROM information_schema.processlist WHERE user = %s", (user,))
        return int(row["found"])

    async def run(self, statement: str, args: tuple[Any, ...] = ()) -> None:
        """Any statement without an answer, as an operator would give it."""
        await self._do(statement, args)

    async def rows(self, sql: str, args: tuple[Any, ...] = ()) -> list[dict[str, Any]]:
        """What a query finds."""
        with self._refusals_of(sql):
            async with self._connection.cursor(aiomysql.DictCursor) as cursor:
                await cursor.execute(sql, args or None)
                return list(await cursor.fetchall())

    async def _do(self, sql: str, args: tuple[Any, ...] = ()) -> None:
        with self._refusals_of(sql):
            async with self._connection.cursor() as cursor:
                await cursor.execute(sql, args or None)

    async def _do_if_there(self, sql: str) -> None:
        with self._refusals_of(sql):
            try:
                async with self._connection.cursor() as cursor:
                    await cursor.execute(sql)
            except MySQLError as error:
                if error.args and error.args[0] != _NO_SUCH_THREAD:  # it has ended by itself
                    raise

    @contextmanager
    def _refusals_of(self, sql: str) -> Iterator[None]:
        """What a server answers to its administrator depends on its state, which others change too: a refusal is told, and is no fault of ours."""
        try:
            with translated(self._where):
                yield
        except MySQLError as error:
            raise ServiceUnavailable(
                f"MySQL at {self._where} refused {sql.split()[0]}: {error.args[-1] if error.args else error}"
            ) from error
