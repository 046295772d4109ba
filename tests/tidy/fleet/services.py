"""Kafka and the stores: by Strimzi where something must survive, plain for a development cluster.

Versions and limits are those of docker/compose.yaml, which a test holds against the local set; its TLS and logins are left out.
"""

from typing import Any, Final

import yaml
from fleet.kafka_users import scaler_login, users
from fleet.network import KAFKA_PORT, STORE_PORTS, one_broker_policy, store_policy, strimzi_policy
from fleet.scaling import sinks
from fleet.words import IMAGE, ROOT, Object, claim, container_rights, labels, named, pod_rights, store_labels
from fleet.workloads import SETTINGS

from streams.services.recipes.valkey import SERVER_OPTIONS

COMPOSE: Final[Object] = yaml.safe_load((ROOT / "docker" / "compose.yaml").read_text())["services"]
MYSQL_PASSWORD: Final = "outcry-mysql"
"""Secret with `password`: that of the database in a development cluster."""
STRIMZI_API: Final = "kafka.strimzi.io/v1"
BROKER_CONFIG: Final = {
    "auto.create.topics.enable": "false", "message.max.bytes": 16_777_216, "replica.fetch.max.bytes": 16_777_216,
    "group.initial.rebalance.delay.ms": 0, "group.min.session.timeout.ms": 1_000,
    "default.replication.factor": 3, "min.insync.replicas": 2, "offsets.topic.replication.factor": 3,
    "transaction.state.log.replication.factor": 3, "transaction.state.log.min.isr": 2,
}  # fmt: skip


_MYSQL_TLS: Final = ("--ssl-", "--require-secure-transport", "--init-file")
_PLAIN_COMMANDS: Final = {
    "mysql": [option for option in COMPOSE["mysql"]["command"] if not option.startswith(_MYSQL_TLS)],
    "redis": ["valkey-server"]
    + [part for name in ("appendonly", "appendfsync", "maxmemory", "maxmemory-policy") for part in (f"--{name}", SERVER_OPTIONS[name])],
}


def topics_job() -> Object:
    """Makes the topics that are missing; roles wait for them by trying again."""
    pod: Object = {
        **pod_rights(),
        "restartPolicy": "OnFailure",
        "containers": [
            {
                "name": "create-topics", "image": IMAGE, "args": ["topics", "create"], "envFrom": [{"configMapRef": {"name": SETTINGS}}],
                "env": [{"name": "OUTCRY_REQUIRE_RECORD_CODES", "value": "false"}],
                "resources": {"requests": {"cpu": "100m", "memory": "256Mi"}, "limits": {"memory": "256Mi"}},
                "securityContext": container_rights(), "volumeMounts": [{"name": "home", "mountPath": "/var/lib/outcry"}],
            }
        ],
        "volumes": [{"name": "home", "emptyDir": {}}],
    }  # fmt: skip
    spec = {"backoffLimit": 30, "ttlSecondsAfterFinished": 3_600, "template": {"metadata": {"labels": labels("topics")}, "spec": pod}}
    return named("batch/v1", "Job", "create-topics", spec=spec)


def one_broker() -> list[Object]:
    """The broker of docker/compose.yaml: no copy of anything."""
    environment = _with(
        COMPOSE["kafka"]["environment"],
        "KAFKA_ADVERTISED_LISTENERS",
        KAFKA_LISTENER_SECURITY_PROTOCOL_MAP="CLIENT:PLAINTEXT,CONTROLLER:PLAINTEXT",
    )
    return [*_store("kafka", KAFKA_PORT, "/var/lib/kafka/data", environment, uid=1_000, memory="1536Mi"), one_broker_policy()]


def stores() -> list[Object]:
    """MariaDB, Valkey and Elasticsearch, one of each."""
    secret = {"valueFrom": {"secretKeyRef": {"name": MYSQL_PASSWORD, "key": "password"}}}
    mysql = _store(
        "mysql", STORE_PORTS["mysql"], "/var/lib/mysql", {"MARIADB_DATABASE": "outcry", "MARIADB_USER": "outcry", "MARIADB_RANDOM_ROOT_PASSWORD": "1"},
        uid=999, memory="1Gi", secrets={"MARIADB_PASSWORD": secret}, scratch="/run/mysqld",
    )  # fmt: skip
    redis = _store("redis", STORE_PORTS["redis"], "/data", {}, uid=999, memory="512Mi")
    environment = {name: value for name, value in COMPOSE["elasticsearch"]["environment"].items() if not name.startswith("xpack.")}
    elastic = _store(
        "elasticsearch", STORE_PORTS["elasticsearch"], "/usr/share/elasticsearch/data",
        _with(environment, "discovery.type", **{"xpack.security.enabled": "false"}), uid=1_000, memory="1536Mi",
    )  # fmt: skip
    return [*mysql, *redis, *elastic, *(store_policy(name) for name in STORE_PORTS)]


