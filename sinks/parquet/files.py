"""One partition of the archive on disk: files of rows, and the manifests that name them.

    FOLDER/executions/day=2026-11-27/0-000000000000-000000004711.parquet   the rows of executions/0 from offset 0 to before 4711
    FOLDER/executions/day=2026-11-27/0.manifest.json                       the files of partition 0 of that day, and where the next one goes on

The manifest is the commit: it is replaced in one step once its new file is on the disk. A file that no manifest names is left from a process that
was killed; it is removed, and written again from the log. Where a file ends depends on nothing but the log: at ROWS_MAX rows, at FILE_NS behind its first
record, and at midnight UTC, by append time. So two archives of a log have the same files, digest by digest.
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any, Final, Protocol

import pyarrow as pa
import pyarrow.parquet as pq

from schemas.errors import StaleData
from schemas.marks import Marks
from sinks.contract import Input
from sinks.parquet.tables import Table, Taken, arrow_of, columns_of, columns_of_arrow, digest_of, sorted_columns
from sinks.partition_marks import PartitionMarks

ROWS_MAX: Final = 250_000
"""About 50 MB while they wait; two row groups."""
FILE_NS: Final = 600 * 1_000_000_000
"""What is younger is read from the log by whoever asks."""
ROW_GROUP_ROWS: Final = 125_000
ZSTD_LEVEL: Final = 3
_FORMAT: Final = 1
_MANIFEST: Final = ".manifest.json"


class Disk(Protocol):
    """Files that are whole whenever a process is killed. Methods raise OSError."""

    def write(self, path: Path, data: bytes, mode: int = 0o644) -> None:
        """Replace a file in one step; it is on the disk when this returns."""

    def remove(self, path: Path) -> None:
        """A file or a folder; nothing happens where there is none."""


@dataclass(frozen=True)
class ArchivedFile:
    """What a manifest says of a file."""

    name: str
    rows: int
    first_offset: int
    next_offset: int
    """Of the first record in it, and behind the last one that was read for it."""
    first_ns: int
    last_ns: int
    """Append times."""
    digest: str
    """Of the values, see tables.digest_of."""
    bytes: int


@dataclass(frozen=True)
class Manifest:
    """The files of a partition on one day, and its place in the log behind them."""

    topic: str
    partition: int
    day: str
    files: list[ArchivedFile] = field(default_factory=list)
    next_offset: int = 0
    last_ns: int = 0
    marks: dict[str, list[int]] = field(default_factory=dict)

    def as_json(self) -> bytes:
        """Its file."""
        return json.dumps({"format": _FORMAT, **asdict(self)}, indent=1).encode()


def read_manifest(path: Path) -> Manifest:
    """Raises StaleData for one that cannot be read."""
    try:
        found: dict[str, Any] = json.loads(path.read_bytes())
        if found.pop("format") != _FORMAT:
            raise StaleData(f"{path} is of another version of the archive")
        return Manifest(**{**found, "files": [ArchivedFile(**one) for one in found["files"]]})
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise StaleData(f"{path} is not a manifest of the archive: {error}; move the folder away, and the archive is made again") from error


def manifests(folder: Path, table: Table) -> Iterator[tuple[Path, Manifest]]:
    """Every manifest of a table with its folder, the oldest day first."""
    for path in sorted((folder / table.name).glob(f"day=*/*{_MANIFEST}"), key=lambda path: (path.parent.name, path.name)):
        yield path.parent, read_manifest(path)


def newest_manifests(folder: Path, table: Table) -> dict[int, Manifest]:
    """By partition."""
    return {one.partition: one for _, one in manifests(folder, table)}


def marks_of(manifest: Manifest | None) -> PartitionMarks:
    """Where a reader goes on behind it."""
    if manifest is None:
        return PartitionMarks(store="the archive")
    state = {source: (offset, index, even_ns) for source, (offset, index, even_ns) in manifest.marks.items()}
    return PartitionMarks(manifest.next_offset, manifest.last_ns, Marks(state), "the archive")


def day_of(time_ns: int) -> str:
    """The day of an append time, UTC."""
    return datetime.fromtimestamp(time_ns // 1_000_000_000, UTC).date().isoformat()


class ArchivedPartition:
    """Rows of one partition: taken, then committed as a file. A commit that fails may be tried again."""

    def __init__(self, folder: Path, table: Table, partition: int, disk: Disk, manifest: Manifest | None) -> None:
        """manifest: the partition's newest. Removes what is left from a process that was killed. Raises OSError."""
        self.table, self.partition = table, partition
        self._folder, self._disk = folder / table.name, disk
        self._manifest = manifest
        self.marks = marks_of(manifest)
        self._taken: list[Taken] = []
        self.rows = 0
        self._clean()

    @property
    def next_offset(self) -> int:
        """Of the record to be taken next."""
        return self.marks.next_offset

    @property
    def committed(self) -> int:
        """The first offset that no file has."""
        return self._manifest.next_offset if self._manifest is not None else 0

    @property
    def is_full(self) -> bool:
        """Commit before anything else is taken."""
        return self.rows >= ROWS_MAX

    def ends_before(self, time_ns: int) -> bool:
        """Whether a record of this append time belongs in another file than those that wait: commit first."""
        first_ns = self._taken[0].time_ns if self._taken else time_ns
        return time_ns - first_ns >= FILE_NS or day_of(first_ns) != day_of(time_ns)

    def take(self, one: Input) -> None:
        """A record with a frame; one that is stored already, or that readers refuse, is left out. Raises StaleData."""
        if self.marks.takes(one):
            assert not isinstance(one.body, dict), "the archive has tables of frames only"
            self._taken.append(Taken(one.body, one.partition, one.offset, one.time_ns))
            self.rows += len(one.body.rows)

    def commit(self) -> ArchivedFile | None:
        """Write what was taken; None if that is nothing. Raises OSError; then nothing has changed."""
        if not self._taken:
            return None
        first_ns, day = self._taken[0].time_ns, day_of(self._taken[0].time_ns)
        columns = columns_of(self.table, self._taken)
        data = parquet_bytes(self.table, columns)
        before = self._manifest if self._manifest is not None and self._manifest.day == day else None
        name = f"{self.partition}-{self._taken[0].offset:012}-{self.marks.next_offset:012}.parquet"
        file = ArchivedFile(
            name, self.rows, self._taken[0].offset, self.marks.next_offset, first_ns, self._taken[-1].time_ns, digest_of(self.table, columns), len(data)
        )  # fmt: skip
        manifest = Manifest(
            self.table.topic, self.partition, day, [*(before.files if before else []), file], self.marks.next_offset, self.marks.last_ns,
            {source: list(mark) for source, mark in self.marks.marks.state.items()},
        )  # fmt: skip
        self._disk.write(self._day(day) / name, data)
        self._disk.write(self._day(day) / f"{self.partition}{_MANIFEST}", manifest.as_json())
        self._manifest, self._taken, self.rows = manifest, [], 0
        return file

    def forget_before(self, day: date) -> None:
        """Remove this partition's files of earlier days, but not of its newest. Raises OSError."""
        newest = self._manifest.day if self._manifest is not None else ""
        for folder in self._folder.glob("day=*"):
            if folder.name.removeprefix("day=") < min(day.isoformat(), newest):
                self._disk.remove(folder / f"{self.partition}{_MANIFEST}")
                for path in folder.glob(f"{self.partition}-*"):
                    self._disk.remove(path)
                if not any(folder.iterdir()):
                    self._disk.remove(folder)

    def _day(self, day: str) -> Path:
        return self._folder / f"day={day}"

    def _clean(self) -> None:
        for folder in self._folder.glob("day=*"):
            path = folder / f"{self.partition}{_MANIFEST}"
            named = {one.name for one in read_manifest(path).files} if path.exists() else set()
            for found in (*folder.glob(f"{self.partition}-*"), *folder.glob(f".{self.partition}[-.]*")):
                if found.name not in named:
                    self._disk.remove(found)


