"""What a book shard's decisions mean for the accounts, said with whole columns; settlement_reports does the same row by row in compiled code."""

from typing import Final

import numpy as np

from matchers.rules.outputs import REPORT_DTYPE
from matchers.settlement.reports import KIND_TABLE, QUIET_RESTATEMENTS
from schemas.codec import Rows
from schemas.enums import BookCommandKind, ExecFlag, ExecKind, Side

_COPIED: Final = ("reason", "instrument", "account", "order_id", "trd_match_id", "rpt_seq", "leaves_qty", "transact_time")


def reports_of(executions: Rows, commands: Rows | None = None) -> Rows:
    """See settlement_reports.reports_of."""
    kinds = executions["kind"]
    wanted = (KIND_TABLE[kinds] != 0) & ((executions["order_id"] != 0) | (kinds == ExecKind.TRADE_BUSTED))
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
    reports["kind"] = KIND_TABLE[source["kind"]]
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
