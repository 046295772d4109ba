"""Snapshots as key/value pages: which records to write for a state, and the state that stored records hold. No I/O.

A state is a dictionary of numpy arrays. Each array is cut into pages; a snapshot writes the pages that changed, then one manifest that
names every page. A page has two slots and is always written to the slot that the writer's stored manifest does *not* name. So a crash
between the first page and the manifest leaves the previous snapshot complete. The manifest is one record: it exists or it does not.

The manifest has a digest of every page, and a code by which it is known as this shard's own (snapshot_codes). So whoever can write to the table
or to its changelog can take a snapshot away, but cannot have another state restored: neither bytes of his own nor a page of another shard, of
another array or of an older snapshot.

Changes are found by comparing with a copy, at the speed of memory, and copied. Only that has to happen between two inputs. Afterwards
pages are packed from the copy, and what was packed is digested, one by one on demand.

Two writers of one partition may overlap: a former owner, which does not know yet that it has lost the partition, and the present one. So
each has its own keys, and writes everything at its first snapshot: nothing depends on records that the other may still overwrite, or that
reached the disk but not the changelog. A reader uses the complete snapshot with the highest next_offset. What existed when a writer opened
is deleted once its own first snapshot is durable. It writes in advance (a claim) which keys it will use, so that they are found again if
it dies on the way.
"""

import ast
import hashlib
import math
import secrets
import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import zstandard

from schemas.errors import StaleData
from streams.host.page_copies import PAGE_BYTES, PageCopy
from streams.host.snapshot_codes import REPLAY, UNCODED, SnapshotCodes

Arrays = Mapping[str, np.ndarray[Any, np.dtype[Any]]]
Get = Callable[[bytes], bytes | None]

PAGE_DIGEST_BYTES: Final = 16
PACK_LEVEL: Final = 1
"""Of Zstandard: ~900 MB/s, and a fifth to a tenth of the bytes. Each would be copied by the client, the broker, the disk and whoever recovers."""
MANIFESTS: Final = 1_024
"""Places for manifests, all looked at when a partition is opened (~5 us each). A writer takes one that it sees to be free; a former owner that still
writes has the same one in 1 of 1,024 cases. Then its manifest may hide the present owner's until that writes its next one; a host that opens
just then notices that inputs are committed beyond what is there, and stops."""
_FIRST_FORMAT_KEY: Final = b"manifest"


@dataclass(frozen=True)
class Snapshot:
    """A state read back, with what its writer noted beside it. The arrays may not be written to: the next snapshot is compared with them."""

    arrays: dict[str, np.ndarray[Any, np.dtype[Any]]]
    meta: dict[str, Any]


def manifest_key(place: int) -> bytes:
    """The key of a manifest, or of the claim before it."""
    return f"manifest/{place}".encode()


_MANIFEST_KEYS: Final = tuple(manifest_key(place) for place in range(MANIFESTS))


def is_manifest(key: bytes) -> bool:
    """Whether a record is a manifest, or a claim."""
    return key.startswith(b"manifest")


def page_digest(packed: bytes) -> bytes:
    """Of a page as it is stored, so that nothing is unpacked before it is known.

    SHA-256, which processors have instructions for, cut to PAGE_DIGEST_BYTES: a forger has to meet a digest that is there already (2^128). Two
    pages of his own with one digest (2^64) are of no use to him: a page has times and ids that brokers and shards give.
    """
    return hashlib.sha256(packed).digest()[:PAGE_DIGEST_BYTES]


def _page_key(owner: str, array: str, page: int, slot: int) -> bytes:
    return f"page/{owner}/{array}/{page}/{slot}".encode()


