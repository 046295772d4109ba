"""The edge's three connections to Kafka: commands out, replies in, market data in. Made together, watched, told to the Gateway.

A broker that is away is waited for: clients reconnect by themselves, the watch only notices. Any other end of a task is a fault of ours.
"""

import asyncio
import time
from typing import Final

import structlog
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.errors import KafkaError

from edge.gateway.command_frames import Command
from edge.gateway.command_producer import CommandProducer
from edge.gateway.gateway import Gateway
from edge.gateway.limits import MARKET_DATA_FETCH_BYTES_MIN, MARKET_DATA_FETCH_WAIT_MS_MAX, SHUTDOWN_GRACE_S
from edge.gateway.market_consumer import MarketConsumer
from edge.gateway.reply_consumer import ReplyConsumer
from edge.gateway.sink_lag import GROUP, STORED, SinkLag
from schemas.limits import FRAME_BYTES_MAX
from topics.catalogue import ACCOUNT_COMMANDS, EDGE_REPLIES, MARKET_DATA, Topic

log = structlog.get_logger(__name__)

RETRY_S: Final = 1.0
WATCH_S: Final = 1.0
SWEEP_S: Final = 0.05
"""How late a time-out may be told."""


class NotThere(Exception):
    """Kafka does not answer, or a topic is missing; the text says which and what to do."""


