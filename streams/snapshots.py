"""Snapshots as key/value pages: which records to write for a state, and the state that stored records hold. No I/O.

A state is a dictionary of numpy arrays. Each array is cut into pages; a snapshot writes the pages that changed, then one manifest that
names every page. A page has two slots and is always written to the slot that the writer's stored manifest does *not* name, so a crash
between the first page and the manifest leaves the snapshot before it whole. The manifest is one record, hence there or not there.

Two writers of one partition may overlap: the owner of before, which does not know yet that it is no more, and the present one. So each has
keys of its own, and writes everything at its first snapshot: nothing of it rests on records that the other may still overwrite, or that
reached the disk and not the changelog. A reader takes the whole snapshot with the highest next_offset. What was there when a writer
opened is deleted once its own first snapshot is durable; it says in advance (a claim) which keys it will use, so that they are found
again if it dies on the way.
"""

import ast
import secrets
import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

import msgpack
import numpy as np

from schemas.errors import StaleData

Arrays = Mapping[str, np.ndarray[Any, np.dtype[Any]]]
Get = Callable[[bytes], bytes | None]

FORMAT_VERSION: Final = 2
PAGE_BYTES: Final = 64 << 10
"""Large enough that Faust recovers few records (it reads < 5,000/s), small enough that one changed order does not write megabytes."""
MANIFESTS: Final = 1_024
"""Places for manifests, all looked at when a partition is opened (~5 us each). A writer takes one that it sees to be free; a former owner that still
writes has the same one in 1 of 1,024 cases. Then its manifest may hide the present owner's until that writes its next one; a host that opens
just then notices that inputs are committed beyond what is there, and stops."""
_FIRST_FORMAT_KEY: Final = b"manifest"


@dataclass(frozen=True)
class Snapshot:
    """A state read back, with what its writer noted beside it."""

    arrays: dict[str, np.ndarray[Any, np.dtype[Any]]]
    meta: dict[str, Any]


def manifest_key(place: int) -> bytes:
    """Where a manifest (or the claim before it) is stored."""
    return f"manifest/{place}".encode()


_MANIFEST_KEYS: Final = tuple(manifest_key(place) for place in range(MANIFESTS))


def is_manifest(key: bytes) -> bool:
    """Whether a record is a manifest, or a claim."""
    return key.startswith(b"manifest")


def _page_key(owner: str, array: str, page: int, slot: int) -> bytes:
    return f"page/{owner}/{array}/{page}/{slot}".encode()


