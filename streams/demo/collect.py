"""Read what the log and every store have, for the reconciliation."""

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any, Final

import numpy as np
from confluent_kafka import Consumer, KafkaException, TopicPartition
from elasticsearch import AsyncElasticsearch
from elasticsearch.helpers import async_scan

from schemas.codec import FRAMES, BadBytes, Frame, Rows, decode_frame, decode_record
from schemas.enums import AccountEventKind
from schemas.errors import ServiceUnavailable
from schemas.instruments import InstrumentTable
from schemas.limits import FRAME_BYTES_MAX
from schemas.marks import Marks
from schemas.settings import Settings
from sinks.elastic.client import open_elasticsearch, translated
from sinks.elastic.indices import ACCOUNT_EVENTS as EVENT_DOCUMENTS
from sinks.elastic.indices import ALERTS as ALERT_DOCUMENTS
from sinks.elastic.indices import EXECUTIONS as EXECUTION_DOCUMENTS
from sinks.elastic.queries import account_event_counts, refresh
from sinks.mysql.pool import MySql
from sinks.mysql.queries import imbalances, posting_sums
from sinks.redis.client import open_redis
from sinks.redis.prices import last_prices
from streams.demo.log_facts import Traded
from streams.demo.reconcile import AlertSeen, StoreFacts
from streams.host.kafka_records import polled_record
from streams.host.lost_records import lost_state_of
from streams.process.record_keys import record_keys
from streams.transport.cluster import partition_counts, watermarks
from topics.catalogue import ACCOUNT_EVENTS, ALERTS, EXECUTIONS, Topic
from topics.kafka_clients import native_client
from topics.sources import FORGED, sources_of

ASK_TIMEOUT_S: Final = 60.0
"""For one answer of a server on a busy machine."""
STALLED_S: Final = 120.0
"""A topic that returns nothing for this long is given up."""


@dataclass(frozen=True)
class Log:
    """The rows of the log without duplicate frames, partition by partition."""

    executions: Rows
    events: Rows
    cl_ord_ids: Rows
    alerts: frozenset[AlertSeen]


def read_log(settings: Settings) -> Log:
    """Everything from the first record to the current end. Raises ServiceUnavailable."""
    executions = read_frames(settings, EXECUTIONS)
    events = read_frames(settings, ACCOUNT_EVENTS)
    alerts: set[AlertSeen] = set()

    def take(partition: int, value: bytes, _time_ns: int) -> None:
        name, alert = decode_record(value)
        if name != "alert":  # the place of one that is lost
            return
        alerts.add(AlertSeen(alert["alert_id"], alert["account"], alert["pattern"]))

    read_topic(settings, ALERTS, take)
    texts = [frame.cl_ord_id if frame.cl_ord_id is not None else np.zeros(len(frame.rows), "S1") for frame in events]
    return Log(
        _rows("execution_frame", executions),
        _rows("account_event_frame", events),
        np.concatenate(texts or [np.zeros(0, "S1")]),
        frozenset(alerts),
    )


def _rows(schema: str, frames: list[Frame]) -> Rows:
    return np.concatenate([np.zeros(0, FRAMES[schema].dtype), *(frame.rows for frame in frames)])


def read_frames(settings: Settings, topic: Topic) -> list[Frame]:
    """The frames of a shard's output topic, each once, without forged ones."""
    frames: dict[int, list[Frame]] = {}
    marks: dict[int, Marks] = {}

    def take(partition: int, value: bytes, time_ns: int) -> None:
        try:
            frame = decode_frame(value, *topic.schemas)
            sources_of(topic, partition).is_shard(frame.header)
            if marks.setdefault(partition, Marks()).take(frame.header, time_ns):
                frames.setdefault(partition, []).append(frame)
        except BadBytes as error:
            if error.reason not in FORGED and lost_state_of(value) is None:
                raise

    read_topic(settings, topic, take)
    return [frame for partition in sorted(frames) for frame in frames[partition]]


def end_offsets(settings: Settings, *topics: Topic) -> dict[tuple[str, int], int]:
    """The next offset of every partition. Raises ServiceUnavailable."""
    consumer = _consumer(settings)
    counts = partition_counts(settings, *topics)
    try:
        return {
            (topic.name, partition): watermarks(consumer, topic.name, partition, ASK_TIMEOUT_S)[1]
            for topic in topics
            for partition in range(counts[topic.name])
        }
    except KafkaException as error:
        raise ServiceUnavailable(f"Kafka did not report the ends of its topics: {error.args[0].str()}") from error
    finally:
        consumer.close()


