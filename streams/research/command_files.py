"""Read and write files of lines: plain or .gz, "-" for standard input and output, with a progress bar on a terminal for long ones."""

import gzip
import sys
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path
from typing import IO, Any, BinaryIO, Final, cast

import msgspec
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

from schemas.errors import OutcryError

PROGRESS_BYTES_MIN: Final = 4 << 20
"""Shorter files are read before a bar could be looked at."""
LINES_PER_UPDATE: Final = 5_000
LINE_BYTES_MAX: Final = 8 << 20
"""A NewOrderList of many orders fits well; what is longer is no file of commands."""

_DECODER: Final = msgspec.json.Decoder(float_hook=Decimal)


class BadFile(OutcryError):
    """A file that cannot be read or written; the message names it and says why."""


class BadLine(OutcryError):
    """A line that is not JSON."""


def decode_line(line: bytes) -> Any:
    """The JSON value of a line. A number with a point or an exponent is a Decimal, never a float. Raises BadLine."""
    try:
        return _DECODER.decode(line)
    except (msgspec.DecodeError, RecursionError) as error:
        raise BadLine(f"not JSON: {error}") from None


def read_lines(name: str, *, show_progress: bool = True) -> Generator[tuple[int, bytes]]:
    """(line number from 1, line without its end) of every line that is not empty. Raises BadFile."""
    with _opened(name) as (raw, lines), _bar(name, raw, show=show_progress) as progress:
        number = 0
        try:
            while line := lines.readline(LINE_BYTES_MAX):
                number += 1
                if len(line) == LINE_BYTES_MAX:
                    raise BadFile(f"{name}:{number}: the line is longer than {LINE_BYTES_MAX} bytes")
                if progress is not None and number % LINES_PER_UPDATE == 0:
                    progress.update(progress.task_ids[0], completed=raw.tell())
                if stripped := line.strip():
                    yield number, stripped
        except (OSError, EOFError) as error:
            raise BadFile(f"{name}: line {number + 1}: {error}") from error


@contextmanager
def writer(name: str) -> Iterator[BinaryIO]:
    """Where lines go. Raises BadFile if that cannot be opened."""
    if name == "-":
        yield sys.stdout.buffer
        sys.stdout.buffer.flush()
        return
    try:
        out: BinaryIO = cast("BinaryIO", gzip.open(name, "wb", 3)) if name.endswith(".gz") else Path(name).open("wb")  # noqa: SIM115 - entered below
    except OSError as error:
        raise BadFile(f"{name}: {error.strerror}") from error
    with out:
        yield out


@contextmanager
def _opened(name: str) -> Iterator[tuple[IO[bytes], IO[bytes]]]:
    """(the file, its lines); the first tells how far it is read."""
    if name == "-":
        yield sys.stdin.buffer, sys.stdin.buffer
        return
    try:
        raw = Path(name).open("rb")  # noqa: SIM115 - entered below
    except OSError as error:
        raise BadFile(f"{name}: {error.strerror}") from error
    with raw:
        yield raw, cast("IO[bytes]", gzip.GzipFile(fileobj=raw)) if name.endswith(".gz") else raw


@contextmanager
def _bar(name: str, raw: IO[bytes], *, show: bool) -> Iterator[Progress | None]:
    size = Path(name).stat().st_size if name != "-" and Path(name).is_file() else 0
    console = Console(stderr=True)
    if not show or not console.is_terminal or size < PROGRESS_BYTES_MIN:
        yield None
        return
    columns = (TextColumn(Path(name).name), BarColumn(), DownloadColumn(binary_units=True), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True) as progress:
        progress.add_task(name, total=size)
        yield progress
