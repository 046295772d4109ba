"""Make a replica the primary, and keep the former primary from taking writes ever again as one.

Order: choose who has received most -> raise the epoch, with nobody as primary -> fence the former primary -> let the chosen one apply what it has
received -> open it -> write it into the file, from which everybody learns it -> have the others follow it. A crash in between leaves nobody open for
writes; the next promotion goes on from there.

What only the former primary had comes again from the log: the sink goes on where the new one is.
"""

import asyncio
import fcntl
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import structlog

from schemas.errors import OutcryError, ServiceUnavailable
from sinks.mysql.replication import Administrator, Login, NotFenced, Standing
from sinks.mysql.servers import Servers, parse_servers, servers_text
from streams.process.files import write_atomically

log = structlog.get_logger("outcry.promotion")

ASK_TIMEOUT_S: Final = 1.0
FENCE_TIMEOUT_S: Final = 1.0
RUN_OUT_TIMEOUT_S: Final = 10.0
OPEN_TIMEOUT_S: Final = 3.0
"""More than asking: who is chosen has just answered, so it is slow rather than away."""
FOLLOW_TIMEOUT_S: Final = 2.0

Kill = Callable[[str], Awaitable[None]]
"""Ends the process of a server, by its name; returns when it is gone. It must not come back open for writes."""


@dataclass(frozen=True)
class Users:
    """Who administers the servers, who replicates, and the name of the user whose writes are fenced."""

    administrator: Login
    replicator: Login
    application: str


class ServersRecord:
    """The servers' file, for those who change it."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @contextmanager
    def locked(self) -> Iterator[None]:
        """One promotion at a time. Raises OutcryError if there is one under way."""
        with self.path.with_suffix(".lock").open("w") as handle:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise OutcryError("a promotion is under way: see `outcry mysql servers`") from None
            yield

    def read(self) -> Servers:
        """Raises StaleData, OSError."""
        return parse_servers(self.path.read_text(), str(self.path))

    def write(self, servers: Servers) -> Servers:
        """Replace it; it has passwords in it. Raises OSError."""
        write_atomically(self.path, servers_text(servers), mode=0o600)
        return servers


async def promote(record: ServersRecord, users: Users, kill: Kill | None, to: str = "") -> Servers:
    """Returns the servers afterwards. to: which replica; without it, the one that has received most.

    kill: for a former primary that does not answer; without it such a one cannot be fenced, and nothing is promoted.
    Raises OutcryError, also if there is a promotion under way; then everything is as before, or, if even that cannot be brought about, nobody is open for
    writes and the message says so.
    """
    with record.locked():
        return await _promote(record, users, kill, to)


async def _promote(record: ServersRecord, users: Users, kill: Kill | None, to: str) -> Servers:
    before = record.read()
    former = before.primary or before.former
    chosen = await _choose(before, users, former, to)
    closed = record.write(replace(before, epoch=before.epoch + 1, primary="", former=former))
    try:
        gtid = await _fence(closed, users, former, kill) if former else ""
        await _open(closed, users, chosen, gtid)
    except OutcryError:
        await _restore(record, closed, users, former)
        raise
    after = record.write(replace(closed, primary=chosen, former=""))
    log.info("mysql.promoted", primary=chosen, former=former, epoch=after.epoch)
    await asyncio.gather(*(_follow(after, users, one.name) for one in after.replicas))
    return after


async def standing_of(url: str, users: Users, timeout_s: float = ASK_TIMEOUT_S) -> Standing | None:
    """Where a server is; None if it does not answer in time. url: the application's."""
    with suppress(ServiceUnavailable, TimeoutError):
        async with asyncio.timeout(timeout_s), Administrator.of(users.administrator.url(url), timeout_s) as server:
            return await server.standing()
    return None


