"""The codes of snapshots: who has written this state of this shard, as topics.record_codes proves it of a record. No I/O.

A table's content lies on disks and in a changelog, which others may reach too. So a manifest carries its code in itself, and by the digests that it
lists the code stands for every page:

    16 bytes digest of what follows | 1 byte format | 1 byte length of the code, 0 for none | code | the manifest, msgpack

The code is one of the role's own keys, under changelog topic and partition: another role's, another replica's or another shard's snapshot proves nothing
here. What it cannot tell is age: a snapshot that was true once stays true. It only costs the replay of the inputs behind it.
"""

import hashlib
from typing import Any, Final

import msgpack

from schemas.errors import StaleData
from topics.key_files import NO_KEYS, RecordKeys
from topics.record_codes import code_of

FORMAT_VERSION: Final = 4
DIGEST_BYTES: Final = 16
REPLAY: Final = "let the role replay the log (docs/recovery.md)"
_MAP_OF_FORMAT_3: Final = 0x84
"""The first byte of a manifest that has no format before it."""


class NotBelieved(StaleData):
    """A snapshot that nobody has proven to be the role's."""


class SnapshotCodes:
    """Makes and checks the codes of one partition of a changelog. Without keys it makes none and asks for none."""

    def __init__(self, keys: RecordKeys, role: str, topic: str, partition: int) -> None:
        """role: whose keys count. topic: its changelog."""
        self._keys, self._role, self._topic, self._partition = keys, role, topic, partition
        self._sign = keys.signer(role)

    def packed(self, manifest: dict[str, Any]) -> bytes:
        """A manifest with its code, made with the role's newest key."""
        content: bytes = msgpack.packb(manifest)
        code = code_of(self._sign(self._topic, self._partition, content)) or b""
        body = bytes([FORMAT_VERSION, len(code)]) + code + content
        return _digest(body) + body

    def unpacked(self, value: bytes) -> dict[str, Any]:
        """A manifest, or a claim, whose `meta` is None. Raises StaleData for one that is damaged or of another format, NotBelieved for one of another writer."""
        code, content = _parts(value)
        try:
            manifest: dict[str, Any] = msgpack.unpackb(content)
            _owner, _arrays, meta = (manifest[name] for name in ("owner", "arrays", "meta"))
            last_ns = int((meta or {}).get("last_ns", 0))
        except (ValueError, TypeError, KeyError, AttributeError, msgpack.UnpackException) as error:
            raise StaleData(f"a snapshot's manifest cannot be read ({type(error).__name__}): {REPLAY}") from None
        refusal = self._keys.ring.state_refusal(self._role, self._topic, self._partition, content, code, last_ns)
        if refusal is not None:
            raise NotBelieved(
                f"a snapshot of {self._topic}/{self._partition} is not believed: {refusal.detail}. Somebody has forged it, or the folder of keys lacks "
                f"some of the role's: put those back, or {REPLAY}"
            )
        return manifest


def _parts(value: bytes) -> tuple[bytes, bytes]:
    """Code and content."""
    digest, body = value[:DIGEST_BYTES], value[DIGEST_BYTES:]
    if len(body) < 2 or _digest(body) != digest:
        raise StaleData(f"a snapshot's manifest is damaged: {REPLAY}")
    if body[0] != FORMAT_VERSION:
        found = "3 or older" if body[0] == _MAP_OF_FORMAT_3 else body[0]
        raise StaleData(f"snapshot format {found} is not {FORMAT_VERSION}: {REPLAY}")
    return body[2 : 2 + body[1]], body[2 + body[1] :]


def _digest(body: bytes) -> bytes:
    return hashlib.blake2b(body, digest_size=DIGEST_BYTES).digest()


UNCODED: Final = SnapshotCodes(NO_KEYS, "", "", 0)
"""Of an exchange without keys."""
