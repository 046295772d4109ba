"""A book shard while all its orders are plain: owns the arrays of the book kernel, grows them, saves and restores them.

Plain: limit and market orders without instructions, for the day, carried or immediate, in books that are closed or in continuous trading and have
neither collar nor price bands. The rules are in reference_book_shard; book_shard goes on with them at the first command that is not plain.
"""

from collections.abc import Mapping
from typing import Self

import numpy as np

from matchers import kernel_book_layout as layout
from matchers.kernel_book_levels import orders_in_priority, refill_order_index, refill_tree
from matchers.kernel_books import apply_book_commands
from matchers.kernel_price_tree import NODES_PER_LEVEL_MAX
from matchers.order_rules import COMBINATION_TABLE
from matchers.pools import ROWS_AT_FIRST, capacity_for, grown, kernel_rows, new_index, new_pool
from matchers.shard_limits import DEFAULT_LIMITS, ShardLimits
from matchers.shard_outputs import BOOK_COMMAND_DTYPE, EXECUTION_DTYPE
from matchers.snapshot_head import check_head, check_layout, head_array, head_values
from matchers.state_hash import BOOK_FACTS, BOOK_ORDER_STATE, QUEUE_STATE, SECOND_STATE, Place
from schemas.codec import Rows
from schemas.enums import MatchingAlgorithm, OrdType, Phase, Side, TimeInForce
from schemas.instruments import InstrumentTable
from schemas.limits import ORDER_QTY_LOTS_MAX

_BITS = np.dtype(np.uint64)
_CHILDREN = np.dtype(np.int32)
_SAVED = {
    "books": layout.BOOK_ROW, "sides": layout.SIDE_ROW, "levels": layout.LEVEL_ROW, "resting": layout.RESTING_ROW, "kernel_head": np.dtype(np.int64),
}  # fmt: skip
_EXECUTIONS_A_COMMAND = 8
"""Room at first; typical is 4 to 6. When it does not do, the kernel stops and is given more."""
_PLAIN_TIMES = (TimeInForce.DAY, TimeInForce.GTC)


