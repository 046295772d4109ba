"""`outcry verify`, `outcry rebuild` and `outcry audit money` on the running exchange, with the faults that they are there for."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import threading
import uuid
from collections import Counter

import pytest
from click.testing import CliRunner
from support.log_reader import eventually

from schemas.enums import AccountEventKind, ExecKind
from schemas.instruments import load_instruments
from sinks.elastic import queries as elastic_queries
from sinks.elastic.client import open_elasticsearch
from sinks.mysql import generation as mysql_generation
from sinks.mysql.generation import MySqlGeneration
from sinks.mysql.pool import MySql
from sinks.mysql.queries import next_offsets, order_by_cl_ord_id
from sinks.redis.client import open_redis
from sinks.redis.prices import last_prices
from sinks.redis.sink import key_of
from streams.demo.collect import read_log
from streams.host.read_log import Log
from streams.host.set_aside import append, read_set_aside, set_aside_of
from streams.operate.topics import topics
from streams.process.record_keys import record_keys
from streams.proofs.rebuild import AsItIs, Options, Rebuild, RebuildReport, rebuild_store
from streams.proofs.verified_roles import ROLES
from streams.proofs.verify import Range, ShardReport, verify_shards
from streams.roles.persist_mysql import sink_role
from streams.transport.cluster import cluster_id
from surveillance.cases.desk import decide
from topics import OrderProducer
from topics.catalogue import ACCOUNT_EVENTS, ALERTS, EXECUTIONS
from topics.speakers import PRODUCER

pytestmark = pytest.mark.integration
INSTRUMENTS = load_instruments(None)
PX = "180.10"


@pytest.fixture(scope="module")
def trading(exchange):
    """The exchange with some trades in it, and no order of ours left behind."""
    trade(exchange, 20)
    return exchange


def trade(exchange, count: int, px: str = PX) -> str:
    """So many trades of one share between accounts of two shards; the cl_ord_id of the last buy, which MySQL has when this returns."""
    last = ""
    with OrderProducer(exchange.settings.kafka_url, INSTRUMENTS, sign=record_keys(exchange.settings).signer(PRODUCER)) as producer:
        for _ in range(count):
            last = f"r-{uuid.uuid4()}"
            common = {"symbol": "AAPL", "ord_type": "LIMIT", "order_qty": "1", "price": px}
            producer.new_order(account=7, cl_ord_id=f"{last}-s", side="SELL", time_in_force="DAY", **common)
            producer.new_order(account=6, cl_ord_id=last, side="BUY", time_in_force="DAY", **common)
    in_mysql(exchange, lambda db: order_by_cl_ord_id(db, 6, last), lambda order: order is not None and not order.leaves_qty)
    return last


def in_mysql(exchange, ask, good=lambda found: True):
    """What MySQL answers, once it is good."""

    async def once():
        db = await MySql.connect(exchange.settings.mysql_url, size_max=1)
        try:
            return await ask(db)
        finally:
            await db.close()

    return eventually(lambda: asyncio.run(once()), good)


def change_mysql(exchange, *statements: str) -> None:
    """Do what nobody should do to the system of record."""

    async def all_of(db):
        async with db.transaction() as transaction:
            for statement in statements:
                await transaction.execute(statement)

    in_mysql(exchange, all_of)


def outcry(exchange, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the command as a user does."""
    environment = {**os.environ, "OUTCRY_HOME": str(exchange.settings.home)}
    return subprocess.run(
        [sys.executable, "-m", "streams", *arguments], env=environment, capture_output=True, text=True, timeout=1_800, check=False
    )


def audit(exchange) -> dict:
    """`outcry audit money`: its JSON and exit status."""
    done = outcry(exchange, "audit", "money", "--json", "--quiet")
    assert done.stdout, done.stderr
    return json.loads(done.stdout) | {"status": done.returncode}


def rebuild(exchange, store: str, **options) -> RebuildReport:
    """Rebuild in this process."""
    return asyncio.run(rebuild_store(exchange.settings, store, Options(quiet=True, drop_former=store == "mysql", **options)))


