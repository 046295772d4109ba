"""What was at a moment, and what changed before it: an order, an account, a book. From the log alone.

In:     account.events, executions, book.commands, from their first records up to the moment
State:  the last state of each order and position, in this process
On failure: StaleData for a log that has lost records; OutcryError where there is nothing of what was asked for
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np

from schemas.codec import Frame, Rows
from schemas.enums import AccountEventKind, ExecKind, OrdStatus, OrdType, Phase, Side, TimeInForce
from schemas.errors import OutcryError
from schemas.ids import order_uuid
from schemas.instruments import Instrument, InstrumentTable
from schemas.limits import ORDER_ID_SHARD_SHIFT
from schemas.reject_reasons import Reason
from schemas.units import minor_to_text
from streams.compliance.read_day import frames_from
from streams.host.read_log import Log, Meter, place
from streams.host.set_aside import read_set_aside
from streams.research.book_screen import Shown
from streams.research.inspect_book import book_of_records
from topics.catalogue import ACCOUNT_COMMANDS, ACCOUNT_EVENTS, BOOK_COMMANDS, EXECUTIONS, Topic
from topics.partitioning import account_shard, book_shard
from topics.roles import MATCH_ORDERS

Match = Callable[[Rows], Any]
"""Which rows are meant, as an array of bool."""
_WORDS: Final[dict[str, Any]] = {
    "side": Side, "ord_type": OrdType, "time_in_force": TimeInForce, "ord_status": OrdStatus, "reason": Reason, "phase": Phase,
}  # fmt: skip
_KINDS: Final[dict[str, Any]] = {ACCOUNT_EVENTS.name: AccountEventKind, EXECUTIONS.name: ExecKind}
_PRICES: Final = frozenset({"price", "last_px", "stop_px"})
_LOTS: Final = frozenset(
    {
        "qty", "leaves_qty", "contra_leaves_qty", "display_qty", "order_qty", "cum_qty", "last_qty", "shares_delta", "position", "position_held",
    }
)  # fmt: skip
_MINOR: Final = frozenset({"cash", "cash_held", "cash_delta", "fee", "position_cost"})
_TIMES: Final = frozenset({"transact_time", "submitted_at", "expire_time"})
_LEFT_OUT: Final = frozenset({"instrument", "rpt_seq", "seq", "command_index", "request_id", "kind", "transact_time"})
_REFUSED: Final = (
    AccountEventKind.REJECTED, AccountEventKind.CANCEL_REJECTED, AccountEventKind.ACCOUNT_UPDATE_REJECTED, AccountEventKind.SESSION_REJECTED
)  # fmt: skip
_ORDERS: Final = (
    AccountEventKind.ACCEPTED, AccountEventKind.CANCEL_PENDING, AccountEventKind.TRADE, AccountEventKind.CANCELED, AccountEventKind.EXPIRED,
    AccountEventKind.BOOK_REJECTED, AccountEventKind.REPLACE_PENDING, AccountEventKind.REPLACED, AccountEventKind.RESTATED, AccountEventKind.TRIGGERED,
)  # fmt: skip
"""Events after which their row is the state of the order."""
_INTAKE: Final = (AccountEventKind.ACCEPTED, AccountEventKind.REPLACE_PENDING, AccountEventKind.CANCEL_PENDING)
"""Events that come before the book's answer."""


@dataclass(frozen=True)
class Change:
    """One row of the log that changed something."""

    time_ns: int
    topic: str
    partition: int
    offset: int
    row: int
    source: str
    """The input that made it: topic/partition offset."""
    kind: str
    fields: dict[str, str]
    """The state after it, and what changed: readable, without zeros."""

    @property
    def where(self) -> str:
        """topic/partition offset row."""
        return f"{place(self.topic, self.partition)} offset {self.offset:,} row {self.row}"

    def as_json(self) -> dict[str, Any]:
        """For programs."""
        return {
            "time": utc_text(self.time_ns), "partition": place(self.topic, self.partition), "offset": self.offset, "row": self.row, "source": self.source,
            "kind": self.kind, **self.fields,
        }  # fmt: skip


@dataclass
class AccountState:
    """An account as of a moment. Decimal text; orders by their number."""

    account: int
    cash: str = "0.00"
    cash_held: str = "0.00"
    positions: dict[str, dict[str, str]] = field(default_factory=dict)
    orders: dict[str, dict[str, str]] = field(default_factory=dict)
    """What is open."""


def utc_text(time_ns: int) -> str:
    """ISO 8601 with nanoseconds."""
    return str(np.datetime_as_string(np.datetime64(time_ns, "ns"), unit="ns", timezone="UTC"))


def changes(
    log: Log, topic: Topic, partition: int, to_ns: int, match: Match, instruments: InstrumentTable, meter: Meter
) -> Iterator[tuple[Change, Frame]]:
    """The rows of a partition that match, up to the moment, each frame once."""
    for offset, frame in frames_from(log, topic, partition, 0, meter):
        times = frame.rows["transact_time"]
        if int(times[0]) > to_ns:
            return
        for row in np.flatnonzero(match(frame.rows) & (times <= to_ns)).tolist():
            yield _change(topic.name, partition, offset, frame, row, instruments), frame


def _change(topic: str, partition: int, offset: int, frame: Frame, row: int, instruments: InstrumentTable) -> Change:
    values = dict(zip(frame.rows.dtype.names or (), frame.rows[row].tolist(), strict=True))
    one = instruments.by_number.get(values["instrument"])
    fields = {} if one is None else {"symbol": one.symbol}
    for name, text in (("cl_ord_id", frame.cl_ord_id), ("orig_cl_ord_id", frame.orig_cl_ord_id)):
        if text is not None and text[row]:
            fields[name] = text[row].decode(errors="replace")
    for name, value in values.items():
        if name not in _LEFT_OUT and (value or name == "leaves_qty"):
            fields[name] = _text(name, value, one)
    source = f"{frame.header.source} offset {frame.header.source_offset:,}"
    return Change(values["transact_time"], topic, partition, offset, row, source, _KINDS[topic](values["kind"]).name, fields)


