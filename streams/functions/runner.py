"""One function at work: records in, batches through its process, alerts into its store. Without Kafka; the role and the replay feed it."""

import time
from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

import structlog

from schemas.codec import BadBytes, Frame
from schemas.instruments import InstrumentTable
from streams.functions.batches import Handled, handle
from streams.functions.deployed import Function
from streams.functions.events import EventRecord, event_record, kafka_event
from streams.functions.process import FunctionFailed, FunctionProcess
from streams.functions.store import FunctionStore, Place, StoredAlert
from streams.host.shard_runner import Record
from streams.host.sink_feeder import input_of

log = structlog.get_logger("outcry.streams")

EVENT_BYTES_MAX: Final = 6 << 20
GiveUp = Callable[[Record, str], None]


class FunctionRunner:
    """Not for several threads at once. give_up: told of each record that the function cannot handle, before it is passed by for good."""

    def __init__(self, function: Function, store: FunctionStore, instruments: InstrumentTable, log_dir: Path, give_up: GiveUp) -> None:
        self.function, self.store = function, store
        self._instruments, self._log_dir, self._give_up = instruments, log_dir, give_up
        self._process: FunctionProcess | None = None
        self.places = store.places()
        self._state = store.state()
        self._waiting: deque[tuple[EventRecord | None, Record]] = deque()
        self._first_wait_s = 0.0
        self.invocations = self.given_up = self.alerts = 0
        self.trouble = ""
        """Why the handler cannot be loaded."""

    def stop(self) -> None:
        """End its process."""
        if self._process is not None:
            self._process.stop()
            self._process = None

    def start(self) -> bool:
        """Whether its process runs; `trouble` says why not."""
        if self._process is None or not self._process.alive:
            self.stop()
            try:
                self._process = FunctionProcess(self.function, self._log_dir)
            except FunctionFailed as error:
                self.trouble = str(error)
                return False
        self.trouble = ""
        return True

    def take(self, record: Record) -> None:
        """A record of the topic; repeats and frames that readers refuse are passed by."""
        marks = self.places[record.topic, record.partition]
        event = None
        try:
            one = input_of(record)
            assert isinstance(one.body, Frame), "functions read topics of frames only"
            if marks.take(one):
                event = event_record(
                    self.function, self._instruments, record.topic, record.partition, record.offset, record.time_ns, one.body
                )
        except BadBytes:
            marks.pass_by(record.topic, record.partition, record.offset, record.time_ns)
        if not self._waiting:
            self._first_wait_s = time.monotonic()
        self._waiting.append((event, record))

    @property
    def waiting(self) -> int:
        """Records that no batch has had yet."""
        return len(self._waiting)

    def is_due(self) -> bool:
        """Whether there is a whole batch, or its window is over."""
        settings = self.function.settings
        full = len(self._waiting) >= settings.batch_size
        return full or (bool(self._waiting) and time.monotonic() - self._first_wait_s >= settings.batch_window_ms / 1_000)

    def run_due(self) -> list[StoredAlert]:
        """Everything that waits, batch by batch, and commit it; the alerts that are new. Call `start` first."""
        events, size, originals = list[EventRecord](), 0, dict[tuple[Place, int], Record]()
        parts: list[list[EventRecord]] = []
        while self._waiting:
            event, record = self._waiting.popleft()
            if event is None:
                continue
            if events and (len(events) >= self.function.settings.batch_size or size + len(event.value) > EVENT_BYTES_MAX):
                parts.append(events)
                events, size = [], 0
            events.append(event)
            size += len(event.value)
            originals[(event.topic, event.partition), event.offset] = record
        parts += [events] if events else []
        found = []
        state = self._state
        for part in parts:
            handled = handle(self.function, part, state, self._invoke, time.time_ns())
            state = handled.state
            self._count(handled)
            for event, why in handled.given_up:
                self._give_up(originals[(event.topic, event.partition), event.offset], why)
            found += handled.alerts
        queued_ns = time.time_ns() if self.function.settings.webhook is not None else 0
        cool_down_ns = int(self.function.settings.cool_down_s * 1e9)
        stored = self.store.commit(self.places, state, found, cool_down_ns=cool_down_ns, queued_ns=queued_ns)
        self._state = state
        self.alerts += len(stored)
        return stored

    def _count(self, handled: Handled) -> None:
        self.invocations += handled.invocations
        self.given_up += len(handled.given_up)

    def _invoke(self, records: Sequence[EventRecord], state: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
        if not self.start():
            raise FunctionFailed(self.trouble)
        assert self._process is not None
        first, last = records[0], records[-1]
        context = {
            "function_name": self.function.name, "function_version": self.function.version, "state": state,
            "request_id": f"{first.place}@{first.offset}-{last.place}@{last.offset}", "log_time_ns": last.time_ns,
            "timeout_s": self.function.settings.timeout_s,
        }  # fmt: skip
        return self._process.invoke(kafka_event(records), context)