class SnapshotStore:
    """Remembers what one writer has stored of one partition, so that each snapshot writes what changed and no more.

    owner: a name that no other writer of the partition has, whenever it lives.
    """

    def __init__(self, owner: str = "") -> None:
        self._owner = owner or secrets.token_hex(8)
        self._place = zlib.crc32(self._owner.encode()) % MANIFESTS
        self._pages: dict[str, list[bytes]] = {}  # the stored bytes; comparing them is exact, a checksum would not be
        self._slots: dict[str, list[int]] = {}
        self._sums: dict[str, list[int]] = {}
        self._found: dict[int, dict[str, Any]] = {}  # manifests of others, by place

    def changes(self, arrays: Arrays, meta: Mapping[str, Any]) -> list[tuple[bytes, bytes]]:
        """The records to write, in this order, manifest last. The store counts them as written: a caller that cannot must stop."""
        records: list[tuple[bytes, bytes]] = []
        described = {}
        first = not self._pages
        for name, array in arrays.items():
            records += self._changed_pages(name, np.ascontiguousarray(array))
            head = repr(np.lib.format.header_data_from_array_1_0(np.ascontiguousarray(array)))
            described[name] = {"head": head, "slots": bytes(self._slots[name]), "sums": self._sums[name]}
        manifest = {"format": FORMAT_VERSION, "owner": self._owner, "arrays": described, "meta": dict(meta)}
        records.append((manifest_key(self._place), msgpack.packb(manifest)))
        if first:
            records.insert(0, (manifest_key(self._place), msgpack.packb(manifest | {"meta": None})))
        return records

    def _changed_pages(self, name: str, array: np.ndarray[Any, np.dtype[Any]]) -> list[tuple[bytes, bytes]]:
        data = array.view(np.uint8).reshape(-1).data if array.size else memoryview(b"")
        pages, slots, sums = self._pages.setdefault(name, []), self._slots.setdefault(name, []), self._sums.setdefault(name, [])
        count = -(-len(data) // PAGE_BYTES)
        del pages[count:], slots[count:], sums[count:]
        records = []
        for page in range(count):
            stored = bytes(data[page * PAGE_BYTES : (page + 1) * PAGE_BYTES])
            if page == len(pages):
                pages.append(stored)
                slots.append(0)
                sums.append(zlib.crc32(stored))
            elif pages[page] != stored:
                slots[page] ^= 1
                pages[page], sums[page] = stored, zlib.crc32(stored)
            else:
                continue
            records.append((_page_key(self._owner, name, page, slots[page]), stored))
        return records

    def load(self, get: Get) -> Snapshot | None:
        """Read the newest whole snapshot through `get`, None if there is none. What it finds is the writer's to replace, see `outdated`.

        Raises StaleData when there are snapshots, and each was written by another version or misses a page or has one that is damaged: then
        the data directory and the changelog disagree, and a person has to decide.
        """
        if get(_FIRST_FORMAT_KEY) is not None:
            raise StaleData(f"snapshot format 1 is not {FORMAT_VERSION}: replay from the log with an empty table")
        packed = [get(key) for key in _MANIFEST_KEYS]
        self._found = {place: msgpack.unpackb(one) for place, one in enumerate(packed) if one is not None}
        for manifest in self._found.values():
            if manifest["format"] != FORMAT_VERSION:
                raise StaleData(f"snapshot format {manifest['format']} is not {FORMAT_VERSION}: replay from the log with an empty table")
        while self._place in self._found and len(self._found) < MANIFESTS:
            self._place = (self._place + 1) % MANIFESTS
        whole = [manifest for manifest in self._found.values() if manifest["meta"] is not None]
        problem: StaleData | None = None
        for manifest in sorted(whole, key=_next_offset, reverse=True):
            try:
                return Snapshot(_arrays(get, manifest), manifest["meta"])
            except StaleData as error:
                problem = problem or error
        if problem is not None:
            raise problem
        return None

    def outdated(self, get: Get) -> Iterator[bytes]:
        """Keys to delete once a snapshot of this writer is durable: all that it found when it opened. Names them once."""
        found, self._found = self._found, {}
        for place, manifest in found.items():
            for name, described in manifest["arrays"].items():
                for page in range(len(described["slots"])):
                    for key in (_page_key(manifest["owner"], name, page, slot) for slot in (0, 1)):
                        if get(key) is not None:
                            yield key
            if place != self._place:
                yield manifest_key(place)


def _next_offset(manifest: Mapping[str, Any]) -> int:
    return int(manifest["meta"].get("next_offset", 0))


def _arrays(get: Get, manifest: Mapping[str, Any]) -> dict[str, np.ndarray[Any, np.dtype[Any]]]:
    arrays = {}
    for name, described in manifest["arrays"].items():
        named = enumerate(zip(described["slots"], described["sums"], strict=True))
        pages = [_checked_page(get, manifest["owner"], name, page, slot, checksum) for page, (slot, checksum) in named]
        head = ast.literal_eval(described["head"])
        flat = np.frombuffer(b"".join(pages), np.lib.format.descr_to_dtype(head["descr"]))
        arrays[name] = flat.reshape(head["shape"]).copy()
    return arrays


def _checked_page(get: Get, owner: str, name: str, page: int, slot: int, checksum: int) -> bytes:
    data = get(_page_key(owner, name, page, slot))
    if data is None or zlib.crc32(data) != checksum:
        raise StaleData(f"snapshot page {page} of {name} is {'missing' if data is None else 'damaged'}")
    return data
