"""docker/nginx and docker/compose.nginx.yaml: taken by nginx itself where it is installed, and of the same limits and routes as the edge."""

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import jsonschema  # type: ignore[import-untyped]
import pytest
import yaml
from deployment_files import COMPOSE_EDGES, NGINX
from fleet.nginx import Places, configuration

from edge.app import ALPACA_ROUTES
from edge.fanout.limits import PING_EVERY_S
from edge.http.limits import BODY_BYTES_MAX
from schemas.settings import Settings

DOCKER = NGINX.parents[1]
SPECIFICATION = json.loads((Path(__file__).parents[1] / "data" / "compose-spec.json").read_text())
TEXT = NGINX.read_text()


class Loader(yaml.SafeLoader):
    """Compose's own tag `!reset` takes a value away."""


Loader.add_constructor("!reset", lambda loader, node: [])
COMPOSE: dict[str, Any] = yaml.load((DOCKER / "compose.nginx.yaml").read_text(), Loader=Loader)  # of SafeLoader


def values(name: str) -> list[str]:
    """Of a directive, in the order of the file."""
    return re.findall(rf"^\s*{name} ([^;]+);", TEXT, re.MULTILINE)


def test_the_file_is_what_the_code_makes() -> None:
    """Run `make tables`."""
    assert configuration(COMPOSE_EDGES) == TEXT


def test_nginx_itself_takes_it(tmp_path: Path) -> None:
    """As it is, but for the places of its files, and names that only a container network knows."""
    nginx, openssl = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin"), shutil.which("openssl")
    if nginx is None or openssl is None:
        pytest.skip("needs nginx and openssl: the configuration was not given to nginx")
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    request = ["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-subj", "/CN=localhost"]
    subprocess.run([openssl, *request, "-keyout", str(key), "-out", str(certificate)], check=True, capture_output=True)
    places = Places(certificate=str(certificate), key=str(key), drain=str(tmp_path), scratch=str(tmp_path))
    path = tmp_path / "nginx.conf"
    path.write_text(configuration(["127.0.0.1:8081", "127.0.0.1:8082", "127.0.0.1:8083"], places))
    done = subprocess.run([nginx, "-t", "-p", str(tmp_path), "-c", str(path)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    path.write_text(path.read_text().replace("least_conn;", "least_con;", 1))
    assert subprocess.run([nginx, "-t", "-p", str(tmp_path), "-c", str(path)], capture_output=True, check=False).returncode != 0


def test_there_is_a_pool_of_all_edges_and_one_without_each() -> None:
    """For requests and for sockets; a pool without an edge has all the others."""
    pools = {name: re.findall(r"server (\S+) ", body) for name, body in re.findall(r"upstream (\S+) \{(.*?)\}", TEXT, re.DOTALL)}
    expected = {}
    for kind in ("requests", "sockets"):
        expected[kind] = list(COMPOSE_EDGES)
        for number, edge in enumerate(COMPOSE_EDGES):
            expected[f"{kind}-without-{number}"] = [one for one in COMPOSE_EDGES if one != edge]
    assert pools == expected
    assert re.findall(r"if \(-f (\S+)\) \{ set \$without (\S+); \}", TEXT) == [
        (f"/run/outcry/drain/edge-{number}", f"-without-{number}") for number in range(len(COMPOSE_EDGES))
    ]


def test_one_edge_alone_is_refused() -> None:
    """There would be nowhere to drain to."""
    with pytest.raises(ValueError, match="two edges or more"):
        configuration(["edge:8080"])


def test_an_order_that_an_edge_may_have_taken_is_not_sent_to_another_one() -> None:
    """Only what was never sent goes on; nginx holds to that unless it is told `non_idempotent`."""
    assert values("proxy_next_upstream") == ["error timeout"]
    assert "non_idempotent" not in re.sub(r"#.*", "", TEXT)


def test_limits_are_those_of_the_edge() -> None:
    """A larger body would be refused later; a socket that is idle between two pings must not be cut."""
    assert values("client_max_body_size") == [str(BODY_BYTES_MAX)]
    (silence,) = values("proxy_read_timeout")
    assert int(silence.removesuffix("s")) > 2 * PING_EVERY_S
    assert int(values("worker_rlimit_nofile")[0].split(";")[0]) >= 2 * int(values("worker_connections")[0])


def test_no_route_of_customers_is_hidden_and_every_one_of_operators_is() -> None:
    """/metrics tells what all customers do."""
    (hidden,) = re.findall(r"location ~ (\S+) \{\s+return 404;", TEXT)
    customers = {route.path for route in ALPACA_ROUTES}
    assert len(customers) > 50
    assert not any(re.search(hidden, path) for path in customers)
    assert all(re.search(hidden, path) for path in ("/metrics", "/healthz", "/readyz"))


def test_the_compose_file_is_valid_and_has_the_edges_that_nginx_knows(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each with a number of its own, and a partition for it."""
    assert [error.message for error in jsonschema.Draft202012Validator(SPECIFICATION).iter_errors(COMPOSE)] == []
    assert [edge.partition(":")[0] for edge in COMPOSE_EDGES] == ["edge", "edge-2"]
    assert {"edge", "edge-2", "nginx"} <= set(COMPOSE["services"])
    for number, name in enumerate(("edge", "edge-2")):
        for variable, value in COMPOSE["services"][name]["environment"].items():
            monkeypatch.setenv(variable, value.replace("${EDGE_URL:-", "").rstrip("}"))
        settings = Settings()
        assert (settings.edge_instance, settings.edge_instances) == (number, len(COMPOSE_EDGES))
    assert COMPOSE["services"]["nginx"]["ports"] == ["8443:8443"]
    assert COMPOSE["services"]["edge-2"]["ports"] == [], "only nginx is reachable, and the first edge from the host"
    assert "./nginx/nginx.conf:/etc/nginx/nginx.conf:ro" in COMPOSE["services"]["nginx"]["volumes"]
