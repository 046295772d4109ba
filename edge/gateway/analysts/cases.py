"""Cases and suppressions as this edge knows them: the fold over the topic `cases`, and the way to add to it.

In:     cases, from its first record
Out:    cases

An action is first tried on what is known here, so that most mistakes are answered at once and never reach the log. Then it is appended, read back,
and what the fold makes of it there is the answer. Another edge's record may have come before it: then the fold refuses it, for it names an old version.
A read of evidence is appended before the evidence is shown; where it cannot be, nothing is shown.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Callable
from typing import Any, Final

import structlog
from confluent_kafka import Message

from edge.gateway.limits import CASE_READ_BACK_S, CASE_RECORDS_KEPT
from edge.gateway.outcomes import Accepted, Cause, Unavailable
from schemas.codec import BadBytes, decode_record, encode_record
from schemas.errors import ServiceUnavailable
from surveillance.cases.case import Case
from surveillance.cases.desk import Desk, Made
from surveillance.cases.refused import Refused
from surveillance.cases.report_draft import ReportDraft
from surveillance.cases.suppression import Suppression
from topics.catalogue import CASES
from topics.key_files import NO_KEYS, RecordKeys
from topics.offsets import Offsets, Place
from topics.reader import LogReader
from topics.sender import LogSender

log = structlog.get_logger(__name__)

PLACE: Final[Place] = (CASES.name, 0)
READ_S: Final = 1.0


class Cases:
    """Nothing is known until `CaseConsumer` has read what there is."""

    def __init__(self) -> None:
        self.desk = Desk()
        self.sender: LogSender | None = None
        self.caught_up = False
        self.bad_records = 0
        self.listeners: set[Callable[[], None]] = set()
        """Told whenever something was changed, by whichever edge."""
        self._made: OrderedDict[int, tuple[dict[str, Any], Made]] = OrderedDict()
        self._waiting: dict[int, asyncio.Future[Made]] = {}

    def forget(self) -> None:
        """Before the log is read from its beginning."""
        self.desk = Desk()
        self._made.clear()

    def take(self, offset: int, value: bytes) -> None:
        """The next record of the log."""
        try:
            record = decode_record(value)[1]
            made = self.desk.take(record)
        except (BadBytes, KeyError) as error:
            self.bad_records += 1
            log.warning("case_record_not_readable", offset=offset, error=str(error))
            return
        self._made[offset] = record, made
        if len(self._made) > CASE_RECORDS_KEPT:
            self._made.popitem(last=False)
        if waits := self._waiting.pop(offset, None):
            waits.set_result(made)
        if isinstance(made, Case | Suppression | ReportDraft):
            for listener in tuple(self.listeners):
                listener()

    def newest(self, case_id: str) -> list[tuple[int, dict[str, Any], str]]:
        """(offset, record, refusal) of the newest records about a case or suppression: those that a store may not have yet."""
        return [
            (offset, record, made.code if isinstance(made, Refused) else "")
            for offset, (record, made) in self._made.items()
            if record["case_id"] == case_id
        ]

    async def act(self, record: dict[str, Any]) -> Accepted[Case | Suppression | ReportDraft] | Refused | Unavailable:
        """Do it, or say why not."""
        if not self.caught_up:
            return Unavailable(Cause.LOG_AWAY, "cases are still being read from the log; try again")
        tried = self.desk.after(record)
        if isinstance(tried, Refused):
            log.info("case_action_refused", action=record["action"], case=record["case_id"], actor=record["actor"], why=tried.code)
            return tried
        made = await self._append(record)
        assert made is not None, "a read is no action"
        return made if isinstance(made, Refused | Unavailable) else Accepted(made)

    async def note_read(self, record: dict[str, Any]) -> Accepted[None] | Unavailable:
        """Have it in the log that somebody is about to see evidence."""
        if self.sender is None:
            return Unavailable(Cause.LOG_AWAY, "evidence cannot be shown now: who reads it is recorded, and Kafka is not reachable")
        try:
            await self.sender.append(*PLACE, encode_record("case_action", record))
        except ServiceUnavailable:
            return Unavailable(Cause.LOG_AWAY, "evidence cannot be shown now: who reads it could not be recorded")
        return Accepted(None)

    async def _append(self, record: dict[str, Any]) -> Made | Unavailable:
        assert self.sender is not None
        try:
            offset: int = (await self.sender.append(*PLACE, encode_record("case_action", record))).offset
        except ServiceUnavailable:
            return Unavailable(Cause.LOG_AWAY, "the action could not be recorded; look at the case, then try again")
        if offset in self._made:
            return self._made[offset][1]
        made: asyncio.Future[Made] = asyncio.get_running_loop().create_future()
        self._waiting[offset] = made
        try:
            return await asyncio.wait_for(made, CASE_READ_BACK_S)
        except TimeoutError:
            return Unavailable(Cause.LOG_AWAY, "the action is recorded, and what became of it is not known yet: look at the case")
        finally:
            self._waiting.pop(offset, None)


class CaseConsumer:
    """Reads the whole topic; `run` ends only by cancellation."""

    def __init__(self, reader: LogReader, offsets: Offsets, cases: Cases, keys: RecordKeys = NO_KEYS) -> None:
        """keys: by which the senders of actions are known."""
        self._reader, self._offsets, self._cases, self._keys = reader, offsets, cases, keys
        self._next = 0
        self._until = 0

    async def start(self) -> None:
        """Begin with the first record."""
        self._next = (await self._offsets.beginnings([PLACE]))[PLACE]
        self._until = (await self._offsets.ends([PLACE]))[PLACE]
        self._cases.forget()
        self._reader.go_to({PLACE: self._next})
        self._cases.caught_up = self._next >= self._until

    async def run(self) -> None:
        """Read until cancelled."""
        try:
            while True:
                for record in (await self._reader.records(READ_S)).get(PLACE, ()):
                    self._take(record)
        finally:
            self._cases.caught_up = False

    def _take(self, record: Message) -> None:
        offset = record.offset() or 0
        if offset < self._next:  # the log has lost its end, and the reader has begun again with what there is
            log.warning("cases_lost", expected=self._next, offset=offset, remedy="they are read again from the beginning")
            self._cases.forget()
        self._next = offset + 1
        refusal = self._keys.proof_of(record).refusal
        if refusal is None:
            self._cases.take(offset, record.value() or b"")
        else:
            self._cases.bad_records += 1
            log.warning("case_record_not_believed", offset=offset, reason=refusal.reason, detail=refusal.detail)
        self._cases.caught_up |= self._next >= self._until
