"""requirements.lock, by which the image is installed: the versions of constraints.txt, each with the hashes of its files."""

import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[2]
LOCK = (ROOT / "requirements.lock").read_text()
OF_THE_IMAGE = ("archive", "forecast", "traces")
"""Extras of what an exchange runs; the others are for those who work on it."""
LOCKED = dict(re.findall(r"^([\w.-]+)==([^\s;\\]+)", LOCK, re.MULTILINE))


def canonical(name: str) -> str:
    """As indexes compare names."""
    return re.sub(r"[-_.]+", "-", name).lower()


def test_the_lock_has_every_requirement_of_the_image_in_the_version_that_is_pinned():
    """`make lock` writes it again after a change of either."""
    pins = {
        canonical(name): version
        for name, _, version in (line.partition("==") for line in (ROOT / "constraints.txt").read_text().splitlines())
        if version and not name.startswith("#")
    }
    assert {name: version for name, version in LOCKED.items() if pins.get(canonical(name), version) != version} == {}
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    extras = project["project"]["optional-dependencies"]
    wanted = [
        *project["build-system"]["requires"],
        *project["project"]["dependencies"],
        *(one for extra in OF_THE_IMAGE for one in extras[extra]),
    ]
    names = {canonical(re.split(r"[\[<>=!~; ]", one)[0]) for one in wanted}
    assert names <= set(map(canonical, LOCKED))


def test_every_entry_of_the_lock_has_hashes_and_no_index_is_named():
    """`pip --require-hashes` takes nothing else; and whoever installs chooses where from."""
    entries = re.split(r"\n(?=[\w])", LOCK.strip())
    assert len(entries) == len(LOCKED) > 50
    assert [one.splitlines()[0] for one in entries if not re.search(r"--hash=sha256:[0-9a-f]{64}", one)] == []
    assert "://" not in LOCK


def test_the_image_is_installed_by_the_lock():
    """And by nothing that is not in it."""
    installs = [line for line in (ROOT / "docker/Dockerfile").read_text().splitlines() if "pip install" in line]
    assert len(installs) == 2
    assert "--require-hashes --requirement requirements.lock" in installs[0]
    assert "--no-deps --no-build-isolation ." in installs[1]
