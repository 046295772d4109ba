"""The reports on Kubernetes: a claim that `make-reports` writes and every edge reads, and who reports."""

import json
from typing import Any, Final

from fleet.words import Object, named

from topics.roles import EDGE, MAKE_REPORTS

CLAIM: Final = "outcry-reports"
REFERENCE: Final = "outcry-reports-reference"
"""ConfigMap with reports.toml. Without it the role says in /readyz that it needs one."""
FOLDER: Final = "/var/lib/outcry-reports"
REFERENCE_FOLDER: Final = "/etc/outcry-reports"
SIZE: Final = "200Gi"
"""A million orders a day are about 0.1 GB of packed files: five years of trading days and more."""


def reports_claim() -> Object:
    """Edges are on other nodes than the role, so the class of the claim must let several nodes mount it."""
    spec = {"accessModes": ["ReadWriteMany"], "resources": {"requests": {"storage": SIZE}}}
    return named("v1", "PersistentVolumeClaim", CLAIM, spec=spec)


def reports_patches() -> list[Object]:
    """Of the role and of the edges; both are in every overlay that takes the component."""
    folder = {"name": "OUTCRY_REPORTS_DIR", "value": f"{FOLDER}/days"}
    who = {"name": "OUTCRY_REPORTS_FILE", "value": f"{REFERENCE_FOLDER}/reports.toml"}
    claim = {"name": "reports", "persistentVolumeClaim": {"claimName": CLAIM}}
    reference = {"name": "reference", "configMap": {"name": REFERENCE, "optional": True}}
    mount: Object = {"name": "reports", "mountPath": FOLDER}
    maker = _steps([claim, reference], [mount, {"name": "reference", "mountPath": REFERENCE_FOLDER, "readOnly": True}], [folder, who])
    return [_patch(MAKE_REPORTS.name, maker), _patch(EDGE.name, _steps([claim], [mount | {"readOnly": True}], [folder]))]


def _steps(volumes: list[Object], mounts: list[Object], environment: list[Object]) -> list[Object]:
    first = "/spec/template/spec/containers/0"
    places = (("/spec/template/spec/volumes", volumes), (f"{first}/volumeMounts", mounts), (f"{first}/env", environment))
    return [{"op": "add", "path": f"{path}/-", "value": value} for path, values in places for value in values]


def _patch(name: str, steps: list[Object]) -> dict[str, Any]:
    return {"target": {"kind": "StatefulSet", "name": name}, "patch": json.dumps(steps)}
