"""Run users' functions on the stream, and deliver their alerts. See streams.functions and docs/functions.md.

In:     the topic of each function, from where its store says
Out:    dead.letters (records that a function could not handle); webhooks
State:  one SQLite file a function below OUTCRY_HOME/data/functions: its place, state and alerts in one transaction. The role joins no group
On failure: a handler that fails, hangs or dies costs its own batch time, and nobody else anything. A broker that is away is waited for. A log that has
        lost its end stops the process. Trading does not wait for any of it
"""

import asyncio
import signal
import time
from typing import Any, Final

import structlog
import uvloop
from aiohttp import web
from prometheus_client import Counter, Gauge

from schemas.codec import BadBytes, encode_record
from schemas.errors import ServiceUnavailable
from schemas.instruments import InstrumentTable, load_instruments
from schemas.settings import Settings
from sinks.partition_marks import PartitionMarks
from streams.functions.deployed import BadFunction, Function, deployed
from streams.functions.runner import FunctionRunner
from streams.functions.store import FunctionStore, StoredAlert
from streams.functions.webhooks import Webhooks, alert_json
from streams.host.kafka_records import polled_record
from streams.host.shard_runner import Record, dead_letter
from streams.process.health import HealthServer
from streams.process.logging import configure_logging
from streams.process.record_keys import record_keys
from streams.transport.app import claim_for_cluster, claim_for_worker
from streams.transport.cluster import cluster_id, partition_counts
from streams.transport.lag import INPUT_LAG
from topics.catalogue import DEAD_LETTERS
from topics.kafka_clients import native_client
from topics.offsets import Offsets, Place
from topics.reader import LogReader
from topics.roles import RUN_FUNCTIONS
from topics.sender import LogSender
from topics.sources import topic_named

log = structlog.get_logger("outcry.streams")

FUNCTION_FAILED: Final = "FUNCTION_FAILED"
"""Reason of a dead letter."""
READ_S: Final = 0.1
LOOK_S: Final = 1.0
"""Between two looks at the folder, and at what is due for delivery."""
WAITING_MAX: Final = 20_000
"""Records of a function that wait for its next batch; then its log is not read."""
ALERTS: Final = Counter("outcry_function_alerts_total", "alerts stored", ["function"])
GIVEN_UP: Final = Counter("outcry_function_given_up_total", "records that a function could not handle", ["function"])
INVOCATIONS: Final = Counter("outcry_function_invocations_total", "batches given to a handler, parts and repeats too", ["function"])
WAITING: Final = Gauge("outcry_function_undelivered", "alerts that wait for their webhook", ["function"])


