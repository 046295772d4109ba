"""Merkle trees: hashes, proofs and their checks. No I/O.

Source: RFC 9162 section 2.1 (the same trees as RFC 6962). A tree is read node by node: the node (height, number) is the hash over the
entries from number << height to before (number + 1) << height.
"""

import hashlib
from collections.abc import Callable
from typing import Final

from audit.findings import Wrong

HASH_BYTES: Final = 32
ReadNode = Callable[[int, int], bytes]
"""read(height, number): the hash of a full subtree."""


def leaf_hash(entry: bytes) -> bytes:
    """Hash of an entry."""
    return hashlib.sha256(b"\x00" + entry).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """Hash of two neighbours."""
    return hashlib.sha256(b"\x01" + left + right).digest()


EMPTY_ROOT: Final = hashlib.sha256().digest()


def require_hashes(place: str, *hashes: bytes) -> None:
    """Raises Wrong for what is not as long as a hash."""
    if any(len(one) != HASH_BYTES for one in hashes):
        raise Wrong(place, f"a hash has {HASH_BYTES} bytes")


def check_inclusion(index: int, size: int, leaf: bytes, path: list[bytes], root: bytes, place: str = "inclusion proof") -> None:
    """RFC 9162, 2.1.3.2: `leaf` is the hash of entry `index` of the tree of `size` entries with `root`. Raises Wrong."""
    if not 0 <= index < size:
        raise Wrong(place, f"a tree of {size} entries has no entry {index}")
    require_hashes(place, leaf, root, *path)
    node, last, found = index, size - 1, leaf
    for sibling in path:
        if last == 0:
            raise Wrong(place, "it has more hashes than the tree has levels")
        if node & 1 or node == last:
            found = node_hash(sibling, found)
            while node and not node & 1:
                node, last = node >> 1, last >> 1
        else:
            found = node_hash(found, sibling)
        node, last = node >> 1, last >> 1
    if last:
        raise Wrong(place, "it has fewer hashes than the tree has levels")
    if found != root:
        raise Wrong(place, f"entry {index} does not lead to the root of the {size} entries")


def check_consistency(old: int, new: int, old_root: bytes, new_root: bytes, proof: list[bytes], place: str = "consistency proof") -> None:
    """RFC 9162, 2.1.4.2: the tree of `new` entries begins with the tree of `old` entries. Raises Wrong; also for old = 0, of which nothing follows."""
    if not 0 < old <= new:
        raise Wrong(place, f"from {old} to {new} entries nothing can be proven")
    if old == new:
        if proof or old_root != new_root:
            raise Wrong(place, f"two trees of {old} entries differ" if not proof else "one size needs no hashes")
        return
    require_hashes(place, old_root, new_root, *proof)
    path = proof if old & (old - 1) else [old_root, *proof]
    node, last = old - 1, new - 1
    while node & 1:
        node, last = node >> 1, last >> 1
    if not path:
        raise Wrong(place, "it is empty")
    before = after = path[0]
    for sibling in path[1:]:
        if last == 0:
            raise Wrong(place, "it has more hashes than the tree has levels")
        if node & 1 or node == last:
            before, after = node_hash(sibling, before), node_hash(sibling, after)
            while node and not node & 1:
                node, last = node >> 1, last >> 1
        else:
            after = node_hash(after, sibling)
        node, last = node >> 1, last >> 1
    if last:
        raise Wrong(place, "it has fewer hashes than the tree has levels")
    if before != old_root:
        raise Wrong(place, f"it does not lead to the root of the {old} entries")
    if after != new_root:
        raise Wrong(place, f"it does not lead to the root of the {new} entries")


def root_of(read: ReadNode, start: int, end: int) -> bytes:
    """RFC 9162, 2.1.1: the hash over the entries from `start` to before `end`; `start` is a multiple of the largest power of two below the count."""
    count = end - start
    if count == 0:
        return EMPTY_ROOT
    if count & (count - 1) == 0:
        height = count.bit_length() - 1
        return read(height, start >> height)
    split = 1 << ((count - 1).bit_length() - 1)
    return node_hash(root_of(read, start, start + split), root_of(read, start + split, end))


def inclusion_path(read: ReadNode, index: int, size: int) -> list[bytes]:
    """RFC 9162, 2.1.3.1: what check_inclusion takes, from the leaf's sibling upwards."""
    path: list[bytes] = []
    start, end = 0, size
    while end - start > 1:
        split = start + (1 << ((end - start - 1).bit_length() - 1))
        if index < split:
            path.append(root_of(read, split, end))
            end = split
        else:
            path.append(root_of(read, start, split))
            start = split
    return path[::-1]


def consistency_path(read: ReadNode, old: int, new: int) -> list[bytes]:
    """RFC 9162, 2.1.4.1: what check_consistency takes; empty for old = 0 and old = new."""
    path: list[bytes] = []
    start, end, whole = 0, new, True
    if not 0 < old < new:
        return path
    while old != end:
        split = start + (1 << ((end - start - 1).bit_length() - 1))
        if old <= split:
            path.append(root_of(read, split, end))
            end = split
        else:
            path.append(root_of(read, start, split))
            start, whole = split, False
    return ([] if whole else [root_of(read, start, end)]) + path[::-1]


class GrowingTree:
    """The right edge of a tree: enough to append to it and to know its root. At most one hash for each bit of its size."""

    def __init__(self, size: int = 0, edge: list[bytes] | None = None) -> None:
        """edge: the roots of the full subtrees, the largest first."""
        self.size, self.edge = size, list(edge or [])
        assert len(self.edge) == size.bit_count(), "a subtree for each bit"

    def append(self, leaf: bytes) -> None:
        """Add the hash of an entry."""
        size = self.size
        while size & 1:
            leaf = node_hash(self.edge.pop(), leaf)
            size >>= 1
        self.edge.append(leaf)
        self.size += 1

    def root(self) -> bytes:
        """Of all that was appended."""
        if not self.edge:
            return EMPTY_ROOT
        found = self.edge[-1]
        for left in reversed(self.edge[:-1]):
            found = node_hash(left, found)
        return found
