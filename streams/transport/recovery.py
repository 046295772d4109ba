"""Bring tables up to date with their changelogs, which Faust's recovery promises but does not always do.

Faust reads changelogs with the consumer of the inputs, through a queue that it empties whenever it resumes its flow (up to three times per
rebalance), and takes whatever record comes next for the next one. So a standby table could miss records for ever, unnoticed, until a worker took
it over and found its newest snapshot behind the committed inputs.

Here a separate consumer reads them, in order, straight to disk. It reads from where the disk is: every start, after whatever happened, seeks to the
record behind the last stored one. An active table must reach the end that its changelog has after the assignment. What a former owner committed is
before that end, because it waited for its changelog records first and cannot commit in this generation. Inputs flow only when all active tables are
up to date.
"""

import asyncio
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, cast

from aiokafka.errors import ConsumerStoppedError, IllegalStateError
from faust.exceptions import ConsistencyError
from faust.tables.manager import TableManager
from faust.tables.recovery import E_PERSISTED_OFFSET, RebalanceAgain, Recovery, ServiceStopped
from faust.types import TP
from mode import Service

from schemas.limits import FRAME_BYTES_MAX
from streams.transport.consumer import reader_configuration
from topics.offsets import Offsets, Place
from topics.reader import LogReader

READ_WAIT_S: Final = 0.1
"""How long a read waits for records, here and at the broker."""
STORED_AT_ONCE: Final = 32
"""Records, mostly pages of 64 KiB: 2 MB, some ms in which the worker does nothing else."""


@dataclass(frozen=True)
class ChangelogRecord:
    """What a store needs of a record, under the names by which it asks an event for them."""

    tp: TP
    offset: int
    key: bytes
    value: bytes | None

    @property
    def message(self) -> "ChangelogRecord":
        """Of an event."""
        return self

    @property
    def partition(self) -> int:
        """Of the message."""
        return self.tp.partition


class ChangelogRecovery(Recovery):
    """See the head of this module. Who is assigned what, and what follows on the recovery, is Faust's."""

    _reader: LogReader
    _offsets: Offsets

    async def on_start(self) -> None:
        """Connect."""
        self._reader = LogReader(
            reader_configuration(self.app)
            | {"fetch.wait.max.ms": round(READ_WAIT_S * 1000), "fetch.message.max.bytes": 2 * FRAME_BYTES_MAX, "enable.partition.eof": True}
        )
        self._offsets = Offsets(reader_configuration(self.app))
        await self._reader.start()

    async def on_stop(self) -> None:
        """Disconnect."""
        await self._reader.stop()
        await self._offsets.close()

    @Service.task
    async def _slurp_changelogs(self) -> None:
        """Nothing: no changelog record comes through Faust's consumer."""

    @Service.task
    async def _restart_recovery(self) -> None:
        while not self.should_stop:
            if await self.wait_for_stopped(self.signal_recovery_start):  # type: ignore[arg-type]  # an event, as in Faust
                return
            self.signal_recovery_start.clear()
            try:
                await self._wait(self._recover(self._generation_id))
            except (RebalanceAgain, IllegalStateError):  # the assignment was taken back while it was taken up: the next one begins anew
                continue
            except (ServiceStopped, ConsumerStoppedError):
                return

    async def _recover(self, generation_id: int) -> None:
        """Active tables to their ends, then inputs; standby tables for as long as the assignment lasts."""
        if not self.tables:
            await self._resume_streams(generation_id)
            return
        active, standby = frozenset(self.active_tps), frozenset(self.standby_tps)  # the next assignment changes them before it ends this
        self._set_recovery_started()
        await self.app.producer.flush()
        if active:
            await self._read_to_end(active)
        await self.on_recovery_completed(generation_id)
        self.tables.on_standbys_ready()
        self._go_to_disk(standby)
        while standby:
            await self._store(await self._reader.records(READ_WAIT_S))

    async def _read_to_end(self, tps: frozenset[TP]) -> None:
        self._go_to_disk(tps)
        ends = await self._offsets.ends(tps)
        for tp in tps:
            start = self._reader.position(tp) or 0
            if start > ends[tp]:
                raise ConsistencyError(E_PERSISTED_OFFSET.format(tp, start - 1, ends[tp] - 1))
        while any((self._reader.position(tp) or 0) < ends[tp] for tp in tps):
            await self._store(await self._reader.records(READ_WAIT_S))

    def _go_to_disk(self, tps: Iterable[TP]) -> None:
        stored = {tp: self.tp_to_table[tp].persisted_offset(tp) for tp in tps}
        self._reader.go_to({tp: 0 if offset is None else offset + 1 for tp, offset in stored.items()})

    async def _store(self, records: Mapping[Place, list[Any]]) -> None:
        for place, some in records.items():
            tp = TP(*place)
            for batch in batched(some, STORED_AT_ONCE):
                stored = [ChangelogRecord(tp, record.offset(), record.key(), record.value()) for record in batch]
                self.tp_to_table[tp].apply_changelog_batch(cast("Any", stored))
                await asyncio.sleep(0)


def batched(records: list[Any], size: int) -> Iterator[list[Any]]:
    """In lists of at most `size`."""
    return (records[first : first + size] for first in range(0, len(records), size))


class ChangelogTables(TableManager):
    """Faust's tables with the recovery above."""

    @property
    def recovery(self) -> Recovery:
        """Made when it is first asked for, as Faust's."""
        if self._recovery is None:
            self._recovery = ChangelogRecovery(self.app, self, beacon=self.beacon, loop=self.loop)
        return self._recovery

    async def on_start(self) -> None:
        """As Faust's, without the second that it sleeps before: who subscribes to the topics waits for the agents, and for this."""
        await self._update_channels()
        await self.recovery.start()