def test_the_running_exchange_verifies_in_every_shard_and_row(trading):
    """Also from its snapshots, and as a command."""

    def verified() -> list[ShardReport]:
        return list(verify_shards(trading.settings, tuple(ROLES), None, Range(), quiet=True))

    # a shard writes its first snapshot a second after its first input
    reports = eventually(verified, lambda found: all(report.hashes_compared or report.difference for report in found))
    assert [str(report.difference) for report in reports] == ["None"] * 9
    assert sum(report.compared.by_topic.get(EXECUTIONS.name, 0) for report in reports) > 40
    done = outcry(trading, "verify", "--from", "snapshot", "--role", "book", "--json")
    assert done.returncode == 0, done.stderr
    assert [json.loads(line)["same"] for line in done.stdout.splitlines()] == [True, True]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--shard", "77"), "account.commands has no partition 77, it has 2"),
        (("--from", "99999999"), "is not within them"),
        (("--from", "yesterday"), "neither an offset nor the word snapshot"),
    ],
)
def test_what_the_log_does_not_have_is_refused_in_a_sentence(trading, arguments, words):
    """No traceback."""
    done = outcry(trading, "verify", "--role", "account", *arguments)
    assert done.returncode in (1, 2)
    assert words in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["account.commands", "0", "0"], "the shard has passed 0"),
        (["book.commands", "1", "0"], "the shard has passed 0"),
        (["executions", "0", "0", "--role", "watch-trading"], "the shard has passed 0"),
        (["account.commands", "0", "1000000000"], "has no offset 1,000,000,000"),
        (["account.commands", "9", "0"], "no such partition"),
    ],
)
def test_an_input_that_stops_nobody_is_not_set_aside(trading, arguments, words):
    """The exchange goes on, and the list stays as it was."""
    with Log(trading.settings) as log:
        before = read_set_aside(log)
        done = CliRunner().invoke(topics, ["set-aside", *arguments, "--reason", "a test"], obj=trading.settings)
        assert done.exit_code == 1
        assert words in str(done.exception)
        assert read_set_aside(log) == before


def test_an_entry_of_the_list_is_read_back_from_the_log(trading):
    """Of an offset that no test reaches."""
    append(trading.settings, "watch-trading", EXECUTIONS.name, 0, 1 << 40, "a test")
    assert set_aside_of(trading.settings).of("watch-trading", 0) == {1 << 40: "a test"}


def test_other_instruments_are_refused_by_verify_and_audit(trading, tmp_path, monkeypatch):
    """A list that lacks what was traded."""
    path = tmp_path / "other.toml"
    one = INSTRUMENTS.by_symbol["MSFT"]
    path.write_text(
        f'[[instrument]]\nnumber = {one.number}\nsymbol = "MSFT"\nname = "x"\ntick_size = "0.01"\nlot_size = "1"\nmax_order_qty = "100"\n'
        'max_notional = "1000000"\nreference_price = "400"\nprotection_percent = 10\n'
    )
    monkeypatch.setenv("OUTCRY_INSTRUMENTS_FILE", str(path))
    for command in (("verify", "--role", "book"), ("audit", "money", "--log-only")):
        done = outcry(trading, *command)
        assert done.returncode == 1
        assert "OUTCRY_INSTRUMENTS_FILE" in done.stderr, done.stderr


def test_money_is_conserved_and_mysql_agrees(trading):
    """On everything that all tests before have done to the exchange."""
    found = audit(trading)
    assert (found["status"], found["problems"]) == (0, [])
    assert found["trades"] >= 20
    assert found["cash"]["missing"] == 0
    opened = 8 * 10_000_000 * 10_000
    assert found["cash"]["deposited"] >= opened, "what others that use this exchange deposit comes on top"


def test_a_damaged_mysql_is_found_by_account_and_made_good_while_the_sink_goes_on(trading):
    """A posting is taken away, a fill changed, a trade forged; the former tables are gone afterwards, API keys stay."""
    ((keys,),) = in_mysql(trading, lambda db: db.fetch("SELECT COUNT(*) FROM api_keys"))
    change_mysql(
        trading,
        "DELETE FROM postings WHERE account = 6 AND instrument = 1 ORDER BY seq LIMIT 1",
        "UPDATE orders SET leaves_qty = 5 WHERE account = 7 ORDER BY order_id LIMIT 1",
        "INSERT INTO trades SELECT 1, instrument, price, qty, aggressor_side, order_id, account, contra_order_id, contra_account, 1, 1 FROM trades LIMIT 1",
    )
    found = audit(trading)
    assert found["status"] == 1
    said = [(one["account"], one["what"]) for one in found["problems"]]
    assert any(account == 6 and what.startswith("balance of instrument 1") for account, what in said), said
    assert any("(account, leaves_qty, cum_qty)" in what for _, what in said), said
    report = rebuild(trading, "mysql")
    assert report.records > 0
    assert audit(trading)["problems"] == []
    trade(trading, 3)
    found = audit(trading)
    assert (found["status"], found["problems"]) == (0, [])
    assert in_mysql(trading, lambda db: db.fetch("SELECT COUNT(*) FROM api_keys")) == [(keys,)]
    assert in_mysql(trading, _tables_beside) == []


