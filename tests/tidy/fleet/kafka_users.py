"""Logins of a cluster's Kafka: Strimzi's users with the rights of topics/rights.py, and how a pod gets the one that is its own.

Strimzi makes each user's password, in a Secret of the user's name. A pod mounts that, its own name and the certificate of Strimzi's authority as one
folder, which its address of Kafka names (schemas/logins.py).
"""

from typing import Final

from fleet.words import Object, named

from topics.rights import ADMINISTRATOR, LOGINS, Right, kafka_rights
from topics.roles import ROLES

API: Final = "kafka.strimzi.io/v1"
FOLDER: Final = "/etc/outcry-login"
AUTHORITY: Final = "outcry-cluster-ca-cert"
"""Secret that Strimzi makes, with `ca.crt`."""
SCALER: Final = "scaler"
"""KEDA, which asks how far sinks have come."""
_PATTERN: Final = {False: "literal", True: "prefix"}


def users(scaled: tuple[str, ...]) -> list[Object]:
    """One for each login, for the job that makes the topics, and for KEDA. scaled: roles whose lag it asks for."""
    everything = [{"resource": {"type": kind, "name": "*", "patternType": "literal"}, "operations": ["All"]} for kind in ("topic", "group")]
    found = [_user(ADMINISTRATOR, [*everything, {"resource": {"type": "cluster"}, "operations": ["All"]}])]
    found += [_user(login, _entries(kafka_rights(login))) for login in LOGINS]
    seen = {Right("topic", topic.name, "DESCRIBE") for name in scaled for topic in ROLES[name].reads}
    return [*found, _user(SCALER, _entries(frozenset(seen | {Right("group", ROLES[name].group, "DESCRIBE") for name in scaled})))]


def login_volume(secret: str, *, has_name: bool) -> Object:
    """Of a pod. has_name: it is the role that its label says; else its command says who it is."""
    sources: list[Object] = [
        {"secret": {"name": secret, "items": [{"key": "password", "path": "password"}]}},
        {"secret": {"name": AUTHORITY, "items": [{"key": "ca.crt", "path": "ca.crt"}]}},
    ]
    if has_name:
        label = {"fieldRef": {"fieldPath": "metadata.labels['app.kubernetes.io/component']"}}
        sources.append({"downwardAPI": {"items": [{"path": "name", **label}]}})
    return {"name": "login", "projected": {"defaultMode": 0o440, "sources": sources}}


def login_mount() -> Object:
    """Of its container."""
    return {"name": "login", "mountPath": FOLDER, "readOnly": True}


def scaler_login() -> list[Object]:
    """How KEDA signs in: its user's name is in no Secret of Strimzi's."""
    config = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "scaler-login"},
        "data": {"username": SCALER, "sasl": "scram_sha512", "tls": "enable"},
    }
    spec = {
        "secretTargetRef": [
            {"parameter": "password", "name": SCALER, "key": "password"}, {"parameter": "ca", "name": AUTHORITY, "key": "ca.crt"},
        ],
        "configMapTargetRef": [{"parameter": key, "name": "scaler-login", "key": key} for key in ("username", "sasl", "tls")],
    }  # fmt: skip
    return [config, named("keda.sh/v1alpha1", "TriggerAuthentication", SCALER, spec=spec)]


def _entries(rights: frozenset[Right]) -> list[Object]:
    """One for each resource, in an order that does not change."""
    by_resource: dict[tuple[str, str, bool], list[str]] = {}
    for right in sorted(rights):
        by_resource.setdefault((right.kind, right.name, right.prefixed), []).append(right.operation.title().replace("_", ""))
    return [
        {"resource": {"type": kind, "name": name, "patternType": _PATTERN[prefixed]}, "operations": operations}
        for (kind, name, prefixed), operations in by_resource.items()
    ]


def _user(name: str, entries: list[Object]) -> Object:
    found = named(
        API, "KafkaUser", name, spec={"authentication": {"type": "scram-sha-512"}, "authorization": {"type": "simple", "acls": entries}}
    )
    found["metadata"]["labels"] = {"strimzi.io/cluster": "outcry"}
    return found
