"""The folders of docker/kubernetes: a base of what always runs, components that an overlay may take, and three overlays."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from fleet.kafka_users import FOLDER, login_mount, login_volume
from fleet.network import OURS, base_policies, policies_of, stores_elsewhere
from fleet.reports import reports_claim, reports_patches
from fleet.scaling import scaled_edges, scaled_sink, sinks
from fleet.services import one_broker, stores, strimzi, topics_job
from fleet.words import HEAD, NAMESPACE, Object, written
from fleet.workloads import SETTINGS, default_roles, objects_of, optional_roles

from schemas.logins import with_login
from topics.rights import ADMINISTRATOR
from topics.roles import EDGE, MAKE_REPORTS, MATCH_ORDERS


@dataclass(frozen=True)
class Overlay:
    """One way to run it all."""

    name: str
    purpose: str
    settings: dict[str, str]
    components: tuple[str, ...]
    replicas: dict[str, int]
    zones: int = 1
    """Over how many zones pods of one role are spread."""
    edges: tuple[int, int, int] = (1, 1, 1)
    """The fewest, those that are there when the market opens, the most (OUTCRY_EDGE_INSTANCES)."""

    @property
    def scaled(self) -> bool:
        """Whether KEDA decides how many edges and sinks there are."""
        return self.edges[2] > 1


STRIMZI_URL: Final = "outcry-kafka-bootstrap:9092"
SAFE: Final = {
    "OUTCRY_KAFKA_URL": with_login(STRIMZI_URL, Path(FOLDER)), "OUTCRY_REPLICATION_FACTOR": "3", "OUTCRY_STANDBY_REPLICAS": "1", "OUTCRY_SESSION_TIMEOUT_MS": "2000",
}  # fmt: skip
OVERLAYS: Final = (
    Overlay("dev", "one of everything, stores and broker included; no operator is needed", {}, ("one-broker", "stores"), {}),
    Overlay(
        "one-zone", "survives the loss of any pod or node; Strimzi and KEDA are needed",
        SAFE | {"OUTCRY_ACCOUNT_SHARDS": "4", "OUTCRY_BOOK_SHARDS": "4", "OUTCRY_EDGE_INSTANCES": "8"},
        ("strimzi-one-zone", "stores", "second-book-replica", "run-market", "forecast-load"), {"hold-funds": 2, "publish-market-data": 2}, edges=(2, 3, 8),
    ),
    Overlay(
        "three-zones", "survives the loss of a zone; every role of the catalogue; the stores are yours, in all zones",
        SAFE | {"OUTCRY_ACCOUNT_SHARDS": "12", "OUTCRY_BOOK_SHARDS": "12", "OUTCRY_EDGE_INSTANCES": "24"},
        ("strimzi-three-zones", "stores-elsewhere", "second-book-replica", *(role.name for role in optional_roles())),
        {"hold-funds": 3, "match-orders": 3, "match-orders-b": 3, "publish-market-data": 3}, zones=3, edges=(3, 6, 24),
    ),
)  # fmt: skip
BASE_SETTINGS: Final = {
    "OUTCRY_KAFKA_URL": "kafka:9092", "OUTCRY_WORKER_HOST": "0.0.0.0", "OUTCRY_WORKER_PORT": "9100", "OUTCRY_LOG_LEVEL": "INFO",
    "OUTCRY_KEYS_DIR": "/var/lib/outcry-keys", "OUTCRY_REQUIRE_RECORD_CODES": "true",
}  # fmt: skip


def files() -> dict[str, str]:
    """Every generated file below docker/kubernetes, by its path there."""
    found = _base()
    for name, objects in _components().items():
        found |= _folder(f"components/{name}", {"objects.yaml": objects}, _component(name))
    for overlay in OVERLAYS:
        found |= _overlay(overlay)
    return found


def _base() -> dict[str, str]:
    space = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE, "labels": _restricted()}}
    objects = {"namespace.yaml": [space], "network.yaml": base_policies(), "topics.yaml": [topics_job()]}
    for role in default_roles():
        objects[f"{role.name}.yaml"] = [*objects_of(role), *policies_of(role)]
    head = _kustomization("Kustomization") | {
        "namespace": NAMESPACE,
        "labels": [{"pairs": {"app.kubernetes.io/part-of": "open-outcry"}}],
        "configMapGenerator": [{"name": SETTINGS, "literals": _literals(BASE_SETTINGS)}],
    }
    return _folder("base", objects, head)


def _restricted() -> dict[str, str]:
    """Pods that want more rights than ours have are not let in."""
    return {"pod-security.kubernetes.io/enforce": "restricted", "pod-security.kubernetes.io/enforce-version": "latest"}


def _components() -> dict[str, list[Object]]:
    found = {role.name: [*objects_of(role), *policies_of(role)] for role in optional_roles()}
    found[MAKE_REPORTS.name].append(reports_claim())
    return found | {
        "one-broker": one_broker(), "stores": stores(), "stores-elsewhere": stores_elsewhere(),
        "strimzi-one-zone": strimzi(1), "strimzi-three-zones": strimzi(3), "second-book-replica": objects_of(MATCH_ORDERS, "b"),
    }  # fmt: skip


def _overlay(overlay: Overlay) -> dict[str, str]:
    objects: dict[str, list[Object]] = {}
    if overlay.scaled:
        partitions = int(overlay.settings["OUTCRY_BOOK_SHARDS"])
        objects["scaling.yaml"] = [scaled_edges(*overlay.edges), *(scaled_sink(role, STRIMZI_URL, partitions) for role in sinks())]
    head: Object = _kustomization("Kustomization") | {"namespace": NAMESPACE, "resources": ["../../base"]}
    head["components"] = [f"../../components/{name}" for name in overlay.components]
    if overlay.settings:
        head["configMapGenerator"] = [{"name": SETTINGS, "behavior": "merge", "literals": _literals(overlay.settings)}]
    if overlay.replicas:
        head["replicas"] = [{"name": name, "count": count} for name, count in overlay.replicas.items()]
    head["patches"] = _patches(overlay)
    return _folder(f"overlays/{overlay.name}", objects, {key: value for key, value in head.items() if value}, overlay.purpose)


def _patches(overlay: Overlay) -> list[Object]:
    found: list[Object] = []
    if overlay.scaled:  # KEDA has the count: two that set it would undo one another
        names = "|".join((EDGE.name, *(role.name for role in sinks())))
        found.append(_patch("remove", "/spec/replicas", name=names))
    if "OUTCRY_KAFKA_URL" in overlay.settings:
        found += _logins(overlay)
    if overlay.zones > 1:
        spread = {
            "maxSkew": 1, "minDomains": overlay.zones, "topologyKey": "topology.kubernetes.io/zone", "whenUnsatisfiable": "DoNotSchedule",
            "labelSelector": {"matchLabels": OURS}, "matchLabelKeys": ["app.kubernetes.io/component"],
        }  # fmt: skip
        found.append(_patch("add", "/spec/template/spec/topologySpreadConstraints/-", spread))
    return found


def _logins(overlay: Overlay) -> list[Object]:
    """Each pod gets the login of its role, and the job that makes the topics the administrator's."""
    roles = [*default_roles(), *(role for role in optional_roles() if role.name in overlay.components)]
    wanted = [(f"{role.name}|{role.name}-b" if role is MATCH_ORDERS else role.name, role.name) for role in roles]
    found = [_login(login_volume(secret, has_name=True), kind="StatefulSet|Deployment", name=names) for names, secret in wanted]
    return [*found, _login(login_volume(ADMINISTRATOR, has_name=False), kind="Job", name="create-topics")]


