"""`outcry book` on a real log: the book as of an offset, made without any role and without writing anything."""

import time

import pytest
from confluent_kafka import Producer
from support.log_reader import read_partition

from matchers.research.backtest import commands, open_market
from schemas.codec import Header, encode_frame
from schemas.enums import BookCommandKind, OrdType, Phase, Side
from schemas.errors import OutcryError
from schemas.instruments import load_instruments
from schemas.settings import Settings
from streams.operate.topics import create_topics
from streams.process.record_keys import record_keys
from streams.research.inspect_book import book_of_log
from streams.services.local_set import LocalSet
from streams.transport.cluster import TopicsMissing
from topics.catalogue import BOOK_COMMANDS
from topics.roles import HOLD_FUNDS
from topics.speakers import OPERATOR

pytestmark = pytest.mark.integration
INSTRUMENTS = load_instruments(None)
AAPL, MSFT = INSTRUMENTS.by_symbol["AAPL"], INSTRUMENTS.by_symbol["MSFT"]


@pytest.fixture(scope="module")
def kafka(tmp_path_factory):
    """A Kafka of its own: no role reads this log."""
    home = tmp_path_factory.mktemp("inspector")
    with LocalSet(Settings(home=home, account_shards=2, book_shards=2)).running(services=("kafka",)) as settings:
        yield settings


def test_the_book_of_a_log_is_that_of_any_of_its_offsets(kafka):
    """Frames that came twice count once, what is no frame counts for nothing, and the log stays as it is."""
    with pytest.raises(TopicsMissing):
        book_of_log(kafka, None, INSTRUMENTS, AAPL, 0)
    create_topics(kafka)
    assert book_of_log(kafka, None, INSTRUMENTS, AAPL, 0).where == "book.commands/1 is empty"
    producer = Producer({"bootstrap.servers": kafka.kafka_url, "log_level": 0})

    keys = record_keys(kafka)
    signers = {speaker: keys.signer(speaker) for speaker in (HOLD_FUNDS.name, OPERATOR)}

    def send(value, speaker=HOLD_FUNDS.name):
        producer.produce(BOOK_COMMANDS.name, value, partition=1, headers=signers[speaker](BOOK_COMMANDS.name, 1, value))

    def order(source_offset, order_id, side, price, qty, source="account.commands/0"):
        row = commands(
            1, kind=BookCommandKind.NEW_ORDER, instrument=AAPL.number, account=order_id, order_id=order_id, side=side, ord_type=OrdType.LIMIT,
            order_qty=qty, price=price, transact_time=time.time_ns(),
        )  # fmt: skip
        send(encode_frame("book_command_frame", Header(source, source_offset), row))

    send(encode_frame("book_command_frame", Header("operator-1", created_at=time.time_ns()), open_market()), OPERATOR)
    order(1, 11, Side.BUY, 18_000, 10)
    order(2, 12, Side.SELL, 18_010, 7)
    order(2, 12, Side.SELL, 18_010, 7)
    send(b"no frame")
    order(1, 13, Side.BUY, 18_010, 2, "account.commands/1")
    assert producer.flush(30) == 0

    now = book_of_log(kafka, None, INSTRUMENTS, AAPL, 12)
    assert (now.where, now.view.phase, now.view.last_px) == ("offset 5 of book.commands/1", Phase.CONTINUOUS, 18_010)
    assert [(level.price, level.qty) for level in (*now.view.bids, *now.view.asks)] == [(18_000, 10), (18_010, 5)]
    assert now.entered_at.keys() == {11, 12}
    before = book_of_log(kafka, 1, INSTRUMENTS, AAPL, 0)
    assert ([level.price for level in before.view.bids], before.view.asks) == ([18_000], ())
    assert book_of_log(kafka, None, INSTRUMENTS, MSFT, 0).where == "book.commands/0 is empty"
    with pytest.raises(OutcryError, match="has no offset 6; its last is 5"):
        book_of_log(kafka, 6, INSTRUMENTS, AAPL, 0)
    assert len(list(read_partition(kafka, BOOK_COMMANDS, 1))) == 6
