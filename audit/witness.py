"""A witness: cosigns a checkpoint only if the log has grown from the one that it cosigned before.

Source: https://c2sp.org/tlog-witness (add-checkpoint), https://c2sp.org/tlog-cosignature. It keeps the newest checkpoint of each log on a disk of its own,
and writes it there before it answers. Who loses that disk must not go on: a witness that has forgotten would cosign a fork.
"""

import hashlib
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NamedTuple

from audit.disk import Disk
from audit.findings import Wrong
from audit.keys import Signer
from audit.notes import Checkpoint, Note, decimal, from_base64, to_base64
from audit.policy import Policy
from audit.tree import check_consistency
from schemas.errors import OutcryError, StaleData

PROOF_HASHES_MAX: Final = 63
REQUEST_BYTES_MAX: Final = 131_072
SIZE_TYPE: Final = "text/x.tlog.size"
TEXT_TYPE: Final = "text/plain; charset=utf-8"
MADE: Final = "witness"
"""File that says that the folder is a witness's; made once, never by serving."""


class Answer(NamedTuple):
    """Of HTTP. why: for the witness's own log; nothing of it is told."""

    status: int
    body: str
    content_type: str = TEXT_TYPE
    why: str = ""


@dataclass(frozen=True)
class Request:
    """add-checkpoint: the log has grown from `old` entries to the checkpoint of the note; `proof` says so."""

    old: int
    proof: list[bytes]
    note: bytes

    @classmethod
    def parse(cls, data: bytes) -> "Request":
        """Raises Wrong."""
        try:
            head, blank, note = data.decode().partition("\n\n")
        except UnicodeDecodeError:
            raise Wrong("request", "it is not UTF-8") from None
        first, *lines = head.split("\n")
        if not blank or not first.startswith("old ") or len(lines) > PROOF_HASHES_MAX:
            raise Wrong("request", "it is not `old SIZE`, hashes, an empty line, a checkpoint")
        return cls(decimal(first.removeprefix("old "), "old size"), [from_base64(line, "proof") for line in lines], note.encode())

    def __bytes__(self) -> bytes:
        return f"old {self.old}\n{''.join(to_base64(one) + chr(10) for one in self.proof)}\n".encode() + self.note


def make_folder(folder: Path, disk: Disk | None = None) -> None:
    """Begin to remember, in an empty folder. Raises OutcryError where a witness's memory is already."""
    if (folder / MADE).exists():
        raise OutcryError(f"{folder} is a witness's already")
    (disk or Disk()).write(folder / MADE, b"open outcry witness 1\n")


class Witness:
    """Decides and remembers. One process has the folder; `add` may be called from several threads."""

    def __init__(self, folder: Path, signer: Signer, policy: Policy, disk: Disk | None = None) -> None:
        """policy: the keys of the logs that it knows. Raises StaleData where its memory is gone."""
        self._folder, self._signer, self._policy, self._disk = folder, signer, policy, disk or Disk()
        self._deciding = threading.Lock()
        if not (folder / MADE).exists():
            raise StaleData(
                f"{folder} is not the folder of a witness. If it was lost, this witness must not go on: it would cosign a fork. "
                "Make one with another name and key: `outcry audit witness create`"
            )

    def add(self, data: bytes, now_s: int) -> Answer:
        """Answer a request. now_s: the time of the cosignature, since 1970."""
        try:
            request = Request.parse(data)
            note = Note.parse(request.note, "checkpoint")
            checkpoint = Checkpoint.parse(note.text)
        except Wrong as error:
            return Answer(400, f"{error}\n", why=str(error))
        keys = self._policy.origin_keys(checkpoint.origin)
        if not keys:
            return Answer(404, "unknown log\n", why=f"{checkpoint.origin} is not in the policy")
        try:
            signed = note.signed_by(keys, "checkpoint")
        except Wrong as error:
            return Answer(403, f"{error}\n", why=str(error))
        if not signed:
            return Answer(403, "no key of this log has signed it\n", why=f"no key of {checkpoint.origin} has signed it")
        if request.old > checkpoint.size:
            return Answer(400, "the old size is larger than the new one\n", why="old size above the checkpoint's")
        with self._deciding:
            return self._decide(request, note, checkpoint, now_s)

    def _decide(self, request: Request, note: Note, checkpoint: Checkpoint, now_s: int) -> Answer:
        newest = self.newest(checkpoint.origin)
        size = Checkpoint.parse(newest.text).size if newest is not None else 0
        if request.old != size:
            return Answer(409, f"{size}\n", SIZE_TYPE, f"{checkpoint.origin}: it says it had {request.old} entries, and had {size}")
        if newest is not None and size:
            known = Checkpoint.parse(newest.text)
            if checkpoint.size == size and checkpoint.root != known.root:
                return Answer(409, f"{size}\n", SIZE_TYPE, f"FORK {checkpoint.origin}: two signed checkpoints of {size} entries differ")
            try:
                check_consistency(size, checkpoint.size, known.root, checkpoint.root, request.proof)
            except Wrong as error:
                return Answer(422, f"{error}\n", why=f"FORK {checkpoint.origin}: {error}")
        elif request.proof:
            return Answer(422, "from no entries nothing can be proven\n", why=f"{checkpoint.origin}: a proof from 0 entries")
        cosignature = self._signer.sign(note.text, now_s)
        self._disk.write(self._path(checkpoint.origin), bytes(Note(note.text, (*note.signatures, cosignature))))
        return Answer(200, str(cosignature))

    def newest(self, origin: str) -> Note | None:
        """The newest checkpoint of a log that was cosigned here, with the cosignature. Raises StaleData where the memory of it is damaged."""
        path = self._path(origin)
        if not path.exists():
            return None
        try:
            note = Note.parse(path.read_bytes(), str(path))
            is_ours = Checkpoint.parse(note.text).origin == origin and bool(note.signed_by([self._signer.public], str(path)))
        except Wrong:
            is_ours = False
        if not is_ours:
            raise StaleData(f"{path} is not what this witness has cosigned: its memory is damaged, and it must not go on with it")
        return note

    def _path(self, origin: str) -> Path:
        return self._folder / "logs" / hashlib.sha256(origin.encode()).hexdigest()
