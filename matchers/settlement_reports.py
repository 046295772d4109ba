"""What a book shard's decisions mean for the accounts: executions as book_report_frame rows."""

from typing import Final

import numpy as np

from matchers.shard_outputs import REPORT_DTYPE
from schemas.codec import Rows
from schemas.enums import BookCommandKind, ExecFlag, ExecKind, ReportKind, Side
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

_COPIED: Final = ("reason", "instrument", "account", "order_id", "trd_match_id", "rpt_seq", "leaves_qty", "transact_time")


def _kind_table() -> np.ndarray[tuple[int], np.dtype[np.uint8]]:
    table = np.zeros(256, np.uint8)
    for exec_kind, report_kind in REPORT_OF.items():
        table[exec_kind] = report_kind or 0
    return table


_KIND_TABLE: Final = _kind_table()


def reports_of(executions: Rows, commands: Rows | None = None) -> Rows:
    """Report rows in the order of the executions; a TRADE makes two: the aggressor's, then the resting order's.

    In an uncross nobody is the aggressor: the buy's report comes first, then the sell's. Rows without an order (order_id 0: prices, phases, time, commands that
    were none) make no report. `commands`: the input frame that made the executions. It tells the parties of a TRADE_BUST (two reports, the buy's first), and which
    CANCEL_REJECTED rows are a mass cancel's about frozen orders: these answer no request of an account, so they make no report. Without it there must be neither.
    """
    kinds = executions["kind"]
    wanted = (_KIND_TABLE[kinds] != 0) & ((executions["order_id"] != 0) | (kinds == ExecKind.TRADE_BUSTED))
    restated = kinds == ExecKind.RESTATED
    if restated.any():
        wanted &= ~(restated & np.isin(executions["reason"], QUIET_RESTATEMENTS))
    busted = kinds == ExecKind.TRADE_BUSTED
    if commands is not None:
        refused = kinds == ExecKind.CANCEL_REJECTED
        if refused.any():
            wanted &= ~(refused & (commands["kind"][executions["command_index"]] == BookCommandKind.MASS_CANCEL))
    else:
        wanted &= ~busted
    source = executions[np.flatnonzero(wanted)]
    twice = (source["kind"] == ExecKind.TRADE) | (source["kind"] == ExecKind.TRADE_BUSTED)
    source = source[np.repeat(np.arange(len(source)), 1 + twice)]
    reports = np.zeros(len(source), REPORT_DTYPE)
    for column in _COPIED:
        reports[column] = source[column]
    reports["kind"] = _KIND_TABLE[source["kind"]]
    reports["last_qty"], reports["ord_type"] = source["qty"], source["ord_type"]
    seconds = np.cumsum(1 + twice)[twice] - 1
    trades = seconds[source["kind"][seconds] == ExecKind.TRADE]
    for column, contra in (("account", "contra_account"), ("order_id", "contra_order_id"), ("leaves_qty", "contra_leaves_qty")):
        reports[column][trades] = source[contra][trades]
    reports["aggressor"][trades - 1] = (source["flags"][trades] & ExecFlag.UNCROSS) == 0
    priced = np.isin(source["kind"], (ExecKind.TRADE, ExecKind.REPLACED, ExecKind.RESTATED, ExecKind.TRIGGERED, ExecKind.TRADE_BUSTED))
    reports["last_px"][priced] = source["price"][priced]
    if commands is not None and busted.any():
        _name_parties(reports, source, seconds[source["kind"][seconds] == ExecKind.TRADE_BUSTED], commands)
    return reports


def _name_parties(reports: Rows, source: Rows, sells: Rows, commands: Rows) -> None:
    """Of busted trades, from the command (see BookCommandKind.TRADE_BUST): `sells` are the rows of the sells, the buys' are those before them."""
    command = commands[source["command_index"][sells]]
    for rows, side, account, order_id in (
        (sells - 1, Side.BUY, "account", "order_id"),
        (sells, Side.SELL, "self_match_prevention_id", "list_id"),
    ):
        reports["side"][rows], reports["account"][rows], reports["order_id"][rows] = side, command[account], command[order_id]
        reports["aggressor"][rows] = command["side"] == side
