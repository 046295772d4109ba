"""Hold funds: one account shard per partition decides on orders, and commits or releases holds as the books report.

In:     account.commands (partition = account shard)
Out:    account.events, book.commands, edge.replies
State:  one account shard per assigned partition; table `accounts`, see streams.host.shard_host
On failure: the process stops; skipping a command would fork the accounts from their log.
"""

from collections.abc import Sequence

import numpy as np

from matchers.accounts.shard import AccountOutput, AccountShard
from matchers.warm import warm_accounts
from schemas.codec import WRONG_SCHEMA, BadBytes, Frame, Rows, decode_record, frame_of
from schemas.instruments import InstrumentTable, load_instruments
from schemas.limits import EDGE_INSTANCES_MAX
from schemas.settings import Settings
from streams.host.run_role import run_role
from streams.host.shard_host import role_of
from streams.host.shard_runner import Emitter, Record, clamp_time, configuration_digest
from streams.host.snapshots import Arrays
from streams.roles.single_commands import BAD_FIELD, frame_of_cancel, frame_of_order
from streams.transport.cluster import partition_counts
from topics.catalogue import ACCOUNT_COMMANDS, ACCOUNT_EVENTS, BOOK_COMMANDS, EDGE_REPLIES
from topics.partitioning import split_by
from topics.roles import HOLD_FUNDS
from topics.sources import WRONG_SOURCE, Sources, names_shard, sources_of

WRONG_PARTITION = "WRONG_PARTITION"
UNTRUE_REPORT = "UNTRUE_REPORT"
REFUSED_NAMED_MAX = 10
"""Reports that a dead letter names one by one."""


class HoldFunds:
    """The account shard of one partition, fed from its log."""

    def __init__(
        self, shard: int, instruments: InstrumentTable, account_shards: int, book_shards: int, edge_instances: int = EDGE_INSTANCES_MAX
    ) -> None:
        self._shard, self._instruments = shard, instruments
        self._account_shards, self._book_shards, self._edge_instances = account_shards, book_shards, edge_instances
        self._accounts = AccountShard(shard, instruments, account_shards)

    @property
    def log_time(self) -> int:
        """Log time of the shard, ns."""
        return self._accounts.log_time

    @property
    def sources(self) -> Sources:
        """Customers, and the books."""
        return sources_of(ACCOUNT_COMMANDS, self._shard, self._book_shards)

    def decode(self, record: Record) -> Frame:
        """A frame of commands or of a book's reports, or a producer's single command as a frame of one row."""
        name, value = decode_record(record.value or b"")
        match name:
            case "new_order_single":
                frame = frame_of_order(value, self._instruments)
            case "order_cancel_request":
                frame = frame_of_cancel(value)
            case "order_command_frame" | "book_report_frame":
                frame = frame_of(name, value)
            case _:
                raise BadBytes(WRONG_SCHEMA, f"{name} does not belong in {ACCOUNT_COMMANDS.name}")
        if name == "book_report_frame":
            require_shard(frame, BOOK_COMMANDS.name)
        else:
            require_sender(frame)
        require_partition(frame.rows["account"], self._shard, self._account_shards, "account")
        if not -1 <= frame.header.reply_partition < EDGE_INSTANCES_MAX:
            raise BadBytes(BAD_FIELD, f"reply_partition: {frame.header.reply_partition} is not -1 to {EDGE_INSTANCES_MAX - 1}")
        clamp_time(frame.rows, record)
        return frame

    def apply(self, frame: Frame, emit: Emitter) -> None:
        """Decide commands and settle reports. Events go to the log and to the edges that asked, accepted orders to their books."""
        if frame.schema == "book_report_frame":
            out = self._accounts.apply_reports(frame.rows, copy=False)
            if out.refused:
                emit.dead_letter(untrue_reports(frame.rows, out.refused))
        else:
            assert frame.cl_ord_id is not None
            out = self._accounts.apply_commands(frame.rows, frame.cl_ord_id, frame.header.reply_partition, frame.orig_cl_ord_id, copy=False)
        # Orders first: whoever waits for the answer waits for the book next.
        for book, rows in split_by(out.book_commands["instrument"], self._book_shards):
            emit.frame(BOOK_COMMANDS, book, "book_command_frame", out.book_commands[rows], log_time=self.log_time)
        self._emit_replies(out, emit)
        emit.frame(
            ACCOUNT_EVENTS,
            self._shard,
            "account_event_frame",
            out.events,
            log_time=self.log_time,
            first_seq=out.first_seq,
            text=out.event_cl_ord_id,
            orig=out.event_orig_cl_ord_id,
        )

    def _emit_replies(self, out: AccountOutput, emit: Emitter) -> None:
        edges = int(np.bitwise_or.reduce(out.reply_mask)) if len(out.reply_mask) else 0
        while edges:
            edge = (edges & -edges).bit_length() - 1
            edges &= edges - 1
            if edge >= self._edge_instances:
                continue  # a sender may name an edge that this cluster does not have: nobody is there to be told
            rows = np.flatnonzero(out.reply_mask & np.uint64(1 << edge))
            orig = None if out.reply_orig_cl_ord_id is None else out.reply_orig_cl_ord_id[rows]
            emit.frame(
                EDGE_REPLIES, edge, "account_event_frame", out.replies[rows], log_time=self.log_time, text=out.reply_cl_ord_id[rows],
                orig=orig,
            )  # fmt: skip

    def snapshot(self) -> Arrays:
        """Named arrays of the account shard."""
        return self._accounts.snapshot()

    def restore(self, arrays: Arrays) -> None:
        """Restore a snapshot."""
        self._accounts = AccountShard.restore(self._shard, self._instruments, dict(arrays))

    def state_hash(self) -> bytes:
        """The account shard's canonical hash."""
        return self._accounts.state_hash()

    def configuration(self) -> bytes:
        """Instruments and numbers of shards: outputs depend on them."""
        return configuration_digest(self._instruments, self._shard, self._account_shards, self._book_shards)


