"""Looking ahead in the account kernel: what the next rows will touch is on its way into the cache while the rows before them are worked off.

With accounts by the million nearly every row's account, position and index places are in main memory, ~100 ns each, one behind the other. Asked for a chunk at a
time they arrive together. Nothing here decides anything: a place that turns out to be another row's costs a fetch.
"""

from typing import Any, Final

from matchers.accounts.kernel.layout import ACCOUNT_ROW, LAST_ORDER_NUMBER, ORDER_ROW, POSITION_ROW, SHARD
from matchers.compiled.compilation import helper
from matchers.compiled.digest import text_digest, text_words
from matchers.compiled.hash_index import U, hash_of, hash_of_pair
from matchers.compiled.prefetch import LINE, prefetch
from schemas.limits import ORDER_ID_SHARD_SHIFT

CHUNK: Final = 16
"""Rows looked ahead at a time: 16 x ~10 lines of 64 B stay in the first-level cache until they are used."""
_ROW_BITS: Final = U(0xFFFFFFFF)
_WORD: Final = U(8)
_ACCOUNT_BYTES: Final = U(ACCOUNT_ROW.itemsize)
_POSITION_BYTES: Final = U(POSITION_ROW.itemsize)
_ORDER_BYTES: Final = U(ORDER_ROW.itemsize)


@helper
def ask_index(index: Any, hashed: Any) -> None:
    """Ask for a hash's own place in an index."""
    prefetch(U(index.ctypes.data) + (hashed & U(index.shape[0] - 1)) * _WORD)


@helper
def _first_row(index: Any, hashed: Any) -> Any:
    """The row at the hash's own place, which mostly is the one looked for; 0: none."""
    return index[hashed & U(index.shape[0] - 1)] & _ROW_BITS


@helper
def ask_order(s: Any, order_row: Any) -> None:
    """Ask for an order row (u64), and the beginning of its text."""
    order = U(s.orders.ctypes.data) + order_row * _ORDER_BYTES
    for line in range(4):
        prefetch(order + U(line) * LINE)
    prefetch(U(s.order_text.ctypes.data) + order_row * U(s.order_text.shape[1]) * _WORD)


@helper
def ask_next_forgotten(s: Any, order_row: Any) -> None:
    """The order that will be forgotten next (asked for when the one before it was): its places in the indexes, and the one behind it."""
    if order_row != 0:
        order = s.orders[order_row]
        ask_index(s.order_index, hash_of(order.order_id))
        ask_index(s.cl_ord_id_index, hash_of_pair(order.digest_low, U(order.account_row)))
        ask_order(s, U(order.next))


@helper
def look_ahead_at_commands(s: Any, rows: Any, text: Any, begin: Any, end: Any) -> None:
    """Of rows begin..end: account, position, and the index places of account, position, cl_ord_id and the next order_ids."""
    for row in range(begin, end):
        ask_index(s.account_index, hash_of(rows[row].account))
        ask_index(s.order_index, hash_of(U((s.head[SHARD] << ORDER_ID_SHARD_SHIFT) | (s.head[LAST_ORDER_NUMBER] + 1 + row - begin))))
    for row in range(begin, end):
        command = rows[row]
        account_row = _first_row(s.account_index, hash_of(command.account))
        account = U(s.accounts.ctypes.data) + account_row * _ACCOUNT_BYTES
        prefetch(account)
        prefetch(account + LINE)
        ask_index(s.position_index, hash_of_pair(account_row, U(command.instrument)))
        words = text_words(text, row)
        if words > 0:
            low, _ = text_digest(text, row, words)
            ask_index(s.cl_ord_id_index, hash_of_pair(low, account_row))
    for row in range(begin, end):
        command = rows[row]
        account_row = _first_row(s.account_index, hash_of(command.account))
        position_row = _first_row(s.position_index, hash_of_pair(account_row, U(command.instrument)))
        prefetch(U(s.positions.ctypes.data) + position_row * _POSITION_BYTES)
        last = U(s.accounts[account_row].last_order)
        prefetch(U(s.orders.ctypes.data) + last * _ORDER_BYTES + LINE)


@helper
def look_ahead_at_reports(s: Any, rows: Any, begin: Any, end: Any) -> None:
    """Of rows begin..end: the order, its text, its account and position."""
    for row in range(begin, end):
        ask_index(s.order_index, hash_of(rows[row].order_id))
    for row in range(begin, end):
        order_row = _first_row(s.order_index, hash_of(rows[row].order_id))
        ask_order(s, order_row)
    for row in range(begin, end):
        order = s.orders[_first_row(s.order_index, hash_of(rows[row].order_id))]
        account = U(s.accounts.ctypes.data) + U(order.account_row) * _ACCOUNT_BYTES
        prefetch(account)
        prefetch(account + LINE)
        prefetch(U(s.positions.ctypes.data) + U(order.position_row) * _POSITION_BYTES)
