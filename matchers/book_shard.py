"""The book shard that the exchange runs: owns the arrays of the book kernel, grows them, saves and restores them.

The rules are in reference_book_shard. Arrays given out belong to the caller; those of snapshot() are views that the next call changes.
"""

from typing import Self

import numpy as np

from matchers import kernel_book_layout as layout
from matchers.kernel_book_levels import orders_in_priority, refill_order_index, refill_tree
from matchers.kernel_books import apply_book_commands
from matchers.kernel_price_tree import NODES_PER_LEVEL_MAX
from matchers.order_rules import COMBINATION_TABLE
from matchers.pools import ROWS_AT_FIRST, capacity_for, grown, kernel_rows, new_index, new_pool
from matchers.shard_limits import DEFAULT_LIMITS, ShardLimits
from matchers.shard_outputs import BOOK_COMMAND_DTYPE, EXECUTION_DTYPE, BookOutput
from matchers.snapshot_head import check_head, check_layout, head_array
from matchers.state_hash import BOOK_STATE, RESTING_STATE, hash_arrays
from schemas.codec import Rows
from schemas.enums import Side
from schemas.instruments import InstrumentTable

__all__ = ["BookOutput", "BookShard"]

_BITS = np.dtype(np.uint64)
_CHILDREN = np.dtype(np.int32)
_SAVED = {
    "books": layout.BOOK_ROW, "sides": layout.SIDE_ROW, "levels": layout.LEVEL_ROW, "resting": layout.RESTING_ROW, "kernel_head": np.dtype(np.int64),
}  # fmt: skip
_EXECUTIONS_A_COMMAND = 8
"""Room at first; typical is 4 to 6. When it does not do, the kernel stops and is given more."""


