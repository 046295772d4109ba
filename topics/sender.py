"""Append records on librdkafka from an event loop: sending costs the loop a hand-over, and not the checksum, three copies and the system call of each.

    sender = LogSender({"bootstrap.servers": "127.0.0.1:9092", "client.id": "edge-0"})
    await sender.start()
    where = await sender.append("account.commands", 0, frame)

Measured at 1M orders/s: a fifth of the processor time of match-orders, and all of it off the loop that applies inputs. The broker's answers reach
the loop together, not one by one: a wake-up of the loop by another thread costs more than a small record. Batches are numbered (idempotence), so that what is sent again because a broker died between append and answer is in the log once. Marks would tell the second copy
anyway, but not a tick's or a dead letter's.
"""

import asyncio
import threading
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from types import MappingProxyType
from typing import Any, Final

from confluent_kafka import KafkaError, KafkaException, Message, Producer

from schemas.errors import ServiceUnavailable
from schemas.limits import FRAME_BYTES_MAX
from topics.record_codes import Headers, Sign
from topics.speakers import WRITERS

FLUSH_TIMEOUT_S: Final = 20.0
"""How long a stopping process waits for what it has sent."""
QUEUE_KBYTES_MAX: Final = 262_144
"""Limit of what waits for the broker: 32 of the largest frames. Beyond it, sending blocks."""
POLL_S: Final = 0.1
TOGETHER_S: Final = 0.025
"""How long answers are left to gather after some have come, where nobody waits for one."""
FULL_WAIT_S: Final = 0.001
COMPANY_BYTES_MAX: Final = 1 << 16
"""So many bytes are worth a request. Fewer, of a topic that may wait, are kept for others: each is a request otherwise, and wakes whoever reads."""
DEFAULTS: Final[Mapping[str, Any]] = {
    "acks": "all",
    "enable.idempotence": True,
    "linger.ms": 0,
    "message.max.bytes": 2 * FRAME_BYTES_MAX,
    "queue.buffering.max.kbytes": QUEUE_KBYTES_MAX,
    "retry.backoff.ms": 50,
    "reconnect.backoff.ms": 20,
    "reconnect.backoff.max.ms": 200,
    "topic.metadata.refresh.fast.interval.ms": 100,
    "allow.auto.create.topics": False,
    "log_level": 0,  # retries are its business; what it gives up is told by the futures
}

Answer = tuple["asyncio.Future[Any]", KafkaError | None, Message]


@dataclass(frozen=True)
class Appended:
    """Where a record is."""

    topic: str
    partition: int
    offset: int


@dataclass
class _Company:
    """Records of one topic that wait for others, in their order. A record is a function that hands it over; False: there is no room.

    wait_s: from one sending to the next, so the first record after a silence does not wait. sent_s: when the last was, by the loop's clock.
    """

    wait_s: float
    sent_s: float = float("-inf")
    records: list[Callable[[], bool]] = field(default_factory=list)
    bytes: int = 0
    timed: bool = False
    """A timer runs that will send them."""

    @property
    def due_s(self) -> float:
        """When the next sending may be."""
        return self.sent_s + self.wait_s

    def send(self, now_s: float) -> bool:
        """Hand them over. False: there was no room for all of them."""
        self.sent_s = now_s
        sent = next((n for n, hand_over in enumerate(self.records) if not hand_over()), len(self.records))
        del self.records[:sent]
        if not self.records:
            self.bytes = 0
        return not self.records


