"""docker/compose.cluster.yaml over docker/compose.yaml: valid, and the same cluster as `outcry up --brokers 3` makes."""

import json
from pathlib import Path
from typing import Any

import jsonschema  # type: ignore[import-untyped]
import pytest
import yaml

from schemas.logins import address_of
from schemas.settings import Settings
from streams.operate.worker import worker
from streams.services.recipes.kafka import CLUSTER_PROPERTIES, copies_of, copies_required
from topics.roles import ROLES

DOCKER = Path(__file__).parents[3] / "docker"
SPECIFICATION = json.loads((Path(__file__).parents[1] / "data" / "compose-spec.json").read_text())
BASE: dict[str, Any] = yaml.safe_load((DOCKER / "compose.yaml").read_text())
CLUSTER: dict[str, Any] = yaml.safe_load((DOCKER / "compose.cluster.yaml").read_text())
BROKERS = ("kafka", "kafka-2", "kafka-3")


def merged(name: str) -> dict[str, Any]:
    """A service as compose makes it of both files: `extends` first, environments united, lists of a name replaced."""
    over = CLUSTER["services"].get(name, {})
    below = BASE["services"].get(over.get("extends", {}).get("service", name), {})
    environment = {**below.get("environment", {}), **over.get("environment", {})}
    return {**below, **over, "environment": environment}


def test_the_file_is_valid_by_the_compose_specification() -> None:
    """A misspelt key would be an error."""
    assert [error.message for error in jsonschema.Draft202012Validator(SPECIFICATION).iter_errors(CLUSTER)] == []


def test_it_is_a_project_of_its_own_so_that_its_volumes_are() -> None:
    """Data of one broker must not be started as that of three; nor two processes on one volume."""
    assert CLUSTER["name"] != BASE["name"]
    services = {*BASE["services"], *CLUSTER["services"]}
    used = [volume.partition(":")[0] for name in services for volume in merged(name).get("volumes", ())]
    shared = {"keys", "reports"}
    used = [name for name in used if name not in shared]
    assert len(used) == len(set(used))
    assert {*used, *shared} == {*BASE["volumes"], *CLUSTER["volumes"]}


def test_the_brokers_are_one_quorum_and_keep_as_many_copies_as_the_local_cluster() -> None:
    """Each knows all voters, listens where they look for it, and has the local cluster's time-outs."""
    voters = ",".join(f"{node}@{name}:9093" for node, name in enumerate(BROKERS, start=1))
    copies = copies_of(3)
    for node, name in enumerate(BROKERS, start=1):
        environment = merged(name)["environment"]
        assert environment["KAFKA_NODE_ID"] == str(node)
        assert environment["KAFKA_CONTROLLER_QUORUM_VOTERS"] == voters
        assert environment["KAFKA_LISTENERS"] == "CLIENT://:9092,CONTROLLER://:9093"
        assert environment["KAFKA_ADVERTISED_LISTENERS"] == f"CLIENT://{name}:9092"
        assert environment["CLUSTER_ID"] == BASE["services"]["kafka"]["environment"]["CLUSTER_ID"]
        assert {value for key, value in environment.items() if key.endswith("REPLICATION_FACTOR")} == {str(copies)}
        required = {value for key, value in environment.items() if key.endswith(("MIN_ISR", "MIN_INSYNC_REPLICAS"))}
        assert required == {str(copies_required(copies))}
        for key, value in CLUSTER_PROPERTIES.items():
            given = environment.get("KAFKA_" + key.upper().replace(".", "_"), str(value))
            assert given == str(value), key


@pytest.mark.parametrize("name", [*sorted(set(CLUSTER["services"]) - set(BROKERS))])
def test_every_process_knows_all_brokers_and_is_one_that_can_be_started(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Settings are valid; a second worker or replica is one by its command line."""
    service = merged(name)
    for variable, value in service["environment"].items():
        if variable.startswith("OUTCRY_"):
            monkeypatch.setenv(variable, value)
    settings = Settings()
    assert address_of(settings.kafka_url).split(",") == [f"{broker}:9092" for broker in BROKERS]
    assert (settings.replication_factor, settings.insync_copies_min) == (3, 2)
    if service["command"][0] == "worker":
        role, *options = service["command"][1:]
        assert role in ROLES
        with worker.make_context("worker", [role, *options]) as context:
            given = [str(value) for key, value in context.params.items() if key != "role" and value is not None]
        assert name == "-".join([role, *given])
