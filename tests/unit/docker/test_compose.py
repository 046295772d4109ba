"""docker/ against the compose specification and against the code: no container engine is needed, none runs in CI."""

import json
import re
import tomllib
from base64 import urlsafe_b64decode
from pathlib import Path
from typing import Any

import jsonschema  # type: ignore[import-untyped]
import pytest
import yaml

from schemas.settings import Settings
from streams.services.recipes.kafka import PROPERTIES
from streams.services.recipes.packages import locked_set
from topics.roles import ROLES

ROOT = Path(__file__).parents[3]
SPECIFICATION = json.loads((Path(__file__).parents[1] / "data" / "compose-spec.json").read_text())
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker" / "compose.yaml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
DOCKERFILE = (ROOT / "docker" / "Dockerfile").read_text()
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
STORES = {"kafka", "mysql", "redis", "elasticsearch"}


def test_the_file_is_valid_by_the_compose_specification() -> None:
    """And the schema is one that refuses: a misspelt key is an error."""
    validator = jsonschema.Draft202012Validator(SPECIFICATION)
    assert [error.message for error in validator.iter_errors(COMPOSE)] == []
    misspelt = {"services": {"x": {"imagee": "y"}}}
    assert any("imagee" in error.message for error in validator.iter_errors(misspelt))


def test_every_role_of_the_exchange_is_a_service_and_every_service_is_known() -> None:
    """A role that is added to pyproject.toml must be added here."""
    workers = {name: service["command"] for name, service in SERVICES.items() if service.get("command", [""])[0] == "worker"}
    assert workers == {role: ["worker", role] for role in ROLES}
    assert set(SERVICES) == {*ROLES, *STORES, "cache", "topics", "keys", "operator"}