class LogSender:
    """See the head of this module. All methods belong to the loop that calls `start`."""

    def __init__(
        self, configuration: Mapping[str, Any], appended: Callable[[str, int, int], Any] = Appended, sign: Sign | None = None,
        may_wait: Mapping[str, float] = MappingProxyType({}),
    ) -> None:  # fmt: skip
        """configuration: librdkafka's, over DEFAULTS; `bootstrap.servers` at least. appended: what a future gets of topic, partition and offset.

        sign: makes the codes of records in topics of the catalogue. may_wait: topics whose small records go together, each with how long it rests after a sending, s.
        """
        self._configuration = {**DEFAULTS, **configuration}
        self._appended, self._sign = appended, sign
        self._companies = {topic: _Company(wait_s) for topic, wait_s in may_wait.items()}
        self._told: deque[Answer] = deque()
        self._waiting = 0
        self._hurry = threading.Event()
        """Somebody waits for an answer."""

    async def start(self) -> None:
        """Make the client and the thread in which the broker's answers arrive; does not wait for a broker."""
        self._loop = asyncio.get_running_loop()
        self._client = Producer(self._configuration)
        self._ending = threading.Event()
        self._answers = threading.Thread(target=self._poll, name="log-sender", daemon=True)
        self._answers.start()

    async def stop(self, flush_timeout_s: float = FLUSH_TIMEOUT_S) -> None:
        """Deliver what was sent, as far as the broker accepts it in time."""
        self._send_all_kept()
        await asyncio.to_thread(self._client.flush, flush_timeout_s)
        self._ending.set()
        await asyncio.to_thread(self._answers.join)
        self._settle()

    async def send(self, topic: str, partition: int, value: bytes | None, key: bytes | None = None) -> "asyncio.Future[Any]":
        """Hand a record over. The future is done when all in-sync replicas have it, or fails with ServiceUnavailable.

        Waits while QUEUE_KBYTES_MAX wait for the broker.
        """
        acknowledged: asyncio.Future[Any] = self._loop.create_future()
        acknowledged.add_done_callback(_looked_at)
        told = partial(self._answered, acknowledged)
        headers = self._sign(topic, partition, value or b"") if self._sign is not None and topic in WRITERS else None
        hand_over = partial(self._taken, topic, partition, value, key, told, headers)
        if (company := self._companies.get(topic)) is not None:
            await self._keep(company, hand_over, len(value or b""))
        else:
            while not hand_over():  # noqa: ASYNC110  librdkafka does not say when there is room
                await asyncio.sleep(FULL_WAIT_S)
        return acknowledged

    async def _keep(self, company: "_Company", hand_over: Callable[[], bool], size: int) -> None:
        """Until others have come, or it has waited long enough."""
        company.records.append(hand_over)
        company.bytes += size
        if not company.timed:
            self._set_timer(company)
        while company.bytes >= COMPANY_BYTES_MAX and not company.send(self._loop.time()):  # noqa: ASYNC110  see send
            await asyncio.sleep(FULL_WAIT_S)

    def _set_timer(self, company: "_Company") -> None:
        """Also where it is due: whoever sends has perhaps more of the same turn."""
        company.timed = True
        self._loop.call_at(max(company.due_s, self._loop.time()), self._end_wait, company)

    def _end_wait(self, company: "_Company") -> None:
        company.timed = False
        now_s = self._loop.time()
        if company.records and (now_s < company.due_s or not company.send(now_s)):  # enough bytes were sent before it was due, or no room
            self._set_timer(company)

    def _send_all_kept(self) -> None:
        for company in self._companies.values():
            company.send(self._loop.time())

    async def append(self, topic: str, partition: int, value: bytes | None, key: bytes | None = None) -> Any:
        """Send a record and wait until all in-sync replicas have it. Raises ServiceUnavailable."""
        self._waiting += 1
        self._hurry.set()
        try:
            return await (await self.send(topic, partition, value, key))
        finally:
            self._waiting -= 1
            if not self._waiting:
                self._hurry.clear()

    async def flush(self) -> None:
        """Wait until all that was sent is delivered, FLUSH_TIMEOUT_S at the most."""
        self._send_all_kept()
        await asyncio.to_thread(self._client.flush, FLUSH_TIMEOUT_S)
        self._settle()

    async def partitions(self, topic: str, timeout_s: float) -> set[int]:
        """The partitions that a topic has; none where there is no such topic. Raises ServiceUnavailable."""
        try:
            found = await asyncio.to_thread(lambda: self._client.list_topics(timeout=timeout_s).topics.get(topic))
        except KafkaException as error:
            raise ServiceUnavailable(f"Kafka does not answer: {error.args[0].str()}") from error
        return set(found.partitions) if found is not None and found.error is None else set()

    async def cluster(self, timeout_s: float) -> str:
        """Kafka's name of the cluster. Raises ServiceUnavailable."""
        try:
            return str(await asyncio.to_thread(lambda: self._client.list_topics(timeout=timeout_s).cluster_id))
        except KafkaException as error:
            raise ServiceUnavailable(f"Kafka does not answer: {error.args[0].str()}") from error

    def _taken(self, topic: str, partition: int, value: bytes | None, key: bytes | None, told: Any, headers: Headers | None) -> bool:
        try:
            self._client.produce(topic, value, key, partition, told, headers=headers)
        except BufferError:
            return False
        return True

    def _poll(self) -> None:
        """In the thread: have the answers noted, wake the loop once for all of them."""
        while not self._ending.is_set():
            self._client.poll(POLL_S)
            if self._told:
                self._loop.call_soon_threadsafe(self._settle)
                self._hurry.wait(TOGETHER_S)

    def _answered(self, acknowledged: "asyncio.Future[Any]", error: KafkaError | None, message: Message) -> None:
        """The broker's answer, in the polling thread."""
        self._told.append((acknowledged, error, message))

    def _settle(self) -> None:
        while self._told:
            acknowledged, error, message = self._told.popleft()
            if acknowledged.done():
                continue
            topic, partition, offset = message.topic() or "", message.partition() or 0, message.offset() or 0
            if error is not None:
                acknowledged.set_exception(ServiceUnavailable(f"{topic}/{partition} rejected what was sent: {error.str()}"))
            else:
                acknowledged.set_result(self._appended(topic, partition, offset))


def _looked_at(acknowledged: "asyncio.Future[Any]") -> None:
    """A failure is told to whoever waits for the future; one that nobody waits for is not worth a warning when it is collected."""
    if not acknowledged.cancelled():
        acknowledged.exception()
