"""What a book shard's decisions mean for the accounts: executions as book_report_frame rows."""

from typing import Final

import numpy as np

from matchers.compiled.pools import kernel_rows
from matchers.rules.outputs import BOOK_COMMAND_DTYPE, EXECUTION_DTYPE, REPORT_DTYPE
from matchers.settlement.kernel import write_reports
from schemas.codec import Rows
from schemas.enums import ExecKind, ReportKind
from schemas.reject_reasons import Reason

REPORT_OF: Final[dict[ExecKind, ReportKind | None]] = {
    ExecKind.NEW: None,  # an accepted order is new for its account already
    ExecKind.TRADE: ReportKind.TRADE,
    ExecKind.CANCELED: ReportKind.CANCELED,
    ExecKind.EXPIRED: ReportKind.EXPIRED,
    ExecKind.REJECTED: ReportKind.REJECTED,
    ExecKind.CANCEL_REJECTED: ReportKind.CANCEL_REJECTED,
    ExecKind.REPLACED: ReportKind.REPLACED,
    ExecKind.RESTATED: ReportKind.RESTATED,
    ExecKind.TRIGGERED: ReportKind.TRIGGERED,
    ExecKind.TRADE_BUSTED: ReportKind.TRADE_BUSTED,
    # public, or of a whole instrument
    ExecKind.LEVEL: None,
    ExecKind.TOP: None,
    ExecKind.SECURITY_STATUS: None,
    ExecKind.TIME: None,
    ExecKind.AUCTION_INDICATIVE: None,
    ExecKind.PRICE_BAND: None,
}
"""What an account shard hears of each kind; None: nothing. A test shows that every kind is here."""

QUIET_RESTATEMENTS: Final = (Reason.START_OF_DAY, Reason.ICEBERG_REPLENISHED, Reason.PEG_REPRICED, Reason.PEG_PARKED)
"""Neither quantity nor limit changes, so no hold does: accounts do not hear of them (a peg's every move would be one)."""


def _kind_table() -> np.ndarray[tuple[int], np.dtype[np.uint8]]:
    table = np.zeros(256, np.uint8)
    for exec_kind, report_kind in REPORT_OF.items():
        table[exec_kind] = report_kind or 0
    return table


KIND_TABLE: Final = _kind_table()
_NO_COMMANDS: Final = np.zeros(0, BOOK_COMMAND_DTYPE)


def _quiet_table() -> np.ndarray[tuple[int], np.dtype[np.uint8]]:
    table = np.zeros(max(Reason) + 1, np.uint8)
    table[list(QUIET_RESTATEMENTS)] = 1
    return table


_QUIET_TABLE: Final = _quiet_table()


def reports_of(executions: Rows, commands: Rows | None = None) -> Rows:
    """Report rows in the order of the executions; a TRADE makes two: the aggressor's, then the resting order's.

    In an uncross nobody is the aggressor: the buy's report comes first, then the sell's. Rows without an order (order_id 0: prices, phases, time, commands that
    were none) make no report. `commands`: the input frame that made the executions. It tells the parties of a TRADE_BUST (two reports, the buy's first), and which
    CANCEL_REJECTED rows are a mass cancel's about frozen orders: these answer no request of an account, so they make no report. Without it there must be neither.
    """
    rows = kernel_rows(executions, EXECUTION_DTYPE)
    given = _NO_COMMANDS if commands is None else kernel_rows(commands, BOOK_COMMAND_DTYPE)
    reports = np.zeros(2 * len(rows), REPORT_DTYPE)
    return reports[: write_reports(rows, given, KIND_TABLE, _QUIET_TABLE, reports)]
