"""What one call of a shard gives back, and how rows are made of plain Python values."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from schemas.codec import FRAMES, Rows

COMMAND_DTYPE: Final = FRAMES["order_command_frame"].dtype
BOOK_COMMAND_DTYPE: Final = FRAMES["book_command_frame"].dtype
REPORT_DTYPE: Final = FRAMES["book_report_frame"].dtype
EXECUTION_DTYPE: Final = FRAMES["execution_frame"].dtype
EVENT_DTYPE: Final = FRAMES["account_event_frame"].dtype

TEXT_WORDS_MAX: Final = 16
"""A cl_ord_id is kept as 8-byte words: 16 x 8 = CL_ORD_ID_MAX_BYTES."""


@dataclass(frozen=True)
class AccountOutput:
    """All that one input frame made an account shard say."""

    events: Rows
    """account_event_frame rows for account.events, seq dense."""
    event_cl_ord_id: Rows
    """S-array, one text an event row; its width is that of the longest, rounded up to 8 bytes."""
    replies: Rows
    """account_event_frame rows for edges: answers, state rows, events of registered accounts."""
    reply_cl_ord_id: Rows
    reply_mask: Rows
    """u64 a reply row: bit e = for edge instance e."""
    book_commands: Rows
    """book_command_frame rows, of several book shards."""
    first_seq: int
    """seq of events[0]; of the next event if there is none."""
    event_orig_cl_ord_id: Rows | None = None
    """As event_cl_ord_id; None where no row has one."""
    reply_orig_cl_ord_id: Rows | None = None
    refused: tuple[tuple[int, str], ...] = ()
    """Reports that cannot be true, by row, and why: they were left out."""


@dataclass(frozen=True)
class BookOutput:
    """All that one input frame made a book shard say."""

    executions: Rows
    """execution_frame rows."""
    first_seq: int
    """Number of executions[0] in the shard (rows are dense); of the next row if there is none."""


def rows_of(dtype: np.dtype[np.void], values: Sequence[Mapping[str, int]]) -> Rows:
    """Rows of `dtype` from mappings of column to value; columns that are not named are zero. A misspelt column is an assertion."""
    names = dtype.names or ()
    assert all(column in names for one in values for column in one), "no such column"
    rows = np.zeros(len(values), dtype)
    for column in names:
        if any(column in one for one in values):
            rows[column] = [one.get(column, 0) for one in values]
    return rows


def text_rows(values: Sequence[bytes]) -> Rows:
    """An S-array as wide as the longest text, rounded up to whole 8-byte words, at least one."""
    words = max((len(text) + 7) // 8 for text in values) if values else 0
    return np.array(values, f"S{8 * max(words, 1)}")


def orig_rows(values: Sequence[bytes]) -> Rows | None:
    """The same of orig_cl_ord_id; None where all are empty."""
    return text_rows(values) if any(values) else None


def python_rows(rows: Rows) -> list[dict[str, Any]]:
    """Rows as dictionaries of Python integers."""
    names = rows.dtype.names or ()
    return [dict(zip(names, row, strict=True)) for row in rows.tolist()]
