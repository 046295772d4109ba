"""The edge's connections to Kafka: commands out, replies in, market data in, cases in and out. Made together, watched, told to the Gateway.

A broker that is away is waited for: clients reconnect by themselves, the watch only notices. Any other end of a task is a fault of ours.
"""

import asyncio
import time
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any, Final, TypeVar

import structlog

from edge.gateway.accounts.command_frames import Command
from edge.gateway.accounts.command_producer import CommandProducer
from edge.gateway.accounts.reply_consumer import ReplyConsumer
from edge.gateway.analysts.cases import CaseConsumer
from edge.gateway.gateway import Gateway
from edge.gateway.limits import (
    REPLIES_LOOK_BACK_MS,
    SHUTDOWN_GRACE_S,
    SINK_LAG_TIMEOUT_S,
)
from edge.gateway.market.consumer import MarketConsumer
from edge.gateway.stored.sink_lag import GROUP, STORED, SinkLag
from schemas.errors import ServiceUnavailable
from topics.catalogue import ACCESS_EVENTS, ACCOUNT_COMMANDS, CASES, EDGE_REPLIES, MARKET_DATA, Topic
from topics.kafka_clients import native_client
from topics.key_files import RecordKeys
from topics.offsets import Offsets
from topics.reader import LogReader
from topics.roles import EDGE
from topics.sender import LogSender

log = structlog.get_logger(__name__)

RETRY_S: Final = 1.0
CONNECT_TIMEOUT_S: Final = 10.0
"""A broker that does not answer for so long is away; it is asked again."""
DELIVERY_TIMEOUT_MS: Final = 10_000
"""Commands that are not in the log after so long are told to be not sent."""
WATCH_S: Final = 1.0
SWEEP_S: Final = 0.05
"""How late a time-out may be told."""
C = TypeVar("C", LogReader, LogSender)


class NotThere(Exception):
    """Kafka does not answer, or a topic is missing; the text says which and what to do."""


