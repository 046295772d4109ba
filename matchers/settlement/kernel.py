"""Executions as reports to the account shards, row by row; see settlement_reports."""

from typing import Any, Final

from matchers.compiled.compilation import helper, kernel
from matchers.compiled.hash_index import U
from matchers.compiled.words import (
    REPORT_CANCEL_REJECTED,
    REPORT_REPLACED,
    REPORT_RESTATED,
    REPORT_TRADE,
    REPORT_TRADE_BUSTED,
    REPORT_TRIGGERED,
    SIDE_BUY,
    SIDE_SELL,
)
from schemas.enums import BookCommandKind, ExecFlag

_MASS_CANCEL: Final = int(BookCommandKind.MASS_CANCEL)
_UNCROSS: Final = int(ExecFlag.UNCROSS)
_ZERO: Final = U(0)


@helper
def _write(report: Any, row: Any, kind: Any) -> None:
    """What every report has."""
    report.kind = kind
    report.ord_type = row.ord_type
    report.reason = row.reason
    report.instrument = row.instrument
    report.account = row.account
    report.order_id = row.order_id
    report.trd_match_id = row.trd_match_id
    report.rpt_seq = row.rpt_seq
    report.last_qty = row.qty
    report.leaves_qty = row.leaves_qty
    report.transact_time = row.transact_time
    if kind in (REPORT_TRADE, REPORT_REPLACED, REPORT_RESTATED, REPORT_TRIGGERED, REPORT_TRADE_BUSTED):
        report.last_px = row.price


@kernel
def write_reports(rows: Any, commands: Any, kinds: Any, quiet: Any, reports: Any) -> Any:
    """Reports of execution rows into `reports`, zeroed and twice as long; how many. kinds: ReportKind of each ExecKind; quiet: reasons that nobody hears of."""
    count = 0
    for at in range(rows.shape[0]):
        row = rows[at]
        kind = kinds[row.kind]
        if kind == 0 or (row.order_id == _ZERO and kind != REPORT_TRADE_BUSTED):
            continue
        if kind == REPORT_RESTATED and row.reason < quiet.shape[0] and quiet[row.reason] != 0:
            continue
        if kind == REPORT_TRADE_BUSTED and commands.shape[0] == 0:
            continue
        if kind == REPORT_CANCEL_REJECTED and commands.shape[0] != 0 and commands[row.command_index].kind == _MASS_CANCEL:
            continue
        report = reports[count]
        _write(report, row, kind)
        count += 1
        if kind == REPORT_TRADE:
            report.aggressor = row.flags & _UNCROSS == 0
            contra = reports[count]
            _write(contra, row, kind)
            contra.account = row.contra_account
            contra.order_id = row.contra_order_id
            contra.leaves_qty = row.contra_leaves_qty
            count += 1
        elif kind == REPORT_TRADE_BUSTED:
            command = commands[row.command_index]
            report.side = SIDE_BUY
            report.account = command.account
            report.order_id = command.order_id
            report.aggressor = command.side == SIDE_BUY
            contra = reports[count]
            _write(contra, row, kind)
            contra.side = SIDE_SELL
            contra.account = command.self_match_prevention_id
            contra.order_id = command.list_id
            contra.aggressor = command.side == SIDE_SELL
            count += 1
    return count
