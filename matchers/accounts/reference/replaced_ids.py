"""The cl_ord_ids that orders have, had before a replace, or would have after one: docs/rules.md, section 7."""

from matchers.accounts.reference.state import AccountState, Order, ReplacedId, Values
from schemas.ids import cl_ord_id_digest
from schemas.reject_reasons import Reason


def earlier(s: AccountState, command: Values, text: bytes) -> Order | None:
    """The account's order that has this cl_ord_id, had it before a replace, or waits for it."""
    if not text:
        return None
    key = command["account"], cl_ord_id_digest(text)
    if order := s.by_cl_ord_id.get(key):
        return order
    other = s.by_replaced_id.get(key)
    return s.orders.get(other.order_id) if other else None


def new_id_refusal(s: AccountState, command: Values, text: bytes) -> Reason:
    """Whether a replace can give its order this id, which it does not have now."""
    if not text:
        return Reason.INVALID_CL_ORD_ID
    if earlier(s, command, text) is not None:
        return Reason.DUPLICATE_CL_ORD_ID
    is_full = len(s.replaced_ids) >= s.limits.replaced_ids_max and s.replaced_ids[0].is_pending
    return Reason.REPLACED_ID_LIMIT if is_full else Reason.NONE


def keep_next_id(s: AccountState, order: Order, text: bytes) -> None:
    """Nobody else gets the id while the replace is under way. The oldest id of all is forgotten for it, if there are too many."""
    if len(s.replaced_ids) >= s.limits.replaced_ids_max:
        oldest = s.replaced_ids.popleft()
        if s.by_replaced_id.get((oldest.account, oldest.digest)) is oldest:
            del s.by_replaced_id[oldest.account, oldest.digest]
    order.next_id = ReplacedId(order.account.account, order.order_id, cl_ord_id_digest(text), text)
    s.replaced_ids.append(order.next_id)
    s.by_replaced_id[order.next_id.account, order.next_id.digest] = order.next_id


def take_next_id(s: AccountState, order: Order) -> bytes:
    """The order answers to the id that the replace gave it; the one that it had, which stays its own too. Empty: it keeps it."""
    taken, order.next_id = order.next_id, None
    if taken is None:
        return b""
    account, old = order.account.account, order.cl_ord_id
    old_digest = cl_ord_id_digest(old)
    del s.by_cl_ord_id[account, old_digest], s.by_replaced_id[account, taken.digest]
    s.by_cl_ord_id[account, taken.digest] = order
    s.by_replaced_id[account, old_digest] = taken
    order.cl_ord_id, taken.digest, taken.text, taken.is_pending = taken.text, old_digest, b"", False
    return old


def drop_next_id(s: AccountState, order: Order) -> None:
    """The id that the replace would have given it is free again."""
    if order.next_id is not None:
        del s.by_replaced_id[order.account.account, order.next_id.digest]
        order.next_id.clear()
        order.next_id = None
