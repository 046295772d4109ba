"""The canonical form of a shard's state, and its 16-byte hash.

The hash is over what a shard *is*, not how it keeps it: reference, kernel, replay and restore must agree. Left out are log_time and the
counters of rows sent (seq, rpt_seq): a refused command moves these and nothing else, and that it moves nothing else is what the hash can show.
The counters of order_id, trd_match_id and entry are in: they move with accepted orders, trades and resting orders only.
"""

import hashlib
from collections.abc import Mapping
from enum import IntEnum
from typing import Final

import numpy as np

from schemas.codec import Rows


class Place(IntEnum):
    """Where a live order of a book is."""

    NOWHERE = 0
    """On its way within one command; never between commands."""
    RESTING = 1
    DORMANT = 2
    """A stop that is not elected."""
    PARKED = 3
    """A peg without a reference, or outside continuous trading."""
    SECONDARY = 4
    """Waits for the order that triggers it."""
    CLOSING = 5
    """Waits for the closing auction."""
    QUEUED = 6
    """Elected or triggered, its turn has not come; never between commands."""


PEG_STALE: Final = -1
"""In peg_bid: the pegs are to be looked at whatever the reference is."""


BOOK_ORDER_STATE: Final = np.dtype(
    [
        ("entry", "<u8"), ("order_id", "<u8"), ("account", "<u8"), ("instrument", "<u4"), ("place", "u1"), ("side", "u1"), ("ord_type", "u1"),
        ("time_in_force", "u1"), ("exec_inst", "u1"), ("self_match_prevention_instruction", "u1"), ("peg_price_type", "u1"), ("offset_type", "u1"),
        ("order_qty", "<i8"), ("leaves_qty", "<i8"), ("price", "<i8"), ("shown_qty", "<i8"), ("display_qty", "<i8"), ("min_qty", "<i8"),
        ("stop_px", "<i8"), ("offset", "<i8"), ("peg_limit", "<i8"), ("expire_time", "<i8"), ("self_match_prevention_id", "<u8"),
        ("oco_id", "<u8"), ("secondary_1", "<u8"), ("secondary_2", "<u8"),
    ]
)  # fmt: skip
"""Every live order of a book shard, by entry. What an order does not have is 0."""

QUEUE_STATE: Final = np.dtype([("order_id", "<u8")])
"""Resting orders in priority: books by instrument number, buys then sells, best price first, displayed queue then hidden queue."""

BOOK_FACTS: Final = np.dtype(
    [
        ("instrument", "<u4"), ("phase", "u1"), ("extended", "u1"), ("limit_side", "u1"), ("indicative_side", "u1"),
        ("reference_px", "<i8"), ("last_px", "<i8"), ("phase_end", "<i8"), ("session_close", "<i8"), ("indicative_px", "<i8"),
        ("indicative_volume", "<i8"), ("indicative_imbalance", "<i8"), ("luld_reference", "<i8"), ("luld_moved_at", "<i8"), ("band_low", "<i8"),
        ("band_high", "<i8"), ("limit_since", "<i8"), ("peg_bid", "<i8"), ("peg_ask", "<i8"),
    ]
)  # fmt: skip
"""By instrument number."""

SECOND_STATE: Final = np.dtype([("instrument", "<u4"), ("second", "<i8"), ("price_sum", "<i8"), ("trades", "<i8")])
"""Trades of the last five minutes by the second, up to the book's last trade; by instrument number and second."""


def hash_arrays(arrays: Mapping[str, Rows]) -> bytes:
    """16 bytes over names, types, lengths and contents of canonical arrays."""
    digest = hashlib.blake2b(digest_size=16)
    for name in sorted(arrays):
        array = np.ascontiguousarray(arrays[name])
        digest.update(f"{name} {array.dtype.descr} {array.shape};".encode())
        if array.size:
            digest.update(array.reshape(-1).view(np.uint8).data)
    return digest.digest()
