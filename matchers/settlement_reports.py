"""What a book shard's decisions mean for the accounts: executions as book_report_frame rows."""

from typing import Final

import numpy as np

from matchers.shard_outputs import REPORT_DTYPE
from schemas.codec import Rows
from schemas.enums import ExecFlag, ExecKind, ReportKind

REPORT_OF: Final[dict[ExecKind, ReportKind | None]] = {
    ExecKind.NEW: None,  # an accepted order is new for its account already
    ExecKind.TRADE: ReportKind.TRADE,
    ExecKind.CANCELED: ReportKind.CANCELED,
    ExecKind.EXPIRED: ReportKind.EXPIRED,
    ExecKind.REJECTED: ReportKind.REJECTED,
    ExecKind.CANCEL_REJECTED: ReportKind.CANCEL_REJECTED,
    # public, or of a whole instrument
    ExecKind.LEVEL: None,
    ExecKind.TOP: None,
    ExecKind.SECURITY_STATUS: None,
    ExecKind.TIME: None,
    ExecKind.AUCTION_INDICATIVE: None,
    ExecKind.PRICE_BAND: None,
    # Holds stay as they are. Account shards forward neither replaces nor orders that are triggered or have a self_match_prevention_id, and a
    # plain order is only ever restated to a price that is better for its owner (at the price band), which its hold covers.
    ExecKind.REPLACED: None,
    ExecKind.TRIGGERED: None,
    ExecKind.RESTATED: None,
    # the ledgers keep a busted trade until account shards can post its reversal: operators have no command for it yet
    ExecKind.TRADE_BUSTED: None,
}
"""What an account shard hears of each kind; None: nothing. A test shows that every kind is here."""


def _kind_table() -> np.ndarray[tuple[int], np.dtype[np.uint8]]:
    table = np.zeros(256, np.uint8)
    for exec_kind, report_kind in REPORT_OF.items():
        table[exec_kind] = report_kind or 0
    return table


_KIND_TABLE: Final = _kind_table()


def reports_of(executions: Rows) -> Rows:
    """Report rows in the order of the executions; a TRADE makes two: the aggressor's, then the resting order's.

    In an uncross nobody is the aggressor: the buy's report comes first, then the sell's.
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
    continuous = (source["flags"][last_of_trade] & ExecFlag.UNCROSS) == 0
    reports["aggressor"][last_of_trade - 1] = continuous
    return reports
