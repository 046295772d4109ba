"""The facts of a day: what belongs to it, and which sales were short."""

import numpy as np
import pytest
from support.records.reported_day import DAY, INSTRUMENTS, REFERENCE, SECOND, ReportExchange, read_reported, reported_day, reported_exchange

from reports.cat.events import CatEvents
from reports.facts import DayBuilder
from reports.summary import summary_lines
from reports.tables import rows_of_csv
from schemas.codec import FRAMES, Frame, Header
from schemas.enums import AccountPermission, CommandKind, ExecKind, Phase
from schemas.errors import StaleData


def test_only_rows_of_the_day_count():
    """Orders of the day before are there only as far as the day knows of them."""
    facts = reported_day().facts
    assert DAY.contains(facts.executions["transact_time"]).all()
    assert facts.order_count == 25
    assert (facts.orders["submitted_at"][: facts.order_count] < DAY.start_ns).sum() == 2


def test_an_order_that_no_account_shard_describes_is_named():
    """A log that has lost account events gives no report."""
    rows = np.zeros(1, FRAMES["execution_frame"].dtype)
    rows["kind"], rows["order_id"], rows["instrument"], rows["transact_time"] = ExecKind.NEW, 77, 1, DAY.start_ns
    builder = DayBuilder(DAY, INSTRUMENTS)
    builder.take_executions(Frame("execution_frame", Header("book.commands/1"), rows, None, None))
    assert builder.undescribed().tolist() == [77]
    with pytest.raises(StaleData, match=r"the first is 77"):
        builder.facts()


def test_a_summary_leaves_out_what_was_undone():
    """A line for each instrument, also for those that nobody traded."""
    lines = list(rows_of_csv(summary_lines(reported_day().facts, REFERENCE)))
    assert [one["symbol"] for one in lines] == [INSTRUMENTS.by_number[number].symbol for number in sorted(INSTRUMENTS.by_number)]
    one = lines[0]
    assert {name: one[name] for name in ("open", "high", "low", "close", "volume", "turnover", "trades", "auction_volume", "broken_trades", "halts")} == {
        "open": "180", "high": "180.31", "low": "180", "close": "180", "volume": "162", "turnover": "29175.75", "trades": "10",
        "auction_volume": "85", "broken_trades": "1", "halts": "1",
    }  # fmt: skip
    assert lines[1]["open"] == ""


def test_short_sales_are_told_from_sales_of_shares():
    """Also where all shares are held by another order, so that a sale of none of them looks like one of all."""
    x = ReportExchange()
    x.at(DAY.start_ns + SECOND)
    x.deposit([1], 100_000_000, 10)
    x.deposit([2], 100_000_000, 0)
    for number, account in enumerate((1, 2)):
        x.send(
            account,
            kind=CommandKind.ACCOUNT_LIMITS,
            account_word=AccountPermission.SHORT_SALE,
            instrument=0,
            request_id=10**6 + number,
            ord_type=0,
        )
    x.phase(Phase.CONTINUOUS)
    x.sell(1, 10, 18_100, locate=1)
    x.sell(1, 5, 18_100, locate=1)
    x.sell(2, 5, 18_100, locate=1)
    x.phase(Phase.CLOSED)
    x.at(DAY.end_ns + SECOND)
    records = list(CatEvents(read_reported(x).facts, REFERENCE).records())
    assert [(one["session"], one["quantity"], one["side"]) for one in records if one["type"] == "EOA"] == [
        ("A1", 10, "SL"), ("A1", 5, "SS"), ("A2", 5, "SS")
    ]  # fmt: skip


def test_the_same_facts_wherever_the_reading_begins():
    """A second copy of every frame, as another replica writes it, changes nothing."""
    x = reported_exchange()
    for (topic, partition), records in list(x.log.parts.items()):
        if topic in ("executions", "account.events"):
            for record in list(records):
                x.log.append(topic, partition, record.value)
    again = read_reported(x)
    assert again.facts.executions.tolist() == reported_day().facts.executions.tolist()
    assert again.rows == reported_day().rows
