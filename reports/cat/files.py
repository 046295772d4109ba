"""Files of records: their names, their companions, and packing. No I/O.

OUTCRY_20261130_OrderEvents_000001.json.gz has records, one a line. OUTCRY_20261130_OrderEvents_000001.meta, its companion, is one JSON object with the
sizes, the number of records and the digests.
"""

import hashlib
import re
import zlib
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, dataclass
from enum import StrEnum
from itertools import chain
from typing import Any, Final

import numpy as np
import orjson

from reports.cat.fields import SCHEMA_VERSION
from reports.report_day import ReportDay
from schemas.codec import Rows

FILE_BYTES_MAX: Final = 1 << 30
"""Of a file's records before they are packed; then the next file begins."""
SEQUENCE_MAX: Final = 999_999
READ_BYTES: Final = 1 << 20
_NAME: Final = re.compile(r"([A-Za-z0-9-]{1,40})_([0-9]{8})_OrderEvents_([0-9]{6})(\.json|\.csv)\.gz")
_GZIP: Final = 31
"""zlib's wbits for a gzip frame. Its head has no time, so the same records give the same bytes."""
_LEVEL: Final = 1
"""CAT's records repeat their names: a higher level costs several times as much and saves little."""


class FileCode(StrEnum):
    """What is wrong with a file."""

    NAME = "FILE.NAME"
    META = "FILE.META"
    """The companion is missing, or cannot be read."""
    PACKING = "INT.GZIP"
    SIZE = "INT.SIZE"
    DIGEST = "INT.SHA256"
    COUNT = "INT.COUNT"
    SCHEMA = "INT.SCHEMA"


@dataclass(frozen=True, slots=True)
class FileFinding:
    """What is wrong with which file."""

    code: FileCode
    text: str

    def __str__(self) -> str:
        return f"{self.code}: {self.text}"


@dataclass(frozen=True, slots=True)
class FileName:
    """The parts of a name."""

    reporter: str
    day: str
    """YYYYMMDD."""
    sequence: int
    suffix: str = ".json"

    def __str__(self) -> str:
        return f"{self.stem}{self.suffix}.gz"

    @property
    def stem(self) -> str:
        """Without what says how it is written."""
        return f"{self.reporter}_{self.day}_OrderEvents_{self.sequence:06}"

    @property
    def meta(self) -> str:
        """The companion."""
        return f"{self.stem}.meta"


def parse_name(name: str) -> FileName | None:
    """None for a name that is none of these files'."""
    matched = _NAME.fullmatch(name)
    if matched is None or not int(matched[3]):
        return None
    return FileName(matched[1], matched[2], int(matched[3]), matched[4])


@dataclass(frozen=True, slots=True)
class Meta:
    """The companion of a file."""

    fileName: str  # noqa: N815  the field's name in the file
    schemaVersion: str  # noqa: N815
    records: int
    sizeRaw: int  # noqa: N815
    sizeCompressed: int  # noqa: N815
    sha256Raw: str  # noqa: N815
    sha256Compressed: str  # noqa: N815
    doneForDay: bool  # noqa: N815

    def __bytes__(self) -> bytes:
        return orjson.dumps(asdict(self), option=orjson.OPT_INDENT_2) + b"\n"

    @classmethod
    def parse(cls, data: bytes) -> "Meta | None":
        """None for what is no companion."""
        try:
            found: dict[str, Any] = orjson.loads(data)
            made = cls(**found)
        except (orjson.JSONDecodeError, TypeError):
            return None
        types = {name: type(value) for name, value in asdict(made).items()}
        wanted = {"fileName": str, "schemaVersion": str, "records": int, "sizeRaw": int, "sizeCompressed": int, "sha256Raw": str,
                  "sha256Compressed": str, "doneForDay": bool}  # fmt: skip
        return made if types == wanted else None


