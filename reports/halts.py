"""Halts and price bands: every change of phase and of a band, with its reason and the prices that a band comes from. No I/O."""

from collections.abc import Iterator
from typing import Any, Final

import numpy as np

from reports.facts import DayFacts
from reports.reference import Reference
from reports.tables import csv_lines
from schemas.codec import Rows
from schemas.enums import ExecKind, Phase, Side
from schemas.reject_reasons import SENTENCES, Reason
from schemas.units import NANOS_PER_SECOND

COLUMNS: Final = (
    "time", "symbol", "event", "phase", "reason", "explanation", "side", "band", "reference", "last_price", "trades_in_5_minutes", "mean_of_5_minutes",
)  # fmt: skip
WINDOW_S: Final = 300
"""Whole seconds of log time, the last one included: what the reference of Limit Up-Limit Down is the mean of."""


def halt_lines(facts: DayFacts, _reference: Reference) -> Iterator[bytes]:
    """CSV with a header, by symbol's number and time. A band of 0 is the end of that band; `reference` is what an update of the instrument said."""
    return csv_lines(COLUMNS, (line for number in sorted(facts.instruments.by_number) for line in _lines(facts, number)))


def _lines(facts: DayFacts, number: int) -> Iterator[tuple[Any, ...]]:
    one = facts.instruments.by_number[number]
    rows = facts.markets[facts.markets["instrument"] == number]
    trades = facts.executions[(facts.executions["instrument"] == number) & (facts.executions["kind"] == ExecKind.TRADE)]
    before = np.searchsorted(trades["rpt_seq"], rows["rpt_seq"])
    counts, means = five_minutes(trades, rows["transact_time"], before)
    last = [one.price_text(int(trades["price"][at - 1])) if at else "" for at in before.tolist()]
    stamps = facts.day.stamps(rows["transact_time"])
    columns = (rows[name].tolist() for name in ("kind", "phase", "reason", "side", "price"))
    for stamp, kind, phase, reason, side, price, last_price, count, mean in zip(
        stamps, *columns, last, counts.tolist(), means.tolist(), strict=True
    ):
        is_band = kind == ExecKind.PRICE_BAND
        shown = one.price_text(price) if price else ""
        yield (
            stamp, one.symbol, "BAND" if is_band else "PHASE", "" if is_band else Phase(phase).name, Reason(reason).name if reason else "",
            SENTENCES[Reason(reason)], Side(side).name if side else "", (shown or "0") if is_band else "", "" if is_band else shown, last_price,
            count, one.price_text(mean) if mean else "",
        )  # fmt: skip


def five_minutes(trades: Rows, times: Rows, before: Rows) -> tuple[Rows, Rows]:
    """For each time, of the trades that are among the first `before` ones: how many fall into its window, and their mean price rounded half up, ticks."""
    first = np.searchsorted(trades["transact_time"], (times // NANOS_PER_SECOND - WINDOW_S + 1) * NANOS_PER_SECOND)
    sums = np.concatenate([[0], np.cumsum(trades["price"])])  # 2^31 ticks x a day's trades stay below 2^63
    counts = np.maximum(before - first, 0)
    totals = np.where(counts > 0, sums[before] - sums[np.minimum(first, before)], 0)
    return counts, np.where(counts > 0, (2 * totals + counts) // np.maximum(2 * counts, 1), 0)