@pytest.mark.parametrize("name", [*ROLES, "topics", "operator"])
def test_the_settings_of_each_service_are_known_and_valid(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every OUTCRY_ variable is a field of Settings, and together they make settings that reach the four stores by name."""
    environment = SERVICES[name]["environment"]
    assert all(isinstance(value, str) for value in environment.values()), "YAML must not turn a setting into a number"
    fields = {f"OUTCRY_{field.upper()}" for field in Settings.model_fields}
    assert {variable for variable in environment if variable.startswith("OUTCRY_")} <= fields
    for variable, value in environment.items():
        monkeypatch.setenv(variable, value)
    settings = Settings()
    hosts = (settings.kafka_url, settings.mysql_url, settings.redis_url, settings.cache_url, settings.elasticsearch_url)
    for store, url in zip(("kafka", "mysql", "redis", "cache", "elasticsearch"), hosts, strict=True):
        assert re.search(rf"(^|[/@]){store}:\d+", url), url


def test_the_edge_alone_is_reachable_and_from_the_host_only() -> None:
    """Behind 0.0.0.0 in a container nobody is on loopback, so everybody who signs in needs a second factor."""
    edge = SERVICES["edge"]
    assert edge["ports"] == ["127.0.0.1:8080:8080"]
    assert not any("ports" in service for name, service in SERVICES.items() if name != "edge")


def test_the_order_of_the_start_is_stores_then_topics_then_roles() -> None:
    """Each waits for what it needs to be healthy, not merely started."""
    assert SERVICES["topics"]["depends_on"] == {
        **{store: {"condition": "service_healthy"} for store in STORES}, "keys": {"condition": "service_completed_successfully"},
    }  # fmt: skip
    for role in ROLES:
        assert SERVICES[role]["depends_on"] == {"topics": {"condition": "service_completed_successfully"}}


def test_every_long_lived_service_has_a_health_check_a_volume_of_its_own_and_restarts() -> None:
    """Two roles must not share a RocksDB directory; every declared volume is used."""
    used: list[str] = []
    for name in {*ROLES, *STORES}:
        service = SERVICES[name]
        assert service["restart"] == "unless-stopped", name
        assert {"test", "interval", "timeout", "retries"} <= set(service["healthcheck"]), name
        used += [volume.partition(":")[0] for volume in service["volumes"]]
    used += [volume.partition(":")[0] for volume in SERVICES["operator"]["volumes"]]
    shared = {"keys", "reports"}
    own = [name for name in used if name not in shared]
    assert sorted([*own, *shared]) == sorted(COMPOSE["volumes"])


def test_the_edge_shows_the_reports_that_the_role_makes_and_cannot_change_them() -> None:
    """One folder, in the image with its owner."""
    folder = "/var/lib/outcry-reports"
    maker, edge = SERVICES["make-reports"], SERVICES["edge"]
    assert f"reports:{folder}" in maker["volumes"]
    assert f"reports:{folder}:ro" in edge["volumes"]
    assert maker["environment"]["OUTCRY_REPORTS_DIR"] == edge["environment"]["OUTCRY_REPORTS_DIR"] == f"{folder}/days"
    assert maker["environment"]["OUTCRY_REPORTS_FILE"].startswith(folder)
    assert f"install -d -m 700 -o outcry {folder} " in DOCKERFILE


def test_every_role_has_the_keys_and_starts_nothing_without_them() -> None:
    """One folder, made before the roles start, in the image with its owner; a volume over it belongs to the same user."""
    folder = "/var/lib/outcry-keys"
    for name in (*ROLES, "keys", "operator"):
        assert f"keys:{folder}" in SERVICES[name]["volumes"], name
        assert SERVICES[name]["environment"]["OUTCRY_KEYS_DIR"] == folder
    assert SERVICES["keys"]["command"] == ["keys", "init"]
    assert all(SERVICES[name]["environment"]["OUTCRY_REQUIRE_RECORD_CODES"] == "true" for name in ROLES)
    assert re.search(rf"install -d -m 700 -o outcry {folder}$", DOCKERFILE, re.MULTILINE)
    cluster = yaml.safe_load((ROOT / "docker" / "compose.cluster.yaml").read_text())["services"]
    roles = [service for service in cluster.values() if service.get("command", [""])[0] == "worker" and "volumes" in service]
    assert roles
    assert all(f"keys:{folder}" in service["volumes"] for service in roles)


def test_images_are_pinned_to_the_versions_of_the_local_set() -> None:
    """Kafka and Elasticsearch exactly, MariaDB by its release series."""
    assert SERVICES["kafka"]["image"] == f"apache/kafka:{locked_set('kafka').version}"
    assert SERVICES["elasticsearch"]["image"].endswith(f":{locked_set('elasticsearch').version}")
    assert SERVICES["mysql"]["image"] == f"mariadb:{locked_set('mariadb').version.rpartition('.')[0]}"
    version = PROJECT["project"]["version"]
    assert {SERVICES[name]["image"] for name in (*ROLES, "topics")} == {f"open-outcry:{version}"}


def test_the_broker_has_the_limits_that_the_exchange_relies_on() -> None:
    """Where a property is set here and in the local set, the values agree; the ones that matter are set."""
    environment = SERVICES["kafka"]["environment"]
    names = {"KAFKA_" + key.upper().replace(".", "_"): str(value) for key, value in PROPERTIES.items()}
    shared = {name: value for name, value in environment.items() if name in names}
    assert shared == {name: names[name] for name in shared}
    assert len(urlsafe_b64decode(environment["CLUSTER_ID"] + "==")) == 16, "Kafka wants a UUID in base64"
    assert {"KAFKA_MESSAGE_MAX_BYTES", "KAFKA_GROUP_MIN_SESSION_TIMEOUT_MS", "KAFKA_AUTO_CREATE_TOPICS_ENABLE"} <= set(shared)


def test_the_image_holds_every_package_and_runs_as_a_user_without_rights() -> None:
    """Each top-level package of pyproject.toml is copied; Python is one that the project allows; `outcry` is the entry point."""
    copied = {source for line in re.findall(r"^COPY (?!--from)(.+)$", DOCKERFILE, re.MULTILINE) for source in line.split()[:-1]}
    packages = set(PROJECT["tool"]["importlinter"]["root_packages"])
    assert packages <= copied
    assert {"pyproject.toml", PROJECT["project"]["readme"]} <= copied
    not_ignored = {line[1:] for line in (ROOT / "docker" / "Dockerfile.dockerignore").read_text().splitlines() if line.startswith("!")}
    assert copied == not_ignored
    assert [source for source in sorted(copied) if not (ROOT / source).exists()] == []
    assert re.findall(r"^FROM python:(\S+)-slim", DOCKERFILE, re.MULTILINE) == ["3.13", "3.13"]
    assert re.findall(r"^USER (\S+)$", DOCKERFILE, re.MULTILINE) == ["outcry"]
    assert 'ENTRYPOINT ["outcry"]' in DOCKERFILE
