"""docker/kubernetes applied to a real API server: what it admits, stores and refuses, which no schema on paper can tell.

Needs kube-apiserver and etcd (`make kube-binaries`); without them each test is skipped and says so. There are no nodes: no pod runs.
"""

import copy
import json
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import pytest
from fleet.overlays import OVERLAYS
from support.kube.api import KubeApi, running_api
from support.kube.binaries import missing
from support.kube.manifests import kubectl, rendered

from topics.roles import ROLES

Document = dict[str, Any]
NAMESPACE = "open-outcry"
DEFINITIONS = Path(__file__).parents[2] / "unit" / "data" / "custom_resources"
STORES = {"kafka", "mysql", "redis", "elasticsearch"}
WORKLOADS = "statefulsets.apps,deployments.apps"


@pytest.fixture(scope="module", params=[overlay.name for overlay in OVERLAYS])
def overlay(request: pytest.FixtureRequest) -> str:
    """Each by itself: they are not meant for one cluster."""
    return str(request.param)


@pytest.fixture(scope="module")
def api(overlay: str) -> Iterator[KubeApi]:
    """An empty cluster that knows the kinds of KEDA and Strimzi, as after the installation of both; nothing of it is left afterwards."""
    if why := missing():
        pytest.skip(why)
    with running_api(kubectl()) as made:
        definitions = [json.loads(path.read_text()) for path in sorted(DEFINITIONS.glob("*.*.*.json"))]
        assert len(definitions) == 5
        done = made.kubectl("apply", "--server-side", "--filename", "-", documents=definitions)
        assert done.returncode == 0, done.stderr
        done = made.kubectl("wait", "--for", "condition=Established", "--timeout", "120s", "customresourcedefinitions", "--all")
        assert done.returncode == 0, done.stderr
        for documents, options in (
            ([one for one in rendered(overlay) if one["kind"] == "Namespace"], ()),
            (_rest(overlay), ("--dry-run=server",)),
        ):
            done = apply(made, documents, *options)
            assert done.returncode == 0, done.stderr
        yield made
    assert [process.poll() is None for process in made.processes] == [False, False]
    assert not made.kubeconfig.parent.exists()


def _rest(overlay: str) -> list[Document]:
    """What is in the namespace: a dry run of it needs the namespace itself."""
    return [one for one in rendered(overlay) if one["kind"] != "Namespace"]


def apply(api: KubeApi, documents: list[Document], *options: str) -> subprocess.CompletedProcess[str]:
    """By server-side apply; every field must be known."""
    return api.kubectl("apply", "--server-side", "--validate=strict", *options, "--filename", "-", documents=documents)


def ids(documents: list[Document]) -> set[tuple[str, str]]:
    """(kind, name) of each."""
    return {(one["kind"], one["metadata"]["name"]) for one in documents}


def test_everything_is_applied_after_a_dry_run_and_is_then_there(api: KubeApi, overlay: str) -> None:
    """The server's own validation and admission, defaults, and what needs other fields: nothing of it is in a schema."""
    rest = _rest(overlay)
    for _ in range(2):  # the second time it finds what it has made
        done = apply(api, rest)
        assert done.returncode == 0, done.stderr
        assert "Warning" not in done.stderr, "such as a field that is deprecated, or a pod that breaks the rules of its namespace"
        assert len(done.stdout.splitlines()) == len(rest)
    kinds = ",".join(sorted({one["kind"] for one in rest}))
    assert ids(rest) <= ids(api.listed(kinds, NAMESPACE))


def test_every_role_is_in_the_cluster_and_no_other(api: KubeApi, overlay: str) -> None:
    """As the server has them. Optional roles as the overlay says; three-zones has all."""
    found = {one["metadata"]["name"]: one["spec"]["template"]["spec"]["containers"] for one in api.listed(WORKLOADS, NAMESPACE)}
    running = {containers[0]["args"][1] for name, containers in found.items() if name not in STORES}
    always = {name for name, role in ROLES.items() if not role.optional}
    assert always <= running <= set(ROLES)
    if overlay == "three-zones":
        assert running == set(ROLES)
    assert set(found) - STORES - {"match-orders-b"} == running


