"""A trading session during which the faults of a plan are done, several at a time, each waited out before its victim is hurt again."""

import asyncio
import time
from collections import defaultdict
from collections.abc import Iterable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from enum import StrEnum

from confluent_kafka import KafkaException
from fault_plan import Fault, Kind
from strikes import Strikes

from schemas.errors import OutcryError
from streams.demo.session import Session

CLUSTER = "cluster"
"""What all faults of brokers and of their network share: with two of three copies away, nobody has promised anything."""
OF_THE_CLUSTER = {
    Kind.KILL_BROKER, Kind.KILL_ROLE_AND_BROKER, Kind.STOP_BROKER, Kind.FULL_DISK_BROKER, Kind.FROZEN_BROKER, Kind.NETWORK_CUT, Kind.NETWORK_SLOW,
}  # fmt: skip


class Outcome(StrEnum):
    """What became of a fault."""

    DONE = "done"
    SKIPPED = "skipped"
    """This machine cannot do it."""
    FAILED = "failed"
    """Its victim did not serve again, or did not notice it."""
    NOT_REACHED = "not reached"
    """The time was over."""


@dataclass(frozen=True)
class Record:
    """A fault and its end. `recovery_s`: see Strikes."""

    fault: Fault
    outcome: Outcome
    recovery_s: float = 0.0
    reason: str = ""


@dataclass
class ChaosSession(Session):
    """The session of the demo, disturbed by `faults`, `lanes` at a time, until `minutes` are over."""

    faults: list[Fault] = field(default_factory=list)
    strikes: Strikes | None = None
    lanes: int = 3
    minutes: float = 20
    records: list[Record] = field(default_factory=list)

    async def disturb(self) -> None:
        """All faults; returns when everything serves again. Raises ServiceUnavailable if it never does."""
        assert self.strikes is not None
        waiting, held = iter(self.faults), defaultdict[str, asyncio.Lock](asyncio.Lock)
        deadline = time.monotonic() + 60 * self.minutes

        async def lane() -> None:
            for fault in waiting:
                over = time.monotonic() > deadline
                self._note(Record(fault, Outcome.NOT_REACHED) if over else await self._one(fault, held))

        async with asyncio.TaskGroup() as group:
            for _ in range(self.lanes):
                group.create_task(lane())
        self.tell("all faults are over; waiting until everything serves")
        await self.strikes.all_well()

    async def _one(self, fault: Fault, held: dict[str, asyncio.Lock]) -> Record:
        assert self.strikes is not None
        if reason := self.strikes.impossible(fault.kind):
            return Record(fault, Outcome.SKIPPED, reason=reason)
        async with AsyncExitStack() as stack:
            for name in sorted(self._places(fault)):  # in one order for all: no two lanes wait for each other
                await stack.enter_async_context(held[name])
            self.tell(str(fault))
            try:
                return Record(fault, Outcome.DONE, round(await self.strikes(fault), 2))
            except (OutcryError, KafkaException, OSError) as error:
                return Record(fault, Outcome.FAILED, reason=str(error))

    def _note(self, record: Record) -> None:
        self.records.append(record)
        how = f", serves again after {record.recovery_s} s" if record.outcome is Outcome.DONE else f" {record.reason}"
        self.tell(f"{record.fault}: {record.outcome}{how}")

    def _places(self, fault: Fault) -> Iterable[str]:
        """What nobody else may hurt meanwhile."""
        assert self.strikes is not None
        everybody = self.strikes.everybody() if fault.kind in (Kind.FULL_HOME, Kind.KILL_ALL_ROLES) else ()
        return {*fault.victims, *everybody, *((CLUSTER,) if fault.kind in OF_THE_CLUSTER or everybody else ())}
