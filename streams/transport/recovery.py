"""Bring tables up to date with their changelogs, which Faust's recovery promises but does not always do.

Faust reads changelogs with the consumer of the inputs, through a queue that it empties whenever it resumes its flow (up to three times per
rebalance), and takes whatever record comes next for the next one. So a standby table could miss records for ever, unnoticed, until a worker took
it over and found its newest snapshot behind the committed inputs.

Here a separate consumer reads them, in order, straight to disk. It reads from where the disk is: every start, after whatever happened, seeks to the
record behind the last stored one. An active table must reach the end that its changelog has after the assignment. What a former owner committed is
before that end, because it waited for its changelog records first and cannot commit in this generation. Inputs flow only when all active tables are
up to date.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final, cast

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import ConsumerStoppedError, IllegalStateError
from faust.exceptions import ConsistencyError
from faust.tables.manager import TableManager
from faust.tables.recovery import E_PERSISTED_OFFSET, RebalanceAgain, Recovery, ServiceStopped
from faust.transport.drivers.aiokafka import server_list
from faust.types import TP
from mode import Service

from schemas.limits import FRAME_BYTES_MAX

READ_WAIT_MS: Final = 100
"""How long a read waits for records, here and at the broker. A table that is taken over waits for the read that is under way."""
READ_RECORDS: Final = 32
"""Stored at once, mostly pages of 64 KiB: 2 MB, some ms in which the worker does nothing else."""


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

    _reader: AIOKafkaConsumer

    async def on_start(self) -> None:
        """Connect."""
        conf = self.app.conf
        self._reader = AIOKafkaConsumer(
            bootstrap_servers=server_list(conf.broker_consumer, 9092),
            client_id=f"{conf.id}-changelogs",
            group_id=None,
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            fetch_max_wait_ms=READ_WAIT_MS,
            max_partition_fetch_bytes=2 * FRAME_BYTES_MAX,
            metadata_max_age_ms=conf.consumer_metadata_max_age_ms,
            request_timeout_ms=int(conf.broker_request_timeout * 1000),
        )
        await self._reader.start()

    async def on_stop(self) -> None:
        """Disconnect."""
        await self._reader.stop()

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
            except (RebalanceAgain, IllegalStateError):
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
            self._store(await self._reader.getmany(timeout_ms=READ_WAIT_MS, max_records=READ_RECORDS))

    async def _read_to_end(self, tps: frozenset[TP]) -> None:
        self._go_to_disk(tps)
        ends = await self._reader.end_offsets(_partitions(tps))
        for tp, start in (await self._positions(tps)).items():
            if start > ends[tp]:
                raise ConsistencyError(E_PERSISTED_OFFSET.format(tp, start - 1, ends[tp] - 1))
        while any(position < ends[tp] for tp, position in (await self._positions(tps)).items()):
            self._store(await self._reader.getmany(timeout_ms=READ_WAIT_MS, max_records=READ_RECORDS))

    async def _positions(self, tps: Iterable[TP]) -> dict[TopicPartition, int]:
        return {tp: await self._reader.position(tp) for tp in _partitions(tps)}

    def _go_to_disk(self, tps: Iterable[TP]) -> None:
        self._reader.assign(_partitions(tps))
        for tp in tps:
            stored = self.tp_to_table[tp].persisted_offset(tp)
            self._reader.seek(TopicPartition(*tp), 0 if stored is None else stored + 1)

    def _store(self, records: Mapping[TopicPartition, list[Any]]) -> None:
        for tp, some in records.items():
            batch = [ChangelogRecord(TP(tp.topic, tp.partition), record.offset, record.key, record.value) for record in some]
            self.tp_to_table[batch[0].tp].apply_changelog_batch(cast("Any", batch))


def _partitions(tps: Iterable[TP]) -> list[TopicPartition]:
    """In the client's own type, which it insists on."""
    return [TopicPartition(*tp) for tp in tps]


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
