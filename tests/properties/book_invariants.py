"""What must hold of a reference book shard between any two commands."""

from collections.abc import Mapping
from dataclasses import dataclass

from matchers.books.reference.shard import BookShard
from matchers.state.canonical_hash import Place
from schemas.codec import Rows
from schemas.enums import ExecFlag, ExecKind, OrdType, Phase, TimeInForce


def check_books(machine: BookShard) -> None:
    """Never crossed in continuous trading; queues hold what they should; nothing is left half done."""
    state = machine.state
    assert not state.followups
    for book in state.books.values():
        buys, sells = (side.best for side in book.sides.values())
        if book.phase == Phase.CONTINUOUS:
            assert buys is None or sells is None or buys < sells, f"instrument {book.instrument} is crossed: {buys} >= {sells}"
        for side in book.sides.values():
            for price, level in side.levels.items():
                assert level.displayed or level.hidden, "an empty level"
                assert all(0 < order.shown_qty <= order.leaves_qty for order in level.displayed)
                assert all(order.shown_qty == 0 for order in level.hidden)
                assert all(order.level_price == price and order.place == Place.RESTING for order in level.orders())
                assert book.phase != Phase.CONTINUOUS or all(order.ord_type != OrdType.MARKET for order in level.orders())
            if book.band_high and book.phase == Phase.CONTINUOUS:
                prices = [
                    price for price, level in side.levels.items() if any(order.ord_type != OrdType.PEGGED for order in level.orders())
                ]
                assert all(price <= book.band_high if side.side == 1 else price >= book.band_low for price in prices)
    for order in state.orders.values():
        assert 0 < order.leaves_qty <= order.order_qty and order.place not in (Place.NOWHERE, Place.QUEUED)
        other = state.orders.get(order.oco_id)
        assert not order.oco_id or (other is not None and other.oco_id == order.order_id and other.side == order.side)


class Accounting:
    """Adds up execution rows: sequences are dense, and what came in is what traded, what left and what works."""

    def __init__(self) -> None:
        self.rpt_seq: dict[int, int] = {}
        self.order_qty: dict[int, int] = {}
        self.cum_qty: dict[int, int] = {}
        self.taken_out: dict[int, int] = {}
        self.last_trade = 0

    def take(self, executions: Rows) -> None:
        """Add the rows of a call."""
        for row in executions.tolist():
            self._take_one(dict(zip(executions.dtype.names or (), row, strict=True)))

    def _take_one(self, row: Mapping[str, int]) -> None:
        kind, order_id = row["kind"], row["order_id"]
        if row["rpt_seq"]:
            assert row["rpt_seq"] == self.rpt_seq.get(row["instrument"], 0) + 1, "rpt_seq has a gap"
            self.rpt_seq[row["instrument"]] = row["rpt_seq"]
        if kind == ExecKind.NEW:
            self.order_qty[order_id], self.cum_qty[order_id], self.taken_out[order_id] = row["qty"], 0, 0
        elif kind == ExecKind.TRADE:
            self.last_trade += 1
            assert row["trd_match_id"] == self.last_trade and row["qty"] > 0 and row["price"] > 0
            for one in (order_id, row["contra_order_id"]):
                self.cum_qty[one] += row["qty"]
        elif kind == ExecKind.REPLACED:
            self.order_qty[order_id] = row["qty"]
        elif kind == ExecKind.RESTATED:
            self.order_qty[order_id] -= row["qty"]
        elif kind in (ExecKind.CANCELED, ExecKind.EXPIRED):
            self.taken_out[order_id] = row["qty"]

    def check(self, machine: BookShard) -> None:
        """order_qty == cum_qty + what left or works, for every order that ever was."""
        live = machine.state.orders
        for order_id, order_qty in self.order_qty.items():
            works = live[order_id].leaves_qty if order_id in live else self.taken_out[order_id]
            assert order_qty == self.cum_qty[order_id] + works, f"order {order_id}: {order_qty} != {self.cum_qty[order_id]} + {works}"


@dataclass
class SeenOrder:
    """A live order as its rows have told it."""

    level: tuple[int, int, int]
    """instrument, side, price"""
    time_in_force: int
    leaves_qty: int
    display_qty: int


