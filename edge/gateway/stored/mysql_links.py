"""The edge's ways to MySQL: a pool on the primary, and where there are replicas a router for reads. Each is made when it is first needed."""

import asyncio

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from edge.gateway.limits import MYSQL_CONNECTIONS_MAX
from schemas.errors import ServiceUnavailable
from schemas.settings import Settings
from sinks.mysql.pool import MySql
from sinks.mysql.routing.router import Router
from sinks.mysql.servers import ServersFile


class MySqlLinks(Collector):
    """Follows the primary. Methods raise ServiceUnavailable."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._file = ServersFile(settings.mysql_servers_file) if settings.mysql_servers_file is not None else None
        self._pool: MySql | None = None
        self._epoch = 0
        self._starting: asyncio.Task[Router] | None = None
        # one: a server that is silent while it is connected to must not be connected to by all who ask
        self._connecting = asyncio.Lock()

    async def primary(self) -> MySql:
        """The pool."""
        known = self._file.read() if self._file is not None else None
        if self._pool is not None and (known is None or known.epoch == self._epoch):
            return self._pool
        async with self._connecting:
            if self._pool is not None and known is not None and known.epoch != self._epoch:
                former, self._pool = self._pool, None
                await former.close()
            if self._pool is None:
                url = self._settings.mysql_url if known is None else known.primary_url()
                self._pool, self._epoch = await MySql.connect(url, MYSQL_CONNECTIONS_MAX), known.epoch if known is not None else 0
        return self._pool

    async def router(self) -> Router | None:
        """The router; None where there are no replicas."""
        if self._file is None:
            return None
        if self._starting is None or (self._starting.done() and self._starting.exception() is not None):
            self._starting = asyncio.create_task(self._started(self._file), name="mysql-router")
        return await asyncio.shield(self._starting)

    async def kept(self) -> None:
        """What was just written here is on a replica too: it is not of the log, so a promotion would lose it. Raises ServiceUnavailable if that is not certain."""
        router = await self.router()
        if router is not None and not await router.kept():
            raise ServiceUnavailable(
                "no replica of MySQL has the change yet, so it may be lost: look whether it is there, and repeat it if not"
            )

    async def close(self) -> None:
        """Let go of all connections."""
        if self._pool is not None:
            await self._pool.close()
        if self._starting is not None:
            self._starting.cancel()
            await asyncio.gather(self._starting, return_exceptions=True)
            if not self._starting.cancelled() and self._starting.exception() is None:
                await self._starting.result().close()

    async def _started(self, file: ServersFile) -> Router:
        settings = self._settings
        edges = [f"edge-{number}" for number in range(max(settings.edge_instances, settings.edge_instance + 1))]
        return await Router.started(file, f"edge-{settings.edge_instance}", edges, settings.mysql_zone)

    def collect(self) -> list[Metric]:
        """Metrics of the router; none where there is none."""
        starting = self._starting
        if starting is None or not starting.done() or starting.cancelled() or starting.exception() is not None:
            return []
        stats = starting.result().stats()
        reads = CounterMetricFamily("outcry_edge_mysql_reads", "reads of history, by where they went, or why not", labels=["outcome"])
        for outcome, count in stats.counts.items():
            reads.add_metric([outcome], count)
        epoch = GaugeMetricFamily("outcry_edge_mysql_epoch", "how often the primary of MySQL has changed", value=stats.epoch)
        families: list[Metric] = [reads, epoch]
        for name, text in _OF_A_SERVER.items():
            family = GaugeMetricFamily(f"outcry_edge_mysql_server_{name}", text, labels=["server"])
            for one in stats.servers:
                family.add_metric([one.name], float(getattr(one, name)))
            families.append(family)
        return families


_OF_A_SERVER = {
    "is_primary": "1: the primary",
    "answers": "1: it tells its position",
    "ejected": "1: it is left out after failures",
    "lag_s": "for how long the primary has had something that it lacks, s",
    "in_flight": "reads under way",
    "reads": "reads since the start",
    "latency_s": "moving average, s",
    "ejections": "how often it was left out",
    "connections": "connections made since the start",
}
