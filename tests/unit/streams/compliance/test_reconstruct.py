"""`outcry reconstruct`: orders, accounts and books as of any moment, against what the shards themselves had then."""

from contextlib import nullcontext

import orjson
import pytest
from click.testing import CliRunner
from support.records.reported_day import DAY, SECOND, reported_exchange

from audit.keys import read_exchange_keys
from audit.log_store import LogStore, Position
from audit.verifier import main
from schemas.errors import OutcryError
from schemas.settings import Settings
from streams.compliance import reconstruct as module
from streams.compliance.reconstruct import moment_ns, reconstruct
from streams.host.seal_partition import SealedPartition
from streams.proofs import audit_keys
from topics.roles import AUDIT_LOG

ICEBERG = "17592186044425"
NINE = "2027-01-15T09:00:02"


@pytest.fixture(scope="module")
def exchange():
    """After the day."""
    return reported_exchange()


@pytest.fixture
def settings(tmp_path, exchange, monkeypatch):
    """Of a home of its own."""
    monkeypatch.setattr(module, "Log", lambda settings: nullcontext(exchange.log))
    return Settings(home=tmp_path)


def run(settings, *arguments):
    """One command; an OutcryError is raised, as the program's main function tells it."""
    found = CliRunner().invoke(reconstruct, [str(one) for one in (*arguments, "--quiet")], obj=settings)
    if isinstance(found.exception, OutcryError):
        raise found.exception
    assert found.exception is None or isinstance(found.exception, SystemExit), found.exception
    return found


def of(settings, *arguments):
    """Its JSON."""
    return orjson.loads(run(settings, *arguments, "--json").output)


def test_every_state_of_an_order_is_there_in_its_order(settings):
    """Of its account shard and of its book, with the input that made each."""
    found = of(settings, "--order", ICEBERG)["changes"]
    assert [(one["kind"], one["partition"].partition("/")[0]) for one in found] == [
        ("ACCEPTED", "account.events"), ("NEW", "executions"), ("REPLACE_PENDING", "account.events"), ("REPLACED", "executions"),
        ("REPLACED", "account.events"), ("EXPIRED", "executions"), ("EXPIRED", "account.events"),
    ]  # fmt: skip
    assert (found[0]["order_qty"], found[3]["leaves_qty"], found[5]["leaves_qty"]) == ("100", "10", "0")
    assert (found[0]["cl_ord_id"], found[4]["cl_ord_id"], found[5]["reason"]) == ("c18", "c20", "END_OF_DAY")
    assert found[0]["source"].startswith("account.commands/1 offset ")
    assert len(of(settings, "--order", ICEBERG, "--to", NINE)["changes"]) == 2
    assert "EXPIRED" in run(settings, "--order", ICEBERG).output


def test_an_account_is_what_its_shard_says_at_that_moment(settings, exchange):
    """At the end; before the day; and with the changes between two moments."""
    found = of(settings, "--account", 5)
    rows = exchange.runners["hold-funds", "accounts", "account.commands", 1].processor.snapshot()
    account = next(row for row in rows["accounts"] if row["account"] == 5)
    assert found["cash"] == f"{account['cash'] // 10_000}.{account['cash'] % 10_000 // 100:02}"
    assert (found["cash_held"], found["orders"]) == ("0.00", {})
    early = of(settings, "--account", 5, "--to", "2027-01-15T00:00:00")
    assert (early["cash"], early["positions"]) == (
        "1000000000.00",
        {name: {"position": "100000", "held": "0"} for name in ("AAPL", "MSFT")},
    )
    between = of(settings, "--account", 5, "--from", "2027-01-15T09:00:00", "--to", NINE)
    assert {one["kind"] for one in between["changes"]} == {"ACCEPTED", "TRADE"}
    assert list(between["orders"]) == [ICEBERG]
    assert between["positions"]["AAPL"] == {"position": "99975", "held": "100"}
    assert f"open order {ICEBERG}" in run(settings, "--account", 5, "--to", NINE).output