def parquet_bytes(table: Table, columns: dict[str, Any]) -> bytes:
    """The file of some rows, sorted."""
    sink = pa.BufferOutputStream()
    pq.write_table(
        arrow_of(table, sorted_columns(table, columns)), sink, row_group_size=ROW_GROUP_ROWS, compression="zstd", compression_level=ZSTD_LEVEL,
        use_dictionary=True, write_statistics=True,
    )  # fmt: skip
    data: bytes = sink.getvalue().to_pybytes()
    return data


def first_day_kept(days: int, now_ns: int) -> date:
    """Today and the days before it, `days` together, are kept."""
    return datetime.fromtimestamp(now_ns // 1_000_000_000, UTC).date() - timedelta(days=days - 1)


def faults(folder: Path, tables: Sequence[Table]) -> Iterator[tuple[str, str]]:
    """(file, what is wrong with it) of every file: it is read whole. The word is empty for one that is as its manifest says."""
    for table in tables:
        expected: dict[int, int] = {}
        for day, manifest in manifests(folder, table):
            for one in manifest.files:
                wrong = _fault(day / one.name, table, one)
                if not wrong and one.first_offset < expected.get(manifest.partition, 0):
                    wrong = f"begins at {one.first_offset:,}, within the file before it"
                expected[manifest.partition] = one.next_offset
                yield f"{table.name}/{day.name}/{one.name}", wrong


def _fault(path: Path, table: Table, one: ArchivedFile) -> str:
    try:
        found = pq.read_table(path, schema=table.schema, partitioning=None)
    except (OSError, pa.ArrowException) as error:
        return f"cannot be read: {error}"
    if found.num_rows != one.rows:
        return f"has {found.num_rows:,} rows, its manifest says {one.rows:,}"
    return "" if digest_of(table, columns_of_arrow(table, found)) == one.digest else "has other values than its manifest says"