class Packer:
    """Packs lines, and counts and digests what goes in and what comes out."""

    def __init__(self, write: Callable[[bytes], object]) -> None:
        """write: takes the packed bytes."""
        self._write, self._packer = write, zlib.compressobj(_LEVEL, zlib.DEFLATED, _GZIP)
        self._raw, self._packed = hashlib.sha256(), hashlib.sha256()
        self.records = self.raw_bytes = self.packed_bytes = 0

    def take(self, blocks: Iterable["Lines"]) -> None:
        """Pack these lines, each MiB in another thread while the next one is made: packing and digests do not hold Python's lock.

        What a packer makes depends on where it is given how much, so that does not depend on how large the blocks are.
        """
        with ThreadPoolExecutor(1, "pack") as packing:
            before: Future[None] | None = None
            for block in Lines.regular(blocks):
                if before is not None:
                    before.result()
                before = packing.submit(self._pack, block)
            if before is not None:
                before.result()

    def _pack(self, block: "Lines") -> None:
        self.records += len(block.ends)
        self.raw_bytes += len(block.data)
        self._raw.update(block.data)
        self._put(self._packer.compress(block.data))

    def _put(self, data: bytes) -> None:
        self.packed_bytes += len(data)
        self._packed.update(data)
        self._write(data)

    def finish(self, name: str, *, done_for_day: bool) -> Meta:
        """Write what is left; the companion."""
        self._put(self._packer.flush())
        return Meta(
            name,
            SCHEMA_VERSION,
            self.records,
            self.raw_bytes,
            self.packed_bytes,
            self._raw.hexdigest(),
            self._packed.hexdigest(),
            done_for_day,
        )


@dataclass(frozen=True)
class Lines:
    """Many lines behind one another. Iterating gives each one."""

    data: memoryview
    ends: Rows
    """int64: where each line ends in `data`."""

    @classmethod
    def of(cls, texts: Any) -> "Lines":
        """Of an arrow array of bytes, without copying them."""
        count, (_, offsets, data) = len(texts), texts.buffers()
        places = np.frombuffer(offsets, np.int32)[texts.offset : texts.offset + count + 1].astype(np.int64)
        return cls(memoryview(data if data is not None else b"")[places[0] : places[-1]], places[1:] - places[0])

    @classmethod
    def together(cls, lines: Iterable[bytes]) -> Iterator["Lines"]:
        """Single lines, about READ_BYTES at a time."""
        waiting: list[bytes] = []
        size = 0
        for line in lines:
            waiting.append(line)
            size += len(line)
            if size >= READ_BYTES:
                yield cls._of_list(waiting)
                waiting, size = [], 0
        if waiting:
            yield cls._of_list(waiting)

    @classmethod
    def _of_list(cls, lines: list[bytes]) -> "Lines":
        return cls(memoryview(b"".join(lines)), np.cumsum([len(one) for one in lines], dtype=np.int64))

    @classmethod
    def regular(cls, blocks: Iterable["Lines"]) -> Iterator["Lines"]:
        """The same lines in blocks that end with the first line that makes them READ_BYTES long."""
        rest = cls._of_list([])
        for block in blocks:
            size = len(rest.data)
            rest = cls(memoryview(b"".join((rest.data, block.data))), np.concatenate([rest.ends, block.ends + size])) if size else block
            while (count := int(np.searchsorted(rest.ends, READ_BYTES)) + 1) <= len(rest.ends):
                own, rest = rest.first(count)
                yield own
        if len(rest.ends):
            yield rest

    def __iter__(self) -> Iterator[bytes]:
        first = 0
        for last in self.ends.tolist():
            yield bytes(self.data[first:last])
            first = last

    def first(self, count: int) -> tuple["Lines", "Lines"]:
        """So many lines, and those behind them."""
        at = int(self.ends[count - 1]) if count else 0
        return Lines(self.data[:at], self.ends[:count]), Lines(self.data[at:], self.ends[count:] - at)


def split(blocks: Iterator[Lines], bytes_max: int = FILE_BYTES_MAX) -> Iterator[Iterator[Lines]]:
    """The lines of each file; one file, without lines, where there are none. Each must be read before the next is asked for."""
    waiting = next((one for one in blocks if len(one.ends)), None)

    def part(block: Lines) -> Iterator[Lines]:
        nonlocal waiting
        left, waiting = max(bytes_max, int(block.ends[0])), None  # a file has its first line, however long
        while True:
            own, rest = block.first(int(np.searchsorted(block.ends, left, side="right")))
            left -= len(own.data)
            if len(own.ends):
                yield own
            if len(rest.ends):
                waiting = rest
                return
            following = next((one for one in blocks if len(one.ends)), None)
            if following is None:
                return
            block = following

    if waiting is None:
        yield iter(())
    while waiting is not None:
        first = waiting
        yield part(first)


