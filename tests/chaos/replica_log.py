"""A log that anybody can compute, for the campaign of the replicas: what was stored, and what a reader must find, is arithmetic.

Odd events of account shard 0 change an order, whose version is then their seq; even ones refuse a request, whose row has the key (0, seq).
"""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from typing import Final

import numpy as np

from schemas.codec import FRAMES, Frame, Header
from schemas.enums import AccountEventKind, OrdStatus, Side
from schemas.errors import ServiceUnavailable
from schemas.instruments import load_instruments
from sinks import Input, StoreMoved
from sinks.mysql.servers import ServersFile
from sinks.mysql.sink import MySqlSink

KEYS: Final = 64
FRAME_EVENTS: Final = 16
START_NS: Final = 1_800_000_000_000_000_000
PLACE: Final = "account.events", 0


def record(offset: int) -> Input:
    """The record of the log at this offset: FRAME_EVENTS events."""
    rows = np.zeros(FRAME_EVENTS, FRAMES["account_event_frame"].dtype)
    seq = np.arange(offset * FRAME_EVENTS, (offset + 1) * FRAME_EVENTS) + 1
    rows["seq"], rows["account"], rows["instrument"], rows["side"] = seq, 1, 1, Side.BUY
    rows["transact_time"] = START_NS + seq
    rows["kind"] = np.where(seq % 2, AccountEventKind.ACCEPTED, AccountEventKind.REJECTED)
    rows["order_id"] = np.where(seq % 2, (seq + 1) // 2 % KEYS + 1, 0)
    rows["ord_status"], rows["submitted_at"], rows["order_qty"] = OrdStatus.NEW, START_NS, 1
    header = Header("account.commands/0", source_offset=offset, first_seq=int(seq[0]), created_at=START_NS)
    return Input(*PLACE, offset, Frame("account_event_frame", header, rows, np.zeros(FRAME_EVENTS, "S8")), START_NS + offset)


def version_at(key: int, seq: int) -> int:
    """The version that order `key` has once event `seq` is stored; 0: there is no such order yet."""
    changes = (seq + 1) // 2
    last = changes - (changes - (key - 1)) % KEYS
    return max(0, 2 * last - 1)


class Writer:
    """persist-mysql's part: feeds the log to the real sink, repeats what was not acknowledged, and goes on where a new primary is."""

    def __init__(self, file: ServersFile, pause_s: float, batch_max: int = 4) -> None:
        self._file, self._pause_s, self._batch_max = file, pause_s, batch_max
        self.next_offset = self._tried = 0
        self.acknowledged = 0
        """The highest seq that was ever acknowledged: somebody has seen it."""
        self.batches = self.again = self.moved = 0
        self.last_s = 0.0
        self.stopping = False

    async def run(self) -> None:
        """Until `stopping`, and everything that was ever sent to a server is stored: what only a lost primary had comes again from the log."""
        sink = await self._connected()
        try:
            acknowledged = False
            while not (self.stopping and acknowledged and self.next_offset >= self._tried):
                acknowledged = await self._step(sink)
        finally:
            await sink.close()

    async def _step(self, sink: MySqlSink) -> bool:
        """Whether a batch was acknowledged."""
        batch = [record(self.next_offset + step) for step in range(1 + self.batches % self._batch_max)]
        self._tried = max(self._tried, self.next_offset + len(batch))
        try:
            await sink.write_batch(batch)
        except StoreMoved:
            self.moved += 1
            await self._go_back(sink)
        except ServiceUnavailable:
            await asyncio.sleep(0.05)
        else:
            self._acknowledge(batch)
            await asyncio.sleep(self._pause_s)
            return True
        return False

    def _acknowledge(self, batch: Sequence[Input]) -> None:
        self.batches += 1
        self.next_offset += len(batch)
        self.acknowledged = max(self.acknowledged, self.next_offset * FRAME_EVENTS)
        self.last_s = asyncio.get_running_loop().time()

    async def _go_back(self, sink: MySqlSink) -> None:
        while True:
            with suppress(ServiceUnavailable):
                reached = (await sink.reached())[PLACE].next_offset
                self.again += max(0, self.next_offset - reached)
                self.next_offset = reached
                return
            await asyncio.sleep(0.05)

    async def _connected(self) -> MySqlSink:
        while True:
            with suppress(ServiceUnavailable):
                return await MySqlSink.connect("", load_instruments(None), servers=self._file)
            await asyncio.sleep(0.1)
