"""What all manifests share: names, labels, the rights of a pod, and how a file is written."""

import tomllib
from pathlib import Path
from typing import Any, Final

import yaml

Object = dict[str, Any]
"""One Kubernetes object, or a part of one, as YAML has it."""

ROOT: Final = Path(__file__).parents[3]
VERSION: Final[str] = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
NAMESPACE: Final = "open-outcry"
IMAGE: Final = f"open-outcry:{VERSION}"
HOME: Final = "/var/lib/outcry"
KEYS: Final = "/var/lib/outcry-keys"
WORKER_PORT: Final = 9100
EDGE_PORT: Final = 8080
UID: Final = 10_001
"""Of the user in docker/Dockerfile; a test compares them."""
HEAD: Final = (
    "# Made by `make tables` from topics/roles.py and tests/tidy/fleet. Changes here are lost: patch it in an overlay of your own.\n"
)


def labels(component: str) -> dict[str, str]:
    """By which services, policies and budgets find the pods of a component."""
    return {"app.kubernetes.io/name": "open-outcry", "app.kubernetes.io/component": component}


def store_labels(component: str) -> dict[str, str]:
    """Of Kafka and the stores in a cluster: what is allowed to our own pods is not allowed to them."""
    return {"app.kubernetes.io/name": "open-outcry-store", "app.kubernetes.io/component": component}


def named(api: str, kind: str, name: str, **rest: Any) -> Object:
    """An object in our namespace; kustomize puts the namespace in."""
    return {"apiVersion": api, "kind": kind, "metadata": {"name": name}, **rest}


def pod_rights() -> Object:
    """No root, no system call that is not usual, no token of the API server, no variables of services (OUTCRY_... would be refused)."""
    return {
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "securityContext": {
            "runAsNonRoot": True, "runAsUser": UID, "runAsGroup": UID, "fsGroup": UID, "fsGroupChangePolicy": "OnRootMismatch",
            "seccompProfile": {"type": "RuntimeDefault"},
        },
    }  # fmt: skip


def container_rights() -> Object:
    """Nothing can be written but what is mounted."""
    return {"allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True, "capabilities": {"drop": ["ALL"]}}


def claim(name: str, size: str) -> Object:
    """A disk of a pod of its own."""
    return {
        "metadata": {"name": name},
        "spec": {"accessModes": ["ReadWriteOncePod"], "resources": {"requests": {"storage": size}}},
    }


def written(objects: list[Object]) -> str:
    """The text of one file."""
    return HEAD + "---\n".join(yaml.dump(one, Dumper=_Plain, sort_keys=False, width=140) for one in objects)


class _Plain(yaml.SafeDumper):
    """Without anchors: people read these files one object at a time."""

    def ignore_aliases(self, data: Any) -> bool:
        return True
