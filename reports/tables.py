"""Tables as CSV lines: a header, then a line for each row. No I/O."""

import csv
import io
from collections.abc import Iterable, Iterator, Sequence
from typing import Any


def csv_lines(columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> Iterator[bytes]:
    """UTF-8 lines. A value is written as str() shows it."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(columns)
    for row in rows:
        yield _taken(out)
        writer.writerow(row)
    yield _taken(out)


def rows_of_csv(lines: Iterable[bytes]) -> Iterator[dict[str, str]]:
    """The rows again, by column."""
    return csv.DictReader(line.decode() for line in lines)


def _taken(out: io.StringIO) -> bytes:
    text = out.getvalue()
    out.seek(0)
    out.truncate()
    return text.encode()
