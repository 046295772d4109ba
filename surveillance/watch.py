"""The machine of watch-trading: one book shard's executions in, alerts out.

In:     rows of execution_frame, in the order of the log, each once (the shell drops frames that a replaying shard wrote twice)
Out:    records of schemas/avro/alert.avsc
State:  the tracked orders and what the detectors keep; a function of the rows alone, whatever frames they come in
Ignored: an uncross is a series of normal trades, whose first order is the buy. A busted trade was a trade when it was published.
On failure: a row that contradicts the log is an assertion. A row about an order that was forgotten (or is older than the watch) is skipped.
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
from surveillance.alerts import alert_record
from surveillance.contract import Finding, MakeDetector, own_arrays, prefixed, wants
from surveillance.detectors import DETECTORS
from surveillance.orders import OrderTracker, TrackedOrder, Tracking

COLUMNS: Final = [
    "kind", "side", "ord_type", "time_in_force", "reason", "instrument", "order_id", "account", "contra_order_id",
    "price", "qty", "leaves_qty", "contra_leaves_qty", "display_qty", "transact_time",
]  # fmt: skip
Row = tuple[int, int, int, int, int, int, int, int, int, int, int, int, int, int, int]
"""The values of COLUMNS."""
Alerts = list[dict[str, Any]]
Findings = list[Finding]

_RESTING_TIMES: Final = (TimeInForce.DAY, TimeInForce.GTC, TimeInForce.GTD, TimeInForce.OPG)
_BY_OWNER: Final = (Reason.REQUESTED_BY_CUSTOMER, Reason.REPLACED_TO_NOTHING)
"""Cancellations by the owner. A mass cancel is an operator's."""
_NEW_PLACE: Final = (Reason.PEG_REPRICED, Reason.MARKET_TO_LIMIT, Reason.PRICE_BAND)
"""Restatements after which the order rests at another price than before."""


def _rests(ord_type: int, time_in_force: int) -> bool:
    """Whether the unfilled rest of an order is visible in the book. Stops, pegs and CLS orders enter it later."""
    return ord_type == OrdType.LIMIT and time_in_force in _RESTING_TIMES


@dataclass(frozen=True)
class WatchStats:
    """Counts since the watch was made."""

    rows: int
    alerts: int
    orders_tracked: int


class TradingWatch:
    """Surveillance of one book shard; one instance per partition of `executions`. It knows no pattern: see surveillance.contract."""

    def __init__(
        self, instruments: InstrumentTable, detectors: tuple[MakeDetector, ...] = DETECTORS, tracking: Tracking | None = None
    ) -> None:
        self.log_time = 0
        self._instruments = instruments
        self._tracker = OrderTracker(tracking or Tracking())
        self._detectors = [make(self._tracker) for make in detectors]
        self._on_advance, self._on_placed, self._on_executed, self._on_withdrawn = (
            [getattr(one, event) for one in self._detectors if wants(one, event)]
            for event in ("advance", "placed", "executed", "withdrawn")
        )
        self._rows = self._alerts = 0
        self._handlers: dict[int, Callable[[Row], Findings]] = {
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
            found = self._advance(row[-1]) + self._handlers[row[0]](row)
            alerts += [alert_record(one, self.log_time, source, self._instruments) for one in found]
        self._rows += len(executions)
        self._alerts += len(alerts)
        return alerts

    def stats(self) -> WatchStats:
        """Counts since this watch was made or restored."""
        return WatchStats(self._rows, self._alerts, len(self._tracker))

    def snapshot(self) -> dict[str, Rows]:
        """The whole state as named arrays."""
        arrays = {**self._tracker.snapshot(), "clock": np.array([self.log_time], "<i8")}
        for detector in self._detectors:
            arrays |= prefixed(detector)
        return arrays

    @classmethod
    def restore(
        cls,
        instruments: InstrumentTable,
        arrays: dict[str, Any],
        detectors: tuple[MakeDetector, ...] = DETECTORS,
        tracking: Tracking | None = None,
    ) -> Self:
        """A watch that continues where the snapshot was taken."""
        watch = cls(instruments, detectors, tracking)
        watch.log_time = int(arrays["clock"][0])
        watch._tracker.restore(arrays)
        for detector in watch._detectors:
            detector.restore(own_arrays(detector, arrays))
        return watch

    def state_hash(self) -> bytes:
        """16 bytes, equal for equal states."""
        digest = hashlib.blake2b(digest_size=16)
        for name, array in sorted(self.snapshot().items()):
            digest.update(f"{name}:{len(array)}:".encode())
            digest.update(array.tobytes())
        return digest.digest()

    def _advance(self, transact_time: int) -> Findings:
        found: Findings = []
        if transact_time > self.log_time:
            self.log_time = transact_time
            for advance in self._on_advance:
                found += advance(self.log_time)
            self._tracker.fade(self.log_time)
        return found

    def _on_new(self, row: Row) -> Findings:
        _, side, ord_type, time_in_force, _, instrument, order_id, account, _, price, qty, _, _, display_qty, _ = row
        rests = int(_rests(ord_type, time_in_force))
        order = TrackedOrder(
            order_id=order_id, account=account, instrument=instrument, side=side, rests=rests, flagged=0, faded=0, price=price,
            order_qty=qty, leaves_qty=qty, display_qty=display_qty, traded_qty=0, interest_qty=qty * rests, placed_at=self.log_time, ended_at=0,
        )  # fmt: skip
        forgotten = self._tracker.place(order)
        if forgotten is not None:
            for detector in self._detectors:
                detector.forgotten(forgotten)
        return [one for placed in self._on_placed for one in placed(order, self.log_time)]

    def _on_trade(self, row: Row) -> Findings:
        price, qty = row[9], row[10]
        both = [(self._tracker.get(row[6]), row[11]), (self._tracker.get(row[8]), row[12])]
        known = [(order, leaves_qty) for order, leaves_qty in both if order is not None and not order.ended_at]
        for order, leaves_qty in known:
            self._tracker.trade(order, qty, leaves_qty, self.log_time)
            if order.order_id == row[8]:
                order.display_qty = min(row[13], leaves_qty)
        found: Findings = []
        for order, leaves_qty in known:
            if leaves_qty == 0:
                found += self._withdrawn(order, 0)
            for executed in self._on_executed:
                found += executed(order, price, qty, self.log_time)
        return found

    def _on_end(self, row: Row) -> Findings:
        order = self._tracker.get(row[6])
        if order is None or order.ended_at:
            return []
        by_owner = row[0] == ExecKind.CANCELED and row[4] in _BY_OWNER
        canceled_qty = order.leaves_qty if by_owner else 0
        self._tracker.end(order, self.log_time)
        return self._withdrawn(order, canceled_qty)

    def _withdrawn(self, order: TrackedOrder, canceled_qty: int) -> Findings:
        return [one for withdrawn in self._on_withdrawn for one in withdrawn(order, canceled_qty, self.log_time)]

    def _on_triggered(self, row: Row) -> Findings:
        """A dormant order enters the market."""
        order = self._tracker.get(row[6])
        if order is None or order.ended_at:
            return []
        leaves_qty = row[11]
        self._tracker.resize(order, order.traded_qty + leaves_qty, leaves_qty)
        if _rests(row[2], row[3]):
            self._tracker.enter(order, row[9], row[13], self.log_time)
        return []

    def _on_replaced(self, row: Row) -> Findings:
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
        return self._withdrawn(order, reduced_qty) if reduced_qty else []

    def _on_restated(self, row: Row) -> Findings:
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

    def _on_time(self, row: Row) -> Findings:
        return []
