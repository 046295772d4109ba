"""The producer library against a real broker: what arrives, what blocks, what is reported lost."""

import time
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pytest
from confluent_kafka import Consumer, TopicPartition
from confluent_kafka.admin import AdminClient
from support.frozen_process import frozen
from support.log_reader import bounds

from schemas.codec import Frame, Rows, decode_frame
from schemas.enums import CommandKind, OrdType, Side, TimeInForce
from schemas.errors import OutcryError
from schemas.settings import Settings
from streams.operate.topics import create_topics
from streams.services.local_set import LocalSet
from topics import DeliveryFailed, OrderProducer
from topics.catalogue import ACCOUNT_COMMANDS, TOPICS
from topics.producer import ROW_DTYPE, BufferFull, Undelivered

SHARDS = 3
WAIT_S = 300


@pytest.fixture(scope="module")
def kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Settings]:
    """A broker of its own, with account.commands in three partitions."""
    local = LocalSet(Settings(home=tmp_path_factory.mktemp("home")))
    with local.running(services=("kafka",)) as settings:
        yield settings


@dataclass(frozen=True)
class Commands:
    """account.commands, from where a test began: topics of one name that are deleted and made anew can lose what was acknowledged."""

    url: str
    starts: dict[int, int]

    def frames(self, rows: int) -> dict[int, list[Frame]]:
        """By partition, until so many commands were read."""
        found: dict[int, list[Frame]] = {p: [] for p in range(SHARDS)}
        consumer = reader(self.url)
        consumer.assign([TopicPartition(ACCOUNT_COMMANDS.name, p, start) for p, start in self.starts.items()])
        deadline = time.monotonic() + WAIT_S
        try:
            while rows > 0:
                assert time.monotonic() < deadline, f"{rows} commands did not arrive"
                message = consumer.poll(1.0)
                if message is not None and message.error() is None:
                    frame = decode_frame(message.value() or b"")
                    found[message.partition() or 0].append(frame)
                    rows -= len(frame.rows)
        finally:
            consumer.close()
        return found


def reader(kafka_url: str) -> Consumer:
    """In no group."""
    return Consumer({"bootstrap.servers": kafka_url, "group.id": "reader", "enable.auto.commit": False, "fetch.message.max.bytes": 8 << 20})


@pytest.fixture(scope="module")
def with_topics(kafka: Settings) -> Settings:
    """The broker, with all topics."""
    create_topics(kafka.model_copy(update={"account_shards": SHARDS}))
    admin, names = AdminClient({"bootstrap.servers": kafka.kafka_url}), {topic.name for topic in TOPICS}
    deadline = time.monotonic() + WAIT_S
    while not names <= admin.list_topics(timeout=60).topics.keys():
        assert time.monotonic() < deadline, "the broker does not tell of the topics that it has made"
    return kafka


@pytest.fixture
def topic(with_topics: Settings) -> Commands:
    """As of now."""
    consumer = reader(with_topics.kafka_url)
    try:
        return Commands(with_topics.kafka_url, {p: bounds(consumer, ACCOUNT_COMMANDS.name, p)[1] for p in range(SHARDS)})
    finally:
        consumer.close()


def many(count: int) -> tuple[Rows, Rows]:
    """`count` limit orders of accounts 1, 2, 3, ... and their ids."""
    rows = np.zeros(count, ROW_DTYPE)
    rows["kind"], rows["side"], rows["ord_type"], rows["time_in_force"] = CommandKind.NEW_ORDER, Side.BUY, OrdType.LIMIT, TimeInForce.DAY
    rows["instrument"], rows["order_qty"], rows["price"], rows["account"] = 1, 10, 18_000, np.arange(1, count + 1)
    return rows, np.char.add("id-", np.arange(count).astype("U8")).astype("S")


def test_a_missing_topic_is_named(kafka: Settings) -> None:
    """Nothing is created by accident; the error says what to run. Before the other tests, which need the topics."""
    with pytest.raises(OutcryError, match="account.commands.*outcry topics create"):
        OrderProducer(kafka.kafka_url)


def test_every_command_arrives_on_its_shard_in_the_order_of_its_account(topic: Commands) -> None:
    """Single orders and cancels are batched; each account's commands keep their order."""
    with OrderProducer(topic.url, producer_id="me", frame_rows=50) as producer:
        for number in range(300):
            account = number % 7
            producer.new_order(account=account, cl_ord_id=f"o{number}", symbol="MSFT", side="sell", order_qty=5, price="410.01")
            producer.cancel(account=account, cl_ord_id=f"o{number}")
    frames = topic.frames(600)
    seen: dict[int, list[tuple[int, bytes]]] = {}
    for partition, of_shard in frames.items():
        for frame in of_shard:
            assert frame.header.source == "me" and len(frame.rows) <= 50
            assert frame.cl_ord_id is not None
            for row, text in zip(frame.rows, frame.cl_ord_id, strict=True):
                assert row["account"] % SHARDS == partition
                seen.setdefault(int(row["account"]), []).append((int(row["kind"]), bytes(text)))
    for account, commands in seen.items():
        expected = [
            (kind, f"o{n}".encode()) for n in range(300) if n % 7 == account for kind in (CommandKind.NEW_ORDER, CommandKind.CANCEL)
        ]
        assert commands == expected
    numbers = sorted(frame.header.source_offset for of_shard in frames.values() for frame in of_shard)
    assert numbers == list(range(1, len(numbers) + 1)), "frames are numbered densely"
    assert len(numbers) < 100, "600 commands make a few frames"


