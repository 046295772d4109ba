"""Audit logs made for tests: entries, keys, a disk that a process dies at, and what a stranger would find wrong."""

from collections.abc import Callable
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path

from audit.disk import Disk
from audit.entries import entry_of
from audit.findings import Wrong
from audit.keys import ExchangeKeys, ExchangeSecret, Signer
from audit.log_store import LogStore, Position
from audit.notes import COSIGNATURE, Checkpoint
from audit.policy import Policy
from audit.tiles import LogFiles
from audit.tree import consistency_path
from audit.whole_log import EntryOrder, check_log
from audit.witness import Answer, Request, Witness, make_folder

KEYS = ExchangeKeys("exchange.example/audit", (ExchangeSecret(bytes(range(32)), "2026-01-01"),))
ORIGIN = KEYS.origin("executions", 0)
WITNESS = Signer("witness.example/w", COSIGNATURE, bytes([7]) * 32)
START = Position(0)
# 0, 1, 2^k - 1, 2^k, 2^k + 1
EDGE_SIZES = sorted({0, 1} | {size for k in range(1, 10) for size in ((1 << k) - 1, 1 << k, (1 << k) + 1)})


def plain_root(leaves: list[bytes]) -> bytes:
    """RFC 6962, 2.1, word by word."""
    if not leaves:
        return sha256(b"").digest()
    if len(leaves) == 1:
        return leaves[0]
    split = 1
    while 2 * split < len(leaves):
        split *= 2
    return sha256(b"\x01" + plain_root(leaves[:split]) + plain_root(leaves[split:])).digest()


def policy(*, is_witnessed: bool = False, keys: ExchangeKeys = KEYS) -> Policy:
    """Trusts the log, and the witness too if asked."""
    return Policy.parse(policy_text(is_witnessed=is_witnessed, keys=keys))


def policy_text(*, is_witnessed: bool = False, keys: ExchangeKeys = KEYS) -> str:
    """The same as a file."""
    logs = "".join(f"log {key}\n" for key in keys.public(ORIGIN))
    return logs + (f"witness w {WITNESS.public}\nquorum w\n" if is_witnessed else "quorum none\n")


def value(offset: int) -> bytes:
    """Of a record."""
    return b"record %d" % offset


def entry(offset: int) -> bytes:
    """Of the same record."""
    return entry_of("executions", 0, offset, 1_700_000_000_000 + offset, value(offset))


def position(next_offset: int) -> Position:
    """Behind a record."""
    return Position(next_offset, 1_700_000_000_000 + next_offset - 1, sha256(value(next_offset - 1)).hexdigest()) if next_offset else START


def open_log(folder: Path, disk: Disk | None = None, keys: ExchangeKeys = KEYS) -> LogStore:
    """The log of executions/0."""
    return LogStore(folder, ORIGIN, keys, START, disk)


def grow(log: LogStore, size: int, step: int = 1_000) -> None:
    """Append up to `size` entries, with a checkpoint after each `step`."""
    while log.tree.size < size:
        for offset in range(log.tree.size, min(size, log.tree.size + step)):
            log.append(entry(offset))
        log.commit(position(log.tree.size))


def cosign(log: LogStore, witness: Witness, now_s: int = 1_700_000_000) -> Answer:
    """Ask for a cosignature of the newest checkpoint as the exchange does, and publish it."""
    newest = witness.newest(log.origin)
    old = Checkpoint.parse(newest.text).size if newest is not None else 0
    proof = consistency_path(LogFiles(str(log.folder)).nodes(log.committed.size), old, log.committed.size)
    answer = witness.add(bytes(Request(old, proof, bytes(log.note))), now_s)
    if answer.status == 200:
        log.publish_cosigned(type(log.note).parse(bytes(log.note) + answer.body.encode()))
    return answer


def open_witness(folder: Path, disk: Disk | None = None, keys: ExchangeKeys = KEYS) -> Witness:
    """A witness that knows the log; its folder is made where there is none."""
    if not (folder / "witness").exists():
        make_folder(folder)
    return Witness(folder, WITNESS, policy(keys=keys), disk)


def check_folder(folder: Path, trust: Policy | None = None) -> Checkpoint:
    """What a stranger checks of a mirrored log. Raises Wrong."""
    _, checkpoint = (trust or policy()).log_signed((folder / "checkpoint").read_bytes(), "checkpoint")
    check_log(LogFiles(str(folder)), checkpoint, [], EntryOrder())
    return checkpoint


def is_right(check: Callable[[], object]) -> bool:
    """Whether a check finds nothing wrong."""
    try:
        check()
    except Wrong:
        return False
    return True


class Crashed(BaseException):
    """The process is dead."""


@dataclass
class CrashingDisk(Disk):
    """Dies at step `at`: before it, or in the middle of it, where a draft is cut off. Counts its steps."""

    at: int = -1
    steps: list[str] = field(default_factory=list)

    def _write_draft(self, draft: Path, data: bytes, mode: int) -> None:
        self._step(f"draft {draft.name}")
        if self._is_now():
            draft.write_bytes(data[: len(data) // 2])
            raise Crashed
        super()._write_draft(draft, data, mode)

    def _rename(self, draft: Path, path: Path) -> None:
        self._step(f"rename {path.name}")
        if self._is_now():
            raise Crashed
        super()._rename(draft, path)

    def remove(self, path: Path) -> None:
        """Dies before it."""
        self._step(f"remove {path.name}")
        if self._is_now():
            raise Crashed
        super().remove(path)

    def _step(self, what: str) -> None:
        self.steps.append(what)

    def _is_now(self) -> bool:
        return len(self.steps) - 1 == self.at
