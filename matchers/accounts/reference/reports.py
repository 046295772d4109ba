"""The books' reports: holds become postings, are released, or follow what the book made of the order.

What comes here can be true (accounts.reference.faults).
"""

from typing import Final

from matchers.accounts.reference.faults import NEW_PRICE, has_limit, was_elected
from matchers.accounts.reference.holds import held_anew, move_shares
from matchers.accounts.reference.journal import event, order_event
from matchers.accounts.reference.replaced_ids import drop_next_id, take_next_id
from matchers.accounts.reference.state import NO_TERMS, Account, AccountState, Order, Values
from matchers.rules.account_rules import DAY_NS, HOLD_ALL, HOLD_NOTHING, PRICE_TEST_TENTHS, SETTLED_CASH_MAX, hold_per_lot, trade_fee
from schemas.enums import AccountEventKind, OrdStatus, OrdType, ReportKind, Side
from schemas.ids import cl_ord_id_digest
from schemas.limits import FORGET_PER_ROW_MAX, ORDER_QTY_LOTS_MAX, PRICE_TICKS_MAX
from schemas.reject_reasons import Reason

_BUST_NAMES: Final = ("order_id", "side", "aggressor", "trd_match_id", "rpt_seq")


def trade(s: AccountState, report: Values, order: Order) -> None:
    """Hold becomes postings; what the trade was better than the hold is released."""
    lots, last_px = report["last_qty"], report["last_px"]
    rules, account = s.rules[order.instrument], order.account
    amount = last_px * lots * rules["lot_minor_per_tick"]
    fee = trade_fee(order.side, lots, amount, report["aggressor"], rules)
    available = account.available
    sign = 1 if order.side == Side.BUY else -1
    with held_anew(s, order):
        _post(s, account, order.instrument, -sign * amount, sign * lots, fee, amount // lots)
        order.leaves_qty -= lots
        order.cum_qty += lots
        order.cum_cost += last_px * lots
        if order.oco:
            order.oco.hold_max = HOLD_NOTHING
    _unlink_pair(order)
    _pass_on(s, order, lots)
    assert min(available, 0) <= account.available, f"a trade that fits has taken what account {account.account} does not have"
    _note_price(s, order.instrument, last_px)
    if order.leaves_qty:
        order.ord_status = order.open_status
    else:
        _done(s, order, OrdStatus.FILLED)
    posting = {"cash_delta": -sign * amount, "shares_delta": sign * lots, "fee": fee, "last_px": last_px, "last_qty": lots}
    copied = {column: report[column] for column in ("aggressor", "trd_match_id", "rpt_seq")}
    order_event(s, AccountEventKind.TRADE, order, **posting, **copied)


def taken_out(s: AccountState, report: Values, order: Order) -> None:
    """CANCELED, EXPIRED, REJECTED: the rest of the hold is released."""
    kind, status = {
        ReportKind.CANCELED: (AccountEventKind.CANCELED, OrdStatus.CANCELED),
        ReportKind.EXPIRED: (AccountEventKind.EXPIRED, OrdStatus.EXPIRED),
        ReportKind.REJECTED: (AccountEventKind.BOOK_REJECTED, OrdStatus.REJECTED),
    }[ReportKind(report["kind"])]
    with held_anew(s, order):
        order.leaves_qty = 0
    orig = b""
    if report["reason"] == Reason.REQUESTED_BY_CUSTOMER:
        order.cancel_pending = False
    elif report["reason"] == Reason.REPLACED_TO_NOTHING:
        order.terms, order.replace_pending = NO_TERMS, False
        orig = take_next_id(s, order)
    _done(s, order, status)
    order_event(s, kind, order, orig, reason=report["reason"])


def cancel_rejected(s: AccountState, report: Values, order: Order) -> None:
    """The answer to the oldest request that is under way: a replace, if there is one, was asked before the cancel."""
    with held_anew(s, order):
        if order.replace_pending:
            order.terms, order.replace_pending = NO_TERMS, False
            drop_next_id(s, order)
        else:
            order.cancel_pending = False
    if order.leaves_qty:
        order.ord_status = order.open_status
    elif not order.cancel_pending:
        s.done.append(order)
    order_event(s, AccountEventKind.CANCEL_REJECTED, order, reason=report["reason"])


def replaced(s: AccountState, report: Values, order: Order) -> None:
    """What was asked is so now; the difference is released if the order became smaller."""
    asked = order.terms
    with held_anew(s, order):
        order.order_qty, order.leaves_qty, order.price, order.hold_per_lot = (
            asked.order_qty, report["leaves_qty"], asked.price, asked.hold_per_lot,
        )  # fmt: skip
        order.stop_px, order.display_qty, order.offset, order.expire_time = (
            asked.stop_px, asked.display_qty, asked.offset, asked.expire_time,
        )  # fmt: skip
        order.time_in_force, order.exec_inst = asked.time_in_force, asked.exec_inst
        order.terms, order.replace_pending = NO_TERMS, False
        _take_limit(s, order, report["last_px"])
    orig = take_next_id(s, order)
    order.ord_status = order.open_status
    order_event(s, AccountEventKind.REPLACED, order, orig)


def restated(s: AccountState, report: Values, order: Order) -> None:
    """The book has taken from the quantity, or given the order another limit."""
    taken = report["last_qty"]
    with held_anew(s, order):
        order.order_qty -= taken
        order.leaves_qty -= taken
        if report["reason"] == Reason.MARKET_TO_LIMIT:
            order.ord_type = OrdType.LIMIT
        if report["reason"] in NEW_PRICE:
            _take_limit(s, order, report["last_px"])
    order_event(s, AccountEventKind.RESTATED, order, reason=report["reason"])


def triggered(s: AccountState, report: Values, order: Order) -> None:
    """A stop was elected, or what waited for its primary takes its place: it holds what its primary has bought, and no more is to come."""
    with held_anew(s, order):
        order.hold_max = HOLD_ALL
        if was_elected(order.ord_type, report["ord_type"]) and not order.is_active:
            order.is_active = True
            _take_limit(s, order, report["last_px"])
    order_event(s, AccountEventKind.TRIGGERED, order)


def trade_busted(s: AccountState, report: Values) -> None:
    """The trade's postings, negated, fee included. What the account has spent meanwhile it owes: it has nothing available until that is settled."""
    account, instrument = s.accounts.get(report["account"]), report["instrument"]
    lots, last_px = report["last_qty"], report["last_px"]
    named = {"account": report["account"], "instrument": instrument, **{name: report[name] for name in _BUST_NAMES}}
    if reason := _bust_refusal(s, report):
        event(s, AccountEventKind.ACCOUNT_UPDATE_REJECTED, account, named | {"reason": reason}, b"")
        return
    assert account is not None
    sign = 1 if report["side"] == Side.BUY else -1
    amount, fee = _bust_amounts(s, report)
    _post(s, account, instrument, sign * amount, -sign * lots, -fee, amount // lots)
    posting = {"cash_delta": sign * amount, "shares_delta": -sign * lots, "fee": -fee, "last_px": last_px, "last_qty": lots}
    event(s, AccountEventKind.TRADE_BUSTED, account, named | posting | {"reason": report["reason"]}, b"")


def _bust_refusal(s: AccountState, report: Values) -> Reason:
    """An operator's word is checked as far as it can be; the shard must not stop for it."""
    account = s.accounts.get(report["account"])
    if account is None:
        return Reason.UNKNOWN_ACCOUNT
    if report["instrument"] not in s.rules:
        return Reason.UNKNOWN_SYMBOL
    if not (0 < report["last_qty"] <= ORDER_QTY_LOTS_MAX and 0 < report["last_px"] <= PRICE_TICKS_MAX):
        return Reason.AMOUNT_OUT_OF_RANGE
    amount, fee = _bust_amounts(s, report)
    cash = account.cash + fee + (amount if report["side"] == Side.BUY else -amount)
    return Reason.NONE if abs(cash) <= SETTLED_CASH_MAX else Reason.AMOUNT_OUT_OF_RANGE


def _bust_amounts(s: AccountState, report: Values) -> tuple[int, int]:
    """What the trade came to, and its fee."""
    rules, lots = s.rules[report["instrument"]], report["last_qty"]
    amount = report["last_px"] * lots * int(rules["lot_minor_per_tick"])
    return amount, trade_fee(report["side"], lots, amount, report["aggressor"], rules)


def _post(s: AccountState, account: Account, instrument: int, cash: int, lots: int, fee: int, minor_per_lot: int) -> None:
    account.cash += cash - fee
    s.fees_minor += fee
    move_shares(s, account, instrument, lots, minor_per_lot)


def _pass_on(s: AccountState, order: Order, lots: int) -> None:
    """What a primary has bought is held for what sells it."""
    sellers = [one for one in order.secondaries if one.hold_max != HOLD_ALL]
    if sellers:
        with held_anew(s, sellers[0]):  # two of them are a pair
            for one in sellers:
                one.hold_max += lots


def _take_limit(s: AccountState, order: Order, price: int) -> None:
    """The limit that the order has in its book now."""
    if has_limit(order):
        order.price = price
        order.hold_per_lot = hold_per_lot(order.side, price, s.rules[order.instrument])


def _note_price(s: AccountState, instrument: int, last_px: int) -> None:
    """The last price, and whether it begins the short sale price test, which lasts through the next day."""
    s.last_px[instrument] = last_px
    if last_px * 10 <= s.rules[instrument]["reference_px"] * PRICE_TEST_TENTHS:
        s.price_test_end[instrument] = s.log_time // DAY_NS + 2


def _done(s: AccountState, order: Order, status: OrdStatus) -> None:
    """The order is no longer open; while a request is under way it cannot be forgotten."""
    order.ord_status = status
    del order.account.open_orders[order.order_id]
    s.open_orders -= 1
    _unlink_pair(order)
    if order.primary:
        order.primary.secondaries.remove(order)
        order.primary = None
    for one in order.secondaries:
        one.primary = None
    order.secondaries = []
    if not order.cancel_pending and not order.replace_pending:
        s.done.append(order)


def _unlink_pair(order: Order) -> None:
    if order.oco:
        order.oco.oco = None
        order.oco = None


def forget(s: AccountState) -> None:
    """Drop the orders that were done first: down to the limit, and some of those of earlier days."""
    count = 0
    while len(s.done) > s.limits.done_orders_max or (s.done_before_today and count < FORGET_PER_ROW_MAX):
        order = s.done.popleft()
        del s.orders[order.order_id]
        del s.by_cl_ord_id[order.account.account, cl_ord_id_digest(order.cl_ord_id)]
        s.done_before_today = max(s.done_before_today - 1, 0)
        count += 1