class KafkaLinks:
    """Connects, then keeps watch; `keep` ends only by cancellation or a fault."""

    def __init__(self, gateway: Gateway, keys: RecordKeys) -> None:
        """keys: of the records that the edge reads and writes."""
        self._gateway, self._keys = gateway, keys
        gateway.book_replays.keys = gateway.account_links.keys = keys
        self._sender: LogSender | None = None
        self._commands: CommandProducer | None = None
        self._stops: list[Callable[[], Coroutine[Any, Any, None]]] = []
        self._tasks: list[asyncio.Task[None]] = []

    async def keep(self) -> None:
        """Connect, however long it takes, and then watch."""
        while True:
            try:
                await self._connect()
                break
            except (NotThere, ServiceUnavailable) as error:
                self._gateway.kafka_problem = str(error)
                log.warning("kafka_not_ready", problem=self._gateway.kafka_problem)
                await self._drop_clients()
                await asyncio.sleep(RETRY_S)
        self._gateway.kafka_problem = ""
        watching = [
            *self._tasks,
            *(self._commands.tasks if self._commands is not None else ()),
            asyncio.create_task(self._watch(), name="kafka-watch"),
        ]
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
        client = {**native_client(settings.kafka_url), "client.id": f"edge-{settings.edge_instance}"}
        self._sender = await self._started(
            LogSender(client | {"delivery.timeout.ms": DELIVERY_TIMEOUT_MS}, sign=self._keys.signer(EDGE.name))
        )
        offsets = self._kept(Offsets(client, CONNECT_TIMEOUT_S))
        gateway.log_id = await self._sender.cluster(CONNECT_TIMEOUT_S)
        shards = len(await self._partitions(ACCOUNT_COMMANDS))
        if settings.edge_instance not in await self._partitions(EDGE_REPLIES):
            raise NotThere(f"{EDGE_REPLIES.name} has no partition {settings.edge_instance} for this instance; see OUTCRY_EDGE_INSTANCES")
        market_partitions = sorted(await self._partitions(MARKET_DATA))
        await self._partitions(ACCESS_EVENTS)
        replies = ReplyConsumer(
            await self._started(LogReader(client | {"auto.offset.reset": "error"})),
            offsets,
            settings.edge_instance,
            gateway.accounts,
            shards,
            gateway.metrics.replies.inc,
            gateway.metrics.update_delay.observe,
            self._keys,
            REPLIES_LOOK_BACK_MS,
        )
        market = MarketConsumer(
            await self._started(LogReader(client)), offsets, market_partitions, gateway.market, gateway.tell_market, self._keys
        )
        await self._partitions(CASES)
        cases = CaseConsumer(await self._started(LogReader(client)), offsets, gateway.cases, self._keys)
        stored = [(topic.name, number) for topic in STORED for number in sorted(await self._partitions(topic))]
        sink_lag = SinkLag(self._kept(Offsets(client | {"group.id": GROUP}, SINK_LAG_TIMEOUT_S)), stored, settings.edge_sink_lag_max)
        await replies.start()
        await market.start()
        await cases.start()
        gateway.cases.sender = self._sender
        source = f"edge-{settings.edge_instance}"
        self._commands = CommandProducer(self._sender, shards, source, settings.edge_instance, time.time_ns, self._not_sent)
        gateway.replies, gateway.market_consumer = replies, market
        gateway.places.shards = shards
        gateway.access_records.sender = gateway.origins.sender = self._sender
        gateway.accounts.producer, gateway.orders.sink_lag = self._commands, sink_lag
        self._tasks = [
            asyncio.create_task(replies.run(), name="replies"),
            asyncio.create_task(market.run(), name="market-data"),
            asyncio.create_task(cases.run(), name="cases"),
            asyncio.create_task(self._sweep(), name="sweep"),
            asyncio.create_task(sink_lag.run(), name="sink-lag"),
        ]
        gateway.metrics.watch_sources([replies.sources, *market.sources.values()])
        market.feed = gateway.feed
        if gateway.feed is not None:
            await gateway.feed.start()
        log.info("kafka_connected", account_shards=shards, market_partitions=len(market_partitions))

    async def _started(self, client: C) -> C:
        """The client, to be stopped with the others."""
        await client.start()
        self._stops.append(partial(client.stop, SHUTDOWN_GRACE_S) if isinstance(client, LogSender) else client.stop)
        return client

    def _kept(self, offsets: Offsets) -> Offsets:
        self._stops.append(offsets.close)
        return offsets

    async def _partitions(self, topic: Topic) -> set[int]:
        assert self._sender is not None
        found = await self._sender.partitions(topic.name, CONNECT_TIMEOUT_S)
        if not found:
            raise NotThere(f"topic {topic.name} does not exist; run `outcry topics create`")
        return found

    def _not_sent(self, command: Command, error: Exception) -> None:
        self._gateway.accounts.pending.give_up(command, TimeoutError(f"not sent: {error!r}"))

    async def _sweep(self) -> None:
        """End waits whose time is over."""
        while True:
            await asyncio.sleep(SWEEP_S)
            self._gateway.accounts.pending.expire()

    async def _watch(self) -> None:
        """Ask the broker for its metadata now and then; the answer is what readiness says of Kafka."""
        assert self._sender is not None
        while True:
            await asyncio.sleep(WATCH_S)
            try:
                await self._sender.partitions(ACCOUNT_COMMANDS.name, 2 * WATCH_S)
                problem = ""
            except ServiceUnavailable as error:
                problem = str(error)
            if problem != self._gateway.kafka_problem:
                log.warning("kafka_state", problem=problem or "none")
            self._gateway.kafka_problem = problem

    async def _drop_clients(self) -> None:
        """Close whatever was opened; a broker that is away must not hold us up."""
        stops, self._stops, self._sender = self._stops, [], None
        self._gateway.access_records.sender = self._gateway.origins.sender = None
        await asyncio.gather(*(asyncio.wait_for(stop(), SHUTDOWN_GRACE_S) for stop in stops), return_exceptions=True)
