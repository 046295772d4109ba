"""Copy who may trade and who works on the exchange: rows that are in MySQL of the other region and in no log (sinks.mysql.own_rows).

In:     MySQL of the other region (OUTCRY_COPIES_MYSQL_FROM), asked every EVERY_S for what was changed; for all rows when it begins, and every WHOLE_EVERY_S
Out:    the same rows in MySQL here
On failure: told, and tried again; it holds nothing else up. What was changed in the last moments before the other region is lost is lost with it.

Not by the log: password hashes and second factors would be there for ever, for whoever reads a topic. A row says by itself what it is now, so the newest is
enough, and a row that is copied twice is the same.
"""

import asyncio
import re
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

import structlog
from prometheus_client import Counter, Gauge
from pymysql.err import MySQLError

from schemas.errors import OutcryError
from schemas.settings import Settings
from sinks.mysql.own_rows import TABLES, OwnTable, changed_rows, delete_others, pages, require_same_version, write_rows
from sinks.mysql.pool import MySql
from streams.process.files import write_atomically
from streams.services.recipes import mariadb

log = structlog.get_logger("outcry.streams")

EVERY_S: Final = 1.0
WHOLE_EVERY_S: Final = 600.0
CLOCKS_APART_S: Final = 60.0
"""A row is stamped by the clock of whoever changed it, before its transaction ends: so long before the last look it is looked for again."""
LATE_S: Final = 30.0
_PASSWORD: Final = re.compile(r"[A-Za-z0-9_-]{8,100}", re.ASCII)
"""As `outcry up` makes one."""
ROWS: Final = Counter("outcry_copy_access_rows", "rows of API keys, people and what customers keep that were written here", ["table"])
AGE: Final = Gauge(
    "outcry_copy_access_age_seconds", "since changes of API keys, people and what customers keep were last copied; -1: not yet"
)


def take_login(settings: Settings) -> None:
    """Before MySQL here starts for the first time, where `outcry up` starts it: it gets the password of the other region's.

    Edges make digests of addresses with it (edge.gateway.access.origins). So places from where accounts were opened there are known here.
    """
    theirs, path = urlsplit(settings.copies_mysql_from), settings.data_dir / "mariadb" / "password"
    known = (theirs.username, theirs.path) == (mariadb.USER, f"/{mariadb.DATABASE}") and _PASSWORD.fullmatch(theirs.password or "")
    if known and not path.exists():
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        write_atomically(path, theirs.password or "", mode=0o600)


@dataclass
class AccessCopied:
    """last_s: monotonic begin of the last pass that succeeded; 0 before the first. trouble: why the one after it did not."""

    last_s: float = 0.0
    trouble: str = ""

    def late(self, now_s: float) -> str:
        """A sentence where keys and people are older than they should be."""
        if not self.last_s:
            return f"API keys and people of the other region have not been copied yet{self._why()}"
        age_s = now_s - self.last_s
        return f"API keys and people of the other region have not been copied for {age_s:.0f} s{self._why()}" if age_s > LATE_S else ""

    def _why(self) -> str:
        return f": {self.trouble}" if self.trouble else ""


class AccessCopy:
    """From one database to another. Addresses as OUTCRY_MYSQL_URL."""

    def __init__(self, there: str, here: str) -> None:
        self._urls = there, here
        self.told = AccessCopied()
        self._whole_due = 0.0
        self._looked_s = 0.0

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            try:
                await self._copy_on()
            except (OutcryError, MySQLError) as error:
                if not self.told.trouble:
                    log.warning("API keys and people are not copied", detail=str(error))
                self.told.trouble = str(error)
            await asyncio.sleep(EVERY_S)

    async def _copy_on(self) -> None:
        """Until something fails: then with new connections. Raises OutcryError."""
        async with AsyncExitStack() as stack:
            there, here = [await stack.enter_async_context(_connected(url)) for url in self._urls]
            await require_same_version(there, here)
            while True:
                await self.once(there, here)
                await asyncio.sleep(EVERY_S)

    async def once(self, there: MySql, here: MySql) -> int:
        """One pass; returns the rows that were new or changed. Raises ServiceUnavailable."""
        began_s, looked_s = time.monotonic(), time.time()
        is_whole = began_s >= self._whole_due
        done = 0
        for table in TABLES:
            if is_whole or table.stamped is None:
                copied = await _copy_whole(table, there, here)
            else:
                rows = await changed_rows(there, table, self._looked_s - CLOCKS_APART_S)
                copied = await _write(table, rows, here)
            ROWS.labels(table.name).inc(copied)
            done += copied
        if is_whole:
            self._whole_due = began_s + WHOLE_EVERY_S
        self._looked_s = looked_s
        self.told.last_s, self.told.trouble = began_s, ""
        return done


@asynccontextmanager
async def _connected(url: str) -> AsyncIterator[MySql]:
    db = await MySql.connect(url, size_max=1)
    try:
        yield db
    finally:
        await db.close()


async def _copy_whole(table: OwnTable, there: MySql, here: MySql) -> int:
    done = 0
    async for rows, after, is_last in pages(there, table):
        async with here.transaction() as transaction:
            if table.shrinks:
                done += await delete_others(transaction, table, rows, after, is_last=is_last)
            done += await write_rows(transaction, table, rows)
    return done


async def _write(table: OwnTable, rows: list[tuple[object, ...]], here: MySql) -> int:
    if not rows:
        return 0
    async with here.transaction() as transaction:
        return await write_rows(transaction, table, rows)
