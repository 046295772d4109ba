"""The catalogue of roles as StatefulSets and Deployments, each with its Service and its disruption budget.

A StatefulSet wherever a process has a number: Kafka knows the workers of a group by it, an edge owns the partition of that number. A
Deployment gives its pods no numbers, so it fits only what has none. A StatefulSet without a claim keeps nothing on disk.
"""

from typing import Any, Final

from fleet.sizes import Size, size_of
from fleet.words import EDGE_PORT, HOME, IMAGE, KEYS, WORKER_PORT, Object, claim, container_rights, labels, named, pod_rights

from topics.roles import AUDIT_LOG, EDGE, ROLES, RoleEntry

SETTINGS: Final = "outcry-settings"
ADDRESSES: Final = "outcry-addresses"
"""Secret with OUTCRY_MYSQL_URL, OUTCRY_REDIS_URL and OUTCRY_ELASTICSEARCH_URL: they have passwords in them."""
RECORD_KEYS: Final = "outcry-record-keys"
AUDIT_KEYS: Final = "outcry-audit-keys"
GRPC_PORTS: Final = {"forecast-load": 6_000}
"""What a role serves besides HTTP."""
TWO_MAY_RUN: Final = {"run-market": 1, "forecast-load": 2}
"""Roles without a number of which two do no harm, and how many there are: no moment without one during a roll-out."""
GRACE_S: Final = 30
EDGE_GRACE_S: Final = 90
PROBE_S: Final = 5


def objects_of(role: RoleEntry, replica: str = "a") -> list[Object]:
    """All objects of one role; of another replica only its workload, as budget and Service find it by its labels."""
    if replica != "a":
        return [_stateful(role, replica)]
    workload = _deployment(role) if role.name in TWO_MAY_RUN else _stateful(role, replica)
    return [workload, _service(role), _budget(role)]


def has_disk(role: RoleEntry) -> bool:
    """Whether something of it must outlive its pod."""
    return bool(role.table) or role.files


def is_shard(role: RoleEntry) -> bool:
    """Trading waits while one of its partitions has no owner."""
    return bool(role.table) and role.compiled


def port_of(role: RoleEntry) -> int:
    """Of /healthz, /readyz and /metrics."""
    return EDGE_PORT if role is EDGE else WORKER_PORT


def _stateful(role: RoleEntry, replica: str) -> Object:
    name = role.name if replica == "a" else f"{role.name}-{replica}"
    chosen = labels(role.name) | {"outcry/replica": replica}
    spec: Object = {
        "serviceName": role.name,
        "replicas": 1,
        "minReadySeconds": 10,
        "podManagementPolicy": "Parallel",
        "ordinals": {"start": 0 if role is EDGE else 1},
        "updateStrategy": {"type": "OnDelete" if is_shard(role) else "RollingUpdate"},
        "selector": {"matchLabels": chosen},
        "template": {"metadata": {"labels": chosen}, "spec": _pod(role, replica)},
    }
    if has_disk(role):
        spec["persistentVolumeClaimRetentionPolicy"] = {"whenDeleted": "Retain", "whenScaled": "Retain"}
        spec["volumeClaimTemplates"] = [claim("home", size_of(role).disk)]
    return named("apps/v1", "StatefulSet", name, spec=spec)


def _deployment(role: RoleEntry) -> Object:
    chosen = labels(role.name) | {"outcry/replica": "a"}
    spec = {
        "replicas": TWO_MAY_RUN[role.name],
        "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 0, "maxSurge": 1}},
        "selector": {"matchLabels": chosen},
        "template": {"metadata": {"labels": chosen}, "spec": _pod(role, "a")},
    }
    return named("apps/v1", "Deployment", role.name, spec=spec)


def _pod(role: RoleEntry, replica: str) -> Object:
    volumes: list[Object] = [
        {"name": "tmp", "emptyDir": {}},
        {"name": "keys", "emptyDir": {"medium": "Memory", "sizeLimit": "8Mi"}},
        {"name": "record-keys", "secret": {"secretName": RECORD_KEYS, "defaultMode": 0o440}},
    ]
    if role is AUDIT_LOG:
        volumes.append({"name": "audit-keys", "secret": {"secretName": AUDIT_KEYS, "defaultMode": 0o440}})
    if not has_disk(role):
        volumes.append({"name": "home", "emptyDir": {"sizeLimit": size_of(role).disk}})
    return {
        **pod_rights(),
        "terminationGracePeriodSeconds": EDGE_GRACE_S if role is EDGE else GRACE_S,
        "topologySpreadConstraints": [
            {
                "maxSkew": 1, "topologyKey": "kubernetes.io/hostname", "whenUnsatisfiable": "ScheduleAnyway",
                "labelSelector": {"matchLabels": labels(role.name)},
            }
        ],
        "initContainers": [_copy_keys(role)],
        "containers": [_container(role, replica)],
        "volumes": volumes,
    }  # fmt: skip


