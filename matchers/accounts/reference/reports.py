"""The books' reports: holds become postings, are released, or follow what the book made of the order.

A report that cannot be true is left out and told: `report_fault` looks at everything before anything is changed.
"""

from collections import deque
from typing import Any

from matchers.accounts.reference.checks import was_elected
from matchers.accounts.reference.holds import AccountHolds
from matchers.accounts.reference.journal import Values
from matchers.accounts.reference.state import NO_TERMS, Account, Order, ReplacedId
from matchers.rules import account_rules as rule
from matchers.rules.account_rules import DAY_NS, HOLD_ALL, HOLD_NOTHING, PRICE_TEST_TENTHS, SETTLED_CASH_MAX, hold_per_lot, trade_fee
from matchers.rules.limits import ShardLimits
from schemas.enums import AccountEventKind, OrdStatus, OrdType, ReportKind, Side
from schemas.ids import cl_ord_id_digest
from schemas.limits import FORGET_PER_ROW_MAX, ORDER_QTY_LOTS_MAX, PRICE_TICKS_MAX
from schemas.reject_reasons import Reason

_NEW_PRICE = (Reason.MARKET_TO_LIMIT, Reason.PRICE_BAND, Reason.POST_ONLY_SLIDE)
"""Restatements that give an order another limit, always a better one for its owner."""


