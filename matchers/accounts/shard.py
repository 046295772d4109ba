"""The account shard that the exchange runs: owns the arrays of the account kernel, grows them, saves and restores them.

The rules are in accounts.reference.shard. Arrays given out belong to the caller, unless it asked for no copies; those of snapshot() are views that the next
call changes.
Account numbers are checked against `shards` only when accounts are opened (0: not at all), as no other command can make one known.
"""

from typing import Any, Final, Self

import numpy as np

from matchers.accounts.kernel import layout
from matchers.accounts.kernel.loop import apply_commands, apply_reports
from matchers.accounts.kernel.pools import done_order_ids, refill_index, refill_indexes
from matchers.accounts.output_pools import OutputPools
from matchers.compiled.pools import (
    ROWS_AT_FIRST,
    capacity_for,
    grown,
    kernel_rows,
    new_index,
    new_pool,
    put_rows,
    text_of_words,
    text_words_of,
)
from matchers.compiled.reserved_memory import reserved
from matchers.rules.account_rules import REPORT_FAULTS
from matchers.rules.limits import DEFAULT_LIMITS, ShardLimits
from matchers.rules.order_tables import ORDER_TABLE
from matchers.rules.outputs import COMMAND_DTYPE, REPORT_DTYPE, TEXT_WORDS_MAX, AccountOutput
from matchers.state.account_layouts import ACCOUNT_STATE, FACT_STATE, ORDER_STATE, POSITION_STATE, REPLACED_ID_STATE, UPDATE_STATE
from matchers.state.canonical_hash import hash_arrays
from matchers.state.snapshot_head import check_head, check_layout, head_array
from schemas.codec import Rows
from schemas.field_rules import LIST_ROWS_MAX
from schemas.instruments import InstrumentTable
from schemas.limits import EDGE_INSTANCES_MAX

__all__ = ["AccountOutput", "AccountShard"]

_NO_TEXT = np.zeros((0, 1), np.uint64)
POSITIONS_PER_ACCOUNT: Final = 4
"""Reserved on average; more are made room for by copying."""
_HASHED_AT_ONCE: Final = 2_048
"""Orders; 2,048 x (224 + 128) B, and as much again of results."""
_GROWING: Final = {
    layout.NEED_ACCOUNTS: (layout.ACCOUNTS_USED, ("_accounts",), ("_account_index",)),
    layout.NEED_POSITIONS: (layout.POSITIONS_USED, ("_positions",), ("_position_index",)),
    layout.NEED_ORDERS: (layout.ORDERS_USED, ("_orders", "_order_text"), ("_order_index", "_cl_ord_id_index")),
}
"""What may be full: where its rows are counted, its pools, its indexes."""
_POOLS = {
    "accounts": layout.ACCOUNT_ROW, "positions": layout.POSITION_ROW, "orders": layout.ORDER_ROW, "updates": layout.UPDATE_ROW,
    "replaced_ids": layout.REPLACED_ID_ROW,
}  # fmt: skip