def test_its_pods_would_be_admitted(api: KubeApi) -> None:
    """The namespace is `restricted`. That is decided when a pod is made, which here nobody but the test does: as a dry run, of each template."""
    pods = []
    for one in [*api.listed(WORKLOADS, NAMESPACE), *api.listed("jobs.batch", NAMESPACE)]:
        template = one["spec"]["template"]
        volumes = [{"name": claim["metadata"]["name"], "emptyDir": {}} for claim in one["spec"].get("volumeClaimTemplates", [])]
        spec = {**template["spec"], "volumes": [*template["spec"].get("volumes", []), *volumes]}
        pods.append(
            {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": one["metadata"]["name"], "namespace": NAMESPACE}, "spec": spec}
        )
    done = apply(api, pods, "--dry-run=server")
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.splitlines()) == len(pods) > len(ROLES) // 2
    root = copy.deepcopy(pods[0])
    root["spec"]["containers"][0]["securityContext"]["allowPrivilegeEscalation"] = True
    done = apply(api, [root], "--dry-run=server")
    assert 'violates PodSecurity "restricted:' in done.stderr


def test_one_wrong_field_in_each_object_is_refused(api: KubeApi, overlay: str) -> None:
    """Every object once, with a field that nobody knows; the server names it."""
    wrong = copy.deepcopy(rendered(overlay))
    for one in wrong:
        one.get("spec", one)["replicaCuont"] = 3
    done = apply(api, wrong, "--dry-run=server")
    assert done.returncode != 0
    assert done.stdout == "", "one was taken"
    assert done.stderr.count("replicaCuont") >= len(wrong), done.stderr


def _put(path: str, value: Any) -> Callable[[Document], None]:
    """A change of a document: `value` where the path leads."""

    def change(document: Document) -> None:
        *way, last = path.split("/")
        node: Any = document
        for step in way:
            node = node[int(step)] if isinstance(node, list) else node[step]
        node[last] = value

    return change


WRONG_VALUES: Final[dict[str, tuple[Callable[[Document], None], str]]] = {
    # kind: a change after which every field is known and has the right type, where that can be; a word of the server's refusal
    "ConfigMap": (_put("data/two words", "x"), "a valid config key must consist of"),
    "Service": (_put("spec/ports/0/port", 70_000), "must be between 1 and 65535"),
    "StatefulSet": (_put("spec/selector/matchLabels/app", "other"), "`selector` does not match template `labels`"),
    "Deployment": (_put("spec/selector/matchLabels/app", "other"), "`selector` does not match template `labels`"),
    "Job": (_put("spec/template/spec/restartPolicy", "Always"), "restartPolicy"),
    "PodDisruptionBudget": (_put("spec/minAvailable", 1), "minAvailable and maxUnavailable cannot be both set"),
    "NetworkPolicy": (_put("spec/egress", [{"to": [{"ipBlock": {"cidr": "10.0.0.0/99"}}]}]), "10.0.0.0/99"),
    "PersistentVolumeClaim": (_put("spec/accessModes", ["ReadWriteSometimes"]), "supported values"),
    "ScaledObject": (_put("spec/triggers/0/metadata/desiredReplicas", 6), "desiredReplicas"),
    "TriggerAuthentication": (_put("spec/secretTargetRef/0/key", 6), "key"),
    "Kafka": (_put("spec/kafka/listeners/0/port", 80), "port"),
    "KafkaNodePool": (_put("spec/roles", ["captain"]), "captain"),
    "KafkaUser": (_put("spec/authentication/type", "none"), "none"),
}


def test_one_wrong_value_in_each_kind_is_refused_for_what_it_is(api: KubeApi, overlay: str) -> None:
    """Under another name, so that nothing there decides it; the same object without the change is taken."""
    kinds = {one["kind"]: one for one in _rest(overlay)}
    assert set(kinds) <= set(WRONG_VALUES)
    for kind, (change, word) in WRONG_VALUES.items():
        if kind not in kinds:
            continue
        document = copy.deepcopy(kinds[kind])
        document["metadata"]["name"] = "another"
        done = apply(api, [document], "--dry-run=server")
        assert done.returncode == 0, done.stderr
        change(document)
        done = apply(api, [document], "--dry-run=server")
        assert (done.returncode != 0, word in done.stderr) == (True, True), f"{kind}: {done.stderr or done.stdout}"
