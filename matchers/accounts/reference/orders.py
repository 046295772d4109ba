"""Orders, lists of orders, cancels and replaces of customers: what the reference account shard does with each."""

from collections import deque
from dataclasses import dataclass
from typing import Any, Final

from matchers.accounts.reference.checks import AccountChecks
from matchers.accounts.reference.holds import Need
from matchers.accounts.reference.journal import Values
from matchers.accounts.reference.state import Account, Order, ReplacedId
from matchers.rules.account_rules import book_px
from matchers.rules.order_tables import AUCTION_ONLY, LEGS, STOP_TYPES, WORKING
from schemas.enums import AccountEventKind, AccountStatus, BookCommandKind, CommandKind, ContingencyType, OrdType, Side
from schemas.ids import cl_ord_id_digest
from schemas.limits import ORDER_ID_SHARD_SHIFT
from schemas.reject_reasons import Reason

_SAME: Final = ("list_id", "contingency_type", "instrument", "account")
_PAIRED: Final = STOP_TYPES | {OrdType.LIMIT}
_SECONDARY: Final = _PAIRED | {OrdType.MARKET}
_PASSED_ON: Final = (
    "exec_inst", "self_match_prevention_instruction", "contingency_type", "peg_price_type", "offset_type", "self_match_prevention_id",
    "display_qty", "min_qty", "offset", "expire_time",
)  # fmt: skip
_REPLACED: Final = ("time_in_force", "exec_inst", "order_qty", "price", "stop_px", "display_qty", "offset", "expire_time")
Legs = list[tuple[Values, bytes]]


@dataclass(frozen=True)
class Ids:
    """The cl_ord_id and orig_cl_ord_id of a command, empty where they are no valid text; and whether anything was given."""

    text: bytes
    orig: bytes
    has_text: bool
    has_orig: bool


def list_at(rows: list[Values], at: int) -> list[Values]:
    """The rows of the list that begins at row `at`; empty if there is no good list."""
    first = rows[at]
    wanted = LEGS.get(first["contingency_type"], 0)
    legs = rows[at : at + wanted]
    alike = all(row["kind"] == CommandKind.NEW_ORDER and all(row[name] == first[name] for name in _SAME) for row in legs)
    return legs if wanted and len(legs) == wanted and first["list_id"] and alike and _fits(legs) else []


def _fits(legs: list[Values]) -> bool:
    """Whether the orders make a list of their kind; as the book has it in books.reference.lists."""
    if legs[0]["contingency_type"] == ContingencyType.OCO:
        return legs[0]["side"] == legs[1]["side"] and all(_waits(leg, _PAIRED) for leg in legs)
    primary, *secondaries = legs
    if primary["ord_type"] == OrdType.PEGGED or primary["time_in_force"] in AUCTION_ONLY:
        return False
    if len(secondaries) == 1:
        return _waits(secondaries[0], _SECONDARY)
    take_profit, stop_loss = secondaries
    closing = take_profit["side"] == stop_loss["side"] != primary["side"]
    return closing and _waits(take_profit, frozenset({OrdType.LIMIT})) and _waits(stop_loss, STOP_TYPES)


def _waits(leg: Values, ord_types: frozenset[OrdType]) -> bool:
    return leg["ord_type"] in ord_types and leg["time_in_force"] in WORKING


