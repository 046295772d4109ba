"""What must hold of a reference book shard between any two commands."""

from collections.abc import Mapping

from matchers.reference_book_shard import BookShard
from matchers.state_hash import Place
from schemas.codec import Rows
from schemas.enums import ExecKind, OrdType, Phase


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
