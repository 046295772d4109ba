"""A market in one book as frames of `executions`, with the reference book after each."""

from collections.abc import Iterator

import numpy as np

from matchers.books.reference.shard import BookShard
from matchers.research.backtest import commands, open_market
from matchers.research.book_view import BookView, view_book
from schemas.codec import Rows
from schemas.enums import BookCommandKind, OrdType, TimeInForce
from schemas.instruments import load_instruments

INSTRUMENTS = load_instruments(None)
MS = 1_000_000
OWN = 7
"""An account that trades there too."""


def session(count: int = 150, seed: int = 1) -> Rows:
    """Commands of a market in which account OWN trades too, a millisecond each."""
    rng = np.random.default_rng(seed)
    kind = np.where(rng.random(count) < 0.3, BookCommandKind.CANCEL, BookCommandKind.NEW_ORDER)
    kind[:20] = BookCommandKind.NEW_ORDER
    order_id = np.where(kind == BookCommandKind.NEW_ORDER, np.arange(1, count + 1), rng.integers(1, np.maximum(2, np.arange(count))))
    account = rng.integers(5, 9, count)
    return np.concatenate([open_market(), commands(
        kind=kind, instrument=1, ord_type=OrdType.LIMIT, time_in_force=TimeInForce.GTC, account=account, order_id=order_id,
        side=rng.integers(1, 3, count), order_qty=rng.integers(1, 50, count), price=rng.integers(17_990, 18_011, count),
        transact_time=(np.arange(count) + 1) * MS,
    )])  # fmt: skip


def frames(rows: Rows) -> Iterator[tuple[int, Rows, int, BookView]]:
    """(offset, executions, first sequence number, book after it) of each command as a frame of its own."""
    shard = BookShard(0, INSTRUMENTS, 1)
    for offset, row in enumerate(np.split(rows, len(rows))):
        out = shard.apply(row)
        if len(out.executions):
            yield offset, out.executions, out.first_seq, view_book(shard.snapshot(), 1)
