"""The archive's tables: a topic's frames as Arrow columns, and the digest of their values. No I/O.

A table has the columns of its frame (docs/wire.md) as whole numbers, and where each row is in the log. Rows of a file are sorted by instrument or
account, so that statistics of row groups let a query pass over the others; `log_offset` and `log_row` give back the order of the log.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final

import numpy as np
import pyarrow as pa

from schemas.codec import FRAMES, Frame, Rows

PLACE_COLUMNS: Final[dict[str, np.dtype[Any]]] = {"shard": np.dtype("<u4"), "log_offset": np.dtype("<i8"), "log_row": np.dtype("<u4"), "shard_seq": np.dtype("<u8"),
                        "appended_at": np.dtype("<i8")}  # fmt: skip
"""shard: number of the partition; log_row: place in the frame; shard_seq: dense number in the shard, 0 where it has none; appended_at: ns."""
_TEXT: Final = "latin-1"
"""Every byte is a character of it, and ASCII is ASCII."""


@dataclass(frozen=True)
class Table:
    """One table of the archive."""

    name: str
    topic: str
    frame: str
    sorted_by: str

    @cached_property
    def numbers(self) -> dict[str, np.dtype[Any]]:
        """Integer columns with their types, in order."""
        dtype = FRAMES[self.frame].dtype
        columns: dict[str, np.dtype[Any]] = {name: dtype[name] for name in dtype.names or ()}
        return PLACE_COLUMNS | columns

    @property
    def texts(self) -> tuple[str, ...]:
        """Text columns."""
        return FRAMES[self.frame].text_columns

    @cached_property
    def schema(self) -> Any:
        """As Arrow has it."""
        fields = [(name, pa.from_numpy_dtype(dtype)) for name, dtype in self.numbers.items()]
        return pa.schema([*fields, *((name, pa.string()) for name in self.texts)])


TABLES: Final = (
    Table("executions", "executions", "execution_frame", "instrument"),
    Table("account_events", "account.events", "account_event_frame", "account"),
    Table("market_data", "market.data", "market_data_frame", "instrument"),
)
BY_TOPIC: Final = {table.topic: table for table in TABLES}


@dataclass(frozen=True)
class Taken:
    """A frame, and where its record is."""

    frame: Frame
    shard: int
    offset: int
    time_ns: int


def columns_of(table: Table, taken: Sequence[Taken]) -> dict[str, Rows]:
    """The columns of frames in the order of the log; text as fixed-width bytes."""
    counts = [len(one.frame.rows) for one in taken]
    rows = np.concatenate([one.frame.rows for one in taken]) if taken else np.empty(0, FRAMES[table.frame].dtype)
    within = np.concatenate([np.arange(count) for count in counts]) if taken else np.empty(0, np.int64)
    first_seqs = np.repeat([one.frame.header.first_seq for one in taken], counts)
    places = {
        "shard": np.repeat([one.shard for one in taken], counts), "log_offset": np.repeat([one.offset for one in taken], counts),
        "log_row": within, "shard_seq": np.where(first_seqs, first_seqs + within, 0), "appended_at": np.repeat([one.time_ns for one in taken], counts),
    }  # fmt: skip
    found = {name: np.ascontiguousarray(places.get(name, rows[name] if name in (rows.dtype.names or ()) else None), dtype=dtype)
             for name, dtype in table.numbers.items()}  # fmt: skip
    return found | {name: _text_column(name, taken, counts) for name in table.texts}


def _text_column(name: str, taken: Sequence[Taken], counts: Sequence[int]) -> Rows:
    columns = [getattr(one.frame, name) for one in taken]
    parts = [np.zeros(count, "S1") if column is None else column for column, count in zip(columns, counts, strict=True)]
    return np.concatenate(parts) if parts else np.empty(0, "S1")


def arrow_of(table: Table, columns: dict[str, Rows]) -> Any:
    """An Arrow table."""
    arrays = [pa.array(columns[name]) for name in table.numbers]
    arrays += [pa.array(np.char.decode(columns[name], _TEXT), pa.string()) for name in table.texts]
    return pa.table(arrays, schema=table.schema)


def sorted_columns(table: Table, columns: dict[str, Rows]) -> dict[str, Rows]:
    """By instrument or account; rows of one stay in the order of the log."""
    order = np.argsort(columns[table.sorted_by], kind="stable")
    return {name: column[order] for name, column in columns.items()}


def columns_of_arrow(table: Table, found: Any) -> dict[str, Rows]:
    """Of an Arrow table of ours, in the order of the log."""
    columns: dict[str, Rows] = {name: found[name].to_numpy() for name in table.numbers}
    for name in table.texts:
        texts = found[name].to_pylist()
        columns[name] = np.array([one.encode(_TEXT) for one in texts]) if texts else np.empty(0, "S1")
    order = np.lexsort((columns["log_row"], columns["log_offset"]))
    return {name: column[order] for name, column in columns.items()}


def digest_of(table: Table, columns: dict[str, Rows]) -> str:
    """BLAKE2b over the values of all columns, in the order of the log. It does not depend on how Parquet wrote them."""
    whole = hashlib.blake2b(digest_size=32)
    for name in (*table.numbers, *table.texts):
        column, values = columns[name], hashlib.blake2b(name.encode(), digest_size=32)
        if name in table.texts:
            values.update(np.char.str_len(column).astype("<u4").tobytes())
            values.update(b"".join(column.tolist()))
        else:
            values.update(column.astype(table.numbers[name], copy=False).tobytes())
        whole.update(values.digest())
    return whole.hexdigest()
