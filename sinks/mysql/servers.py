"""Which MySQL servers there are and which of them is written to: a small JSON file that is replaced as a whole.

    {"epoch": 3, "primary": "mariadb-2", "servers": {"mariadb": {"url": "mysql://user:password@host:port/database", "zone": "", "draining": false}}}

`epoch` grows by one with each promotion. `primary` is empty while one is under way: then nobody may write. Who is primary is only ever read here,
never guessed from which server takes writes: a former primary that comes back may take them too.
"""

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from schemas.errors import ServiceUnavailable, StaleData

SERVERS_MAX: Final = 200


@dataclass(frozen=True, slots=True)
class ServerAddress:
    """A server. zone: where it stands, for readers who prefer what is near. draining: it gets no new reads.

    rebuild: why it gets a new copy of the data; until it has it, nobody reads it, and it follows nobody and cannot become primary.
    """

    name: str
    url: str
    zone: str = ""
    draining: bool = False
    rebuild: str = ""


@dataclass(frozen=True, slots=True)
class Servers:
    """The content of the file."""

    epoch: int
    primary: str
    """Empty: a promotion is under way."""
    servers: tuple[ServerAddress, ...]
    former: str = ""
    """While a promotion is under way, who was primary before it."""

    def named(self, name: str) -> ServerAddress:
        """The server of this name, which must be one."""
        return next(one for one in self.servers if one.name == name)

    @property
    def replicas(self) -> tuple[ServerAddress, ...]:
        """All but the primary."""
        return tuple(one for one in self.servers if one.name != self.primary)

    def primary_url(self) -> str:
        """Where to write. Raises ServiceUnavailable while there is nowhere."""
        if not self.primary:
            raise ServiceUnavailable(
                "MySQL has no primary at the moment: a promotion is under way, or was interrupted (`outcry mysql promote`)"
            )
        return self.named(self.primary).url


def servers_text(servers: Servers) -> str:
    """What parse_servers reads."""
    found = {
        one.name: {"url": one.url, "zone": one.zone, "draining": one.draining, **({"rebuild": one.rebuild} if one.rebuild else {})}
        for one in servers.servers
    }
    head = {"epoch": servers.epoch, "primary": servers.primary, "former": servers.former}
    return json.dumps({**head, "servers": found}, indent=1)


def parse_servers(text: str, where: str) -> Servers:
    """Raises StaleData that says what is wrong, and where."""
    try:
        found = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise StaleData(f"{where} is not JSON ({error})") from error
    problem = _problem(found)
    if problem:
        raise StaleData(f"{where}: {problem}")
    addresses = tuple(
        ServerAddress(name, one["url"], one.get("zone", ""), one.get("draining", False), one.get("rebuild", ""))
        for name, one in found["servers"].items()
    )
    return Servers(found["epoch"], found["primary"], addresses, found.get("former", ""))


def _problem(found: Any) -> str:
    """What is wrong with the content; "" if nothing is."""
    if not isinstance(found, dict) or not isinstance(found.get("servers"), dict):
        return 'must be an object with "epoch", "primary" and "servers", an object too'
    if type(found.get("epoch")) is not int or found["epoch"] < 1:
        return f"epoch: {found.get('epoch')!r} is not a number from 1 up"
    servers = found["servers"]
    if not 1 <= len(servers) <= SERVERS_MAX:
        return f"servers: there are {len(servers)}, not 1 to {SERVERS_MAX}"
    for name, one in servers.items():
        if not isinstance(one, dict) or not isinstance(one.get("url"), str) or not one["url"].startswith("mysql://"):
            return f"servers.{name}: url must be mysql://user:password@host:port/database"
        if not all(isinstance(one.get(key, ""), str) for key in ("zone", "rebuild")) or not isinstance(one.get("draining", False), bool):
            return f"servers.{name}: zone and rebuild must be texts, draining true or false"
    for part, name in (("primary", found.get("primary")), ("former", found.get("former", ""))):
        if not isinstance(name, str) or (name and name not in servers):
            return f"{part}: {name!r} is not one of the servers"
    return ""


class ServersFile:
    """The file, read again when it has been replaced. Reading it costs one stat (2 us) where nothing has changed."""

    def __init__(self, path: Path) -> None:
        self._path = Path(path)
        self._seen: tuple[int, int] | None = None
        self._servers: Servers | None = None

    def read(self) -> Servers:
        """What it says. A file that cannot be read leaves what was read before; raises ServiceUnavailable, StaleData if there is nothing."""
        try:
            status = os.stat(self._path)  # noqa: PTH116  half the price of Path.stat, and this is on the way of every read
            seen = status.st_mtime_ns, status.st_ino
            if seen != self._seen:
                self._servers, self._seen = parse_servers(self._path.read_text(), str(self._path)), seen
        except (OSError, UnicodeDecodeError, StaleData) as error:
            if self._servers is None:
                if isinstance(error, StaleData):
                    raise
                raise ServiceUnavailable(f"{self._path}, which lists the MySQL servers, cannot be read ({error})") from error
        assert self._servers is not None
        return self._servers