class AccountReports(AccountHolds):
    """Settles; and forgets orders that were done long ago."""

    limits: ShardLimits
    accounts: dict[int, Account]
    orders: dict[int, Order]
    by_cl_ord_id: dict[tuple[int, tuple[int, int]], Order]
    by_replaced_id: dict[tuple[int, tuple[int, int]], ReplacedId]
    done: deque[Order]
    open_orders: int
    done_before_today: int
    fees_minor: int
    last_px: dict[int, int]
    price_test_end: dict[int, int]

    def report_fault(self, report: Values) -> int:
        """Which of REPORT_FAULTS the report has; 0: it can be true."""
        if report["reason"] not in _REASONS:
            return rule.REASON_FAULT
        if report["kind"] == ReportKind.TRADE_BUSTED:
            return 0
        order = self.orders.get(report["order_id"])
        if order is None:
            return rule.UNKNOWN_ORDER_FAULT
        if order.account.account != report["account"]:
            return rule.ACCOUNT_FAULT
        if order.instrument != report["instrument"]:
            return rule.INSTRUMENT_FAULT
        match report["kind"]:
            case ReportKind.TRADE:
                return self._trade_fault(report, order)
            case ReportKind.CANCELED | ReportKind.EXPIRED | ReportKind.REJECTED:
                return _taken_out_fault(report, order)
            case ReportKind.CANCEL_REJECTED:
                return 0 if order.cancel_pending or order.replace_pending else rule.CANCEL_FAULT
            case ReportKind.REPLACED:
                return self._replaced_fault(report, order)
            case ReportKind.RESTATED:
                return self._restated_fault(report, order)
            case ReportKind.TRIGGERED:
                return self._triggered_fault(report, order)
        return rule.KIND_FAULT

    def _trade_fault(self, report: Values, order: Order) -> int:
        lots, last_px = report["last_qty"], report["last_px"]
        rules = self.rules[order.instrument]
        fits = 0 < lots <= order.leaves_qty and report["leaves_qty"] == order.leaves_qty - lots and 0 < last_px <= PRICE_TICKS_MAX
        if not fits or order.hold_max != HOLD_ALL:  # what waits for its primary, or has lost its pair, cannot trade
            return rule.TRADE_FAULT
        amount = last_px * lots * rules["lot_minor_per_tick"]
        fee = trade_fee(order.side, lots, amount, report["aggressor"], rules)
        if order.side == Side.BUY:
            return rule.WORST_PRICE_FAULT if amount + fee > lots * order.hold_per_lot else 0
        return rule.CASH_FAULT if order.account.cash + amount - fee > SETTLED_CASH_MAX else 0

    def _replaced_fault(self, report: Values, order: Order) -> int:
        asked = order.terms
        fits = (
            order.replace_pending and report["last_qty"] == asked.order_qty and report["leaves_qty"] == asked.order_qty - order.cum_qty > 0
        )
        if not fits or not order.leaves_qty:
            return rule.REPLACED_FAULT
        return self._limit_fault(order, report["last_px"], asked.hold_per_lot) if has_limit(order) else 0

    def _restated_fault(self, report: Values, order: Order) -> int:
        taken, reason = report["last_qty"], report["reason"]
        if not (0 <= taken < order.leaves_qty and report["leaves_qty"] == order.leaves_qty - taken):
            return rule.RESTATED_FAULT
        limited = reason == Reason.MARKET_TO_LIMIT or (reason in _NEW_PRICE and has_limit(order))
        return self._limit_fault(order, report["last_px"], order.hold_per_lot) if limited else 0

    def _triggered_fault(self, report: Values, order: Order) -> int:
        if not report["leaves_qty"] == order.leaves_qty > 0 or order.leaves_qty > order.hold_max:
            return rule.TRIGGERED_FAULT
        elected = was_elected(order.ord_type, report["ord_type"]) and not order.is_active
        limited = elected and order.ord_type in (OrdType.STOP_LIMIT, OrdType.TRAILING_STOP_LIMIT)
        return self._limit_fault(order, report["last_px"], order.hold_per_lot) if limited else 0

    def _limit_fault(self, order: Order, price: int, most_per_lot: int) -> int:
        """A limit is a price, and a buy's needs no more than is held for it."""
        good = 0 < price <= PRICE_TICKS_MAX and hold_per_lot(order.side, price, self.rules[order.instrument]) <= most_per_lot
        return 0 if good else rule.PRICE_FAULT

    def trade(self, report: Values, order: Order) -> None:
        """Hold becomes postings; what the trade was better than the hold is released."""
        lots, last_px = report["last_qty"], report["last_px"]
        rules, account = self.rules[order.instrument], order.account
        amount = last_px * lots * rules["lot_minor_per_tick"]
        fee = trade_fee(order.side, lots, amount, report["aggressor"], rules)
        available = account.available
        sign = 1 if order.side == Side.BUY else -1
        with self.held_anew(order):
            self._post(account, order.instrument, -sign * amount, sign * lots, fee, amount // lots)
            order.leaves_qty -= lots
            order.cum_qty += lots
            order.cum_cost += last_px * lots
            if order.oco:
                order.oco.hold_max = HOLD_NOTHING
        _unlink_pair(order)
        self._pass_on(order, lots)
        assert min(available, 0) <= account.available, f"a trade that fits has taken what account {account.account} does not have"
        self._note_price(order.instrument, last_px)
        if order.leaves_qty:
            order.ord_status = order.open_status
        else:
            self._done(order, OrdStatus.FILLED)
        posting = {"cash_delta": -sign * amount, "shares_delta": sign * lots, "fee": fee, "last_px": last_px, "last_qty": lots}
        copied = {column: report[column] for column in ("aggressor", "trd_match_id", "rpt_seq")}
        self._order_event(AccountEventKind.TRADE, order, **posting, **copied)

    def taken_out(self, report: Values, order: Order) -> None:
        """CANCELED, EXPIRED, REJECTED: the rest of the hold is released."""
        kind, status = {
            ReportKind.CANCELED: (AccountEventKind.CANCELED, OrdStatus.CANCELED),
            ReportKind.EXPIRED: (AccountEventKind.EXPIRED, OrdStatus.EXPIRED),
            ReportKind.REJECTED: (AccountEventKind.BOOK_REJECTED, OrdStatus.REJECTED),
        }[ReportKind(report["kind"])]
        with self.held_anew(order):
            order.leaves_qty = 0
        orig = b""
        if report["reason"] == Reason.REQUESTED_BY_CUSTOMER:
            order.cancel_pending = False
        elif report["reason"] == Reason.REPLACED_TO_NOTHING:
            order.terms, order.replace_pending = NO_TERMS, False
            orig = self._take_next_id(order)
        self._done(order, status)
        self._order_event(kind, order, orig, reason=report["reason"])

    def cancel_rejected(self, report: Values, order: Order) -> None:
        """The answer to the oldest request that is under way: a replace, if there is one, was asked before the cancel."""
        with self.held_anew(order):
            if order.replace_pending:
                order.terms, order.replace_pending = NO_TERMS, False
                self._drop_next_id(order)
            else:
                order.cancel_pending = False
        if order.leaves_qty:
            order.ord_status = order.open_status
        elif not order.cancel_pending:
            self.done.append(order)
        self._order_event(AccountEventKind.CANCEL_REJECTED, order, reason=report["reason"])

    def replaced(self, report: Values, order: Order) -> None:
        """What was asked is so now; the difference is released if the order became smaller."""
        asked = order.terms
        with self.held_anew(order):
            order.order_qty, order.leaves_qty, order.price, order.hold_per_lot = (
                asked.order_qty, report["leaves_qty"], asked.price, asked.hold_per_lot,
            )  # fmt: skip
            order.stop_px, order.display_qty, order.offset, order.expire_time = (
                asked.stop_px, asked.display_qty, asked.offset, asked.expire_time,
            )  # fmt: skip
            order.time_in_force, order.exec_inst = asked.time_in_force, asked.exec_inst
            order.terms, order.replace_pending = NO_TERMS, False
            self._take_limit(order, report["last_px"])
        orig = self._take_next_id(order)
        order.ord_status = order.open_status
        self._order_event(AccountEventKind.REPLACED, order, orig)

    def restated(self, report: Values, order: Order) -> None:
        """The book has taken from the quantity, or given the order another limit."""
        taken = report["last_qty"]
        with self.held_anew(order):
            order.order_qty -= taken
            order.leaves_qty -= taken
            if report["reason"] == Reason.MARKET_TO_LIMIT:
                order.ord_type = OrdType.LIMIT
            if report["reason"] in _NEW_PRICE:
                self._take_limit(order, report["last_px"])
        self._order_event(AccountEventKind.RESTATED, order, reason=report["reason"])

    def triggered(self, report: Values, order: Order) -> None:
        """A stop was elected, or what waited for its primary takes its place: it holds what its primary has bought, and no more is to come."""
        with self.held_anew(order):
            order.hold_max = HOLD_ALL
            if was_elected(order.ord_type, report["ord_type"]) and not order.is_active:
                order.is_active = True
                self._take_limit(order, report["last_px"])
        self._order_event(AccountEventKind.TRIGGERED, order)

    def trade_busted(self, report: Values) -> None:
        """The trade's postings, negated, fee included. What the account has spent meanwhile it owes: it has nothing available until that is settled."""
        account, instrument = self.accounts.get(report["account"]), report["instrument"]
        lots, last_px = report["last_qty"], report["last_px"]
        named = {"account": report["account"], "instrument": instrument, **{name: report[name] for name in _BUST_NAMES}}
        if reason := self._bust_refusal(report):
            self._event(AccountEventKind.ACCOUNT_UPDATE_REJECTED, account, named | {"reason": reason}, b"")
            return
        assert account is not None
        sign = 1 if report["side"] == Side.BUY else -1
        amount, fee = self._bust_amounts(report)
        self._post(account, instrument, sign * amount, -sign * lots, -fee, amount // lots)
        posting = {"cash_delta": sign * amount, "shares_delta": -sign * lots, "fee": -fee, "last_px": last_px, "last_qty": lots}
        self._event(AccountEventKind.TRADE_BUSTED, account, named | posting | {"reason": report["reason"]}, b"")

    def _bust_refusal(self, report: Values) -> Reason:
        """An operator's word is checked as far as it can be; the shard must not stop for it."""
        account = self.accounts.get(report["account"])
        if account is None:
            return Reason.UNKNOWN_ACCOUNT
        if report["instrument"] not in self.rules:
            return Reason.UNKNOWN_SYMBOL
        if not (0 < report["last_qty"] <= ORDER_QTY_LOTS_MAX and 0 < report["last_px"] <= PRICE_TICKS_MAX):
            return Reason.AMOUNT_OUT_OF_RANGE
        amount, fee = self._bust_amounts(report)
        cash = account.cash + fee + (amount if report["side"] == Side.BUY else -amount)
        return Reason.NONE if abs(cash) <= SETTLED_CASH_MAX else Reason.AMOUNT_OUT_OF_RANGE

    def _bust_amounts(self, report: Values) -> tuple[int, int]:
        """What the trade came to, and its fee."""
        rules, lots = self.rules[report["instrument"]], report["last_qty"]
        amount = report["last_px"] * lots * int(rules["lot_minor_per_tick"])
        return amount, trade_fee(report["side"], lots, amount, report["aggressor"], rules)

    def _post(self, account: Account, instrument: int, cash: int, lots: int, fee: int, minor_per_lot: int) -> None:
        account.cash += cash - fee
        self.fees_minor += fee
        self.move_shares(account, instrument, lots, minor_per_lot)

    def _pass_on(self, order: Order, lots: int) -> None:
        """What a primary has bought is held for what sells it."""
        sellers = [one for one in order.secondaries if one.hold_max != HOLD_ALL]
        if sellers:
            with self.held_anew(sellers[0]):  # two of them are a pair
                for one in sellers:
                    one.hold_max += lots

    def _take_limit(self, order: Order, price: int) -> None:
        """The limit that the order has in its book now."""
        if has_limit(order):
            order.price = price
            order.hold_per_lot = hold_per_lot(order.side, price, self.rules[order.instrument])

    def _note_price(self, instrument: int, last_px: int) -> None:
        """The last price, and whether it begins the short sale price test, which lasts through the next day."""
        self.last_px[instrument] = last_px
        if last_px * 10 <= self.rules[instrument]["reference_px"] * PRICE_TEST_TENTHS:
            self.price_test_end[instrument] = self.log_time // DAY_NS + 2

    def _order_event(self, kind: AccountEventKind, order: Order, orig: bytes = b"", **columns: Any) -> None:
        self._event(kind, order.account, order.values() | columns, order.cl_ord_id, orig=orig)

    def _take_next_id(self, order: Order) -> bytes:
        """The order answers to the id that the replace gave it; the one that it had, which stays its own too. Empty: it keeps it."""
        taken, order.next_id = order.next_id, None
        if taken is None:
            return b""
        account, old = order.account.account, order.cl_ord_id
        old_digest = cl_ord_id_digest(old)
        del self.by_cl_ord_id[account, old_digest], self.by_replaced_id[account, taken.digest]
        self.by_cl_ord_id[account, taken.digest] = order
        self.by_replaced_id[account, old_digest] = taken
        order.cl_ord_id, taken.digest, taken.text, taken.is_pending = taken.text, old_digest, b"", False
        return old

    def _drop_next_id(self, order: Order) -> None:
        """The id that the replace would have given it is free again."""
        if order.next_id is not None:
            del self.by_replaced_id[order.account.account, order.next_id.digest]
            order.next_id.clear()
            order.next_id = None

    def _done(self, order: Order, status: OrdStatus) -> None:
        """The order is no longer open; while a request is under way it cannot be forgotten."""
        order.ord_status = status
        del order.account.open_orders[order.order_id]
        self.open_orders -= 1
        _unlink_pair(order)
        if order.primary:
            order.primary.secondaries.remove(order)
            order.primary = None
        for one in order.secondaries:
            one.primary = None
        order.secondaries = []
        if not order.cancel_pending and not order.replace_pending:
            self.done.append(order)

    def forget(self) -> None:
        """Drop the orders that were done first: down to the limit, and some of those of earlier days."""
        count = 0
        while len(self.done) > self.limits.done_orders_max or (self.done_before_today and count < FORGET_PER_ROW_MAX):
            order = self.done.popleft()
            del self.orders[order.order_id]
            del self.by_cl_ord_id[order.account.account, cl_ord_id_digest(order.cl_ord_id)]
            self.done_before_today = max(self.done_before_today - 1, 0)
            count += 1


def _unlink_pair(order: Order) -> None:
    if order.oco:
        order.oco.oco = None
        order.oco = None


def _taken_out_fault(report: Values, order: Order) -> int:
    if report["last_qty"] != order.leaves_qty or not order.leaves_qty:
        return rule.QUANTITY_FAULT
    if report["reason"] == Reason.REQUESTED_BY_CUSTOMER and not order.cancel_pending:
        return rule.CANCEL_FAULT
    return rule.REPLACE_FAULT if report["reason"] == Reason.REPLACED_TO_NOTHING and not order.replace_pending else 0


_REASONS = frozenset(Reason)
_BUST_NAMES = ("order_id", "side", "aggressor", "trd_match_id", "rpt_seq")


def has_limit(order: Order) -> bool:
    """Whether the price in its book is the order's limit: not a peg's, a protection price or a distance."""
    return order.ord_type in (OrdType.LIMIT, OrdType.STOP_LIMIT) or (order.is_active and order.ord_type == OrdType.TRAILING_STOP_LIMIT)
