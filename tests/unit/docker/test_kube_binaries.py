"""The module from which kube-apiserver is built."""

from pathlib import Path

import pytest
from support.kube import binaries as kube_binaries

PUBLISHED = """\
module k8s.io/kubernetes

go 1.26.0

require (
	github.com/google/cel-go v0.26.0
	k8s.io/api v0.0.0
)

replace (
	k8s.io/api => ./staging/src/k8s.io/api
	k8s.io/apiserver => ./staging/src/k8s.io/apiserver
)
"""


def test_parts_that_are_in_no_module_are_taken_in_their_published_version() -> None:
    """Kubernetes 1.36.3 has published them as 0.36.3."""
    made = kube_binaries.go_mod(PUBLISHED, "1.36.3")
    assert "require k8s.io/kubernetes v1.36.3" in made
    assert "\tk8s.io/api => k8s.io/api v0.36.3\n\tk8s.io/apiserver => k8s.io/apiserver v0.36.3\n" in made
    assert "staging" not in made
    assert "\ngo 1.26.0\n" in made
    with pytest.raises(AssertionError, match="replaces nothing"):
        kube_binaries.go_mod("module k8s.io/kubernetes\n", "1.36.3")


def test_what_is_missing_is_said_with_the_command_that_makes_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A skipped test must say what it lacks."""
    monkeypatch.setenv("OUTCRY_KUBE_BINARIES", str(tmp_path))
    assert kube_binaries.missing() == f"needs kube-apiserver-1.36.3 and etcd-3.5.1 in {tmp_path}: run `make kube-binaries`"
    for path in (kube_binaries.api_server(), kube_binaries.etcd()):
        path.touch()
    assert kube_binaries.missing() == ""
