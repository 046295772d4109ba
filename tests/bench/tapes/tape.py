"""A tape: the commands of one workload for one book shard, with the instruments that take them, and the pieces that generators share."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Final

import numpy as np

from matchers.rules.outputs import BOOK_COMMAND_DTYPE
from schemas.codec import Rows
from schemas.enums import BookCommandKind, OrdType, Phase, Side, TimeInForce
from schemas.instruments import Instrument, InstrumentTable

Numbers = np.ndarray[Any, np.dtype[Any]]

FRAME_ROWS: Final = 4_096
ORDER_ID_BASE: Final = 1 << 44
"""Order ids are those that account shard 1 gives: shard << 44 | dense number."""
REFERENCE_PX: Final = 10_000
"""Ticks: 100.00 at a tick of 0.01; what the orders of every workload but the survey are priced around."""


@dataclass(frozen=True)
class Tape:
    """What is done outside the clock (`setup`), what is measured (`rows`) and what ends it, measured by itself (`finish`)."""

    workload: str
    seed: int
    instruments: InstrumentTable
    setup: Rows
    rows: Rows
    finish: Rows = field(default_factory=lambda: empty_rows(0))
    frame_rows: int = FRAME_ROWS

    def head(self, count: int) -> "Tape":
        """The same tape, stopped after `count` rows (of `rows`; a list is not cut)."""
        end = next(iter(cuts(self.rows, count)), 0)
        return Tape(self.workload, self.seed, self.instruments, self.setup, self.rows[:end], self.finish, self.frame_rows)


def empty_rows(count: int) -> Rows:
    """book_command_frame rows, all zero."""
    return np.zeros(count, BOOK_COMMAND_DTYPE)


def cuts(rows: Rows, frame_rows: int) -> Iterator[int]:
    """Ends of the frames of about `frame_rows` rows: orders of one list stay in one frame."""
    list_id, end = rows["list_id"], 0
    while end < len(rows):
        end = min(end + frame_rows, len(rows))
        while end < len(rows) and list_id[end] and list_id[end] == list_id[end - 1]:
            end += 1
        yield end


def frames(rows: Rows, frame_rows: int) -> list[Rows]:
    """The rows in frames: views, for copies of a long tape would be in the way of measuring memory."""
    ends = list(cuts(rows, frame_rows))
    return [rows[begin:end] for begin, end in zip([0, *ends], ends, strict=False)]


def bench_instruments(
    count: int, tick: str = "0.01", reference: str = "100", luld_tier: int = 0, protection_percent: int = 50
) -> InstrumentTable:
    """`count` instruments with one-share lots whose limits refuse nothing that the workloads send."""
    return InstrumentTable(
        Instrument(
            number, f"B{number}", "", Decimal(tick), Decimal(1), Decimal(10_000_000), Decimal(10**12), Decimal(reference),
            protection_percent, luld_tier=luld_tier,
        )
        for number in range(1, count + 1)
    )  # fmt: skip


def limit_orders(count: int) -> Rows:
    """NEW_ORDER rows, LIMIT and DAY, numbered from 1; the caller says what, whose and how much."""
    rows = empty_rows(count)
    rows["kind"], rows["ord_type"], rows["time_in_force"] = BookCommandKind.NEW_ORDER, OrdType.LIMIT, TimeInForce.DAY
    rows["order_id"] = ORDER_ID_BASE + np.arange(1, count + 1, dtype=np.uint64)
    rows["instrument"] = 1
    return rows


def about(kind: BookCommandKind, orders: Rows) -> Rows:
    """Rows that name orders of the tape: their number, owner, instrument and side."""
    rows = empty_rows(len(orders))
    rows["kind"] = kind
    for column in ("order_id", "account", "instrument", "side"):
        rows[column] = orders[column]
    return rows


def session_change(phase: Phase) -> Rows:
    """One row that leads every instrument to `phase`."""
    row = empty_rows(1)
    row["kind"], row["phase"] = BookCommandKind.TRADING_SESSION_CHANGE, phase
    return row


def merged(parts: list[tuple[Numbers, Rows]], ns: float) -> Rows:
    """The rows of all parts by their time (in units of `ns` nanoseconds), ties in the order of the parts; transact_time is set."""
    when = np.concatenate([one for one, _ in parts])
    order = np.argsort(when, kind="stable")
    rows = np.concatenate([rows for _, rows in parts])[order]
    rows["transact_time"] = (when[order] * ns).astype(np.int64)
    return rows


def shuffled_sides(rng: np.random.Generator, count: int) -> Numbers:
    """Half BUY, half SELL, in random order."""
    sides = np.where(np.arange(count) % 2, Side.BUY, Side.SELL).astype(np.uint8)
    rng.shuffle(sides)
    return sides


def away(side: Numbers, mid: Numbers | int, ticks: Numbers) -> Numbers:
    """Prices `ticks` away from mid on the side's own half of the book (negative: on the other half)."""
    prices: Numbers = np.where(side == Side.BUY, mid - ticks, mid + ticks)
    return prices


def weighted(rng: np.random.Generator, weights: Numbers, count: int) -> Numbers:
    """`count` indices of `weights`, each drawn with its weight."""
    share = np.cumsum(weights, dtype=np.float64)
    drawn: Numbers = np.searchsorted(share, rng.random(count) * share[-1], side="right")
    return drawn


def power_law(rng: np.random.Generator, exponent: float, most: int, count: int) -> Numbers:
    """Integers 1 to `most`, n with weight n ** -exponent."""
    return 1 + weighted(rng, np.arange(1, most + 1, dtype=np.float64) ** -exponent, count)
