"""One API server of Kubernetes with its etcd, on loopback, for as long as a block lasts. No controllers and no nodes: objects are admitted and stored."""

import json
import os
import ssl
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.error import URLError
from urllib.request import Request, urlopen

import yaml
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from streams.services.recipes.ports import choose
from support.kube.binaries import api_server, etcd

READY_TIMEOUT_S: Final = 300.0
STOP_TIMEOUT_S: Final = 30.0
TOKEN: Final = "tests"


@dataclass(frozen=True)
class KubeApi:
    """Where it answers. kubeconfig: for kubectl."""

    url: str
    kubeconfig: Path
    kubectl_binary: str
    processes: tuple["subprocess.Popen[bytes]", ...]

    def kubectl(self, *arguments: str, documents: Sequence[dict[str, Any]] = ()) -> subprocess.CompletedProcess[str]:
        """Run kubectl; documents are its standard input."""
        return subprocess.run(
            [self.kubectl_binary, "--kubeconfig", str(self.kubeconfig), *arguments], input=yaml.safe_dump_all(documents), text=True,
            capture_output=True, check=False, env={**os.environ, "HOME": str(self.kubeconfig.parent)},
        )  # fmt: skip

    def listed(self, kinds: str, namespace: str) -> list[dict[str, Any]]:
        """Objects as the server has them. kinds: such as statefulsets,deployments.apps."""
        done = self.kubectl("get", kinds, "--namespace", namespace, "--output", "json")
        assert done.returncode == 0, done.stderr
        found: list[dict[str, Any]] = json.loads(done.stdout)["items"]
        return found

    def answers(self, path: str) -> bool:
        """With 200."""
        request = Request(self.url + path, headers={"Authorization": f"Bearer {TOKEN}"})
        unchecked = ssl._create_unverified_context()
        try:
            with urlopen(request, timeout=5, context=unchecked) as answer:
                return bool(answer.status == 200)
        except (URLError, OSError):
            return False


@contextmanager
def running_api(kubectl_binary: str) -> Iterator[KubeApi]:
    """An empty cluster in a folder of its own. When the block ends, both processes are stopped and the folder is removed."""
    children: list[subprocess.Popen[bytes]] = []
    with tempfile.TemporaryDirectory(prefix="outcry-kube-") as folder:
        home = Path(folder)
        ports = choose(home, ["clients", "peers", "api"])
        store = f"http://127.0.0.1:{ports['clients']}"
        commands = {
            "etcd": [
                str(etcd()), "--data-dir", str(home / "etcd"), "--listen-client-urls", store, "--advertise-client-urls", store,
                "--listen-peer-urls", f"http://127.0.0.1:{ports['peers']}", "--unsafe-no-fsync",
            ],
            "kube-apiserver": [str(api_server()), *_flags(home, store, ports["api"])],
        }  # fmt: skip
        try:
            for name, command in commands.items():
                with (home / f"{name}.log").open("wb") as log:
                    children.append(subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT, cwd=home))
            api = KubeApi(f"https://127.0.0.1:{ports['api']}", _kubeconfig(home, ports["api"]), kubectl_binary, tuple(children))
            _wait_ready(api, home)
            yield api
        finally:
            for child in reversed(children):  # the server before its store
                _stop(child)


def _stop(child: "subprocess.Popen[bytes]") -> None:
    child.terminate()
    try:
        child.wait(STOP_TIMEOUT_S)
    except subprocess.TimeoutExpired:
        child.kill()
        child.wait()


def _wait_ready(api: KubeApi, home: Path) -> None:
    deadline = time.monotonic() + READY_TIMEOUT_S
    while not api.answers("/readyz"):
        dead = any(child.poll() is not None for child in api.processes)
        if dead or time.monotonic() > deadline:
            logs = "\n".join((home / f"{name}.log").read_text()[-2_000:] for name in ("etcd", "kube-apiserver"))
            raise AssertionError(f"the API server {'ended' if dead else 'is not ready'}:\n{logs}")
        time.sleep(0.1)


def _flags(home: Path, etcd_url: str, port: int) -> list[str]:
    """Whoever has the token may do everything; service accounts are off, as no controller makes them."""
    private = rsa.generate_private_key(65537, 2048)
    (home / "sa.key").write_bytes(private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    (home / "sa.pub").write_bytes(private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    (home / "tokens.csv").write_text(f"{TOKEN},tests,tests,system:masters\n")
    return [
        f"--etcd-servers={etcd_url}", "--bind-address=127.0.0.1", "--advertise-address=127.0.0.1", f"--secure-port={port}",
        f"--cert-dir={home / 'certificates'}", "--service-cluster-ip-range=10.0.0.0/16", "--endpoint-reconciler-type=none",
        "--authorization-mode=AlwaysAllow", f"--token-auth-file={home / 'tokens.csv'}",
        "--service-account-issuer=https://localhost", f"--service-account-key-file={home / 'sa.pub'}",
        f"--service-account-signing-key-file={home / 'sa.key'}", "--disable-admission-plugins=ServiceAccount",
    ]  # fmt: skip


def _kubeconfig(home: Path, port: int) -> Path:
    cluster = {"server": f"https://127.0.0.1:{port}", "insecure-skip-tls-verify": True}
    config = {
        "apiVersion": "v1", "kind": "Config", "current-context": "tests", "users": [{"name": "tests", "user": {"token": TOKEN}}],
        "clusters": [{"name": "tests", "cluster": cluster}], "contexts": [{"name": "tests", "context": {"cluster": "tests", "user": "tests"}}],
    }  # fmt: skip
    path = home / "kubeconfig"
    path.write_text(yaml.safe_dump(config))
    path.chmod(0o600)
    return path
