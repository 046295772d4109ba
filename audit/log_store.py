"""One log on disk: entries are appended, then committed together with a signed checkpoint.

    FOLDER/tile/...             tiles and bundles, as of https://c2sp.org/tlog-tiles; written before any checkpoint needs them
    FOLDER/state.json           the newest signed checkpoint, and which record comes next; replaced in one step: this is the commit
    FOLDER/checkpoint           the same checkpoint for everybody, with the cosignatures that came in time
    FOLDER/checkpoint.cosigned  the newest checkpoint that enough witnesses have cosigned

Whatever is behind the state's size belongs to a commit that never was: it is made again from the log. So wherever a process is killed, no two
checkpoints of one size differ. A restart reads the right edge of the tree from its tiles and does not go on from one that is not as signed.
"""

import json
import threading
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from audit.disk import Disk
from audit.findings import Unchecked, Wrong
from audit.keys import ExchangeKeys
from audit.notes import Checkpoint, Note
from audit.tiles import ENTRY_BYTES_MAX, TILE_HEIGHT, TILE_WIDTH, LogFiles, bundle_of, row_root, tile_path
from audit.tree import GrowingTree, leaf_hash
from schemas.errors import StaleData

STATE: Final = "state.json"
CHECKPOINT: Final = "checkpoint"
COSIGNED: Final = "checkpoint.cosigned"
_FORMAT: Final = 1


@dataclass(frozen=True)
class Position:
    """How far a log has come in its partition: the record that comes next, and what the one before it was (its time, the digest of its value)."""

    next_offset: int
    last_ms: int = 0
    last_sha256: str = ""


