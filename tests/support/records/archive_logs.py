"""Logs for tests of the archive: seeded frames of executions, and what an archive of them must hold, worked out without it."""

import numpy as np

from schemas.codec import FRAMES, Frame, Header
from sinks import Input
from sinks.parquet.files import ArchivedPartition, manifests
from sinks.parquet.tables import BY_TOPIC, columns_of_arrow, digest_of

EXECUTIONS = BY_TOPIC["executions"]
START_NS = 1_800_000_000_000_000_000
SECOND_NS = 1_000_000_000


def frame_at(offset: int, rows: int = 7, instruments: int = 20) -> Input:
    """The record at the offset, always the same; every tenth repeats the frame before it, as a replica's copy does."""
    number = offset - 1 if offset % 10 == 9 else offset
    draw = np.random.default_rng(number)
    made = np.zeros(rows, FRAMES["execution_frame"].dtype)
    made["kind"], made["side"] = draw.integers(1, 4, rows), draw.integers(1, 3, rows)
    made["instrument"] = draw.integers(1, instruments + 1, rows)
    for name, most in (("order_id", 1 << 60), ("account", 10_000), ("price", 100_000), ("qty", 1_000), ("trd_match_id", 1 << 50)):
        made[name] = draw.integers(1, most, rows)
    made["transact_time"] = START_NS + number * SECOND_NS + np.arange(rows)
    frame = Frame("execution_frame", Header("book.commands/0", number, 0, number * rows + 1, START_NS), made)
    return Input("executions", 0, offset, frame, START_NS + offset * SECOND_NS)


def archive_until(folder, disk, end, make=frame_at):
    """What the role does with one partition, from where its files end up to the offset; the rows that wait then are left."""
    newest = max((one for _, one in manifests(folder, EXECUTIONS)), key=lambda one: one.next_offset, default=None)
    one = ArchivedPartition(folder, EXECUTIONS, 0, disk, newest)
    for offset in range(one.next_offset, end):
        record = make(offset)
        if one.ends_before(record.time_ns):
            one.commit()
        one.take(record)
        if one.is_full:
            one.commit()
    return one


def digest_of_log(first, end, make=frame_at):
    """As a manifest's, of the frames of the log itself; and how many rows they have."""
    kept = [one for one in map(make, range(first, end)) if one.offset % 10 != 9]
    rows = np.concatenate([one.body.rows for one in kept])
    counts = [len(one.body.rows) for one in kept]
    columns = {name: np.ascontiguousarray(rows[name]) for name in rows.dtype.names}
    within = np.concatenate([np.arange(count) for count in counts])
    columns["shard"] = np.zeros(len(rows), np.uint32)
    columns["log_offset"], columns["log_row"] = np.repeat([one.offset for one in kept], counts), within
    columns["shard_seq"] = np.repeat([one.body.header.first_seq for one in kept], counts) + within
    columns["appended_at"] = np.repeat([one.time_ns for one in kept], counts)
    return digest_of(EXECUTIONS, columns), len(rows)


def files_of(folder):
    """Of executions/0, in order: what the manifests say."""
    return [one for _, manifest in manifests(folder, EXECUTIONS) for one in manifest.files]


def read_columns(path):
    """The columns of a file in the order of the log."""
    import pyarrow.parquet as pq

    return columns_of_arrow(EXECUTIONS, pq.read_table(path, schema=EXECUTIONS.schema, partitioning=None))
