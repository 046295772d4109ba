"""Faust's producer on librdkafka, see topics.sender."""

from collections.abc import Awaitable
from typing import Any, Final

from faust.transport.drivers.aiokafka import Producer
from faust.types import TP, RecordMetadata
from faust.types.transports import ProducerT

from streams.transport.credentials import native_client_of
from topics.catalogue import TOPICS
from topics.record_codes import Sign
from topics.sender import LogSender

_MAY_WAIT: Final = {topic.name: topic.waits_ms / 1_000 for topic in TOPICS if topic.waits_ms}


class NativeProducer(Producer):
    """The aiokafka producer that it derives from is kept for what Faust asks of brokers (creating topics); records go through librdkafka.

    `sign`: signs what goes to topics of the catalogue; a table's changelog goes unsigned.
    """

    sign: Sign

    async def on_start(self) -> None:
        """Connect."""
        await super().on_start()
        self._sender = LogSender(
            {
                **native_client_of(self.app),
                "client.id": self.client_id,
                # A record that is given up while a later one is delivered is lost for ever: readers' marks are above it when a replay sends it again.
                # So none is given up alone. Whoever waits for too long (shard_host) ends the process, and with it all that waits behind.
                "enable.gapless.guarantee": True,
                "delivery.timeout.ms": 0,
            },
            lambda topic, number, offset: RecordMetadata(topic, number, TP(topic, number), offset),
            type(self).sign,
            _MAY_WAIT,
        )
        await self._sender.start()

    async def on_stop(self) -> None:
        """Deliver what was sent, as far as the broker accepts it."""
        await self._sender.stop()
        await super().on_stop()

    async def send(
        self, topic: str, key: bytes | None, value: bytes | None, partition: int | None, timestamp: float | None, headers: Any, *,
        transactional_id: str | None = None,
    ) -> Awaitable[RecordMetadata]:  # fmt: skip
        """Hand a record over; the future is done when all in-sync replicas have it."""
        assert partition is not None and timestamp is None and not headers and transactional_id is None, "unsupported send() arguments"
        return await self._sender.send(topic, partition, value, key)

    async def flush(self) -> None:
        """Wait until all that was sent is delivered."""
        await self.buffer.flush()
        await self._sender.flush()


def producer_class(sign: Sign) -> type[NativeProducer]:
    """A producer for one app: Faust wants a class, and gives it no arguments."""
    return type("NativeProducer", (NativeProducer,), {"sign": staticmethod(sign)})


assert issubclass(NativeProducer, ProducerT)
