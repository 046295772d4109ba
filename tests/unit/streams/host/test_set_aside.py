"""One input that a shard leaves out because an operator says so: in every replay, and only if the engine really stops there."""

from contextlib import nullcontext
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from support.memory_log import INSTRUMENTS, SHARDS, Exchange

from schemas.codec import FRAMES, Frame, Header, decode_frame, decode_record, encode_frame, encode_record
from schemas.enums import AccountEventKind, Side
from schemas.errors import OutcryError, StaleData
from schemas.settings import Settings
from streams.host.set_aside import listed, read_set_aside, require_not_passed, require_stuck
from streams.host.shard_runner import Emitter, Record, ShardRunner
from streams.host.snapshots import SnapshotStore
from streams.operate.topics import topics
from streams.proofs import verify as verify_log
from streams.proofs.verify import Range, verify_shards
from streams.roles.hold_funds import HoldFunds
from topics.catalogue import ACCOUNT_COMMANDS, ACCOUNT_EVENTS, BOOK_COMMANDS, DEAD_LETTERS, SET_ASIDE
from topics.sources import sources_of

FATAL = 13


class Adder:
    """A state of one number, which stops at a quantity of 13 as an engine with a fault of ours would."""

    sources = sources_of(BOOK_COMMANDS, 1, 2)

    def __init__(self) -> None:
        self.total = self.log_time = 0

    def decode(self, given: Record) -> Frame:
        return decode_frame(given.value or b"", "book_command_frame")

    def apply(self, frame: Frame, emit: Emitter) -> None:
        assert FATAL not in frame.rows["order_qty"], "thirteen"
        self.total += int(frame.rows["order_qty"].sum())

    def snapshot(self) -> dict[str, Any]:
        return {"total": np.array([self.total])}

    def restore(self, arrays: Any) -> None:
        (self.total,) = arrays["total"].tolist()

    def state_hash(self) -> bytes:
        return b"%d" % self.total

    def configuration(self) -> bytes:
        return b""


def record(offset: int, qty: int) -> Record:
    """A book command."""
    rows = np.zeros(1, FRAMES["book_command_frame"].dtype)
    rows["kind"], rows["order_qty"] = 1, qty
    return Record("book.commands", 1, offset, offset, None, encode_frame("book_command_frame", Header("test"), rows))


def entry(role: str, partition: int, offset: int, reason: str) -> bytes:
    """A record of the list."""
    return encode_record("set_aside", {"role": role, "topic": "t", "partition": partition, "offset": offset, "reason": reason})


def test_a_shard_goes_on_behind_the_input_at_which_it_stopped_and_the_input_is_a_dead_letter() -> None:
    """Without the list it stops each time; with it the reason and the bytes are kept."""
    inputs = [record(0, 5), record(1, FATAL), record(2, 7)]
    stuck = ShardRunner(Adder())
    stuck.feed(inputs[0])
    for _ in range(2):
        with pytest.raises(AssertionError, match="thirteen"):
            stuck.feed(inputs[1])
    runner = ShardRunner(Adder(), set_aside={1: "ticket 7"})
    outputs = [output for one in inputs for output in runner.feed(one)]
    (letter,) = [decode_record(output.value)[1] for output in outputs if output.topic == DEAD_LETTERS.name]
    assert (letter["offset"], letter["reason"], letter["detail"], letter["value"]) == (1, "SET_ASIDE", "ticket 7", inputs[1].value)
    assert (runner.processor.total, runner.next_offset, runner.stats().dead_letters) == (12, 3, 1)


def test_a_snapshot_that_was_made_with_another_list_is_refused() -> None:
    """Whoever had applied the input and whoever leaves it out would go on from different states."""
    runner = ShardRunner(Adder())
    runner.feed(record(0, 5))
    table = dict(SnapshotStore().changes(runner.processor.snapshot(), runner.meta()))
    assert ShardRunner(Adder(), SnapshotStore().load(table.get), {1: "later"}).next_offset == 1
    with pytest.raises(StaleData, match="made with other inputs set aside"):
        ShardRunner(Adder(), SnapshotStore().load(table.get), {0: "too late"})
    left_out = ShardRunner(Adder(), set_aside={0: "in time"})
    left_out.feed(record(0, 5))
    table = dict(SnapshotStore().changes(left_out.processor.snapshot(), left_out.meta()))
    assert ShardRunner(Adder(), SnapshotStore().load(table.get), {0: "in time"}).processor.total == 0
    with pytest.raises(StaleData, match="made with other inputs set aside"):
        ShardRunner(Adder(), SnapshotStore().load(table.get))