async def _choose(servers: Servers, users: Users, former: str, to: str) -> str:
    """Raises OutcryError if nobody can be."""
    candidates = [one for one in servers.servers if one.name != former and not one.rebuild]
    if to and to not in {one.name for one in candidates}:
        names = ", ".join(one.name for one in candidates)
        raise OutcryError(f"{to} is not one of the replicas that have all data; they are {names}")
    asked = [one for one in servers.servers if not one.rebuild]
    found = await asyncio.gather(*(standing_of(one.url, users) for one in asked))
    answering = _without_diverged({one.name: standing for one, standing in zip(asked, found, strict=True) if standing is not None})
    former_answers = answering.pop(former, None) is not None
    followers = {name: standing for name, standing in answering.items() if standing.threads.source}
    # what the former primary still writes reaches those that follow it; who has just come back follows nobody yet
    standing = followers if followers and former_answers and to not in answering.keys() - followers.keys() else answering
    if not standing or (to and to not in standing):
        raise ServiceUnavailable(f"{to or 'no replica'} answers: nothing was changed; see `outcry status`")
    best = max(standing, key=lambda name: standing[name].received)
    if to and standing[to].received < standing[best].received and not former_answers:
        raise OutcryError(f"{to} has received less than {best}, and the former primary does not answer: promote {best}")
    return to or best


def _without_diverged(found: dict[str, Standing]) -> dict[str, Standing]:
    """Who has diverged counts only where there is nobody else: transactions that are its own make it seem to be ahead."""
    return {name: one for name, one in found.items() if not one.threads.diverged} or found


async def _fence(servers: Servers, users: Users, former: str, kill: Kill | None) -> str:
    """No write reaches the former primary any more. Returns the end of its log, "" if it does not tell. Raises NotFenced."""
    try:
        url = users.administrator.url(servers.named(former).url)
        async with asyncio.timeout(FENCE_TIMEOUT_S), Administrator.of(url, FENCE_TIMEOUT_S) as server:
            return await server.close_for_writes(users.application)
    except (ServiceUnavailable, TimeoutError) as error:
        if kill is None:
            raise NotFenced(f"{former}, the primary, does not answer and may still take writes: stop it, then say so") from error
    await kill(former)
    return ""


async def _open(servers: Servers, users: Users, chosen: str, gtid: str) -> None:
    """It applies what it has received, up to the end of the former primary's log if that is known, and takes writes. Raises OutcryError."""
    try:
        async with (
            asyncio.timeout(RUN_OUT_TIMEOUT_S + OPEN_TIMEOUT_S),
            Administrator.of(users.administrator.url(servers.named(chosen).url), OPEN_TIMEOUT_S) as server,
        ):
            await server.run_out(gtid, RUN_OUT_TIMEOUT_S)
            await server.open_for_writes()
    except TimeoutError as error:
        raise ServiceUnavailable(f"{chosen} answered first, and then no more: see `outcry status`") from error


async def _restore(record: ServersRecord, closed: Servers, users: Users, former: str) -> None:
    """The former primary goes on, in the new epoch. Does nothing where it does not answer."""
    if not former:
        return
    with suppress(ServiceUnavailable, TimeoutError):
        async with (
            asyncio.timeout(FENCE_TIMEOUT_S),
            Administrator.of(users.administrator.url(closed.named(former).url), FENCE_TIMEOUT_S) as server,
        ):
            await server.open_again()
            record.write(replace(closed, primary=former, former=""))


async def _follow(servers: Servers, users: Users, name: str) -> None:
    """Have a server follow the new primary. Who does not answer, or has no whole copy yet, is attached later (supervision.replication_keeper)."""
    if servers.named(name).rebuild:
        return
    with suppress(ServiceUnavailable, TimeoutError):
        async with (
            asyncio.timeout(FOLLOW_TIMEOUT_S),
            Administrator.of(users.administrator.url(servers.named(name).url), FOLLOW_TIMEOUT_S) as server,
        ):
            await server.stay_closed()
            await server.attach(servers.named(servers.primary).url, users.replicator)