class AccountOrders(AccountChecks):
    """Takes orders in, and what customers want to become of them."""

    shard: int
    last_order_number: int
    replaced_ids: deque[ReplacedId]

    def new_orders(self, legs: Legs) -> None:
        """One order or a list: all are accepted or none is."""
        commands = [command for command, _ in legs]
        if all(self.is_known_pair(command) and self.is_repeated(command, text) for command, text in legs):
            for command, text in legs:
                earlier = self.earlier(command, text)
                assert earlier is not None
                self._answer(AccountEventKind.DUPLICATE, earlier.account, command, earlier.values(), earlier.cl_ord_id)
            return
        reasons = [self.refusal(command, text) for command, text in legs]
        texts = [text for _, text in legs]
        for at, text in enumerate(texts):
            if not reasons[at] and text in texts[:at]:
                reasons[at] = Reason.DUPLICATE_CL_ORD_ID
        orders: list[Order] = []
        if not any(reasons):
            orders, reasons = self._with_funds(self.accounts[commands[0]["account"]], legs)
        if any(reasons):
            for (command, text), reason in zip(legs, reasons, strict=True):
                self.refuse_order(command, text, reason or Reason.LIST_REJECTED)
            return
        self._accept(orders, legs)

    def refuse_order(self, command: Values, text: bytes, reason: Reason) -> None:
        """A REJECTED event, with the columns as they came."""
        self._refuse(AccountEventKind.REJECTED, self.accounts.get(command["account"]), command, reason, command, text)

    def is_known_pair(self, command: Values) -> bool:
        """Whether account and instrument are known."""
        return command["account"] in self.accounts and command["instrument"] in self.rules

    def _with_funds(self, account: Account, legs: Legs) -> tuple[list[Order], list[Reason]]:
        """The orders, linked, each with the reason why the list needs too much from it on."""
        orders: list[Order] = []
        reasons: list[Reason] = []
        for at, (command, text) in enumerate(legs):
            order = self.order_of(account, command, text)
            order.is_short = self.is_short_sale(account, command, at == 0)
            orders.append(order)
            _link(orders)
            need = self._list_need(orders)
            instrument = order.instrument
            room = Reason.OPEN_ORDER_LIMIT if self.has_no_room(account, at + 1) else Reason.NONE
            reasons.append(
                self.position_refusal(account, instrument, need)
                or (self.short_refusal(account, command) if order.is_short else Reason.NONE)
                or self.funds_refusal(account, instrument, need)
                or room
            )
        return orders, reasons

    def _list_need(self, orders: list[Order]) -> Need:
        """What the orders of one list need in all: each pair counts once."""
        total = Need()
        for order in orders:
            if order.oco is None or order.oco not in orders[: orders.index(order)]:
                total += self.pair_need(order)
        return total

    def _accept(self, orders: list[Order], legs: Legs) -> None:
        need = self._list_need(orders)
        for order, (command, text) in zip(orders, legs, strict=True):
            self.last_order_number += 1
            order.order_id = (self.shard << ORDER_ID_SHARD_SHIFT) | self.last_order_number
            order.list_id = orders[0].order_id if len(orders) > 1 else 0
            self.orders[order.order_id] = order.account.open_orders[order.order_id] = order
            self.by_cl_ord_id[command["account"], cl_ord_id_digest(text)] = order
            self.open_orders += 1
            self.count_order(order.account)
        self.hold(orders[0], need)
        for order, (command, text) in zip(orders, legs, strict=True):
            self._event(AccountEventKind.ACCEPTED, order.account, order.values(), text, command)
            rules = self.rules[order.instrument]
            self._book_command(
                BookCommandKind.NEW_ORDER, order, ord_type=order.ord_type, time_in_force=order.time_in_force, order_qty=order.order_qty,
                price=book_px(command, rules), stop_px=order.stop_px, list_id=order.list_id, **{name: command[name] for name in _PASSED_ON},
            )  # fmt: skip

    # -- cancels and replaces

    def cancel(self, command: Values, ids: Ids) -> None:
        """A CANCEL command."""
        if (order := self._named_order(command, ids)) is None:
            return
        if not order.leaves_qty or order.cancel_pending:
            self._cancel_refused(command, order, Reason.CANCEL_ALREADY_PENDING if order.leaves_qty else Reason.TOO_LATE_TO_CANCEL)
            return
        self.send_cancel(order, Reason.NONE, command)

    def send_cancel(self, order: Order, reason: Reason, command: Values | None) -> None:
        """Ask the book to cancel an open order."""
        order.cancel_pending = True
        order.ord_status = order.open_status
        self._event(AccountEventKind.CANCEL_PENDING, order.account, order.values() | {"reason": reason}, order.cl_ord_id, command)
        self._book_command(BookCommandKind.CANCEL, order)

    def replace(self, command: Values, ids: Ids) -> None:
        """A REPLACE command."""
        if (order := self._named_order(command, ids)) is None:
            return
        renames = ids.has_text and (command["order_id"] or ids.has_orig) and ids.text != order.cl_ord_id
        if not order.leaves_qty:
            reason = Reason.TOO_LATE_TO_CANCEL
        elif order.account.status != AccountStatus.ACTIVE:
            reason = Reason.ACCOUNT_SUSPENDED
        elif order.cancel_pending or order.replace_pending:
            reason = Reason.CANCEL_ALREADY_PENDING if order.cancel_pending else Reason.REPLACE_ALREADY_PENDING
        else:
            reason = (self._new_id_refusal(command, ids.text) if renames else Reason.NONE) or self.replace_refusal(order, command)
        if reason:
            self._cancel_refused(command, order, reason)
            return
        with self.held_anew(order):
            order.terms, order.replace_pending = self.terms_asked(order, command), True
        if renames:
            self._keep_next_id(order, ids.text)
        self.count_order(order.account)
        order.ord_status = order.open_status
        self._event(AccountEventKind.REPLACE_PENDING, order.account, order.values(), order.cl_ord_id, command)
        self._book_command(BookCommandKind.REPLACE, order, **{name: command[name] for name in _REPLACED})

    def _new_id_refusal(self, command: Values, text: bytes) -> Reason:
        """Whether a replace can give its order this id, which it does not have now."""
        if not text:
            return Reason.INVALID_CL_ORD_ID
        if self.earlier(command, text) is not None:
            return Reason.DUPLICATE_CL_ORD_ID
        is_full = len(self.replaced_ids) >= self.limits.replaced_ids_max and self.replaced_ids[0].is_pending
        return Reason.REPLACED_ID_LIMIT if is_full else Reason.NONE

    def _keep_next_id(self, order: Order, text: bytes) -> None:
        """Nobody else gets the id while the replace is under way. The oldest id of all is forgotten for it, if there are too many."""
        if len(self.replaced_ids) >= self.limits.replaced_ids_max:
            oldest = self.replaced_ids.popleft()
            if self.by_replaced_id.get((oldest.account, oldest.digest)) is oldest:
                del self.by_replaced_id[oldest.account, oldest.digest]
        order.next_id = ReplacedId(order.account.account, order.order_id, cl_ord_id_digest(text), text)
        self.replaced_ids.append(order.next_id)
        self.by_replaced_id[order.next_id.account, order.next_id.digest] = order.next_id

    def _named_order(self, command: Values, ids: Ids) -> Order | None:
        """The order that a cancel or replace names, if it is the account's own: nobody learns of others' orders. None: it has been refused."""
        text = ids.orig if ids.has_orig else ids.text
        account = self.accounts.get(command["account"])
        found: Order | None = None
        if account is None:
            reason = Reason.UNKNOWN_ACCOUNT
        elif command["order_id"]:
            found, reason = self.orders.get(command["order_id"]), Reason.UNKNOWN_ORDER
        else:
            found, reason = self.earlier(command, text), Reason.UNKNOWN_ORDER if text else Reason.INVALID_CL_ORD_ID
        if found is not None and found.account is account:
            return found
        self._refuse(AccountEventKind.CANCEL_REJECTED, account, command, reason, {"order_id": command["order_id"]}, text)
        return None

    def _cancel_refused(self, command: Values, order: Order, reason: Reason) -> None:
        self._event(AccountEventKind.CANCEL_REJECTED, order.account, order.values() | {"reason": reason}, order.cl_ord_id, command)

    def _book_command(self, kind: BookCommandKind, order: Order, **columns: Any) -> None:
        named = {"instrument": order.instrument, "account": order.account.account, "order_id": order.order_id, "side": order.side}
        self.book_commands.append({"kind": kind, "transact_time": self.log_time} | named | columns)


def _link(orders: list[Order]) -> None:
    """Link the newest order of a list to those before it."""
    newest, first = orders[-1], orders[0]
    if newest is first:
        return
    if newest.contingency_type == ContingencyType.OCO or len(orders) == 3:
        newest.oco, orders[-2].oco = orders[-2], newest
    if newest.contingency_type != ContingencyType.OCO:
        newest.primary = first
        first.secondaries.append(newest)
        if (first.side, newest.side) == (Side.BUY, Side.SELL):
            newest.hold_max = 0