class BookShard:
    """The books of the instruments with instrument % shards == shard; see reference_book_shard.BookShard."""

    def __init__(self, shard: int, instruments: InstrumentTable, shards: int, limits: ShardLimits = DEFAULT_LIMITS) -> None:
        assert 0 <= shard < shards, "no such shard"
        self.shard = shard
        self.shards = shards
        self.limits = limits
        self.instruments = instruments
        numbers = [number for number in sorted(instruments.by_number) if number % shards == shard]
        self._book_of = np.full(max(instruments.by_number) + 1, -1, np.int32)
        self._book_of[numbers] = np.arange(len(numbers))
        self._combinations = COMBINATION_TABLE.copy()  # its own: a read-only array would be another type to the kernels
        self._head = np.zeros(layout.HEAD_LENGTH, np.int64)
        self._head[[layout.ORDERS_USED, layout.LEVELS_USED]] = 1
        self._head[layout.SHARD], self._head[layout.ORDERS_MAX] = shard, limits.orders_max
        self._call = np.zeros(layout.CALL_LENGTH, np.int64)
        self._books, self._sides = np.zeros(len(numbers), layout.BOOK_ROW), np.zeros(2 * len(numbers), layout.SIDE_ROW)
        self._books["instrument"] = numbers
        self._sides["root"] = np.arange(len(self._sides)) + 1
        self._levels, self._resting = new_pool(layout.LEVEL_ROW, ROWS_AT_FIRST), new_pool(layout.RESTING_ROW, ROWS_AT_FIRST)
        self._order_index = new_index(len(self._resting))
        self._new_tree(len(self._levels))

    @property
    def log_time(self) -> int:
        """ns; the latest transact_time seen."""
        return int(self._head[layout.LOG_TIME])

    @property
    def last_seq(self) -> int:
        """Number of the latest execution row."""
        return int(self._head[layout.LAST_SEQ])

    def apply(self, rows: Rows) -> BookOutput:
        """Apply book_command_frame rows."""
        rows = kernel_rows(rows, BOOK_COMMAND_DTYPE)
        call, first_seq = self._call, self.last_seq + 1
        call[:] = 0
        executions = new_pool(EXECUTION_DTYPE, _EXECUTIONS_A_COMMAND * len(rows) + 8)
        while True:
            apply_book_commands(
                rows, self._head, self._tree, call, self._books, self._sides, self._levels, self._resting, self._node_bits, self._node_child,
                self._order_index, self._book_of, self._combinations, executions,
            )  # fmt: skip
            if call[layout.NEXT_ROW] == len(rows):
                break
            if call[layout.NEED] == layout.NEED_EXECUTIONS:
                executions = grown(executions, max(2 * len(executions), int(call[layout.NEED_ROWS])))
            else:
                self._grow(int(call[layout.NEED]))
            call[layout.NEED] = 0
        return BookOutput(executions[: call[layout.EXECUTIONS]], first_seq)

    # -- memory

    def _new_tree(self, level_rows: int) -> None:
        """The price tree anew, with room for the levels that there are."""
        roots = len(self._sides)
        nodes = capacity_for(roots + 1 + NODES_PER_LEVEL_MAX * (int(self._head[layout.LEVELS]) + 1))
        self._node_bits, self._node_child = new_pool(_BITS, nodes), new_pool(_CHILDREN, nodes, 64)
        self._tree = np.array([roots + 1, 0], np.int64)
        refill_tree(self._tree, self._levels, self._sides, self._node_bits, self._node_child, int(self._head[layout.LEVELS_USED]))

    def _grow(self, need: int) -> None:
        """Double one pool."""
        if need == layout.NEED_LEVELS:
            self._levels = grown(self._levels, 2 * len(self._levels))
        elif need == layout.NEED_NODES:
            self._node_bits, self._node_child = (
                grown(self._node_bits, 2 * len(self._node_bits)),
                grown(self._node_child, 2 * len(self._node_bits)),
            )
        else:
            assert need == layout.NEED_ORDERS, f"the kernel stopped without a need: {need}"
            self._resting = grown(self._resting, 2 * len(self._resting))
            self._order_index = new_index(len(self._resting))
            refill_order_index(self._head, self._resting, self._order_index)

    # -- hash, snapshot, restore

    def state_hash(self) -> bytes:
        """16 bytes over the canonical state, see state_hash.py."""
        walk = np.zeros((int(self._head[layout.ORDERS]), 2), np.int64)
        count = orders_in_priority(self._sides, self._levels, self._resting, walk)
        assert count == len(walk), f"{count} orders in the books, {len(walk)} counted"
        source, side_rows = self._resting[walk[:, 0]], walk[:, 1]
        orders = np.zeros(len(walk), RESTING_STATE)
        for column in ("order_id", "account", "entry", "ord_type", "time_in_force", "order_qty", "leaves_qty"):
            orders[column] = source[column]
        orders["instrument"] = self._books["instrument"][side_rows >> 1]
        orders["side"] = np.where(side_rows & 1, Side.SELL, Side.BUY)
        orders["price"] = self._levels["price"][source["level"]]
        books = np.zeros(len(self._books), BOOK_STATE)
        books["instrument"], books["phase"] = self._books["instrument"], self._books["phase"]
        counters = self._head[[layout.LAST_TRADE, layout.LAST_ENTRY]].astype(np.uint64)
        return hash_arrays({"books": books, "orders": orders, "counters": counters})

    def snapshot(self) -> dict[str, Rows]:
        """The whole state as named arrays: views, as long as the rows in use. A row keeps its place, so that few pages change."""
        return {
            "head": head_array(self.shard, self.shards, self.limits, self.log_time, self.last_seq), "kernel_head": self._head,
            "instruments": np.frombuffer(self.instruments.digest, np.uint8), "books": self._books, "sides": self._sides,
            "levels": self._levels[: self._head[layout.LEVELS_USED]], "resting": self._resting[: self._head[layout.ORDERS_USED]],
        }  # fmt: skip

    @classmethod
    def restore(cls, shard: int, instruments: InstrumentTable, arrays: dict[str, Rows]) -> Self:
        """The shard of a snapshot. Raises StaleData for one of another shard, other instruments or another layout."""
        shards, limits = check_head(shard, instruments, arrays)
        check_layout(arrays, _SAVED)
        machine = cls(shard, instruments, shards, limits)
        machine._head[:], machine._books[:], machine._sides[:] = arrays["kernel_head"], arrays["books"], arrays["sides"]
        for name in ("levels", "resting"):
            pool = new_pool(arrays[name].dtype, capacity_for(len(arrays[name])))
            pool[: len(arrays[name])] = arrays[name]
            setattr(machine, f"_{name}", pool)
        machine._order_index = new_index(len(machine._resting))
        refill_order_index(machine._head, machine._resting, machine._order_index)
        machine._new_tree(len(machine._levels))
        return machine
