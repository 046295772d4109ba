"""Reports on disk: OUTCRY_HOME/data/reports/DAY/NAME has the files of a report, and report.json that says what they are and what they were made from.

A folder appears whole or not at all, and its files are never changed. What is added later: supplements, as files with higher numbers;
submissions.json, which says what was sent where; and checks.json, which says what was found in it.
"""

import fcntl
import json
import os
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

from reports.cat.files import READ_BYTES, FileName, Lines, Packer, Unpacker, split
from reports.catalogue import QUALITY, ReportKind
from reports.day_read import AuditedOrigin, DayRead
from reports.reference import Reference
from reports.report_day import ReportDay
from schemas.errors import OutcryError, StaleData
from schemas.settings import Settings

MANIFEST: Final = "report.json"
SUBMISSIONS: Final = "submissions.json"
MONTHS: Final = "months"
_MAKING: Final = ".making"


@dataclass(frozen=True)
class StoredFile:
    """One file of a report. sha256: of its content, unpacked where it is packed."""

    name: str
    records: int
    bytes: int
    sha256: str
    supplements: bool = False


@dataclass
class StoredReport:
    """A report that was made."""

    folder: Path
    day: ReportDay
    kind: ReportKind
    files: list[StoredFile]
    manifest: dict[str, Any]

    def lines(self, name: str) -> tuple[Iterator[bytes], Unpacker | None]:
        """The lines of one of its files; of a packed one also what compares it with its companion, once they were read."""
        if not self.kind.is_cat:
            return _lines(self.folder / name), None
        unpacker = self._unpacker(name)
        return unpacker.lines(), unpacker

    def blocks(self, name: str) -> tuple[Iterator[bytes], Unpacker]:
        """As lines, of a packed file, many lines at once."""
        unpacker = self._unpacker(name)
        return unpacker.blocks(), unpacker

    def _unpacker(self, name: str) -> Unpacker:
        meta = self.folder / FileName(*_parts(name)).meta
        return Unpacker(name, _chunks(self.folder / name), meta.read_bytes() if meta.is_file() else None)

    def add(self, name: str, file: StoredFile) -> None:
        """Enter a supplement into the manifest."""
        self.files.append(file)
        self.manifest["files"].append(asdict(file))
        write_json(self.folder / MANIFEST, self.manifest)


def folder_of(settings: Settings, day: ReportDay, kind: ReportKind) -> Path:
    """Where a report is."""
    return settings.reports_folder / str(day) / kind.name


def stored(settings: Settings, day: ReportDay, kind: ReportKind) -> StoredReport | None:
    """A report that was made; None if it was not. Raises StaleData for a manifest that cannot be read."""
    folder = folder_of(settings, day, kind)
    path = folder / MANIFEST
    if not path.is_file():
        return None
    try:
        manifest = json.loads(path.read_text())
        files = [StoredFile(**one) for one in manifest["files"]]
    except (ValueError, KeyError, TypeError) as error:
        raise StaleData(f"{path} cannot be read ({type(error).__name__} {error}): move {folder} away and make the report again") from None
    return StoredReport(folder, day, kind, files, manifest)


def require(settings: Settings, day: ReportDay, kind: ReportKind) -> StoredReport:
    """As stored; raises OutcryError where there is none."""
    found = stored(settings, day, kind)
    if found is None:
        raise OutcryError(f"there is no {kind.name} report of {day}: make it with `outcry report make --day {day} --name {kind.name}`")
    return found


def days(settings: Settings) -> list[ReportDay]:
    """Days with reports, in order."""
    folder = settings.reports_folder
    names = [path.name for path in folder.iterdir() if path.is_dir() and path.name != MONTHS] if folder.is_dir() else []
    return sorted(ReportDay.parse(name) for name in names)


def store_month(settings: Settings, month: str, lines: Iterable[bytes]) -> tuple[Path, bool]:
    """Store the report of a month; False where it is there already. Raises StaleData where it would be another one now."""
    path = settings.reports_folder / MONTHS / f"{QUALITY.name}-{month}.csv"
    data = b"".join(lines)
    if path.is_file():
        if path.read_bytes() != data:
            raise StaleData(f"{path} was made from other days, or was changed since: move it away to make it again")
        return path, False
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.draft")
    draft.write_bytes(data)
    draft.replace(path)
    return path, True