def _store(
    name: str, port: int, data: str, environment: dict[str, str], *, uid: int, memory: str,
    secrets: dict[str, Object] | None = None, scratch: str = "",
) -> list[Object]:  # fmt: skip
    """A server with one disk. Images of others write beside their data, so only what they need is writable, in memory of the pod."""
    rights = pod_rights()
    rights["securityContext"] |= {"runAsUser": uid, "runAsGroup": uid, "fsGroup": uid}
    places = [data, "/tmp", *([scratch] if scratch else [])]
    mounts: list[Object] = [{"name": f"disk-{index}" if index else "data", "mountPath": place} for index, place in enumerate(places)]
    mounts[0]["subPath"] = name  # beside lost+found, which Kafka takes for a topic and MariaDB for a database
    container: Object = {
        "name": name,
        "image": COMPOSE[name]["image"],
        "env": [{"name": key, "value": value} for key, value in environment.items()]
        + [{"name": key, **one} for key, one in (secrets or {}).items()],
        "ports": [{"name": "client", "containerPort": port}],
        "resources": {"requests": {"cpu": "500m", "memory": memory}, "limits": {"memory": memory}},
        "securityContext": container_rights() | {"readOnlyRootFilesystem": name in {"mysql", "redis"}},
        "startupProbe": {"tcpSocket": {"port": "client"}, "periodSeconds": 5, "failureThreshold": 60},
        "readinessProbe": {"tcpSocket": {"port": "client"}, "periodSeconds": 5},
        "volumeMounts": mounts,
    }
    if command := _PLAIN_COMMANDS.get(name):
        container["args"] = command
    pod = {
        **rights, "terminationGracePeriodSeconds": 60, "containers": [container],
        "volumes": [{"name": mount["name"], "emptyDir": {}} for mount in mounts[1:]],
    }  # fmt: skip
    spec: dict[str, Any] = {
        "serviceName": name, "replicas": 1, "selector": {"matchLabels": store_labels(name)},
        "template": {"metadata": {"labels": store_labels(name)}, "spec": pod},
        "volumeClaimTemplates": [claim("data", "20Gi")],
    }  # fmt: skip
    return [
        named("apps/v1", "StatefulSet", name, spec=spec),
        named(
            "v1", "Service", name, spec={"clusterIP": "None", "selector": store_labels(name), "ports": [{"name": "client", "port": port}]}
        ),
    ]


def _with(environment: dict[str, str], behind: str, **more: str) -> dict[str, str]:
    """With more variables, behind the one of that name."""
    found: dict[str, str] = {}
    for name, value in environment.items():
        found |= {name: value, **(more if name == behind else {})}
    return found


def strimzi(zones: int) -> list[Object]:
    """Three brokers that are controllers too; in three zones, one in each, and copies in all. TLS, and a user for each role."""
    kafka: Object = {
        "listeners": [{"name": "client", "port": KAFKA_PORT, "type": "internal", "tls": True, "authentication": {"type": "scram-sha-512"}}],
        "authorization": {"type": "simple"},
        "config": dict(BROKER_CONFIG),
    }
    if zones > 1:
        kafka["rack"] = {"topologyKey": "topology.kubernetes.io/zone"}
        kafka["config"]["replica.selector.class"] = "org.apache.kafka.common.replica.RackAwareReplicaSelector"
    cluster = named(STRIMZI_API, "Kafka", "outcry", spec={"kafka": kafka, "entityOperator": {"userOperator": {}}})
    spread = {
        "maxSkew": 1, "topologyKey": "topology.kubernetes.io/zone" if zones > 1 else "kubernetes.io/hostname",
        "whenUnsatisfiable": "DoNotSchedule", "labelSelector": {"matchLabels": {"strimzi.io/cluster": "outcry", "strimzi.io/kind": "Kafka"}},
    } | ({"minDomains": zones} if zones > 1 else {})  # fmt: skip
    pool = named(
        STRIMZI_API,
        "KafkaNodePool",
        "brokers",
        spec={
            "replicas": 3,
            "roles": ["controller", "broker"],
            "storage": {
                "type": "jbod",
                "volumes": [{"id": 0, "type": "persistent-claim", "size": "200Gi", "deleteClaim": False, "kraftMetadata": "shared"}],
            },
            "resources": {"requests": {"cpu": "2", "memory": "6Gi"}, "limits": {"memory": "6Gi"}},
            "jvmOptions": {"-Xms": "2g", "-Xmx": "2g"},
            "template": {"pod": {"topologySpreadConstraints": [spread], "terminationGracePeriodSeconds": 120}},
        },
    )
    pool["metadata"]["labels"] = {"strimzi.io/cluster": "outcry"}
    return [cluster, pool, *users(tuple(role.name for role in sinks())), *scaler_login(), strimzi_policy()]