def untrue_reports(rows: Rows, refused: Sequence[tuple[int, str]]) -> BadBytes:
    """Why reports of a frame were left out; its other rows are applied, as holds wait for them."""
    named = [f"row {row} (order {rows['order_id'][row]}): {why}" for row, why in refused[:REFUSED_NAMED_MAX]]
    more = f"; and {len(refused) - len(named)} more" if len(refused) > len(named) else ""
    return BadBytes(UNTRUE_REPORT, f"{len(refused)} of {len(rows)} reports cannot be true and were left out: {'; '.join(named)}{more}")


def require_partition(owners: Rows, shard: int, shards: int, what: str) -> None:
    """Refuse a frame that belongs, in any row, to another partition: half a frame is never applied."""
    if shards == 1:
        return
    strays = np.flatnonzero(owners % np.asarray(shards, owners.dtype) != shard)
    if len(strays):
        row = int(strays[0])
        raise BadBytes(WRONG_PARTITION, f"row {row}: {what} {owners[row]} belongs to partition {owners[row] % shards}, not {shard}")


def require_shard(frame: Frame, topic: str) -> None:
    """Refuse a frame that only a shard of `topic` may send, when its header names something else. Which of them there are: topics.sources."""
    source = frame.header.source
    if not source.startswith(topic + "/"):
        raise BadBytes(WRONG_SOURCE, f"{frame.schema} comes from a shard of {topic}, not from {source[:80]!r}")


def require_sender(frame: Frame) -> None:
    """Refuse a frame that no shard sends, when its header names one: its numbers would hide the true frames of that shard behind a mark."""
    if names_shard(frame.header.source):
        raise BadBytes(
            WRONG_SOURCE, f"{frame.schema} with these rows comes from a customer or an operator, not from {frame.header.source[:80]!r}"
        )


def run(settings: Settings) -> None:
    """Run the role until it is stopped."""
    instruments = load_instruments(settings.instruments_file)
    counts = partition_counts(settings, ACCOUNT_COMMANDS, BOOK_COMMANDS, EDGE_REPLIES)

    def processor(shard: int) -> HoldFunds:
        return HoldFunds(shard, instruments, counts[ACCOUNT_COMMANDS.name], counts[BOOK_COMMANDS.name], counts[EDGE_REPLIES.name])

    run_role(settings, role_of(HOLD_FUNDS, processor), prepare=warm_accounts)
