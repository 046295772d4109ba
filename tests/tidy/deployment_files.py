"""Writes docker/kubernetes, docker/nginx, docker/prometheus and docker/grafana: python tests/tidy/deployment_files.py (`make tables`).

Tests compare each with what the code says.
"""

import json
import shutil
from pathlib import Path
from typing import Final

from fleet.dashboards import dashboards
from fleet.nginx import configuration
from fleet.overlays import files
from fleet.workloads import default_roles, port_of

DOCKER: Final = Path(__file__).parents[2] / "docker"
FOLDER: Final = DOCKER / "kubernetes"
NGINX: Final = DOCKER / "nginx" / "nginx.conf"
PROMETHEUS: Final = DOCKER / "prometheus" / "prometheus.yaml"
DASHBOARDS: Final = DOCKER / "grafana"
COMPOSE_EDGES: Final = ("edge:8080", "edge-2:8080")
"""Those of docker/compose.nginx.yaml."""
GENERATED: Final = ("base", "components", "overlays")


def prometheus_configuration() -> str:
    """Of a Prometheus in the network of docker/compose.yaml: the roles that always run. One that is optional would seem to be down."""
    targets = "".join(f"          - {role.name}:{port_of(role)}\n" for role in default_roles())
    return f"""\
# Made by `make tables` from topics/roles.py. For a Prometheus in the network of docker/compose.yaml.
global:
  scrape_interval: 5s
  evaluation_interval: 15s
rule_files: [rules.yaml]
scrape_configs:
  - job_name: open-outcry
    static_configs:
      - targets:
{targets}"""


def write() -> None:
    """Replace what is generated, so that a role that has gone leaves nothing behind."""
    for name in GENERATED:
        shutil.rmtree(FOLDER / name, ignore_errors=True)
    for path, text in files().items():
        (FOLDER / path).parent.mkdir(parents=True, exist_ok=True)
        (FOLDER / path).write_text(text)
    NGINX.write_text(configuration(COMPOSE_EDGES))
    PROMETHEUS.write_text(prometheus_configuration())
    for name, board in dashboards().items():
        (DASHBOARDS / f"{name}.json").write_text(json.dumps(board, indent=1) + "\n")


if __name__ == "__main__":
    write()
