"""Forged records of every schema into every topic while trading: money is as it would be without them, no shard stops, each is a dead letter."""

import random
from collections import Counter
from collections.abc import Callable
from typing import Any, Final, cast

import numpy as np
import pytest
from confluent_kafka import Message
from support.memory_log import SHARDS, START, Exchange, MemoryLog
from support.records.case_records import opening

from edge.gateway.accounts.reply_consumer import ReplyConsumer
from edge.gateway.market.consumer import MarketConsumer
from schemas.codec import FRAME_NAMES, FRAMES, RECORD_NAMES, BadBytes, Header, decode_header, decode_record, encode_frame, encode_record
from schemas.enums import Side
from schemas.errors import StaleData
from sinks import Input
from streams.host.lost_records import lost_record
from streams.host.placement import Placement, move_record
from streams.host.set_aside import listed
from streams.host.shard_runner import Record
from streams.host.sink_feeder import input_of
from topics.catalogue import (
    ACCOUNT_COMMANDS,
    BOOK_COMMANDS,
    DEAD_LETTERS,
    EDGE_REPLIES,
    EXECUTIONS,
    MARKET_DATA,
    PARTY_FACTS,
    SET_ASIDE,
    TOPICS,
    Topic,
)
from topics.key_files import RecordKeys
from topics.record_codes import HEADER, Key, Keyring, code_of
from topics.roles import MATCH_ORDERS, WATCH_TRADING
from topics.sources import UNPROVEN, names_shard, topic_named
from topics.speakers import CLOCK, OPERATOR, PRODUCER, SPEAKERS, WRITERS, may_write, shards_of

FORGED: Final = 10_000
ROUNDS: Final = 20
"""Of trading, with forged records before each."""
OF_SHARDS: Final = (ACCOUNT_COMMANDS.name, BOOK_COMMANDS.name, EXECUTIONS.name)


def key(speaker: str, number: int = 1, until_ns: int | None = None) -> Key:
    """From the beginning."""
    return Key(f"{speaker}-{number}", speaker, f"{speaker}{number}".encode().ljust(32, b"."), 0, until_ns)


ENDED: Final = key(MATCH_ORDERS.name, 2, until_ns=START)
STRANGE: Final = key(MATCH_ORDERS.name, 3)
"""Not one of the ring's."""
RING: Final = Keyring((*map(key, SPEAKERS), ENDED))


class ProvenLog(MemoryLog):
    """What the exchange and its customers write is signed with their keys."""

    def append(self, topic: str, partition: int, value: bytes, record_key: bytes | None = None) -> int:
        if topic not in WRITERS:
            return super().append(topic, partition, value, record_key)
        return self.add(topic, partition, value, code_of(RING.of(speaker_of(topic, value))[0].headers(topic, partition, value)))

    def add(self, topic: str, partition: int, value: bytes, code: bytes | None) -> int:
        """A record with any code."""
        part = self.parts[topic, partition]
        part.append(Record(topic, partition, len(part), START, None, value, RING.proof(topic, partition, value, code, START)))
        return len(part) - 1


def speaker_of(topic: str, value: bytes) -> str:
    """Who writes this."""
    if topic == PARTY_FACTS.name:
        return WATCH_TRADING.name
    if topic == DEAD_LETTERS.name:
        return MATCH_ORDERS.name
    found = decode_header(value)
    if found is None or found[1].source == "tests":
        return PRODUCER
    source = found[1].source
    return shards_of(topic_named(topic)) if names_shard(source) else MATCH_ORDERS.name if source == CLOCK else OPERATOR


