"""Entries of the cache as bytes: an answer of MySQL, and how far in the log the server was when it gave it.

    version (1 byte) | code (16) | JSON [place, place, read_ms, fresh_ms, ends_ms, value], of version 2 compressed by zstd

Other programs than ours may be able to write to Redis, and so may older and newer versions of ours. So each entry has a code (keyed BLAKE2b) over its
key and its content, with a secret that Redis does not know: one that is made up, changed, or moved to another key is refused. The shape of the rows
goes into the key, so processes of two versions never read each other's. An entry that is put back later is one with an old place, which its
reader sees.
"""

import hashlib
import hmac
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

import orjson
import zstandard

from sinks.cached.limits import ENTRY_BYTES_MAX, PACKED_FROM_BYTES, PLAIN_BYTES_MAX, SKEW_MS

PREFIX: Final = "outcry:cache:"
"""Of every key here, so that all can be found and removed."""
_PLAIN: Final = 1
_PACKED: Final = 2
_CODE_BYTES: Final = 16
_HEAD_BYTES: Final = 1 + _CODE_BYTES
_ID_BYTES: Final = 16


class Wrong(StrEnum):
    """Why an entry is refused; then it is as if it were not there."""

    CUT = "cut"
    VERSION = "version"
    FOREIGN = "foreign"
    """No process with our secret wrote it, here."""
    SHAPE = "shape"
    """Ours, and not what its kind says: a fault of ours."""
    OVER = "over"
    FUTURE = "future"


@dataclass(frozen=True, slots=True)
class Entry:
    """An answer as JSON has it. place: two numbers (sinks.cached.kinds); times: ms since 1970."""

    place: tuple[int, int]
    read_ms: int
    fresh_ms: int
    """Until then nobody reads it again."""
    ends_ms: int
    value: Any


class Entries:
    """Of all who have the same secret (sinks.cached.secret)."""

    def __init__(self, secret: bytes) -> None:
        self._key = secret

    def name(self, kind: str, question: bytes) -> str:
        """The key of an entry. The question is in it as a keyed digest: who reads Redis does not learn who asked for what."""
        return f"{PREFIX}{kind}:{hashlib.blake2b(question, digest_size=_ID_BYTES, key=self._key).hexdigest()}"

    def seal(self, name: str, entry: Entry) -> bytes | None:
        """The bytes; None for an entry that is too large to be kept."""
        body = orjson.dumps([*entry.place, entry.read_ms, entry.fresh_ms, entry.ends_ms, entry.value])
        version = _PLAIN
        if len(body) > PACKED_FROM_BYTES:
            version, body = _PACKED, zstandard.ZstdCompressor(level=1).compress(body)
        if len(body) > ENTRY_BYTES_MAX:
            return None
        return bytes([version]) + self._code(name, version, body) + body

    def open(self, name: str, raw: bytes, now_ms: int) -> Entry | Wrong:
        """What was sealed under this name."""
        if len(raw) <= _HEAD_BYTES:
            return Wrong.CUT
        version, code, body = raw[0], raw[1:_HEAD_BYTES], raw[_HEAD_BYTES:]
        if version not in (_PLAIN, _PACKED):
            return Wrong.VERSION
        if not hmac.compare_digest(code, self._code(name, version, body)):
            return Wrong.FOREIGN
        entry = _read(body, packed=version == _PACKED)
        if entry is None:
            return Wrong.SHAPE
        if entry.ends_ms <= now_ms:
            return Wrong.OVER
        return Wrong.FUTURE if entry.read_ms > now_ms + SKEW_MS else entry

    def _code(self, name: str, version: int, body: bytes) -> bytes:
        digest = hashlib.blake2b(digest_size=_CODE_BYTES, key=self._key, person=b"entry")
        # the name has no such byte: no name and content make the bytes of another pair
        for part in (name.encode(), b"\0", bytes([version]), body):
            digest.update(part)
        return digest.digest()


def _read(body: bytes, *, packed: bool) -> Entry | None:
    try:
        # what is in its head counts, whatever the library is told
        if packed and zstandard.frame_content_size(body) > PLAIN_BYTES_MAX:
            return None
        plain = zstandard.ZstdDecompressor().decompress(body, max_output_size=PLAIN_BYTES_MAX) if packed else body
        one, other, *times, value = orjson.loads(plain)
        read_ms, fresh_ms, ends_ms = times
    except (ValueError, TypeError, zstandard.ZstdError):  # orjson's error is a ValueError
        return None
    if not all(type(number) is int for number in (one, other, *times)):
        return None
    return Entry((one, other), read_ms, fresh_ms, ends_ms, value)
