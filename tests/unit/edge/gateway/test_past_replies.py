"""What an edge reads of its accounts' past when it starts: told to who keeps it, answered to nobody, and all of it or nothing."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

import numpy as np
import pytest

from edge.gateway.accounts.accounts import Accounts
from edge.gateway.accounts.pending_requests import PendingRequests
from edge.gateway.accounts.reply_consumer import ReplyConsumer
from edge.gateway.accounts.view import ReplyRow
from schemas.codec import FRAMES, Header, encode_frame
from schemas.enums import AccountEventKind
from topics.catalogue import EDGE_REPLIES
from topics.offsets import Place
from topics.reader import PlacesLost

PLACE = (EDGE_REPLIES.name, 0)


@dataclass(frozen=True)
class Record:
    """The parts of a record of librdkafka that ReplyConsumer uses."""

    place: int
    data: bytes

    def value(self) -> bytes:
        return self.data

    def offset(self) -> int:
        return self.place

    def timestamp(self) -> tuple[int, int]:
        return 1, time.time_ns() // 1_000_000


@dataclass
class Log:
    """LogReader and Offsets of one partition. `lost`: nothing can be read before the end."""

    records_of: list[Record]
    since: int | None = 0
    lost: bool = False
    next: int = 0
    asked_since_ms: list[int] = field(default_factory=list)

    def go_to(self, starts: Mapping[Place, int]) -> None:
        self.next = starts[PLACE]

    async def ends(self, places: Sequence[Place]) -> dict[Place, int]:
        return dict.fromkeys(places, len(self.records_of))

    async def at(self, places: Sequence[Place], time_ms: int) -> dict[Place, int | None]:
        self.asked_since_ms.append(time_ms)
        return dict.fromkeys(places, self.since)

    async def records(self, _timeout_s: float) -> dict[Place, list[Record]]:
        if self.lost:
            raise PlacesLost(frozenset({PLACE}))
        found, self.next = self.records_of[self.next : self.next + 3], self.next + 3
        return {PLACE: found}


@dataclass
class Kept:
    """A RowFollower."""

    past: list[int] = field(default_factory=list)
    live: list[int] = field(default_factory=list)
    forgotten: int = 0

    def take_row(self, row: ReplyRow, _cl_ord_id: str) -> None:
        self.live.append(row.seq)

    def take_past(self, row: ReplyRow, _cl_ord_id: str) -> None:
        self.past.append(row.seq)

    def forget_all(self) -> None:
        self.past.clear()
        self.forgotten += 1


def record(offset: int) -> Record:
    """One event, whose sequence is its offset + 1."""
    rows = np.zeros(1, FRAMES["account_event_frame"].dtype)
    rows["kind"], rows["account"], rows["seq"] = AccountEventKind.ACCEPTED, 7, offset + 1
    header = Header("account.commands/0", offset, 0, 0, time.time_ns(), -1)
    return Record(offset, encode_frame("account_event_frame", header, rows, np.zeros(1, "S1")))


async def started(log: Log, look_back_ms: int = 60_000) -> tuple[ReplyConsumer, Kept]:
    """A consumer that has started."""
    accounts, kept, both = Accounts(PendingRequests(1_000, time.time_ns), time.time_ns), Kept(), cast("Any", log)
    accounts.follow(kept)
    consumer = ReplyConsumer(both, both, 0, accounts, 1, lambda _rows: None, lambda _delay_s: None, look_back_ms=look_back_ms)
    await consumer.start()
    return consumer, kept


@pytest.mark.parametrize("since", [0, 4, 9])
async def test_the_past_is_read_up_to_the_end_and_what_comes_behind_is_live(since: int) -> None:
    """Each event once, in its order; nobody is answered from the past."""
    log = Log([record(offset) for offset in range(10)], since)
    consumer, kept = await started(log)
    assert (kept.past, kept.live, kept.forgotten) == (list(range(since + 1, 11)), [], 0)
    log.records_of += [record(offset) for offset in range(10, 13)]
    log.next = 10
    await consumer._read()
    assert (kept.past[-1], kept.live) == (10, [11, 12, 13])


async def test_a_record_that_comes_while_the_past_is_read_is_live() -> None:
    """Whoever has asked for it waits."""
    log = Log([record(offset) for offset in range(5)])
    before = log.ends

    async def ends(places: Sequence[Place]) -> dict[Place, int]:
        found = await before(places)
        log.records_of.append(record(len(log.records_of)))  # just behind the end that was found
        return found

    log.ends = ends  # type: ignore[method-assign]
    _, kept = await started(log)
    assert (kept.past, kept.live[:1]) == ([1, 2, 3, 4, 5], [6])


@pytest.mark.parametrize("lost", [False, True])
async def test_without_a_past_or_if_it_is_gone_the_end_is_where_it_begins(lost: bool) -> None:
    """A part of the past would look like the whole of it."""
    log = Log([record(offset) for offset in range(10)], 0 if lost else None, lost)
    consumer, kept = await started(log)
    assert (kept.past, kept.live, log.next, consumer.running) == ([], [], 10, True)
    assert kept.forgotten == int(lost)


async def test_a_record_of_the_past_that_cannot_be_read_may_have_held_anything() -> None:
    """What was before it is forgotten, what comes after it is kept."""
    log = Log([record(0), Record(1, b"\x00"), record(2), record(3)])
    consumer, kept = await started(log)
    assert (consumer.bad_frames, kept.past, kept.forgotten) == (1, [3, 4], 1)


async def test_how_far_back_is_bounded_in_records_and_none_is_read_where_nobody_wants_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """By time first."""
    monkeypatch.setattr("edge.gateway.accounts.reply_consumer.REPLIES_LOOK_BACK_RECORDS", 4)
    log = Log([record(offset) for offset in range(10)])
    _, kept = await started(log)
    assert kept.past == [7, 8, 9, 10]
    assert abs(log.asked_since_ms[0] - (time.time_ns() // 1_000_000 - 60_000)) < 60_000
    _, kept = await started(Log([record(offset) for offset in range(10)]), look_back_ms=0)
    assert kept.past == []