class KafkaLinks:
    """Connects, then keeps watch; `keep` ends only by cancellation or a fault."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway
        self._producer: AIOKafkaProducer | None = None
        self._commands: CommandProducer | None = None
        self._consumers: list[AIOKafkaConsumer] = []
        self._tasks: list[asyncio.Task[None]] = []

    async def keep(self) -> None:
        """Connect, however long it takes, and then watch."""
        while True:
            try:
                await self._connect()
                break
            except (NotThere, KafkaError, OSError) as error:
                self._gateway.kafka_problem = str(error) or type(error).__name__
                log.warning("kafka_not_ready", problem=self._gateway.kafka_problem)
                await self._drop_clients()
                await asyncio.sleep(RETRY_S)
        self._gateway.kafka_problem = ""
        assert self._commands is not None
        watching = [*self._tasks, *self._commands.tasks, asyncio.create_task(self._watch(), name="kafka-watch")]
        self._tasks = watching
        done, _ = await asyncio.wait(watching, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
        raise AssertionError(f"{', '.join(task.get_name() for task in done)} ended by itself")

    async def close(self) -> None:
        """Send what waits, then let go."""
        if self._commands is not None:
            await self._commands.close(SHUTDOWN_GRACE_S)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._drop_clients()

    async def _connect(self) -> None:
        gateway, settings = self._gateway, self._gateway.settings
        if not settings.kafka_url:
            raise NotThere("no address: start the local set with `outcry up`, or set OUTCRY_KAFKA_URL")
        self._producer = AIOKafkaProducer(
            bootstrap_servers=settings.kafka_url, client_id=f"edge-{settings.edge_instance}", acks="all", enable_idempotence=True,
            max_request_size=FRAME_BYTES_MAX, request_timeout_ms=10_000, retry_backoff_ms=50,
        )  # fmt: skip
        await self._producer.start()
        shards = len(await self._partitions(ACCOUNT_COMMANDS))
        if settings.edge_instance not in await self._partitions(EDGE_REPLIES):
            raise NotThere(f"{EDGE_REPLIES.name} has no partition {settings.edge_instance} for this instance; see OUTCRY_EDGE_INSTANCES")
        market_partitions = sorted(await self._partitions(MARKET_DATA))
        replies = ReplyConsumer(
            self._consumer(),
            settings.edge_instance,
            gateway.accounts,
            shards,
            gateway.metrics.replies.inc,
            gateway.metrics.update_delay.observe,
        )
        fuller = self._consumer(fetch_min_bytes=MARKET_DATA_FETCH_BYTES_MIN, fetch_max_wait_ms=MARKET_DATA_FETCH_WAIT_MS_MAX)
        market = MarketConsumer(fuller, market_partitions, gateway.market, gateway.tell_market)
        stored = [TopicPartition(topic.name, number) for topic in STORED for number in sorted(await self._partitions(topic))]
        sink_lag = SinkLag(self._consumer(group_id=GROUP), stored, settings.edge_sink_lag_max)
        for consumer in self._consumers:
            await consumer.start()
        await replies.start()
        await market.start()
        source = f"edge-{settings.edge_instance}"
        self._commands = CommandProducer(self._producer, shards, source, settings.edge_instance, time.time_ns, self._not_sent)
        gateway.replies, gateway.market_consumer = replies, market
        gateway.accounts.producer, gateway.orders.sink_lag = self._commands, sink_lag
        self._tasks = [
            asyncio.create_task(replies.run(), name="replies"),
            asyncio.create_task(market.run(), name="market-data"),
            asyncio.create_task(self._sweep(), name="sweep"),
            asyncio.create_task(sink_lag.run(), name="sink-lag"),
        ]
        gateway.metrics.watch_sources([replies.sources, *market.sources.values()])
        log.info("kafka_connected", account_shards=shards, market_partitions=len(market_partitions))

    def _consumer(self, *, fetch_min_bytes: int = 1, fetch_max_wait_ms: int = 500, group_id: str | None = None) -> AIOKafkaConsumer:
        """Answered as soon as there is anything, unless told otherwise. It joins no group: partitions are assigned by hand, or none."""
        settings = self._gateway.settings
        consumer = AIOKafkaConsumer(
            bootstrap_servers=settings.kafka_url, client_id=f"edge-{settings.edge_instance}", group_id=group_id, enable_auto_commit=False,
            auto_offset_reset="none", fetch_min_bytes=fetch_min_bytes, fetch_max_wait_ms=fetch_max_wait_ms,
            fetch_max_bytes=4 * FRAME_BYTES_MAX, max_partition_fetch_bytes=FRAME_BYTES_MAX,
        )  # fmt: skip
        self._consumers.append(consumer)
        return consumer

    async def _partitions(self, topic: Topic) -> set[int]:
        assert self._producer is not None
        # not partitions_for: that one waits, and could create the topic where the broker allows it
        cluster = await self._producer.client.fetch_all_metadata()
        found = cluster.partitions_for_topic(topic.name)
        if not found:
            raise NotThere(f"topic {topic.name} does not exist; run `outcry topics create`")
        return set(found)

    def _not_sent(self, command: Command, error: Exception) -> None:
        self._gateway.accounts.pending.give_up(command, TimeoutError(f"not sent: {error!r}"))

    async def _sweep(self) -> None:
        """End waits whose time is over."""
        while True:
            await asyncio.sleep(SWEEP_S)
            self._gateway.accounts.pending.expire()

    async def _watch(self) -> None:
        """Ask the broker for its metadata now and then; the answer is what readiness says of Kafka."""
        assert self._producer is not None
        while True:
            await asyncio.sleep(WATCH_S)
            try:
                async with asyncio.timeout(2 * WATCH_S):
                    await self._producer.client.fetch_all_metadata()
                problem = ""
            except (KafkaError, OSError, TimeoutError) as error:
                problem = f"does not answer ({type(error).__name__})"
            if problem != self._gateway.kafka_problem:
                log.warning("kafka_state", problem=problem or "none")
            self._gateway.kafka_problem = problem

    async def _drop_clients(self) -> None:
        """Close whatever was opened; a broker that is away must not hold us up."""
        clients, self._consumers = [*self._consumers], []
        if self._producer is not None:
            clients.append(self._producer)
            self._producer = None
        await asyncio.gather(*(asyncio.wait_for(client.stop(), SHUTDOWN_GRACE_S) for client in clients), return_exceptions=True)
