"""Keeps the MySQL servers of a set in their places: one primary, open for writes; the others closed, and following it.

It attaches who is not attached. Who was stopped by hand stays so until the next promotion or restart. Who has diverged gets a new copy of the data
(rebuilder). It promotes by itself where the primary does not come back: the supervisor
is the parent of every server, so it can end the former one for certain, which nobody can at a distance. A restart takes 1 to 3 s and loses nothing,
so that is tried first, for PROMOTE_AFTER_S.
"""

import asyncio
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import structlog

from schemas.errors import OutcryError, ServiceUnavailable
from sinks.mysql.replication import Administrator
from sinks.mysql.servers import ServerAddress, Servers
from streams.services.promotion import Kill, ServersRecord, Users, promote
from streams.services.recipes.mariadb import ADMINISTRATOR, REPLICATOR, SERVERS_FILE, USER, login_of
from streams.services.supervision.rebuilder import Rebuilder

log = structlog.get_logger("outcry.supervisor")

ROUND_S: Final = 0.25
AGAIN_S: Final = 1.0
SETTLED_S: Final = 10.0
PROMOTE_AFTER_S: Final = 15.0
NOBODY_AFTER_S: Final = 2.0
"""With nobody primary, a promotion is under way, and then it has the lock, or one was left half-way."""

Pid = Callable[[str], int | None]
"""The process of a server that is ready; None if it is not."""


def users_of(data_dir: Path) -> Users:
    """The users of a home's servers."""
    return Users(login_of(data_dir, ADMINISTRATOR), login_of(data_dir, REPLICATOR), USER)


class ReplicationKeeper:
    """For the servers of one set."""

    def __init__(
        self, data_dir: Path, urls: Mapping[str, str], pid_of: Pid, changed: Callable[[Servers], None], kill: Kill, programs: Path
    ) -> None:
        """urls: by name, with the application's user. changed: called with every new content of the servers' file. programs: see Rebuilder."""
        self._record = ServersRecord(data_dir / SERVERS_FILE)
        self._users = users_of(data_dir)
        self._urls, self._pid_of, self._changed, self._kill = urls, pid_of, changed, kill
        self._rebuilder = Rebuilder(self._record, self._users, programs, lambda name: pid_of(name) is not None)
        self._known: Servers | None = None
        self._settled: dict[str, tuple[int, int | None]] = {}
        """By name, the epoch and process in which the server was last found, or put, in its place."""
        self._due_s: dict[str, float] = {}
        self._primary_s = float("inf")
        """When the primary was last ready, once it has been."""

    def begin(self) -> Servers:
        """Make the file, or bring the addresses in it up to date. Raises StaleData, OSError."""
        addresses = tuple(ServerAddress(name, url) for name, url in self._urls.items())
        if self._record.path.exists():
            found = self._record.read()
            zones = {one.name: one for one in found.servers}
            kept = tuple(replace(zones[one.name], url=one.url) if one.name in zones else one for one in addresses)
            return self._record.write(replace(found, servers=kept))
        return self._record.write(Servers(1, next(iter(self._urls)), addresses))

    async def run(self, stop: asyncio.Event) -> None:
        """Until `stop`."""
        while not stop.is_set():
            try:
                await self._round()
            except (OutcryError, OSError) as error:
                log.warning("mysql.not_settled", reason=str(error))
            await asyncio.sleep(ROUND_S)
        await self._rebuilder.close()

    async def _round(self) -> None:
        servers = self._record.read()
        if servers != self._known:
            self._known = servers
            self._changed(servers)
        await self._watch_primary(servers)
        if servers.primary:
            await asyncio.gather(*(self._settle(servers, one.name) for one in servers.servers if self._is_due(servers, one.name)))
        self._rebuilder.go_on(servers)

    async def _watch_primary(self, servers: Servers) -> None:
        """Also where nobody is primary: a promotion that failed half-way, or whose process died, leaves that."""
        now = time.monotonic()
        if servers.primary and self._pid_of(servers.primary) is not None:
            self._primary_s = now
        elif not servers.primary:
            self._primary_s = min(self._primary_s, now)
        after_s = PROMOTE_AFTER_S if servers.primary else NOBODY_AFTER_S
        if now - self._primary_s > after_s:
            log.warning("mysql.primary_is_gone", primary=servers.primary or servers.former, for_s=after_s)
            self._primary_s = now  # whatever comes of it, not again at once
            await promote(self._record, self._users, self._kill)

    def _is_due(self, servers: Servers, name: str) -> bool:
        pid = self._pid_of(name)
        if servers.named(name).rebuild:
            self._settled.pop(name, None)  # it is put into its place once it has its copy
            return False
        if pid is None:
            return False
        return self._settled.get(name) != (servers.epoch, pid) or time.monotonic() >= self._due_s.get(name, 0.0)

    async def _settle(self, servers: Servers, name: str) -> None:
        self._due_s[name] = time.monotonic() + AGAIN_S
        pid = self._pid_of(name)
        try:
            async with asyncio.timeout(AGAIN_S * 5), Administrator.of(self._users.administrator.url(self._urls[name])) as server:
                was_there = await self._put_in_place(servers, name, server)
        except (OutcryError, TimeoutError) as error:
            log.warning("mysql.not_in_place", name=name, reason=str(error) or "no answer in time")
            return
        self._settled[name] = servers.epoch, pid
        if was_there:  # who was just attached is looked at soon: the source may refuse it
            self._due_s[name] = time.monotonic() + SETTLED_S

    async def _put_in_place(self, servers: Servers, name: str, server: Administrator) -> bool:
        """Whether it was there already. Raises OutcryError."""
        standing = await server.standing()
        if name == servers.primary:
            if standing.threads.source:
                await server.open_for_writes()
            elif standing.read_only:
                await server.open_again()
            return True
        if not standing.read_only:
            await server.stay_closed()
        parts = urlsplit(self._urls[servers.primary])
        if standing.threads.source != f"{parts.hostname}:{parts.port}":
            await server.attach(self._urls[servers.primary], self._users.replicator)
            log.info("mysql.attached", name=name, primary=servers.primary, position=standing.gtid)
            return False
        if standing.threads.diverged:
            self._rebuilder.mark(name, standing.threads.error)
        elif standing.threads.error:
            raise ServiceUnavailable(f"does not replicate: {standing.threads.error}")
        elif not standing.threads.runs and self._settled.get(name) != (servers.epoch, self._pid_of(name)):
            # whoever attached it ran out of time before the last statement: it has its source, and would wait for ever
            await server.start_replication()
            log.info("mysql.started_again", name=name, primary=servers.primary, position=standing.gtid)
        return standing.threads.runs
