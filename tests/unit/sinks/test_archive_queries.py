"""SQL over the archive and the end of a log that a small exchange has made: right answers, documented examples, and nothing but reading."""

import csv
import io
import json
import re
from decimal import Decimal
from pathlib import Path

import pytest
from click.testing import CliRunner
from support.memory_log import INSTRUMENTS, SHARDS, traded

from audit.disk import Disk
from schemas.codec import FRAMES, decode_frame
from schemas.enums import AccountEventKind, ExecKind, Side
from schemas.errors import OutcryError
from schemas.settings import Settings
from sinks.parquet.files import ArchivedPartition
from sinks.parquet.queries import QueryLimits, QueryRefused, QuerySession
from sinks.parquet.tables import TABLES
from streams.host.sink_feeder import input_of
from streams.operate import query as operate_query
from streams.operate.archive import archive
from streams.operate.query import TailTooLong, query, read_tails

ROOT = Path(__file__).parents[3]
EXAMPLES = re.findall(r"```sql\n(.*?)```", (ROOT / "docs" / "archive.md").read_text(), re.DOTALL)
PARTS = [(table, partition) for table in TABLES for partition in range(SHARDS)]


@pytest.fixture(scope="module")
def log():
    """Of an exchange that has traded, as streams.host.read_log.Log; with a copy of every frame, as a replica writes it."""
    exchange = traded()
    for number, (side, price) in enumerate([(Side.SELL, 19_000), (Side.BUY, 17_100), (Side.BUY, 17_200)]):
        exchange.order(3, side, 5, price, f"quote-{number}")
    made = exchange.log
    made.__class__ = type("OpenLog", (type(made),), {"__enter__": lambda self: self, "__exit__": lambda self, *_: None})
    for table, partition in PARTS:
        part = made.parts[table.topic, partition]
        for record in list(part[1:4]):
            made.append(table.topic, partition, record.value)
    made.append("executions", 0, b"no record")
    return made


@pytest.fixture(scope="module")
def home(log, tmp_path_factory):
    """Two thirds of the log are archived."""
    folder = tmp_path_factory.mktemp("home")
    for table, partition in PARTS:
        one = ArchivedPartition(Settings(home=folder).archive_folder, table, partition, Disk(), None)
        part = log.parts[table.topic, partition]
        for record in part[: 2 * len(part) // 3]:
            one.take(input_of(record))
        one.commit()
    return folder


@pytest.fixture(autouse=True)
def _this_log(log, monkeypatch):
    monkeypatch.setattr(operate_query, "Log", lambda settings: log)


@pytest.fixture
def ask(home):
    """The rows of a query over all of it."""

    def rows_of(sql, **limits):
        settings = Settings(home=home)
        with QuerySession(settings.archive_folder, INSTRUMENTS, read_tails(settings), QueryLimits(**limits)) as session:
            names, found = session.run(sql)
            return [dict(zip(names, row, strict=True)) for row in found]

    return rows_of


def rows_in(log, topic):
    """Every row of a topic, repeats left out."""
    found = []
    for partition in range(SHARDS):
        seen = set()
        for record in log.parts[topic, partition]:
            if not record.value.startswith(b"\xc3\x01"):
                continue
            frame = decode_frame(record.value)
            place = frame.header.source, frame.header.source_offset, frame.header.source_index
            if place not in seen:
                seen.add(place)
                found += [dict(zip(frame.rows.dtype.names, row, strict=True)) for row in frame.rows.tolist()]
    return found


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.name)
def test_every_row_of_the_log_is_there_once(ask, log, table):
    """At the seam between files and log too, where a repeat's first copy is on the other side."""
    theirs = rows_in(log, table.topic)
    assert theirs
    names = FRAMES[table.frame].dtype.names
    ours = ask(f"SELECT {', '.join(f'{chr(34)}{name}{chr(34)}' for name in names)} FROM {table.name}")
    assert sorted(tuple(row.values()) for row in ours) == sorted(tuple(row.values()) for row in theirs)


def test_views_say_what_happened(ask, log):
    """Trades, orders and postings as the log has them, in decimals and words."""
    trades = ask("FROM trades ORDER BY trd_match_id")
    assert len(trades) == sum(row["kind"] == ExecKind.TRADE for row in rows_in(log, "executions")) == 2
    assert {(one["symbol"], one["price"], one["qty"], one["aggressor"]) for one in trades} == {
        ("AAPL", Decimal(180), Decimal(40), "BUY"), ("MSFT", Decimal(400), Decimal(10), "BUY"),
    }  # fmt: skip
    orders = {one["cl_ord_id"]: one for one in ask("FROM orders")}
    assert {name: (one["ord_status"], one["cum_qty"]) for name, one in orders.items() if not name.startswith("quote")} == {
        "s1": ("PARTIALLY_FILLED", 40), "b1": ("FILLED", 40), "s2": ("FILLED", 10), "b2": ("CANCELED", 10), "rests": ("NEW", 0),
    }  # fmt: skip
    assert (orders["b1"]["price"], orders["b1"]["avg_px"]) == (Decimal("180.1"), 180)
    updates = [row for row in rows_in(log, "account.events") if row["kind"] == AccountEventKind.ACCOUNT_UPDATED]
    (sums,) = ask("SELECT sum(cash) AS cash, count(*) AS times FROM postings WHERE kind = 'ACCOUNT_UPDATED'")
    assert (sums["times"], sums["cash"]) == (len(updates), Decimal(sum(row["cash_delta"] for row in updates)) / 10_000)
    (bar,) = ask("FROM bars(INTERVAL '1 hour') WHERE symbol = 'AAPL'")
    assert (bar["open"], bar["high"], bar["low"], bar["close"], bar["volume"], bar["trades"]) == (180, 180, 180, 180, 40, 1)
    assert ask("SELECT count(*) AS n FROM quotes")[0]["n"] > 0


