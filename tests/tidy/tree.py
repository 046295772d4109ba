"""The files that git has, and our packages: what the tests in this folder compare lists and globs with."""

import shutil
import subprocess
import tomllib
from functools import cache
from pathlib import Path
from typing import Any, Final

import pytest

ROOT: Final = Path(__file__).parents[2]
PROJECT: Final[dict[str, Any]] = tomllib.loads((ROOT / "pyproject.toml").read_text())
PACKAGES: Final[tuple[str, ...]] = tuple(PROJECT["tool"]["importlinter"]["root_packages"])
"""The top-level packages; a test shows that every list of them says the same."""


@cache
def tracked() -> frozenset[str]:
    """Paths of every file that git has or would add, below the root. Skips the test where there is no git."""
    if shutil.which("git") is None or not (ROOT / ".git").exists():
        pytest.skip("compares lists with what git has: needs git and a clone")
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout
    return frozenset(path for path in listed.split("\0") if path and (ROOT / path).is_file())


def of_packages() -> frozenset[str]:
    """Those of our packages."""
    return frozenset(path for path in tracked() if path.partition("/")[0] in PACKAGES)