def _text(name: str, value: int, one: Instrument | None) -> str:
    if name in _WORDS:
        words = _WORDS[name]
        return words(value).name if value in set(words) else str(value)
    if name in _MINOR:
        return minor_to_text(value)
    if name in _TIMES:
        return utc_text(value)
    if one is not None and name in _PRICES:
        return one.price_text(value)
    if one is not None and name in _LOTS:
        return one.qty_text(value)
    return str(value)


# ---- an order


def order_changes(log: Log, order_id: int, to_ns: int, instruments: InstrumentTable, meter: Meter) -> list[Change]:
    """Everything that its account shard and its book decided of an order, by log time. Raises OutcryError where there is nothing."""
    shard = order_id >> ORDER_ID_SHARD_SHIFT
    if shard >= log.partitions(ACCOUNT_EVENTS):
        raise OutcryError(f"order {order_id} is of account shard {shard}, and there are {log.partitions(ACCOUNT_EVENTS)}")
    found, numbers = [], set()
    for one, frame in changes(log, ACCOUNT_EVENTS, shard, to_ns, lambda rows: rows["order_id"] == order_id, instruments, meter):
        found.append(one)
        numbers.add(int(frame.rows["instrument"][one.row]))
    if not found:
        raise OutcryError(f"{place(ACCOUNT_EVENTS.name, shard)} has no event of order {order_id} up to then")
    for book in sorted({book_shard(number, log.partitions(EXECUTIONS)) for number in numbers if number}):
        found += [one for one, _ in changes(log, EXECUTIONS, book, to_ns, _of_order(order_id), instruments, meter)]
    return sorted(found, key=lambda one: (one.time_ns, _step(one)))


def _step(one: Change) -> int:
    """Of changes at one log time: the account shard sends an order to its book, the book decides, the account shard learns of it."""
    if one.topic == EXECUTIONS.name:
        return 1
    return 0 if AccountEventKind[one.kind] in _INTAKE else 2


def _of_order(order_id: int) -> Match:
    return lambda rows: (rows["order_id"] == order_id) | (rows["contra_order_id"] == order_id)


# ---- an account


def account_changes(log: Log, account: int, to_ns: int, instruments: InstrumentTable, meter: Meter) -> tuple[AccountState, list[Change]]:
    """The account as of the moment, and every event that led to it. Raises OutcryError for an account that there was not."""
    shard = account_shard(account, log.partitions(ACCOUNT_EVENTS))
    state, found = AccountState(account), []
    for one, frame in changes(log, ACCOUNT_EVENTS, shard, to_ns, lambda rows: rows["account"] == account, instruments, meter):
        found.append(one)
        _apply(state, one, frame, instruments)
    if not found:
        raise OutcryError(f"{place(ACCOUNT_EVENTS.name, shard)} has no event of account {account} up to then")
    return state, found


def _apply(state: AccountState, one: Change, frame: Frame, instruments: InstrumentTable) -> None:
    row = frame.rows[one.row]
    kind = int(row["kind"])
    if kind in _REFUSED:
        return
    state.cash, state.cash_held = minor_to_text(int(row["cash"])), minor_to_text(int(row["cash_held"]))
    instrument = instruments.by_number.get(int(row["instrument"]))
    if instrument is not None:
        held = {"position": instrument.qty_text(int(row["position"])), "held": instrument.qty_text(int(row["position_held"]))}
        state.positions[instrument.symbol] = held
        if not row["position"] and not row["position_held"]:
            del state.positions[instrument.symbol]
    if kind in _ORDERS:
        number = str(int(row["order_id"]))
        if int(row["leaves_qty"]):
            state.orders[number] = {"id": order_uuid(int(row["order_id"])), **one.fields}
        else:
            state.orders.pop(number, None)


# ---- a book


def book_changes(log: Log, instrument: Instrument, to_ns: int, instruments: InstrumentTable, meter: Meter) -> tuple[Shown, list[Change]]:
    """The book as of the moment, made by the reference engine from book.commands, and every row of the instrument up to then.

    As of the moment: after the last record of book.commands whose decisions were all made by then.
    """
    partition = book_shard(instrument.number, log.partitions(EXECUTIONS))
    found: list[Change] = []
    before, at = -1, -1
    for offset, frame in frames_from(log, EXECUTIONS, partition, 0, meter):
        times, source_offset = frame.rows["transact_time"], frame.header.source_offset
        if int(times[-1]) > to_ns:
            at = before if source_offset == at else at
        elif source_offset != at:
            before, at = at, source_offset
        rows = np.flatnonzero((frame.rows["instrument"] == instrument.number) & (times <= to_ns))
        found += [_change(EXECUTIONS.name, partition, offset, frame, row, instruments) for row in rows.tolist()]
        if int(times[-1]) > to_ns:
            break
    counts = {topic.name: log.partitions(topic) for topic in (ACCOUNT_COMMANDS, BOOK_COMMANDS)}
    log.whole(BOOK_COMMANDS, partition)
    records = log.records(BOOK_COMMANDS.name, partition, 0, at + 1)
    aside = read_set_aside(log).of(MATCH_ORDERS.name, partition)
    return book_of_records(records, counts, aside, instruments, instrument, 0), found