def _copy_keys(role: RoleEntry) -> Object:
    """A key that its group may read is refused (topics/key_files.py), and a Secret cannot be mounted for another owner than root."""
    steps = [f"install -m 600 /record-keys/*.json {KEYS}/"]
    mounts: list[Object] = [
        {"name": "record-keys", "mountPath": "/record-keys", "readOnly": True}, {"name": "keys", "mountPath": KEYS},
    ]  # fmt: skip
    if role is AUDIT_LOG:
        steps.append(f"install -D -m 600 /audit-keys/audit.json {HOME}/keys/audit.json")
        mounts += [{"name": "audit-keys", "mountPath": "/audit-keys", "readOnly": True}, {"name": "home", "mountPath": HOME}]
    return {
        "name": "copy-keys",
        "image": IMAGE,
        "command": ["sh", "-c", " && ".join(steps)],
        "securityContext": container_rights(),
        "resources": {"requests": {"cpu": "50m", "memory": "32Mi"}, "limits": {"memory": "32Mi"}},
        "volumeMounts": mounts,
    }


def _container(role: RoleEntry, replica: str) -> Object:
    return {
        "name": role.name,
        "image": IMAGE,
        "args": ["worker", role.name],
        "envFrom": [{"configMapRef": {"name": SETTINGS}}, *([{"secretRef": {"name": ADDRESSES}}] if role.stores else [])],
        "env": _environment(role, replica),
        "ports": _ports(role),
        "resources": _resources(role, size_of(role)),
        "securityContext": container_rights(),
        **_probes(role),
        **({"lifecycle": {"preStop": {"sleep": {"seconds": PROBE_S}}}} if role is EDGE else {}),
        "volumeMounts": [
            {"name": "home", "mountPath": HOME}, {"name": "tmp", "mountPath": "/tmp"}, {"name": "keys", "mountPath": KEYS, "readOnly": True},
        ],
    }  # fmt: skip


def _environment(role: RoleEntry, replica: str) -> list[Object]:
    number = {"valueFrom": {"fieldRef": {"fieldPath": "metadata.labels['apps.kubernetes.io/pod-index']"}}}
    found: list[Object] = []
    if role is EDGE:
        found = [
            {"name": "OUTCRY_EDGE_HOST", "value": "0.0.0.0"}, {"name": "OUTCRY_EDGE_PORT", "value": str(EDGE_PORT)},
            {"name": "OUTCRY_EDGE_INSTANCE", **number},
        ]  # fmt: skip
    elif role.workers:
        found = [{"name": "OUTCRY_WORKER_INSTANCE", **number}]
    if role.name in GRPC_PORTS:
        found.append({"name": "OUTCRY_FORECAST_PORT", "value": str(GRPC_PORTS[role.name])})
    if replica != "a":
        found.append({"name": "OUTCRY_WORKER_REPLICA", "value": replica})
    return found


def _ports(role: RoleEntry) -> list[Object]:
    ports: list[Object] = [{"name": "http", "containerPort": port_of(role)}]
    if role.name in GRPC_PORTS:
        ports.append({"name": "grpc", "containerPort": GRPC_PORTS[role.name]})
    return ports


def _resources(role: RoleEntry, size: Size) -> Object:
    requests = {"cpu": size.cpu, "memory": size.memory}
    return {"requests": requests, "limits": dict(requests) if role.critical else {"memory": size.memory}}


def _probes(role: RoleEntry) -> Object:
    """Liveness asks the process alone: a broker that is away must not restart the fleet. Readiness asks whether it does its work."""

    def ask(path: str, failures: int) -> Object:
        return {"httpGet": {"path": path, "port": "http"}, "periodSeconds": PROBE_S, "timeoutSeconds": 3, "failureThreshold": failures}

    return {
        "startupProbe": ask("/healthz", size_of(role).recovery_s // PROBE_S),
        "livenessProbe": ask("/healthz", 6),
        "readinessProbe": ask("/readyz", 1 if role is EDGE else 3),
    }


def _service(role: RoleEntry) -> Object:
    """Headless: each pod has a name, and a client that balances by itself sees all of them."""
    ports: list[Object] = [{"name": "http", "port": port_of(role), "targetPort": "http"}]
    if role.name in GRPC_PORTS:
        ports.append({"name": "grpc", "port": GRPC_PORTS[role.name], "targetPort": "grpc"})
    found = named("v1", "Service", role.name, spec={"clusterIP": "None", "selector": labels(role.name), "ports": ports})
    found["metadata"]["labels"] = labels(role.name)
    return found


def _budget(role: RoleEntry) -> Object:
    """Nothing evicts a shard by the way: whoever empties its node stops it after the close, or moves it."""
    spec: dict[str, Any] = {"maxUnavailable": 0 if is_shard(role) else 1, "selector": {"matchLabels": labels(role.name)}}
    return named("policy/v1", "PodDisruptionBudget", role.name, spec=spec)


def default_roles() -> list[RoleEntry]:
    """What every overlay runs."""
    return [role for role in ROLES.values() if not role.optional]


def optional_roles() -> list[RoleEntry]:
    """What an overlay may run: a component each."""
    return [role for role in ROLES.values() if role.optional]