class PlainBooks:
    """The books of a shard, see the head of the file. `levels`: whether LEVEL and TOP rows are written."""

    def __init__(
        self, shard: int, instruments: InstrumentTable, shards: int, limits: ShardLimits = DEFAULT_LIMITS, *, levels: bool = True
    ) -> None:
        self.shard, self.shards, self.limits, self.instruments, self.levels = shard, shards, limits, instruments, levels
        numbers = [number for number in sorted(instruments.by_number) if number % shards == shard]
        rules = instruments.rules[numbers]
        self._book_of = np.full(max(instruments.by_number) + 1, -1, np.int32)
        self._book_of[numbers] = np.arange(len(numbers))
        self._combinations = COMBINATION_TABLE.copy()  # its own: a read-only array would be another type to the kernels
        self._books, self._sides = np.zeros(len(numbers), layout.BOOK_ROW), np.zeros(2 * len(numbers), layout.SIDE_ROW)
        self._books["instrument"] = numbers
        self._books["qty_min"], self._books["qty_max"] = rules["order_qty_min"], np.minimum(rules["order_qty_max"], ORDER_QTY_LOTS_MAX)
        first_in_first_out = rules["matching_algorithm"] == MatchingAlgorithm.FIFO
        self._books["plain"] = (rules["collar_percent"] == 0) & (rules["luld_tier"] == 0) & first_in_first_out
        self._reference_px = rules["reference_px"]
        self._head = np.zeros(layout.HEAD_LENGTH, np.int64)
        self._head[[layout.ORDERS_USED, layout.LEVELS_USED]] = 1
        self._head[layout.SHARD], self._head[layout.ORDERS_MAX] = shard, limits.orders_max
        self._head[layout.ALL_PLAIN] = self._books["plain"].all()
        self._call = np.zeros(layout.CALL_LENGTH, np.int64)
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

    def apply(self, rows: Rows, begin: int) -> tuple[Rows, int]:
        """Apply book_command_frame rows from row `begin` on. Gives executions and the first row that is not plain, len(rows) if there is none."""
        rows = kernel_rows(rows, BOOK_COMMAND_DTYPE)
        call = self._call
        call[:] = 0
        call[layout.NEXT_ROW], call[layout.WITH_LEVELS] = begin, self.levels
        executions = new_pool(EXECUTION_DTYPE, _EXECUTIONS_A_COMMAND * (len(rows) - begin) + 8)
        while True:
            apply_book_commands(
                rows, self._head, self._tree, call, self._books, self._sides, self._levels, self._resting, self._node_bits, self._node_child,
                self._order_index, self._book_of, self._combinations, executions,
            )  # fmt: skip
            if call[layout.NEXT_ROW] == len(rows) or call[layout.NEED] == layout.NEED_ALL_RULES:
                break
            if call[layout.NEED] == layout.NEED_EXECUTIONS:
                executions = grown(executions, max(2 * len(executions), int(call[layout.NEED_ROWS])))
            else:
                self._grow(int(call[layout.NEED]))
            call[layout.NEED] = 0
        return executions[: call[layout.EXECUTIONS]], int(call[layout.NEXT_ROW])

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

    # -- canonical state, snapshot, restore

    def canonical_state(self) -> dict[str, Rows]:
        """The arrays of state_hash.py."""
        walk = np.zeros((int(self._head[layout.ORDERS]), 2), np.int64)
        count = orders_in_priority(self._sides, self._levels, self._resting, walk)
        assert count == len(walk), f"{count} orders in the books, {len(walk)} counted"
        source, side_rows = self._resting[walk[:, 0]], walk[:, 1]
        orders = np.zeros(len(walk), BOOK_ORDER_STATE)
        for column in ("entry", "order_id", "account", "ord_type", "time_in_force", "order_qty", "leaves_qty"):
            orders[column] = source[column]
        orders["shown_qty"], orders["place"] = source["leaves_qty"], Place.RESTING
        orders["instrument"] = self._books["instrument"][side_rows >> 1]
        orders["side"] = np.where(side_rows & 1, Side.SELL, Side.BUY)
        orders["price"] = self._levels["price"][source["level"]]
        books = np.zeros(len(self._books), BOOK_FACTS)
        for column in ("instrument", "phase", "last_px", "peg_bid"):
            books[column] = self._books[column]
        books["reference_px"] = self._reference_px
        return {
            "books": books, "orders": orders[np.argsort(orders["entry"])], "queue": orders["order_id"].copy().view(QUEUE_STATE),
            "seconds": np.zeros(0, SECOND_STATE), "busted": np.zeros(0, np.uint64),
            "counters": self._head[[layout.LAST_TRADE, layout.LAST_ENTRY]].astype(np.uint64),
        }  # fmt: skip

    def exact_snapshot(self) -> dict[str, Rows]:
        """As reference_book_shard.BookShard.snapshot says it."""
        return self.canonical_state() | {
            "head": self._head_array(), "instruments": np.frombuffer(self.instruments.digest, np.uint8),
            "rpt_seq": self._books["rpt_seq"].astype(np.uint64),
        }  # fmt: skip

    def snapshot(self) -> dict[str, Rows]:
        """The whole state as named arrays: views, as long as the rows in use. A row keeps its place, so that few pages change."""
        return {
            "head": self._head_array(), "kernel_head": self._head, "instruments": np.frombuffer(self.instruments.digest, np.uint8),
            "books": self._books, "sides": self._sides, "levels": self._levels[: self._head[layout.LEVELS_USED]],
            "resting": self._resting[: self._head[layout.ORDERS_USED]],
        }  # fmt: skip

    def _head_array(self) -> Rows:
        return head_array(self.shard, self.shards, self.limits, self.log_time, self.last_seq)

    @classmethod
    def restore(cls, shard: int, instruments: InstrumentTable, arrays: Mapping[str, Rows], *, levels: bool) -> Self:
        """The books of a snapshot(). Raises StaleData for one of another shard, other instruments or another layout."""
        shards, limits = check_head(shard, instruments, arrays)
        check_layout(arrays, _SAVED)
        machine = cls(shard, instruments, shards, limits, levels=levels)
        machine._head[:], machine._books[:], machine._sides[:] = arrays["kernel_head"], arrays["books"], arrays["sides"]
        machine._take_pools(arrays["levels"], arrays["resting"])
        return machine

    def _take_pools(self, levels: Rows, resting: Rows) -> None:
        for name, rows in (("levels", levels), ("resting", resting)):
            pool = new_pool(rows.dtype, capacity_for(len(rows)))
            pool[: len(rows)] = rows
            setattr(self, f"_{name}", pool)
        self._order_index = new_index(len(self._resting))
        refill_order_index(self._head, self._resting, self._order_index)
        self._new_tree(len(self._levels))

    @classmethod
    def of_exact(cls, shard: int, instruments: InstrumentTable, arrays: Mapping[str, Rows], *, levels: bool) -> Self | None:
        """The books of an exact_snapshot, None if they hold anything that is not plain."""
        shards, limits = check_head(shard, instruments, arrays)
        machine = cls(shard, instruments, shards, limits, levels=levels)
        orders = arrays["orders"]
        plain_orders = (
            (orders["ord_type"] == OrdType.LIMIT) & np.isin(orders["time_in_force"], _PLAIN_TIMES) & (orders["place"] == Place.RESTING)
        )
        if not plain_orders.all() or not np.isin(arrays["books"]["phase"], (Phase.CLOSED, Phase.CONTINUOUS)).all():
            return None
        machine._load(arrays)
        theirs, ours = arrays, machine.canonical_state()
        return machine if all(ours[name].tobytes() == theirs[name].tobytes() for name in ours) else None

    def _load(self, arrays: Mapping[str, Rows]) -> None:
        """Fill empty books from canonical arrays, as far as these are plain."""
        books, orders = arrays["books"], arrays["orders"]
        for column in ("phase", "last_px", "peg_bid"):
            self._books[column] = books[column]
        self._books["rpt_seq"] = arrays["rpt_seq"]
        self._head[layout.LOG_TIME], self._head[layout.LAST_SEQ] = head_values(arrays)
        self._head[[layout.LAST_TRADE, layout.LAST_ENTRY]] = arrays["counters"]
        by_id = orders[np.argsort(orders["order_id"])]
        queue = by_id[np.searchsorted(by_id["order_id"], arrays["queue"]["order_id"])]
        side_rows = 2 * self._book_of[queue["instrument"]] + (queue["side"] == Side.SELL)
        new_level = np.ones(len(queue), bool)
        new_level[1:] = (side_rows[1:] != side_rows[:-1]) | (queue["price"][1:] != queue["price"][:-1])
        level_of = np.cumsum(new_level)
        firsts = np.flatnonzero(new_level)
        lasts = np.append(firsts[1:], len(queue)) - 1 if len(firsts) else firsts
        resting, levels = np.zeros(len(queue) + 1, layout.RESTING_ROW), np.zeros(len(firsts) + 1, layout.LEVEL_ROW)
        for column in ("order_id", "account", "entry", "leaves_qty", "order_qty", "ord_type", "time_in_force"):
            resting[column][1:] = queue[column]
        row = np.arange(1, len(queue) + 1)
        resting["level"][1:] = level_of
        resting["prev"][1:] = np.where(new_level, 0, row - 1)
        resting["next"][1:] = np.where(np.isin(row - 1, lasts), 0, row + 1)
        levels["price"][1:], levels["side_row"][1:] = queue["price"][firsts], side_rows[firsts]
        levels["first"][1:], levels["last"][1:], levels["order_count"][1:] = firsts + 1, lasts + 1, lasts - firsts + 1
        np.add.at(levels["qty"], level_of, queue["leaves_qty"])
        level_row, level_side = np.arange(1, len(firsts) + 1), side_rows[firsts]
        same = level_side[1:] == level_side[:-1]
        levels["better"][2:], levels["worse"][1:-1] = np.where(same, level_row[:-1], 0), np.where(same, level_row[1:], 0)
        bests = np.flatnonzero(np.append(True, ~same)[: len(firsts)])
        self._sides["best"][level_side[bests]] = level_row[bests]
        self._sides["orders"] = np.bincount(side_rows, minlength=len(self._sides))
        self._head[layout.ORDERS], self._head[layout.ORDERS_USED] = len(queue), len(queue) + 1
        self._head[layout.LEVELS], self._head[layout.LEVELS_USED] = len(firsts), len(firsts) + 1
        self._take_pools(levels, resting)
