"""What a rebuild is made of that needs no store: names of tables, marks, market data made again."""

from dataclasses import replace

import numpy as np
import pytest
from support.memory_log import INSTRUMENTS, traded

from schemas.codec import FRAMES, Frame, Header
from schemas.enums import ExecKind, Side
from schemas.errors import StaleData
from sinks.elastic.indices import EXECUTIONS as AUDIT_EXECUTIONS
from sinks.elastic.indices import index_of, templates
from sinks.mysql.generation import BUILDING, NOT_OF_THE_LOG, behind, building_statements
from sinks.mysql.rows import INSERT_ALERT, execution_statements
from sinks.mysql.schema import WRITE_INSTRUMENT
from sinks.mysql.sink import prefixed
from sinks.redis.sink import key_of
from streams.proofs.rebuild import AsItIs, MarketDataAgain, Rebuild, RebuildReport, _require_same_log
from topics.catalogue import EXECUTIONS, MARKET_DATA


def test_market_data_made_again_is_what_was_published():
    """Every frame, with the same rows; so values in Redis keep their sequence."""
    log = traded().log
    again = MarketDataAgain(INSTRUMENTS)
    for shard in (0, 1):
        made = [one for record in log.parts[EXECUTIONS.name, shard] for one in again.read(record)]
        published = log.frames(MARKET_DATA, shard)
        assert len(made) == len(published) > 0
        assert all(np.array_equal(one.body.rows, frame.rows) for one, frame in zip(made, published, strict=True))


def test_every_table_of_the_schema_is_made_anew_but_those_that_are_not_of_the_log():
    """A new table is part of the next rebuild by itself."""
    names = {statement.split("(", 1)[0].split()[-1] for statement in building_statements()}
    assert {f"{BUILDING}{name}" for name in ("orders", "trades", "executions", "postings", "rejects", "alerts", "sink_marks")} <= names
    assert not {f"{BUILDING}{name}" for name in NOT_OF_THE_LOG} & names


def test_an_insert_for_a_new_table_names_it_everywhere():
    """Also where the update refers to the old value by the table's name."""
    rows = np.zeros(1, FRAMES["execution_frame"].dtype)
    rows["kind"], rows["trd_match_id"], rows["side"] = ExecKind.TRADE, 1, Side.BUY
    statement, *_ = execution_statements([Frame("execution_frame", Header("book.commands/0"), rows)])
    made = prefixed(statement, "new_")
    assert made.startswith("INSERT INTO new_trades (")
    assert made.endswith("ON DUPLICATE KEY UPDATE trd_match_id = new_trades.trd_match_id")
    assert prefixed(statement, "") == statement
    assert "new_alerts (" in prefixed(INSERT_ALERT, "new_")
    assert "new_instruments (" in prefixed(WRITE_INSTRUMENT, "new_")


def test_a_partition_of_which_more_is_in_use_than_is_made_is_behind():
    """Then the switch waits."""
    live = {("executions", 0): 10, ("executions", 1): 5}
    assert behind(live, {("executions", 0): 10, ("executions", 1): 6}) == {}
    assert behind(live, {("executions", 0): 9}) == {("executions", 0): 10, ("executions", 1): 5}


def test_tables_that_are_ahead_of_the_log_are_of_another_one():
    """Named with both offsets."""
    _require_same_log({("executions", 0): 10}, {("executions", 0): 10})
    with pytest.raises(StaleData, match=r"executions/0 ends at 10, but MySQL has come to 11"):
        _require_same_log({("executions", 0): 11}, {("executions", 0): 10})


def test_new_indices_and_keys_are_outside_of_what_is_searched_until_they_are_in_use():
    """And the templates are theirs too."""
    name = index_of(AUDIT_EXECUTIONS, "2026-01-05", "17")
    assert name == "rebuild-audit-executions-2026.01.05-17"
    assert "rebuild-audit-executions-*" in templates()["outcry-audit-executions"]["index_patterns"]
    assert index_of(AUDIT_EXECUTIONS, "2026-01-05") == "audit-executions-2026.01.05"
    assert key_of("price", "AAPL", "outcry:rebuild:") == "outcry:rebuild:price:AAPL"


async def test_a_log_of_another_version_replaces_nothing():
    """What this program cannot read would be missing from the new tables."""
    log = traded().log
    part = log.parts[EXECUTIONS.name, 0]
    part[0] = replace(part[0], value=part[0].value[:2] + b"\7" * 8 + part[0].value[10:])
    work, sink = Rebuild(log, RebuildReport("mysql"), (EXECUTIONS,), quiet=True), Gathering()
    with pytest.raises(StaleData, match="executions/0 offset 0 is of another version"):
        await work.feed(sink, {}, work.ends(), AsItIs().read)
    part[0] = replace(part[0], value=b"nothing of ours")
    await work.feed(sink, {}, work.ends(), AsItIs().read)
    assert work.report.unreadable == 1
    assert [one.offset for one in sink.taken if one.partition == 0] == list(range(1, len(part)))


class Gathering:
    """A sink that keeps what it gets."""

    def __init__(self) -> None:
        self.taken = []

    async def write_batch(self, batch) -> None:
        self.taken += batch