class SnapshotStore:
    """Remembers what one writer has stored of one partition, so that each snapshot writes only what changed.

    owner: a name that no other writer of the partition ever has. codes: those of the partition's changelog.
    """

    def __init__(self, owner: str = "", codes: SnapshotCodes = UNCODED) -> None:
        self._codes = codes
        self._owner = owner or secrets.token_hex(8)
        self._place = zlib.crc32(self._owner.encode()) % MANIFESTS
        self._copies: dict[str, PageCopy] = {}
        self._claimed = False
        self._found: dict[int, dict[str, Any]] = {}  # manifests of others, by place
        self._strange: set[int] = set()  # places of manifests that nobody may believe
        self.refused: list[StaleData] = []
        """What `load` found and did not take: damaged, forged or of another format."""
        self._packer = zstandard.ZstdCompressor(level=PACK_LEVEL)

    def changes(self, arrays: Arrays, meta: Mapping[str, Any]) -> Iterator[tuple[bytes, bytes]]:
        """The records to write, in this order, manifest last; `arrays` may change as soon as this returns.

        The store counts them as written: a caller that cannot write them must stop. All of them must be consumed before the next call.
        """
        heads: dict[str, str] = {}
        changed: list[tuple[str, int]] = []
        for name, given in arrays.items():
            array = np.ascontiguousarray(given)
            heads[name] = repr(np.lib.format.header_data_from_array_1_0(array))
            changed += [(name, page) for page in self._copies.setdefault(name, PageCopy()).take(array)]
        return self._records(heads, changed, dict(meta))

    def _records(self, heads: dict[str, str], changed: list[tuple[str, int]], meta: dict[str, Any]) -> Iterator[tuple[bytes, bytes]]:
        if not self._claimed:
            self._claimed = True
            yield manifest_key(self._place), self._manifest(heads, None)
        for name, page in changed:
            copy = self._copies[name]
            packed = self._packer.compress(copy.page(page).data)
            copy.digests[page] = page_digest(packed)
            yield _page_key(self._owner, name, page, copy.slots[page]), packed
        yield manifest_key(self._place), self._manifest(heads, meta)

    def _manifest(self, heads: dict[str, str], meta: dict[str, Any] | None) -> bytes:
        copies = {name: self._copies[name] for name in heads}
        described = {
            name: {"head": heads[name], "slots": bytes(copy.slots), "digests": b"".join(copy.digests)} for name, copy in copies.items()
        }
        return self._codes.packed({"owner": self._owner, "arrays": described, "meta": meta})

    def load(self, get: Get) -> Snapshot | None:
        """Read the newest complete snapshot through `get`, None if there is none. The writer then replaces what was found, see `outdated`.

        A manifest that nothing proves to be the shard's own (forged, damaged, of another format) is passed over: it is in `refused`, and whoever
        writes one hides no true snapshot, and stops no shard that has none. What the shard then begins with is the log, if the group has
        committed nothing: else the caller must stop, and say what was refused.
        Raises StaleData if the shard's own snapshots are there and none is whole: the data directory and the changelog disagree, and somebody
        has to decide.
        """
        if get(_FIRST_FORMAT_KEY) is not None:
            self.refused.append(StaleData(f"snapshot format 1 is too old: {REPLAY}"))
        self._find(get)
        whole = [manifest for manifest in self._found.values() if manifest["meta"] is not None]
        torn: list[StaleData] = []
        for manifest in sorted(whole, key=_next_offset, reverse=True):
            try:
                self._copies = {name: _read(get, manifest, name) for name in manifest["arrays"]}
            except StaleData as error:
                torn.append(error)
                self.refused.append(error)
            else:
                arrays = {name: _array(self._copies[name], described["head"]) for name, described in manifest["arrays"].items()}
                return Snapshot(arrays, manifest["meta"])
        if torn:
            raise torn[0]
        return None

    def _find(self, get: Get) -> None:
        """Read all manifests, and choose a free place for one's own."""
        for place, key in enumerate(_MANIFEST_KEYS):
            packed = get(key)
            if packed is None:
                continue
            try:
                self._found[place] = self._codes.unpacked(packed)
            except StaleData as error:
                self._strange.add(place)
                self.refused.append(error)
        taken = self._found.keys() | self._strange
        while self._place in taken and len(taken) < MANIFESTS:
            self._place = (self._place + 1) % MANIFESTS

    def outdated(self, get: Get) -> Iterator[bytes]:
        """Keys to delete once a snapshot of this writer is durable: all that it found when it opened. Names them once."""
        found, self._found = self._found, {}
        strange, self._strange = self._strange, set()
        yield from (manifest_key(place) for place in strange if place != self._place)
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


def _read(get: Get, manifest: Mapping[str, Any], name: str) -> PageCopy:
    """The pages of one array, as a copy of which the reader has written nothing yet."""
    described = manifest["arrays"][name]
    copy, unpacker = PageCopy(), zstandard.ZstdDecompressor()
    copy.reserve(len(described["slots"]))
    digests = described["digests"]
    for page, slot in enumerate(described["slots"]):
        packed = get(_page_key(manifest["owner"], name, page, slot))
        if packed is None:
            raise StaleData(f"snapshot page {page} of {name} is missing: {REPLAY}")
        if page_digest(packed) != digests[page * PAGE_DIGEST_BYTES : (page + 1) * PAGE_DIGEST_BYTES]:
            raise StaleData(f"snapshot page {page} of {name} is damaged, or not the one that was written: {REPLAY}")
        copy.page(page)[:] = np.frombuffer(_unpacked(unpacker, packed, f"snapshot page {page} of {name}"), np.uint8)
    return copy


def _unpacked(unpacker: zstandard.ZstdDecompressor, packed: bytes, what: str) -> bytes:
    """PAGE_BYTES. Without keys anybody could have written a page and its manifest."""
    try:
        # the library takes as much memory as a frame's head says, whatever it is told
        is_page = zstandard.frame_content_size(packed) == PAGE_BYTES
        data = unpacker.decompress(packed, max_output_size=PAGE_BYTES) if is_page else b""
    except zstandard.ZstdError:
        data = b""
    if len(data) != PAGE_BYTES:
        raise StaleData(f"{what} is not a page: {REPLAY}")
    return data


def _array(copy: PageCopy, head: str) -> np.ndarray[Any, np.dtype[Any]]:
    described = ast.literal_eval(head)
    dtype, shape = np.lib.format.descr_to_dtype(described["descr"]), described["shape"]
    array = copy.head(math.prod(shape) * dtype.itemsize).view(dtype).reshape(shape)
    array.flags.writeable = False
    return array
