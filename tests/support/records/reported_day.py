"""A day of the exchange in memory with every event that reports speak of, and the end of the day behind it."""

from dataclasses import replace
from datetime import time
from functools import cache

import numpy as np

from reports.reference import TEMPLATE, parse_reference
from reports.report_day import ReportDay
from schemas.codec import Header, encode_frame
from schemas.enums import (
    BookCommandKind,
    CommandKind,
    ExecInst,
    ExecKind,
    OrdType,
    PegPriceType,
    Phase,
    SelfMatchPrevention,
    Side,
    TimeInForce,
)
from schemas.reject_reasons import Reason
from streams.compliance.read_day import DayRead, read_day
from support.memory_log import BOOK_COMMAND, COMMAND, INSTRUMENTS, SHARDS, START, Exchange, MemoryLog
from topics.catalogue import ACCOUNT_COMMANDS, BOOK_COMMANDS, EXECUTIONS

DAY = ReportDay.of(START)
REFERENCE = parse_reference(TEMPLATE, "template")
SECOND = 1_000_000_000
CASH, LOTS = 10_000_000_000_000, 100_000


class TimedLog(MemoryLog):
    """Records are appended at the exchange's time."""

    now_ns = START

    def append(self, topic: str, partition: int, value: bytes, key: bytes | None = None) -> int:
        """As MemoryLog's."""
        offset = super().append(topic, partition, value, key)
        part = self.parts[topic, partition]
        part[offset] = replace(part[offset], time_ns=self.now_ns)
        return offset


class ReportExchange(Exchange):
    """Sends any command; time goes on by hand."""

    def __init__(self) -> None:
        super().__init__()
        self.log = TimedLog()
        self.names = 0

    def at(self, time_ns: int) -> None:
        """It is that time; books hear of it."""
        self.clock = time_ns
        self.log.now_ns = time_ns
        for shard in range(SHARDS):
            self.books(shard, kind=BookCommandKind.TIMER)

    def later(self, seconds: float) -> None:
        """So much later."""
        self.at(self.clock + int(seconds * SECOND))

    def books(self, shard: int, **columns: int) -> None:
        """A command of an operator or of the clock to one book shard."""
        rows = np.zeros(1, BOOK_COMMAND)
        rows["transact_time"] = self._tick()
        for name, value in columns.items():
            rows[name] = value
        self.log.append(BOOK_COMMANDS.name, shard, encode_frame("book_command_frame", Header("operator"), rows))
        self.settle()

    def phase(self, phase: Phase, *, until: int = 0) -> None:
        """Every book goes there."""
        for shard in range(SHARDS):
            self.books(shard, kind=BookCommandKind.TRADING_SESSION_CHANGE, phase=phase, expire_time=until)

    def send(self, account: int, orig: str = "", **columns: int) -> str:
        """One command of a customer; the cl_ord_id."""
        self.names += 1
        rows, name = np.zeros(1, COMMAND), f"c{self.names}"
        rows["account"], rows["transact_time"] = account, self._tick()
        rows["kind"], rows["instrument"], rows["ord_type"] = CommandKind.NEW_ORDER, 1, OrdType.LIMIT
        for column, value in columns.items():
            rows[column] = value
        texts = np.array([name.encode()]), np.array([orig.encode()])
        frame = encode_frame("order_command_frame", Header("tests"), rows, *texts)
        self.log.append(ACCOUNT_COMMANDS.name, account % SHARDS, frame)
        self.settle()
        return name

    def buy(self, account: int, qty: int, price: int, **columns: int) -> str:
        """A limit order."""
        return self.send(account, side=Side.BUY, order_qty=qty, price=price, **columns)

    def sell(self, account: int, qty: int, price: int, **columns: int) -> str:
        """A limit order."""
        return self.send(account, side=Side.SELL, order_qty=qty, price=price, **columns)

    def replace(self, account: int, orig: str, **columns: int) -> str:
        """Of an order by its name; it has another one afterwards."""
        return self.send(account, orig, **{"kind": CommandKind.REPLACE, "time_in_force": 255, "instrument": 0, "ord_type": 0} | columns)

    def cancel_order(self, account: int, orig: str) -> None:
        """By its name."""
        self.send(account, orig, kind=CommandKind.CANCEL, instrument=0, ord_type=0)


