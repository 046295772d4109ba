"""Rows of executions of one book, written by hand, for surveillance."""

from typing import Any

import numpy as np

from schemas.codec import FRAMES
from schemas.enums import ExecKind, OrdType, Phase, Side, TimeInForce
from schemas.instruments import load_instruments
from schemas.reject_reasons import Reason
from surveillance import Owners, Place, TradingWatch
from surveillance.detectors import DETECTORS

INSTRUMENTS = load_instruments(None)
SECOND = 1_000_000_000
START = 1_000 * SECOND
BUY, SELL = int(Side.BUY), int(Side.SELL)
AT = 18_000
A, B, C, CROWD = 7, 8, 9, 100


class Tape:
    """Rows of one book, written by hand; time in seconds since START."""

    def __init__(self) -> None:
        self.rows: list[dict[str, int]] = []
        self._orders: dict[int, dict[str, int]] = {}

    def new(self, at: float, account: int, side: int, price: int, qty: int, **more: int) -> int:
        """A new order; returns its id."""
        order_id = len(self._orders) + 1
        order = {"instrument": 1, "ord_type": OrdType.LIMIT, "time_in_force": TimeInForce.DAY, "side": side, "price": price, **more}
        display_qty = order.pop("display_qty", qty if order["ord_type"] == OrdType.LIMIT else 0)
        self._orders[order_id] = {**order, "account": account, "leaves_qty": qty}
        self._add(at, kind=ExecKind.NEW, order_id=order_id, account=account, qty=qty, leaves_qty=qty, display_qty=display_qty, **order)
        return order_id

    def trade(self, at: float, order_id: int, contra_order_id: int, qty: int) -> None:
        """The first order comes in and meets the second one, at its price."""
        order, contra = self._orders[order_id], self._orders[contra_order_id]
        for one in (order, contra):
            one["leaves_qty"] -= qty
            assert one["leaves_qty"] >= 0
        self._add(
            at, kind=ExecKind.TRADE, side=order["side"], instrument=order["instrument"], order_id=order_id, account=order["account"],
            contra_order_id=contra_order_id, contra_account=contra["account"], price=contra["price"], qty=qty,
            leaves_qty=order["leaves_qty"], contra_leaves_qty=contra["leaves_qty"], display_qty=contra["leaves_qty"], trd_match_id=len(self.rows) + 1,
        )  # fmt: skip

    def end(self, at: float, order_id: int, kind: int = ExecKind.CANCELED, reason: int = Reason.REQUESTED_BY_CUSTOMER) -> None:
        """The order leaves the market."""
        order = self._orders[order_id]
        more = {name: order[name] for name in ("side", "instrument", "account", "price")}
        self._add(at, kind=kind, order_id=order_id, reason=reason, qty=order["leaves_qty"], **more)
        order["leaves_qty"] = 0

    def change(self, at: float, order_id: int, kind: int, **now: int) -> None:
        """The order is replaced, triggered or restated: `now` are its columns that change, and the row's reason."""
        order = self._orders[order_id]
        order |= {name: value for name, value in now.items() if name in order}
        columns = ("side", "instrument", "account", "price", "ord_type", "time_in_force", "leaves_qty")
        self._add(at, kind=kind, order_id=order_id, **{name: order[name] for name in columns} | now)

    def level(self, at: float, side: int, price: int, qty: int, instrument: int = 1) -> None:
        """The best price of a side, and what stands there."""
        for kind in (ExecKind.LEVEL, ExecKind.TOP):
            self._add(at, kind=kind, instrument=instrument, side=side, price=price, qty=qty)

    def phase(self, at: float, phase: int, instrument: int = 1) -> None:
        """Another trading phase."""
        self._add(at, kind=ExecKind.SECURITY_STATUS, instrument=instrument, phase=phase)

    def indicative(self, at: float, price: int, instrument: int = 1) -> None:
        """Where the book would uncross."""
        self._add(at, kind=ExecKind.AUCTION_INDICATIVE, instrument=instrument, price=price)

    def meet(self, at: float, taker: int, maker: int, side: int, price: int, qty: int, **more: int) -> tuple[int, int]:
        """Account `maker` rests an order that account `taker`, on `side`, takes whole at once. Returns both orders, the taker's first."""
        resting = self.new(at, maker, BUY + SELL - side, price, qty, **more)
        coming = self.new(at, taker, side, price, qty, **more)
        self.trade(at, coming, resting, qty)
        return coming, resting

    def time(self, at: float) -> None:
        """Log time goes on."""
        self._add(at, kind=ExecKind.TIME)

    def array(self) -> Any:
        """All rows as execution_frame rows."""
        rows = np.zeros(len(self.rows), FRAMES["execution_frame"].dtype)
        for index, row in enumerate(self.rows):
            for name, value in row.items():
                rows[name][index] = value
        return rows

    def alerts(self, *detectors: Any) -> list[dict[str, Any]]:
        """The alerts that a new watch makes of the tape, each at its first revision."""
        return [one for one in self.revisions(*detectors) if one["revision"] == 1]

    def revisions(self, *detectors: Any, owners: Owners | None = None) -> list[dict[str, Any]]:
        """All that a new watch writes."""
        return TradingWatch(INSTRUMENTS, detectors or DETECTORS, owners=owners).apply(self.array(), Place(first_seq=1))

    def _add(self, at: float, **fields: int) -> None:
        self.rows.append({**fields, "transact_time": START + round(at * SECOND), "rpt_seq": len(self.rows) + 1})


def market(trades: int = 40, every: float = 0.5, qty: int = 20) -> Tape:
    """A book with an ordinary touch in which a crowd has traded."""
    tape = Tape()
    tape.phase(0.0, Phase.CONTINUOUS)
    for n in range(trades):
        at = n * every
        tape.level(at, BUY, AT - 1, 100)
        tape.level(at, SELL, AT + 1, 100)
        tape.meet(at, CROWD + n, CROWD + 50 + n, BUY if n % 2 else SELL, AT, qty)
    return tape


def patterns(tape: Tape, owners: Owners | None = None) -> set[tuple[str, tuple[int, ...]]]:
    """(pattern, accounts) of all alerts."""
    return {(one["pattern"], tuple(one["accounts"])) for one in tape.revisions(owners=owners)}