class OrdersSeen:
    """An order-by-order book (L3) that is made of the rows about orders alone, by docs/rules.md section 8: it must come to what the LEVEL rows say."""

    def __init__(self) -> None:
        self.orders: dict[int, SeenOrder] = {}
        self.phases: dict[int, int] = {}
        self.seen: dict[tuple[int, int, int], tuple[int, int]] = {}
        """Level -> displayed lots, orders: of the order rows."""
        self.told: dict[tuple[int, int, int], tuple[int, int]] = {}
        """The same of the LEVEL rows."""
        self._touched: set[tuple[int, int, int]] = set()
        self._command = -1

    def take(self, executions: Rows, commands: Rows) -> None:
        """Add the rows of a call; compares the two after each command. The orders of a list are one command."""
        first: list[int] = []
        for at, list_id in enumerate(commands["list_id"].tolist()):
            first.append(first[-1] if at and list_id and list_id == commands[at - 1]["list_id"] else at)
        for row in executions.tolist():
            values = dict(zip(executions.dtype.names or (), row, strict=True))
            if first[values["command_index"]] != self._command:
                self._compare()
                self._command = first[values["command_index"]]
            self._take_one(values)
        self._compare()
        self._command = -1

    def _compare(self) -> None:
        for level in self._touched:
            seen, told = self.seen.get(level, (0, 0)), self.told.get(level, (0, 0))
            assert seen == told, f"command {self._command}, {level}: the orders come to {seen}, the LEVEL row says {told}"
        self._touched.clear()

    def _take_one(self, row: Mapping[str, int]) -> None:
        kind, order_id = row["kind"], row["order_id"]
        if kind in (ExecKind.NEW, ExecKind.REPLACED, ExecKind.RESTATED, ExecKind.TRIGGERED):
            level = row["instrument"], row["side"], row["price"]
            self._put(order_id, SeenOrder(level, row["time_in_force"], row["leaves_qty"], row["display_qty"]))
        elif kind in (ExecKind.CANCELED, ExecKind.EXPIRED):
            assert row["display_qty"] == 0
            self._put(order_id, None)
        elif kind == ExecKind.TRADE:
            uncross = row["flags"] & ExecFlag.UNCROSS
            before = self.orders[order_id].display_qty
            self._trade(order_id, row["leaves_qty"], max(before - row["qty"], 0) if uncross else min(before, row["leaves_qty"]))
            self._trade(row["contra_order_id"], row["contra_leaves_qty"], row["display_qty"])
        elif kind == ExecKind.LEVEL:
            level = row["instrument"], row["side"], row["price"]
            self.told[level] = row["qty"], row["order_count"]
            self._touched.add(level)
        elif kind == ExecKind.SECURITY_STATUS:
            closing = [
                (one, order)
                for one, order in self.orders.items()
                if order.time_in_force == TimeInForce.CLS and order.level[0] == row["instrument"]
            ]
            for one, _ in closing:
                self._put(one, None)
            self.phases[row["instrument"]] = row["phase"]
            for one, order in closing:
                self._put(one, order)

    def _trade(self, order_id: int, leaves_qty: int, display_qty: int) -> None:
        order = self.orders[order_id]
        self._put(order_id, SeenOrder(order.level, order.time_in_force, leaves_qty, display_qty) if leaves_qty else None)

    def _put(self, order_id: int, order: SeenOrder | None) -> None:
        """The order is so from now on; None: it is no more."""
        for one, sign in ((self.orders.pop(order_id, None), -1), (order, 1)):
            if one is not None and self._is_there(one):
                qty, count = self.seen.get(one.level, (0, 0))
                self.seen[one.level] = qty + sign * one.display_qty, count + sign
                self._touched.add(one.level)
        if order is not None:
            self.orders[order_id] = order

    def _is_there(self, order: SeenOrder) -> bool:
        """Orders for the close are in the book during the closing auction only."""
        in_phase = order.time_in_force != TimeInForce.CLS or self.phases.get(order.level[0]) == Phase.CLOSING_AUCTION
        return in_phase and order.display_qty > 0
