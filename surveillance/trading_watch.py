"""The machine of watch-trading: one book shard's executions in, alerts out.

In:     rows of execution_frame, in the order of the log, each once (the shell drops frames that a replaying shard wrote twice)
Out:    records of schemas/alert.avsc
State:  the tracked orders and the open episodes; a function of the rows alone, whatever frames they come in
Not looked at: an uncross is trades like others, whose first order is the buy; a busted trade was a trade when it was told.
On failure: a row that contradicts the log is an assertion; a row of an order that was forgotten (or came before the watch began) is left out.
"""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, Self

import numpy as np

from schemas.codec import Rows
from schemas.enums import ExecKind, OrdType, TimeInForce
from schemas.instruments import InstrumentTable
from schemas.reject_reasons import Reason
from schemas.units import Nanos
from surveillance.alerts import layering_alert
from surveillance.layering import LayeringDetector, LayeringParameters
from surveillance.tracked_orders import OrderTracker, TrackedOrder

COLUMNS: Final = [
    "kind", "side", "ord_type", "time_in_force", "reason", "instrument", "order_id", "account", "contra_order_id",
    "price", "qty", "leaves_qty", "contra_leaves_qty", "display_qty", "transact_time",
]  # fmt: skip
Row = tuple[int, int, int, int, int, int, int, int, int, int, int, int, int, int, int]
"""The values of COLUMNS."""
Alerts = list[dict[str, Any]]

_RESTING_TIMES: Final = (TimeInForce.DAY, TimeInForce.GTC, TimeInForce.GTD, TimeInForce.OPG)
_BY_OWNER: Final = (Reason.REQUESTED_BY_CUSTOMER, Reason.REPLACED_TO_NOTHING)
"""Cancellations that are the owner's wish. A mass cancel is an operator's."""
_NEW_PLACE: Final = (Reason.PEG_REPRICED, Reason.MARKET_TO_LIMIT, Reason.PRICE_BAND)
"""Restatements after which the order rests at another price than before."""


def _rests(ord_type: int, time_in_force: int) -> bool:
    """Whether what an order leaves unfilled is in the book for all to see. Stops, pegs and CLS orders come there later."""
    return ord_type == OrdType.LIMIT and time_in_force in _RESTING_TIMES


@dataclass(frozen=True)
class WatchStats:
    """What a watch has seen since it was made."""

    rows: int
    alerts: int
    orders_tracked: int


