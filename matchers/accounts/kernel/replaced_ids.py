"""The cl_ord_ids that orders had before a replace, or would have after one, in the account kernel; see accounts.reference.replaced_ids."""

from typing import Any, Final

import numpy as np

from matchers.accounts.kernel.layout import EVENT_ORIG_WORDS, EVENTS, REPLACED_IDS_AT, REPLACED_IDS_MAX, REPLACED_IDS_USED
from matchers.accounts.kernel.pools import find_cl_ord_id
from matchers.accounts.kernel.words import REASON_REPLACED_ID_LIMIT
from matchers.compiled.compilation import helper, routine
from matchers.compiled.digest import text_digest
from matchers.compiled.hash_index import U, hash_of_pair, index_insert, index_remove
from matchers.compiled.words import REASON_DUPLICATE_CL_ORD_ID, REASON_INVALID_CL_ORD_ID

_ZERO: Final = U(0)


@helper
def is_own_id(s: Any, order_row: Any, text: Any, row: Any) -> Any:
    """Whether the text is the id that the order has now."""
    for at in range(s.order_text.shape[1]):
        word = text[row, at] if at < text.shape[1] else _ZERO
        if s.order_text[order_row, at] != word:
            return False
    return True


@helper
def new_id_refusal(s: Any, account_row: Any, text: Any, row: Any, words: Any) -> Any:
    """Whether a replace can give its order this id, which it does not have now, or 0."""
    if words == 0:
        return REASON_INVALID_CL_ORD_ID
    low, high = text_digest(text, row, words)
    if find_cl_ord_id(s, account_row, low, high) != 0:
        return REASON_DUPLICATE_CL_ORD_ID
    at = _next_row(s)
    return REASON_REPLACED_ID_LIMIT if at < s.head[REPLACED_IDS_USED] and s.replaced_ids[at].is_pending != 0 else 0


@helper
def _next_row(s: Any) -> Any:
    """Row of the ring that is written next: a new one, or the oldest."""
    used = s.head[REPLACED_IDS_USED]
    return used if used <= s.head[REPLACED_IDS_MAX] else s.head[REPLACED_IDS_AT] % s.head[REPLACED_IDS_MAX] + 1


@routine
def keep_next_id(s: Any, order_row: Any, text: Any, row: Any, words: Any) -> None:
    """Nobody else gets the id while the replace is under way. The oldest id of all is forgotten for it, if there are too many."""
    at = _next_row(s)
    one = s.replaced_ids[at]
    if at < s.head[REPLACED_IDS_USED]:
        if one.order_id != _ZERO:
            index_remove(s.replaced_id_index, hash_of_pair(one.digest_low, U(one.account_row)), at)
    else:
        s.head[REPLACED_IDS_USED] += 1
    s.head[REPLACED_IDS_AT] = at
    order = s.orders[order_row]
    low, high = text_digest(text, row, words)
    one.order_id = order.order_id
    one.digest_low = low
    one.digest_high = high
    one.account_row = order.account_row
    one.is_pending = 1
    for word in range(words):
        s.replaced_id_text[at, word] = text[row, word]
    index_insert(s.replaced_id_index, hash_of_pair(low, U(order.account_row)), at)
    order.next_id = at


@helper
def _clear_text(s: Any, at: Any) -> None:
    for word in range(s.replaced_id_text.shape[1]):
        s.replaced_id_text[at, word] = _ZERO


@routine
def take_next_id(s: Any, order_row: Any) -> None:
    """The order answers to the id that the replace gave it; the one that it had, which stays its own too, goes beside the event row that is written."""
    order = s.orders[order_row]
    at = np.int64(order.next_id)
    if at == 0:
        return
    one = s.replaced_ids[at]
    account_row = U(order.account_row)
    index_remove(s.cl_ord_id_index, hash_of_pair(order.digest_low, account_row), order_row)
    index_remove(s.replaced_id_index, hash_of_pair(one.digest_low, account_row), at)
    low = order.digest_low
    high = order.digest_high
    order.digest_low = one.digest_low
    order.digest_high = one.digest_high
    one.digest_low = low
    one.digest_high = high
    index_insert(s.cl_ord_id_index, hash_of_pair(order.digest_low, account_row), order_row)
    index_insert(s.replaced_id_index, hash_of_pair(low, account_row), at)
    event = s.call[EVENTS]
    for word in range(s.order_text.shape[1]):
        old = s.order_text[order_row, word]
        if old != _ZERO:
            s.event_orig[event, word] = old
            s.call[EVENT_ORIG_WORDS] = max(s.call[EVENT_ORIG_WORDS], word + 1)
        s.order_text[order_row, word] = s.replaced_id_text[at, word]
    _clear_text(s, at)
    one.is_pending = 0
    order.next_id = 0


@routine
def drop_next_id(s: Any, order_row: Any) -> None:
    """The id that the replace would have given it is free again."""
    at = np.int64(s.orders[order_row].next_id)
    if at == 0:
        return
    one = s.replaced_ids[at]
    index_remove(s.replaced_id_index, hash_of_pair(one.digest_low, U(one.account_row)), at)
    one.order_id = _ZERO
    one.digest_low = _ZERO
    one.digest_high = _ZERO
    one.account_row = 0
    one.is_pending = 0
    _clear_text(s, at)
    s.orders[order_row].next_id = 0
