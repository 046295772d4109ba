"""A small disk for a test: a program sees one, mounted in a namespace of its own, and nobody else does."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest


def run_on_own_disk(program: str, folder: Path, size: str, timeout_s: float) -> subprocess.CompletedProcess[str]:
    """Run a Python file with `folder` as its argument, where that is a tmpfs of this size ("4m"). Skips the test where there are no mount namespaces."""
    tool = shutil.which("unshare")
    for user in ([], ["--user", "--map-root-user"]) if tool else []:
        alone = [str(tool), "--mount", *user]
        if subprocess.run([*alone, "mount", "-t", "tmpfs", "tmpfs", str(folder)], capture_output=True, check=False).returncode == 0:
            break
    else:
        pytest.skip("no mount namespaces here")
    script = f"mount -t tmpfs -o size={size} tmpfs {folder} && exec {sys.executable} {program} {folder}"
    ours = {"PYTHONPATH": str(Path(__file__).parents[1])}  # where the program finds `support`
    return subprocess.run(
        [*alone, "sh", "-c", script], env=os.environ | ours, capture_output=True, text=True, timeout=timeout_s, check=False
    )
