"""Ask the workers of a role where a shard is: who writes it, how far each has come, what the newest comparison found."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.error import HTTPError
from urllib.request import urlopen

from schemas.errors import OutcryError, ServiceUnavailable
from streams.services.supervision.role_files import role_address
from topics.roles import REPLICAS, RoleEntry

ASK_TIMEOUT_S: Final = 2.0


class MoveRefused(OutcryError):
    """A shard is not moved. The message says why; nothing has changed."""


@dataclass(frozen=True)
class Compared:
    """state_hash: hexadecimal. written: whether the outputs of all inputs before the offset are in the log, by the word of a writer."""

    offset: int
    state_hash: str
    written: bool


@dataclass(frozen=True)
class Seen:
    """What a worker says of one shard. writers: letters; empty: all."""

    worker: str
    replica: str
    epoch: int
    writers: str
    since: int
    next_offset: int
    writes: bool
    compared: Compared | None


def workers_here(run_dir: Path, role: RoleEntry) -> dict[str, str]:
    """The workers of a role that have announced themselves on this machine, with their addresses; dead ones too."""
    pattern = re.compile(rf"{re.escape(role.name)}(-[{REPLICAS[1:]}])?(-[0-9]+)?")
    found = {}
    for path in sorted(run_dir.glob(f"{role.name}*.json")):
        if pattern.fullmatch(path.stem):
            found[path.stem] = _announced(path)
    return found


def letter_of(role: RoleEntry, worker: str) -> str:
    """Of the replica that a worker belongs to, by its name."""
    first = worker.removeprefix(f"{role.name}-")[:1]
    return first if worker != role.name and first in REPLICAS[1:] else REPLICAS[0]


def _announced(path: Path) -> str:
    try:
        return role_address(path, int(json.loads(path.read_text())["pid"]))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ServiceUnavailable(f"{path} is not what a worker writes: {error!r}") from error


def ask_worker(name: str, address: str, shard: int) -> Seen:
    """Raises MoveRefused for a worker that does not answer, is not ready or does not hold the shard."""
    body = _readiness(name, address)
    partitions: Mapping[str, Any] = body.get("partitions") or {}
    one = partitions.get(str(shard))
    if one is None:
        held = ", ".join(sorted(partitions, key=int)) or "none yet"
        raise MoveRefused(f"{name} does not hold shard {shard}: it has {held}")
    compared = one["compared"]
    return Seen(name, one["replica"], one["epoch"], one["writers"], one["since"], one["next_offset"], one["writes"],
                None if compared is None else Compared(**compared))  # fmt: skip


def ask_all(addresses: Mapping[str, str], shard: int) -> list[Seen]:
    """What the workers that answer and hold the shard say."""
    found = []
    for name, address in addresses.items():
        try:
            found.append(ask_worker(name, address, shard))
        except MoveRefused:
            continue
    return found


def _readiness(name: str, address: str) -> dict[str, Any]:
    try:
        with urlopen(f"{address}/readyz", timeout=ASK_TIMEOUT_S) as answer:  # noqa: S310  an address that a worker has announced
            body: dict[str, Any] = json.load(answer)
            return body
    except HTTPError as error:
        raise MoveRefused(f"{name} is not ready: {error.read(300).decode(errors='replace')}") from error
    except (OSError, ValueError) as error:
        raise MoveRefused(f"{name} does not answer at {address}: {error}") from error