class Unpacker:
    """The lines of a packed file, and afterwards what its companion says that it is not."""

    def __init__(self, name: str, chunks: Iterable[bytes], meta: bytes | None) -> None:
        """chunks: the file. meta: its companion, None where there is none."""
        self._name, self._chunks = name, chunks
        self._meta = None if meta is None else Meta.parse(meta)
        self.findings: list[FileFinding] = []
        self.sha256 = ""
        """Of the lines, once they were all given out."""
        if parse_name(name) is None:
            self._tell(FileCode.NAME, f"{name!r} is not REPORTER_YYYYMMDD_OrderEvents_NNNNNN.json.gz")
        if meta is None:
            self._tell(FileCode.META, f"{name} has no companion")
        elif self._meta is None or self._meta.fileName != name:
            self._tell(FileCode.META, f"the companion of {name} is not of it, or cannot be read")
            self._meta = None
        elif self._meta.schemaVersion != SCHEMA_VERSION:
            self._tell(FileCode.SCHEMA, f"{name} is of schema {self._meta.schemaVersion}, not {SCHEMA_VERSION}")

    def _tell(self, code: FileCode, text: str) -> None:
        self.findings.append(FileFinding(code, text))

    def lines(self) -> Iterator[bytes]:
        """Each line, with its end; the last one too where its end is missing."""
        for block in self.blocks():
            *whole, rest = block.split(b"\n")
            yield from (line + b"\n" for line in whole)
            if rest:
                yield rest

    def blocks(self) -> Iterator[bytes]:
        """The same, many lines at once."""
        raw, packed = hashlib.sha256(), hashlib.sha256()
        raw_bytes = packed_bytes = count = 0
        rest, unpacker = b"", zlib.decompressobj(_GZIP)
        try:
            for chunk in chain(self._chunks, [b""]):
                packed.update(chunk)
                packed_bytes += len(chunk)
                data = unpacker.decompress(chunk) if chunk else unpacker.flush()
                raw.update(data)
                raw_bytes += len(data)
                whole, end, after = data.rpartition(b"\n")
                if end:
                    block, rest = rest + whole + end, after
                    count += block.count(b"\n")
                    yield block
                else:
                    rest += data
            if not unpacker.eof or unpacker.unused_data:
                self._tell(FileCode.PACKING, f"{self._name} is not one whole gzip file")
        except zlib.error as error:
            self._tell(FileCode.PACKING, f"{self._name} cannot be unpacked: {error}")
        if rest:
            count += 1
            yield rest
        self.sha256 = raw.hexdigest()
        if self._meta is not None:
            self._compare(self._meta, count, raw_bytes, packed_bytes, self.sha256, packed.hexdigest())

    def _compare(self, meta: Meta, count: int, raw_bytes: int, packed_bytes: int, raw: str, packed: str) -> None:
        if count != meta.records:
            self._tell(FileCode.COUNT, f"{self._name} has {count:,} records, its companion says {meta.records:,}")
        if (raw_bytes, packed_bytes) != (meta.sizeRaw, meta.sizeCompressed):
            said = f"{meta.sizeRaw:,} and {meta.sizeCompressed:,}"
            self._tell(
                FileCode.SIZE, f"{self._name} has {raw_bytes:,} bytes unpacked and {packed_bytes:,} packed, its companion says {said}"
            )
        if (raw, packed) != (meta.sha256Raw, meta.sha256Compressed):
            self._tell(FileCode.DIGEST, f"{self._name} has other bytes than its companion says")


def day_of(name: FileName) -> ReportDay:
    """The day of a file. Raises OutcryError where it is none."""
    return ReportDay.parse(f"{name.day[:4]}-{name.day[4:6]}-{name.day[6:]}")
