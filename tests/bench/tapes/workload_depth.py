"""Deep books: cancels among a million orders, sweeps through thousands, and an auction of a million."""

from typing import Final

import numpy as np
from tapes.tape import REFERENCE_PX, Tape, about, away, bench_instruments, limit_orders, session_change, shuffled_sides

from schemas.codec import Rows
from schemas.enums import BookCommandKind, OrdType, Phase, Side, TimeInForce

DEPTH_TICKS: Final = 5_000
"""Orders of deep-cancel rest up to so many ticks from mid, all equally likely."""
CANCEL_SHARE: Final = 0.9
SWEEP_ORDERS: Final = (100, 5_000)
SWEEP_TICKS: Final = 200
MESSAGE_NS: Final = 1_000
ACCOUNTS: Final = 10_000


def deep_cancel(messages: int, seed: int, *, resting: int = 1_000_000, workload: str = "deep-cancel") -> Tape:
    """`resting` orders in one book, then 90 % cancels of random ones and 10 % new orders."""
    rng = np.random.default_rng(seed)
    new_count = min(messages, resting) - round(CANCEL_SHARE * min(messages, resting))
    orders = resting_orders(rng, resting + new_count)
    gone = rng.permutation(resting)[: min(messages, resting) - new_count]
    rows = np.concatenate([about(BookCommandKind.CANCEL, orders[gone]), orders[resting:]])
    rng.shuffle(rows)
    rows["transact_time"] = MESSAGE_NS * np.arange(1, len(rows) + 1)
    return Tape(workload, seed, bench_instruments(1), np.concatenate([session_change(Phase.CONTINUOUS), orders[:resting]]), rows)


def sweep(resting: int, seed: int) -> Tape:
    """IOC orders of alternating side, each of which takes 100 to 5,000 resting orders (log-uniform), until most of the book is gone.

    A book of less than 100,000 orders gets shorter sweeps.
    """
    rng = np.random.default_rng(seed)
    book = resting_orders(rng, resting)
    book["price"] = away(book["side"], REFERENCE_PX, rng.integers(1, SWEEP_TICKS + 1, resting))
    book["order_qty"] = 10
    most = max(min(SWEEP_ORDERS[1], resting // 20), SWEEP_ORDERS[0])
    pairs = np.exp(rng.uniform(np.log(SWEEP_ORDERS[0]), np.log(most), (resting // SWEEP_ORDERS[0], 2))).astype(np.int64)
    enough = (np.cumsum(pairs, axis=0) <= resting * 9 // 20).all(axis=1)  # nine tenths of either side
    taken = pairs[enough].ravel()
    rows = limit_orders(len(taken))
    rows["order_id"] += resting
    rows["time_in_force"] = TimeInForce.IOC
    rows["side"] = np.where(np.arange(len(taken)) % 2, Side.BUY, Side.SELL)
    rows["price"] = away(rows["side"], REFERENCE_PX, np.full(len(taken), -SWEEP_TICKS))
    rows["order_qty"], rows["account"] = 10 * taken, ACCOUNTS + 1
    rows["transact_time"] = MESSAGE_NS * np.arange(1, len(rows) + 1)
    return Tape("sweep", seed, bench_instruments(1), np.concatenate([session_change(Phase.CONTINUOUS), book]), rows, frame_rows=64)


def auction(orders: int, seed: int) -> Tape:
    """Orders of one instrument collected in the opening auction, 5 % of them market orders; then one uncross."""
    rng = np.random.default_rng(seed)
    rows = resting_orders(rng, orders)
    rows["price"] = REFERENCE_PX + np.rint(rng.normal(0, 50, orders)).astype(np.int64)
    market = rng.random(orders) < 0.05
    rows["ord_type"][market], rows["price"][market] = OrdType.MARKET, 0
    rows["transact_time"] = MESSAGE_NS * np.arange(1, orders + 1)
    setup = np.concatenate([session_change(Phase.PRE_OPEN), session_change(Phase.OPENING_AUCTION)])
    return Tape("auction", seed, bench_instruments(1), setup, rows, session_change(Phase.CONTINUOUS))


def resting_orders(rng: np.random.Generator, count: int) -> Rows:
    """Limit orders of one instrument that do not cross."""
    rows = limit_orders(count)
    rows["side"] = shuffled_sides(rng, count)
    rows["price"] = away(rows["side"], REFERENCE_PX, rng.integers(1, DEPTH_TICKS + 1, count))
    rows["order_qty"] = rng.integers(1, 101, count)
    rows["account"] = rng.integers(1, ACCOUNTS + 1, count)
    return rows
