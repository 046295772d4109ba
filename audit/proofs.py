"""Proof files. No I/O. Source: https://c2sp.org/tlog-proof."""

import hashlib
import json
from dataclasses import dataclass
from typing import Any, Final

from audit.findings import Wrong
from audit.notes import Checkpoint, decimal, from_base64, to_base64
from audit.policy import Policy
from audit.tree import check_inclusion, leaf_hash

PROOF_HEAD: Final = "c2sp.org/tlog-proof@v1"


@dataclass(frozen=True)
class Proof:
    """A file of https://c2sp.org/tlog-proof. `extra` is the entry itself: its hash is the leaf."""

    index: int
    path: list[bytes]
    checkpoint: bytes
    extra: bytes

    @classmethod
    def parse(cls, data: bytes, place: str = "proof") -> "Proof":
        """Raises Wrong."""
        try:
            head, _, checkpoint = data.decode().partition("\n\n")
        except UnicodeDecodeError:
            raise Wrong(place, "it is not UTF-8") from None
        first, *lines = head.split("\n")
        if first != PROOF_HEAD or len(lines) < 2 or not lines[0].startswith("extra ") or not lines[1].startswith("index "):
            raise Wrong(place, f"it is not {PROOF_HEAD} with the lines extra and index")
        path = [from_base64(line, place) for line in lines[2:]]
        index = decimal(lines[1].removeprefix("index "), place)
        return cls(index, path, checkpoint.encode(), from_base64(lines[0].removeprefix("extra "), place))

    def __bytes__(self) -> bytes:
        hashes = "".join(to_base64(one) + "\n" for one in self.path)
        extra = to_base64(self.extra)
        return f"{PROOF_HEAD}\nextra {extra}\nindex {self.index}\n{hashes}\n".encode() + self.checkpoint


def check_proof(proof: Proof, policy: Policy, record: bytes | None, place: str) -> tuple[Checkpoint, dict[str, int], dict[str, Any]]:
    """Everything that a proof file says; returns its checkpoint, cosigners and the entry's fields. Raises Wrong, Unchecked."""
    _, checkpoint = policy.log_signed(proof.checkpoint, f"{place}: checkpoint")
    check_inclusion(proof.index, checkpoint.size, leaf_hash(proof.extra), proof.path, checkpoint.root, f"{place}: inclusion proof")
    try:
        entry = json.loads(proof.extra)
        where = f"{entry['topic']}/{entry['partition']} offset {entry['offset']}"
    except (ValueError, KeyError, TypeError):
        raise Wrong(f"{place}: entry", "it is in the log, but says of no record where it is") from None
    if record is not None and hashlib.sha256(record).hexdigest() != entry.get("sha256"):
        raise Wrong(f"{place}: record", f"its bytes are not those of {where}")
    checkpoint, cosigners = policy.cosigned(proof.checkpoint, f"{place}: checkpoint")
    return checkpoint, cosigners, entry
