"""Why an account shard refuses a new order or a replace: the checks that look at the account, in the order of docs/rules.md, section 7. They change nothing."""

from matchers.accounts.reference.holds import Need, pair_need
from matchers.accounts.reference.replaced_ids import earlier
from matchers.accounts.reference.state import Account, AccountState, Order, Position, Terms, Values
from matchers.rules.account_rules import DAY_NS, HOLD_ALL, hold_per_lot, worst_px
from matchers.rules.order_rules import order_refusal, quantity_refusal
from schemas.enums import (
    TIME_IN_FORCE_UNCHANGED,
    AccountPermission,
    AccountStatus,
    ContingencyType,
    ExecInst,
    OrdType,
    Side,
    TimeInForce,
)
from schemas.field_rules import TYPE_RULES
from schemas.limits import PRICE_TICKS_MAX
from schemas.reject_reasons import Reason


def refusal(s: AccountState, command: Values, text: bytes) -> Reason:
    """The checks of one order up to its price; what a list needs in all comes after them."""
    account = s.accounts.get(command["account"])
    if account is None:
        return Reason.UNKNOWN_ACCOUNT
    if account.status != AccountStatus.ACTIVE:
        return Reason.ACCOUNT_SUSPENDED
    if command["instrument"] not in s.rules:
        return Reason.UNKNOWN_SYMBOL
    if not text:
        return Reason.INVALID_CL_ORD_ID
    if earlier(s, command, text):
        return Reason.DUPLICATE_CL_ORD_ID
    if is_too_fast(s, account):
        return Reason.RATE_LIMIT
    rules = s.rules[command["instrument"]]
    return (
        order_refusal(command, rules, s.log_time)
        or notional_refusal(s, account, command["instrument"], worst_px(command, rules), command["order_qty"])
        or restricted_refusal(s, account, command["instrument"])
    )


def is_too_fast(s: AccountState, account: Account) -> bool:
    """Whether the token bucket is empty."""
    return bool(account.rate_interval_ns) and account.rate_until - s.log_time > account.rate_burst_ns


def count_order(s: AccountState, account: Account) -> None:
    """Take a token: only what is accepted takes one."""
    if account.rate_interval_ns:
        account.rate_until = max(account.rate_until, s.log_time) + account.rate_interval_ns


def notional_refusal(s: AccountState, account: Account, instrument: int, price: int, order_qty: int) -> Reason:
    """Worst price x quantity against the instrument's limit and the account's own."""
    notional = price * order_qty * s.rules[instrument]["lot_minor_per_tick"]
    most = min(s.rules[instrument]["notional_minor_max"], account.order_minor_max or s.rules[instrument]["notional_minor_max"])
    return Reason.NOTIONAL_ABOVE_LIMIT if notional > most else Reason.NONE


def restricted_refusal(s: AccountState, account: Account, instrument: int) -> Reason:
    """The exchange's list, then the account's."""
    position = _position_now(s, account, instrument)
    return Reason.RESTRICTED if s.rules[instrument]["restricted"] or position.restricted else Reason.NONE


def position_refusal(s: AccountState, account: Account, instrument: int, need: Need) -> Reason:
    """What the position could become if all its open orders of one side executed."""
    position = _position_now(s, account, instrument)
    most = min(position.lots_max or s.rules[instrument]["position_lots_max"], s.rules[instrument]["position_lots_max"])
    long = position.position + position.open_buys + need.buys
    short = position.open_shorts + need.shorts - position.position
    return Reason.POSITION_LIMIT if (need.buys and long > most) or (need.shorts and short > most) else Reason.NONE


def funds_refusal(s: AccountState, account: Account, instrument: int, need: Need) -> Reason:
    """Whether cash and shares are there for `need`."""
    position = _position_now(s, account, instrument)
    if need.cash > max(account.available, 0):
        return Reason.INSUFFICIENT_BUYING_POWER
    return Reason.INSUFFICIENT_SHARES if need.shares > max(position.position - position.position_held, 0) else Reason.NONE


def short_refusal(s: AccountState, account: Account, command: Values) -> Reason:
    """Of a sale without shares whose shares are located."""
    if not account.permissions & AccountPermission.SHORT_SALE:
        return Reason.SHORT_SALE_NOT_ALLOWED
    return price_test_refusal(s, command["instrument"], command["ord_type"], command["price"])


def price_test_refusal(s: AccountState, instrument: int, ord_type: int, price: int) -> Reason:
    """Regulation SHO rule 201: while the test lasts, a short sale needs a limit above the best bid, for which the last price known here stands."""
    tested = s.log_time // DAY_NS < s.price_test_end[instrument]
    limited = ord_type == OrdType.LIMIT and price > s.last_px[instrument]
    return Reason.SHORT_SALE_PRICE_TEST if tested and not limited else Reason.NONE