class Trading(Exchange):
    """The small exchange with proven records, and surveillance."""

    def __init__(self) -> None:
        super().__init__()
        self.log = ProvenLog()

    def settle(self) -> None:
        """As Exchange's; two roles read executions."""
        busy = True
        while busy:
            busy = False
            for (_, _, topic, shard), runner in self.runners.items():
                for record in self.log.parts[topic, shard][runner.next_offset :]:
                    busy = True
                    for output in runner.feed(record):
                        self.log.append(output.topic, output.partition, output.value)

    def _send(self, account, rows, texts) -> None:
        source = "operator" if (rows["kind"] == 4).any() else "tests"
        value = encode_frame(
            "order_command_frame", Header(source, created_at=self.clock), rows, np.array([text.encode() for text in texts])
        )
        self.log.append(ACCOUNT_COMMANDS.name, account % SHARDS, value)

    def round(self, number: int) -> None:
        """A trade, an order that rests, a cancel."""
        self.order(1 + number % 2, Side.SELL, 10, 18_000, f"s{number}")
        self.order(3 + number % 2, Side.BUY, 7, 18_000, f"b{number}")
        self.order(3, Side.BUY, 1, 17_000, f"r{number}", instrument=2)
        self.cancel(1 + number % 2, f"s{number}")

    def hashes(self) -> dict[tuple[str, int], str]:
        """Of the states that money is in."""
        return {
            (role, shard): runner.processor.state_hash().hex()
            for (role, _, _, shard), runner in self.runners.items()
            if role not in ("watch-trading", "watch-accounts")  # their alerts name offsets
        }


def opened() -> Trading:
    """Market open, accounts funded."""
    exchange = Trading()
    exchange.open_market()
    exchange.deposit(range(1, 5), 10_000_000_000, 1_000)
    return exchange


ALERT: Final = {
    "alert_id": "a", "pattern": "LAYERING", "instrument": 1, "symbol": "AAPL", "account": 1, "side": "BUY", "score": 1.0, "explanation": "", "window_start": 0,
    "window_end": 0, "detected_at": 0, "source": "executions/0@0", "evidence": [],
}  # fmt: skip


def samples() -> dict[str, bytes]:
    """A believable record of every schema."""
    exchange = opened()
    exchange.round(0)
    found: dict[str, bytes] = {}
    for part in exchange.log.parts.values():
        for record in part:
            if (one := decode_header(record.value)) is not None:
                found[one[0]] = record.value or b""
    found |= {
        "new_order_single": encode_record("new_order_single", {
            "account": 2, "cl_ord_id": "s", "symbol": "AAPL", "side": "BUY", "ord_type": "LIMIT", "time_in_force": "DAY", "order_qty": "1",
            "price": "1.00", "transact_time": START,
        }),
        "order_cancel_request": encode_record(
            "order_cancel_request", {"account": 2, "orig_cl_ord_id": "s", "order_id": 0, "transact_time": START}
        ),
        "set_aside": encode_record(
            "set_aside", {"role": "match-orders", "topic": BOOK_COMMANDS.name, "partition": 0, "offset": 0, "reason": "forged"}
        ),
        "shard_placement": move_record(Placement(), "h", 0, "forged"),
        "dead_letter": lost_record(ACCOUNT_COMMANDS.name, 0, 0, 1 << 40, "forged"),
        "alert": encode_record("alert", ALERT), "case_action": encode_record("case_action", opening()),
        "book_sums": encode_record("book_sums", {
            "source": "executions/0", "source_offset": 0, "source_index": 0, "at": START, "instrument": 1, "middle": 1, "level_qty": 1, "taken": 0, "sums": [],
        }),
        "sign_in": encode_record("sign_in", {"source": "edge-0", "at": START, "account": 2, "place": "x", "door": "x"}),
        "news": encode_record("news", {"source": "operator", "created_at": START, "at": START, "instrument": 1, "headline": "forged"}),
        "access_event": encode_record(
            "access_event", {"at_ns": START, "act": "SIGNED_IN", "person": "eve", "address": "203.0.113.7", "what": "", "detail": "forged"}
        ),
    }  # fmt: skip
    return found