class OneFunction:
    """A function with its reader and store."""

    def __init__(self, settings: Settings, function: Function, instruments: InstrumentTable, offsets: Offsets, sender: LogSender) -> None:
        self._settings, self._offsets, self._sender, self._keys = settings, offsets, sender, record_keys(settings)
        self.store = FunctionStore(settings.data_dir / "functions" / f"{function.name}.sqlite")
        self.runner = FunctionRunner(function, self.store, instruments, settings.log_dir, self._give_up)
        self._loop = asyncio.get_running_loop()
        self._reader = LogReader({**native_client(settings.kafka_url), "client.id": RUN_FUNCTIONS.name, "auto.offset.reset": "error"})
        self._counted = (0, 0, 0)
        self.alive = True

    async def begin(self, count: int) -> None:
        """Read on where the store says; a function that has read nothing begins where its file says. Raises ServiceUnavailable."""
        topic = self.runner.function.settings.topic
        places: list[Place] = [(topic, number) for number in range(count)]
        low, high = await self._offsets.beginnings(places), await self._offsets.ends(places)
        starts = {}
        for place in places:
            known = self.runner.places.get(place)
            if known is None:
                start = high[place] if self.runner.function.settings.start == "latest" else low[place]
                known = self.runner.places[place] = PartitionMarks(start, store="the function")
            if known.next_offset < low[place]:
                log.warning("records were deleted before a function read them", function=self.runner.function.name, topic=topic,
                            partition=place[1], records=low[place] - known.next_offset)  # fmt: skip
            starts[place] = max(low[place], known.next_offset - 1)
        await self._reader.start()
        self._reader.go_to(starts)

    async def run(self, stop: asyncio.Event) -> None:
        """Until told to stop. Raises StaleData, PlacesLost."""
        while not stop.is_set() and self.alive:
            if self.runner.waiting < WAITING_MAX:
                for messages in (await self._reader.records(READ_S)).values():
                    for message in messages:
                        self.runner.take(polled_record(message, self._keys))
            if self.runner.is_due():
                if not await asyncio.to_thread(self.runner.start):
                    await asyncio.sleep(LOOK_S)
                    continue
                for alert in await asyncio.to_thread(self.runner.run_due):
                    log.info(
                        "alert", function=self.runner.function.name, rule=alert.rule, seq=alert.seq, symbol=alert.symbol, text=alert.message
                    )
                self._measure()

    async def close(self) -> None:
        """End its process, reader and store."""
        self.runner.stop()
        await self._reader.stop()
        self.store.close()

    def _give_up(self, record: Record, why: str) -> None:
        """In the runner's thread: the dead letter is on the log before the record is passed by."""
        letter = dead_letter(record, BadBytes(FUNCTION_FAILED, f"{self.runner.function.name} {self.runner.function.version}: {why}"))
        sent = self._sender.append(DEAD_LETTERS.name, 0, encode_record("dead_letter", letter))
        asyncio.run_coroutine_threadsafe(sent, self._loop).result()

    def _measure(self) -> None:
        name, runner = self.runner.function.name, self.runner
        now = (runner.invocations, runner.given_up, runner.alerts)
        for counter, after, before in zip((INVOCATIONS, GIVEN_UP, ALERTS), now, self._counted, strict=True):
            counter.labels(name).inc(after - before)
        self._counted = now
        for (topic, number), marks in runner.places.items():
            end = self._reader.end((topic, number))
            if end is not None:
                INPUT_LAG.labels(f"{RUN_FUNCTIONS.name}:{name}", topic, number).set(max(0, end - marks.next_offset))

    def status(self) -> dict[str, Any]:
        """For people."""
        runner = self.runner
        told: dict[str, Any] = {
            "version": runner.function.version, "alerts": runner.alerts, "invocations": runner.invocations, "given_up": runner.given_up,
            "waiting_records": runner.waiting, "undelivered": self.store.waiting(),
        }  # fmt: skip
        return told | ({"trouble": runner.trouble} if runner.trouble else {})


