"""The role that runs the second stage: party.facts in, alerts out, whatever comes twice, late, damaged or from the wrong sender."""

from typing import Any

import pytest
from support.memory_log import INSTRUMENTS as EXCHANGES
from support.memory_log import Exchange
from support.party_facts import INSTRUMENTS, SECOND, START, WHO, Facts, ahead, cross_book, stored, takeover

from schemas.codec import decode_record, encode_record
from schemas.enums import Side
from schemas.errors import StaleData
from streams.host.shard_runner import Output, Record, ShardRunner
from streams.host.snapshots import SnapshotStore
from streams.proofs.verified_roles import Setup
from streams.proofs.verify import Range, ShardVerifier
from streams.roles.watch_accounts import WatchAccounts
from topics.catalogue import ALERTS, DEAD_LETTERS, PARTY_FACTS
from topics.record_codes import Key, Keyring, code_of
from topics.roles import EDGE, WATCH_TRADING
from topics.speakers import OPERATOR

BOOKS = 2
LATER = START + 3_600 * SECOND
KEYS = {name: Key(f"{name}-1", name, name.encode().ljust(32, b"."), 1) for name in (EDGE.name, WATCH_TRADING.name, OPERATOR)}
RING = Keyring(tuple(KEYS.values()))


def role() -> WatchAccounts:
    """Without a state."""
    return WatchAccounts(0, INSTRUMENTS, BOOKS)


def log_of(facts: Facts) -> list[bytes]:
    """The values of the topic."""
    return [stored(one) for one in facts.records]


def feed(runner: ShardRunner, values: list[bytes], first: int = 0) -> list[Output]:
    """All of them, each at its offset."""
    return [
        output
        for offset, value in enumerate(values, first)
        for output in runner.feed(Record(PARTY_FACTS.name, 0, offset, LATER, None, value))
    ]


def patterns(outputs: list[Output]) -> list[tuple[str, str, int]]:
    """(topic, pattern, partition) of each."""
    return [(one.topic, decode_record(one.value)[1]["pattern"], one.partition) for one in outputs]


@pytest.mark.parametrize(
    ("facts", "pattern", "partition"), [(takeover(), "ACCOUNT_TAKEOVER", 1), (ahead(), "AHEAD_OF_NEWS", 1), (cross_book(), "CROSS_BOOK", 0)]
)
def test_an_alert_goes_to_the_partition_of_its_instruments_book(facts: Facts, pattern: str, partition: int) -> None:
    """So its revisions are in one partition, in order. It names the fact that completed it."""
    outputs = feed(ShardRunner(role()), log_of(facts))
    assert set(patterns(outputs)) == {(ALERTS.name, pattern, partition)}
    assert decode_record(outputs[0].value)[1]["source"].startswith("party.facts/0@")


@pytest.mark.parametrize("facts", [cross_book(turns=4), takeover(), ahead()], ids=["cross_book", "takeover", "news"])
def test_what_comes_twice_or_after_a_restart_changes_nothing(facts: Facts) -> None:
    """A worker of watch-trading that restarts writes its last facts again, and our own one reads from its snapshot: same bytes, same state."""
    values = log_of(facts)
    clean = ShardRunner(role())
    expected = feed(clean, values)
    books = [value for value, fact in zip(values, facts.records, strict=True) if fact["kind"] == "BOOK"]
    doubled, store = ShardRunner(role()), SnapshotStore()
    middle = len(values) // 2
    found = feed(doubled, values[:middle])
    table = dict(store.changes(doubled.processor.snapshot(), doubled.meta()))
    restored = ShardRunner(role(), SnapshotStore().load(table.get))
    assert feed(restored, values[middle - 3 : middle], middle - 3) == [], "below its snapshot"
    found += feed(restored, values[middle:], middle)
    assert [one.value for one in found] == [one.value for one in expected]
    assert restored.processor.state_hash() == clean.processor.state_hash()
    assert feed(clean, books, len(values)) == []
    assert clean.stats().duplicates == len(books)


def fact(schema: str = "sign_in", **given: Any) -> bytes:
    """One that is good but for what is given."""
    good: dict[str, Any] = {
        "source": "executions/1" if schema == "book_sums" else "edge-0", "source_offset": 0, "source_index": 0, "created_at": LATER, "at": START,
        "instrument": 1, "middle": 1, "level_qty": 1, "taken": 0, "sums": [], "account": WHO, "place": "x", "door": "a door", "headline": "News",
    }  # fmt: skip
    return encode_record(schema, good | given)


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (b"", "NOT_SINGLE_OBJECT"),
        (fact()[:-1], "TRUNCATED"),
        (encode_record("access_event", {"at_ns": 1, "act": "", "person": "", "address": "", "what": "", "detail": ""}), "WRONG_SCHEMA"),
        (fact(account=0), "BAD_COLUMN"),
        (fact(place=""), "BAD_COLUMN"),
        (fact(place="x" * 101), "BAD_COLUMN"),
        (fact(source="executions/1"), "BAD_COLUMN"),
        (fact("news", instrument=77), "BAD_COLUMN"),
        (fact("news", headline="x" * 501), "BAD_COLUMN"),
        (fact("book_sums", source="edge-0"), "BAD_COLUMN"),
        (fact("book_sums", source="account.events/0"), "WRONG_SOURCE"),
        (fact("book_sums", source_offset=1 << 60), "WRONG_PLACE"),
        (fact("book_sums", at=-1), "BAD_COLUMN"),
    ],
)
def test_a_record_that_is_no_fact_is_a_dead_letter_and_changes_nothing(value: bytes, said: str) -> None:
    """With its reason; the role goes on."""
    runner = ShardRunner(role())
    before = runner.processor.state_hash()
    (letter,) = feed(runner, [value])
    assert (letter.topic, decode_record(letter.value)[1]["reason"]) == (DEAD_LETTERS.name, said)
    assert runner.processor.state_hash() == before


