"""What every record of a day must be like, and all of them together, each rule with its code (`reports.cat.codes`). No I/O.

A record is told of once for each rule that it breaks.
"""

from dataclasses import dataclass

import orjson

from reports.cat.codes import Code, Finding, Tell
from reports.cat.fields import NotACsvLine, Record, record_of_csv
from reports.cat.record_rules import RECORD_BYTES_MAX, check_record
from reports.cat.words import BUY, EventType


@dataclass(slots=True)
class _Order:
    """What the records so far say of an order. Quantities as reported."""

    side: str
    quantity: float
    leaves: float
    traded: float = 0
    canceled: float = 0
    before: float = 0
    """Traded before this day."""
    is_doubtful: bool = False
    """A record of it was not sound, so what is left of it is not known."""


class DayCheck:
    """Checks the records of one day, in the order of its files. `take` each line, then `finish`."""

    def __init__(self, day: str) -> None:
        """day: YYYYMMDD."""
        self._day = day
        self.records = 0
        self._sequences: dict[str, int] = {}
        self._orders: dict[str, _Order | None] = {}
        """By order key; None: it has ended."""
        self._trades: set[str] = set()
        self._routes: set[tuple[str, str, str, str]] = set()
        self._prints: dict[str, list[float]] = {}
        """By bulkPrintID: bought, sold, price."""

    def take(self, line: bytes, *, is_csv: bool = False) -> list[Finding]:
        """What is wrong with the next record, also beside those before it."""
        return self._take(line, is_csv=is_csv, alone=False)

    def take_alone(self, line: bytes) -> list[Finding]:
        """What is wrong with the next record in itself: of a supplement, whose other records are in the files before."""
        return self._take(line, is_csv=False, alone=True)

    def _take(self, line: bytes, *, is_csv: bool, alone: bool) -> list[Finding]:
        self.records += 1
        found: list[Finding] = []
        number = self.records

        def tell(code: Code, name: str, text: str) -> None:
            found.append(Finding(number, code, name, text))

        if len(line.rstrip(b"\n")) > RECORD_BYTES_MAX:
            tell(Code.LENGTH, "", f"{len(line):,} bytes, at most {RECORD_BYTES_MAX:,}")
        record = _record_of(line, tell, is_csv=is_csv)
        if record is not None:
            is_sound = check_record(record, self._day, tell)
            if not alone and is_sound:
                self._link(record, tell)
            elif not alone:
                self._doubt(record)
        return found

    def _doubt(self, record: Record) -> None:
        """The orders of a record that is not sound: what follows from that is not told of again with every later record."""
        for one in (record, record.get("buyDetails"), record.get("sellDetails")):
            if isinstance(one, dict) and isinstance(one.get("orderID"), str):
                order = self._orders.get(self._key(one, record.get("symbol", "")))
                if order is not None:
                    order.is_doubtful = True

    def finish(self) -> list[Finding]:
        """What is wrong with the day as a whole."""
        return [
            Finding(0, Code.PRINT, print_id, f"{bought:g} bought and {sold:g} sold")
            for print_id, (bought, sold, _) in self._prints.items()
            if not _same(bought, sold)
        ]

    @property
    def open_orders(self) -> int:
        """Orders that have something left."""
        return sum(one is not None for one in self._orders.values())

    # ---- across records

    def _link(self, record: Record, tell: Tell) -> None:
        """The rules that need the records before; of a record that is well-formed."""
        symbol, sequence = record["symbol"], record["sequenceNumber"]
        if sequence <= self._sequences.get(symbol, -1):
            tell(Code.SEQUENCE, "sequenceNumber", f"{sequence} after {self._sequences[symbol]} of {symbol}")
        self._sequences[symbol] = max(sequence, self._sequences.get(symbol, -1))
        match record["type"]:
            case EventType.ACCEPTED | EventType.RESTATED:
                self._open(record, tell)
            case EventType.MODIFIED:
                self._modify(record, tell)
            case EventType.ADJUSTED:
                self._adjust(record, tell)
            case EventType.CANCELED:
                self._cancel(record, tell)
            case EventType.TRADE:
                self._trade(record, tell)
            case EventType.BULK_PRINT:
                self._print(record, tell)
            case EventType.TRADE_BROKEN:
                if record.get("tradeDate") == int(self._day) and record.get("bulkPrintID", record["tradeID"]) not in self._trades:
                    tell(Code.NO_TRADE, "tradeID", f"trade {record['tradeID']} was not reported before")

    def _key(self, order: Record, symbol: str) -> str:
        return f"{order.get('originalOrderDate', self._day)} {symbol} {order['orderID']}"

    def _open(self, record: Record, tell: Tell) -> None:
        key, is_new = self._key(record, record["symbol"]), record["type"] == EventType.ACCEPTED
        if key in self._orders:
            code = Code.ORDER_TWICE if is_new else Code.RESTATED_LATE
            tell(code, "orderID", f"order {record['orderID']} was reported before")
            return
        if record["leavesQty"] < record["quantity"]:  # more has its own code
            tell(Code.CONSERVATION, "leavesQty", f"{record['leavesQty']:g} left of {record['quantity']:g} before anything happened")
        self._orders[key] = _Order(record["side"], record["quantity"], record["quantity"])
        if is_new:
            route = (record["symbol"], record["routedOrderID"], record["session"], record["routingParty"])
            if route in self._routes:
                tell(Code.ROUTE_TWICE, "routedOrderID", f"{' '.join(route)} was accepted before")
            self._routes.add(route)

    def _known(self, key: str, order_id: str, side: str | None, tell: Tell) -> _Order | None:
        if key not in self._orders:
            tell(Code.NO_ORDER, "orderID", f"order {order_id} was not reported before")
            return None
        order = self._orders[key]
        if order is None:
            tell(Code.ENDED, "orderID", f"nothing was left of order {order_id}")
        elif side is not None and (side == BUY) != (order.side == BUY):
            tell(Code.SIDE_OF_ORDER, "side", f"{side}, but order {order_id} is {order.side}")
        return order

    def _modify(self, record: Record, tell: Tell) -> None:
        key = self._key(record, record["symbol"])
        order = self._known(key, record["orderID"], record["side"], tell)
        if order is None:
            return
        done = record["quantity"] - record["leavesQty"]
        traded = order.before + order.traded
        if not _same(done, traded):
            if "originalOrderDate" in record and not order.before and done > order.traded:
                order.before = done - order.traded
            elif not order.is_doubtful:
                tell(
                    Code.CONSERVATION,
                    "leavesQty",
                    f"{record['leavesQty']:g} left of {record['quantity']:g}, of which {traded:g} were traded",
                )
        order.quantity, order.leaves, order.canceled = record["quantity"], record["leavesQty"], 0
        self._end(key, order)

    def _adjust(self, record: Record, tell: Tell) -> None:
        key = self._key(record, record["symbol"])
        order = self._known(key, record["orderID"], record.get("side"), tell)
        if order is None:
            return
        order.quantity = record.get("quantity", order.quantity)
        if "quantity" in record:
            order.leaves = order.quantity - order.before - order.traded
        self._compare(order, record["leavesQty"], "leavesQty", tell)
        self._end(key, order)

    def _cancel(self, record: Record, tell: Tell) -> None:
        key = self._key(record, record["symbol"])
        order = self._known(key, record["orderID"], None, tell)
        if order is None:
            return
        order.canceled += record["cancelQty"]
        order.leaves -= record["cancelQty"]
        self._compare(order, record["leavesQty"], "cancelQty", tell)
        self._end(key, order)

    def _trade(self, record: Record, tell: Tell) -> None:
        if record["tradeID"] in self._trades:
            tell(Code.TRADE_TWICE, "tradeID", f"trade {record['tradeID']} was reported before")
            return
        self._trades.add(record["tradeID"])
        for name in ("buyDetails", "sellDetails"):
            details = record[name]
            key = self._key(details, record["symbol"])
            order = self._known(key, details["orderID"], details["side"], tell)
            if order is not None:
                self._fill(order, record["quantity"])
                self._compare(order, details.get("leavesQty", order.leaves), f"{name}.leavesQty", tell)
                self._end(key, order)

    def _print(self, record: Record, tell: Tell) -> None:
        print_id, key = record["bulkPrintID"], self._key(record, record["symbol"])
        sums = self._prints.setdefault(print_id, [0, 0, record["price"]])
        self._trades.add(print_id)
        if record["price"] != sums[2]:
            tell(Code.PRINT, "price", f"{record['price']:g}, but the print is at {sums[2]:g}")
        order = self._known(key, record["orderID"], record["side"], tell)
        sums[0 if (record["side"] if order is None else order.side) == BUY else 1] += record["quantity"]
        if order is not None:
            self._fill(order, record["quantity"])
            if order.leaves < 0 and not _same(order.leaves, 0) and not order.is_doubtful:
                tell(Code.CONSERVATION, "quantity", f"{-order.leaves:g} more than order {record['orderID']} had left")
            self._end(key, order)

    @staticmethod
    def _fill(order: _Order, quantity: float) -> None:
        order.traded += quantity
        order.leaves -= quantity

    @staticmethod
    def _compare(order: _Order, leaves: float, name: str, tell: Tell) -> None:
        if not _same(order.leaves, leaves):
            if not order.is_doubtful:
                less = f"{order.quantity:g} less {order.before + order.traded:g} traded and {order.canceled:g} canceled"
                tell(Code.CONSERVATION, name, f"{leaves:g} left, but {less} is {order.leaves:g}")
            order.leaves, order.is_doubtful = leaves, True  # told once, not with every later record

    def _end(self, key: str, order: _Order) -> None:
        if _same(order.leaves, 0):
            self._orders[key] = None


def _record_of(line: bytes, tell: Tell, *, is_csv: bool) -> Record | None:
    try:
        line.decode().encode("latin-1")
    except UnicodeError:
        if not is_csv:  # every byte is a character of ISO-8859-1
            tell(Code.ENCODING, "", "text that is not ISO-8859-1")
            return None
    try:
        record = record_of_csv(line) if is_csv else orjson.loads(line)
    except (orjson.JSONDecodeError, NotACsvLine) as error:
        tell(Code.NOT_A_RECORD, "", str(error))
        return None
    if not isinstance(record, dict):
        tell(Code.NOT_A_RECORD, "", "not an object")
        return None
    return record


def _same(one: float, other: float) -> bool:
    """Quantities as reported are decimals of at most 8 places: sums of doubles are as near as that."""
    return abs(one - other) < 5e-9
