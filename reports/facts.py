"""What happened on a trading day, as columns: what every report is a function of. No I/O.

Made in one pass over the frames of `executions` and `account.events`, in the order of each partition, each frame once. Only log time decides
what belongs to the day, so it does not matter where in the log the reading began.
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np

from reports.report_day import ReportDay
from schemas.clock_record import ClockRecord
from schemas.codec import FRAMES, Frame, Rows
from schemas.enums import AccountEventKind, ContingencyType, ExecKind, Side
from schemas.errors import StaleData
from schemas.instruments import InstrumentTable
from schemas.units import NANOS_PER_SECOND

MARGIN_NS: Final = 600 * NANOS_PER_SECOND
"""Account events so long before and after the day are read too: the clocks of account shards and books differ by less, and each says a part of an order."""

ORDER_KINDS: Final = (
    ExecKind.NEW, ExecKind.TRADE, ExecKind.CANCELED, ExecKind.EXPIRED, ExecKind.REPLACED, ExecKind.TRIGGERED, ExecKind.RESTATED, ExecKind.TRADE_BUSTED,
)  # fmt: skip
MARKET_KINDS: Final = (ExecKind.SECURITY_STATUS, ExecKind.PRICE_BAND)
_DESCRIBES: Final = (
    AccountEventKind.ACCEPTED, AccountEventKind.RESTATED, AccountEventKind.REPLACED, AccountEventKind.TRIGGERED, AccountEventKind.TRADE,
    AccountEventKind.CANCELED, AccountEventKind.EXPIRED, AccountEventKind.CANCEL_PENDING, AccountEventKind.REPLACE_PENDING,
)  # fmt: skip
MESSAGE_KINDS: Final = (
    AccountEventKind.ACCEPTED, AccountEventKind.REJECTED, AccountEventKind.CANCEL_PENDING, AccountEventKind.REPLACE_PENDING,
    AccountEventKind.CANCEL_REJECTED,
)  # fmt: skip
"""Account events that answer a message of a customer."""


def _one_of(kinds: Iterable[int]) -> Rows:
    """For each number of a kind whether it is one of these."""
    found = np.zeros(256, bool)
    found[list(map(int, kinds))] = True
    return found


_OF_ORDERS, _OF_MARKETS, _OF_MESSAGES, _DESCRIBING = map(_one_of, (ORDER_KINDS, MARKET_KINDS, MESSAGE_KINDS, _DESCRIBES))
ROWS_TOGETHER: Final = 65_536
EXECUTION: Final = FRAMES["execution_frame"].dtype
TOP: Final = np.dtype(
    [("instrument", "<u4"), ("side", "u1"), ("rpt_seq", "<u8"), ("price", "<i8"), ("qty", "<i8"), ("transact_time", "<i8")], align=True
)
"""The best price of a side from a row on; price 0: there is none."""
ORDER: Final = np.dtype(
    [
        ("order_id", "<u8"), ("account", "<u8"), ("list_id", "<u8"), ("instrument", "<u4"), ("side", "u1"), ("ord_type", "u1"), ("time_in_force", "u1"),
        ("exec_inst", "u1"), ("contingency_type", "u1"), ("peg_price_type", "u1"), ("offset_type", "u1"), ("order_qty", "<i8"), ("price", "<i8"),
        ("leaves_qty", "<i8"), ("stop_px", "<i8"), ("display_qty", "<i8"), ("offset", "<i8"), ("expire_time", "<i8"), ("submitted_at", "<i8"), ("transact_time", "<i8"),
        ("seq", "<u8"), ("position", "<i8"), ("position_held", "<i8"), ("kind", "u1"), ("is_short", "?"),
    ],
    align=True,
)  # fmt: skip
"""An order as its account shard first describes it on the day, see account_event_frame. is_short: accepted as a short sale."""
MESSAGE: Final = np.dtype(
    [
        ("account", "<u8"), ("order_id", "<u8"), ("instrument", "<u4"), ("kind", "u1"), ("ord_type", "u1"), ("reason", "<u2"), ("contingency_type", "u1"),
        ("order_qty", "<i8"), ("leaves_qty", "<i8"), ("transact_time", "<i8"),
    ],
    align=True,
)  # fmt: skip
_HELD: Final = np.dtype([("account", "<u8"), ("instrument", "<u4"), ("seq", "<u8"), ("position_held", "<i8")], align=True)


@dataclass(frozen=True)
class DayFacts:
    """The day. Rows of one instrument are in the order of its rpt_seq."""

    day: ReportDay
    instruments: InstrumentTable
    executions: Rows
    """EXECUTION rows of ORDER_KINDS, by instrument and rpt_seq."""
    bids: Rows
    offers: Rows
    """For each row of executions the best bid and offer before its command, ticks; 0: none."""
    markets: Rows
    """EXECUTION rows of MARKET_KINDS, by instrument and rpt_seq."""
    tops: Rows
    """TOP, by instrument and rpt_seq."""
    orders: Rows
    """ORDER: by order_id, every order that has a row in executions, `order_count` of them; behind them, orders as they were after a replace."""
    order_count: int
    cl_ord_ids: Rows
    """S, beside orders."""
    replaced: dict[int, list[int]]
    """By order_id, where in `orders` it is after each replace of the day."""
    messages: Rows
    """MESSAGE: what customers asked on the day, by account event."""
    clocks: tuple[ClockRecord, ...] = ()
    """What the processes have written of their clocks; not from the log."""

    def order_rows(self, order_ids: Rows) -> Any:
        """The rows in `orders` of these order ids."""
        return np.searchsorted(self.orders["order_id"][: self.order_count], order_ids)


@dataclass
class DayBuilder:
    """Takes the frames of the day, and of MARGIN_NS before and after it; others do no harm."""

    day: ReportDay
    instruments: InstrumentTable
    _executions: list[Rows] = field(default_factory=list)
    _markets: list[Rows] = field(default_factory=list)
    _tops: list[Rows] = field(default_factory=list)
    _orders: list[Rows] = field(default_factory=list)
    _texts: list[Rows] = field(default_factory=list)
    _held: list[Rows] = field(default_factory=list)
    _messages: list[Rows] = field(default_factory=list)
    _earlier: dict[int, tuple[Rows, Rows]] = field(default_factory=dict)
    _counts: Counter[str] = field(default_factory=Counter)
    _books: list[Frame] = field(default_factory=list)
    _accounts: list[Frame] = field(default_factory=list)
    _waiting: int = 0
    """Rows of frames that were taken and not looked at yet: many small frames cost less together."""

    def take_executions(self, frame: Frame) -> None:
        """A frame of `executions`."""
        self._books.append(frame)
        self._wait(frame)

    def take_account_events(self, frame: Frame) -> None:
        """A frame of `account.events`."""
        self._accounts.append(frame)
        self._wait(frame)

    def _wait(self, frame: Frame) -> None:
        self._waiting += len(frame.rows)
        if self._waiting >= ROWS_TOGETHER:
            self._look()

    def _look(self) -> None:
        """At all frames that wait."""
        books, accounts = self._books, self._accounts
        self._books, self._accounts, self._waiting = [], [], 0
        if books:
            self._look_at_executions(_joined([frame.rows for frame in books], EXECUTION))
        if accounts:
            texts = np.concatenate([_texts_of(frame) for frame in accounts])
            self._look_at_account_events(_joined([frame.rows for frame in accounts], accounts[0].rows.dtype), texts)

    @property
    def rows(self) -> Counter[str]:
        """Rows of the day by topic and kind."""
        self._look()
        return self._counts

    def _look_at_executions(self, rows: Rows) -> None:
        kinds, is_today = rows["kind"].copy(), self.day.contains(rows["transact_time"])
        self._count("executions", ExecKind, kinds[is_today])
        for wanted, kept in ((_OF_ORDERS, self._executions), (_OF_MARKETS, self._markets)):
            chosen = np.flatnonzero(is_today & wanted[kinds])
            if len(chosen):
                kept.append(rows[chosen])
        tops = np.flatnonzero(is_today & (kinds == ExecKind.TOP))
        if len(tops):
            self._tops.append(_columns(rows, TOP, tops))

    def _look_at_account_events(self, rows: Rows, texts: Rows) -> None:
        day, kinds, times = self.day, rows["kind"].copy(), rows["transact_time"].copy()
        is_near, is_today = (times >= day.start_ns - MARGIN_NS) & (times < day.end_ns + MARGIN_NS), day.contains(times)
        self._count("account.events", AccountEventKind, kinds[is_today])
        messages = np.flatnonzero(is_today & _OF_MESSAGES[kinds])
        if len(messages):
            self._messages.append(_columns(rows, MESSAGE, messages))
        chosen = np.flatnonzero(is_near & _DESCRIBING[kinds])
        if len(chosen):
            self._orders.append(_columns(rows, ORDER, chosen))
            self._texts.append(texts[chosen])
        positions = np.flatnonzero(is_near & (rows["instrument"] != 0))
        if len(positions):
            self._held.append(_columns(rows, _HELD, positions))

    def undescribed(self) -> Rows:
        """Orders of the books that no account event so far describes: those that were carried over from an earlier day."""
        self._look()
        in_books = _distinct(part[name] for part in self._executions for name in ("order_id", "contra_order_id"))
        known = _distinct([*(part["order_id"] for part in self._orders), np.array([0, *self._earlier], "<u8")])
        found: Rows = in_books[~_is_among(in_books, known)]
        return found

    def take_earlier(self, frame: Frame, order_ids: Rows) -> None:
        """A frame of `account.events` from before the day, for these orders; the last description of each counts."""
        rows = frame.rows
        chosen = np.isin(rows["order_id"], order_ids) & np.isin(rows["kind"], _DESCRIBES) & (rows["transact_time"] < self.day.start_ns)
        for at in np.flatnonzero(chosen).tolist():
            self._earlier[int(rows["order_id"][at])] = _columns(rows, ORDER, np.array([at])), _texts_of(frame)[at : at + 1]

    def _count(self, topic: str, kinds: Any, numbers: Rows) -> None:
        names, counts = {int(one): one.name for one in kinds}, np.bincount(numbers)
        for number in np.flatnonzero(counts).tolist():
            self._counts[f"{topic} {names.get(number, number)}"] += int(counts[number])

    def facts(self) -> DayFacts:
        """All that was taken. Raises StaleData for an order that a book knows and no account shard has accepted."""
        self._look()
        executions, markets, tops = _joined(self._executions, EXECUTION), _joined(self._markets, EXECUTION), _joined(self._tops, TOP)
        executions, markets, tops = (rows[np.argsort(_place(rows), kind="stable")] for rows in (executions, markets, tops))
        described = _joined([*(rows for rows, _ in self._earlier.values()), *self._orders], ORDER)
        texts = np.concatenate([np.zeros(0, "S1"), *(text for _, text in self._earlier.values()), *self._texts])
        by_order = np.argsort(described["order_id"], kind="stable")  # an order is of one shard, whose events come in their order
        described, texts = described[by_order], texts[by_order]
        in_books = _distinct(executions[name] for name in ("order_id", "contra_order_id"))
        in_books = in_books[in_books != 0]
        first = np.searchsorted(described["order_id"], in_books)
        if len(in_books):
            missing = in_books[~_is_among(in_books, described["order_id"])]
            if len(missing):
                raise StaleData(
                    f"the books have rows of {len(missing):,} orders on {self.day} that account.events does not describe; the first is "
                    f"{missing[0]}: are all account shards running, and is the log whole?"
                )
        orders = described[first]
        orders["is_short"] = _short_sales(orders, _joined(self._held, _HELD))
        bids, offers = (_tops_before(executions, tops, side) for side in Side)
        again = np.flatnonzero((described["kind"] == AccountEventKind.REPLACED) & (described["transact_time"] >= self.day.start_ns))
        again = again[_is_among(described["order_id"][again], in_books)]
        changed, replaced = described[again], dict[int, list[int]]()
        changed["is_short"] = orders["is_short"][np.searchsorted(in_books, changed["order_id"])]
        for at, order_id in enumerate(changed["order_id"].tolist(), len(orders)):
            replaced.setdefault(order_id, []).append(at)
        return DayFacts(
            self.day, self.instruments, executions, bids, offers, markets, tops, np.concatenate([orders, changed]), len(orders),
            np.concatenate([texts[first], texts[again]]), replaced, _joined(self._messages, MESSAGE),
        )  # fmt: skip


def _texts_of(frame: Frame) -> Rows:
    """The cl_ord_id of each row."""
    return np.zeros(len(frame.rows), "S1") if frame.cl_ord_id is None else frame.cl_ord_id


def _columns(rows: Rows, dtype: np.dtype[np.void], chosen: Rows) -> Rows:
    """Some columns of the chosen rows; those that they do not have are zero."""
    found, names = np.zeros(len(chosen), dtype), rows.dtype.names or ()
    for name in dtype.names or ():
        if name in names:
            found[name] = rows[name][chosen]
    return found


def _is_among(numbers: Rows, known: Rows) -> Any:
    """Which of the numbers are known; `known` rises."""
    if not len(known):
        return np.zeros(len(numbers), bool)
    return np.take(known, np.searchsorted(known, numbers), mode="clip") == numbers


def _distinct(parts: Iterable[Rows]) -> Rows:
    """Numbers in order, each once. numpy.unique hashes them, which takes several times as long where most are different."""
    found = np.sort(np.concatenate([np.zeros(0, "<u8"), *parts]))
    chosen: Rows = found[np.concatenate([[True], found[1:] != found[:-1]])] if len(found) else found
    return chosen


def _joined(parts: Iterable[Rows], dtype: np.dtype[np.void]) -> Rows:
    """As bytes: numpy compares the types of many small records one by one, which takes longer than copying them."""
    found: Rows = np.frombuffer(b"".join(part.tobytes() for part in parts), dtype)
    return found


def _tops_before(rows: Rows, tops: Rows, side: Side) -> Rows:
    """Best price of a side before each row. A command's TOP rows follow its other rows, so the last one above a row is of an earlier command."""
    own = tops[tops["side"] == side]
    keys, wanted = (_place(one) for one in (own, rows))
    at = np.searchsorted(keys, wanted) - 1
    if not len(own):
        return np.zeros(len(rows), np.int64)
    chosen = np.maximum(at, 0)
    known = (at >= 0) & (own["instrument"][chosen] == rows["instrument"])
    found: Rows = np.where(known, own["price"][chosen], 0)
    return found