class LogStore:
    """See the head of this module. `append` and `commit` belong to one thread, `publish_cosigned` may come from another."""

    def __init__(self, folder: Path, origin: str, keys: ExchangeKeys, start: Position, disk: Disk | None = None) -> None:
        """Opens the log, or makes an empty one that begins at `start`. Raises StaleData where the folder is not as it was left."""
        self.folder, self.origin = folder, origin
        self._keys, self._disk = keys, disk or Disk()
        self._publishing = threading.Lock()
        self._bundle: list[bytes] = []
        self._rows: dict[int, list[bytes]] = {0: []}
        """By level, the hashes of its partial tile."""
        self._full: list[tuple[str, bytes]] = []
        self._done: list[str] = []
        """Folders of partial tiles that full ones have taken the place of."""
        self.tree = GrowingTree()
        state = self._read_state()
        if state is None:
            self.position = start
            self.note = keys.sign(Checkpoint(origin, 0, self.tree.root()))
            self._committed = 0
            self._store_state(self.position, self.note)
        else:
            self.position, self.note = state
            self._committed = Checkpoint.parse(self.note.text).size
            self._restore()
        self._publish_own()

    @property
    def committed(self) -> Checkpoint:
        """The newest checkpoint."""
        return Checkpoint.parse(self.note.text)

    @property
    def waiting(self) -> int:
        """Entries that were appended and not committed yet."""
        return self.tree.size - self._committed

    def append(self, entry: bytes) -> None:
        """Add an entry, in memory. It is part of the log once it was committed."""
        assert len(entry) <= ENTRY_BYTES_MAX, "an entry has its length before it in 16 bits"
        leaf = leaf_hash(entry)
        self.tree.append(leaf)
        self._bundle.append(entry)
        self._rows[0].append(leaf)
        if len(self._bundle) == TILE_WIDTH:
            self._finish("entries", 0, bundle_of(self._bundle))
            self._bundle = []
        level = 0
        while len(row := self._rows[level]) == TILE_WIDTH:
            self._finish(level, level, b"".join(row))
            self._rows[level] = []
            level += 1
            self._rows.setdefault(level, []).append(row_root(row))

    def _finish(self, name: int | str, level: int, data: bytes) -> None:
        number = (self.tree.size >> (TILE_HEIGHT * (level + 1))) - 1
        path = tile_path(name, number)
        self._full.append((path, data))
        self._done.append(f"{path}.p")

    def commit(self, position: Position) -> Checkpoint:
        """Make what was appended part of the log, for good, and sign it. Raises OSError: then nothing has changed, and it may be tried again."""
        checkpoint = Checkpoint(self.origin, self.tree.size, self.tree.root())
        note = self._keys.sign(checkpoint)
        for path, data in (*self._full, *self._partial()):
            self._disk.write(self.folder / path, data)
        self._store_state(position, note)
        self.position, self.note = position, note
        self._committed = checkpoint.size
        self._full, done = [], self._done
        self._done = []
        self._publish_own()
        for path in done:
            self._disk.remove(self.folder / path)
        return checkpoint

    def _partial(self) -> list[tuple[str, bytes]]:
        """The partial tiles that this size needs and the last one did not have."""
        found, size = [], self.tree.size
        if self._bundle and size > self._committed:
            found.append((tile_path("entries", size // TILE_WIDTH, len(self._bundle)), bundle_of(self._bundle)))
        for level, row in self._rows.items():
            count = size >> (TILE_HEIGHT * level)
            if row and count > self._committed >> (TILE_HEIGHT * level):
                found.append((tile_path(level, count // TILE_WIDTH, len(row)), b"".join(row)))
        return found

    def publish_cosigned(self, note: Note) -> None:
        """Publish a checkpoint with its cosignatures; also as the newest one, if it still is."""
        with self._publishing:
            self._disk.write(self.folder / COSIGNED, bytes(note))
            if note.text == self.note.text:
                self._disk.write(self.folder / CHECKPOINT, bytes(note))

    def cosigned(self) -> Note | None:
        """The newest checkpoint that enough witnesses have cosigned."""
        try:
            return Note.parse((self.folder / COSIGNED).read_bytes(), str(self.folder / COSIGNED))
        except FileNotFoundError:
            return None
        except Wrong as error:
            raise StaleData(f"{error}: something else has written it") from None

    def _publish_own(self) -> None:
        with self._publishing:
            published = self._published(CHECKPOINT)
            if published is None or published.text != self.note.text:
                self._disk.write(self.folder / CHECKPOINT, bytes(self.note))

    def _published(self, name: str) -> Note | None:
        try:
            return Note.parse((self.folder / name).read_bytes())
        except (FileNotFoundError, Wrong):
            return None

    # ---- state

    def _store_state(self, position: Position, note: Note) -> None:
        state = {"format": _FORMAT, "checkpoint": bytes(note).decode(), "position": asdict(position)}
        self._disk.write(self.folder / STATE, (json.dumps(state, indent=1) + "\n").encode())

    def _read_state(self) -> tuple[Position, Note] | None:
        path = self.folder / STATE
        try:
            state = json.loads(path.read_text())
            note, position = Note.parse(state["checkpoint"].encode()), Position(**state["position"])
            checkpoint = Checkpoint.parse(note.text)
            is_ours = state["format"] == _FORMAT and bool(note.signed_by(self._keys.public(self.origin), str(path)))
        except FileNotFoundError:
            if (self.folder / "tile").exists() or (self.folder / COSIGNED).exists():
                raise StaleData(f"{path} is gone, but the log that it belongs to is there: {_REMEDY}") from None
            return None
        except (ValueError, KeyError, TypeError, AttributeError, Wrong) as error:
            raise StaleData(f"{path} cannot be read ({error}): {_REMEDY}") from None
        if checkpoint.origin != self.origin:
            raise StaleData(f"{path} is of the log {checkpoint.origin}, not of {self.origin}: another key file, or another folder")
        if not is_ours:
            raise StaleData(f"{path}: its checkpoint is signed by no key of this exchange, or it is of another version")
        return position, note

    def _restore(self) -> None:
        """The right edge, from the tiles of the committed size."""
        size = self._committed
        for name in (CHECKPOINT, COSIGNED):
            published = self._published(name)
            if published is not None and Checkpoint.parse(published.text).size > size:
                raise StaleData(f"{self.folder / STATE} has {size:,} entries, {name} has more: it is an older copy. {_REMEDY}")
        try:
            files = LogFiles(str(self.folder))
            self._rows, level = {0: []}, 0
            edge: list[bytes] = []
            while size >> (TILE_HEIGHT * level):
                count = size >> (TILE_HEIGHT * level)
                row = files.tile(level, count // TILE_WIDTH, size) if count % TILE_WIDTH else []
                self._rows[level] = row
                edge = _subtrees(row) + edge
                level += 1
            self._bundle = files.bundle(size // TILE_WIDTH, size) if size % TILE_WIDTH else []
        except (Wrong, Unchecked) as error:
            raise StaleData(f"{self.folder}: {error}: {_REMEDY}") from None
        self.tree = GrowingTree(size, edge)
        if self.tree.root() != self.committed.root or [leaf_hash(entry) for entry in self._bundle] != self._rows[0]:
            raise StaleData(f"{self.folder}: its last tiles are not those that were signed: {_REMEDY}")


_REMEDY: Final = 'see docs/audit.md, "When a log\'s disk is lost or damaged"'


def _subtrees(row: list[bytes]) -> list[bytes]:
    """The roots of the full subtrees of a row, the largest first."""
    found, at = [], 0
    for bit in reversed(range(len(row).bit_length())):
        width = 1 << bit
        if len(row) & width:
            found.append(row_root(row[at : at + width]))
            at += width
    return found
