"""The snapshots of one partition in a role's changelog topic: the newest one complete, and what every manifest in it promises.

In:     outcry-<role>-<table>-changelog, as Faust writes it
On failure: StaleData naming topic and partition where there are snapshots of the role's own and none of them is whole.
"""

from dataclasses import dataclass

from schemas.errors import StaleData
from streams.host.read_log import Log, place
from streams.host.snapshot_codes import SnapshotCodes
from streams.host.snapshots import Snapshot, SnapshotStore, is_manifest
from streams.process.worker_identity import WorkerId
from topics.roles import changelog_topic


@dataclass(frozen=True)
class RecordedSnapshots:
    """The content of a changelog partition; manifests by their next input offset."""

    where: str
    newest: Snapshot | None
    hashes: dict[int, bytes]
    """Next input offset -> state hash, of every manifest that has one and survived compaction."""
    refused: list[str]
    """Manifests that are damaged, forged or of another format, in words; roles pass them over."""

    def own(self) -> Snapshot | None:
        """The newest, for whoever writes by it. Raises StaleData if there are manifests and all are refused: keys may be missing on this machine."""
        if self.newest is None and self.refused:
            raise StaleData(self.refused[0])
        return self.newest


def read_snapshots(log: Log, worker: WorkerId, table: str, partition: int) -> RecordedSnapshots:
    """Read the whole changelog partition; without the topic there are no snapshots. worker: any of a replica. Raises StaleData, ServiceUnavailable."""
    topic = changelog_topic(worker.group, table)
    where, bounds = place(topic, partition), log.bounds(topic, partition)
    codes = SnapshotCodes(log.keys, worker.role, topic, partition)
    pages: dict[bytes, bytes] = {}
    hashes: dict[int, bytes] = {}
    refused: list[str] = []
    for record in log.records(topic, partition, bounds.low, bounds.high) if bounds is not None else ():
        if record.key is None:
            raise StaleData(f"{where} offset {record.offset:,}: a record without a key is not Faust's")
        if record.value is None:
            pages.pop(record.key, None)
            continue
        pages[record.key] = record.value
        if is_manifest(record.key):
            try:
                meta = codes.unpacked(record.value)["meta"] or {}
            except StaleData as error:
                refused.append(f"{where} offset {record.offset:,}: {error}")
                continue
            if meta.get("state_hash") is not None:
                hashes[meta["next_offset"]] = meta["state_hash"]
    try:
        newest = SnapshotStore(codes=codes).load(pages.get)
    except StaleData as error:
        raise StaleData(f"{where}: {error}") from error
    return RecordedSnapshots(where, newest, hashes, refused)
