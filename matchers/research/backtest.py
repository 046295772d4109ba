"""The engine as a function of arrays, for back-tests, research and foreign test suites: commands in, executions out. docs/replay.md has examples.

Commands are a numpy structured array of COMMAND_DTYPE (the columns of schemas/avro/book_command_frame.avsc), executions one of EXECUTION_DTYPE
(schemas/avro/execution_frame.avsc): prices in ticks, quantities in lots, times in ns. These names and columns are stable: columns may be added, never changed.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from matchers.research.engines import ENGINE_NAMES, make_engine
from matchers.rules.outputs import BOOK_COMMAND_DTYPE, EXECUTION_DTYPE
from schemas.codec import Rows
from schemas.enums import BookCommandKind, Phase
from schemas.instruments import InstrumentTable

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = [
    "COMMAND_DTYPE", "ENGINE_NAMES", "EXECUTION_DTYPE", "Backtest", "commands", "from_arrow", "open_market", "replay", "to_arrow",
]  # fmt: skip

COMMAND_DTYPE: Final = BOOK_COMMAND_DTYPE
FRAME_ROWS: Final = 4_096


class Backtest:
    """A book engine that is fed arrays. One engine has the books of every instrument; all are CLOSED at first.

    `levels`: whether executions have LEVEL and TOP rows; without them a replay is faster and needs less memory.
    """

    def __init__(self, instruments: InstrumentTable, *, engine: str = "kernel", levels: bool = True) -> None:
        self._engine = make_engine(engine, instruments, levels=levels)
        self._applied = 0

    @property
    def applied(self) -> int:
        """Commands so far."""
        return self._applied

    @property
    def log_time(self) -> int:
        """ns; the latest transact_time seen."""
        return self._engine.log_time

    def state_hash(self) -> bytes:
        """16 bytes that are equal exactly when the books are, whichever engine keeps them."""
        return self._engine.state_hash()

    def apply(self, rows: Rows) -> Rows:
        """Apply commands (COMMAND_DTYPE), all in one call of the engine; their executions. command_index counts from the first command of `rows`.

        Raises ValueError for an array of another type.
        """
        if rows.dtype != COMMAND_DTYPE or rows.ndim != 1:
            raise ValueError(
                f"commands are a one-dimensional array of COMMAND_DTYPE, not {rows.dtype} of {rows.ndim} dimensions; see commands()"
            )
        self._applied += len(rows)
        return self._engine.apply(rows).executions

    def frames(self, rows: Rows, *, frame_rows: int = FRAME_ROWS) -> Iterator[tuple[int, Rows]]:
        """Apply commands frame by frame: (index of the frame's first command, its executions), for results that do not fit in memory.

        The orders of a list stay in one frame. command_index counts from the frame's first command.
        """
        start = 0
        while start < len(rows):
            end = _frame_end(rows, start, frame_rows)
            yield start, self.apply(rows[start:end])
            start = end


def replay(rows: Rows, instruments: InstrumentTable, *, engine: str = "kernel", levels: bool = True, frame_rows: int = FRAME_ROWS) -> Rows:
    """Apply commands to new books; every execution. Row i has the sequence i + 1; command_index is the index in `rows`."""
    book, found = Backtest(instruments, engine=engine, levels=levels), []
    for start, executions in book.frames(rows, frame_rows=frame_rows):
        executions["command_index"] += np.uint32(start)
        found.append(executions)
    return np.concatenate(found) if found else np.zeros(0, EXECUTION_DTYPE)


def commands(count: int = 0, **columns: Any) -> Rows:
    """Commands from columns: arrays, lists, or one value for all rows; what is not named is zero. `count` is needed if no column has a length.

    Enumerations are numbers (schemas.enums are such). Raises ValueError for a column that is not there, and for lengths that differ.
    """
    names = COMMAND_DTYPE.names or ()
    unknown = sorted(columns.keys() - set(names))
    if unknown:
        raise ValueError(f"no such column: {', '.join(unknown)}; there are {', '.join(names)}")
    arrays = {name: np.asarray(value) for name, value in columns.items()}
    lengths = {name: len(array) for name, array in arrays.items() if array.ndim}
    length = count or max(lengths.values(), default=0)
    if any(one != length for one in lengths.values()):
        raise ValueError(f"columns have different lengths: {lengths}, count {count}")
    rows = np.zeros(length, COMMAND_DTYPE)
    for name, array in arrays.items():
        low, high = (int(bound) for bound in (np.iinfo(rows.dtype[name]).min, np.iinfo(rows.dtype[name]).max))
        if array.dtype.kind not in "iub":
            raise ValueError(f"{name} is {array.dtype}, not whole numbers")
        if array.size and not (low <= int(array.min()) and int(array.max()) <= high):
            raise ValueError(f"{name} is out of range: {low} to {high}")
        rows[name] = array
    return rows


def open_market() -> Rows:
    """One command that brings every instrument to continuous trading."""
    return commands(1, kind=BookCommandKind.TRADING_SESSION_CHANGE, phase=Phase.CONTINUOUS)


def to_arrow(rows: Rows) -> "pa.Table":
    """Commands or executions as an Arrow table of the same columns."""
    import pyarrow as pa

    return pa.table({name: np.ascontiguousarray(rows[name]) for name in rows.dtype.names or ()})


def from_arrow(table: "pa.Table") -> Rows:
    """Commands from an Arrow table; columns that are not there are zero. Raises ValueError like commands()."""
    return commands(len(table), **{name: table[name].to_numpy() for name in table.column_names})


def _frame_end(rows: Rows, start: int, frame_rows: int) -> int:
    """Where a frame from `start` ends: after frame_rows commands, or behind the list that goes on there."""
    end = min(start + max(frame_rows, 1), len(rows))
    while end < len(rows) and rows["list_id"][end] and rows["list_id"][end] == rows["list_id"][end - 1]:
        end += 1
    return end