async def _tables_beside(db):
    return await db.fetch(
        "SELECT table_name FROM information_schema.tables WHERE table_schema = DATABASE() AND (table_name LIKE 'rebuild%%' OR table_name LIKE 'former%%')"
    )


def test_a_rebuild_under_load_leaves_no_gap_and_no_double(trading):
    """Orders come in all the while; then log and MySQL agree to the last posting."""
    stop = threading.Event()

    def load() -> None:
        while not stop.is_set():
            trade(trading, 10)

    thread = threading.Thread(target=load)
    thread.start()
    try:
        for _ in range(3):
            rebuild(trading, "mysql")
    finally:
        stop.set()
        thread.join(60)
    assert not thread.is_alive()
    found = audit(trading)
    assert (found["status"], found["problems"]) == (0, [])


def half_made(exchange) -> None:
    """A rebuild that ends in the middle."""

    async def half() -> None:
        settings = exchange.settings
        made = await MySqlGeneration.connect(settings.mysql_url, INSTRUMENTS, cluster_id(settings), decide, restart=False, drop_former=True)
        try:
            with Log(settings) as log:
                role = sink_role(settings)
                work = Rebuild(log, RebuildReport("mysql"), role.sources, quiet=True)
                ends = {where: end // 2 for where, end in work.ends().items()}
                await work.feed(made.sink, {}, ends, AsItIs(role.passed_by).read)
        finally:
            await made.close()

    asyncio.run(half())


def test_an_interrupted_rebuild_goes_on_where_it_was(trading):
    """And what is in use is untouched meanwhile."""
    half_made(trading)
    assert audit(trading)["problems"] == []
    report = rebuild(trading, "mysql")
    assert any(report.resumed_at.values())
    ends = in_mysql(trading, next_offsets)
    total = sum(
        ends[topic.name, partition]
        for topic in (EXECUTIONS, ACCOUNT_EVENTS, ALERTS)
        for partition in (0, 1)
        if (topic.name, partition) in ends
    )
    assert report.records < total
    assert audit(trading)["problems"] == []


def test_a_half_made_rebuild_of_another_log_is_refused_unless_restarted(trading):
    """Its rows are not of this one."""
    half_made(trading)
    change_mysql(trading, "UPDATE rebuild_origin SET origin = 'elsewhere'")
    done = outcry(trading, "rebuild", "mysql", "--quiet")
    assert done.returncode == 1
    assert "half-made rebuild of another log or version (elsewhere" in done.stderr
    rebuild(trading, "mysql", restart=True)
    assert audit(trading)["problems"] == []


def test_a_crash_in_the_middle_of_the_switch_makes_the_sink_wait_and_the_next_rebuild_finishes_it(trading):
    """Between the fence and the renaming: no row is stored by anybody, none is lost."""

    async def fence() -> None:
        settings = trading.settings
        made = await MySqlGeneration.connect(settings.mysql_url, INSTRUMENTS, cluster_id(settings), decide, restart=False, drop_former=True)
        try:
            with Log(settings) as log:
                role = sink_role(settings)
                work = Rebuild(log, RebuildReport("mysql"), role.sources, quiet=True)
                async with made._db.transaction() as transaction:
                    fenced = False
                    while not fenced:
                        await work.feed(made.sink, await made.offsets(), work.ends(), AsItIs(role.passed_by).read)
                        fenced = await mysql_generation._fence(transaction, whatever=False)
        finally:
            await made.close()

    asyncio.run(fence())
    with OrderProducer(trading.settings.kafka_url, INSTRUMENTS, sign=record_keys(trading.settings).signer(PRODUCER)) as producer:
        cl_ord_id = f"r-{uuid.uuid4()}"
        producer.new_order(
            account=6, cl_ord_id=cl_ord_id, symbol="AAPL", side="BUY", ord_type="LIMIT", time_in_force="IOC", order_qty="1", price="170.00"
        )
    rebuild(trading, "mysql")
    in_mysql(trading, lambda db: order_by_cl_ord_id(db, 6, cl_ord_id), lambda order: order is not None)
    assert audit(trading)["problems"] == []


def test_tables_of_another_log_are_refused_unless_forced(trading):
    """They say that they are ahead of this one."""
    change_mysql(
        trading, "INSERT INTO sink_marks VALUES ('mysql', 'executions', 1, 'x', 0, 0, 0, 0, 0, 0) ON DUPLICATE KEY UPDATE source = source",
        "UPDATE sink_marks SET next_offset = next_offset + 1000000 WHERE topic = 'alerts' AND source = ''",
        "INSERT IGNORE INTO sink_marks VALUES ('mysql', 'alerts', 1, '', 1000000, 0, 0, 0, 0, 0)",
    )  # fmt: skip
    done = outcry(trading, "rebuild", "mysql", "--quiet")
    assert done.returncode == 1
    assert "its tables are of another log" in done.stderr
    rebuild(trading, "mysql", force=True)
    assert audit(trading)["problems"] == []


def test_an_interrupt_leaves_everything_as_it_was(trading):
    """Exit status 130, and a sentence; audited before and after."""
    environment = {**os.environ, "OUTCRY_HOME": str(trading.settings.home)}
    process = subprocess.Popen(
        [sys.executable, "-m", "streams", "rebuild", "mysql"], env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        in_mysql(trading, _tables_beside, lambda names: bool(names) or process.poll() is not None)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=600)
    finally:
        process.kill()
    assert process.returncode in (0, 130), err  # it may have been done already
    assert process.returncode == 0 or "it goes on" in err
    assert "Traceback" not in err, err
    rebuild(trading, "mysql")
    assert audit(trading)["problems"] == []
    assert out is not None


def by_log(exchange) -> tuple[dict[str, int], dict[str, int]]:
    """What Elasticsearch must have: rows of each kind by the log, executions and account events."""
    log = read_log(exchange.settings)
    derived = {ExecKind.LEVEL, ExecKind.TOP, ExecKind.TIME, ExecKind.AUCTION_INDICATIVE}
    executions = Counter(ExecKind(kind).name for kind in log.executions["kind"].tolist() if kind not in derived)
    return dict(executions), dict(Counter(AccountEventKind(kind).name for kind in log.events["kind"].tolist()))


async def _audit_documents(settings) -> tuple[dict[str, int], dict[str, int]]:
    client = open_elasticsearch(settings.elasticsearch_url)
    try:
        await elastic_queries.refresh(client)
        return await elastic_queries.execution_counts(client), await elastic_queries.account_event_counts(client)
    finally:
        await client.close()


def test_elasticsearch_is_rebuilt_and_the_sink_goes_on_in_the_new_indices(trading):
    """Documents that were deleted are back, forged ones gone; twice, so that aliases are replaced too."""
    trade(trading, 2)
    wanted = by_log(trading)
    eventually(lambda: asyncio.run(_audit_documents(trading.settings)), lambda found: found == wanted)

    async def damage() -> None:
        client = open_elasticsearch(trading.settings.elasticsearch_url)
        try:
            hits = (await client.search(index="audit-executions-*", query={"term": {"kind": "TRADE"}}, size=5))["hits"]["hits"]
            for hit in hits:
                await client.delete(index=hit["_index"], id=hit["_id"])
            forged = hits[0]["_source"]
            await client.index(index=hits[0]["_index"], id="forged", document={**forged, "kind": "REJECTED"}, refresh=True)
        finally:
            await client.close()

    for _ in range(2):
        asyncio.run(damage())
        report = rebuild(trading, "elasticsearch")
        assert report.rows >= sum(wanted[0].values())
        eventually(lambda: asyncio.run(_audit_documents(trading.settings)), lambda found: found == wanted)
    trade(trading, 4)
    eventually(lambda: asyncio.run(_audit_documents(trading.settings)), lambda found: found[0].get("TRADE", 0) == wanted[0]["TRADE"] + 4)


def test_redis_is_rebuilt_from_executions_and_the_sink_goes_on(trading):
    """A wrong value with a sequence that no live value would ever replace, and a symbol that is not traded."""
    trade(trading, 1)

    async def prices():
        client = await open_redis(trading.settings.redis_url)
        try:
            return (
                (await last_prices(client, ["AAPL"])).get("AAPL"),
                await client.exists(key_of("price", "GONE")),
                await client.get("outcry:session:x"),
            )
        finally:
            await client.aclose()

    async def damage() -> None:
        client = await open_redis(trading.settings.redis_url)
        try:
            await client.hset(key_of("price", "AAPL"), mapping={"seq": 10**12, "price": 1})
            await client.hset(key_of("price", "GONE"), mapping={"seq": 1, "price": 1})
            await client.set("outcry:session:x", b"kept")
        finally:
            await client.aclose()

    executions = read_log(trading.settings).executions
    last = int(executions["trd_match_id"][(executions["kind"] == ExecKind.TRADE) & (executions["instrument"] == 1)][-1])
    wanted, _, _ = eventually(lambda: asyncio.run(prices()), lambda found: found[0] is not None and found[0]["trd_match_id"] == last)
    asyncio.run(damage())
    rebuild(trading, "redis")
    eventually(lambda: asyncio.run(prices()), lambda found: found == (wanted, 0, b"kept"))
    trade(trading, 1, px="180.20")
    eventually(lambda: asyncio.run(prices()), lambda found: found[0]["price"] == 18_020 and found[0]["seq"] == wanted["seq"] + 1)
