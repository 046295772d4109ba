"""A primary whose last transactions nobody has received: when it comes back as a replica, the new primary refuses it, and only a new copy helps.

One of them is of the log, and comes again from there. The other is a key of the API, which is not: nothing may be left of it on any server.
"""

import asyncio
import time
from pathlib import Path
from typing import Final

from replica_log import Writer

from sinks.mysql.pool import MySql
from sinks.mysql.replication import Administrator
from sinks.mysql.rights import HOSTS
from sinks.mysql.servers import Servers, ServersFile
from streams.services.promotion import Users, standing_of

_OWN_KEY: Final = "INSERT INTO api_keys (key_id, secret_sha256, account, created_at) VALUES (%s, REPEAT('x', 32), 1, 0)"
GIVEN_UP_S: Final = 120.0
POLL_S: Final = 0.02


async def write_alone(file: ServersFile, users: Users, writer: Writer) -> str:
    """Until the primary has transactions of both kinds that no replica has received. Returns the key.

    Its user for replication is gone, so nobody can receive anything, whoever starts to. The server makes it again at its next start.
    """
    servers, replicator, own = file.read(), users.replicator.user, f"own-{time.time_ns()}"
    hosts = ", ".join(f"'{replicator}'@'{host}'" for host in HOSTS)
    async with asyncio.timeout(GIVEN_UP_S):
        async with Administrator.of(users.administrator.url(servers.primary_url())) as server:
            await server.run("SET SESSION sql_log_bin = 0")
            await server.run(f"DROP USER {hosts}")
            await server.end_connections(replicator)
        seen = writer.acknowledged
        db = await MySql.connect(servers.primary_url(), 1)
        async with db.transaction() as transaction:
            await transaction.execute(_OWN_KEY, (own,))
        await db.close()
        while not (writer.acknowledged > seen and await _is_alone(servers, users)):  # noqa: ASYNC110  what others do, nobody tells us
            await asyncio.sleep(POLL_S)
    return own


async def _is_alone(servers: Servers, users: Users) -> bool:
    first = await standing_of(servers.primary_url(), users)
    found = await asyncio.gather(*(standing_of(one.url, users) for one in servers.replicas))
    return first is not None and all(one is None or one.received + 1 < first.position for one in found)


def rebuilt(log_dir: Path) -> int:
    """How many servers have got a new copy of the data, by the supervisor's own word."""
    return (log_dir / "supervisor.log").read_text().count("event=mysql.rebuilt ")