@contextmanager
def only_maker(settings: Settings, day: ReportDay) -> Iterator[None]:
    """Nobody else makes or adds reports of this day meanwhile. Raises OutcryError where somebody does, OSError."""
    settings.reports_folder.mkdir(parents=True, exist_ok=True)
    with (settings.reports_folder / f".{day}.lock").open("w") as lock:  # it stays: who removes it may remove another one's
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise OutcryError(
                f"another process is making reports of {day}: wait until it has ended, then look at `outcry report list`"
            ) from None
        yield


def store(
    settings: Settings, kind: ReportKind, read: DayRead, reference: Reference, origins: list[AuditedOrigin], reference_digest: str
) -> tuple[StoredReport, bool]:
    """Make a report and store it; False where it was made before and is the same. Raises StaleData where it would be another one now.

    For the only maker of the day.
    """
    folder, day = folder_of(settings, read.facts.day, kind), read.facts.day
    making = folder.with_name(f"{folder.name}{_MAKING}")
    shutil.rmtree(making, ignore_errors=True)  # left by a process that died
    making.mkdir(parents=True)
    try:
        files = list(_write_packed(making, kind, read, reference) if kind.is_cat else _write_plain(making, kind, read, reference))
        manifest = {
            "report": kind.name, "day": str(day), "modelled_on": kind.modelled_on, "files": [asdict(one) for one in files], "rows": read.rows,
            "instruments": read.facts.instruments.digest.hex(), "reference": reference_digest, "log": [asdict(one) for one in origins],
        }  # fmt: skip
        before = stored(settings, day, kind)
        if before is not None:
            _require_same(before, files)
            return before, False
        write_json(making / MANIFEST, manifest)
        _sync(making)
        making.rename(folder)
    finally:
        shutil.rmtree(making, ignore_errors=True)
    return StoredReport(folder, day, kind, files, manifest), True


def _sync(folder: Path) -> None:
    """Let the disk have every file before the folder gets its name."""
    for path in (*folder.iterdir(), folder):
        number = os.open(path, os.O_RDONLY)
        try:
            os.fsync(number)
        finally:
            os.close(number)


def _require_same(before: StoredReport, files: list[StoredFile]) -> None:
    first = [one for one in before.files if not one.supplements]
    for old, new in zip(first, files, strict=False):
        if old != new:
            raise StaleData(
                f"{before.folder / old.name} was made with {old.records:,} records and digest {old.sha256[:16]}, and now has {new.records:,} and "
                f"{new.sha256[:16]}: the reference, the instruments or the log have changed. What was submitted stays; correct it with "
                "`outcry report correct`"
            )
    if len(first) != len(files):
        raise StaleData(f"{before.folder} has {len(first)} files, and now there would be {len(files)}")


def _write_packed(folder: Path, kind: ReportKind, read: DayRead, reference: Reference) -> Iterator[StoredFile]:
    parts = split(kind.blocks(read.facts, reference))
    for sequence, blocks in enumerate(parts, 1):
        yield pack_file(folder, FileName(reference.reporter, read.facts.day.compact, sequence), blocks)


def pack_file(folder: Path, name: FileName, blocks: Iterable[Lines], *, supplements: bool = False) -> StoredFile:
    """Write a packed file and its companion."""
    with (folder / str(name)).open("wb") as out:
        packer = Packer(out.write)
        packer.take(blocks)
        meta = packer.finish(str(name), done_for_day=not supplements)
    (folder / name.meta).write_bytes(bytes(meta))
    return StoredFile(str(name), meta.records, meta.sizeRaw, meta.sha256Raw, supplements)


def _write_plain(folder: Path, kind: ReportKind, read: DayRead, reference: Reference) -> Iterator[StoredFile]:
    name = f"{kind.name}-{read.facts.day}.csv"
    digest, records, size = sha256(), -1, 0  # the header is no record
    with (folder / name).open("wb") as out:
        for line in kind.lines(read.facts, reference):
            out.write(line)
            digest.update(line)
            records, size = records + 1, size + len(line)
    yield StoredFile(name, records, size, digest.hexdigest())


def write_json(path: Path, value: Any) -> None:
    """Replace a file in one step."""
    draft = path.with_name(f".{path.name}.draft")
    draft.write_text(json.dumps(value, indent=1) + "\n")
    draft.replace(path)


def _chunks(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while chunk := file.read(READ_BYTES):
            yield chunk


def _lines(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        yield from file


def _parts(name: str) -> tuple[str, str, int]:
    stem = name.partition(".")[0].split("_")
    return stem[0], stem[1], int(stem[-1])
