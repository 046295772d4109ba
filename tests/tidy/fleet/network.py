"""Who may talk to whom: nobody, but for what is listed here."""

from typing import Any, Final

from fleet.words import EDGE_PORT, WORKER_PORT, Object, labels, named, store_labels
from fleet.workloads import GRPC_PORTS, port_of

from topics.roles import EDGE, ROLES, RoleEntry

KAFKA_PORT: Final = 9092
STORE_PORTS: Final = {"mysql": 3306, "redis": 6379, "elasticsearch": 9200}
PRIVATE: Final = ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16")
OURS: Final = {"app.kubernetes.io/name": "open-outcry"}
STRIMZI: Final = {"strimzi.io/cluster": "outcry"}


def _ports(*numbers: int, protocol: str = "TCP") -> list[Object]:
    return [{"protocol": protocol, "port": number} for number in numbers]


def _pods(chosen: dict[str, str]) -> Object:
    return {"podSelector": {"matchLabels": chosen}}


def _namespace(name: str) -> Object:
    return {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": name}}}


def _policy(name: str, chosen: dict[str, str], **rules: list[Object]) -> Object:
    """rules: `ingress` and `egress`; a direction without rules is not this policy's concern."""
    kinds = [kind.capitalize() for kind in rules]
    selector: dict[str, Any] = {"matchLabels": chosen} if chosen else {}
    return named("networking.k8s.io/v1", "NetworkPolicy", name, spec={"podSelector": selector, "policyTypes": kinds, **rules})


def base_policies() -> list[Object]:
    """Nothing in or out; names of services; Kafka for our pods; /metrics for whoever watches."""
    dns = [{"to": [_namespace("kube-system")], "ports": _ports(53, protocol="UDP") + _ports(53)}]
    kafka = [{"to": [_pods(store_labels("kafka")), _pods(STRIMZI)], "ports": _ports(KAFKA_PORT)}]
    watch = [{"from": [_namespace("monitoring")], "ports": _ports(WORKER_PORT, EDGE_PORT)}]
    everything = named("networking.k8s.io/v1", "NetworkPolicy", "nothing", spec={"podSelector": {}, "policyTypes": ["Ingress", "Egress"]})
    return [
        everything,
        _policy("names", {}, egress=dns),
        _policy("kafka-clients", OURS, egress=kafka),
        _policy("metrics", OURS, ingress=watch),
    ]


def policies_of(role: RoleEntry) -> list[Object]:
    """What one role needs beyond Kafka."""
    found = [
        _policy(
            f"{role.name}-to-{store}", labels(role.name), egress=[{"to": [_pods(store_labels(store))], "ports": _ports(STORE_PORTS[store])}]
        )
        for store in role.stores
    ]
    if role.calls_out:
        anywhere = [{"to": [{"ipBlock": {"cidr": "0.0.0.0/0", "except": list(PRIVATE)}}], "ports": _ports(443)}]
        found.append(_policy(f"{role.name}-calls-out", labels(role.name), egress=anywhere))
    if role is EDGE:
        doors = [_pods(labels("nginx")), _namespace("ingress-nginx")]
        found.append(_policy("customers", labels(role.name), ingress=[{"from": doors, "ports": _ports(port_of(role))}]))
    if role.name in GRPC_PORTS:
        keda = [{"from": [_namespace("keda")], "ports": _ports(GRPC_PORTS[role.name])}]
        found.append(_policy(f"{role.name}-scaler", labels(role.name), ingress=keda))
    return found


def store_policy(store: str) -> Object:
    """A store in the cluster hears the roles that use it."""
    clients = [_pods(labels(role.name)) for role in ROLES.values() if store in role.stores]
    return _policy(store, store_labels(store), ingress=[{"from": clients, "ports": _ports(STORE_PORTS[store])}])


def stores_elsewhere() -> list[Object]:
    """Stores outside of the cluster, on private addresses; narrow it to yours."""
    outside = [{"ipBlock": {"cidr": block}} for block in PRIVATE]
    return [
        _policy(
            f"{role.name}-to-stores-elsewhere",
            labels(role.name),
            egress=[{"to": outside, "ports": _ports(*(STORE_PORTS[store] for store in role.stores))}],
        )
        for role in ROLES.values()
        if role.stores
    ]


def one_broker_policy() -> Object:
    """The broker of a development cluster hears our pods."""
    return _policy("kafka", store_labels("kafka"), ingress=[{"from": [_pods(OURS)], "ports": _ports(KAFKA_PORT)}])


def strimzi_policy() -> Object:
    """Strimzi lets itself in by policies of its own. Ours let its pods out: to one another, and to the API server, where they learn their zone."""
    out = [{"to": [_pods(STRIMZI)]}, {"ports": _ports(443, 6443)}]
    return _policy("strimzi", STRIMZI, egress=out)