class AccountShard:
    """One account shard; see accounts.reference.shard.AccountShard."""

    def __init__(self, shard: int, instruments: InstrumentTable, shards: int = 0, limits: ShardLimits = DEFAULT_LIMITS) -> None:
        self.shard = shard
        self.shards = shards
        self.limits = limits
        self.instruments = instruments
        self._rules = instruments.rules.copy()  # its own: a read-only array would be another type to the kernels
        self._order_table = ORDER_TABLE.ravel().copy()
        self._facts = np.zeros(len(instruments.rules), layout.FACT_ROW)
        head = self._head = np.zeros(layout.HEAD_LENGTH, np.int64)
        head[[layout.ACCOUNTS_USED, layout.POSITIONS_USED, layout.ORDERS_USED, layout.UPDATES_USED, layout.REPLACED_IDS_USED]] = 1
        head[layout.SHARD], head[layout.SHARDS] = shard, shards
        head[layout.ACCOUNTS_MAX : layout.DONE_MAX + 1] = limits.as_row()[:4]
        head[[layout.UPDATES_MAX, layout.REPLACED_IDS_MAX]] = limits.updates_max, limits.replaced_ids_max
        self._call = np.zeros(layout.CALL_LENGTH, np.int64)
        self._outputs = OutputPools()
        self._reserve()
        self._new_indexes()

    @property
    def log_time(self) -> int:
        """ns; the latest transact_time seen."""
        return int(self._head[layout.LOG_TIME])

    @property
    def last_seq(self) -> int:
        """The seq of the latest event."""
        return int(self._head[layout.LAST_SEQ])

    def apply_commands(
        self, rows: Rows, cl_ord_id: Rows, reply_partition: int, orig_cl_ord_id: Rows | None = None, *, copy: bool = True
    ) -> AccountOutput:
        """Apply order_command_frame rows; the ids are S-arrays of the same length. A reply_partition outside 0..63 wants no answers.

        Without `copy` what is given back is overwritten by the next call.
        """
        assert len(rows) == len(cl_ord_id), "one cl_ord_id a row"
        assert cl_ord_id.dtype.itemsize <= 8 * TEXT_WORDS_MAX, "text wider than a frame can have"
        orig = _NO_TEXT if orig_cl_ord_id is None else text_words_of(orig_cl_ord_id)
        asking = reply_partition if 0 <= reply_partition < EDGE_INSTANCES_MAX else -1
        rows = kernel_rows(rows, COMMAND_DTYPE)
        return self._apply(apply_commands, rows, text_words_of(cl_ord_id), orig, asking, 2 * len(rows) + 8, len(rows), copy)

    def apply_reports(self, rows: Rows, *, copy: bool = True) -> AccountOutput:
        """Apply book_report_frame rows. One that cannot be true is left out, changes nothing, and is named in `refused`. Without `copy` what is given back is overwritten by the next call."""
        return self._apply(apply_reports, kernel_rows(rows, REPORT_DTYPE), np.zeros(len(rows), np.uint8), _NO_TEXT, -1, len(rows), 0, copy)

    def _apply(
        self, kernel: Any, rows: Rows, beside: Rows, orig: Rows, asking: int, replies_room: int, book_commands_room: int, copy: bool
    ) -> AccountOutput:
        """`beside`: the commands' texts, or room for the faults of reports. A row makes one event, one book command, two replies at most, but for sessions and the kill switch: then the kernel stops and is given room."""
        call, first_seq = self._call, self.last_seq + 1
        outputs = self._outputs
        outputs.begin(len(rows), replies_room, book_commands_room)
        call[:] = 0
        call[layout.ASKING] = asking
        while True:
            kernel(
                rows, beside, orig, self._head, call, self._accounts, self._positions, self._orders, self._order_text, self._account_index,
                self._position_index, self._order_index, self._cl_ord_id_index, self._rules, self._facts, self._order_table,
                outputs.events, outputs.event_text, outputs.event_orig, outputs.replies, outputs.reply_text, outputs.reply_orig,
                outputs.reply_mask, outputs.book_commands, self._updates, self._update_index, self._replaced_ids, self._replaced_id_text,
                self._replaced_id_index,
            )  # fmt: skip
            if call[layout.NEXT_ROW] == len(rows):
                break
            if call[layout.NEED] == layout.NEED_OUTPUTS:
                outputs.grow(int(call[layout.NEED_ROWS]) + 2 * len(rows))
            else:
                self._grow(int(call[layout.NEED]))
            call[layout.NEED] = 0
        refused = [(int(row), REPORT_FAULTS[beside[row]]) for row in np.flatnonzero(beside)] if call[layout.REFUSED] else []
        return outputs.end(call.tolist(), first_seq, copy, tuple(refused))

    # -- memory

    def _reserve(self) -> None:
        """Pools as long as they will hardly ever have to be: address space only, see reserved_memory; so nothing is copied to grow."""
        orders = self.limits.orders_max + self.limits.done_orders_max + ROWS_AT_FIRST
        self._accounts = reserved(layout.ACCOUNT_ROW, self.limits.accounts_max + 2)
        self._positions = reserved(layout.POSITION_ROW, POSITIONS_PER_ACCOUNT * self.limits.accounts_max + ROWS_AT_FIRST)
        self._orders = reserved(layout.ORDER_ROW, orders)
        self._order_text = reserved(np.dtype(np.uint64), orders, TEXT_WORDS_MAX)
        self._updates = new_pool(layout.UPDATE_ROW, self.limits.updates_max + 1)
        self._replaced_ids = new_pool(layout.REPLACED_ID_ROW, self.limits.replaced_ids_max + 1)
        self._replaced_id_text = new_pool(np.dtype(np.uint64), self.limits.replaced_ids_max + 1, TEXT_WORDS_MAX)

    def _new_indexes(self) -> None:
        accounts, positions, orders = (int(self._head[at]) for at in (layout.ACCOUNTS_USED, layout.POSITIONS_USED, layout.ORDERS_USED))
        self._account_index = new_index(capacity_for(accounts))
        self._position_index = new_index(capacity_for(positions))
        self._order_index = new_index(capacity_for(orders))
        self._cl_ord_id_index = new_index(capacity_for(orders))
        self._update_index = new_index(capacity_for(self.limits.updates_max))
        self._replaced_id_index = new_index(capacity_for(self.limits.replaced_ids_max))
        refill_indexes(
            self._head, self._accounts, self._positions, self._orders, self._updates, self._replaced_ids, self._account_index,
            self._position_index, self._order_index, self._cl_ord_id_index, self._update_index, self._replaced_id_index,
        )  # fmt: skip

    def _grow(self, need: int) -> None:
        """Double what is full: an index, or one of the pools beyond what was reserved."""
        assert need in _GROWING, f"the kernel stopped without a need: {need}"
        used_at, pools, indexes = _GROWING[need]
        used = int(self._head[used_at]) + LIST_ROWS_MAX  # what one row may begin
        for name in pools:
            pool = getattr(self, name)
            if used > len(pool):
                setattr(self, name, grown(pool, 2 * len(pool)))
        for name in indexes:
            old = getattr(self, name)
            if 2 * used > len(old):
                larger = np.zeros(2 * len(old), np.uint64)
                refill_index(old, larger)
                setattr(self, name, larger)

    # -- hash, snapshot, restore

    def _used(self) -> dict[str, Rows]:
        """The rows of the pools that were ever used."""
        ids = int(self._head[layout.REPLACED_IDS_USED])
        accounts, positions, orders = (int(self._head[at]) for at in (layout.ACCOUNTS_USED, layout.POSITIONS_USED, layout.ORDERS_USED))
        return {
            "accounts": self._accounts[:accounts], "positions": self._positions[:positions], "orders": self._orders[:orders],
            "order_text": self._order_text[:orders], "facts": self._facts, "updates": self._updates[: self._head[layout.UPDATES_USED]],
            "replaced_ids": self._replaced_ids[:ids], "replaced_id_text": self._replaced_id_text[:ids],
        }  # fmt: skip

    def state_hash(self) -> bytes:
        """16 bytes over the canonical state, see canonical_hash.py."""
        used = self._used()
        accounts = np.zeros(len(used["accounts"]) - 1, ACCOUNT_STATE)
        for column in ACCOUNT_STATE.names or ():
            accounts[column] = used["accounts"][column][1:]
        positions = np.zeros(len(used["positions"]) - 1, POSITION_STATE)
        for column in (POSITION_STATE.names or ())[1:]:
            positions[column] = used["positions"][column][1:]
        positions["account"] = used["accounts"]["account"][used["positions"]["account_row"][1:]]
        live = np.flatnonzero(used["orders"]["order_id"])
        live = live[np.argsort(used["orders"]["order_id"][live])]
        orders = np.zeros(len(live), ORDER_STATE)
        for start in range(0, len(live), _HASHED_AT_ONCE):
            part = slice(start, start + _HASHED_AT_ONCE)
            self._fill_order_state(orders[part], live[part])
        done = np.zeros(int(self._head[layout.DONE_COUNT]), np.uint64)
        done_order_ids(self._head, self._orders, done)
        facts = np.zeros(len(self._facts), FACT_STATE)
        for column in FACT_STATE.names or ():
            facts[column] = self._facts[column]
        counters = self._head[[layout.LAST_ORDER_NUMBER, layout.DONE_BEFORE_TODAY, layout.FEES_MINOR]]
        return hash_arrays(
            {
                "accounts": accounts, "positions": positions, "orders": orders, "done": done, "facts": facts, "updates": self._update_state(),
                "replaced_ids": self._replaced_id_state(), "counters": counters,
            }
        )  # fmt: skip

    def _update_state(self) -> Rows:
        """The canonical rows of the updates whose content is known."""
        rows = self._updates[_ring(self._head[layout.UPDATES_USED], self._head[layout.UPDATES_AT], self.limits.updates_max)]
        return rows.astype(UPDATE_STATE)

    def _replaced_id_state(self) -> Rows:
        """The canonical rows of replaced ids."""
        ring = _ring(self._head[layout.REPLACED_IDS_USED], self._head[layout.REPLACED_IDS_AT], self.limits.replaced_ids_max)
        rows, out = self._replaced_ids[ring], np.zeros(len(ring), REPLACED_ID_STATE)
        for column in ("order_id", "digest_low", "digest_high", "is_pending"):
            out[column] = rows[column]
        out["account"] = self._accounts["account"][rows["account_row"]]
        out["cl_ord_id"] = text_of_words(self._replaced_id_text[ring], len(ring), TEXT_WORDS_MAX)
        return out

    def _fill_order_state(self, orders: Rows, live: Rows) -> None:
        """The canonical rows of some order rows; by portions that stay in the processor's cache, as every column is a walk over all of them."""
        rows = self._orders[live]
        for column in set(ORDER_STATE.names or ()) - {"account", "cl_ord_id", "oco_id", "primary_id"}:
            orders[column] = rows[column]
        for column, link in (("oco_id", "oco"), ("primary_id", "primary")):
            orders[column] = self._orders["order_id"][rows[link]]
        orders["account"] = self._accounts["account"][rows["account_row"]]
        orders["cl_ord_id"] = text_of_words(self._order_text[live], len(live), TEXT_WORDS_MAX)

    def snapshot(self) -> dict[str, Rows]:
        """The whole state as named arrays: views, as long as the rows in use. A row keeps its place, so that few pages change."""
        head = head_array(self.shard, self.shards, self.limits, self.log_time, self.last_seq)
        return self._used() | {"head": head, "kernel_head": self._head, "instruments": np.frombuffer(self.instruments.digest, np.uint8)}

    @classmethod
    def restore(cls, shard: int, instruments: InstrumentTable, arrays: dict[str, Rows]) -> Self:
        """The shard of a snapshot. Raises StaleData for one of another shard, other instruments or another layout."""
        shards, limits = check_head(shard, instruments, arrays)
        check_layout(arrays, _POOLS | {"kernel_head": np.dtype(np.int64), "facts": layout.FACT_ROW})
        machine = cls(shard, instruments, shards, limits)
        machine._head[:] = arrays["kernel_head"]
        for name in (*_POOLS, "order_text", "replaced_id_text"):
            saved, pool = arrays[name], getattr(machine, f"_{name}")
            if len(saved) > len(pool):
                setattr(machine, f"_{name}", pool := grown(pool, capacity_for(len(saved))))
            put_rows(pool, saved)
        machine._facts[:] = arrays["facts"]
        machine._new_indexes()
        return machine


def _ring(used: int, at: int, most: int) -> Rows:
    """Rows of a ring, the oldest first."""
    return np.arange(1, used) if used <= most else np.arange(at, at + most) % most + 1