@pytest.mark.parametrize("sql", EXAMPLES)
def test_every_documented_example_runs(ask, sql):
    """And has rows."""
    assert ask(sql)


def test_there_are_examples():
    """Found by their marks in the page."""
    assert len(EXAMPLES) == 8


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT 1; SELECT 2", "", "COPY trades TO '{home}/stolen.csv'", "CREATE TABLE t AS SELECT 1", "INSTALL httpfs", "LOAD httpfs",
        "ATTACH '{home}/x.db'", "SET enable_external_access = true", "PRAGMA version", "EXPORT DATABASE '{home}/all'", "DROP VIEW trades",
        "SELECT * FROM read_csv('{home}/secret.csv')", "SELECT * FROM '{home}/secret.csv'", "SELECT * FROM read_text('/etc/passwd')",
        "SELECT * FROM glob('/*')", "SELECT * FROM read_parquet('{home}/other.parquet')", "SELECT * FROM read_csv('https://example.org/x.csv')",
        "SELECT getenv('HOME')", "SELECT * FROM operate_query", "EXPLAIN ANALYZE COPY trades TO '{home}/stolen.csv'", "SELECT nothing FROM trades",
        "SELEKT 1", "WITH t AS (SELECT 1) INSERT INTO trades FROM t", "SELECT * FROM sqlite_scan('{home}/x.db', 't')",
    ],
)  # fmt: skip
def test_a_query_reads_nothing_else_and_changes_nothing(ask, home, sql):
    """A sentence that says what is wrong; the home is as it was."""
    (home / "secret.csv").write_text("a,b\n1,2\n")
    before = sorted(home.rglob("*"))
    with pytest.raises(QueryRefused) as refused:
        ask(sql.format(home=home))
    assert str(refused.value)
    assert sorted(home.rglob("*")) == before


def test_a_query_has_an_end_and_a_bound(ask):
    """By time, by memory."""
    with pytest.raises(QueryRefused, match=r"more than 0\.2 s"):
        ask("SELECT count(*) FROM range(100000000000) a WHERE hash(a.range) = 1", seconds=0.2)
    with pytest.raises(QueryRefused, match="more than 64 MB"):
        ask("SELECT list(range) FROM range(100000000)", memory_mb=64)


def run(home, *arguments):
    """`outcry query ...`."""
    return CliRunner().invoke(query, arguments, obj=Settings(home=home))


def test_the_command_answers_in_three_forms(home, tmp_path):
    """Decimals are exact; JSON has an object a line."""
    sql = "SELECT symbol, sum(qty) AS shares, max(price) AS high, NULL AS nothing FROM trades GROUP BY symbol ORDER BY symbol"
    assert run(home, sql).output.splitlines()[0].split() == ["symbol", "shares", "high", "nothing"]
    assert [line.split() for line in run(home, sql).output.splitlines()[1:]] == [["AAPL", "40", "180"], ["MSFT", "10", "400"]]
    assert list(csv.reader(io.StringIO(run(home, "--format", "csv", sql).output)))[1] == ["AAPL", "40", "180", ""]
    target = tmp_path / "rows.json"
    assert run(home, "--format", "json", "--output", str(target), sql).output == ""
    assert json.loads(target.read_text().splitlines()[1]) == {"symbol": "MSFT", "shares": "10", "high": "400", "nothing": None}
    done = run(home, "--rows", "1", sql)
    assert "only the first 1 rows" in done.output
    assert isinstance(run(home, "SELEKT").exception, QueryRefused)


def test_the_end_of_the_log_may_be_left_out_and_may_not_be_too_long(home, log, monkeypatch):
    """The role archives it."""
    count = "SELECT count(*) AS n FROM executions"
    archived = json.loads(run(home, "--archive-only", "--format", "json", count).output)["n"]
    assert 0 < archived < json.loads(run(home, "--format", "json", count).output)["n"]
    monkeypatch.setattr(operate_query, "TAIL_ROWS_MAX", 3)
    assert isinstance(run(home, count).exception, TailTooLong)


def test_an_empty_archive_is_a_log_without_files(tmp_path):
    """The tables are there, with their types."""
    done = run(tmp_path, "--archive-only", "--format", "csv", "SELECT count(*) AS n, sum(price) AS p FROM trades")
    assert done.output.split() == ["n,p", "0,"]


def test_the_archive_is_shown_verified_and_pruned(home, tmp_path):
    """By command."""
    settings = Settings(home=home)
    shown = CliRunner().invoke(archive, ["show"], obj=settings)
    assert [line.split()[0] for line in shown.output.splitlines()] == ["table", "executions", "account_events", "market_data"]
    assert CliRunner().invoke(archive, ["verify"], obj=settings).output.endswith("0 of them wrong\n")
    pruned = CliRunner().invoke(archive, ["prune", "--before", "2099-01-01"], obj=settings)
    assert pruned.exit_code == 0
    assert CliRunner().invoke(archive, ["show"], obj=settings).output == shown.output, "the newest day stays"
    assert CliRunner().invoke(archive, ["prune", "--before", "then"], obj=settings).exit_code == 2
    broken = next((settings.archive_folder / "executions").rglob("*.parquet"))
    data = broken.read_bytes()
    broken.write_bytes(data[:-1])
    try:
        verified = CliRunner().invoke(archive, ["verify"], obj=settings)
        assert (verified.exit_code, broken.name in verified.output) == (1, True)
        assert isinstance(run(home, "SELECT count(price) FROM executions").exception, OutcryError)
    finally:
        broken.write_bytes(data)