def test_the_first_word_about_an_input_counts_and_noise_in_the_list_stops_nobody() -> None:
    """By role: two of them read executions."""
    values = [
        entry("hold-funds", 0, 4, "first"),
        b"noise",
        None,
        entry("hold-funds", 0, 4, "second"),
        entry("watch-trading", 1, 4, "other"),
    ]
    found = listed(Record(SET_ASIDE.name, 0, offset, 0, None, value) for offset, value in enumerate(values))
    assert found.of("hold-funds", 0) == {4: "first"}
    assert found.of("watch-trading", 1) == {4: "other"}
    assert found.of("publish-market-data", 1) == {}


def test_only_an_input_at_which_the_engine_stops_can_be_set_aside() -> None:
    """One that it takes would divide those that applied it from those that leave it out."""
    exchange = Exchange()
    for qty in (5, FATAL, 7):
        exchange.log.append("book.commands", 1, record(0, qty).value)
    assert "thirteen" in require_stuck(exchange.log, lambda: ShardRunner(Adder()), "book.commands", 1, 1)
    with pytest.raises(OutcryError, match="the engine applies book.commands/1 offset 0"):
        require_stuck(exchange.log, lambda: ShardRunner(Adder()), "book.commands", 1, 0)
    with pytest.raises(StaleData, match="stops before 2, at 1"):
        require_stuck(exchange.log, lambda: ShardRunner(Adder()), "book.commands", 1, 2)

    def ahead() -> ShardRunner:
        runner = ShardRunner(Adder())
        runner.next_offset = 2
        return runner

    with pytest.raises(OutcryError, match="has passed 1"):
        require_stuck(exchange.log, ahead, "book.commands", 1, 1)


def traded(aside: dict[int, str]) -> Exchange:
    """A session in which account shard 0 leaves out inputs."""
    exchange = Exchange()
    exchange.runners["hold-funds", "accounts", ACCOUNT_COMMANDS.name, 0] = ShardRunner(
        HoldFunds(0, INSTRUMENTS, SHARDS, SHARDS, 1), set_aside=aside
    )
    for offset, reason in aside.items():
        exchange.log.append(SET_ASIDE.name, 0, entry("hold-funds", 0, offset, reason))
    exchange.open_market()
    exchange.deposit((2, 4), 10**12, 100)
    exchange.deposit((2, 4), 10**12, 100)
    exchange.order(2, Side.SELL, 5, 18_000, "s")
    exchange.order(4, Side.BUY, 5, 18_000, "b")
    exchange.snapshot()
    return exchange


def test_a_replay_leaves_out_the_same_inputs(monkeypatch: pytest.MonkeyPatch) -> None:
    """`outcry verify` reads the list; a log whose list was lost differs from its replay."""
    exchange = traded({2: "a deposit that nobody made"})
    assert read_set_aside(exchange.log).of("hold-funds", 0) == {2: "a deposit that nobody made"}
    updates = [
        int(row["cash_delta"])
        for frame in exchange.log.frames(ACCOUNT_EVENTS, 0)
        for row in frame.rows
        if row["kind"] == AccountEventKind.ACCOUNT_UPDATED and row["cash_delta"]
    ]
    assert updates == [10**12] * 3
    monkeypatch.setattr(verify_log, "Log", lambda settings: nullcontext(exchange.log))
    found = list(verify_shards(Settings(), ("account", "book", "market"), None, Range(), quiet=True))
    assert [report.difference for report in found] == [None] * 6
    exchange.log.parts[SET_ASIDE.name, 0].clear()
    with pytest.raises(StaleData, match="made with other inputs set aside"):
        list(verify_shards(Settings(), ("account",), 0, Range(), quiet=True))


def test_an_input_whose_outputs_are_in_the_log_is_refused() -> None:
    """What a shard has said cannot be unsaid."""
    exchange = traded({})
    with pytest.raises(OutcryError, match=r"account.events/0 offset \d+ was made of account.commands/0 offset"):
        require_not_passed(exchange.log, ACCOUNT_COMMANDS.name, ACCOUNT_EVENTS.name, 0, 1)
    require_not_passed(exchange.log, ACCOUNT_COMMANDS.name, ACCOUNT_EVENTS.name, 0, 1_000)


@pytest.mark.parametrize("arguments", [["executions", "0", "1"], ["account.commands", "0", "1", "--role", "watch-trading"]])
def test_the_reader_is_named_exactly_where_a_topic_has_two(arguments: list[str]) -> None:
    """One role may stop at an execution that the other has applied."""
    done = CliRunner().invoke(topics, ["set-aside", *arguments, "--reason", "why"], obj=Settings())
    assert done.exit_code == 2
    assert "executions need --role" in done.output
