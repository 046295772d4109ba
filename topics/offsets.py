"""Ask Kafka for offsets from an event loop: where logs begin and end, where they were at a time, what a group has committed.

A client of its own, since confluent-kafka lets one thread at a time into one, and a question waits for a broker: it must not hold up who reads.
"""

import asyncio
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final, TypeVar

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

from schemas.errors import ServiceUnavailable

Place = tuple[str, int]
"""A topic and the number of a partition."""

ASK_TIMEOUT_S: Final = 30.0
ASK_AGAIN_S: Final = 0.1
_PASSING: Final = {
    KafkaError._UNKNOWN_PARTITION, KafkaError._TRANSPORT, KafkaError._WAIT_COORD, KafkaError.NOT_LEADER_FOR_PARTITION,
    KafkaError.LEADER_NOT_AVAILABLE, KafkaError.UNKNOWN_TOPIC_OR_PART, KafkaError.REPLICA_NOT_AVAILABLE, KafkaError.OFFSET_NOT_AVAILABLE,
    KafkaError.NETWORK_EXCEPTION, KafkaError.COORDINATOR_NOT_AVAILABLE, KafkaError.COORDINATOR_LOAD_IN_PROGRESS, KafkaError.NOT_COORDINATOR,
    KafkaError.KAFKA_STORAGE_ERROR,
}  # fmt: skip
"""Answers of a cluster that is choosing leaders or starting."""
T = TypeVar("T")


class Offsets:
    """Connects at the first question. One question at a time. Every method raises ServiceUnavailable when no broker answers in `timeout_s`.

    While a partition moves to another leader, a broker may say that it is not the one, or not know it: it is asked again.
    """

    def __init__(self, configuration: Mapping[str, Any], timeout_s: float = ASK_TIMEOUT_S) -> None:
        """configuration: librdkafka's; `bootstrap.servers` at least, `group.id` for `committed`. It joins no group."""
        self._configuration = {"group.id": "outcry-offsets", "log_level": 0, "reconnect.backoff.max.ms": 200, **configuration}
        self._timeout_s = timeout_s
        self._client: Consumer | None = None
        self._asking = asyncio.Lock()

    async def ends(self, places: Iterable[Place]) -> dict[Place, int]:
        """The offset that the next record of each will have."""
        return {place: high for place, (_, high) in (await self._watermarks(places)).items()}

    async def beginnings(self, places: Iterable[Place]) -> dict[Place, int]:
        """The first offset that each log still has."""
        return {place: low for place, (low, _) in (await self._watermarks(places)).items()}

    async def at(self, places: Iterable[Place], time_ms: int) -> dict[Place, int | None]:
        """The first record that was appended at or after the time; None where there is none."""
        asked = [TopicPartition(*place, time_ms) for place in places]
        found = await self._ask(lambda client: client.offsets_for_times(asked, timeout=self._timeout_s))
        return {(tp.topic, tp.partition): tp.offset if tp.offset >= 0 else None for tp in found}

    async def committed(self, places: Iterable[Place]) -> dict[Place, int | None]:
        """What the group has committed; None where it has not."""
        asked = [TopicPartition(*place) for place in places]
        found = await self._ask(lambda client: client.committed(asked, timeout=self._timeout_s))
        return {(tp.topic, tp.partition): tp.offset if tp.offset >= 0 else None for tp in found}

    async def close(self) -> None:
        """Let the client go, after the question that is being asked."""
        async with self._asking:
            if self._client is not None:
                await asyncio.to_thread(self._client.close)
                self._client = None

    async def _watermarks(self, places: Iterable[Place]) -> dict[Place, tuple[int, int]]:
        asked = list(places)
        return await self._ask(
            lambda client: {place: client.get_watermark_offsets(TopicPartition(*place), timeout=self._timeout_s) for place in asked}
        )

    async def _ask(self, question: Callable[[Consumer], T]) -> T:
        async with self._asking:
            if self._client is None:
                self._client = Consumer(self._configuration)
            client, deadline = self._client, time.monotonic() + self._timeout_s
            while True:
                try:
                    return await asyncio.to_thread(question, client)
                except KafkaException as error:
                    why: KafkaError = error.args[0]
                    if why.code() not in _PASSING or time.monotonic() > deadline:
                        raise ServiceUnavailable(f"Kafka does not say what its offsets are: {why.str()}") from error
                await asyncio.sleep(ASK_AGAIN_S)
