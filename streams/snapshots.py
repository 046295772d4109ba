"""Snapshots as key/value pages: which records to write for a state, and the state that stored records hold. No I/O.

A state is a dictionary of numpy arrays. Each array is cut into pages; a snapshot writes the pages that changed, then one manifest that
names every page. A page has two slots and is always written to the slot that the newest stored manifest does *not* name, so a crash
between the first page and the manifest leaves the snapshot before it whole. The manifest is one record, hence there or not there.
"""

import ast
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import msgpack
import numpy as np

from schemas.errors import StaleData

Arrays = Mapping[str, np.ndarray[Any, np.dtype[Any]]]

FORMAT_VERSION: Final = 1
PAGE_BYTES: Final = 64 << 10
"""Large enough that Faust recovers few records (it reads < 5,000/s), small enough that one changed order does not write megabytes."""
MANIFEST_KEY: Final = b"manifest"


@dataclass(frozen=True)
class Snapshot:
    """A state read back, with what its writer noted beside it."""

    arrays: dict[str, np.ndarray[Any, np.dtype[Any]]]
    meta: dict[str, Any]


def _page_key(array: str, page: int, slot: int) -> bytes:
    return f"page/{array}/{page}/{slot}".encode()


class SnapshotStore:
    """Remembers what is stored for one partition, so that each snapshot writes what changed and no more."""

    def __init__(self) -> None:
        self._pages: dict[str, list[bytes]] = {}  # the stored bytes; comparing them is exact, a checksum would not be
        self._slots: dict[str, list[int]] = {}
        self._sums: dict[str, list[int]] = {}

    def changes(self, arrays: Arrays, meta: Mapping[str, Any]) -> list[tuple[bytes, bytes]]:
        """The records to write, in this order, manifest last. The store counts them as written: a caller that cannot must stop."""
        records: list[tuple[bytes, bytes]] = []
        described = {}
        for name, array in arrays.items():
            records += self._changed_pages(name, np.ascontiguousarray(array))
            head = repr(np.lib.format.header_data_from_array_1_0(np.ascontiguousarray(array)))
            described[name] = {"head": head, "slots": bytes(self._slots[name]), "sums": self._sums[name]}
        manifest = {"format": FORMAT_VERSION, "arrays": described, "meta": dict(meta)}
        records.append((MANIFEST_KEY, msgpack.packb(manifest)))
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
            records.append((_page_key(name, page, slots[page]), stored))
        return records

    def load(self, get: Callable[[bytes], bytes | None]) -> Snapshot | None:
        """Read the stored snapshot through `get`, None if there is none.

        Raises StaleData when it was written by another version or a page is missing or damaged: then the data directory and the
        changelog disagree, and a person has to decide.
        """
        packed = get(MANIFEST_KEY)
        if packed is None:
            return None
        manifest = msgpack.unpackb(packed)
        if manifest["format"] != FORMAT_VERSION:
            raise StaleData(f"snapshot format {manifest['format']} is not {FORMAT_VERSION}: replay from the log with an empty table")
        arrays = {}
        for name, described in manifest["arrays"].items():
            slots, sums = list(described["slots"]), list(described["sums"])
            pages = [self._checked_page(get, name, page, slots[page], sums[page]) for page in range(len(slots))]
            self._pages[name], self._slots[name], self._sums[name] = pages, slots, sums
            head = ast.literal_eval(described["head"])
            flat = np.frombuffer(b"".join(pages), np.lib.format.descr_to_dtype(head["descr"]))
            arrays[name] = flat.reshape(head["shape"]).copy()
        return Snapshot(arrays, manifest["meta"])

    @staticmethod
    def _checked_page(get: Callable[[bytes], bytes | None], name: str, page: int, slot: int, checksum: int) -> bytes:
        data = get(_page_key(name, page, slot))
        if data is None or zlib.crc32(data) != checksum:
            raise StaleData(f"snapshot page {page} of {name} is {'missing' if data is None else 'damaged'}")
        return data
