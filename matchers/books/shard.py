"""The book shard that the exchange runs: owns the arrays of the book kernel, saves and restores them.

The rules are in books.reference.shard, and again, compiled, in books.kernel; both say the same bytes and have the same state hash. How the state lies
in memory is said in books.kernel.layout.
"""

from typing import Final, Self

import numpy as np

from matchers.books.kernel import layout
from matchers.books.kernel.expiry import DUES_SLACK
from matchers.books.kernel.level_tree import NODES_PER_LEVEL_MAX
from matchers.books.kernel.loop import CHUNK, apply_book_commands, begin_books, orders_in_priority, rebuild
from matchers.books.kernel.memory import ARRAYS, VIEWS
from matchers.books.kernel.order_index import BUCKETS_AT_FIRST, heads_for
from matchers.books.kernel.requests import REASONS_END
from matchers.compiled.pools import kernel_rows, put_rows
from matchers.compiled.reserved_memory import reserved
from matchers.rules.band_rules import WINDOW_SECONDS
from matchers.rules.limits import DEFAULT_LIMITS, ShardLimits
from matchers.rules.order_tables import CHANGE_TABLE, ORDER_TABLE, PHASE_TABLE
from matchers.rules.outputs import BOOK_COMMAND_DTYPE, EXECUTION_DTYPE, BookOutput
from matchers.state.canonical_hash import BOOK_FACTS, BOOK_ORDER_STATE, QUEUE_STATE, SECOND_STATE, Place, hash_arrays
from matchers.state.snapshot_head import check_head, check_layout, head_array
from schemas.codec import Rows
from schemas.enums import MatchingAlgorithm
from schemas.instruments import InstrumentTable
from schemas.reject_reasons import Reason

__all__ = ["BookOutput", "BookShard"]

_POOLS: Final = {"levels": layout.LEVELS_USED, "orders": layout.ORDERS_USED, "extras": layout.EXTRAS_USED, "busted": layout.BUSTED}
"""Pools whose rows in use are saved, with the place in `head` that says how many these are."""
_WHOLE: Final = ("books", "seconds")
_SAVED: Final = {name: ARRAYS[name][0] for name in (*_POOLS, *_WHOLE)} | {"kernel_head": ARRAYS["head"][0]}
_HASHED_AT_ONCE: Final = 4_096
"""Orders; 4,096 x (64 + 150) B."""
_ROWS_SOON: Final = 1 << 18
"""A call hands over its rows when there are so many, and goes on."""
_ROWS_AN_ORDER: Final = 4
"""Room for the rows of one command, by orders_max: all orders execute or expire, each with a LEVEL row, and half of them show a new tranche or follow something. A
command that makes more is a fault (assertion)."""
_TABLE_LENGTH: Final = 32
_FROM_ORDER: Final = ("entry", "order_id", "account", "side", "ord_type", "time_in_force", "order_qty", "leaves_qty", "price")
_FROM_EXTRA: Final = (
    "place", "exec_inst", "self_match_prevention_instruction", "peg_price_type", "offset_type", "shown_qty", "display_qty", "min_qty", "stop_px",
    "offset", "expire_time", "self_match_prevention_id",
)  # fmt: skip


