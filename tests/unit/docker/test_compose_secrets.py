"""What docker/ mounts as secrets: all of it is made by one command, each service has what is its own, and nothing secret is anywhere else."""

import hashlib
import json
from base64 import b64decode
from pathlib import Path
from typing import Any

import pytest
import yaml

from schemas.logins import MARK
from sinks.elastic.rights import PRIVILEGES, RIGHTS
from streams.process import service_keys
from streams.process.authority import certificate_in, serial_in
from streams.services.container_files import MADE, make_container_files
from topics.rights import BROKER, LOGINS, SUPER_USERS
from topics.roles import ROLES

DOCKER = Path(__file__).parents[3] / "docker"
FILES = ("compose.yaml", "compose.cluster.yaml", "compose.nginx.yaml")
MOUNTED = "/run/secrets"


class Loader(yaml.SafeLoader):
    """Compose's own tag `!reset` takes a value away."""


Loader.add_constructor("!reset", lambda loader, node: [])
COMPOSE: dict[str, dict[str, Any]] = {name: yaml.load((DOCKER / name).read_text(), Loader=Loader) for name in FILES}  # of SafeLoader
SERVICES = COMPOSE["compose.yaml"]["services"]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder `secrets`."""
    folder = tmp_path_factory.mktemp("docker") / "secrets"
    make_container_files(folder)
    return folder


def granted(service: dict[str, Any]) -> dict[str, str]:
    """Where each secret of a service is in its container, by its name."""
    long = [{"source": one} if isinstance(one, str) else one for one in service.get("secrets", ())]
    return {one["source"]: one.get("target", f"{MOUNTED}/{one['source']}") for one in long}


def test_each_secret_of_the_files_is_made_and_each_that_is_made_is_mounted(made: Path) -> None:
    """And a service is given none that no file declares."""
    declared = {name: one["file"] for file in COMPOSE.values() for name, one in file.get("secrets", {}).items()}
    assert set(declared) == {path.name for path in (made / MADE).iterdir()}
    assert all(
        path.replace("${EDGE_TLS:-secrets/containers}", "secrets/containers") == f"secrets/containers/{name}"
        for name, path in declared.items()
    )
    given = {secret for file in COMPOSE.values() for service in file["services"].values() for secret in granted(service)}
    assert given == declared.keys()


def test_a_role_has_its_own_login_and_no_other() -> None:
    """Whoever takes over its container gets no further than its rights. The authority's key and the brokers' login are mounted nowhere."""
    for name in (*ROLES, "operator"):
        logins = f"{MOUNTED}/logins"
        assert granted(SERVICES[name]) == {"authority.pem": f"{logins}/authority.pem", f"login-{name}.json": f"{logins}/{name}.json"}, name
    everybody = {name for name in (*SUPER_USERS, *LOGINS) if name != BROKER}
    assert granted(SERVICES["topics"]).keys() == {"authority.pem", *(f"login-{name}.json" for name in everybody)}
    assert not granted(SERVICES["keys"])
    for store in ("mysql", "redis", "cache", "elasticsearch"):
        assert not [name for name in granted(SERVICES[store]) if name.startswith(("login-", "kafka")) or name.partition(".")[0] not in
                    {"authority", store, f"{store}-root", f"{store}-users", f"{store}-users_roles", f"{store}-roles", f"{store}-health"}]  # fmt: skip


def test_no_secret_is_in_a_file_of_compose_or_among_what_a_list_of_processes_shows(made: Path) -> None:
    """Neither as a value nor as a place for one: passwords are in files, which variables at most name."""
    texts = "".join((DOCKER / name).read_text() for name in FILES)
    assert not [name for name, password in service_keys.passwords(made).items() if password in texts]
    for file in COMPOSE.values():
        for name, service in file["services"].items():
            shown = json.dumps([service.get("environment", {}), service.get("command", []), service.get("healthcheck", {})])
            assert not [word for word in ("password=", "requirepass", "--pass", "jaas", "-u ") if word in shown.lower()], name
            assert not [one for one in service.get("environment", {}) if "PASSWORD" in one and not one.endswith("_FILE")], name


@pytest.mark.parametrize("name", [*ROLES, "topics", "operator"])
def test_every_address_of_a_role_has_tls_and_a_login(name: str) -> None:
    """Kafka and MySQL speak it where there is a login; the others say it by their scheme."""
    environment = SERVICES[name]["environment"]
    for setting, begin in {"KAFKA": "kafka:", "MYSQL": "mysql:", "REDIS": "rediss:", "CACHE": "rediss:", "ELASTICSEARCH": "https:"}.items():
        url = environment[f"OUTCRY_{setting}_URL"]
        assert url.startswith(begin)
        assert url.endswith(f"{MARK}{MOUNTED}/logins")
    over = COMPOSE["compose.cluster.yaml"]["x-settings"]["OUTCRY_KAFKA_URL"]
    assert over.endswith(f"{MARK}{MOUNTED}/logins")


def test_no_variable_of_a_broker_takes_a_protection_of_its_file_back(made: Path) -> None:
    """The image puts variables behind the file, and the later line counts."""
    secured = {line.partition("=")[0] for line in (made / MADE / "kafka.properties").read_text().splitlines()}
    for file in COMPOSE.values():
        for name, service in file["services"].items():
            names = {
                one.removeprefix("KAFKA_").lower().replace("_", ".") for one in service.get("environment", {}) if one.startswith("KAFKA_")
            }
            assert not names & secured, name
    assert "allow.everyone.if.no.acl.found=false" in (made / MADE / "kafka.properties").read_text()


def test_the_services_take_nothing_without_tls(made: Path) -> None:
    """By their own words."""
    assert {"--require-secure-transport=1", "--ssl-cert=/run/secrets/mysql.pem", "--init-file=/run/secrets/mysql.sql"} <= set(
        SERVICES["mysql"]["command"]
    )
    for name in ("redis", "cache"):
        assert SERVICES[name]["command"] == ["valkey-server", f"/run/secrets/{name}.conf"]
        lines = (made / MADE / f"{name}.conf").read_text().splitlines()
        assert {"port 0", "tls-port 6379", "user default off", f"tls-cert-file /run/secrets/{name}.pem"} <= set(lines)
    environment = SERVICES["elasticsearch"]["environment"]
    assert environment["xpack.security.enabled"] == environment["xpack.security.http.ssl.enabled"] == "true"
    mounted = set(granted(SERVICES["elasticsearch"]).values())
    for part in ("key", "certificate"):
        assert f"/usr/share/elasticsearch/config/{environment[f'xpack.security.http.ssl.{part}']}" in mounted
    edges = COMPOSE["compose.nginx.yaml"]["services"]
    assert edges["edge"]["ports"] == edges["edge-2"]["ports"] == [], "nothing goes past nginx"


def test_elasticsearch_knows_each_login_by_a_hash_and_what_it_may_do(made: Path) -> None:
    """Its own format: {PBKDF2}iterations$salt$hash. The logins are those that have rights at the door of a local set."""
    assert PRIVILEGES.keys() == RIGHTS.keys()
    known = service_keys.passwords(made)
    lines = dict(line.split(":", 1) for line in (made / MADE / "elasticsearch-users").read_text().splitlines())
    assert lines.keys() == PRIVILEGES.keys()
    for name, text in lines.items():
        iterations, salt, digest = text.removeprefix("{PBKDF2}").split("$")
        assert b64decode(digest) == hashlib.pbkdf2_hmac("sha512", known[name].encode(), b64decode(salt), int(iterations), 32)
    roles = yaml.safe_load((made / MADE / "elasticsearch-roles.yml").read_text())
    members = dict(line.split(":") for line in (made / MADE / "elasticsearch-users_roles").read_text().splitlines())
    assert {members[role]: some for role, some in roles.items()} == PRIVILEGES


def test_the_folder_is_its_owners_alone_and_its_files_are_read_by_the_users_of_containers(made: Path) -> None:
    """Those have other numbers than whoever made them. What is mounted nowhere is the owner's alone in any case."""
    assert made.stat().st_mode & 0o777 == 0o700
    assert {path.stat().st_mode & 0o777 for path in (made / MADE).iterdir()} == {0o444}
    assert {
        path.stat().st_mode & 0o777 for path in (made / "authority-key.pem", made / "mysql-root", *(made / "logins").glob("*.json"))
    } == {0o600}