class Forger:
    """Makes records that nobody may believe, out of believable ones."""

    def __init__(self, seed: int) -> None:
        self._rng, self._samples = random.Random(seed), samples()
        assert set(self._samples) == set(FRAME_NAMES + RECORD_NAMES)
        self.made = Counter[str]()

    def record(self, topic: Topic, partition: int) -> tuple[bytes, bytes | None]:
        """Value and code."""
        rng = self._rng
        schema = rng.choice(list(self._samples))
        value = self._samples[schema]
        writers = [speaker for speaker in SPEAKERS if may_write(speaker, topic, schema)]
        others = [speaker for speaker in SPEAKERS if speaker not in writers]
        genuine = self._code(RING.of(rng.choice(writers or SPEAKERS))[0], topic.name, partition, value)
        ways: dict[str, Callable[[], tuple[bytes, bytes | None]]] = {
            "no code": lambda: (value, None),
            "noise for a code": lambda: (value, rng.randbytes(rng.randint(0, 60))),
            "another value's code": lambda: (value, self._code(RING.of(rng.choice(SPEAKERS))[0], topic.name, partition, value + b"x")),
            "another partition's code": lambda: (value, self._code(RING.of(rng.choice(SPEAKERS))[0], topic.name, partition + 1, value)),
            "another topic's code": lambda: (value, self._code(RING.of(rng.choice(SPEAKERS))[0], topic.name + "x", partition, value)),
            "a key that ended": lambda: (value, self._code(ENDED, topic.name, partition, value)),
            "a key of nobody": lambda: (value, self._code(STRANGE, topic.name, partition, value)),
            "a sender that may not write it": lambda: (value, self._code(RING.of(rng.choice(others))[0], topic.name, partition, value)),
            "a bit of the value": lambda: (_flipped(value, rng.randrange(8 * len(value))), genuine),
            "a bit of the code": lambda: (value, _flipped(genuine, rng.randrange(8 * len(genuine)))),
            "cut": lambda: (value[: rng.randrange(len(value))], genuine),
            "longer": lambda: (value + rng.randbytes(rng.randint(1, 20)), genuine),
            "noise": lambda: (rng.randbytes(rng.randint(0, 300)), None),
        }
        way = rng.choice(list(ways))
        self.made[way] += 1
        return ways[way]()

    @staticmethod
    def _code(of: Key, topic: str, partition: int, value: bytes) -> bytes:
        code = code_of(of.headers(topic, partition, value))
        assert code is not None
        return code


