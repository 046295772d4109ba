"""`outcry recover` over a log in memory that has lost its end: nothing is decided twice, nothing that was told is taken back, and the exchange goes on."""

from dataclasses import replace

import pytest
from support.memory_log import INSTRUMENTS, SHARDS, Exchange, processor_of, traded

from schemas.codec import decode_frame
from schemas.enums import AccountEventKind, Side
from schemas.errors import OutcryError, StaleData
from sinks import Input
from sinks.partition_marks import PartitionMarks
from streams.host.shard_runner import ShardRunner
from streams.process.worker_identity import WorkerId
from streams.proofs.compare_outputs import Difference
from streams.proofs.recorded_snapshots import read_snapshots
from streams.proofs.recover import Recovery
from streams.proofs.verified_roles import Setup
from streams.proofs.verify import Range, ShardVerifier
from topics.catalogue import ACCOUNT_COMMANDS, ACCOUNT_EVENTS, BOOK_COMMANDS, EDGE_REPLIES, EXECUTIONS, MARKET_DATA

COUNTS = {topic.name: SHARDS for topic in (ACCOUNT_COMMANDS, BOOK_COMMANDS, EXECUTIONS, MARKET_DATA)} | {EDGE_REPLIES.name: 1}


def cut(exchange: Exchange, topic: str, partition: int, records: int) -> list:
    """The log's end is gone."""
    part = exchange.log.parts[topic, partition]
    gone = part[len(part) - records :]
    del part[len(part) - records :]
    return gone


def recovery(exchange: Exchange) -> Recovery:
    """Without groups and stores."""
    return Recovery(exchange.log, INSTRUMENTS, lambda topic, partition: [])


def restarted(exchange: Exchange) -> None:
    """Every shard from its newest snapshot; each reads from one record before it, as a worker does."""
    for key in exchange.runners:
        role, table, topic, shard = key
        newest = read_snapshots(exchange.log, WorkerId(role), table, shard).newest
        exchange.runners[key] = ShardRunner(processor_of(role, shard), newest)
        exchange._read[topic, shard] = max(0, exchange.runners[key].next_offset - 1)


def verified(exchange: Exchange, name: str, shard: int, start: int | None) -> Difference | None:
    """What verify says."""
    return ShardVerifier(exchange.log, name, shard, Setup(INSTRUMENTS, COUNTS), Range(start), quiet=True).run().difference


def accepted(exchange: Exchange, shard: int) -> list[str]:
    """cl_ord_ids, in order."""
    found = []
    for record in exchange.log.parts[ACCOUNT_EVENTS.name, shard]:
        frame = decode_frame(record.value)
        found += [
            text.decode() for text, kind in zip(frame.cl_ord_id, frame.rows["kind"], strict=True) if kind == AccountEventKind.ACCEPTED
        ]
    return found


def test_a_shard_whose_log_was_cut_goes_on_where_it_was_and_decides_what_comes():
    """Lost inputs keep their effects; their offsets are given to nobody; `verify` says from where it can."""
    exchange = traded()
    exchange.snapshot()
    before = exchange.runners["hold-funds", "accounts", ACCOUNT_COMMANDS.name, 0].processor.state_hash()
    end = len(exchange.log.parts[ACCOUNT_COMMANDS.name, 0])
    cut(exchange, ACCOUNT_COMMANDS.name, 0, 2)
    work = recovery(exchange)
    losses = [one for one in work.losses() if one.last_known > one.end]
    assert [(one.where, one.end, one.last_known, one.undecided) for one in losses] == [("account.commands/0", end - 2, end, 0)]
    assert "are lost" in "\n".join(losses[0].lines())
    work.close(losses[0], exchange.log.append)
    assert [one for one in recovery(exchange).losses() if one.last_known > one.end] == []
    restarted(exchange)
    exchange.settle()
    shard = exchange.runners["hold-funds", "accounts", ACCOUNT_COMMANDS.name, 0]
    assert (shard.processor.state_hash(), shard.stats().dead_letters) == (before, 0)
    exchange.order(2, Side.BUY, 5, 17_000, "after")
    assert accepted(exchange, 0)[-1] == "after"
    assert verified(exchange, "account", 0, None) is None
    with pytest.raises(StaleData, match=r"account.commands/0 has lost its inputs .* begin with a snapshot"):
        verified(exchange, "account", 0, 0)