def test_a_book_is_what_it_was_at_that_moment(settings):
    """The queue of the call phase, the continuous market, and the end."""
    call = of(settings, "--symbol", "AAPL", "--to", "2027-01-15T09:00:00.000009000")["book"]
    assert (call["phase"], [one["price"] for one in call["bids"]]) == ("PRE_OPEN", ["180.1", "180.05", "180", "170"])
    later = of(settings, "--symbol", "AAPL", "--to", NINE, "--from", "2027-01-15T09:00:01")
    assert (later["book"]["phase"], later["book"]["asks"][0]["price"]) == ("CONTINUOUS", "180.31")
    assert {one["symbol"] for one in later["changes"]} == {"AAPL"}
    assert of(settings, "--symbol", "AAPL")["book"]["phase"] == "CLOSED"
    assert "CONTINUOUS" in run(settings, "--symbol", "AAPL", "--to", NINE).output


def test_the_records_of_the_changes_are_proven(settings, exchange, tmp_path, monkeypatch):
    """With the verifier that strangers run; inputs too."""
    counts = {topic.name: exchange.log.partitions(topic) for topic in AUDIT_LOG.reads}
    monkeypatch.setattr(audit_keys, "partition_counts", lambda settings, *topics: counts)
    assert CliRunner().invoke(audit_keys.keys, ["create", "--name", "exchange.example/audit"], obj=settings).exit_code == 0
    keys = read_exchange_keys(settings.audit_keys_file)
    for topic, partitions in counts.items():
        for number in range(partitions):
            one = SealedPartition(
                topic, number, LogStore(settings.audit_dir / topic / str(number), keys.origin(topic, number), keys, Position(0))
            )
            for record in exchange.log.parts[topic, number]:
                one.take(record, 0.0)
            one.commit()
    out = tmp_path / "proofs"
    run(settings, "--order", ICEBERG, "--proofs", out)
    proofs = sorted(out.glob("*.tlog-proof"))
    assert {path.name.split("-")[0] for path in proofs} == {"account.commands", "account.events", "book.commands", "executions"}
    for proof in proofs:
        assert main(["proof", str(proof), "--record", str(proof.with_suffix(".record")), "--policy", str(out / "policy")]) == 0
    with pytest.raises(OutcryError, match="no changes to prove"):
        run(settings, "--account", 5, "--proofs", out)


def test_what_was_not_there_is_said(settings):
    """Neither an order before it came, nor an account that nobody opened."""
    for arguments, words in (
        (("--order", ICEBERG, "--to", "2027-01-15T09:00:00"), "has no event of order"), (("--order", str(9 << 44)), "is of account shard 9"),
        (("--account", 99), "has no event of account 99"), (("--order", "x"), "is no order id"),
    ):  # fmt: skip
        with pytest.raises(OutcryError, match=words):
            run(settings, *arguments)
    for arguments in ((), ("--account", 1, "--symbol", "AAPL"), ("--symbol", "NONE"), ("--account", 1, "--to", "noon"),
                      ("--account", 1, "--from", "2027-01-16T00:00:00", "--to", "2027-01-15T00:00:00")):  # fmt: skip
        assert run(settings, *arguments).exit_code == 2


def test_moments_have_nanoseconds_and_are_new_yorks():
    """Unless they say another offset."""
    assert moment_ns("2027-01-15T00:00:00") == DAY.start_ns
    assert moment_ns("2027-01-15T00:00:00.000000001") == DAY.start_ns + 1
    assert moment_ns("2027-01-15T05:00:01.5Z") == DAY.start_ns + 3 * SECOND // 2
    for text in ("2027-01-15T00:00:00.", "2027-01-15T00:00:00.0123456789", "now"):
        with pytest.raises(OutcryError, match="is no moment"):
            moment_ns(text)
