"""docker/kubernetes against the catalogue of roles and against strict schemas of Kubernetes, KEDA and Strimzi: no cluster is needed."""

import copy
import json
import re
import tomllib
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema  # type: ignore[import-untyped]
import kubernetes_validate  # type: ignore[import-untyped]
import pytest
from deployment_files import FOLDER, GENERATED
from fleet.kafka_users import AUTHORITY, SCALER
from fleet.overlays import OVERLAYS, STRIMZI_URL, files
from fleet.scaling import FORECAST
from fleet.words import UID
from fleet.workloads import GRPC_PORTS, TWO_MAY_RUN, is_shard
from support.kube.manifests import rendered

from edge.gateway.limits import SHUTDOWN_GRACE_S
from schemas.logins import address_of, with_login
from schemas.settings import Settings
from streams.operate.worker import worker
from topics.rights import ADMINISTRATOR, LOGINS, Right, kafka_rights
from topics.roles import EDGE, ROLES

DATA = Path(__file__).parents[1] / "data"
VERSION = "1.37"
NAMES = [overlay.name for overlay in OVERLAYS]
DEFINITIONS = {
    "ScaledObject": "scaledobjects.keda.sh",
    "Kafka": "kafkas.kafka.strimzi.io",
    "KafkaNodePool": "kafkanodepools.kafka.strimzi.io",
    "KafkaUser": "kafkausers.kafka.strimzi.io",
    "TriggerAuthentication": "triggerauthentications.keda.sh",
}
KNOWN_KINDS = {
    "Namespace", "ConfigMap", "PersistentVolumeClaim", "Service", "Job", "StatefulSet", "Deployment", "PodDisruptionBudget", "NetworkPolicy", *DEFINITIONS,
}  # fmt: skip
STORES = {"kafka", "mysql", "redis", "elasticsearch"}


def of_kind(overlay: str, *kinds: str) -> dict[str, dict[str, Any]]:
    """By name."""
    return {one["metadata"]["name"]: one for one in rendered(overlay) if one["kind"] in kinds}


def workloads(overlay: str) -> dict[str, dict[str, Any]]:
    """Those of our roles, not of stores."""
    found = of_kind(overlay, "StatefulSet", "Deployment")
    return {name: one for name, one in found.items() if name not in STORES}


def container_of(workload: dict[str, Any]) -> dict[str, Any]:
    """The one that runs the role."""
    (only,) = workload["spec"]["template"]["spec"]["containers"]
    return only


def closed(node: Any) -> Any:
    """A definition's schema that takes no property it does not name, as `kubectl apply --validate=strict` has it."""
    if isinstance(node, dict):
        named = node.get("type") == "object" and "properties" in node and not node.get("x-kubernetes-preserve-unknown-fields")
        inner = {key: closed(child) for key, child in node.items()}
        return {"additionalProperties": False, **inner} if named else inner
    return [closed(child) for child in node] if isinstance(node, list) else node


@cache
def validator_of(kind: str, version: str) -> Any:
    """Of a kind that KEDA or Strimzi defines."""
    definition = json.loads((DATA / "custom_resources" / f"{DEFINITIONS[kind]}.json").read_text())
    (schema,) = (one["schema"]["openAPIV3Schema"] for one in definition["spec"]["versions"] if one["name"] == version)
    schema = closed(schema)
    schema["properties"]["metadata"] = {"type": "object"}
    return jsonschema.Draft7Validator(schema)


def wrong_with(document: dict[str, Any]) -> str:
    """Empty if it is right. An unknown field is wrong, and so is a trigger of KEDA with metadata that its scaler does not know."""
    kind = document["kind"]
    if kind not in DEFINITIONS:
        try:
            kubernetes_validate.validate(document, VERSION, strict=True)
        except (kubernetes_validate.ValidationError, kubernetes_validate.SchemaNotFoundError) as error:
            return str(error)
        return ""
    version = document["apiVersion"].rpartition("/")[2]
    found = [error.message for error in validator_of(kind, version).iter_errors(document)]
    if kind == "ScaledObject" and not found:
        found = [wrong for trigger in document["spec"]["triggers"] for wrong in wrong_with_trigger(trigger)]
    return "; ".join(found)