class TradingWatch:
    """Surveillance of one book shard; one instance a partition of `executions`."""

    def __init__(self, instruments: InstrumentTable, parameters: LayeringParameters | None = None) -> None:
        rules = parameters or LayeringParameters()
        self.log_time = Nanos(0)
        self._instruments = instruments
        self._tracker = OrderTracker(rules.orders_tracked_max, rules.interest_ns)
        self._layering = LayeringDetector(rules, self._tracker)
        self._rows = self._alerts = 0
        self._handlers: dict[int, Callable[[Row, str], Alerts]] = {
            int(ExecKind.NEW): self._on_new,
            int(ExecKind.TRADE): self._on_trade,
            int(ExecKind.CANCELED): self._on_end,
            int(ExecKind.EXPIRED): self._on_end,
            int(ExecKind.TIME): self._on_time,
            int(ExecKind.TRIGGERED): self._on_triggered,
            int(ExecKind.REPLACED): self._on_replaced,
            int(ExecKind.RESTATED): self._on_restated,
        }

    def apply(self, executions: Rows, source: str) -> Alerts:
        """The alerts that these rows complete. source: see surveillance.alerts.alert_source."""
        wanted = executions[np.isin(executions["kind"], list(self._handlers))]
        alerts: Alerts = []
        for row in wanted[COLUMNS].tolist():
            self._advance(row[-1])
            alerts += self._handlers[row[0]](row, source)
        self._rows += len(executions)
        self._alerts += len(alerts)
        return alerts

    def stats(self) -> WatchStats:
        """Counts since this watch was made or restored."""
        return WatchStats(self._rows, self._alerts, len(self._tracker))

    def snapshot(self) -> dict[str, Rows]:
        """The whole state as named arrays."""
        return {**self._tracker.snapshot(), **self._layering.snapshot(), "clock": np.array([self.log_time], "<i8")}

    @classmethod
    def restore(cls, instruments: InstrumentTable, arrays: dict[str, Any], parameters: LayeringParameters | None = None) -> Self:
        """A watch that goes on where the snapshot was taken."""
        watch = cls(instruments, parameters)
        watch.log_time = Nanos(int(arrays["clock"][0]))
        watch._tracker.restore(arrays)
        watch._layering.restore(arrays)
        return watch

    def state_hash(self) -> bytes:
        """16 bytes, equal for equal states."""
        digest = hashlib.blake2b(digest_size=16)
        for name, array in sorted(self.snapshot().items()):
            digest.update(f"{name}:{len(array)}:".encode())
            digest.update(array.tobytes())
        return digest.digest()

    def _advance(self, transact_time: int) -> None:
        if transact_time > self.log_time:
            self.log_time = Nanos(transact_time)
            self._layering.advance(self.log_time)
            self._tracker.fade(self.log_time)

    def _on_new(self, row: Row, source: str) -> Alerts:
        _, side, ord_type, time_in_force, _, instrument, order_id, account, _, price, qty, _, _, display_qty, _ = row
        rests = int(_rests(ord_type, time_in_force))
        order = TrackedOrder(
            order_id=order_id, account=account, instrument=instrument, side=side, rests=rests, flagged=0, faded=0, price=price,
            order_qty=qty, leaves_qty=qty, display_qty=display_qty, traded_qty=0, interest_qty=qty * rests, placed_at=self.log_time, ended_at=0,
        )  # fmt: skip
        forgotten = self._tracker.place(order)
        if forgotten is not None:
            self._layering.forgotten(forgotten)
        return []

    def _on_trade(self, row: Row, source: str) -> Alerts:
        price, qty = row[9], row[10]
        both = [(self._tracker.get(row[6]), row[11]), (self._tracker.get(row[8]), row[12])]
        known = [(order, leaves_qty) for order, leaves_qty in both if order is not None and not order.ended_at]
        for order, leaves_qty in known:
            self._tracker.trade(order, qty, leaves_qty, self.log_time)
            if order.order_id == row[8]:
                order.display_qty = min(row[13], leaves_qty)
        for order, leaves_qty in known:
            if leaves_qty == 0:
                self._layering.withdrawn(order, 0)
            self._layering.executed(order, price, qty, self.log_time)
        return []

    def _on_end(self, row: Row, source: str) -> Alerts:
        order = self._tracker.get(row[6])
        if order is None or order.ended_at:
            return []
        by_owner = row[0] == ExecKind.CANCELED and row[4] in _BY_OWNER
        canceled_qty = order.leaves_qty if by_owner else 0
        self._tracker.end(order, self.log_time)
        return self._withdrawn(order, canceled_qty, source)

    def _withdrawn(self, order: TrackedOrder, canceled_qty: int, source: str) -> Alerts:
        episode = self._layering.withdrawn(order, canceled_qty)
        if episode is None:
            return []
        own_qty = self._layering.interest_against(episode)
        return [layering_alert(episode, own_qty, self.log_time, source, self._instruments)]

    def _on_triggered(self, row: Row, source: str) -> Alerts:
        """A dormant order enters the market."""
        order = self._tracker.get(row[6])
        if order is None or order.ended_at:
            return []
        leaves_qty = row[11]
        self._tracker.resize(order, order.traded_qty + leaves_qty, leaves_qty)
        if _rests(row[2], row[3]):
            self._tracker.enter(order, row[9], row[13], self.log_time)
        return []

    def _on_replaced(self, row: Row, source: str) -> Alerts:
        """Another price or more quantity is a new place in the book; less quantity is a cancellation of the difference."""
        order = self._tracker.get(row[6])
        if order is None or order.ended_at:
            return []
        price, order_qty, leaves_qty, display_qty = row[9], row[10], row[11], row[13]
        moved, reduced_qty = price != order.price or leaves_qty > order.leaves_qty, max(0, order.leaves_qty - leaves_qty)
        self._tracker.resize(order, order_qty, leaves_qty)
        if order.rests and moved:
            self._tracker.enter(order, price, display_qty, self.log_time)
        order.display_qty = display_qty
        return self._withdrawn(order, reduced_qty, source) if reduced_qty else []

    def _on_restated(self, row: Row, source: str) -> Alerts:
        """The engine changed the order: its place, what it displays, or (by self-match prevention) its quantity."""
        order = self._tracker.get(row[6])
        if order is None or order.ended_at:
            return []
        reason, price, qty, leaves_qty, display_qty = row[4], row[9], row[10], row[11], row[13]
        self._tracker.resize(order, order.order_qty - qty, leaves_qty)
        if reason in _NEW_PLACE:
            self._tracker.enter(order, price, display_qty, self.log_time)
        order.display_qty = display_qty
        return []

    def _on_time(self, row: Row, source: str) -> Alerts:
        return []
