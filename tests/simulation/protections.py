"""Each protection of the design by itself, taken away: what a simulation must notice. A context manager a protection, by name."""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Any, Final
from unittest.mock import patch

import numpy as np
from simulated_faust import Consumer, Table

from edge.gateway.source_filter import SourceFilter
from schemas.codec import FRAMES, HEADER_FIELDS, BadBytes, Frame, Header, frame_of
from schemas.errors import ServiceUnavailable
from schemas.marks import Marks
from sinks.partition_marks import PartitionMarks
from streams.host.outbox import Outbox, acknowledged
from streams.host.shard import Shard
from streams.host.shard_host import ShardHost
from streams.host.shard_runner import Output, Record, ShardRunner
from streams.host.sink_feeder import SinkFeeder
from streams.host.snapshots import Get, Snapshot, SnapshotStore
from topics.record_codes import UNCHECKED, Key, Keyring, Sealer
from topics.sources import Sources, names_shard

_FEED, _TURN, _SEND, _OPEN = ShardRunner.feed, ShardHost._turn, ShardHost._send, ShardHost._open
_LOAD: Final = SnapshotStore.load
_FRAME_OF: Final = frame_of
_SEALER: Final = Key.sealer
_PAGE_KEY: Final = SnapshotStore.changes.__globals__["_page_key"]


def _feed_again(self: ShardRunner, record: Record) -> list[Output]:
    self.next_offset = min(self.next_offset, record.offset)
    return _FEED(self, record)


async def _turn_and_acknowledge(self: ShardHost, stream: Any, event: Any) -> None:
    await _TURN(self, stream, event)
    await stream.ack(event)


async def _send_and_forget(self: ShardHost, output: Output) -> Any:
    await _SEND(self, output)
    acknowledged: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    acknowledged.set_result(None)
    return acknowledged


async def _acknowledge_the_last_only(self: Consumer, event: Any) -> None:
    tp = (event.message.topic, event.message.partition)
    if tp in self._acked:
        self._acked[tp].update(range(self._to_commit[tp], event.message.offset + len(event.message.records) + 1))  # one too many
    self._acknowledged.set()


class _NoLock:
    async def __aenter__(self) -> None:
        return

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        return


def _open_without_lock(self: ShardHost, partition: int) -> Shard:
    shard = _OPEN(self, partition)
    shard.applying = _NoLock()  # type: ignore[assignment]
    return shard


def _take_late(self: ShardHost, partition: int, shard: Shard) -> Iterator[tuple[bytes, bytes]]:
    meta = shard.runner.meta(hashed=False)
    shard.pace.taken(asyncio.get_running_loop().time(), 0.0)

    def late() -> Iterator[tuple[bytes, bytes]]:
        yield from shard.store.changes(shard.runner.processor.snapshot(), meta)

    return late()


async def _no_second_snapshot(self: ShardHost, stream: Any, partition: int, shard: Shard, event: Any) -> None:
    await self._snapshot(stream, partition, shard)
    shard.snapshot_task = None


async def _ask_once(_self: SinkFeeder, attempt: Callable[[], Any]) -> Any:
    try:
        return await attempt()
    except ServiceUnavailable:
        return None


def _take_anything(self: Marks, header: Header, _time_ns: int) -> bool:
    place = (header.source_offset, header.source_index)
    if place <= self.state.get(header.source, (-1, -1, 0))[:2]:
        return False
    self.state[header.source] = (*place, 0)
    return True


def _frame_without_rows(name: str, record: dict[str, Any]) -> Any:
    try:
        return _FRAME_OF(name, record)
    except BadBytes:
        if record["count"]:
            raise
        header = Header(*(record[one] for one in HEADER_FIELDS[:-1]))
        return Frame(name, header, np.zeros(0, FRAMES[name].dtype), np.zeros(0, "S1") if FRAMES[name].text_columns else None)


def _one_sealer(self: Key, _topic: str, _partition: int) -> Sealer:
    return _SEALER(self, "", 0)


def _load_or_stop(self: SnapshotStore, get: Get) -> Snapshot | None:
    found = _LOAD(self, get)
    if found is None and self.refused:
        raise self.refused[0]
    return found


async def _keep(_self: ShardHost, _revoked: set[Any]) -> None:
    return


async def _send_nothing_held(self: Outbox, written_to: int) -> None:
    self.cover(1 << 62)


async def _until_own_are_written(self: Outbox, sent: Any, next_offset: int, gone: Any) -> None:
    await acknowledged(sent)
    self.cover(next_offset)


_WITHOUT: Final[dict[str, tuple[Any, str, Any]]] = {
    "shards tell repeated frames by their marks": (ShardRunner, "_is_new", lambda _self, _header, _time_ns: True),
    "shards skip inputs that they have applied": (ShardRunner, "feed", _feed_again),
    "inputs are acknowledged behind their snapshot": (ShardHost, "_turn", _turn_and_acknowledge),
    "snapshots wait for the outputs before them": (ShardHost, "_send", _send_and_forget),
    "acknowledgements wait for the changelog": (Table, "take_sent", lambda _self: []),
    "only what was done with is committed": (Consumer, "ack", _acknowledge_the_last_only),
    "a snapshot falls between two inputs": (ShardHost, "_open", _open_without_lock),
    "a snapshot is copied before inputs go on": (ShardHost, "_take", _take_late),
    "the last input is in a snapshot too": (ShardHost, "_snapshots", _no_second_snapshot),
    "a replica that begins to write sends what it has held": (Outbox, "send_held", _send_nothing_held),
    "a snapshot waits for outputs that others write": (Outbox, "until_written", _until_own_are_written),
    "state is forgotten with its partition": (ShardHost, "on_revoked", _keep),
    "a page is not overwritten while it is needed": (
        "streams.host.snapshots",
        "_page_key",
        lambda owner, array, page, _: _PAGE_KEY(owner, array, page, 0),
    ),
    "each owner has pages of its own": (
        "streams.host.snapshots",
        "_page_key",
        lambda _, array, page, slot: _PAGE_KEY("", array, page, slot),
    ),
    "a disk is up to date only without gaps": ("simulated_faust", "persisted_after", lambda _known, sent: sent),
    "stores keep marks with their rows": (PartitionMarks, "takes", lambda _self, _one: True),
    "a store that did not answer is asked again": (SinkFeeder, "_until_available", _ask_once),
    "no mark moves further than its source can be": (Marks, "take", _take_anything),
    "only shards that write there may be named": (Sources, "is_shard", lambda _self, header: names_shard(header.source)),
    "a record is believed by its sender's code": (Keyring, "proof", lambda *_: UNCHECKED),
    "a snapshot is believed by its writer's code": (Keyring, "state_refusal", lambda *_: None),
    "a shard that has only forged snapshots begins at the log": (SnapshotStore, "load", _load_or_stop),
    "a code is of one partition": (Key, "sealer", _one_sealer),
    "a sender writes only what is its to write": ("topics.record_codes", "may_write", lambda *_: True),
    "a sender says only what is its to say": ("topics.record_codes", "why_not", lambda *_: ""),
    "a frame without rows is refused": ("schemas.codec", "frame_of", _frame_without_rows),
    "an edge tells repeated frames by their marks": (SourceFilter, "is_new", lambda _self, _header, _time_ns: True),
}
PROTECTIONS: Final = tuple(_WITHOUT)


@contextmanager
def without(protection: str) -> Iterator[None]:
    """The exchange without this one protection."""
    owner, name, replacement = _WITHOUT[protection]
    with patch(f"{owner}.{name}", replacement) if isinstance(owner, str) else patch.object(owner, name, replacement):
        yield