def wrong_with_trigger(trigger: dict[str, Any]) -> list[str]:
    """By the scaler's own list of what its metadata may say."""
    known = json.loads((DATA / "custom_resources" / "keda-triggers.json").read_text())[trigger["type"]]
    names = {one["name"] for one in known}
    required = {one["name"] for one in known if not one.get("optional") and "default" not in one and not one.get("deprecated")}
    required -= {"topic"}
    unknown = set(trigger["metadata"]) - names if trigger["type"] != "external" else set()  # the rest is for the scaler itself
    return [f"unknown {name}" for name in unknown] + [f"missing {name}" for name in required & names - set(trigger["metadata"])]


def test_the_generated_files_are_what_the_catalogue_says() -> None:
    """Run `make tables` after a change of topics/roles.py or tests/tidy/fleet."""
    there = {str(path.relative_to(FOLDER)): path.read_text() for name in GENERATED for path in (FOLDER / name).rglob("*") if path.is_file()}
    expected = files()
    assert set(there) == set(expected)
    assert [name for name in expected if there[name] != expected[name]] == []


@pytest.mark.parametrize("overlay", NAMES)
def test_every_object_is_valid_by_a_schema_that_knows_every_field(overlay: str) -> None:
    """Kubernetes 1.37 itself, KEDA and Strimzi."""
    documents = rendered(overlay)
    assert {one["kind"] for one in documents} <= KNOWN_KINDS
    assert [(one["kind"], one["metadata"]["name"], wrong) for one in documents if (wrong := wrong_with(one))] == []


@pytest.mark.parametrize("kind", sorted(KNOWN_KINDS - {"Namespace", "ConfigMap"}))
def test_one_wrong_field_in_any_kind_of_object_is_refused(kind: str) -> None:
    """Else the test before would show nothing."""
    document = copy.deepcopy(next(one for name in NAMES for one in rendered(name) if one["kind"] == kind))
    assert wrong_with(document) == ""
    document["spec"]["replicaCuont"] = 3
    assert "replicaCuont" in wrong_with(document)


def test_a_trigger_with_a_number_or_a_misspelt_name_is_refused() -> None:
    """KEDA takes texts only, and forgets what it does not know."""
    scaled = of_kind("three-zones", "ScaledObject")
    number = copy.deepcopy(scaled["edge"])
    number["spec"]["triggers"][0]["metadata"]["desiredReplicas"] = 6
    assert "6" in wrong_with(number)
    misspelt = copy.deepcopy(scaled["persist-mysql"])
    misspelt["spec"]["triggers"][0]["metadata"]["lagTreshold"] = "1"
    assert wrong_with(misspelt) == "unknown lagTreshold"


def test_every_role_of_the_catalogue_runs_in_three_zones_and_no_other() -> None:
    """A role that is added to topics/roles.py is there after `make tables`."""
    commands = {name: container_of(one)["args"] for name, one in workloads("three-zones").items()}
    assert {name.removesuffix("-b"): args for name, args in commands.items()} == {name: ["worker", name] for name in ROLES}


@pytest.mark.parametrize("overlay", NAMES)
def test_every_overlay_runs_the_roles_that_always_run_and_only_known_ones(overlay: str) -> None:
    """Optional ones as the overlay says."""
    running = {container_of(one)["args"][1] for one in workloads(overlay).values()}
    assert {name for name, role in ROLES.items() if not role.optional} <= running <= set(ROLES)