def is_short_sale(s: AccountState, account: Account, command: Values, first: bool) -> bool:
    """A sale of an account that has nothing of it left to sell, with located shares. Orders that close a list's position, and OCO pairs, sell shares."""
    position = _position_now(s, account, command["instrument"])
    single = first and command["contingency_type"] != ContingencyType.OCO
    return bool(single and command["locate"] and command["side"] == Side.SELL and position.position <= position.position_held)


def has_no_room(s: AccountState, account: Account, orders: int) -> bool:
    """Too many open orders already for so many more."""
    too_many = len(account.open_orders) + orders > s.limits.open_orders_per_account_max
    return too_many or s.open_orders + orders > s.limits.orders_max


# -- replaces


def terms_asked(s: AccountState, order: Order, command: Values) -> Terms:
    """The order as a replace wants it; as the book has it in books.reference.replace.terms_asked."""
    keeps_time = command["time_in_force"] == TIME_IN_FORCE_UNCHANGED
    time_in_force = order.time_in_force if keeps_time else command["time_in_force"]
    was_hidden = order.exec_inst & ExecInst.HIDDEN and not command["display_qty"]
    hidden = ExecInst.HIDDEN if command["exec_inst"] & ExecInst.HIDDEN or was_hidden else 0
    kept_expiry = order.expire_time if time_in_force == TimeInForce.GTD else 0
    price = command["price"] or order.price
    return Terms(
        order_qty=command["order_qty"], price=price, hold_per_lot=_replaced_hold(s, order, price),
        stop_px=command["stop_px"] or order.stop_px, display_qty=0 if hidden else command["display_qty"] or order.display_qty,
        offset=command["offset"] or order.offset, expire_time=command["expire_time"] or kept_expiry, time_in_force=time_in_force,
        exec_inst=(order.exec_inst & ~ExecInst.HIDDEN) | hidden,
    )  # fmt: skip


def _replaced_hold(s: AccountState, order: Order, price: int) -> int:
    """hold_per_lot with another price; an elected stop's price is its limit."""
    if price == order.price:
        return order.hold_per_lot
    ord_type = OrdType.LIMIT if order.is_active else order.ord_type
    rules = s.rules[order.instrument]
    shape = {name: getattr(order, name) for name in ("side", "stop_px", "offset", "offset_type")}
    return hold_per_lot(order.side, worst_px(shape | {"ord_type": ord_type, "price": price}, rules), rules)


def replace_refusal(s: AccountState, order: Order, command: Values) -> Reason:
    """What the account shard can judge of a replace; the rest is the book's to refuse."""
    account, rules, total, price = order.account, s.rules[order.instrument], command["order_qty"], command["price"]
    if is_too_fast(s, account):
        return Reason.RATE_LIMIT
    if total < 0:
        return Reason.INVALID_QUANTITY
    if total <= order.cum_qty:
        return Reason.NONE  # it cancels what is left
    if reason := quantity_refusal(total, rules):
        return reason
    if price < 0:
        return Reason.INVALID_PRICE
    if price > PRICE_TICKS_MAX:
        return Reason.PRICE_ABOVE_LIMIT
    grows_early = order.hold_max != HOLD_ALL and total > order.hold_max
    if (price and not TYPE_RULES[OrdType(order.ord_type)].price) or grows_early:
        return Reason.CANNOT_CHANGE
    if order.is_short and price and (reason := price_test_refusal(s, order.instrument, order.ord_type, price)):
        return reason
    return _replaced_funds_refusal(s, order, terms_asked(s, order, command))


def _replaced_funds_refusal(s: AccountState, order: Order, asked: Terms) -> Reason:
    account, instrument = order.account, order.instrument
    rules = s.rules[instrument]
    worst = (asked.hold_per_lot - rules["taker_fee_minor"]) // rules["lot_minor_per_tick"] if order.side == Side.BUY else asked.price
    now = pair_need(s, order)
    before = order.terms, order.replace_pending
    order.terms, order.replace_pending = asked, True
    then = pair_need(s, order)
    order.terms, order.replace_pending = before
    more = Need(then.cash - now.cash, then.shares - now.shares, then.buys - now.buys, then.shorts - now.shorts)
    grows = asked.order_qty > order.order_qty or asked.hold_per_lot > order.hold_per_lot
    return (
        notional_refusal(s, account, instrument, worst, asked.order_qty)
        or (restricted_refusal(s, account, instrument) if grows else Reason.NONE)
        or position_refusal(s, account, instrument, more)
        or (funds_refusal(s, account, instrument, more) if more.cash > 0 or more.shares > 0 else Reason.NONE)
    )


def _position_now(s: AccountState, account: Account, instrument: int) -> Position:
    """The position, or an empty one that is not kept."""
    return s.positions.get((account.account, instrument)) or Position(account.account, instrument)
