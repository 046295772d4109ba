"""Arithmetic and text rules of the account shard: the reference calls them, the kernel does the same in compiled code."""

from collections.abc import Mapping
from typing import Any, Final

from schemas.enums import AccountPermission, OffsetType, OrdType, Side
from schemas.field_rules import Use, types_with
from schemas.ids import mix
from schemas.limits import CASH_MINOR_MAX, CL_ORD_ID_MAX_BYTES, PRICE_TICKS_MAX, SESSION_INTERVAL_NS, SESSIONS_AT_ONCE_MAX
from schemas.units import BASIS_POINTS, NANOS_PER_SECOND

POSITION_COST_MAX: Final = CASH_MINOR_MAX
"""position_cost stays at this amount instead of growing beyond it; it is information, no money is counted by it."""

PERMISSIONS_MAX: Final = int(AccountPermission.SHORT_SALE)
"""All permissions that an account may have, as bits."""

ORDERS_PER_SECOND_MAX: Final = NANOS_PER_SECOND
"""An account's rate limit: the interval between two orders is whole ns."""

SESSION_BURST_NS: Final = (SESSIONS_AT_ONCE_MAX - 1) * SESSION_INTERVAL_NS
"""How far sessions_until may be ahead of log time."""

HOLD_ALL: Final = (1 << 31) - 1
"""hold_max of an order that holds for all its lots; more than ORDER_QTY_LOTS_MAX."""

HOLD_NOTHING: Final = -1
"""hold_max of an order that its book has cancelled already, because its OCO partner has traded; the word of it is on its way."""

DAY_NS: Final = 86_400 * NANOS_PER_SECOND
"""Days of the account shards are UTC days of log time."""

PRICE_TEST_TENTHS: Final = 9
"""Regulation SHO rule 201: the price test begins when a trade is at 9/10 of the previous close or below."""

WITHOUT_LIMIT: Final = types_with("price", {Use.NO})
"""Orders whose price must be 0: the shard sends their protection price to the book, having held funds for exactly that."""

REPORT_FAULTS: Final = (
    "", "there is no such order", "the order is of another account", "the order is of another instrument", "there is no such report",
    "there is no such reason", "the trade does not fit the order", "the trade is beyond the worst price of the order",
    "the account's cash would be out of bounds", "another quantity is taken out than the order has left", "nobody asked to cancel the order",
    "nobody asked to replace the order", "the replace does not fit the order", "the restatement does not fit the order",
    "the trigger does not fit the order", "the order cannot have that price",
)  # fmt: skip
"""Why a book's report cannot be true. It is left out: a shard that stopped for it would stop at it for ever."""
(
    _, UNKNOWN_ORDER_FAULT, ACCOUNT_FAULT, INSTRUMENT_FAULT, KIND_FAULT, REASON_FAULT, TRADE_FAULT, WORST_PRICE_FAULT, CASH_FAULT, QUANTITY_FAULT,
    CANCEL_FAULT, REPLACE_FAULT, REPLACED_FAULT, RESTATED_FAULT, TRIGGERED_FAULT, PRICE_FAULT,
) = range(16)  # fmt: skip

SETTLED_CASH_MAX: Final = 1 << 62
"""No trades bring an account so much while deposits keep CASH_MINOR_MAX, and no bust may; beyond it 64 bits would overflow."""

UPDATE_FIELDS: Final = ("cash", "order_qty", "min_qty")
"""With kind, account_word and instrument what makes two updates of an account the same."""

SMALL_FIELDS: Final = (
    "side", "ord_type", "time_in_force", "exec_inst", "self_match_prevention_instruction", "contingency_type", "peg_price_type", "offset_type",
)  # fmt: skip
LARGE_FIELDS: Final = ("order_qty", "price", "self_match_prevention_id", "stop_px", "display_qty", "min_qty", "offset", "expire_time")

_MASK64: Final = (1 << 64) - 1
DIGEST_SEED: Final = 0x9E3779B97F4A7C15


def is_valid_cl_ord_id(cl_ord_id: bytes) -> bool:
    """1 to 128 printable ASCII characters (space to tilde)."""
    return 1 <= len(cl_ord_id) <= CL_ORD_ID_MAX_BYTES and all(0x20 <= byte <= 0x7E for byte in cl_ord_id)


