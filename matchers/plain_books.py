"""A book shard while all its orders are plain: owns the arrays of the book kernel, saves and restores them.

Plain: limit and market orders without instructions, for the day, carried or immediate, in first-in-first-out books that are closed or in continuous trading
and have no price bands. The rules are in reference_book_shard; book_shard goes on with them at the first command that is not plain.
"""

from collections.abc import Mapping
from typing import Any, Final, Self

import numpy as np

from matchers import kernel_book_state as layout
from matchers.kernel_book_loop import CHUNK, apply_book_commands, orders_in_priority, rebuild
from matchers.kernel_book_memory import ARRAYS, VIEWS
from matchers.kernel_level_tree import NODES_PER_LEVEL_MAX
from matchers.kernel_order_index import BUCKETS_AT_FIRST, heads_for
from matchers.order_tables import ORDER_TABLE, PHASE_TABLE
from matchers.pools import kernel_rows
from matchers.reference_matching import price_range
from matchers.reserved_memory import reserved
from matchers.shard_limits import DEFAULT_LIMITS, ShardLimits
from matchers.shard_outputs import BOOK_COMMAND_DTYPE, EXECUTION_DTYPE
from matchers.snapshot_head import check_head, check_layout, head_array, head_values
from matchers.state_hash import BOOK_FACTS, BOOK_ORDER_STATE, QUEUE_STATE, SECOND_STATE, Place
from schemas.codec import Rows
from schemas.enums import MatchingAlgorithm, OrdType, Phase, Side, TimeInForce
from schemas.instruments import InstrumentTable
from schemas.limits import ORDER_QTY_LOTS_MAX, PRICE_TICKS_MAX

_SAVED: Final = {
    "books": layout.BOOK_ROW, "levels": layout.LEVEL_ROW, "orders": layout.ORDER_ROW, "kernel_head": np.dtype(np.uint64),
}  # fmt: skip
_PLAIN_TIMES: Final = (TimeInForce.DAY, TimeInForce.GTC)
_ROWS_ROOM: Final = 1 << 18
"""Rows of output that there is room for beyond what one command can make."""
_TABLE_LENGTH: Final = 32
_FACTS: Final = ("instrument", "phase", "last_px", "reference_px", "session_close", "peg_bid", "peg_ask")


