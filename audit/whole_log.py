"""Check a whole log: every entry, every tile, the root, and that it has grown from what was seen of it before."""

import json
from collections.abc import Callable

from audit.findings import Wrong
from audit.notes import Checkpoint
from audit.tiles import TILE_HEIGHT, TILE_WIDTH, LogFiles, row_root, tile_path
from audit.tree import GrowingTree, leaf_hash


def check_log(
    files: LogFiles, checkpoint: Checkpoint, seen: list[tuple[str, Checkpoint]], each: Callable[[int, bytes], None] | None = None
) -> None:
    """Every entry, every tile and the root of a log, and that it has grown from the checkpoints that were seen of it. Raises Wrong, Unchecked.

    each: is given the index and bytes of every entry.
    """
    for place, one in seen:
        if one.origin != checkpoint.origin:
            raise Wrong(place, f"it is of {one.origin}, not of {checkpoint.origin}")
        if one.size > checkpoint.size:
            raise Wrong(
                "checkpoint", f"the log has {checkpoint.size} entries, but {one.size} were signed and seen ({place}): its end was cut off"
            )
    at_size = {one.size: (place, one) for place, one in seen}
    for place, one in (*seen, ("checkpoint", checkpoint)):
        other = at_size.get(one.size, (place, one))
        if other[1].root != one.root:
            raise Wrong(other[0], f"two signed checkpoints of {one.size} entries differ ({place}): the log has forked")
    tree = GrowingTree()
    rows: dict[int, list[bytes]] = {}
    _check_seen(tree, at_size)
    for number in range(-(-checkpoint.size // TILE_WIDTH)):
        entries = files.bundle(number, checkpoint.size)
        leaves = [leaf_hash(entry) for entry in entries]
        _check_tile(files, 0, number, leaves, checkpoint.size)
        for at, leaf in enumerate(leaves):
            if each is not None:
                each(tree.size, entries[at])
            tree.append(leaf)
            if tree.size in at_size:
                _check_seen(tree, at_size)
        level, full = 0, leaves
        while len(full) == TILE_WIDTH:  # its root is a hash of the tile above
            level += 1
            row = rows.setdefault(level, [])
            row.append(row_root(full))
            full = row[-(len(row) % TILE_WIDTH or TILE_WIDTH) :]
            if len(full) == TILE_WIDTH:
                _check_tile(files, level, len(row) // TILE_WIDTH - 1, full, checkpoint.size)
    for level, row in rows.items():
        if len(row) % TILE_WIDTH:
            _check_tile(files, level, len(row) // TILE_WIDTH, row[-(len(row) % TILE_WIDTH) :], checkpoint.size)
    if tree.root() != checkpoint.root:
        raise Wrong("checkpoint", f"its {checkpoint.size} entries have another root than the one that was signed")


def _check_tile(files: LogFiles, level: int, number: int, hashes: list[bytes], size: int) -> None:
    stored = files.tile(level, number, size)
    if stored != hashes:
        at = next(at for at, (one, other) in enumerate(zip(stored, hashes, strict=True)) if one != other)
        first = (number * TILE_WIDTH + at) << (TILE_HEIGHT * level)
        what = f"entry {first}" if level == 0 else f"the entries from {first} on"
        raise Wrong(tile_path(level, number, len(hashes)), f"its hash {at} is not that of {what}")


def _check_seen(tree: GrowingTree, at_size: dict[int, tuple[str, Checkpoint]]) -> None:
    if tree.size in at_size and tree.root() != at_size[tree.size][1].root:
        raise Wrong(at_size[tree.size][0], f"the first {tree.size} entries are not those that it was signed for: the log was rewritten")


class EntryOrder:
    """The entries of one log speak of one partition, record after record: an offset that is left out is a record that is left out."""

    def __init__(self) -> None:
        self.topic, self.partition, self.first_offset, self.next_offset = "", -1, 0, 0

    def __call__(self, index: int, entry: bytes) -> None:
        """The next entry. Raises Wrong."""
        place = f"entry {index}"
        try:
            fields = json.loads(entry)
            topic, partition, offset = fields["topic"], fields["partition"], int(fields["offset"])
        except (ValueError, KeyError, TypeError):
            raise Wrong(place, "it says of no record where it is") from None
        if index == 0:
            self.topic, self.partition, self.first_offset = topic, partition, offset
        elif (topic, partition, offset) != (self.topic, self.partition, self.next_offset):
            raise Wrong(
                place, f"it is of {topic}/{partition} offset {offset}, not of {self.topic}/{self.partition} offset {self.next_offset}"
            )
        self.next_offset = offset + 1