def read_topic(settings: Settings, topic: Topic, take: Callable[[int, bytes, int], None]) -> None:
    """Call `take(partition, value, append time in ns)` for each record up to the current end that is proven, in the order of each partition."""
    ends = {partition: end for (_, partition), end in end_offsets(settings, topic).items() if end}
    consumer, keys = _consumer(settings), record_keys(settings)
    try:
        consumer.assign([TopicPartition(topic.name, partition, 0) for partition in ends])
        open_partitions, heard_s = set(ends), time.monotonic()
        while open_partitions:
            if time.monotonic() - heard_s > STALLED_S:
                raise ServiceUnavailable(f"Kafka gave no more of {topic.name} for {STALLED_S:g} s, and that was not all")
            for message in consumer.consume(500, timeout=0.05):  # returns early only when 500 are there
                partition, offset = message.partition(), message.offset()
                if message.error() is not None or partition is None or offset is None:
                    raise ServiceUnavailable(f"Kafka, topic {topic.name}: {message.error()}")
                heard_s = time.monotonic()
                if offset < ends[partition]:
                    record = polled_record(message, keys)
                    if record.proof.refusal is None:
                        take(partition, record.value or b"", record.time_ns)
                if offset >= ends[partition] - 1:
                    open_partitions.discard(partition)
    finally:
        consumer.close()


def _consumer(settings: Settings) -> Consumer:
    return Consumer(
        {
            **native_client(settings.kafka_url),
            "group.id": "outcry-demo-reader",  # partitions are assigned by hand, nothing is committed
            "enable.auto.commit": False,
            "auto.offset.reset": "earliest",
            "fetch.message.max.bytes": FRAME_BYTES_MAX,
            "fetch.wait.max.ms": 20,
            "log_level": 0,
        }
    )


# ---- MySQL


async def read_mysql(settings: Settings) -> StoreFacts:
    """Trades, orders, rejects, alerts and the ledger's sums. Raises ServiceUnavailable."""
    db = await MySql.connect(settings.mysql_url, size_max=1)
    try:
        alerts = await db.fetch("SELECT alert_id, account, pattern FROM alerts")
        (rejected,) = (await db.fetch("SELECT COUNT(*) FROM rejects WHERE kind = %s", (int(AccountEventKind.REJECTED),)))[0]
        sums = await posting_sums(db)
        return StoreFacts(
            traded=traded_of(await db.fetch("SELECT instrument, trd_match_id, price, qty, rpt_seq FROM trades")),
            accepted=frozenset((account, cl_ord_id) for account, cl_ord_id in await db.fetch("SELECT account, cl_ord_id FROM orders")),
            rejected=rejected,
            alerts=frozenset(AlertSeen(*alert) for alert in alerts),
            trade_postings={instrument: amount for (kind, instrument), amount in sums.items() if kind == AccountEventKind.TRADE},
            imbalances=tuple(f"{name}: {count}" for name, count in asdict(await imbalances(db)).items() if count),
        )
    finally:
        await db.close()


def traded_of(rows: list[tuple[Any, ...]]) -> dict[int, Traded]:
    """Trades by instrument, from (instrument, trd_match_id, price, qty, rpt_seq) rows."""
    by_number: dict[int, list[tuple[int, int, int, int]]] = {}
    for number, *rest in rows:
        trade, price, qty, seq = map(int, rest)
        by_number.setdefault(int(number), []).append((seq, trade, price, qty))
    return {
        number: Traded(len(own), sum(q for *_, q in own), sum(p * q for _, _, p, q in own), max(own)[2], frozenset(t for _, t, _, _ in own))
        for number, own in by_number.items()
    }


# ---- Redis


async def read_redis(settings: Settings, instruments: InstrumentTable) -> dict[int, int]:
    """Last price in ticks by instrument number. Raises ServiceUnavailable."""
    client = await open_redis(settings.redis_url)
    try:
        found = await last_prices(client, [one.symbol for one in instruments])
    finally:
        await client.aclose()
    return {instruments.by_symbol[symbol].number: int(values["price"]) for symbol, values in found.items()}


# ---- Elasticsearch


async def read_elasticsearch(settings: Settings) -> StoreFacts:
    """Trades, orders, rejects and alerts, from the documents themselves. Raises ServiceUnavailable."""
    client = open_elasticsearch(settings.elasticsearch_url)
    try:
        await refresh(client)
        trades = await _documents(
            client, EXECUTION_DOCUMENTS, {"term": {"kind": "TRADE"}}, "instrument", "trd_match_id", "price", "qty", "seq"
        )
        accepted = await _documents(client, EVENT_DOCUMENTS, {"term": {"kind": "ACCEPTED"}}, "account", "cl_ord_id")
        alerts = await _documents(client, ALERT_DOCUMENTS, {"match_all": {}}, "alert_id", "account", "pattern")
        return StoreFacts(
            traded=traded_of(trades),
            accepted=frozenset((int(account), cl_ord_id) for account, cl_ord_id in accepted),
            rejected=(await account_event_counts(client)).get("REJECTED", 0),
            alerts=frozenset(AlertSeen(alert_id, int(account), pattern) for alert_id, account, pattern in alerts),
        )
    finally:
        await client.close()


async def _documents(client: AsyncElasticsearch, stream: str, query: dict[str, Any], *fields: str) -> list[tuple[Any, ...]]:
    """The fields of every document of a stream that the query finds; none where there is no index yet."""
    with translated():
        body = {"query": query, "_source": list(fields)}
        return [
            tuple(hit["_source"][field] for field in fields)
            async for hit in async_scan(
                client, query=body, index=f"{stream}-*", size=5_000, scroll="10m", allow_no_indices=True, ignore_unavailable=True
            )
        ]
