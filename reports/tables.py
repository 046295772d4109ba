"""Tables as CSV lines: a header, then a line for each row. No I/O."""

import csv
import io
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np


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


def group_starts(*columns: Any) -> Any:
    """Where in sorted columns the values change: the first row of each group."""
    count = len(columns[0])
    if not count:
        return np.zeros(0, np.int64)
    differs = np.zeros(count - 1, bool)
    for column in columns:
        differs |= column[1:] != column[:-1]
    return np.concatenate([[0], np.flatnonzero(differs) + 1])


def groups(*columns: Any) -> list[tuple[int, int]]:
    """The first row of each group of equal values in sorted columns, and the one behind its last."""
    starts = group_starts(*columns).tolist()
    return list(zip(starts, [*starts[1:], len(columns[0])], strict=False))