class PlainBooks:
    """The books of a shard, see the head of the file. `levels`: whether LEVEL and TOP rows are written."""

    def __init__(
        self, shard: int, instruments: InstrumentTable, shards: int, limits: ShardLimits = DEFAULT_LIMITS, *, levels: bool = True
    ) -> None:
        self.shard, self.shards, self.limits, self.instruments, self.levels = shard, shards, limits, instruments, levels
        numbers = [number for number in sorted(instruments.by_number) if number % shards == shard]
        self._arrays = self._reserve(len(numbers), max(instruments.by_number), limits.orders_max)
        head, call, book_of, sides = (self._arrays[name] for name in ("head", "call", "book_of", "sides"))
        head[[layout.ORDERS_USED, layout.EXTRAS_USED, layout.LEVELS_USED]] = 1
        head[layout.SHARD], head[layout.ORDERS_MAX] = shard, limits.orders_max
        call[layout.WITH_LEVELS], call[layout.BOOKS], call[layout.EXECUTIONS_MAX] = levels, len(numbers), len(self._arrays["executions"])
        call[layout.NUMBER_MAX] = max(instruments.by_number)
        book_of[numbers] = 1 + np.arange(len(numbers))
        self._arrays["rules"][:] = instruments.rules
        self._arrays["order_table"][:], self._arrays["phase_table"][:] = ORDER_TABLE.ravel(), PHASE_TABLE.ravel()
        self._arrays["tree"][[layout.NODES_USED, layout.BUCKETS]] = len(sides) + 1, BUCKETS_AT_FIRST
        sides["root"], sides["best_key"], sides["anchor"] = np.arange(len(sides)) + 1, layout.NO_KEY, 1
        self._begin_books(numbers)
        self._table = np.zeros(_TABLE_LENGTH, np.uint64)
        for at, name in enumerate(ARRAYS):
            self._table[at] = self._arrays[VIEWS.get(name, name)].ctypes.data if VIEWS.get(name, name) in self._arrays else 0
        self._commands_at = [at for at, name in enumerate(ARRAYS) if VIEWS.get(name, name) == "commands"]
        self._memory = np.uint64(self._table.ctypes.data)

    @staticmethod
    def _reserve(books: int, number_max: int, orders_max: int) -> dict[str, Rows]:
        """All pools at their limits; memory is taken as they are used."""
        orders = orders_max + layout.ORDERS_SLACK
        levels = orders + 1
        sides = layout.SIDES * books
        nodes = 1 + sides + NODES_PER_LEVEL_MAX * levels
        lengths = {
            "head": layout.HEAD_LENGTH, "tree": layout.TREE_LENGTH, "call": layout.CALL_LENGTH, "places": CHUNK, "books": books, "sides": sides,
            "levels": levels, "orders": orders, "extras": orders, "node_bits": nodes, "node_parent": nodes, "node_child": nodes,
            "index_heads": heads_for(orders), "queue": orders, "book_of": number_max + 1, "rules": number_max + 1, "order_table": ORDER_TABLE.size,
            "phase_table": PHASE_TABLE.size, "executions": 2 * orders + 3 * books + 8 + _ROWS_ROOM,
        }  # fmt: skip
        return {name: reserved(ARRAYS[name][0], length, *filter(None, ARRAYS[name][1:])) for name, length in lengths.items()}

    def _begin_books(self, numbers: list[int]) -> None:
        books, rules = self._arrays["books"], self.instruments.rules[numbers]
        books["instrument"], books["reference_px"] = numbers, rules["reference_px"]
        books["qty_min"], books["qty_max"] = rules["order_qty_min"], np.minimum(rules["order_qty_max"], ORDER_QTY_LOTS_MAX)
        books["pro_rata"] = rules["matching_algorithm"] == MatchingAlgorithm.PRO_RATA
        books["plain"] = (rules["luld_tier"] == 0) & (books["pro_rata"] == 0)
        self._arrays["head"][layout.ALL_PLAIN] = books["plain"].all()
        self._set_collars()

    def _set_collars(self) -> None:
        """What limits may be, by reference price and collar."""
        books = self._arrays["books"]
        percents = self.instruments.rules["collar_percent"][books["instrument"]].tolist()
        ranges = [
            price_range(reference, percent) if percent else (1, PRICE_TICKS_MAX)
            for reference, percent in zip(books["reference_px"].tolist(), percents, strict=True)
        ]
        books["price_low"], books["price_high"] = zip(*ranges, strict=True) if ranges else ((), ())

    @property
    def log_time(self) -> int:
        """ns; the latest transact_time seen."""
        return int(self._arrays["head"][layout.LOG_TIME])

    @property
    def last_seq(self) -> int:
        """Number of the latest execution row."""
        return int(self._arrays["head"][layout.LAST_SEQ])

    def apply(self, rows: Rows, begin: int, *, copy: bool = True) -> tuple[Rows, int]:
        """Apply book_command_frame rows from row `begin` on. Gives executions and the first row that is not plain, len(rows) if there is none.

        Without `copy` the executions are a view of a buffer that the next call overwrites.
        """
        rows = kernel_rows(rows, BOOK_COMMAND_DTYPE)
        call, head = self._arrays["call"], self._arrays["head"]
        self._table[self._commands_at] = rows.ctypes.data
        call[layout.NEXT_ROW], call[layout.COMMANDS] = begin, len(rows)
        parts: list[Rows] = []
        while True:
            call[layout.EXECUTIONS] = call[layout.STOPPED] = 0
            apply_book_commands(self._memory)
            made = int(call[layout.EXECUTIONS])
            head[layout.LAST_SEQ] += np.uint64(made)
            part = self._arrays["executions"][:made]  # words: as records numpy would not copy the gaps between fields
            more = call[layout.STOPPED] == layout.STOPPED_NO_ROOM
            parts.append(part.copy() if copy or more or parts else part)
            if not more:
                break
            assert made, "there is room for any one command"
        words = parts[0] if len(parts) == 1 else np.concatenate(parts)
        return words.view(EXECUTION_DTYPE).reshape(len(words)), int(call[layout.NEXT_ROW])

    # -- canonical state, snapshot, restore

    def _used(self, pool: str, count: int) -> Rows:
        return self._arrays[pool][: int(self._arrays["head"][count])]

    def canonical_state(self) -> dict[str, Rows]:
        """The arrays of state_hash.py."""
        head, books = self._arrays["head"], self._arrays["books"]
        walk = np.zeros(int(head[layout.ORDERS]), np.uint64)
        count = orders_in_priority(self._memory, walk)
        assert count == len(walk), f"{count} orders in the books, {len(walk)} counted"
        source = self._arrays["orders"][walk]
        orders = np.zeros(len(walk), BOOK_ORDER_STATE)
        for column in ("entry", "order_id", "account", "side", "ord_type", "time_in_force", "order_qty", "leaves_qty", "price"):
            orders[column] = source[column]
        orders["shown_qty"], orders["place"] = source["leaves_qty"], Place.RESTING
        orders["instrument"] = books["instrument"][source["side_row"] // layout.SIDES]
        facts = np.zeros(len(books), BOOK_FACTS)
        for column in _FACTS:
            facts[column] = books[column]
        return {
            "books": facts, "orders": orders[np.argsort(orders["entry"])], "queue": orders["order_id"].copy().view(QUEUE_STATE),
            "seconds": np.zeros(0, SECOND_STATE), "busted": np.zeros(0, np.uint64), "counters": head[[layout.LAST_TRADE, layout.LAST_ENTRY]],
        }  # fmt: skip

    def exact_snapshot(self) -> dict[str, Rows]:
        """As reference_book_shard.BookShard.snapshot says it."""
        return self.canonical_state() | {
            "head": self._head_array(), "instruments": np.frombuffer(self.instruments.digest, np.uint8),
            "rpt_seq": self._arrays["books"]["rpt_seq"].copy(),
        }  # fmt: skip

    def snapshot(self) -> dict[str, Rows]:
        """The whole state as named arrays: views, as long as the rows in use. A row keeps its place, so that few pages change."""
        return {
            "head": self._head_array(), "kernel_head": self._arrays["head"], "instruments": np.frombuffer(self.instruments.digest, np.uint8),
            "books": self._arrays["books"], "levels": self._used("levels", layout.LEVELS_USED), "orders": self._used("orders", layout.ORDERS_USED),
        }  # fmt: skip

    def _head_array(self) -> Rows:
        return head_array(self.shard, self.shards, self.limits, self.log_time, self.last_seq)

    @classmethod
    def restore(cls, shard: int, instruments: InstrumentTable, arrays: Mapping[str, Rows], *, levels: bool) -> Self:
        """The books of a snapshot(). Raises StaleData for one of another shard, other instruments or another layout."""
        shards, limits = check_head(shard, instruments, arrays)
        check_layout(arrays, _SAVED)
        machine = cls(shard, instruments, shards, limits, levels=levels)
        machine._arrays["head"][:], machine._arrays["books"][:] = arrays["kernel_head"], arrays["books"]
        machine._take_pools(arrays["levels"], arrays["orders"])
        return machine

    def _take_pools(self, levels: Rows, orders: Rows) -> None:
        self._arrays["levels"][: len(levels)], self._arrays["orders"][: len(orders)] = levels, orders
        rebuild(self._memory)

    @classmethod
    def of_exact(cls, shard: int, instruments: InstrumentTable, arrays: Mapping[str, Rows], *, levels: bool) -> Self | None:
        """The books of an exact_snapshot, None if they hold anything that is not plain."""
        orders = arrays["orders"]
        plain_orders = (
            (orders["ord_type"] == OrdType.LIMIT) & np.isin(orders["time_in_force"], _PLAIN_TIMES) & (orders["place"] == Place.RESTING)
        )
        if not plain_orders.all() or not np.isin(arrays["books"]["phase"], (Phase.CLOSED, Phase.CONTINUOUS)).all():
            return None
        shards, limits = check_head(shard, instruments, arrays)
        machine = cls(shard, instruments, shards, limits, levels=levels)
        machine._load(arrays)
        ours = machine.canonical_state()
        return machine if all(ours[name].tobytes() == arrays[name].tobytes() for name in ours) else None

    def _load(self, arrays: Mapping[str, Rows]) -> None:
        """Fill empty books from canonical arrays, as far as these are plain."""
        books, head, queue = self._arrays["books"], self._arrays["head"], arrays["orders"]
        for column in _FACTS:
            books[column] = arrays["books"][column]
        books["rpt_seq"], books["fast"] = arrays["rpt_seq"], (books["phase"] == Phase.CONTINUOUS) & (books["plain"] != 0)
        self._set_collars()
        head[[layout.LOG_TIME, layout.LAST_SEQ]] = head_values(arrays)
        head[[layout.LAST_TRADE, layout.LAST_ENTRY]] = arrays["counters"]
        queue = queue[np.argsort(queue["order_id"])]
        queue = queue[np.searchsorted(queue["order_id"], arrays["queue"]["order_id"])]
        side_rows = layout.SIDES * (self._arrays["book_of"][queue["instrument"]].astype(np.int64) - 1) + (queue["side"] == Side.SELL)
        first = np.ones(len(queue), bool)
        first[1:] = (side_rows[1:] != side_rows[:-1]) | (queue["price"][1:] != queue["price"][:-1])
        last = np.append(first[1:], True)[: len(queue)]
        rows = 1 + np.arange(len(queue))
        orders, levels = np.zeros(len(queue) + 1, layout.ORDER_ROW), np.zeros(int(first.sum()) + 1, layout.LEVEL_ROW)
        filled: dict[str, Any] = {
            "side_row": side_rows, "level": np.cumsum(first), "prev": np.where(first, 0, rows - 1), "next": np.where(last, 0, rows + 1),
        }  # fmt: skip
        for column in ("side", "ord_type", "time_in_force", "order_id", "account", "entry", "price", "leaves_qty", "order_qty"):
            filled[column] = queue[column]
        for column, values in filled.items():
            orders[column][1:] = values
        levels["price"][1:], levels["first"][1:], levels["last"][1:] = queue["price"][first], rows[first], rows[last]
        levels["order_count"][1:] = rows[last] - rows[first] + 1
        np.add.at(levels["qty"], filled["level"], queue["leaves_qty"].astype(np.uint64))
        head[[layout.ORDERS, layout.ORDERS_USED]] = len(queue), len(orders)
        head[[layout.LEVELS, layout.LEVELS_USED]] = len(levels) - 1, len(levels)
        self._take_pools(levels, orders)
