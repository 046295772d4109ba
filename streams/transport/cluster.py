"""Facts about the cluster: its id and numbers of partitions, requested once at the start."""

import time
from typing import Final

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient
from confluent_kafka.admin._metadata import ClusterMetadata

from schemas.errors import OutcryError, ServiceUnavailable
from schemas.settings import Settings
from topics.catalogue import Topic
from topics.kafka_clients import native_client, no_answer

TIMEOUT_S = 10.0


class TopicsMissing(OutcryError):
    """Topics of the catalogue are not on the broker."""


def metadata(settings: Settings) -> ClusterMetadata:
    """The cluster's metadata; raises ServiceUnavailable when no broker answers, or none is configured."""
    if not settings.kafka_url:
        raise ServiceUnavailable("Kafka: no address; start the local set with `outcry up`, or set OUTCRY_KAFKA_URL")
    try:
        # librdkafka writes connection errors to stderr by default; the exception below says it once.
        return AdminClient({**native_client(settings.kafka_url), "log_level": 0}).list_topics(timeout=TIMEOUT_S)
    except KafkaException as error:
        raise ServiceUnavailable(
            f"Kafka at {settings.kafka_url} does not answer ({error.args[0].str()}{no_answer(settings.kafka_url)}); see `outcry doctor`"
        ) from error


def partition_counts(settings: Settings, *topics: Topic) -> dict[str, int]:
    """Number of partitions of each topic; raises TopicsMissing naming those that do not exist."""
    found = metadata(settings).topics
    missing = [topic.name for topic in topics if topic.name not in found]
    if missing:
        raise TopicsMissing(f"Kafka at {settings.kafka_url} has no topic {', '.join(missing)}; run `outcry topics create`")
    return {topic.name: len(found[topic.name].partitions) for topic in topics}


def cluster_id(settings: Settings) -> str:
    """The broker's cluster id; a data directory belongs to one cluster."""
    return str(metadata(settings).cluster_id)


_ELECTING: Final = frozenset(
    {KafkaError.NOT_LEADER_FOR_PARTITION, KafkaError.LEADER_NOT_AVAILABLE, KafkaError.UNKNOWN_LEADER_EPOCH, KafkaError.FENCED_LEADER_EPOCH}
)
_ELECTION_POLL_S: Final = 0.2


def watermarks(consumer: Consumer, topic: str, partition: int, timeout_s: float) -> tuple[int, int]:
    """First offset of a partition, and the one behind its last; waits while a leader is elected. Raises KafkaException."""
    deadline = time.monotonic() + timeout_s
    while True:
        try:
            low, high = consumer.get_watermark_offsets(TopicPartition(topic, partition), timeout=timeout_s)
        except KafkaException as error:
            if error.args[0].code() not in _ELECTING or time.monotonic() > deadline:
                raise
            time.sleep(_ELECTION_POLL_S)
        else:
            return low, high