def reported_exchange(day: ReportDay = DAY) -> ReportExchange:
    """The day before, the day, and the first second of the day after."""
    x = ReportExchange()
    x.at(day.start_ns - 3_600 * SECOND)
    x.deposit(range(1, 7), CASH, LOTS)
    x.phase(Phase.CONTINUOUS)
    x.buy(1, 100, 17_000, time_in_force=TimeInForce.GTC)
    carried = x.sell(2, 80, 18_500, time_in_force=TimeInForce.GTC)
    x.phase(Phase.CLOSED)
    x.at(day.at_ns(time(9)))
    x.phase(Phase.PRE_OPEN)
    for account, qty, price in ((1, 30, 18_010), (2, 50, 18_005), (3, 20, 18_000)):
        x.buy(account, qty, price)
    for account, qty, price in ((4, 60, 17_990), (5, 25, 18_000)):
        x.sell(account, qty, price)
    x.phase(Phase.CONTINUOUS)
    x.later(1)
    _continuous(x, carried)
    x.books(1, kind=BookCommandKind.TRADING_HALT, phase=Phase.HALTED, reason=Reason.REGULATORY_HALT, instrument=1)
    x.later(60)
    x.books(1, kind=BookCommandKind.TRADING_RESUME, instrument=1, expire_time=x.clock + 30 * SECOND)
    x.later(31)
    x.at(day.at_ns(time(16)))
    x.phase(Phase.CLOSED)
    x.at(day.end_ns + SECOND)
    return x


def _continuous(x: ReportExchange, carried: str) -> None:
    """Every way in which an order changes."""
    first = x.sell(1, 40, 18_020)
    x.buy(2, 15, 18_020)
    x.buy(3, 1, 18_020, time_in_force=TimeInForce.IOC)
    x.buy(3, 500, 18_020, time_in_force=TimeInForce.IOC)
    again = x.sell(1, 40, 18_030)
    again = x.replace(1, again, order_qty=60, price=18_031)
    x.replace(1, again, order_qty=50)
    x.cancel_order(1, first)
    x.cancel_order(2, carried)
    x.buy(4, 10, 17_900, exec_inst=ExecInst.HIDDEN)
    iceberg = x.sell(5, 100, 18_040, display_qty=10)
    x.buy(6, 25, 18_040)
    x.later(1)
    x.replace(5, iceberg, order_qty=10)
    x.send(6, side=Side.SELL, order_qty=5, ord_type=OrdType.STOP, stop_px=17_950)
    x.send(6, side=Side.BUY, order_qty=5, ord_type=OrdType.STOP_LIMIT, stop_px=18_035, price=18_050)
    x.buy(3, 5, 18_050)
    x.send(2, side=Side.BUY, order_qty=7, ord_type=OrdType.PEGGED, peg_price_type=PegPriceType.PRIMARY)
    x.buy(3, 5, 17_995)
    x.buy(3, 5, 17_996)
    x.send(4, side=Side.SELL, order_qty=9, ord_type=OrdType.MARKET)
    x.send(4, side=Side.SELL, order_qty=3, ord_type=OrdType.MARKET_TO_LIMIT)
    own = {"self_match_prevention_id": 9, "self_match_prevention_instruction": SelfMatchPrevention.DECREMENT_AND_CANCEL}
    x.sell(1, 6, 18_010, **own)
    x.buy(1, 10, 18_010, **own)
    x.buy(6, 4, 18_100, exec_inst=ExecInst.POST_ONLY)
    x.buy(6, 0, 18_000)
    trade = last_trade(x.log)
    parties = {"account": trade["account"], "order_id": trade["order_id"], "self_match_prevention_id": trade["contra_account"],
               "list_id": trade["contra_order_id"]}  # fmt: skip
    bust = {name: trade[name] for name in ("instrument", "price", "trd_match_id", "side")} | parties
    x.books(1, kind=BookCommandKind.TRADE_BUST, order_qty=trade["qty"], reason=Reason.CLEARLY_ERRONEOUS, **bust)


def last_trade(log: MemoryLog) -> dict[str, int]:
    """Of instrument 1, whose incoming order bought."""
    rows = np.concatenate([frame.rows for frame in log.frames(EXECUTIONS, 1)])
    rows = rows[(rows["kind"] == ExecKind.TRADE) & (rows["side"] == Side.BUY) & (rows["flags"] == 0)]
    return dict(zip(rows.dtype.names, rows[-1].tolist(), strict=True))


@cache
def reported_day() -> DayRead:
    """The day, read once for all tests. Nobody changes it."""
    return read_reported(reported_exchange())


def read_reported(x: ReportExchange) -> DayRead:
    """The day, as a report reads it."""
    return read_day(x.log, DAY, INSTRUMENTS, now_ns=DAY.end_ns + 60 * SECOND, quiet=True)
