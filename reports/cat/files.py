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

import orjson

from reports.cat.fields import SCHEMA_VERSION
from reports.report_day import ReportDay

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

    def take(self, lines: Iterable[bytes]) -> None:
        """Pack these lines, each MiB in another thread while the next one is made: packing and digests do not hold Python's lock."""
        waiting: list[bytes] = []
        size = 0
        with ThreadPoolExecutor(1, "pack") as packing:
            before: Future[None] | None = None
            for line in lines:
                waiting.append(line)
                size += len(line)
                if size >= READ_BYTES:
                    if before is not None:
                        before.result()
                    before = packing.submit(self._pack, waiting)
                    waiting, size = [], 0
            if before is not None:
                before.result()
        self._pack(waiting)

    def _pack(self, lines: list[bytes]) -> None:
        data = b"".join(lines)
        self.records += len(lines)
        self.raw_bytes += len(data)
        self._raw.update(data)
        self._put(self._packer.compress(data))

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


def split(lines: Iterator[bytes], bytes_max: int = FILE_BYTES_MAX) -> Iterator[Iterator[bytes]]:
    """The lines of each file; one file, without lines, where there are none. Each must be read before the next is asked for."""
    waiting: bytes | None = next(lines, None)

    def part(first: bytes) -> Iterator[bytes]:
        nonlocal waiting
        size, waiting = len(first), None
        yield first
        for line in lines:
            size += len(line)
            if size > bytes_max:
                waiting = line
                return
            yield line

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
        if self._meta is not None:
            self._compare(self._meta, count, raw_bytes, packed_bytes, raw.hexdigest(), packed.hexdigest())

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
