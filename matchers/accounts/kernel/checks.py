"""What an order says, in the account kernel: its type, its prices as account_rules has them, its digest."""

from typing import Any, Final

import numpy as np

from matchers.compiled.compilation import helper
from matchers.compiled.hash_index import U, mix
from matchers.compiled.order_checks import BITS_END, PRICED, STOPS, is_one_of
from matchers.compiled.words import OFFSET_TICKS, SIDE_BUY, TYPE_PEGGED, TYPE_TRAILING_STOP_LIMIT
from matchers.rules.account_rules import DIGEST_SEED
from schemas.limits import PRICE_TICKS_MAX
from schemas.units import BASIS_POINTS

_SEED: Final = U(DIGEST_SEED)
_ZERO: Final = U(0)


@helper
def is_without_limit(ord_type: Any) -> Any:
    """account_rules.WITHOUT_LIMIT, of a type that there is."""
    return not is_one_of(np.int64(ord_type), PRICED)


@helper
def is_stop(ord_type: Any) -> Any:
    """order_tables.STOP_TYPES; any u1."""
    return ord_type < BITS_END and is_one_of(np.int64(ord_type), STOPS)


@helper
def book_stop_px(command: Any, rules: Any) -> Any:
    """account_rules.book_stop_px."""
    if command.ord_type != TYPE_TRAILING_STOP_LIMIT or command.side != SIDE_BUY or command.stop_px != 0:
        return np.int64(command.stop_px)
    high = rules.protection_high_px
    if command.offset_type == OFFSET_TICKS:
        return np.int64(min(high + command.offset, PRICE_TICKS_MAX))
    return np.int64(min(-((-high * (BASIS_POINTS + command.offset)) // BASIS_POINTS), PRICE_TICKS_MAX))


@helper
def worst_px(ord_type: Any, side: Any, price: Any, stop_px: Any, rules: Any) -> Any:
    """account_rules.worst_px; stop_px: what the book gets."""
    if is_without_limit(ord_type) or (ord_type == TYPE_PEGGED and price == 0):
        return np.int64(rules.protection_high_px if side == SIDE_BUY else rules.protection_low_px)
    if ord_type == TYPE_TRAILING_STOP_LIMIT:
        if side == SIDE_BUY:
            return np.int64(min(stop_px + price, PRICE_TICKS_MAX))
        return np.int64(stop_px if stop_px != 0 else rules.reference_px)
    return np.int64(price)


@helper
def _body_word(word: Any, place: Any) -> Any:
    return mix(word ^ (_SEED * U(place))) if word != _ZERO else _ZERO


@helper
def body_digest(command: Any) -> Any:
    """account_rules.body_digest."""
    small = (
        U(command.side) | U(command.ord_type) << U(8) | U(command.time_in_force) << U(16) | U(command.exec_inst) << U(24)
        | U(command.self_match_prevention_instruction) << U(32) | U(command.contingency_type) << U(40) | U(command.peg_price_type) << U(48)
        | U(command.offset_type) << U(56)
    )  # fmt: skip
    digest = _body_word(small, 1) ^ _body_word(U(command.instrument) | U(command.locate) << U(32), 2)
    digest ^= _body_word(U(command.order_qty), 3) ^ _body_word(U(command.price), 4) ^ _body_word(command.self_match_prevention_id, 5)
    digest ^= _body_word(U(command.stop_px), 6) ^ _body_word(U(command.display_qty), 7) ^ _body_word(U(command.min_qty), 8)
    return digest ^ _body_word(U(command.offset), 9) ^ _body_word(U(command.expire_time), 10)