def test_a_second_time_nothing_is_lost_and_what_is_asked_for_is_renewed(tmp_path: Path) -> None:
    """A login whose file was deleted has another password everywhere; certificates are renewed without a new authority; names are added to them."""
    folder = tmp_path / "secrets"
    make_container_files(folder)
    before, authority = service_keys.passwords(folder), (folder / "authority.pem").read_text()
    serials = {name: serial_in(folder / "certificates" / f"{name}.pem") for name in service_keys.IN_CONTAINERS}
    assert make_container_files(folder) == []
    (folder / "logins" / "edge.json").unlink()
    assert make_container_files(folder) == ["edge"]
    after = service_keys.passwords(folder)
    assert {name for name in before if before[name] != after[name]} == {"edge"}
    for file in ("login-edge.json", "mysql.sql", "redis.conf", "cache.conf"):
        text = (folder / MADE / file).read_text()
        assert after["edge"] in text, file
        assert before["edge"] not in text, file
    assert set(make_container_files(folder, ["exchange.example"], renewed=True)) == set(service_keys.IN_CONTAINERS)
    for name, serial in serials.items():
        certificate = certificate_in(folder / "certificates" / f"{name}.pem", folder / "authority.pem")
        assert certificate.is_ours
        assert "exchange.example" in certificate.names
        assert serial_in(certificate.path) != serial
    assert serial_in(folder / MADE / "tls.crt") == serial_in(folder / "certificates" / "nginx.pem")
    assert (folder / "authority.pem").read_text() == authority


def test_every_service_is_found_in_its_certificate_under_its_name_in_the_file(made: Path) -> None:
    """Else each client would refuse it."""
    by_secret = {"kafka.pem": "kafka", "mysql.pem": "mariadb", "redis.pem": "valkey", "cache.pem": "valkey-cache", "elasticsearch.crt": "elasticsearch",
                 "tls.crt": "nginx"}  # fmt: skip
    for file in COMPOSE.values():
        for name, service in file["services"].items():
            parent = service.get("extends", {}).get("service", name)
            for secret in granted(SERVICES.get(parent, service)):
                if secret in by_secret:
                    certificate = certificate_in(made / "certificates" / f"{by_secret[secret]}.pem", made / "authority.pem")
                    assert name in certificate.names, name