@pytest.mark.parametrize("overlay", NAMES)
def test_the_settings_are_known_and_valid_and_each_process_could_be_started_with_them(
    overlay: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those of the ConfigMap and those of the pod, with the number that Kubernetes gives the last pod."""
    settings = next(one["data"] for name, one in of_kind(overlay, "ConfigMap").items() if name.startswith("outcry-settings"))
    fields = {f"OUTCRY_{field.upper()}" for field in Settings.model_fields}
    for one in workloads(overlay).values():
        last = one["spec"].get("ordinals", {}).get("start", 0) + one["spec"].get("replicas", 1) - 1
        own = {pair["name"]: pair.get("value", str(last)) for pair in container_of(one)["env"]}
        assert set(settings) | set(own) <= fields
        with monkeypatch.context() as patched:
            for variable, value in {**settings, **own}.items():
                patched.setenv(variable, value)
            chosen = Settings()
        with worker.make_context("worker", container_of(one)["args"][1:]):
            assert chosen.edge_instance < chosen.edge_instances


def test_numbers_of_workers_begin_at_one_and_those_of_edges_at_nought() -> None:
    """A Deployment has no numbers: only roles that need none are Deployments."""
    for name, one in workloads("three-zones").items():
        role = ROLES[name.removesuffix("-b")]
        assert (one["kind"] == "Deployment") == (role.name in TWO_MAY_RUN), name
        numbered = {pair["name"] for pair in container_of(one)["env"] if "valueFrom" in pair}
        if role is EDGE:
            assert (numbered, one["spec"]["ordinals"]["start"]) == ({"OUTCRY_EDGE_INSTANCE"}, 0)
        elif role.workers and one["kind"] == "StatefulSet":
            assert (numbered, one["spec"]["ordinals"]["start"]) == ({"OUTCRY_WORKER_INSTANCE"}, 1)
        else:
            assert one["spec"].get("replicas", 1) <= TWO_MAY_RUN.get(role.name, 1)


def test_what_must_outlive_a_pod_is_on_a_disk_of_its_own_that_stays() -> None:
    """Tables of shards, and files that are nowhere else."""
    for name, one in workloads("three-zones").items():
        role = ROLES[name.removesuffix("-b")]
        claims = one["spec"].get("volumeClaimTemplates", [])
        assert bool(claims) == bool(role.table or role.files), name
        if claims:
            assert one["spec"]["persistentVolumeClaimRetentionPolicy"] == {"whenDeleted": "Retain", "whenScaled": "Retain"}


def test_edges_read_the_reports_that_the_role_makes_and_cannot_change_them() -> None:
    """One claim, which several nodes may mount; without the role an edge has none."""
    (claim,) = of_kind("three-zones", "PersistentVolumeClaim").values()
    assert claim["spec"]["accessModes"] == ["ReadWriteMany"]
    folders = {}
    for name in ("make-reports", "edge"):
        workload = workloads("three-zones")[name]
        (volume,) = [one for one in workload["spec"]["template"]["spec"]["volumes"] if one["name"] == "reports"]
        assert volume["persistentVolumeClaim"]["claimName"] == claim["metadata"]["name"]
        (mount,) = [one for one in container_of(workload)["volumeMounts"] if one["name"] == "reports"]
        assert mount.get("readOnly", False) == (name == "edge")
        (folders[name],) = [one["value"] for one in container_of(workload)["env"] if one["name"] == "OUTCRY_REPORTS_DIR"]
        assert folders[name].startswith(mount["mountPath"] + "/")
    assert folders["edge"] == folders["make-reports"]
    assert "reports" not in {one["name"] for one in workloads("one-zone")["edge"]["spec"]["template"]["spec"]["volumes"]}


def test_no_roll_out_and_no_eviction_stops_a_shard_by_the_way() -> None:
    """Every role has a budget; those of shards allow none."""
    budgets = {name: one["spec"]["maxUnavailable"] for name, one in of_kind("three-zones", "PodDisruptionBudget").items()}
    assert budgets == {name: 0 if is_shard(role) else 1 for name, role in ROLES.items()}
    for name, one in of_kind("three-zones", "StatefulSet").items():
        if is_shard(ROLES[name.removesuffix("-b")]):
            assert one["spec"]["updateStrategy"]["type"] == "OnDelete"


@pytest.mark.parametrize("overlay", NAMES)
def test_pods_have_no_rights_that_they_do_not_need(overlay: str) -> None:
    """Of every role, store and job: what Kubernetes calls "restricted", and more. Files of our image cannot be changed."""
    dockerfile = (FOLDER.parents[0] / "Dockerfile").read_text()
    assert f"--uid {UID} " in dockerfile
    for name, one in of_kind(overlay, "StatefulSet", "Deployment", "Job").items():
        pod = one["spec"]["template"]["spec"]
        assert pod["automountServiceAccountToken"] is False, name
        assert pod["enableServiceLinks"] is False, "a Service named outcry-... would be a setting that nobody knows"
        assert pod["securityContext"]["runAsNonRoot"] is True
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        for container in (*pod["containers"], *pod.get("initContainers", ())):
            rights = container["securityContext"]
            assert (rights["allowPrivilegeEscalation"], rights["capabilities"]) == (False, {"drop": ["ALL"]}), name
            assert rights["readOnlyRootFilesystem"] or name in {"kafka", "elasticsearch"}, name
            assert not container["image"].endswith(":latest")
            assert ":" in container["image"]
            assert container["resources"]["limits"]["memory"]


@pytest.mark.parametrize("overlay", NAMES)
def test_liveness_asks_the_process_alone_and_readiness_whether_it_works(overlay: str) -> None:
    """A start may take as long as a recovery; what is asked is a port that the container has."""
    for name, one in workloads(overlay).items():
        container = container_of(one)
        paths = {probe: container[probe]["httpGet"]["path"] for probe in ("startupProbe", "livenessProbe", "readinessProbe")}
        assert paths == {"startupProbe": "/healthz", "livenessProbe": "/healthz", "readinessProbe": "/readyz"}, name
        start = container["startupProbe"]
        assert start["periodSeconds"] * start["failureThreshold"] >= (1_800 if is_shard(ROLES[name.removesuffix("-b")]) else 300)
        assert {container[probe]["httpGet"]["port"] for probe in paths} <= {port["name"] for port in container["ports"]}
    edge = workloads(overlay)["edge"]["spec"]["template"]["spec"]
    assert (
        edge["terminationGracePeriodSeconds"]
        > container_of(workloads(overlay)["edge"])["lifecycle"]["preStop"]["sleep"]["seconds"] + SHUTDOWN_GRACE_S
    )


@pytest.mark.parametrize("overlay", NAMES)
def test_nobody_may_talk_to_anybody_but_as_a_policy_says(overlay: str) -> None:
    """All is denied; each store is reached by the roles that the catalogue names, and each policy is about pods that can be there."""
    policies = of_kind(overlay, "NetworkPolicy")
    assert policies["nothing"]["spec"] == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}
    components = {*ROLES, *STORES}
    for name, one in policies.items():
        chosen = one["spec"]["podSelector"].get("matchLabels", {}).get("app.kubernetes.io/component")
        assert chosen is None or chosen in components, name
    for store in STORES - {"kafka"}:
        if store in policies:
            (rule,) = policies[store]["spec"]["ingress"]
            clients = {peer["podSelector"]["matchLabels"]["app.kubernetes.io/component"] for peer in rule["from"]}
            assert clients == {name for name, role in ROLES.items() if store in role.stores}
            assert {f"{client}-to-{store}" for client in clients & set(workloads(overlay))} <= set(policies)


@pytest.mark.parametrize("overlay", [overlay for overlay in OVERLAYS if overlay.scaled], ids=lambda overlay: overlay.name)
def test_keda_scales_what_may_be_scaled_and_the_open_does_not_depend_on_it(overlay: Any) -> None:
    """Never more edges than partitions of edge.replies; a floor by the calendar; a count has one owner."""
    scaled, running = of_kind(overlay.name, "ScaledObject"), workloads(overlay.name)
    settings = next(one["data"] for name, one in of_kind(overlay.name, "ConfigMap").items() if name.startswith("outcry-settings"))
    assert set(scaled) == {"edge", "persist-mysql", "persist-redis", "persist-elasticsearch"}
    assert all("replicas" not in running[name]["spec"] for name in scaled)
    edge = scaled["edge"]["spec"]
    assert edge["maxReplicaCount"] <= int(settings["OUTCRY_EDGE_INSTANCES"])
    kinds = [trigger["type"] for trigger in edge["triggers"]]
    assert kinds == ["cron", "cpu", *(["external"] if FORECAST in ROLES else [])]
    assert edge["minReplicaCount"] >= overlay.zones
    assert int(edge["triggers"][0]["metadata"]["desiredReplicas"]) >= edge["minReplicaCount"]
    for name, one in scaled.items():
        assert one["spec"]["scaleTargetRef"]["kind"] == running[name]["kind"]
        for trigger in one["spec"]["triggers"]:
            if trigger["type"] == "kafka":
                assert trigger["metadata"]["consumerGroup"] == ROLES[name].group
                assert trigger["metadata"]["bootstrapServers"] == STRIMZI_URL == address_of(settings["OUTCRY_KAFKA_URL"])
                assert trigger["authenticationRef"]["name"] in of_kind(overlay.name, "TriggerAuthentication")


@pytest.mark.parametrize("overlay", [overlay.name for overlay in OVERLAYS if "OUTCRY_KAFKA_URL" in overlay.settings])
def test_each_pod_signs_in_to_kafka_as_its_role_and_has_the_rights_of_the_table(overlay: str) -> None:
    """Over TLS; users have what topics/rights.py says, and the folder of a pod's login is the one that its address names."""
    cluster = of_kind(overlay, "Kafka")["outcry"]["spec"]["kafka"]
    assert cluster["authorization"] == {"type": "simple"}
    assert [(one["tls"], one["authentication"]["type"]) for one in cluster["listeners"]] == [(True, "scram-sha-512")]
    users = of_kind(overlay, "KafkaUser")
    assert set(users) == {*LOGINS, ADMINISTRATOR, SCALER}
    for login in LOGINS:
        entries = users[login]["spec"]["authorization"]["acls"]
        given = {
            Right(
                one["resource"]["type"],
                one["resource"]["name"],
                re.sub("(?<=[a-z])(?=[A-Z])", "_", operation).upper(),
                one["resource"]["patternType"] == "prefix",
            )
            for one in entries
            for operation in one["operations"]
        }
        assert given == kafka_rights(login), login
    settings = next(one["data"] for name, one in of_kind(overlay, "ConfigMap").items() if name.startswith("outcry-settings"))
    for name, one in {**workloads(overlay), **of_kind(overlay, "Job")}.items():
        (volume,) = (each for each in one["spec"]["template"]["spec"]["volumes"] if each["name"] == "login")
        secrets = [source["secret"]["name"] for source in volume["projected"]["sources"] if "secret" in source]
        who = ADMINISTRATOR if name == "create-topics" else name.removesuffix("-b")
        assert secrets == [who, AUTHORITY], name
        (mount,) = (each for each in container_of(one)["volumeMounts"] if each["name"] == "login")
        assert settings["OUTCRY_KAFKA_URL"] == with_login(STRIMZI_URL, Path(mount["mountPath"]))


def test_the_forecast_is_asked_where_it_answers() -> None:
    """Once the role is in the catalogue: a headless Service, as KEDA balances over one connection to all of its addresses."""
    if FORECAST not in ROLES:
        pytest.skip("the catalogue has no role forecast-load")
    service = of_kind("three-zones", "Service")[FORECAST]["spec"]
    assert service["clusterIP"] == "None"
    assert {"name": "grpc", "port": GRPC_PORTS[FORECAST], "targetPort": "grpc"} in service["ports"]


def test_pods_of_three_zones_are_spread_over_three() -> None:
    """Not at best effort: the third one waits rather than share a zone."""
    for one in workloads("three-zones").values():
        spread = [each for each in one["spec"]["template"]["spec"]["topologySpreadConstraints"] if each["topologyKey"].endswith("/zone")]
        assert [(each["minDomains"], each["whenUnsatisfiable"]) for each in spread] == [(3, "DoNotSchedule")]
    pool = of_kind("three-zones", "KafkaNodePool")["brokers"]["spec"]
    assert pool["replicas"] == 3
    assert of_kind("three-zones", "Kafka")["outcry"]["spec"]["kafka"]["rack"] == {"topologyKey": "topology.kubernetes.io/zone"}


def test_the_image_is_of_this_version() -> None:
    """And so is that of the keys' container."""
    version = tomllib.loads((FOLDER.parents[1] / "pyproject.toml").read_text())["project"]["version"]
    pods = [one["spec"]["template"]["spec"] for one in workloads("three-zones").values()]
    assert {part["image"] for pod in pods for part in (*pod["containers"], *pod["initContainers"])} == {f"open-outcry:{version}"}