def test_a_lone_order_is_sent_without_a_flush(topic: Commands) -> None:
    """Nothing waits for a batch to fill."""
    with OrderProducer(topic.url) as producer:
        producer.new_order(account=1, cl_ord_id="alone", symbol="AAPL", side="buy", order_qty=1, price="180")
        assert len(topic.frames(1)[1]) == 1
        stats = producer.stats()
        assert (stats.commands_taken, stats.commands_failed) == (1, 0)


def test_the_array_form_splits_by_shard_and_by_size(topic: Commands) -> None:
    """50,000 rows become a few large frames, all delivered."""
    rows, ids = many(50_000)
    with OrderProducer(topic.url) as producer:
        producer.new_orders(rows, ids)
        producer.flush()
        stats = producer.stats()
        assert (stats.commands_delivered, stats.commands_waiting) == (50_000, 0)
        assert stats.frames_sent == 6
    frames = topic.frames(50_000)
    assert {f.rows["account"][0] % SHARDS for of_shard in frames.values() for f in of_shard} == {0, 1, 2}
    assert all((frame.rows["transact_time"] > 0).all() for of_shard in frames.values() for frame in of_shard)


def test_a_list_stays_in_one_frame_and_a_replace_behind_it(topic: Commands) -> None:
    """Frames of four rows: five brackets are never cut; single orders between them keep their place."""
    leg = {"side": "sell", "order_qty": 5}
    with OrderProducer(topic.url, frame_rows=4) as producer:
        for number in range(5):
            producer.new_order(account=1, cl_ord_id=f"one{number}", symbol="AAPL", side="buy", order_qty=1, price="180")
            producer.new_order_list(account=1, symbol="AAPL", contingency_type="bracket", orders=[
                {"cl_ord_id": f"a{number}", "side": "buy", "order_qty": 5, "price": "180"},
                {"cl_ord_id": f"b{number}", "price": "190", **leg},  # type: ignore[typeddict-item]  # mypy does not follow **
                {"cl_ord_id": f"c{number}", "ord_type": "stop", "stop_px": "170", **leg},  # type: ignore[typeddict-item]
            ])  # fmt: skip
        producer.replace(account=1, symbol="AAPL", cl_ord_id="a0", order_qty=6, price="181")
    frames = topic.frames(21)[1]
    texts = [bytes(text) for frame in frames for text in (frame.cl_ord_id if frame.cl_ord_id is not None else ())]
    assert texts == [name.encode() for n in range(5) for name in (f"one{n}", f"a{n}", f"b{n}", f"c{n}")] + [b"a0"]
    for frame in frames:
        lists = frame.rows["list_id"][frame.rows["list_id"] > 0].tolist()
        assert all(lists.count(one) == 3 for one in lists)
    assert frames[-1].rows["kind"][-1] == CommandKind.REPLACE


def test_a_closed_producer_takes_nothing(topic: Commands) -> None:
    """A late call is a fault of the caller, said loudly."""
    producer = OrderProducer(topic.url)
    producer.close()
    with pytest.raises(RuntimeError, match="closed"):
        producer.cancel(account=1, cl_ord_id="late")


def test_a_broker_that_stops_fills_the_buffer_and_every_loss_is_listed(topic: Commands, kafka: Settings) -> None:
    """A frozen broker: a full buffer refuses, and the time-out names each command, by callback and by flush. The last test of this broker."""
    broker = int((kafka.run_dir / "kafka.pid").read_text())
    told: list[Undelivered] = []
    producer = OrderProducer(
        topic.url, buffer_rows_max=100, frame_rows=10, block_timeout_s=0, delivery_timeout_s=2, on_delivery_error=told.extend
    )
    producer.new_order(account=1, cl_ord_id="before", symbol="AAPL", side="buy", order_qty=1, price="180")
    producer.flush()
    with frozen(broker):
        for number in range(100):
            producer.new_order(account=number, cl_ord_id=f"lost{number}", symbol="AAPL", side="buy", order_qty=1, price="180")
        with pytest.raises(BufferFull, match="100 commands wait"):
            producer.new_order(account=1, cl_ord_id="too many", symbol="AAPL", side="buy", order_qty=1, price="180")
        with pytest.raises(DeliveryFailed) as caught:
            producer.flush()
    lost = {f"lost{number}" for number in range(100)}
    assert {one.cl_ord_id for one in caught.value.undelivered} == lost
    stats = producer.stats()
    assert (stats.commands_failed, stats.commands_waiting) == (100, 0)
    producer.close()  # nothing new was lost
    assert {one.cl_ord_id for one in told} == lost  # the callback runs in the producer's thread, which has ended