def _flipped(data: bytes, bit: int) -> bytes:
    return data[: bit // 8] + bytes([data[bit // 8] ^ 1 << bit % 8]) + data[bit // 8 + 1 :]


def message_of(record: Record, code: bytes | None) -> Message:
    """As the client gives it."""
    headers: list[tuple[str, str | bytes | None]] = [("trace", b"1")] if code is None else [(HEADER, code)]
    return Message(
        topic=record.topic,
        partition=record.partition,
        offset=record.offset,
        value=record.value,
        timestamp=(1, START // 10**6),
        headers=headers,
    )


def test_forged_records_change_nothing_and_are_all_told_of(told: list[str]) -> None:
    """Of every schema, into every topic that a shard reads, between trades; a twin that nobody attacks trades the same."""
    attacked, twin, forger, rng = opened(), opened(), Forger(1), random.Random(2)
    forged: set[tuple[str, int, int]] = set()
    for number in range(ROUNDS):
        for _ in range(FORGED // ROUNDS):
            topic, partition = topic_named(rng.choice(OF_SHARDS)), rng.randrange(SHARDS)
            forged.add((topic.name, partition, attacked.log.add(topic.name, partition, *forger.record(topic, partition))))
        attacked.round(number)
        twin.round(number)
    attacked.settle()
    assert attacked.hashes() == twin.hashes()
    letters = Counter[tuple[str, int, int]]()
    for record in attacked.log.parts[DEAD_LETTERS.name, 0]:
        letter = decode_record(record.value or b"")[1]
        assert letter["reason"] in UNPROVEN
        letters[letter["topic"], letter["partition"], letter["offset"]] += 1
    assert set(letters) == forged
    assert not twin.log.parts[DEAD_LETTERS.name, 0]
    assert min(forger.made.values()) > FORGED // 30
    runners = [runner for (role, _, _, _), runner in attacked.runners.items() if role != "watch-trading"]
    assert sum(runner.marks.unproven.total() for runner in runners) == len(forged) == FORGED
    told.append(f"forged records: {FORGED} into the shards, " + ", ".join(f"{way} {count}" for way, count in forger.made.items()))


@pytest.mark.parametrize("topic", TOPICS, ids=lambda topic: topic.name)
def test_no_reader_takes_a_forged_record_of_any_schema_from_any_topic(topic: Topic) -> None:
    """Sinks, edges, and whoever reads what operators have set aside."""
    forger, ledger = Forger(3), list[Input]()
    keys = RecordKeys(None)
    keys._ring = RING
    edge = ReplyConsumer(cast("Any", None), cast("Any", None), 0, cast("Any", None), SHARDS, cast("Any", None), cast("Any", None), keys)
    prices = MarketConsumer(cast("Any", None), cast("Any", None), range(1), cast("Any", None), cast("Any", None), keys)
    prices._positions = {(MARKET_DATA.name, 0): 0}
    for offset in range(500):
        value, code = forger.record(topic, 0)
        record = Record(topic.name, 0, offset, START, None, value, RING.proof(topic.name, 0, value, code, START))
        with pytest.raises(BadBytes) as caught:
            ledger.append(input_of(record))
        assert caught.value.reason in UNPROVEN
        if topic is EDGE_REPLIES:
            edge._take(message_of(record, code), live=True)
        if topic is MARKET_DATA:
            prices._take((topic.name, 0), message_of(record, code), live=True)
        if topic is SET_ASIDE:
            assert not listed(iter([record])).entries
    (market,) = prices.sources.values()
    assert market.suspicious == prices.bad_frames == (500 if topic is MARKET_DATA else 0)
    assert edge.sources.suspicious == edge.bad_frames == (500 if topic is EDGE_REPLIES else 0)
    assert not ledger


def test_a_forged_filler_does_not_stop_a_shard_and_an_operators_does_what_it_did() -> None:
    """A filler says that a snapshot has the effects of what is lost: whoever could write one could stop every replay."""
    filler = lost_record(BOOK_COMMANDS.name, 0, 0, 1 << 40, "lost")
    exchange = Trading()
    runner = exchange.runners["match-orders", "books", BOOK_COMMANDS.name, 0]
    exchange.log.add(BOOK_COMMANDS.name, 0, filler, None)
    exchange.settle()
    assert runner.next_offset == 1
    proof = RING.proof(BOOK_COMMANDS.name, 0, filler, Forger._code(RING.of(OPERATOR)[0], BOOK_COMMANDS.name, 0, filler), START)
    with pytest.raises(StaleData, match="has lost its inputs"):
        runner.feed(Record(BOOK_COMMANDS.name, 0, 1, START, None, filler, proof))


def test_a_sender_that_says_more_than_it_may_is_a_dead_letter_with_a_genuine_code() -> None:
    """A producer's deposit, an operator's old command, the clock of somebody else."""
    exchange = opened()
    before = exchange.hashes()
    rows = np.zeros(1, FRAMES["order_command_frame"].dtype)
    rows["kind"], rows["account"], rows["cash"], rows["request_id"] = 4, 2, 1 << 30, 1 << 40
    deposit = encode_frame("order_command_frame", Header("tests", created_at=START), rows, np.array([b""]))
    session = np.zeros(1, FRAMES["book_command_frame"].dtype)
    session["kind"], session["phase"] = 3, 1
    old = encode_frame("book_command_frame", Header("operator", created_at=START - 10**13), session)
    clock = encode_frame("book_command_frame", Header(CLOCK, created_at=START), session)
    for speaker, topic, value in ((PRODUCER, ACCOUNT_COMMANDS, deposit), (OPERATOR, BOOK_COMMANDS, old), (OPERATOR, BOOK_COMMANDS, clock)):
        exchange.log.add(topic.name, 0, value, Forger._code(RING.of(speaker)[0], topic.name, 0, value))
    exchange.settle()
    assert exchange.hashes() == before
    letters = [decode_record(record.value or b"")[1] for record in exchange.log.parts[DEAD_LETTERS.name, 0]]
    assert [letter["reason"] for letter in letters] == ["NO_RIGHT"] * 3
    assert [word in letter["detail"] for word, letter in zip(("kind 4", "a copy", "'clock'"), letters, strict=True)] == [True] * 3