def _place(rows: Rows) -> Rows:
    """A number that rises by instrument and rpt_seq. Instruments have 16 bits, and rpt_seq has room in 47."""
    found: Rows = rows["instrument"].astype(np.int64) << 47 | rows["rpt_seq"].astype(np.int64)
    return found


def _short_sales(orders: Rows, held: Rows) -> Any:
    """Which orders were accepted as short sales: a sale of shares holds them, a short sale holds none.

    It holds as much as before then, and as the event before it of the same account and instrument says. Where there is none in reach, a sale is
    short if fewer shares are held than it sells, or more than there are.
    """
    is_first = (orders["list_id"] == 0) | (orders["list_id"] == orders["order_id"])  # what a list sells later, it has bought before
    sells = (orders["side"] == Side.SELL) & (orders["contingency_type"] != ContingencyType.OCO) & is_first
    found = sells & ((orders["position_held"] < orders["leaves_qty"]) | (orders["position_held"] > orders["position"]))
    unclear = np.flatnonzero(
        sells & ~found & (orders["kind"] == AccountEventKind.ACCEPTED) & (orders["position_held"] == orders["position"])
    )
    if not len(unclear):
        return found
    held = held[np.isin(held["account"], orders["account"][unclear])]
    before: dict[tuple[int, int], int] = {}
    asked = {
        (account, instrument, seq): at
        for account, instrument, seq, at in zip(
            *(orders[name][unclear].tolist() for name in ("account", "instrument", "seq")), unclear.tolist(), strict=True
        )
    }
    for account, instrument, seq, lots in sorted(held.tolist()):
        at = asked.get((account, instrument, seq))
        if at is not None and (account, instrument) in before:
            found[at] = lots == before[account, instrument]
        before[account, instrument] = lots
    return found