def test_inputs_that_were_decided_and_are_in_no_snapshot_are_told():
    """Their outputs stand in the log: only a person can say what is to become of them."""
    exchange = traded()
    cut(exchange, ACCOUNT_COMMANDS.name, 0, 1)
    (loss,) = [one for one in recovery(exchange).losses() if one.last_known > one.end]
    assert loss.undecided == 1
    assert "were decided and published" in "\n".join(loss.lines())


def test_lost_frames_of_a_shard_are_made_again_and_read_once_by_whoever_had_not_read_them():
    """Executions: the book shard's inputs are whole."""
    exchange = traded()
    exchange.snapshot()
    whole = [record.value for record in exchange.log.parts[EXECUTIONS.name, 0]]
    market = exchange.runners["publish-market-data", "market_data", EXECUTIONS.name, 0].processor.state_hash()
    cut(exchange, EXECUTIONS.name, 0, 2)
    work = recovery(exchange)
    (loss,) = work.losses()
    assert loss.frames == whole[-2:]
    work.close(loss, exchange.log.append)
    restarted(exchange)
    exchange.settle()
    assert exchange.runners["publish-market-data", "market_data", EXECUTIONS.name, 0].processor.state_hash() == market
    assert verified(exchange, "book", 0, 0) is None


def test_reports_that_nobody_had_read_yet_are_made_again():
    """No position tells of them; a trade would be decided and never settled."""
    exchange = traded()
    exchange.snapshot()
    held = exchange.runners.pop(("hold-funds", "accounts", ACCOUNT_COMMANDS.name, 0))
    exchange.order(3, Side.SELL, 4, 17_000, "hits")
    exchange.runners["hold-funds", "accounts", ACCOUNT_COMMANDS.name, 0] = held
    for (role, table, _, shard), runner in exchange.runners.items():
        if role == "match-orders":
            for key, value in exchange._stores[role, shard].changes(runner.processor.snapshot(), runner.meta()):
                exchange.log.append(f"outcry-{role}-{table}-changelog", shard, value, key)
    (lost,) = cut(exchange, ACCOUNT_COMMANDS.name, 0, 1)
    assert decode_frame(lost.value).schema == "book_report_frame"
    work = recovery(exchange)
    losses = work.losses()
    assert [(one.where, one.frames, one.last_known <= one.end) for one in losses] == [("account.commands/0", [lost.value], True)]
    work.close(losses[0], exchange.log.append)
    assert recovery(exchange).losses() == []


def test_a_log_that_was_cut_and_has_grown_again_is_known_by_its_last_record():
    """To the shard, to recover and to MySQL: offsets alone would not tell."""
    exchange = traded()
    exchange.snapshot()
    (gone,) = cut(exchange, ACCOUNT_COMMANDS.name, 0, 1)
    other = replace(gone, time_ns=gone.time_ns + 1_000_000, value=b"somebody else's")
    exchange.log.parts[ACCOUNT_COMMANDS.name, 0].append(other)
    with pytest.raises(StaleData, match=r"account.commands/0 has another record at"):
        exchange.runners["hold-funds", "accounts", ACCOUNT_COMMANDS.name, 0].feed(other)
    with pytest.raises(StaleData, match="has lost its end and gone on"):
        recovery(exchange).losses()
    stored = PartitionMarks(6, 1_000)
    assert not stored.take(Input("executions", 0, 5, {}, 1_000))
    with pytest.raises(StaleData, match="executions/0 has another record at 5"):
        stored.take(Input("executions", 0, 5, {}, 2_000))


def test_a_snapshot_behind_the_end_of_its_log_is_told_by_verify_from_the_beginning_too():
    """It used to be noticed with --from snapshot only."""
    exchange = traded()
    exchange.snapshot()
    cut(exchange, BOOK_COMMANDS.name, 1, 1)
    with pytest.raises(StaleData, match=r"book.commands/1 ends at .* the log has lost its end"):
        verified(exchange, "book", 1, 0)


def test_nothing_is_filled_in_between_what_somebody_else_writes():
    """The broker's answer tells."""
    exchange = traded()
    exchange.snapshot()
    cut(exchange, ACCOUNT_COMMANDS.name, 0, 2)
    work = recovery(exchange)
    (loss,) = [one for one in work.losses() if one.last_known > one.end]
    exchange.log.append(ACCOUNT_COMMANDS.name, 0, b"of a producer")
    with pytest.raises(OutcryError, match="somebody else writes there"):
        work.close(loss, exchange.log.append)
