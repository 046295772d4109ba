"""The rules of the account shard in plain Python: cash, positions, holds, who may do what. The kernel must do the same.

Orders (matching-rules section 7; first failure wins, in the order of the Reason numbers)
 1. account known  3. instrument known  4. cl_ord_id is 1 to 128 printable ASCII characters  5. cl_ord_id not of another order of the account:
    the same body (instrument, side, ord_type, time_in_force, order_qty, price) again is answered with that order as it is now (DUPLICATE, nothing
    changes), another body is refused  6.-9. side, ord_type, time_in_force, their combination (order_rules)  10.-11. quantity
 12.-13. price: positive for LIMIT, 0 for MARKET  14. worst price x quantity within the instrument's limit  15.-16. enough available
 17. not too many open orders.
 A refused order changes nothing and does not use up its cl_ord_id. An accepted one gets the next order_id, a hold, and goes to its book.
Holds. Buy: worst price x leaves_qty in cash; the worst price of a LIMIT is its price, of a MARKET its protection price. Sell: leaves_qty in shares.
 available = cash - cash_held >= 0 and position - position_held >= 0 always, so a book's trade can always be settled.
Cancels. By order_id, or by cl_ord_id if order_id is 0. Granted: PENDING_CANCEL until the book has decided; a trade meanwhile counts.
 The book answers each cancel exactly once, CANCELED with REQUESTED_BY_CUSTOMER or CANCEL_REJECTED; until then the order is not forgotten.
Reports. TRADE turns hold into postings and releases what the trade was better than the hold; CANCELED, EXPIRED and REJECTED release the rest.
 A report that does not fit the state is a fault of ours (assertion).
Done orders stay known until `done_orders_max` others have been done after them; then their cl_ord_id is free again.
Sessions. Once registered, an edge gets a copy of all events of the account. A request's answer goes to the asking edge with its request_id;
 other registered edges get the event with request_id 0. DUPLICATE, SESSION_* and state rows are answers only and have no seq.
Account updates. Refused: account 0 or one of another shard (UNKNOWN_ACCOUNT), unknown instrument, or lots without instrument (UNKNOWN_SYMBOL), more than is
 available (BELOW_ZERO), beyond CASH_MINOR_MAX or POSITION_LOTS_MAX (AMOUNT_OUT_OF_RANGE), no room (ACCOUNT_LIMIT). Shares posted cost the reference price.
Rows that are no command are refused with INVALID_COMMAND. Columns of refused rows are repeated as they came, a cl_ord_id only if it is valid text.
Time. log_time never goes back: a row's transact_time only raises it. A shell must not let a sender's clock far in the future in.
"""

from collections import deque
from typing import Self

from matchers import reference_account_state as state
from matchers.account_rules import cost_added, cost_removed, is_valid_cl_ord_id
from matchers.order_rules import combination_reason
from matchers.reference_account_journal import BODY, AccountJournal, Values
from matchers.reference_account_state import Account, Order, Position
from matchers.shard_limits import DEFAULT_LIMITS, ShardLimits
from matchers.shard_outputs import AccountOutput, python_rows
from schemas.codec import Rows
from schemas.enums import AccountEventKind, BookCommandKind, CommandKind, OrdStatus, OrdType, ReportKind, Side, TimeInForce
from schemas.ids import cl_ord_id_digest
from schemas.instruments import InstrumentTable
from schemas.limits import CASH_MINOR_MAX, ORDER_ID_SHARD_SHIFT, POSITION_LOTS_MAX, PRICE_TICKS_MAX
from schemas.reject_reasons import Reason

_SETTLED_CASH_MAX = 1 << 62
"""No account can come to this much while deposits keep CASH_MINOR_MAX; beyond it 64 bits would overflow."""


