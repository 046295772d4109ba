"""The tiles and entry bundles of a log: where they are, what is in them, and reading them from a folder or an address.

Source: https://c2sp.org/tlog-tiles.
"""

import http.client
import struct
import urllib.error
import urllib.request
from pathlib import Path
from typing import Final

from audit.findings import Unchecked, Wrong
from audit.tree import HASH_BYTES, ReadNode, node_hash

TILE_WIDTH: Final = 256
TILE_HEIGHT: Final = 8
ENTRY_BYTES_MAX: Final = 65_535
FETCH_TIMEOUT_S: Final = 30.0


def tile_path(level: int | str, number: int, width: int = TILE_WIDTH) -> str:
    """Where a tile or a bundle ("entries") is, below the log's address. width: less than TILE_WIDTH for a partial one."""
    parts = [f"{number % 1000:03}"]
    while number := number // 1000:
        parts.insert(0, f"x{number % 1000:03}")
    return f"tile/{level}/{'/'.join(parts)}" + (f".p/{width}" if width < TILE_WIDTH else "")


def tile_width(level: int, number: int, size: int) -> int:
    """Hashes that tile `number` of a level has in a log of `size` entries; 0: there is none."""
    return max(0, min(TILE_WIDTH, (size >> (TILE_HEIGHT * level)) - number * TILE_WIDTH))


def bundle_of(entries: list[bytes]) -> bytes:
    """Entries as they are stored, each with its length before it; none has more than ENTRY_BYTES_MAX bytes."""
    return b"".join(struct.pack(">H", len(entry)) + entry for entry in entries)


def entries_of(bundle: bytes, place: str) -> list[bytes]:
    """The entries of a bundle, as of bundle_of. Raises Wrong."""
    entries: list[bytes] = []
    at = 0
    while at < len(bundle):
        (length,) = struct.unpack_from(">H", bundle, at) if at + 2 <= len(bundle) else (len(bundle),)
        if at + 2 + length > len(bundle):
            raise Wrong(place, f"it is cut off within its entry {len(entries)}")
        entries.append(bundle[at + 2 : at + 2 + length])
        at += 2 + length
    return entries


class LogFiles:
    """A log in a folder or at an address. Raises Unchecked where there is none."""

    def __init__(self, base: str) -> None:
        self.base = base.rstrip("/")
        self._is_url = self.base.startswith(("http://", "https://"))
        if not self._is_url and not Path(base).is_dir():
            raise Unchecked(f"{base} is no folder and no http(s) address")

    def read(self, path: str) -> bytes:
        """Raises Wrong for what is not there, Unchecked for what cannot be read."""
        try:
            if not self._is_url:
                return (Path(self.base) / path).read_bytes()
            with urllib.request.urlopen(f"{self.base}/{path}", timeout=FETCH_TIMEOUT_S) as answer:  # noqa: S310  the scheme was checked
                found: bytes = answer.read()
                return found
        except FileNotFoundError:
            raise Wrong(path, "it is missing") from None
        except urllib.error.HTTPError as error:
            if error.code == http.client.NOT_FOUND:
                raise Wrong(path, "it is missing") from None
            raise Unchecked(f"{self.base}/{path}: {error}") from error
        except (OSError, http.client.HTTPException) as error:
            raise Unchecked(f"{self.base}/{path}: {error}") from error

    def tile(self, level: int, number: int, size: int) -> list[bytes]:
        """The hashes of a tile as of `size` entries. Where its partial file is gone, the beginning of the full one."""
        width = tile_width(level, number, size)
        data, found = self._whole_or_part(level, number, width)
        if len(data) != found * HASH_BYTES:
            raise Wrong(tile_path(level, number, found), f"{len(data)} bytes for {found} hashes")
        return [data[at : at + HASH_BYTES] for at in range(0, width * HASH_BYTES, HASH_BYTES)]

    def bundle(self, number: int, size: int) -> list[bytes]:
        """The entries of a bundle as of `size` entries."""
        width = tile_width(0, number, size)
        data, found = self._whole_or_part("entries", number, width)
        entries = entries_of(data, tile_path("entries", number, found))
        if len(entries) != found:
            raise Wrong(tile_path("entries", number, found), f"it has {len(entries)} entries instead of {found}")
        return entries[:width]

    def _whole_or_part(self, level: int | str, number: int, width: int) -> tuple[bytes, int]:
        """What there is, and the width that it must have."""
        try:
            return self.read(tile_path(level, number, width)), width
        except Wrong as missing:
            if width == TILE_WIDTH:
                raise
            try:
                return self.read(tile_path(level, number)), TILE_WIDTH
            except Wrong:
                raise missing from None

    def nodes(self, size: int) -> ReadNode:
        """Reads nodes of the tree of `size` entries from its tiles."""
        tiles: dict[tuple[int, int], list[bytes]] = {}

        def read(height: int, number: int) -> bytes:
            level, above = divmod(height, TILE_HEIGHT)
            tile, first = divmod(number << above, TILE_WIDTH)
            if (level, tile) not in tiles:
                tiles[level, tile] = self.tile(level, tile, size)
            row = tiles[level, tile][first : first + (1 << above)]
            return row_root(row)

        return read


def row_root(row: list[bytes]) -> bytes:
    """The hash over a row of nodes; their number is a power of two."""
    while len(row) > 1:
        row = [node_hash(row[at], row[at + 1]) for at in range(0, len(row), 2)]
    return row[0]
