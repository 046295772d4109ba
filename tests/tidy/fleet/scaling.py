"""KEDA's ScaledObjects: how many edges and sinks run.

Edges: the highest of what the calendar says (cron), what the processor says, and what the role `forecast-load` says, if there is one. The
open never depends on the forecast: `minReplicaCount` and cron stand without it (KEDA issues 8056, 5914). Sinks: by their lag, up to one
worker a partition.
"""

from typing import Final

from fleet.kafka_users import SCALER
from fleet.words import NAMESPACE, Object, named
from fleet.workloads import GRPC_PORTS

from topics.roles import EDGE, ROLES, RoleEntry

FORECAST: Final = "forecast-load"
LAG_PER_SINK: Final = 20_000
"""Records. The edge refuses orders at OUTCRY_EDGE_SINK_LAG_MAX, five times as many."""
BEHAVIOR: Final[Object] = {
    "scaleDown": {"stabilizationWindowSeconds": 600, "policies": [{"type": "Percent", "value": 10, "periodSeconds": 60}]},
    "scaleUp": {"stabilizationWindowSeconds": 0, "policies": [{"type": "Percent", "value": 100, "periodSeconds": 15}]},
}


def scaled_edges(least: int, open_count: int, most: int) -> Object:
    """From 09:15, before the open, to 16:15 New York time there are `open_count` at least."""
    triggers: list[Object] = [
        {
            "type": "cron",
            "metadata": {
                "timezone": "America/New_York", "start": "15 9 * * 1-5", "end": "15 16 * * 1-5", "desiredReplicas": str(open_count),
            },
        },
        {"type": "cpu", "metricType": "Utilization", "metadata": {"value": "60"}},
    ]  # fmt: skip
    if FORECAST in ROLES:
        address = f"{FORECAST}.{NAMESPACE}.svc:{GRPC_PORTS[FORECAST]}"
        triggers.append({"type": "external", "metadata": {"scalerAddress": address, "role": EDGE.name}})
    return _scaled(EDGE, least, most, triggers)


def scaled_sink(role: RoleEntry, brokers: str, most: int) -> Object:
    """By the records that its group has not read, over all of its topics."""
    metadata = {
        "bootstrapServers": brokers, "consumerGroup": role.group, "lagThreshold": str(LAG_PER_SINK), "ensureEvenDistributionOfPartitions": "true",
    }  # fmt: skip
    return _scaled(role, 1, most, [{"type": "kafka", "metadata": metadata, "authenticationRef": {"name": SCALER}}])


def sinks() -> list[RoleEntry]:
    """Roles whose workers may come and go: they share partitions, and their state is in their store."""
    return [role for role in ROLES.values() if role.workers and role.stores and not role.optional]


def _scaled(role: RoleEntry, least: int, most: int, triggers: list[Object]) -> Object:
    target = {"apiVersion": "apps/v1", "kind": "StatefulSet", "name": role.name}
    advanced = {"horizontalPodAutoscalerConfig": {"behavior": BEHAVIOR}}
    spec: Object = {"scaleTargetRef": target, "minReplicaCount": least, "maxReplicaCount": most, "advanced": advanced}
    if any(one["type"] in {"kafka", "external"} for one in triggers):
        spec["fallback"] = {"failureThreshold": 3, "replicas": least, "behavior": "currentReplicasIfHigher"}
    return named("keda.sh/v1alpha1", "ScaledObject", role.name, spec=spec | {"triggers": triggers})
