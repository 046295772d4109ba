"""What a book shard's decisions mean for the accounts: executions as book_report_frame rows."""

from typing import Final

import numpy as np

from matchers.shard_outputs import REPORT_DTYPE
from schemas.codec import Rows
from schemas.enums import ExecKind, ReportKind

_REPORT_OF: Final = {
    ExecKind.TRADE: ReportKind.TRADE,
    ExecKind.CANCELED: ReportKind.CANCELED,
    ExecKind.EXPIRED: ReportKind.EXPIRED,
    ExecKind.REJECTED: ReportKind.REJECTED,
    ExecKind.CANCEL_REJECTED: ReportKind.CANCEL_REJECTED,
}


def _kind_table() -> np.ndarray[tuple[int], np.dtype[np.uint8]]:
    table = np.zeros(256, np.uint8)
    for exec_kind, report_kind in _REPORT_OF.items():
        table[exec_kind] = report_kind
    return table


_KIND_TABLE: Final = _kind_table()


def reports_of(executions: Rows) -> Rows:
    """Report rows in the order of the executions; a TRADE makes two: the aggressor's, then the resting order's.

    Rows without an order (order_id 0: prices, phases, time, commands that were none) make no report.
    """
    reported = np.flatnonzero((_KIND_TABLE[executions["kind"]] != 0) & (executions["order_id"] != 0))
    source = executions[reported]
    trades = source["kind"] == ExecKind.TRADE
    source = source[np.repeat(np.arange(len(source)), 1 + trades)]
    reports = np.zeros(len(source), REPORT_DTYPE)
    for column in ("reason", "instrument", "account", "order_id", "trd_match_id", "rpt_seq", "leaves_qty", "transact_time"):
        reports[column] = source[column]
    reports["kind"] = _KIND_TABLE[source["kind"]]
    reports["last_qty"] = source["qty"]
    last_of_trade = np.cumsum(1 + trades)[trades] - 1
    for column, contra in (("account", "contra_account"), ("order_id", "contra_order_id"), ("leaves_qty", "contra_leaves_qty")):
        reports[column][last_of_trade] = source[contra][last_of_trade]
    is_trade = source["kind"] == ExecKind.TRADE
    reports["last_px"][is_trade] = source["price"][is_trade]
    reports["aggressor"][last_of_trade - 1] = 1
    return reports
