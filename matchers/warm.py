"""Compile every kernel before a shard joins its consumer group: the first time takes 1 to 2.5 minutes of one core, later starts read numba's cache."""

from collections.abc import Callable
from decimal import Decimal

import numpy as np

from matchers.accounts.shard import AccountShard
from matchers.books.shard import BookShard
from matchers.rules.outputs import BOOK_COMMAND_DTYPE, COMMAND_DTYPE, EXECUTION_DTYPE, REPORT_DTYPE
from matchers.settlement.reports import reports_of
from schemas import columns
from schemas.codec import Rows
from schemas.instruments import Instrument, InstrumentTable

Progress = Callable[[str], None]


def _instruments() -> InstrumentTable:
    one = Decimal(1)
    return InstrumentTable([Instrument(1, "WARM", "compiles the kernels", one / 100, one, one, one, one, 10)])


def warm_columns() -> None:
    """Compile or load the coding of columns, which both shards need."""
    columns.warm()


def warm_accounts(progress: Progress | None = None) -> None:
    """Compile or load the kernels of the account shard; `progress` is told the name of each step before it starts."""
    no_text = np.zeros(0, "S8")
    machine = AccountShard(0, _instruments())
    _run(
        progress,
        {
            "columns of frames": warm_columns,
            "account kernel: commands": lambda: machine.apply_commands(_no_rows(COMMAND_DTYPE), no_text, -1),
            "account kernel: reports": lambda: machine.apply_reports(_no_rows(REPORT_DTYPE)),
            "account kernel: snapshot": lambda: AccountShard.restore(0, _instruments(), machine.snapshot()).state_hash(),
        },
    )


def warm_books(progress: Progress | None = None) -> None:
    """Compile or load the kernels of the book shard."""
    machine = BookShard(0, _instruments(), 1)
    _run(
        progress,
        {
            "columns of frames": warm_columns,
            "book kernel: commands": lambda: machine.apply(_no_rows(BOOK_COMMAND_DTYPE)),
            "book kernel: reports": lambda: reports_of(_no_rows(EXECUTION_DTYPE)),
            "book kernel: snapshot": lambda: BookShard.restore(0, _instruments(), machine.snapshot()).state_hash(),
        },
    )


def warm(progress: Progress | None = None) -> None:
    """Compile or load all kernels."""
    warm_accounts(progress)
    warm_books(progress)


def _no_rows(dtype: np.dtype[np.void]) -> Rows:
    return np.zeros(0, dtype)


def _run(progress: Progress | None, steps: dict[str, Callable[[], object]]) -> None:
    for name, step in steps.items():
        if progress is not None:
            progress(name)
        step()
