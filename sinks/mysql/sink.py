"""Store orders, executions, trades, postings, rejects, alerts, cases and news in MySQL, each batch in one transaction with its marks.

In:     executions, account.events, alerts, cases, party.facts (of which only news is stored)
Epochs: each promotion of a replica raises the epoch, which is in the marks. A sink of an older one writes nothing; after a promotion it goes on
        where the new primary is.
Repeats: a record below the partition's next offset, and a frame not above its source's newest, are left out. The marks are read,
        locked and written in the transaction of the rows, so neither a crash nor a second worker can store half a batch, or one twice.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any, Final, Self

from schemas.codec import Frame
from schemas.enums import ExecKind
from schemas.errors import ServiceUnavailable
from schemas.instruments import InstrumentTable
from schemas.marks import Marks
from sinks.contract import Input, Reached, SinkStats, StoreMoved
from sinks.mysql.bars import take_out_of_bar
from sinks.mysql.case_rows import Decide, store_action
from sinks.mysql.news import INSERT_NEWS, news_values
from sinks.mysql.pool import MySql, Transaction
from sinks.mysql.rows import INSERT_ALERT, account_statements, alert_values, execution_statements
from sinks.mysql.schema import apply_schema
from sinks.mysql.servers import ServersFile
from sinks.partition_marks import PartitionMarks

SINK: Final = "mysql"
CONNECTIONS_MAX: Final = 2
_RECORDS: Final = ("alerts", "cases", "party.facts")
"""Topics of what is no frame."""
PASSED_BY: Final = frozenset({"book_sums", "sign_in"})
"""Schemas of these topics that it does not store, the most of party.facts: it takes them with an empty body, because its marks go on."""
TRANSACTION_ROWS_MAX: Final = 20_000
"""Rows of frames in one transaction: a few seconds on a slow server, far below STATEMENT_TIMEOUT_S, however large a batch is."""


class MySqlSink:
    """The system of record; see sinks.contract for what it promises. `prefix`: of the names of its tables.

    decide: what a record of `cases` makes of a case; without it such records cannot be stored. servers: who is primary, if there are replicas.
    """

    def __init__(
        self, db: MySql, prefix: str = "", decide: Decide | None = None, servers: ServersFile | None = None, epoch: int = 0
    ) -> None:
        """epoch: that of `servers` when `db` was connected."""
        self._db, self._prefix, self._decide = db, prefix, decide
        self._servers, self._epoch = servers, epoch
        self._stats = SinkStats()

    @classmethod
    async def connect(
        cls, url: str, instruments: InstrumentTable, decide: Decide | None = None, servers: ServersFile | None = None
    ) -> Self:
        """Connect and bring the tables up to date. Raises ServiceUnavailable, StaleData. servers: names the server, instead of `url`."""
        known = servers.read() if servers is not None else None
        db = await MySql.connect(known.primary_url() if known is not None else url, size_max=CONNECTIONS_MAX)
        try:
            await apply_schema(db, instruments)
        except BaseException:
            await db.close()
            raise
        return cls(db, decide=decide, servers=servers, epoch=known.epoch if known is not None else 0)

    async def write_batch(self, batch: Sequence[Input]) -> None:
        """Store the batch, in one transaction unless it is large. Parts that were committed before a failure are repeats the next time."""
        await self._follow()
        for part in transactions(batch):
            try:
                async with self._db.transaction() as transaction:
                    taken, rows = await self._write(transaction, part)
            except ServiceUnavailable:
                self._stats = replace(self._stats, unavailable=self._stats.unavailable + 1)
                raise
            self._count(part, taken, rows)
        self._stats = replace(self._stats, batches=self._stats.batches + 1)

    async def _follow(self) -> None:
        """Connect to the primary, if it is another one now. Raises StoreMoved when that is done."""
        known = self._servers.read() if self._servers is not None else None
        if known is None or known.epoch == self._epoch:
            return
        db = await MySql.connect(known.primary_url(), size_max=CONNECTIONS_MAX)
        former, self._db, self._epoch = self._db, db, known.epoch
        await former.close()
        raise StoreMoved(f"MySQL has another primary: {known.primary}, epoch {known.epoch}")

    async def reached(self) -> dict[tuple[str, int], Reached]:
        """By (topic, partition). Raises ServiceUnavailable."""
        found = await self._db.fetch(
            f"SELECT topic, part, next_offset, mark_ns FROM {self._prefix}sink_marks WHERE sink = %s AND source = ''",  # noqa: S608  own names
            (SINK,),
        )
        return {(topic, part): Reached(next_offset, last_ns) for topic, part, next_offset, last_ns in found}

    async def flush(self) -> None:
        """Nothing: what write_batch stored is committed."""

    async def close(self) -> None:
        """Close the connections."""
        await self._db.close()

    def stats(self) -> SinkStats:
        """Counts so far."""
        return self._stats

    def _count(self, part: Sequence[Input], taken: int, rows: int) -> None:
        stats = self._stats
        self._stats = replace(stats, inputs=stats.inputs + len(part), repeated=stats.repeated + len(part) - taken, rows=stats.rows + rows)

    async def _write(self, transaction: Transaction, batch: Sequence[Input]) -> tuple[int, int]:
        """Returns how many inputs were new, and how many rows the server reports as written (a changed order counts as two)."""
        marks = await _lock_marks(transaction, sorted({(one.topic, one.partition) for one in batch}), self._prefix, self._epoch)
        taken = [one for one in batch if marks[one.topic, one.partition].takes(one)]
        rows = 0
        for statement in _statements(taken):
            rows += await transaction.execute(prefixed(statement, self._prefix))
        for bust in _busts(taken):
            await take_out_of_bar(transaction, bust, self._prefix)
        for one in taken:
            if one.topic == "alerts":
                assert isinstance(one.body, dict)
                rows += await transaction.execute(prefixed(INSERT_ALERT, self._prefix), alert_values(one.body))
            elif one.topic == "cases":
                assert isinstance(one.body, dict) and self._decide is not None, "whoever stores cases has to know their rules"
                rows += await store_action(transaction, self._prefix, self._decide, one.offset, one.body)
            elif one.topic == "party.facts" and one.body:
                assert isinstance(one.body, dict)
                rows += await transaction.execute(prefixed(INSERT_NEWS, self._prefix), news_values(one.offset, one.body))
        await _save_marks(transaction, marks, _last_seqs(taken), self._prefix, self._epoch)
        return len(taken), rows


def prefixed(statement: str, prefix: str) -> str:
    """An `INSERT INTO name ... ON DUPLICATE KEY UPDATE ...` for the table of that name with a prefix."""
    if not prefix:
        return statement
    insert, _, rest = statement.partition("INSERT INTO ")
    assert not insert, "only INSERT statements change their table"
    name = rest.split(" ", 1)[0]
    values, marker, update = rest.rpartition(" ON DUPLICATE KEY UPDATE ")
    return f"INSERT INTO {prefix}{values}{marker}" + update.replace(f"{name}.", f"{prefix}{name}.")


def transactions(batch: Sequence[Input]) -> Iterator[Sequence[Input]]:
    """Cut a batch into parts of at most TRANSACTION_ROWS_MAX rows, or of one input that has more."""
    start = rows = 0
    for end, one in enumerate(batch):
        size = len(one.body.rows) if isinstance(one.body, Frame) else 1
        if end > start and rows + size > TRANSACTION_ROWS_MAX:
            yield batch[start:end]
            start, rows = end, 0
        rows += size
    if batch:
        yield batch[start:]


def _statements(taken: Sequence[Input]) -> list[str]:
    frames: dict[str, list[tuple[int, Frame]]] = {"executions": [], "account.events": []}
    for one in taken:
        if isinstance(one.body, Frame):
            assert one.topic in frames, f"topic {one.topic} is not one that MySQL stores"
            frames[one.topic].append((one.partition, one.body))
        else:
            assert one.topic in _RECORDS, f"topic {one.topic} is not one that MySQL stores"
    statements = []
    if frames["executions"]:
        statements += execution_statements([frame for _, frame in frames["executions"]])
    if frames["account.events"]:
        statements += account_statements(frames["account.events"])
    return statements


def _busts(taken: Sequence[Input]) -> Iterator[tuple[int, int]]:
    """(instrument, trd_match_id) of each busted trade."""
    for one in taken:
        if isinstance(one.body, Frame) and one.topic == "executions":
            busted = one.body.rows[one.body.rows["kind"] == ExecKind.TRADE_BUSTED]
            yield from zip(busted["instrument"].tolist(), busted["trd_match_id"].tolist(), strict=True)


def _last_seqs(taken: Sequence[Input]) -> dict[tuple[str, int], int]:
    """By partition, the seq of the last row in these frames."""
    found: dict[tuple[str, int], int] = {}
    for one in taken:
        if isinstance(one.body, Frame) and one.body.header.first_seq and len(one.body.rows):
            place = one.topic, one.partition
            found[place] = max(found.get(place, 0), one.body.header.first_seq + len(one.body.rows) - 1)
    return found


async def _lock_marks(
    transaction: Transaction, partitions: Sequence[tuple[str, int]], prefix: str, epoch: int
) -> dict[tuple[str, int], PartitionMarks]:
    """The marks of the partitions, locked until the transaction ends, always in the same order to avoid deadlocks.

    Raises ServiceUnavailable where a sink of a later epoch has written: this one writes to a server that is not the primary any more, or does not know
    yet that it has become that.
    """
    marks = {}
    for topic, part in partitions:
        # the row with the offset is made if need be: one cannot lock a row that is not there
        await transaction.execute(
            f"INSERT INTO {prefix}sink_marks (sink, topic, part, source, next_offset, source_offset, source_index) VALUES (%s, %s, %s, '', 0, 0, 0) "  # noqa: S608
            "ON DUPLICATE KEY UPDATE next_offset = next_offset",
            (SINK, topic, part),
        )
        found = await transaction.fetch(
            f"SELECT source, next_offset, source_offset, source_index, mark_ns, db_epoch FROM {prefix}sink_marks "  # noqa: S608  own names
            "WHERE sink = %s AND topic = %s AND part = %s FOR UPDATE",
            (SINK, topic, part),
        )
        newest = {source: (offset, index, even_ns) for source, _, offset, index, even_ns, _ in found if source}
        ((next_offset, last_ns, written),) = [
            (next_offset, last_ns, written) for source, next_offset, _, _, last_ns, written in found if not source
        ]
        if written > epoch:
            raise ServiceUnavailable(f"{topic}/{part} was written in epoch {written} of MySQL's primaries, this sink is of epoch {epoch}")
        marks[topic, part] = PartitionMarks(next_offset, last_ns, Marks(newest))
    return marks


async def _save_marks(
    transaction: Transaction, marks: dict[tuple[str, int], PartitionMarks], last_seqs: dict[tuple[str, int], int], prefix: str, epoch: int
) -> None:
    rows: list[tuple[Any, ...]] = []
    for (topic, part), mark in marks.items():
        rows.append((SINK, topic, part, "", mark.next_offset, 0, 0, mark.last_ns, last_seqs.get((topic, part), 0), epoch))
        rows += [(SINK, topic, part, source, 0, *place, 0, epoch) for source, place in mark.marks.state.items()]
    await transaction.execute(
        f"INSERT INTO {prefix}sink_marks "  # noqa: S608
        "(sink, topic, part, source, next_offset, source_offset, source_index, mark_ns, last_seq, db_epoch) "
        f"VALUES {', '.join(['(%s, %s, %s, %s, %s, %s, %s, %s, %s, %s)'] * len(rows))} ON DUPLICATE KEY UPDATE "
        "next_offset = VALUES(next_offset), source_offset = VALUES(source_offset), source_index = VALUES(source_index), "
        "mark_ns = VALUES(mark_ns), last_seq = GREATEST(last_seq, VALUES(last_seq)), db_epoch = VALUES(db_epoch)",
        [value for row in rows for value in row],
    )