class AccountShard(AccountJournal):
    """One account shard. `shards` (0: not checked) lets it refuse to open accounts that another shard owns."""

    def __init__(self, shard: int, instruments: InstrumentTable, shards: int = 0, limits: ShardLimits = DEFAULT_LIMITS) -> None:
        self.shard = shard
        self.shards = shards
        self.limits = limits
        self.instruments = instruments
        self.rules = {
            number: dict(zip(instruments.rules.dtype.names or (), instruments.rules[number].tolist(), strict=True))
            for number in instruments.by_number
        }
        self.log_time = 0
        self.last_seq = 0
        self.last_order_number = 0
        self.open_orders = 0
        self.accounts: dict[int, Account] = {}
        self.positions: dict[tuple[int, int], Position] = {}
        self.orders: dict[int, Order] = {}
        self.by_cl_ord_id: dict[tuple[int, tuple[int, int]], Order] = {}
        self.done: deque[Order] = deque()
        self._begin(-1)

    # -- the interface of all machines

    def apply_commands(self, rows: Rows, cl_ord_id: Rows, reply_partition: int) -> AccountOutput:
        """Apply order_command_frame rows; `cl_ord_id` is an S-array of the same length. A reply_partition outside 0..63 wants no answers."""
        assert len(rows) == len(cl_ord_id), "one cl_ord_id a row"
        self._begin(reply_partition)
        handlers = {
            CommandKind.NEW_ORDER: self._new_order,
            CommandKind.CANCEL: self._cancel,
            CommandKind.REGISTER_SESSION: self._register_session,
            CommandKind.ACCOUNT_UPDATE: self._account_update,
        }
        for command, text in zip(python_rows(rows), cl_ord_id.tolist(), strict=True):
            self.log_time = max(self.log_time, command["transact_time"])
            handlers.get(command["kind"], self._invalid_command)(command, text if is_valid_cl_ord_id(text) else b"")
        return self._end()

    def apply_reports(self, rows: Rows) -> AccountOutput:
        """Apply book_report_frame rows."""
        self._begin(-1)
        handlers = {
            ReportKind.TRADE: self._trade,
            ReportKind.CANCELED: self._taken_out,
            ReportKind.EXPIRED: self._taken_out,
            ReportKind.REJECTED: self._taken_out,
            ReportKind.CANCEL_REJECTED: self._cancel_rejected,
        }
        for report in python_rows(rows):
            self.log_time = max(self.log_time, report["transact_time"])
            order = self.orders.get(report["order_id"])
            assert order is not None, f"report for an unknown order {report['order_id']}"
            assert order.account.account == report["account"], f"report names another account than order {order.order_id} has"
            assert order.instrument == report["instrument"], f"report names another instrument than order {order.order_id} has"
            assert report["kind"] in handlers, f"no such report kind {report['kind']}"
            handlers[ReportKind(report["kind"])](report, order)
        return self._end()

    def state_hash(self) -> bytes:
        """16 bytes over the canonical state, see state_hash.py."""
        return state.canonical_hash(self)

    def snapshot(self) -> dict[str, Rows]:
        """The whole state as named arrays."""
        return state.snapshot(self)

    @classmethod
    def restore(cls, shard: int, instruments: InstrumentTable, arrays: dict[str, Rows]) -> Self:
        """The shard of a snapshot. Raises StaleData for one of another shard or other instruments."""
        shards, limits = state.check_snapshot(shard, instruments, arrays)
        machine = cls(shard, instruments, shards, limits)
        state.restore_into(machine, arrays)
        return machine

    # -- orders

    def _new_order(self, command: Values, text: bytes) -> None:
        account = self.accounts.get(command["account"])
        key = (command["account"], cl_ord_id_digest(text))
        earlier = self.by_cl_ord_id.get(key) if text else None
        if account and command["instrument"] in self.rules and earlier and all(getattr(earlier, field) == command[field] for field in BODY):
            self._answer(AccountEventKind.DUPLICATE, earlier.account, command, earlier.values(), earlier.cl_ord_id)
            return
        reason = self._refusal(account, command, text, earlier)
        if reason or account is None:
            self._refuse(AccountEventKind.REJECTED, account, command, reason, command, text)
            return
        self.last_order_number += 1
        order = Order(
            order_id=(self.shard << ORDER_ID_SHARD_SHIFT) | self.last_order_number, account=account, instrument=command["instrument"],
            side=command["side"], ord_type=command["ord_type"], time_in_force=command["time_in_force"], order_qty=command["order_qty"],
            price=command["price"], hold_per_lot=self._hold_per_lot(command), leaves_qty=command["order_qty"],
            submitted_at=self.log_time, cl_ord_id=text,
        )  # fmt: skip
        self.orders[order.order_id] = account.open_orders[order.order_id] = self.by_cl_ord_id[key] = order
        self.open_orders += 1
        self._hold(order, order.order_qty)
        self._event(AccountEventKind.ACCEPTED, account, order.values(), text, command)
        self._book_command(BookCommandKind.NEW_ORDER, order, order_qty=order.order_qty, price=self._worst_px(command))

    def _refusal(self, account: Account | None, command: Values, text: bytes, earlier: Order | None) -> Reason:
        """The first check that the order fails, or NONE."""
        if account is None:
            return Reason.UNKNOWN_ACCOUNT
        if command["instrument"] not in self.rules:
            return Reason.UNKNOWN_SYMBOL
        if not text:
            return Reason.INVALID_CL_ORD_ID
        if earlier is not None:
            return Reason.DUPLICATE_CL_ORD_ID
        if command["side"] not in set(Side):
            return Reason.INVALID_SIDE
        if reason := combination_reason(command["ord_type"], command["time_in_force"]):
            return reason
        return self._amount_refusal(command) or self._funds_refusal(account, command)

    def _amount_refusal(self, command: Values) -> Reason:
        rules = self.rules[command["instrument"]]
        if command["order_qty"] <= 0:
            return Reason.INVALID_QUANTITY
        if command["order_qty"] > rules["order_qty_max"]:
            return Reason.QUANTITY_ABOVE_LIMIT
        if command["price"] <= 0 if command["ord_type"] == OrdType.LIMIT else command["price"] != 0:
            return Reason.INVALID_PRICE
        if command["price"] > PRICE_TICKS_MAX:
            return Reason.PRICE_ABOVE_LIMIT
        if self._worst_px(command) * command["order_qty"] * rules["lot_minor_per_tick"] > rules["notional_minor_max"]:
            return Reason.NOTIONAL_ABOVE_LIMIT
        return Reason.NONE

    def _funds_refusal(self, account: Account, command: Values) -> Reason:
        position = self.positions.get((account.account, command["instrument"]))
        if command["side"] == Side.BUY and account.cash - account.cash_held < self._hold_per_lot(command) * command["order_qty"]:
            return Reason.INSUFFICIENT_BUYING_POWER
        if command["side"] == Side.SELL and (position is None or position.position - position.position_held < command["order_qty"]):
            return Reason.INSUFFICIENT_SHARES
        if len(account.open_orders) >= self.limits.open_orders_per_account_max or self.open_orders >= self.limits.orders_max:
            return Reason.OPEN_ORDER_LIMIT
        return Reason.NONE

    def _worst_px(self, order: Values) -> int:
        """Ticks: what the book may execute the order at, at worst."""
        rules = self.rules[order["instrument"]]
        if order["ord_type"] == OrdType.LIMIT:
            return int(order["price"])
        return int(rules["protection_high_px"] if order["side"] == Side.BUY else rules["protection_low_px"])

    def _hold_per_lot(self, order: Values) -> int:
        """Minor units that a buy holds for each lot; 0 for a sell, which holds the lot itself."""
        return self._worst_px(order) * int(self.rules[order["instrument"]]["lot_minor_per_tick"]) if order["side"] == Side.BUY else 0

    def _hold(self, order: Order, lots: int) -> None:
        """Hold what `lots` of the order need; negative: release."""
        if order.side == Side.BUY:
            order.account.cash_held += lots * order.hold_per_lot
        else:
            self.positions[order.account.account, order.instrument].position_held += lots

    def _cancel(self, command: Values, text: bytes) -> None:
        account = self.accounts.get(command["account"])
        order = self._order_to_cancel(command, text) if account else None
        if account is None or order is None:
            unnamed = account is not None and not command["order_id"] and not text
            reason = Reason.UNKNOWN_ACCOUNT if account is None else Reason.INVALID_CL_ORD_ID if unnamed else Reason.UNKNOWN_ORDER
            self._refuse(AccountEventKind.CANCEL_REJECTED, account, command, reason, {"order_id": command["order_id"]}, text)
            return
        if not order.leaves_qty or order.cancel_pending:
            reason = Reason.CANCEL_ALREADY_PENDING if order.leaves_qty else Reason.TOO_LATE_TO_CANCEL
            self._event(AccountEventKind.CANCEL_REJECTED, account, order.values() | {"reason": reason}, order.cl_ord_id, command)
            return
        order.cancel_pending, order.ord_status = True, OrdStatus.PENDING_CANCEL
        self._event(AccountEventKind.CANCEL_PENDING, account, order.values(), order.cl_ord_id, command)
        self._book_command(BookCommandKind.CANCEL, order)

    def _order_to_cancel(self, command: Values, text: bytes) -> Order | None:
        """The order that the command names, if it is the account's own: nobody learns of others' orders."""
        if not command["order_id"]:
            return self.by_cl_ord_id.get((command["account"], cl_ord_id_digest(text))) if text else None
        order = self.orders.get(command["order_id"])
        return order if order is not None and order.account.account == command["account"] else None

    # -- sessions and account updates

    def _register_session(self, command: Values, text: bytes) -> None:
        account = self.accounts.get(command["account"])
        if account is None:
            self._answer(
                AccountEventKind.SESSION_REJECTED, None, command, {"account": command["account"], "reason": Reason.UNKNOWN_ACCOUNT}, b""
            )
            return
        account.edges |= self.asking
        for position in account.positions:
            if position.position:
                self._answer(AccountEventKind.POSITION_STATE, account, command, {"instrument": position.instrument}, b"")
        for order in account.open_orders.values():
            self._answer(AccountEventKind.ORDER_STATE, account, command, order.values(), order.cl_ord_id)
        self._answer(AccountEventKind.SESSION_REGISTERED, account, command, {"seq": self.last_seq}, b"")

    def _account_update(self, command: Values, text: bytes) -> None:
        account = self.accounts.get(command["account"])
        instrument, cash, lots = command["instrument"], command["cash"], command["order_qty"]
        reason = self._update_refusal(account, command)
        if reason:
            self._refuse(
                AccountEventKind.ACCOUNT_UPDATE_REJECTED, account, command, reason, {"instrument": instrument, "order_qty": lots}, b""
            )
            return
        if account is None:
            account = self.accounts[command["account"]] = Account(command["account"])
        account.cash += cash
        if lots:
            self._move_shares(
                account, instrument, lots, self.rules[instrument]["reference_px"] * self.rules[instrument]["lot_minor_per_tick"]
            )
        posting = {"instrument": instrument, "cash_delta": cash, "shares_delta": lots}
        self._event(AccountEventKind.ACCOUNT_UPDATED, account, posting, b"", command)

    def _update_refusal(self, account: Account | None, command: Values) -> Reason:
        instrument, cash, lots = command["instrument"], command["cash"], command["order_qty"]
        position = self.positions.get((command["account"], instrument)) or Position(0, instrument)
        before = account or Account(0)
        if command["account"] == 0 or (self.shards and command["account"] % self.shards != self.shard):
            return Reason.UNKNOWN_ACCOUNT
        if (instrument or lots) and instrument not in self.rules:
            return Reason.UNKNOWN_SYMBOL
        if before.cash - before.cash_held + min(cash, 0) < 0 or position.position - position.position_held + min(lots, 0) < 0:
            return Reason.BELOW_ZERO
        if before.cash + max(cash, 0) > max(CASH_MINOR_MAX, before.cash) or position.position + max(lots, 0) > max(
            POSITION_LOTS_MAX, position.position
        ):
            return Reason.AMOUNT_OUT_OF_RANGE
        if account is None and len(self.accounts) >= self.limits.accounts_max:
            return Reason.ACCOUNT_LIMIT
        return Reason.NONE

    def _invalid_command(self, command: Values, text: bytes) -> None:
        self._refuse(AccountEventKind.REJECTED, self.accounts.get(command["account"]), command, Reason.INVALID_COMMAND, command, text)

    # -- reports of the books

    def _trade(self, report: Values, order: Order) -> None:
        lots, last_px = report["last_qty"], report["last_px"]
        amount = last_px * lots * self.rules[order.instrument]["lot_minor_per_tick"]
        assert 0 < lots <= order.leaves_qty and report["leaves_qty"] == order.leaves_qty - lots, (
            f"trade does not fit order {order.order_id}"
        )
        assert order.side == Side.SELL or amount <= lots * order.hold_per_lot, f"trade beyond the worst price of order {order.order_id}"
        account, sign = order.account, 1 if order.side == Side.BUY else -1
        self._hold(order, -lots)
        account.cash -= sign * amount
        self._move_shares(account, order.instrument, sign * lots, amount // lots)
        assert account.cash_held <= account.cash <= _SETTLED_CASH_MAX, f"cash of account {account.account} out of bounds"
        order.leaves_qty -= lots
        order.cum_qty += lots
        order.cum_cost += last_px * lots
        if not order.leaves_qty:
            self._done(order, OrdStatus.FILLED)
        elif not order.cancel_pending:
            order.ord_status = OrdStatus.PARTIALLY_FILLED
        posting = {"cash_delta": -sign * amount, "shares_delta": sign * lots, "last_px": last_px, "last_qty": lots}
        copied = {column: report[column] for column in ("aggressor", "trd_match_id", "rpt_seq")}
        self._event(AccountEventKind.TRADE, account, order.values() | posting | copied, order.cl_ord_id)
        self._forget()

    def _taken_out(self, report: Values, order: Order) -> None:
        kind, status = {
            ReportKind.CANCELED: (AccountEventKind.CANCELED, OrdStatus.CANCELED),
            ReportKind.EXPIRED: (AccountEventKind.EXPIRED, OrdStatus.EXPIRED),
            ReportKind.REJECTED: (AccountEventKind.BOOK_REJECTED, OrdStatus.REJECTED),
        }[ReportKind(report["kind"])]
        assert report["last_qty"] == order.leaves_qty > 0, f"the book takes out another quantity than order {order.order_id} has left"
        self._hold(order, -order.leaves_qty)
        order.leaves_qty = 0
        if report["reason"] == Reason.REQUESTED_BY_CUSTOMER:
            assert order.cancel_pending, f"nobody asked to cancel order {order.order_id}"
            order.cancel_pending = False
        self._done(order, status)
        self._event(kind, order.account, order.values() | {"reason": report["reason"]}, order.cl_ord_id)
        self._forget()

    def _cancel_rejected(self, report: Values, order: Order) -> None:
        assert order.cancel_pending, f"nobody asked to cancel order {order.order_id}"
        order.cancel_pending = False
        if order.leaves_qty:
            order.ord_status = OrdStatus.PARTIALLY_FILLED if order.cum_qty else OrdStatus.NEW
        else:
            self.done.append(order)
        self._event(AccountEventKind.CANCEL_REJECTED, order.account, order.values() | {"reason": report["reason"]}, order.cl_ord_id)
        self._forget()

    def _move_shares(self, account: Account, instrument: int, lots: int, minor_per_lot: int) -> None:
        """Post `lots` (negative: take) to the position; shares that come in cost `minor_per_lot`."""
        position = self.positions.get((account.account, instrument))
        if position is None:
            position = self.positions[account.account, instrument] = Position(account.account, instrument)
            account.positions.append(position)
        if lots > 0:
            position.position_cost = cost_added(position.position_cost, lots, minor_per_lot)
        else:
            position.position_cost = cost_removed(position.position_cost, -lots, position.position)
        position.position += lots

    def _done(self, order: Order, status: OrdStatus) -> None:
        """The order is no longer open; while a cancel of it is under way it cannot be forgotten."""
        order.ord_status = status
        del order.account.open_orders[order.order_id]
        self.open_orders -= 1
        if not order.cancel_pending:
            self.done.append(order)

    def _forget(self) -> None:
        """Drop the orders that were done first, down to the limit."""
        while len(self.done) > self.limits.done_orders_max:
            order = self.done.popleft()
            del self.orders[order.order_id]
            del self.by_cl_ord_id[order.account.account, cl_ord_id_digest(order.cl_ord_id)]

    def _book_command(self, kind: BookCommandKind, order: Order, **columns: int) -> None:
        named = {"instrument": order.instrument, "account": order.account.account, "order_id": order.order_id, "side": order.side}
        if kind == BookCommandKind.NEW_ORDER:
            named |= {"ord_type": OrdType(order.ord_type), "time_in_force": TimeInForce(order.time_in_force)}
        self.book_commands.append({"kind": kind, "transact_time": self.log_time} | named | columns)