def body_digest(command: Mapping[str, Any]) -> int:
    """64 bits over all that makes two orders of one cl_ord_id the same order (its list's number is not part of it).

    Words: the eight small fields as bytes; instrument and locate; the large fields. Those that are not zero count, each mixed with its place.
    """
    small = sum(command[name] << (8 * place) for place, name in enumerate(SMALL_FIELDS))
    words = [small, command["instrument"] | command["locate"] << 32] + [command[name] & _MASK64 for name in LARGE_FIELDS]
    digest = 0
    for place, word in enumerate(words, 1):
        if word:
            digest ^= mix((word ^ (DIGEST_SEED * place)) & _MASK64)
    return digest


def update_digest(command: Mapping[str, Any]) -> int:
    """64 bits over all that makes two updates of an account with one request_id the same; words as in body_digest."""
    words = [command["kind"] | command["account_word"] << 8 | command["instrument"] << 32] + [
        command[name] & _MASK64 for name in UPDATE_FIELDS
    ]
    digest = 0
    for place, word in enumerate(words, 1):
        if word:
            digest ^= mix((word ^ (DIGEST_SEED * place)) & _MASK64)
    return digest


def cost_after(position_cost: int, position: int, lots: int, minor_per_lot: int) -> int:
    """position_cost once `lots` (negative: taken out) have come at minor_per_lot each. What is short has a cost below zero: what it brought in.

    A lot that leaves takes the average cost with it, rounded down in sum; a position that changes its side begins anew.
    """
    if lots == 0:
        return position_cost
    if position == 0 or (position > 0) == (lots > 0):
        grown = min(abs(position_cost) + abs(lots) * minor_per_lot, POSITION_COST_MAX)
        return grown if lots > 0 else -grown
    if abs(lots) <= abs(position):
        rest = abs(position_cost) - abs(position_cost) * abs(lots) // abs(position)
        return rest if position > 0 else -rest
    return cost_after(0, 0, position + lots, minor_per_lot)


def collateral(available_lots: int, margin_minor: int) -> int:
    """Cash that a position keeps held: margin_minor for each lot that is short once the held ones are gone, at most CASH_MINOR_MAX."""
    return min(max(-available_lots, 0) * margin_minor, CASH_MINOR_MAX)


def worst_px(order: Mapping[str, Any], rules: Mapping[str, Any]) -> int:
    """Ticks: what the book may execute the order at, at worst; see book_px and book_stop_px for what makes it so."""
    ord_type, price, buy = order["ord_type"], int(order["price"]), order["side"] == Side.BUY
    if ord_type in WITHOUT_LIMIT or (ord_type == OrdType.PEGGED and not price):
        return int(rules["protection_high_px"] if buy else rules["protection_low_px"])
    if ord_type == OrdType.TRAILING_STOP_LIMIT:
        return min(book_stop_px(order, rules) + price, PRICE_TICKS_MAX) if buy else int(order["stop_px"] or rules["reference_px"])
    return price


def book_px(order: Mapping[str, Any], rules: Mapping[str, Any]) -> int:
    """The price that the book gets: a protection price where the customer gives none. A pegged sell needs none: it holds shares."""
    if order["ord_type"] in WITHOUT_LIMIT or (order["ord_type"] == OrdType.PEGGED and order["side"] == Side.BUY):
        return worst_px(order, rules)
    return int(order["price"])


def book_stop_px(order: Mapping[str, Any], rules: Mapping[str, Any]) -> int:
    """The stop_px that the book gets. A buy TRAILING_STOP_LIMIT that names none begins, at the latest, as if the last price was the protection price."""
    stop_px, offset = int(order["stop_px"]), int(order["offset"])
    if order["ord_type"] != OrdType.TRAILING_STOP_LIMIT or order["side"] != Side.BUY or stop_px:
        return stop_px
    high = int(rules["protection_high_px"])
    in_ticks = order["offset_type"] == OffsetType.TICKS
    return min(high + offset if in_ticks else -(-high * (BASIS_POINTS + offset) // BASIS_POINTS), PRICE_TICKS_MAX)


def hold_per_lot(side: int, price: int, rules: Mapping[str, Any]) -> int:
    """Minor units that a buy holds for each lot at this worst price, the larger fee included; 0 for a sell."""
    return price * int(rules["lot_minor_per_tick"]) + int(rules["taker_fee_minor"]) if side == Side.BUY else 0


def trade_fee(side: int, lots: int, amount: int, aggressor: int, rules: Mapping[str, Any]) -> int:
    """Minor units that the exchange takes for a trade; of a sale never more than it brings."""
    fee = lots * int(rules["taker_fee_minor"] if aggressor else rules["maker_fee_minor"])
    return fee if side == Side.BUY else min(fee, amount)