def _login(volume: Object, **target: str) -> Object:
    steps = [
        {"op": "add", "path": "/spec/template/spec/volumes/-", "value": volume},
        {"op": "add", "path": "/spec/template/spec/containers/0/volumeMounts/-", "value": login_mount()},
    ]
    return {"target": target, "patch": json.dumps(steps)}


def _patch(op: str, path: str, value: Object | None = None, **target: str) -> Object:
    step: dict[str, Any] = {"op": op, "path": path} | ({"value": value} if value is not None else {})
    return {"target": {"kind": "StatefulSet|Deployment", **target}, "patch": json.dumps([step])}


def _literals(settings: dict[str, str]) -> list[str]:
    return [f"{name}={value}" for name, value in settings.items()]


def _kustomization(kind: str) -> Object:
    version = "v1alpha1" if kind == "Component" else "v1beta1"
    return {"apiVersion": f"kustomize.config.k8s.io/{version}", "kind": kind}


def _component(name: str) -> Object:
    return _kustomization("Component") | ({"patches": reports_patches()} if name == MAKE_REPORTS.name else {})


def _folder(path: str, objects: dict[str, list[Object]], head: Object, purpose: str = "") -> dict[str, str]:
    head = dict(head)
    if objects:
        head["resources"] = [*head.get("resources", ()), *objects]
    said = f"# {purpose[0].upper()}{purpose[1:]}.\n" if purpose else ""
    found = {f"{path}/{name}": written(these) for name, these in objects.items()}
    return found | {f"{path}/kustomization.yaml": HEAD + said + written([head]).removeprefix(HEAD)}