class RunFunctions:
    """The role: see the head of this module."""

    def __init__(self, settings: Settings, offsets: Offsets, sender: LogSender) -> None:
        self._settings, self._offsets, self._sender = settings, offsets, sender
        self._instruments = load_instruments(settings.instruments_file)
        self._running: dict[str, tuple[OneFunction, asyncio.Task[None]]] = {}
        self._refused: dict[str, str] = {}
        self._webhooks = Webhooks(time.time_ns)
        self._stop = asyncio.Event()
        self._trouble = "starting"

    async def keep(self, stop: asyncio.Event) -> None:
        """Follow the folder and deliver, until told to stop. Raises what ends a function's reading."""
        try:
            while not stop.is_set():
                try:
                    await self._follow()
                    self._trouble = ""
                except ServiceUnavailable as error:
                    self._trouble = str(error)
                    log.warning("functions cannot begin", detail=str(error), again_in_s=LOOK_S)
                for one, task in self._running.values():
                    if task.done():
                        task.result()
                    WAITING.labels(one.runner.function.name).set(one.store.waiting())
                try:
                    await asyncio.wait_for(stop.wait(), LOOK_S)
                except TimeoutError:
                    continue
        finally:
            self._stop.set()
            for name in list(self._running):
                await self._end(name)

    async def _follow(self) -> None:
        """Start what is new, replace what has changed, stop what is gone."""
        found: dict[str, Function] = {}
        refused: dict[str, str] = {}
        for name, one in await asyncio.to_thread(lambda: list(deployed(self._settings.functions_folder))):
            if isinstance(one, BadFunction):
                refused[name] = str(one)
                if name in self._running:
                    found[name] = self._running[name][0].runner.function  # the version that runs goes on
            elif one.settings.enabled:
                found[name] = one
        self._refused = refused
        for name in set(self._running) - set(found):
            await self._end(name)
        for name, function in found.items():
            running = self._running.get(name)
            if running is not None and running[0].runner.function.version != function.version:
                await self._end(name)
                log.info("function is replaced", function=name, version=function.version)
            if name not in self._running:
                await self._start(function)

    async def _start(self, function: Function) -> None:
        counts = await asyncio.to_thread(partition_counts, self._settings, topic_named(function.settings.topic))
        one = OneFunction(self._settings, function, self._instruments, self._offsets, self._sender)
        await one.begin(counts[function.settings.topic])

        async def work() -> None:
            delivering = asyncio.create_task(self._deliver(one), name=f"deliver-{function.name}")
            try:
                await one.run(self._stop)
            finally:
                delivering.cancel()
                await asyncio.gather(delivering, return_exceptions=True)

        self._running[function.name] = one, asyncio.create_task(work(), name=f"function-{function.name}")
        log.info("function begins", function=function.name, version=function.version)

    async def _deliver(self, one: OneFunction) -> None:
        while True:
            if not await self._webhooks.deliver(one.runner.function, one.store):
                await asyncio.sleep(LOOK_S)

    async def _end(self, name: str) -> None:
        one, task = self._running.pop(name)
        one.alive = False
        await asyncio.gather(task, return_exceptions=True)
        await one.close()

    def not_ready(self) -> str:
        """Why the role is not working; "" if it is. A function that does not work is in `status`."""
        return self._trouble

    def status(self) -> dict[str, object]:
        """By function."""
        return {"functions": {name: one.status() for name, (one, _) in self._running.items()}, "refused": dict(self._refused)}

    async def get_alerts(self, request: web.Request) -> web.Response:
        """GET /alerts/{function}?rule=&after=: alerts of a rule behind a number, for a receiver that has missed one."""
        running = self._running.get(request.match_info["function"])
        after = request.query.get("after", "0")
        if running is None or not (after.isascii() and after.isdigit()):
            return web.json_response(
                {"message": "no such function" if running is None else "after must be a number"}, status=404 if running is None else 422
            )
        found: list[StoredAlert] = running[0].store.alerts(request.query.get("rule", ""), int(after))
        return web.json_response([alert_json(one) for one in found])


async def _main(settings: Settings) -> None:
    folder = settings.data_dir / "functions"
    folder.mkdir(parents=True, exist_ok=True)
    claim_for_worker(folder)
    claim_for_cluster(folder, cluster_id(settings))
    client = {**native_client(settings.kafka_url), "client.id": RUN_FUNCTIONS.name}
    keys = record_keys(settings, RUN_FUNCTIONS.name)
    offsets, sender = Offsets(client), LogSender(client, sign=keys.signer(RUN_FUNCTIONS.name))
    await sender.start()
    role = RunFunctions(settings, offsets, sender)
    health = HealthServer(settings, RUN_FUNCTIONS.name, role.not_ready, role.status, [web.get("/alerts/{function}", role.get_alerts)])
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    await health.start()
    try:
        await role.keep(stop)
    finally:
        await health.stop()
        await sender.stop()
        await offsets.close()


def run(settings: Settings) -> None:
    """Run the role until it is told to stop."""
    configure_logging(settings.log_level, RUN_FUNCTIONS.name)
    uvloop.run(_main(settings))
