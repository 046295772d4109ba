"""Signed notes, their keys, checkpoints and cosignatures. No I/O.

Sources: https://c2sp.org/signed-note, https://c2sp.org/tlog-checkpoint, https://c2sp.org/tlog-cosignature (Ed25519).
"""

import base64
import binascii
import hashlib
from dataclasses import dataclass
from typing import Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from audit.findings import Wrong
from audit.tree import EMPTY_ROOT, HASH_BYTES, require_hashes

SIZE_MAX: Final = 2**62
NOTE_BYTES_MAX: Final = 65_536
SIGNATURES_MAX: Final = 32
ED25519: Final = 0x01
"""A key that signs checkpoints."""
COSIGNATURE: Final = 0x04
"""A key that cosigns them."""


def to_base64(data: bytes) -> str:
    """RFC 4648, section 4."""
    return base64.b64encode(data).decode()


def from_base64(text: str, place: str) -> bytes:
    """Only what to_base64 gives. Raises Wrong."""
    try:
        found = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        found = b""
    if to_base64(found) != text:
        raise Wrong(place, "it is not base64")
    return found


def decimal(text: str, place: str) -> int:
    """Only what str() of a number gives. Raises Wrong."""
    if not (text.isascii() and text.isdigit() and (text == "0" or text[0] != "0") and len(text) < 20 and int(text) <= SIZE_MAX):
        raise Wrong(place, f"{text[:40]!r} is not a decimal number without leading zeros")
    return int(text)


def is_name(name: str) -> bool:
    """Whether a key may be called so."""
    return bool(name) and "+" not in name and not any(one.isspace() or ord(one) < 0x20 for one in name)


@dataclass(frozen=True)
class PublicKey:
    """A vkey: `name+hex+base64`. kind: ED25519 signs checkpoints, COSIGNATURE cosigns them."""

    name: str
    kind: int
    public: bytes

    @classmethod
    def parse(cls, text: str, place: str = "vkey") -> "PublicKey":
        """The key in the text. Raises Wrong."""
        name, _, rest = text.partition("+")
        key_id, _, material = rest.partition("+")
        raw = from_base64(material, place)
        if not is_name(name) or len(raw) != 1 + HASH_BYTES or raw[0] not in (ED25519, COSIGNATURE):
            raise Wrong(place, f"{text[:80]!r} is not a vkey (name+hex+base64) of Ed25519")
        key = cls(name, raw[0], raw[1:])
        if key.key_id.hex() != key_id:
            raise Wrong(place, f"its id is {key.key_id.hex()}, it says {key_id[:20]}")
        return key

    @property
    def key_id(self) -> bytes:
        """Four bytes that name the key on its signatures."""
        return hashlib.sha256(self.name.encode() + b"\n" + bytes([self.kind]) + self.public).digest()[:4]

    def __str__(self) -> str:
        return f"{self.name}+{self.key_id.hex()}+{to_base64(bytes([self.kind]) + self.public)}"

    def verify(self, text: bytes, signature: bytes, place: str) -> int:
        """Returns the time (s) of a cosignature, 0 of another signature. Raises Wrong."""
        time_s = 0
        if self.kind == COSIGNATURE:
            time_s = int.from_bytes(signature[:8], "big")
            text, signature = cosigned_text(time_s, text), signature[8:]
        try:
            Ed25519PublicKey.from_public_bytes(self.public).verify(signature, text)
        except (InvalidSignature, ValueError):
            raise Wrong(place, f"the signature of {self.name} is not of this text") from None
        return time_s


def cosigned_text(time_s: int, text: bytes) -> bytes:
    """What a witness signs."""
    return f"cosignature/v1\ntime {time_s}\n".encode() + text


@dataclass(frozen=True)
class Signature:
    """One line under a note; `signature` is what follows the key id."""

    name: str
    key_id: bytes
    signature: bytes

    def __str__(self) -> str:
        return f"\u2014 {self.name} {to_base64(self.key_id + self.signature)}\n"


def parse_signature(line: str, place: str) -> Signature:
    """A signature line without its newline. Raises Wrong."""
    parts = line.split(" ")
    if len(parts) != 3 or parts[0] != "\u2014" or not is_name(parts[1]):
        raise Wrong(place, f"{line[:60]!r} is not a signature line")
    raw = from_base64(parts[2], place)
    if len(raw) <= 4:
        raise Wrong(place, "a signature is too short")
    return Signature(parts[1], raw[:4], raw[4:])


@dataclass(frozen=True)
class Note:
    """A signed note. `text` ends with a newline."""

    text: bytes
    signatures: tuple[Signature, ...]

    @classmethod
    def parse(cls, data: bytes, place: str = "note") -> "Note":
        """Raises Wrong."""
        try:
            note = data.decode()
        except UnicodeDecodeError:
            raise Wrong(place, "it is not UTF-8") from None
        text, blank, signatures = note.rpartition("\n\n")
        if len(data) > NOTE_BYTES_MAX or not blank or not signatures.endswith("\n") or any(ord(one) < 0x20 and one != "\n" for one in note):
            raise Wrong(place, "it is not a signed note: text, an empty line, signatures")
        lines = signatures[:-1].split("\n")
        if len(lines) > SIGNATURES_MAX:
            raise Wrong(place, f"it has more than {SIGNATURES_MAX} signatures")
        return cls((text + "\n").encode(), tuple(parse_signature(line, place) for line in lines))

    def __bytes__(self) -> bytes:
        return self.text + b"\n" + "".join(map(str, self.signatures)).encode()

    def signed_by(self, keys: list[PublicKey], place: str) -> dict[PublicKey, int]:
        """Which of the keys signed it, and when (0: not said). Raises Wrong where one of them seems to have and has not."""
        by_id = {(key.name, key.key_id): key for key in keys}
        found = {}
        for one in self.signatures:
            key = by_id.get((one.name, one.key_id))
            if key is not None:
                found[key] = key.verify(self.text, one.signature, place)
        return found


@dataclass(frozen=True)
class Checkpoint:
    """The head of a log: its first `size` entries have this root."""

    origin: str
    size: int
    root: bytes

    @classmethod
    def parse(cls, text: bytes, place: str = "checkpoint") -> "Checkpoint":
        """Of the text of a note. Raises Wrong. Extension lines, which none of our logs has, are refused."""
        lines = text.decode().split("\n")
        if len(lines) != 4 or lines[3] or not lines[0]:
            raise Wrong(place, "it is not three lines: origin, size, root")
        root = from_base64(lines[2], place)
        require_hashes(place, root)
        size = decimal(lines[1], place)
        if size == 0 and root != EMPTY_ROOT:
            raise Wrong(place, "an empty tree has another root")
        return cls(lines[0], size, root)

    def __bytes__(self) -> bytes:
        return f"{self.origin}\n{self.size}\n{to_base64(self.root)}\n".encode()
