"""Match orders: one book shard per partition decides every trade.

In:     book.commands (partition = book shard)
Out:    executions (the decision: one append to one partition), account.commands (reports to the account shards)
State:  one book shard per assigned partition; table `books`, see streams.host.shard_host
On failure: the process stops; skipping a command would fork the book from its log.
"""

import time

import numpy as np

from matchers.books.shard import BookShard
from matchers.settlement.reports import reports_of
from matchers.warm import warm_books
from schemas.codec import FRAMES, BadBytes, Frame, Header, decode_frame, encode_frame
from schemas.enums import BookCommandKind
from schemas.instruments import InstrumentTable, load_instruments
from schemas.reject_reasons import Reason
from schemas.settings import Settings
from streams.host.run_role import run_role
from streams.host.shard_host import Tick, role_of
from streams.host.shard_runner import Emitter, Output, Record, clamp_time, configuration_digest
from streams.host.snapshots import Arrays
from streams.roles.hold_funds import require_partition, require_sender, require_shard
from streams.roles.single_commands import BAD_FIELD
from streams.transport.cluster import partition_counts
from topics.catalogue import ACCOUNT_COMMANDS, BOOK_COMMANDS, EXECUTIONS
from topics.partitioning import split_by
from topics.roles import MATCH_ORDERS
from topics.sources import Sources, sources_of
from topics.speakers import CLOCK

TIMER_SECONDS = 1.0
"""How often the books get the time. Bars close and orders expire no later than this after their time."""
_IS_NO_REASON = np.ones(1 << 16, np.bool_)
_IS_NO_REASON[list(Reason)] = False
_IS_ORDER = np.zeros(256, np.bool_)
_IS_ORDER[[BookCommandKind.NEW_ORDER, BookCommandKind.CANCEL, BookCommandKind.REPLACE]] = True


class MatchOrders:
    """The book shard of one partition, fed from its log."""

    def __init__(self, shard: int, instruments: InstrumentTable, account_shards: int, book_shards: int) -> None:
        self._shard, self._instruments = shard, instruments
        self._account_shards, self._book_shards = account_shards, book_shards
        self._books = BookShard(shard, instruments, book_shards)
        self.ticks = 0
        """Ticks applied since the start of this process; not part of the state."""

    @property
    def log_time(self) -> int:
        """Log time of the shard, ns."""
        return self._books.log_time

    @property
    def sources(self) -> Sources:
        """Account shards, operators, the clock."""
        return sources_of(BOOK_COMMANDS, self._shard, self._account_shards)

    def decode(self, record: Record) -> Frame:
        """A frame of book commands. Orders, cancels and replaces come from account shards only: their funds are held there."""
        frame = decode_frame(record.value or b"", "book_command_frame")
        orders = _IS_ORDER[frame.rows["kind"]]
        if orders.any():
            require_shard(frame, ACCOUNT_COMMANDS.name)
            require_partition(frame.rows["instrument"][orders], self._shard, self._book_shards, "instrument")
        else:
            require_sender(frame)
        unknown = np.flatnonzero(_IS_NO_REASON[frame.rows["reason"]])
        if len(unknown):  # it would be in the reports, the executions and what customers are told
            raise BadBytes(BAD_FIELD, f"row {unknown[0]}: there is no reason {frame.rows['reason'][unknown[0]]}")
        clamp_time(frame.rows, record)
        return frame

    def apply(self, frame: Frame, emit: Emitter) -> None:
        """Match. The executions go out first, because they are the decision; then the reports to the accounts."""
        self.ticks += frame.header.source == CLOCK
        out = self._books.apply(frame.rows, copy=False)
        emit.frame(EXECUTIONS, self._shard, "execution_frame", out.executions, log_time=self.log_time, first_seq=out.first_seq)
        reports = reports_of(out.executions, frame.rows)
        for shard, rows in split_by(reports["account"], self._account_shards):
            emit.frame(ACCOUNT_COMMANDS, shard, "book_report_frame", reports[rows], log_time=self.log_time)

    def snapshot(self) -> Arrays:
        """Named arrays of the book shard."""
        return self._books.snapshot()

    def restore(self, arrays: Arrays) -> None:
        """Restore a snapshot."""
        self._books = BookShard.restore(self._shard, self._instruments, dict(arrays))

    def state_hash(self) -> bytes:
        """The book shard's canonical hash."""
        return self._books.state_hash()

    def configuration(self) -> bytes:
        """Instruments and numbers of shards: outputs depend on them."""
        return configuration_digest(self._instruments, self._shard, self._account_shards, self._book_shards)


def timer_command(partition: int) -> Output:
    """The wall clock as a command: the only way in which time reaches a book."""
    now = time.time_ns()
    row = np.zeros(1, FRAMES["book_command_frame"].dtype)
    row["kind"], row["transact_time"] = BookCommandKind.TIMER, now
    return Output(BOOK_COMMANDS.name, partition, encode_frame("book_command_frame", Header(CLOCK, created_at=now), row))


def run(settings: Settings) -> None:
    """Run the role until it is stopped."""
    instruments = load_instruments(settings.instruments_file)
    counts = partition_counts(settings, ACCOUNT_COMMANDS, BOOK_COMMANDS)

    def processor(shard: int) -> MatchOrders:
        return MatchOrders(shard, instruments, counts[ACCOUNT_COMMANDS.name], counts[BOOK_COMMANDS.name])

    tick = Tick(TIMER_SECONDS, timer_command, count=lambda books: books.ticks)
    run_role(settings, role_of(MATCH_ORDERS, processor, tick), prepare=warm_books)