def test_a_time_in_the_future_is_that_of_the_log() -> None:
    """Or one forged sign-in would end every window."""
    runner = ShardRunner(role())
    assert feed(runner, [fact(at=1 << 62)]) == []
    assert runner.processor.log_time == LATER + SECOND


@pytest.mark.parametrize(
    ("speaker", "value", "taken"),
    [
        (EDGE.name, fact(), True),
        (EDGE.name, fact("news"), False),
        (EDGE.name, fact("book_sums"), False),
        (OPERATOR, fact("news", source="operator"), True),
        (OPERATOR, fact("news", source="operator", created_at=LATER - 3_600 * SECOND), False),
        (OPERATOR, fact(), False),
        (WATCH_TRADING.name, fact("book_sums"), True),
        (WATCH_TRADING.name, fact("news"), False),
    ],
)
def test_each_sender_may_tell_its_own_kind_of_fact_only(speaker: str, value: bytes, taken: bool) -> None:
    """An edge knows nothing of trades, and nobody but an operator publishes news, or sends an old copy of it."""
    code = code_of(KEYS[speaker].headers(PARTY_FACTS.name, 0, value))
    proof = RING.proof(PARTY_FACTS.name, 0, value, code, LATER)
    outputs = ShardRunner(role()).feed(Record(PARTY_FACTS.name, 0, 0, LATER, None, value, proof))
    reasons = [decode_record(one.value)[1]["reason"] for one in outputs]
    assert reasons == ([] if taken else ["NO_RIGHT"])


def test_a_snapshot_of_another_number_of_books_is_refused() -> None:
    """Its alerts would go to other partitions."""
    runner, store = ShardRunner(role()), SnapshotStore()
    feed(runner, [fact()])
    table = dict(store.changes(runner.processor.snapshot(), runner.meta()))
    with pytest.raises(StaleData, match="numbers of shards"):
        ShardRunner(WatchAccounts(0, INSTRUMENTS, 4), SnapshotStore().load(table.get))


def test_a_takeover_and_trading_ahead_of_news_are_found_from_orders_to_alerts() -> None:
    """Every role of the exchange, from customers' orders on: account 2 is opened from elsewhere and buys dear from 4 alone; 3 buys before news."""
    exchange = Exchange()
    exchange.open_market()
    exchange.deposit((*range(1, 5), 9, 10), 10_000_000_000, 100_000)

    def told(schema: str, **given: Any) -> None:
        exchange.log.append(PARTY_FACTS.name, 0, fact(schema, **{"created_at": exchange.clock, "at": exchange.clock} | given))
        exchange.settle()

    def half(number: int, price: int = 18_000) -> None:
        """Makers quote around a price, a customer trades, and time passes."""
        exchange.order(9, Side.BUY, 20, price - 5, f"bid{number}")
        exchange.order(10, Side.SELL, 20, price + 5, f"ask{number}")
        exchange.order(1, Side.BUY, 5, price + 5, f"usual{number}")
        exchange.order(2, Side.SELL, 1, price - 5, f"small{number}")

    def passed(number: int) -> None:
        exchange.cancel(9, f"bid{number}")
        exchange.cancel(10, f"ask{number}")
        exchange.wait(31)

    told("sign_in", account=2, place="home")
    for number in range(12):
        half(number, 18_000 + number % 2)
        passed(number)
    told("sign_in", account=2, place="elsewhere")
    for number in range(12, 15):
        half(number)
        exchange.order(4, Side.SELL, 300, 18_400, f"dear{number}")
        exchange.order(2, Side.BUY, 400, 18_400, f"stolen{number}")
        exchange.cancel(2, f"stolen{number}")
        exchange.order(10, Side.SELL, 20, 18_005, f"again{number}")
        exchange.order(1, Side.BUY, 20, 18_005, f"market{number}")
        passed(number)
    for number in range(15, 21):
        half(number, 18_000 + number % 2)
        exchange.order(10, Side.SELL, 100, 18_006, f"offer{number}")
        exchange.order(3, Side.BUY, 100, 18_006, f"knew{number}")
        exchange.cancel(10, f"offer{number}")
        passed(number)
    told("news", source="operator", headline="A takeover bid")
    for number in range(21, 28):
        half(number, 18_400)
        passed(number)
    exchange.snapshot()
    alerts = [decode_record(one.value)[1] for one in exchange.log.parts[ALERTS.name, 1]]
    second = {(one["pattern"], one["account"]) for one in alerts if one["source"].startswith("party.facts/0@")}
    assert {("ACCOUNT_TAKEOVER", 2), ("AHEAD_OF_NEWS", 3)} <= second
    assert {account for _, account in second} == {2, 3}, "2 bought before the news too"
    report = ShardVerifier(exchange.log, "parties", 0, Setup(EXCHANGES, {PARTY_FACTS.name: 1, ALERTS.name: 2}), Range(), quiet=True).run()
    assert (report.difference, report.hashes_compared) == (None, 1)
    assert report.compared.by_topic[ALERTS.name] >= 2
