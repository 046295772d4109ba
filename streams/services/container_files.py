"""What the services and roles of docker/compose.yaml mount as secrets: certificates, logins, and configurations that hold passwords.

    FOLDER/                       as streams.process.service_keys makes it: the authority and its key, certificates, logins
    FOLDER/containers/            what is made of it for containers, each file for those that are given it

In a container a file is read by another user than the one that made it here, and compose mounts it with the rights that it has. So the files of
`containers` may be read by all, and FOLDER may be entered by its owner alone. All are written anew each time; what they are made of stays.
"""

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Final

from schemas.logins import Login
from sinks.elastic.rights import security_files
from sinks.mysql.rights import DATABASE, user_statements
from sinks.mysql.schema import table_statements
from sinks.redis.rights import CACHE_RIGHTS, RIGHTS, user_lines
from streams.process import service_keys
from streams.process.authority import OWNER_ONLY
from streams.process.files import write_atomically
from streams.process.service_keys import AUTHORITY, IN_CONTAINERS, certificate_of, passwords
from streams.services.recipes.kafka_security import client_properties, security_properties
from streams.services.recipes.valkey import CACHE_OPTIONS, QUOTED_NOTHING, SERVER_OPTIONS
from topics.rights import ADMINISTRATOR, BROKER

MADE: Final = "containers"
MOUNTED: Final = Path("/run/secrets")
READ_BY_ALL: Final = 0o444
EVERYWHERE: Final = ("%",)
"""Hosts of MySQL's users: a container has any address."""
REDIS_PORT: Final = 6_379
ROOT_PASSWORD: Final = "mysql-root"  # noqa: S105 - the name of a file


def make_container_files(folder: Path, more_names: Iterable[str] = (), *, renewed: bool = False) -> list[str]:
    """Make what is missing in the folder, and the files of its containers; returns the names of what was new. Raises OutcryError.

    more_names: under which customers and producers find the services. renewed: make new certificates for all of them.
    """
    made = service_keys.make_missing(folder, more_names, IN_CONTAINERS)
    if renewed:
        made += service_keys.renew(folder, more_names, IN_CONTAINERS, everything=True)
    if not (folder / ROOT_PASSWORD).exists():
        write_atomically(folder / ROOT_PASSWORD, service_keys.new_password(), OWNER_ONLY)
        made.append(ROOT_PASSWORD)
    for name, text in container_files(folder):
        write_atomically(folder / MADE / name, text, READ_BY_ALL)
    return list(dict.fromkeys(made))


def container_files(keys: Path) -> Iterator[tuple[str, str]]:
    """Name and text of each file of `containers`. Raises OutcryError."""
    everybody = service_keys.logins(keys)
    yield AUTHORITY, (keys / AUTHORITY).read_text()
    yield from ((f"login-{name}.json", (keys / "logins" / f"{name}.json").read_text()) for name in everybody if name != BROKER)
    yield from _kafka(keys, everybody[ADMINISTRATOR])
    yield from _mysql(keys)
    yield from _redis(keys, "redis", "valkey", {**SERVER_OPTIONS, "dir": "/data"}, RIGHTS)
    yield from _redis(keys, "cache", "valkey-cache", CACHE_OPTIONS, CACHE_RIGHTS)
    yield from _elasticsearch(keys, everybody[ADMINISTRATOR])
    key, certificate = _parts(certificate_of(keys, "nginx"))
    yield from (("tls.key", key), ("tls.crt", certificate))


def _kafka(keys: Path, administrator: Login) -> Iterator[tuple[str, str]]:
    """The image puts its environment behind this file, where whoever sees the process cannot read it."""
    properties = security_properties(keys, MOUNTED / "kafka.pem", MOUNTED / AUTHORITY)
    yield "kafka.pem", certificate_of(keys, "kafka").read_text()
    yield "kafka.properties", _properties(properties)
    yield "kafka-administrator.properties", _properties(client_properties(administrator, MOUNTED / AUTHORITY))


def _mysql(keys: Path) -> Iterator[tuple[str, str]]:
    """The server runs the statements at each start, before anybody can connect. `outcry` was the user of all roles in earlier versions."""
    statements = [
        f"CREATE DATABASE IF NOT EXISTS {DATABASE} CHARACTER SET utf8mb4", f"USE {DATABASE}", *table_statements(),
        "DROP USER IF EXISTS 'outcry'@'%'", *user_statements(passwords(keys), EVERYWHERE),
    ]  # fmt: skip
    yield "mysql.pem", certificate_of(keys, "mariadb").read_text()
    yield "mysql.sql", "".join(f"{statement};\n" for statement in statements)
    yield ROOT_PASSWORD, (keys / ROOT_PASSWORD).read_text()


def _redis(keys: Path, name: str, service: str, options: Mapping[str, str], rights: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """TLS alone. protected-mode would refuse all but loopback, as the default user, who is switched off, has no password."""
    certificate = MOUNTED / f"{name}.pem"
    own = {
        "bind": "* -::*", "protected-mode": "no", "port": "0", "tls-port": str(REDIS_PORT), "tls-auth-clients": "no",
        "tls-cert-file": str(certificate), "tls-key-file": str(certificate), "tls-ca-cert-file": str(MOUNTED / AUTHORITY),
    }  # fmt: skip
    lines = [f"{key} {value if value != '' else QUOTED_NOTHING}" for key, value in {**options, **own}.items()]
    yield f"{name}.pem", certificate_of(keys, service).read_text()
    yield f"{name}.conf", "".join(f"{line}\n" for line in [*lines, *user_lines(rights, passwords(keys))])


def _elasticsearch(keys: Path, administrator: Login) -> Iterator[tuple[str, str]]:
    """Its own security module: certificates, users and roles in its folder of configuration; and how its health is asked for, without a password among arguments."""
    key, certificate = _parts(certificate_of(keys, "elasticsearch"))
    yield from (("elasticsearch.key", key), ("elasticsearch.crt", certificate))
    yield from ((f"elasticsearch-{name}", text) for name, text in security_files(passwords(keys)).items())
    yield (
        "elasticsearch-health.curl",
        (
            'url = "https://localhost:9200/_cluster/health?wait_for_status=yellow&timeout=3s"\n'
            f'cacert = "{MOUNTED / AUTHORITY}"\nuser = "{administrator.name}:{administrator.password}"\noutput = "/dev/null"\nsilent\nfail\n'
        ),
    )


def _parts(file: Path) -> tuple[str, str]:
    """Key and certificate of a file that has both."""
    key, begin, certificate = file.read_text().partition("-----BEGIN CERTIFICATE")
    return key, begin + certificate


def _properties(found: Mapping[str, object]) -> str:
    return "".join(f"{key}={value}\n" for key, value in found.items())
