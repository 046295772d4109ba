"""The snapshots of one partition in a role's changelog topic: the newest one complete, and what every manifest in it promises.

In:     outcry-<role>-<table>-changelog, as Faust writes it
On failure: StaleData naming topic and partition for a snapshot that is torn, or of another format.
"""

from dataclasses import dataclass
from typing import Any

from schemas.errors import StaleData
from streams.host.read_log import Log, place
from streams.host.snapshots import Snapshot, SnapshotStore, is_manifest, unpack_manifest


@dataclass(frozen=True)
class RecordedSnapshots:
    """The content of a changelog partition; manifests by their next input offset."""

    where: str
    newest: Snapshot | None
    hashes: dict[int, bytes]
    """Next input offset -> state hash, of every manifest that has one and survived compaction."""


def changelog_topic(role: str, table: str) -> str:
    """Faust's name for the changelog of a role's table: the app is outcry-<role>."""
    return f"outcry-{role}-{table}-changelog"


def read_snapshots(log: Log, role: str, table: str, partition: int) -> RecordedSnapshots:
    """Read the whole changelog partition; without the topic there are no snapshots. Raises StaleData, ServiceUnavailable."""
    topic = changelog_topic(role, table)
    where, bounds = place(topic, partition), log.bounds(topic, partition)
    pages: dict[bytes, bytes] = {}
    hashes: dict[int, bytes] = {}
    for record in log.records(topic, partition, bounds.low, bounds.high) if bounds is not None else ():
        if record.key is None:
            raise StaleData(f"{where} offset {record.offset:,}: a record without a key is not Faust's")
        if record.value is None:
            pages.pop(record.key, None)
            continue
        pages[record.key] = record.value
        if is_manifest(record.key):
            meta = _meta_of(record.value, f"{where} offset {record.offset:,}")
            if meta is not None and meta["state_hash"] is not None:
                hashes[meta["next_offset"]] = meta["state_hash"]
    try:
        newest = SnapshotStore().load(pages.get)
    except StaleData as error:
        raise StaleData(f"{where}: {error}") from error
    return RecordedSnapshots(where, newest, hashes)


def _meta_of(packed: bytes, where: str) -> dict[str, Any] | None:
    """What a manifest notes beside its arrays; None for a claim."""
    try:
        meta = unpack_manifest(packed)["meta"]
        if meta is None:
            return None
        assert isinstance(meta["next_offset"], int) and isinstance(meta["state_hash"], bytes | None)
    except Exception as error:
        raise StaleData(f"{where}: not a manifest of a snapshot ({type(error).__name__} {error})") from error
    return dict(meta)
