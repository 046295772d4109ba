"""A fan-out worker's connections: market data, from the log and from the feed of the edge's process. No commands, no replies."""

import asyncio
from pathlib import Path

from edge.gateway.gateway import Gateway
from edge.gateway.kafka_links import CONNECT_TIMEOUT_S, KafkaLinks, NotThere
from edge.gateway.market.fed_consumer import FedMarketConsumer
from topics.catalogue import MARKET_DATA
from topics.kafka_clients import native_client
from topics.key_files import RecordKeys
from topics.offsets import Offsets
from topics.reader import LogReader
from topics.sender import LogSender


class WorkerLinks(KafkaLinks):
    """The same life as KafkaLinks, with less in it."""

    def __init__(self, gateway: Gateway, keys: RecordKeys, feed_path: Path) -> None:
        super().__init__(gateway, keys)
        self._feed_path = feed_path

    async def _connect(self) -> None:
        gateway, settings = self._gateway, self._gateway.settings
        if not settings.kafka_url:
            raise NotThere("no address: start the local set with `outcry up`, or set OUTCRY_KAFKA_URL")
        client = {**native_client(settings.kafka_url), "client.id": f"edge-{settings.edge_instance}-fan-out"}
        self._sender = await self._started(LogSender(client))  # asks for metadata, sends nothing
        offsets = self._kept(Offsets(client, CONNECT_TIMEOUT_S))
        gateway.log_id = await self._sender.cluster(CONNECT_TIMEOUT_S)
        partitions = sorted(await self._partitions(MARKET_DATA))
        reader = await self._started(LogReader(client))
        market = FedMarketConsumer(reader, offsets, partitions, gateway.market, gateway.tell_market, self._feed_path, self._keys)
        await market.start()
        gateway.market_consumer = market
        gateway.metrics.watch_sources([*market.sources.values()])
        self._tasks = [asyncio.create_task(market.run(), name="market-data")]
