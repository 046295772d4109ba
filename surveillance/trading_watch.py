"""The machine of watch-trading: one book shard's executions in, alerts out.

In:     rows of execution_frame, in the order of the log, each once (the shell drops frames that a replaying shard wrote twice)
Out:    records of schemas/alert.avsc
State:  the tracked orders and the open episodes; a function of the rows alone, whatever frames they come in
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
    "price", "qty", "leaves_qty", "contra_leaves_qty", "transact_time",
]  # fmt: skip
Row = tuple[int, int, int, int, int, int, int, int, int, int, int, int, int, int]
"""The values of COLUMNS."""
Alerts = list[dict[str, Any]]


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
        _, side, ord_type, time_in_force, _, instrument, order_id, account, _, price, qty, *_ = row
        rests = int(ord_type == OrdType.LIMIT and time_in_force != TimeInForce.IOC)
        order = TrackedOrder(
            order_id=order_id, account=account, instrument=instrument, side=side, rests=rests, flagged=0, faded=0, price=price,
            order_qty=qty, leaves_qty=qty, traded_qty=0, interest_qty=qty * rests, placed_at=self.log_time, ended_at=0,
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
        for order, leaves_qty in known:
            if leaves_qty == 0:
                self._layering.ended(order, 0)
            self._layering.executed(order, price, qty, self.log_time)
        return []

    def _on_end(self, row: Row, source: str) -> Alerts:
        order = self._tracker.get(row[6])
        if order is None or order.ended_at:
            return []
        canceled_qty = order.leaves_qty if row[0] == ExecKind.CANCELED and row[4] == Reason.REQUESTED_BY_CUSTOMER else 0
        self._tracker.end(order, self.log_time)
        episode = self._layering.ended(order, canceled_qty)
        if episode is None:
            return []
        own_qty = self._layering.interest_against(episode)
        return [layering_alert(episode, own_qty, self.log_time, source, self._instruments)]

    def _on_time(self, row: Row, source: str) -> Alerts:
        return []
