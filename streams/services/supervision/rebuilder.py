"""Gives a server of the set a new copy of the data where only that helps: it has transactions that the primary does not have, or too old a place.

A former primary that was killed before anybody had received its last transaction is such a one. What is in it comes again from the log, and what is not
of the log was never confirmed; so nothing is lost with it. To be sure, it is kept until the primary has come as far in the log.

The mark in the servers' file comes first. From then on nobody reads the server, and it cannot become primary; whoever restarts finds the mark and begins
again. One server at a time, never the primary, from a replica that follows it, or from the primary where there is none.
"""

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import structlog

from schemas.errors import OutcryError, ServiceUnavailable
from sinks.mysql.copies import begin_copy, lacks, reached, take_copy
from sinks.mysql.replication import Administrator
from sinks.mysql.servers import Servers
from streams.services.copy_database import Tools, copy_database
from streams.services.promotion import ServersRecord, Users, standing_of

log = structlog.get_logger("outcry.supervisor")

AGAIN_FIRST_S: Final = 1.0
AGAIN_MAX_S: Final = 300.0
"""After a failure; twice as long after each."""
STEP_TIMEOUT_S: Final = 60.0
"""Of what is done before and behind the copying."""
TOLD_EVERY_S: Final = 5.0
ROUND_S: Final = 0.25


class Rebuilder:
    """For the servers of one set. serves: whether a server is ready. programs: the folder of mariadb-dump and mariadb."""

    def __init__(self, record: ServersRecord, users: Users, programs: Path, serves: Callable[[str], bool]) -> None:
        self._record, self._users, self._programs, self._serves = record, users, programs, serves
        self._task: asyncio.Task[None] | None = None
        self._failures: dict[str, int] = {}
        self._due_s: dict[str, float] = {}

    def mark(self, name: str, reason: str) -> None:
        """From now on it is to get a new copy. Raises OutcryError while a promotion is under way, OSError."""
        self._change(name, f"it has diverged from the primary ({reason})")
        log.warning("mysql.diverged", name=name, reason=reason)

    def go_on(self, servers: Servers) -> None:
        """Begin what is due, unless a copy is under way or there is no primary."""
        if self._task is not None and not self._task.done():
            return
        if not servers.primary or not self._serves(servers.primary):
            return
        due = [one.name for one in servers.replicas if one.rebuild and self._serves(one.name)]
        due = [name for name in due if time.monotonic() >= self._due_s.get(name, 0.0)]
        if due:
            self._task = asyncio.create_task(self._try(due[0]), name=f"rebuild-{due[0]}")

    async def close(self) -> None:
        """Break off what is under way. The mark stays."""
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task

    async def _try(self, name: str) -> None:
        try:
            await self._rebuild(name)
        except (OutcryError, OSError, TimeoutError) as error:
            failures = self._failures[name] = self._failures.get(name, 0) + 1
            pause_s = min(AGAIN_MAX_S, AGAIN_FIRST_S * 2 ** (failures - 1))
            self._due_s[name] = time.monotonic() + pause_s
            log.warning("mysql.not_rebuilt", name=name, reason=str(error) or "no answer in time", again_in_s=pause_s)
        else:
            self._failures.pop(name, None)

    async def _rebuild(self, name: str) -> None:
        servers, began_s = self._record.read(), time.monotonic()
        target, database = self._administrative(servers.named(name).url)
        async with asyncio.timeout(STEP_TIMEOUT_S):
            await self._require_primary_as_far(servers, name)
            source = await self._source(servers)
            async with Administrator.of(target) as server:
                await begin_copy(server, database)
        log.info("mysql.rebuild_begins", name=name, source=source)
        tools = Tools(self._programs, self._record.path.parent / name / "rebuild.log")
        told = _Progress(name)
        gtid = await copy_database(tools, self._users.administrator.url(servers.named(source).url), target, told)
        async with asyncio.timeout(STEP_TIMEOUT_S):
            async with Administrator.of(target) as server:
                await take_copy(server, database, gtid, self._users.application)
            await self._unmark(name)
        log.info("mysql.rebuilt", name=name, source=source, position=gtid, bytes=told.count, seconds=round(time.monotonic() - began_s, 1))

    def _administrative(self, url: str) -> tuple[str, str]:
        """The administrator's address, which is good also while the application's database is not there, and that database's name."""
        parts = urlsplit(self._users.administrator.url(url))
        return parts._replace(path="/mysql").geturl(), parts.path.strip("/")

    async def _require_primary_as_far(self, servers: Servers, name: str) -> None:
        """Raises ServiceUnavailable. A server without tables has nothing to lose."""
        found = []
        for one in (servers.named(servers.primary), servers.named(name)):
            url, database = self._administrative(one.url)
            async with Administrator.of(url) as server:
                found.append(await reached(server, database))
        if behind := lacks(*found):
            raise ServiceUnavailable(f"{servers.primary}, the primary, has not come as far in the log yet: {behind}")

    async def _source(self, servers: Servers) -> str:
        """The replica that follows the primary and is furthest, else the primary."""
        asked = [one for one in servers.replicas if not one.rebuild and self._serves(one.name)]
        found = await asyncio.gather(*(standing_of(one.url, self._users) for one in asked))
        parts = urlsplit(servers.primary_url())
        follow = {
            one.name: standing.position
            for one, standing in zip(asked, found, strict=True)
            if standing is not None and standing.threads.runs and standing.threads.source == f"{parts.hostname}:{parts.port}"
        }
        return max(follow, key=lambda one: follow[one]) if follow else servers.primary

    async def _unmark(self, name: str) -> None:
        while True:
            with suppress(OutcryError):  # a promotion is under way
                self._change(name, "")
                return
            await asyncio.sleep(ROUND_S)

    def _change(self, name: str, reason: str) -> None:
        with self._record.locked():
            before = self._record.read()
            if name != before.primary:
                self._record.write(
                    replace(before, servers=tuple(replace(one, rebuild=reason) if one.name == name else one for one in before.servers))
                )


class _Progress:
    """Tells now and then how much is copied."""

    def __init__(self, name: str) -> None:
        self._name, self.count, self._told_s = name, 0, time.monotonic()

    def __call__(self, count: int) -> None:
        self.count = count
        if time.monotonic() - self._told_s > TOLD_EVERY_S:
            self._told_s = time.monotonic()
            log.info("mysql.rebuild_goes_on", name=self._name, bytes=count)
