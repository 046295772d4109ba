"""Where the logs of two regions parted, and what only the other one has. Nothing is merged: a person reads it, and tells the owners of the orders.

Two logs are equal up to some offset and different from there on, in each partition. So the place is found by halving, whatever their length.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Final

from schemas.codec import BadBytes, decode_frame
from schemas.enums import CommandKind, ExecKind
from schemas.errors import StaleData
from streams.host.read_log import Bounds, Log
from topics.catalogue import ACCOUNT_COMMANDS, EXECUTIONS
from topics.offsets import Place

_ORDERS: Final = (CommandKind.NEW_ORDER, CommandKind.CANCEL, CommandKind.REPLACE)


@dataclass(frozen=True)
class Parted:
    """One partition. common: records that both have. there, here: records that only one has."""

    place: Place
    common: int
    there: int
    here: int


@dataclass(frozen=True)
class UnknownOrder:
    """An order, cancel or replace of a customer that only the other region's log has. sent_again: this region has one with the same account and cl_ord_id."""

    partition: int
    offset: int
    account: int
    kind: str
    cl_ord_id: str
    sent_again: bool


@dataclass(frozen=True)
class Report:
    """What was found. trades_there: trades of the other region that did not happen here."""

    partitions: tuple[Parted, ...]
    orders: tuple[UnknownOrder, ...] = ()
    trades_there: int = 0
    unreadable: int = 0
    """Records of the other region's rest that are no frames."""

    @property
    def lost(self) -> int:
        """Records that only the other region has."""
        return sum(one.there for one in self.partitions)


@dataclass
class _Rest:
    orders: list[tuple[int, int, int, str, str]] = field(default_factory=list)
    trades: int = 0
    unreadable: int = 0


def common_prefix(equal: Callable[[int], bool], low: int, high: int) -> int:
    """The first offset from `low` on at which `equal` does not hold, `high` if it holds below it everywhere; it holds up to some offset and not after it."""
    while low < high:
        middle = (low + high) // 2
        if equal(middle):
            low = middle + 1
        else:
            high = middle
    return low


def parted(here: Log, there: Log, place: Place) -> Parted:
    """Of one partition. Raises StaleData where a region does not have its beginning any more and the rest is different, ServiceUnavailable."""
    ours, theirs = _bounds(here, place), _bounds(there, place)
    low, high = max(ours.low, theirs.low), min(ours.high, theirs.high)
    if low > high:
        raise StaleData(f"{place[0]}/{place[1]}: the two regions have no records of the same offsets, {ours} here and {theirs} there")
    common = common_prefix(lambda offset: _at(here, place, offset) == _at(there, place, offset), low, high)
    return Parted(place, common, theirs.high - common, ours.high - common)


def compare(here: Log, there: Log, places: list[Place]) -> Report:
    """All partitions, and what the rest of the other region's says. Raises StaleData, ServiceUnavailable."""
    found = tuple(parted(here, there, place) for place in places)
    rest = _Rest()
    for one in found:
        _read_rest(there, one, rest)
    again = _sent_here(here, found)
    orders = tuple(UnknownOrder(*order, sent_again=(order[2], order[4]) in again) for order in rest.orders)
    return Report(found, orders, rest.trades, rest.unreadable)


def _bounds(log: Log, place: Place) -> Bounds:
    found = log.bounds(*place)
    if found is None:
        raise StaleData(f"{place[0]}/{place[1]} is not in both regions: they have different numbers of shards")
    return found


def _at(log: Log, place: Place, offset: int) -> tuple[Any, ...]:
    (record,) = log.records(*place, offset, offset + 1)
    return record.value, record.key, record.time_ns


def _read_rest(there: Log, one: Parted, rest: _Rest) -> None:
    topic, partition = one.place
    if topic not in (ACCOUNT_COMMANDS.name, EXECUTIONS.name):
        return
    for record in there.records(topic, partition, one.common, one.common + one.there):
        try:
            frame = decode_frame(record.value or b"")
        except BadBytes:
            rest.unreadable += 1
            continue
        if frame.schema == "execution_frame":
            rest.trades += int((frame.rows["kind"] == ExecKind.TRADE).sum())
        elif frame.schema == "order_command_frame":
            rest.orders += [(partition, record.offset, *order) for order in _orders_of(frame)]


def _orders_of(frame: Any) -> Iterator[tuple[int, str, str]]:
    """(account, kind, cl_ord_id) of each customer's row."""
    for row, cl_ord_id in zip(frame.rows, frame.cl_ord_id, strict=True):
        if row["kind"] in _ORDERS:
            yield int(row["account"]), CommandKind(int(row["kind"])).name, cl_ord_id.decode(errors="replace")


def _sent_here(here: Log, found: tuple[Parted, ...]) -> set[tuple[int, str]]:
    """(account, cl_ord_id) of what customers have sent to this region since."""
    sent: set[tuple[int, str]] = set()
    for one in found:
        if one.place[0] != ACCOUNT_COMMANDS.name:
            continue
        for record in here.records(*one.place, one.common, one.common + one.here):
            try:
                frame = decode_frame(record.value or b"", "order_command_frame")
            except BadBytes:
                continue
            sent.update((account, cl_ord_id) for account, _, cl_ord_id in _orders_of(frame))
    return sent