class BookShard:
    """The books of the instruments with instrument % shards == shard; see books.reference.shard.BookShard. `levels`: whether LEVEL and TOP rows are written."""

    def __init__(
        self, shard: int, instruments: InstrumentTable, shards: int, limits: ShardLimits = DEFAULT_LIMITS, *, levels: bool = True
    ) -> None:
        assert 0 <= shard < shards, "no such shard"
        self.shard, self.shards, self.limits, self.instruments = shard, shards, limits, instruments
        numbers = [number for number in sorted(instruments.by_number) if number % shards == shard]
        self._arrays = self._reserve(numbers)
        self._table = np.zeros(_TABLE_LENGTH, np.uint64)
        for at, name in enumerate(ARRAYS):
            self._table[at] = self._arrays[VIEWS.get(name, name)].ctypes.data if VIEWS.get(name, name) in self._arrays else 0
        self._commands_at = [at for at, name in enumerate(ARRAYS) if VIEWS.get(name, name) == "commands"]
        self._memory = np.uint64(self._table.ctypes.data)
        self._set_tables(levels, numbers)
        self._begin_books(numbers)

    def _reserve(self, numbers: list[int]) -> dict[str, Rows]:
        """All pools at their limits; memory is taken as they are used."""
        limits, number_max = self.limits, max(self.instruments.by_number)
        orders = limits.orders_max + layout.ORDERS_SLACK
        sides = layout.SIDES * len(numbers)
        levels = 2 * orders + len(numbers) + 1  # of each order its price and what is apart there; the idle queues
        nodes = 1 + sides + NODES_PER_LEVEL_MAX * orders
        lengths: dict[str, int] = {
            "head": layout.HEAD_LENGTH, "tree": layout.TREE_LENGTH, "call": layout.CALL_LENGTH, "places": CHUNK, "books": len(numbers), "sides": sides,
            "levels": levels, "orders": orders, "extras": orders, "node_bits": nodes, "node_parent": nodes, "node_child": nodes,
            "index_heads": heads_for(orders), "queue": 2 * orders, "book_of": number_max + 1, "rules": number_max + 1,
            "order_table": ORDER_TABLE.size, "phase_table": PHASE_TABLE.size, "change_table": CHANGE_TABLE.size, "reasons": REASONS_END,
            "executions": _ROWS_SOON + _ROWS_AN_ORDER * orders + 3 * len(numbers), "dues": 2 * orders + DUES_SLACK, "busted": limits.busts_max,
            "seconds": 1 + int(np.count_nonzero(self.instruments.rules[numbers]["luld_tier"])), "terms": 2,
        }  # fmt: skip
        return {name: reserved(ARRAYS[name][0], length, *filter(None, ARRAYS[name][1:])) for name, length in lengths.items()}

    def _set_tables(self, levels: bool, numbers: list[int]) -> None:
        """What is the same in every call."""
        arrays, limits = self._arrays, self.limits
        call, head, sides = arrays["call"], arrays["head"], arrays["sides"]
        call[layout.WITH_LEVELS], call[layout.BOOKS], call[layout.NUMBER_MAX] = levels, len(numbers), max(self.instruments.by_number)
        call[layout.EXECUTIONS_SOON], call[layout.EXECUTIONS_MAX] = _ROWS_SOON, len(arrays["executions"])
        call[[layout.STOPS_MAX, layout.PEGS_MAX, layout.BUSTS_MAX]] = limits.stops_per_book_max, limits.pegs_per_book_max, limits.busts_max
        head[[layout.ORDERS_USED, layout.EXTRAS_USED, layout.LEVELS_USED]] = 1
        head[layout.SHARD], head[layout.ORDERS_MAX] = self.shard, limits.orders_max
        arrays["book_of"][numbers] = 1 + np.arange(len(numbers))
        arrays["rules"][:] = self.instruments.rules
        for name, table in (("order_table", ORDER_TABLE), ("phase_table", PHASE_TABLE), ("change_table", CHANGE_TABLE)):
            arrays[name][:] = table.ravel()
        arrays["reasons"][list(Reason)] = 1
        arrays["tree"][[layout.NODES_USED, layout.BUCKETS]] = len(sides) + 1, BUCKETS_AT_FIRST
        sides["root"], sides["best_key"], sides["anchor"] = np.arange(len(sides)) + 1, layout.NO_KEY, 1

    def _begin_books(self, numbers: list[int]) -> None:
        books, rules = self._arrays["books"], self.instruments.rules[numbers]
        books["instrument"], books["reference_px"] = numbers, rules["reference_px"]
        books["qty_min"], books["qty_max"] = rules["order_qty_min"], rules["order_qty_max"]
        books["prevention"] = rules["self_match_prevention_instruction"]
        books["pro_rata"] = rules["matching_algorithm"] == MatchingAlgorithm.PRO_RATA
        banded = rules["luld_tier"] != 0
        books["window"] = np.where(banded, np.cumsum(banded), 0)
        begin_books(self._memory)

    # -- the interface of all machines

    @property
    def log_time(self) -> int:
        """ns; the latest transact_time seen."""
        return int(self._arrays["head"][layout.LOG_TIME])

    @property
    def last_seq(self) -> int:
        """Number of the latest execution row."""
        return int(self._arrays["head"][layout.LAST_SEQ])

    def apply(self, rows: Rows, *, copy: bool = True) -> BookOutput:
        """Apply book_command_frame rows. Without `copy` the executions may be a view of a buffer that the next call overwrites."""
        rows = kernel_rows(rows, BOOK_COMMAND_DTYPE)
        call, head = self._arrays["call"], self._arrays["head"]
        first_seq = self.last_seq + 1
        self._table[self._commands_at] = rows.ctypes.data
        call[layout.NEXT_ROW], call[layout.COMMANDS] = 0, len(rows)
        parts: list[Rows] = []
        more = True
        while more:
            call[layout.EXECUTIONS] = call[layout.STOPPED] = 0
            apply_book_commands(self._memory)
            assert call[layout.STOPPED] != layout.STOPPED_NO_ROOM, f"a command made more than {len(self._arrays['executions'])} rows"
            made = int(call[layout.EXECUTIONS])
            head[layout.LAST_SEQ] += np.uint64(made)
            more = call[layout.STOPPED] == layout.STOPPED_SOON
            part = self._arrays["executions"][:made]  # words: as records numpy would not copy the gaps between fields
            parts.append(part.copy() if copy or more or parts else part)
        words = parts[0] if len(parts) == 1 else np.concatenate(parts)
        return BookOutput(words.view(EXECUTION_DTYPE).reshape(len(words)), first_seq)

    def state_hash(self) -> bytes:
        """16 bytes over the canonical state, see canonical_hash.py."""
        return hash_arrays(self.canonical_state())

    def snapshot(self) -> dict[str, Rows]:
        """The whole state as named arrays: views, which the next call changes, as long as the rows in use. A row keeps its place, so that few pages change."""
        head = head_array(self.shard, self.shards, self.limits, self.log_time, self.last_seq)
        return {
            "head": head, "kernel_head": self._arrays["head"], "instruments": np.frombuffer(self.instruments.digest, np.uint8),
        } | {name: self._used(name) for name in _POOLS} | {name: self._arrays[name] for name in _WHOLE}  # fmt: skip

    def _used(self, pool: str) -> Rows:
        return self._arrays[pool][: int(self._arrays["head"][_POOLS[pool]])]

    @classmethod
    def restore(cls, shard: int, instruments: InstrumentTable, arrays: dict[str, Rows], *, levels: bool = True) -> Self:
        """The shard of a snapshot. Raises StaleData for one of another shard, other instruments or another layout."""
        shards, limits = check_head(shard, instruments, arrays)
        check_layout(arrays, _SAVED)
        machine = cls(shard, instruments, shards, limits, levels=levels)
        machine._arrays["head"][:] = arrays["kernel_head"]
        for name in (*_POOLS, *_WHOLE):
            put_rows(machine._arrays[name], arrays[name])
        rebuild(machine._memory)
        return machine

    # -- canonical state

    def canonical_state(self) -> dict[str, Rows]:
        """The arrays of canonical_hash.py."""
        head, books = self._arrays["head"], self._arrays["books"]
        walk = np.zeros(int(head[layout.ORDERS]), np.uint64)
        resting = orders_in_priority(self._memory, walk)
        facts = np.zeros(len(books), BOOK_FACTS)
        for column in BOOK_FACTS.names or ():
            facts[column] = books[column]
        return {
            "books": facts, "orders": self._order_state(), "queue": self._arrays["orders"]["order_id"][walk[:resting]].copy().view(QUEUE_STATE),
            "seconds": self._second_state(), "busted": self._used("busted").copy(), "counters": head[[layout.LAST_TRADE, layout.LAST_ENTRY]],
        }  # fmt: skip

    def _order_state(self) -> Rows:
        """Every live order, by entry."""
        pool = self._used("orders")
        live = np.flatnonzero(pool["order_id"])
        live = live[np.argsort(pool["entry"][live])]
        assert len(live) == self._arrays["head"][layout.ORDERS], "live orders are counted"
        orders = np.zeros(len(live), BOOK_ORDER_STATE)
        for start in range(0, len(live), _HASHED_AT_ONCE):
            part = slice(start, start + _HASHED_AT_ONCE)
            self._fill_order_state(orders[part], pool[live[part]])
        return orders

    def _fill_order_state(self, orders: Rows, source: Rows) -> None:
        """The canonical rows of some orders; by portions that stay in the processor's cache, as every column is a walk over all of them."""
        extra = self._arrays["extras"][source["extra"]]
        for column in _FROM_ORDER:
            orders[column] = source[column]
        for column in _FROM_EXTRA:
            orders[column] = extra[column]
        plain = source["extra"] == 0
        flags = source["special"][plain]
        orders["place"][plain], orders["shown_qty"][plain] = Place.RESTING, source["leaves_qty"][plain]
        orders["exec_inst"][plain], orders["self_match_prevention_instruction"][plain] = (
            flags >> layout.POST_ONLY_SHIFT,
            flags >> layout.PREVENTION_SHIFT & 7,
        )
        orders["self_match_prevention_id"][plain] = np.where(flags & layout.BY_ACCOUNT, source["account"][plain], 0)
        orders["instrument"] = self._arrays["books"]["instrument"][source["side_row"] // layout.SIDES]
        orders["peg_limit"] = extra["limit_px"]
        order_id = self._arrays["orders"]["order_id"]
        orders["oco_id"], orders["secondary_1"] = order_id[extra["sibling"]], order_id[extra["secondary"]]
        second = self._arrays["extras"][self._arrays["orders"]["extra"][extra["secondary"]]]["sibling"]
        orders["secondary_2"] = order_id[second]

    def _second_state(self) -> Rows:
        """Trades of the books with price bands, up to five minutes before their last trade."""
        books = self._arrays["books"]
        parts = [np.zeros(0, SECOND_STATE)]
        banded = books[books["window"] != 0]
        for instrument, window in zip(banded["instrument"].tolist(), banded["window"].tolist(), strict=True):
            entries = np.sort(self._arrays["seconds"][window], order="second")
            entries = entries[(entries["trades"] > 0) & (entries["second"] > entries["second"][-1] - WINDOW_SECONDS)]
            if len(entries):
                rows = np.zeros(len(entries), SECOND_STATE)
                rows["instrument"] = instrument
                for column in ("second", "price_sum", "trades"):
                    rows[column] = entries[column]
                parts.append(rows)
        return np.concatenate(parts)
