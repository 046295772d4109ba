"""An audit log with everything that belongs to it, and what a careful stranger and the exchange itself would find wrong with it.

The log has grown in steps and was cosigned on the way. The stranger has the policy, the newest checkpoint that the witness has cosigned, the records, and one
proof. Of the exchange's own processes it is asked whether they would go on: the role from its disk, the witness from its memory.
"""

import random
import shutil
from collections.abc import Iterator
from contextlib import redirect_stdout, suppress
from dataclasses import dataclass, field
from io import StringIO
from pathlib import Path
from typing import Final

from support.records.audit_logs import (
    ORIGIN,
    WITNESS,
    Crashed,
    CrashingDisk,
    cosign,
    open_log,
    open_witness,
    policy,
    policy_text,
    value,
)

from audit.disk import Disk
from audit.entries import entry_of
from audit.findings import Unchecked, Wrong
from audit.notes import Checkpoint, Note
from audit.proofs import Proof
from audit.tiles import LogFiles
from audit.tree import inclusion_path
from audit.verifier import main
from audit.witness import Witness
from schemas.errors import StaleData
from streams.host.read_log import Bounds, Meter
from streams.host.seal_partition import SealedPartition
from streams.host.shard_runner import Record
from streams.proofs.audit_records import first_difference

SIZES: Final = (1, 2, 3, 255, 256, 257, 300, 511, 512, 513, 700)
"""2^k and one to either side, and others."""
_NS_PER_MS: Final = 1_000_000


def record(offset: int) -> Record:
    """Whose entry is support.records.audit_logs.entry."""
    return Record("executions", 0, offset, (1_700_000_000_000 + offset) * _NS_PER_MS, None, value(offset))


class Records:
    """The partition of the exchange's log, in memory."""

    def __init__(self, records: list[Record]) -> None:
        self.records_now = records

    def bounds(self, topic: str, partition: int) -> Bounds:
        """As streams.host.read_log.Log."""
        return Bounds(0, len(self.records_now))

    def records(self, topic: str, partition: int, start: int, end: int) -> Iterator[Record]:
        """As streams.host.read_log.Log."""
        yield from self.records_now[start:end]


@dataclass
class World:
    """All places that can be tampered with."""

    folder: Path
    size: int
    records: Records = field(default_factory=lambda: Records([]))

    @property
    def log(self) -> Path:
        """Tiles, checkpoints, state."""
        return self.folder / "log"

    @property
    def memory(self) -> Path:
        """The witness's."""
        return self.folder / "witness"

    @property
    def older(self) -> Path:
        """The log and the witness as they were at the first checkpoint."""
        return self.folder / "older"

    @property
    def proof(self) -> Path:
        """Of one entry, with its record beside it."""
        return self.folder / "one.tlog-proof"

    def found(self) -> list[str]:
        """What is found wrong by anybody who looks, each finding with its place. Empty: everything is as it was signed."""
        return [*self._by_stranger(), *self._by_exchange(), *self._by_comparison()]

    def _by_stranger(self) -> list[str]:
        seen = self.folder / "seen-by-witness"
        found = []
        for arguments in (
            ["log", self.log, "--seen", seen],
            ["proof", self.proof, "--record", self.folder / "one.record"],
            ["consistency", seen, self.log / "checkpoint", "--log", self.log],
        ):
            said = StringIO()
            with redirect_stdout(said):
                status = main([*map(str, arguments), "--policy", str(self.folder / "policy")])
            if status:
                found.append(said.getvalue().strip())
        return found

    def _by_exchange(self) -> list[str]:
        """Whether its own processes would start; they are not let write."""
        try:
            SealedPartition("executions", 0, open_log(self.log, ReadOnly()))
            witness = Witness(self.memory, WITNESS, policy())
            newest = witness.newest(ORIGIN)
            published = Checkpoint.parse(Note.parse((self.log / "checkpoint").read_bytes()).text)
            if newest is None or Checkpoint.parse(newest.text).size > published.size:
                return ["witness: it has cosigned more than the log has"]
        except (StaleData, Wrong, OSError) as error:
            return [f"{type(error).__name__} {error}"]
        return []

    def _by_comparison(self) -> list[str]:
        """As `outcry audit records`."""
        try:
            files = LogFiles(str(self.log))
            checkpoint = Checkpoint.parse(Note.parse(files.read("checkpoint")).text)
            with Meter("", 0, quiet=True) as meter:
                difference = first_difference(self.records, files, checkpoint, "executions", 0, meter)  # type: ignore[arg-type]
        except (Wrong, Unchecked) as error:
            return [str(error)]
        return [difference] if difference else []


class ReadOnly(Disk):
    """Of processes that are only asked whether they would start."""

    def write(self, path: Path, data: bytes, mode: int = 0o644) -> None:
        """Nothing."""

    def remove(self, path: Path) -> None:
        """Nothing."""


def make_world(folder: Path, size: int, rng: random.Random, *, crashes: bool = False) -> World:
    """An honest one. crashes: log and witness die at random steps on the way."""
    world = World(folder, size)
    steps = sorted({rng.randint(1, size) for _ in range(3)} | {size})
    for number, step in enumerate(steps):
        _grow(world, step, rng, crashes=crashes)
        _cosign(world, rng, crashes=crashes)
        if number == 0:
            shutil.copytree(world.log, world.older / "log")
            shutil.copytree(world.memory, world.older / "witness")
    finish_world(world, rng)
    world.records = Records([record(offset) for offset in range(size + rng.randint(0, 3))])
    return world


def finish_world(world: World, rng: random.Random) -> None:
    """What the stranger has: the policy, what the witness has seen, a proof with its record."""
    log = open_log(world.log)
    (world.folder / "policy").write_text(policy_text(is_witnessed=True))
    (world.folder / "seen-by-witness").write_bytes(bytes(open_witness(world.memory).newest(ORIGIN) or b""))
    index = rng.randrange(world.size)
    path = inclusion_path(LogFiles(str(world.log)).nodes(world.size), index, world.size)
    one = record(index)
    entry = entry_of("executions", 0, index, one.time_ns // _NS_PER_MS, one.value)
    world.proof.write_bytes(bytes(Proof(index, path, bytes(log.cosigned() or b""), entry)))
    (world.folder / "one.record").write_bytes(one.value or b"")


def _grow(world: World, size: int, rng: random.Random, *, crashes: bool) -> None:
    """Up to a size, by one process after the other if they die."""
    while True:
        disk = CrashingDisk(rng.randint(0, 40) if crashes and rng.random() < 0.8 else -1)
        with suppress(Crashed):
            one = SealedPartition("executions", 0, open_log(world.log, disk))
            while one.next_offset < size:
                for offset in range(one.next_offset, min(size, one.next_offset + rng.randint(1, 400))):
                    one.take(record(offset), 0.0)
                one.commit()
            return


def _cosign(world: World, rng: random.Random, *, crashes: bool) -> None:
    while True:
        disk = CrashingDisk(rng.randint(0, 2) if crashes and rng.random() < 0.8 else -1)
        with suppress(Crashed):
            answer = cosign(open_log(world.log, disk), open_witness(world.memory, disk))
            assert answer.status == 200, answer
            return
