"""The daily market summary: a line for each instrument with its prices, volume, orders and interruptions. No I/O."""

from collections.abc import Iterator
from typing import Any, Final

import numpy as np

from reports.facts import DayFacts
from reports.reference import Reference
from reports.tables import csv_lines
from schemas.codec import Rows
from schemas.enums import ExecFlag, ExecKind, Phase
from schemas.units import minor_to_text

COLUMNS: Final = (
    "symbol", "open", "high", "low", "close", "volume", "turnover", "trades", "auction_volume", "broken_trades", "orders", "canceled_orders",
    "expired_orders", "halts", "last_bid", "last_offer",
)  # fmt: skip
HALTED: Final = (Phase.HALTED, Phase.CANCEL_ONLY, Phase.VOLATILITY_AUCTION)


def summary_lines(facts: DayFacts, _reference: Reference) -> Iterator[bytes]:
    """CSV with a header. Prices and quantities are decimal text, turnover is cash. Trades that were undone on the day are left out, and counted."""
    return csv_lines(COLUMNS, (_line(facts, number) for number in sorted(facts.instruments.by_number)))


def _line(facts: DayFacts, number: int) -> tuple[Any, ...]:
    one = facts.instruments.by_number[number]
    rows = facts.executions[facts.executions["instrument"] == number]
    kinds = rows["kind"]
    busted = rows["trd_match_id"][kinds == ExecKind.TRADE_BUSTED]
    trades = rows[(kinds == ExecKind.TRADE) & ~np.isin(rows["trd_match_id"], busted)]
    prices, lots = trades["price"], trades["qty"]
    auction = int(lots[trades["flags"] & ExecFlag.UNCROSS != 0].sum())
    # ticks x lots of one trade need up to 55 bits, so their sum is one of Python's integers
    turnover = sum(price * qty for price, qty in zip(prices.tolist(), lots.tolist(), strict=True))
    turnover *= int(facts.instruments.rules["lot_minor_per_tick"][number])
    market = facts.markets[(facts.markets["instrument"] == number) & (facts.markets["kind"] == ExecKind.SECURITY_STATUS)]
    phases = market["phase"].tolist()
    halts = sum(now in HALTED and (not at or phases[at - 1] not in HALTED) for at, now in enumerate(phases))
    counts = [int((kinds == kind).sum()) for kind in (ExecKind.NEW, ExecKind.CANCELED, ExecKind.EXPIRED)]
    shown = [one.price_text(int(price)) if len(trades) else "" for price in _bar(prices)]
    last = [one.price_text(price) if price else "" for price in _last_tops(facts.tops[facts.tops["instrument"] == number])]
    return (
        one.symbol, *shown, one.qty_text(int(lots.sum())), minor_to_text(turnover), len(trades), one.qty_text(auction), len(busted), *counts, halts,
        *last,
    )  # fmt: skip


def _bar(prices: Rows) -> tuple[int, int, int, int]:
    return (int(prices[0]), int(prices.max()), int(prices.min()), int(prices[-1])) if len(prices) else (0, 0, 0, 0)


def _last_tops(tops: Rows) -> list[int]:
    """Ticks of the last best bid and offer of the day, 0: none."""
    sides = [tops["price"][tops["side"] == side] for side in (1, 2)]
    return [int(one[-1]) if len(one) else 0 for one in sides]
