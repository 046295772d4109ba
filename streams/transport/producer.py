"""Faust's producer on librdkafka: sending costs the event loop a hand-over, and not the checksum, three copies and the system call of every frame.

Measured at 1M orders/s: a fifth of the processor time of match-orders, and all of it off the loop that applies inputs. Batches are numbered (idempotence), so that
what is sent again because a broker died between append and answer is in the log once. Marks would tell the second copy anyway, but not a tick's or a dead letter's.
"""

import asyncio
import threading
from collections.abc import Awaitable
from functools import partial
from typing import Any, Final

from confluent_kafka import KafkaError, Message
from confluent_kafka import Producer as Librdkafka
from faust.transport.drivers.aiokafka import Producer
from faust.types import TP, RecordMetadata
from faust.types.transports import ProducerT

from schemas.errors import ServiceUnavailable
from schemas.limits import FRAME_BYTES_MAX

FLUSH_TIMEOUT_S: Final = 20.0
"""How long a stopping process waits for what it has sent."""
QUEUE_KBYTES_MAX: Final = 262_144
"""Limit of what waits for the broker: 32 of the largest frames. Beyond it, sending blocks."""
POLL_S: Final = 0.1
FULL_WAIT_S: Final = 0.001


class NativeProducer(Producer):
    """The aiokafka producer that it derives from is kept for what Faust asks of brokers (creating topics); records go through librdkafka."""

    async def on_start(self) -> None:
        """Connect, and start the thread in which the broker's answers arrive."""
        await super().on_start()
        servers = self._settings_default()["bootstrap_servers"]
        self._caller = asyncio.get_running_loop()
        self._native = Librdkafka(
            {
                "bootstrap.servers": ",".join(servers) if isinstance(servers, list) else servers,
                "client.id": self.client_id,
                "acks": "all",
                "enable.idempotence": True,
                # A record that is given up while a later one is delivered is lost for ever: readers' marks are above it when a replay sends it again.
                # So none is given up alone. Whoever waits for too long (shard_host) ends the process, and with it all that waits behind.
                "enable.gapless.guarantee": True,
                "delivery.timeout.ms": 0,
                "linger.ms": 0,
                "message.max.bytes": 2 * FRAME_BYTES_MAX,
                "queue.buffering.max.kbytes": QUEUE_KBYTES_MAX,
                "retry.backoff.ms": 50,
                "reconnect.backoff.ms": 20,
                "reconnect.backoff.max.ms": 200,
                "allow.auto.create.topics": False,
                "log_level": 3,  # retries are its business; what it gives up is told by the futures
            }
        )
        self._no_more_answers = threading.Event()
        self._answers = threading.Thread(target=self._poll, name="producer-answers", daemon=True)
        self._answers.start()

    async def on_stop(self) -> None:
        """Deliver what was sent, as far as the broker accepts it."""
        await asyncio.to_thread(self._native.flush, FLUSH_TIMEOUT_S)
        self._no_more_answers.set()
        await asyncio.to_thread(self._answers.join)
        await super().on_stop()

    async def send(
        self, topic: str, key: bytes | None, value: bytes | None, partition: int | None, timestamp: float | None, headers: Any, *,
        transactional_id: str | None = None,
    ) -> Awaitable[RecordMetadata]:  # fmt: skip
        """Hand a record over; the future is done when all in-sync replicas have it. Waits while QUEUE_KBYTES_MAX wait for the broker."""
        assert partition is not None and timestamp is None and not headers and transactional_id is None, "unsupported send() arguments"
        acknowledged: asyncio.Future[RecordMetadata] = self._caller.create_future()
        acknowledged.add_done_callback(_looked_at)
        told = partial(self._told, acknowledged)
        while not self._taken(topic, key, value, partition, told):  # noqa: ASYNC110  librdkafka does not say when there is room
            await asyncio.sleep(FULL_WAIT_S)
        return acknowledged

    def _taken(self, topic: str, key: bytes | None, value: bytes | None, partition: int, told: Any) -> bool:
        try:
            self._native.produce(topic, value, key, partition, told)
        except BufferError:
            return False
        return True

    async def flush(self) -> None:
        """Wait until all that was sent is delivered."""
        await self.buffer.flush()
        await asyncio.to_thread(self._native.flush, FLUSH_TIMEOUT_S)

    def _poll(self) -> None:
        while not self._no_more_answers.is_set():
            self._native.poll(POLL_S)

    def _told(self, acknowledged: asyncio.Future[RecordMetadata], error: KafkaError | None, message: Message) -> None:
        """The broker's answer, in the polling thread."""
        self._caller.call_soon_threadsafe(_settle, acknowledged, error, message)


def _settle(acknowledged: asyncio.Future[RecordMetadata], error: KafkaError | None, message: Message) -> None:
    if acknowledged.cancelled():
        return
    topic, partition, offset = message.topic() or "", message.partition() or 0, message.offset() or 0
    if error is not None:
        acknowledged.set_exception(ServiceUnavailable(f"{topic}/{partition} refused what was sent: {error.str()}"))
    else:
        acknowledged.set_result(RecordMetadata(topic, partition, TP(topic, partition), offset))


def _looked_at(acknowledged: asyncio.Future[RecordMetadata]) -> None:
    """A failure is told to whoever waits for the future; one that nobody waits for is not worth a warning when it is collected."""
    if not acknowledged.cancelled():
        acknowledged.exception()


assert issubclass(NativeProducer, ProducerT)
