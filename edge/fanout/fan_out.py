"""Every socket of one event loop: who wants what, the flush tick, the timer wheel, who is let go.

A flush first distributes: each topic that has something new writes its frames once and puts them on the lists of its subscribers. Then it
writes, each socket once. Both go in slices, between which everybody else has a turn; what comes meanwhile waits for the next flush, where newer
prices replace older ones. So when the machine is too slow there are fewer updates, not later ones.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from functools import partial
from typing import Any

from edge.fanout import limits
from edge.fanout.connection import Connection, Speaker
from edge.fanout.conversations import Conversation, Voice
from edge.fanout.timer_wheel import TimerWheel
from edge.fanout.topics import Topic
from edge.gateway.access.rate_limits import TokenBucket


class FanOut:
    """One for an event loop. Takes timers of the loop only while there is a socket or something to flush."""

    def __init__(self, sockets_max: int, flush_tick_s: float = limits.FLUSH_TICK_MS / 1_000) -> None:
        self.sockets: set[Connection] = set()
        self.sockets_max = sockets_max
        self._tick_s = flush_tick_s
        self._loop: asyncio.AbstractEventLoop | None = None
        self._wheel: TimerWheel | None = None
        self._turning: asyncio.TimerHandle | None = None
        self._dirty: dict[Topic, None] = {}
        self._touched: deque[Connection] = deque()
        self._leaving: list[Connection] = []
        self._flush_is_due = False
        self._flushed_at_s = self._next_flush_s = 0.0
        self._adopted = 0
        self._nobody_left = asyncio.Event()
        self._admissions = TokenBucket(limits.ADMISSIONS_BURST, limits.ADMISSIONS_PER_S, limits.ADMISSIONS_BURST, 0.0)
        self.refused = 0
        """Handshakes."""
        self.delivered = self.conflated = self.evicted = self.cut = self.silent = self.flushes = 0
        """Counts: frames put on a list of a socket; events replaced by newer ones; slow clients told; slow clients cut; silent peers cut; flushes."""

    def now(self) -> float:
        """The loop's clock, s."""
        return self._event_loop().time()

    def _event_loop(self) -> asyncio.AbstractEventLoop:
        if self._loop is None:
            self._loop = asyncio.get_running_loop()
        return self._loop

    # ---- sockets

    def admit(self) -> float:
        """Count one handshake. Returns 0, or in how many seconds the client shall come again: there are too many at once."""
        if self._admissions.take(self.now()):
            return 0.0
        self.refused += 1
        return 1 + self.refused * 0.618 % 1 * (limits.RETRY_AFTER_S_MAX - 1)

    def adopt(
        self, transport: asyncio.Transport, voice: Voice, speaker: Speaker, authentication_timeout_s: float, answer: bytes = b""
    ) -> Connection:
        """Take over a transport whose handshake is done, but for its answer, which goes out with the first word of the conversation.

        The conversation ends at once where there is no room.
        """
        connection = Connection(self, voice)
        conversation = speaker(connection)
        connection.begin(transport, conversation, answer)
        self.sockets.add(connection)
        self._start_turning()
        self._adopted += 1  # steps of the golden ratio spread the pings evenly, also of those that came at once
        self.after(self._adopted * 0.618 % 1 * limits.PING_EVERY_S, connection.look)
        if not conversation.authenticated:
            self.after(authentication_timeout_s, partial(_give_up, conversation, connection))
        if len(self.sockets) > self.sockets_max:
            conversation.too_many()
        else:
            conversation.begin()
        connection.write_pending()
        return connection

    def forget(self, connection: Connection) -> None:
        """It is over."""
        self.sockets.discard(connection)
        if not self.sockets:
            self._nobody_left.set()

    def let_go(self, connection: Connection) -> None:
        """The client is too slow: it is told when the list that is being gone through is done."""
        if not self._leaving:
            self._event_loop().call_soon(self._let_go)
        self._leaving.append(connection)

    def _let_go(self) -> None:
        leaving, self._leaving = self._leaving, []
        for connection in leaving:
            connection.say_slow_and_end()

    async def close(self, code: int, timeout_s: float, over_s: float = 0.0) -> None:
        """End every connection, spread over a time; whoever has not taken what is queued for it `timeout_s` after that is cut."""
        leaving = tuple(self.sockets)
        for number, connection in enumerate(leaving):
            connection.end_nowait(connection.voice.going_code or code)
            if number % limits.FLUSH_SLICE == 0:
                await asyncio.sleep(over_s * limits.FLUSH_SLICE / len(leaving) if len(leaving) > limits.FLUSH_SLICE else 0)
        self._nobody_left.clear()
        try:
            async with asyncio.timeout(timeout_s if self.sockets else 0):
                await self._nobody_left.wait()
        except TimeoutError:
            for connection in tuple(self.sockets):
                connection.abort()

    @property
    def behind(self) -> int:
        """Sockets that are behind now."""
        return sum(one.backlog is not None and not one.is_ending for one in self.sockets)

    # ---- events

    def publish(self, topic: Topic, event: Any) -> None:
        """An event for all who have subscribed to the topic."""
        if topic.subscribers:
            self.conflated += topic.add(event)
            self._dirty[topic] = None
            self._wake()

    def subscribe(self, topic: Topic, connection: Connection) -> None:
        """From now on: what the topic has had before is not for this socket, which has heard of it otherwise or not at all."""
        self._settle(topic)
        topic.subscribers.add(connection)

    def unsubscribe(self, topic: Topic, connection: Connection) -> None:
        """Nothing more of it."""
        topic.subscribers.discard(connection)

    def _settle(self, topic: Topic) -> None:
        if topic in self._dirty:
            del self._dirty[topic]
            self._distribute(topic)

    def touch(self, connection: Connection) -> None:
        """It has something pending."""
        self._touched.append(connection)
        self._wake()

    def _wake(self) -> None:
        if self._flush_is_due:
            return
        self._flush_is_due = True
        loop = self._event_loop()
        wait_s = self._next_flush_s - loop.time()
        if wait_s <= 0:
            loop.call_soon(self._flush)
        else:
            loop.call_later(wait_s, self._flush)

    def _flush(self) -> None:
        self.flushes += 1
        self._flushed_at_s = self.now()
        self._go_on(tuple(self._dirty))

    def _go_on(self, topics: tuple[Topic, ...]) -> None:
        """One slice: topics of so many subscribers, or so many sockets once no topic is left."""
        done = distributed = 0
        try:
            while done < len(topics) and distributed < limits.FLUSH_SLICE * 8:
                done += 1
                distributed += len(topics[done - 1].subscribers)
                self._settle(topics[done - 1])
            if not distributed:
                self._write_some()
        finally:  # a topic that cannot be written is a fault of ours; the others are still told
            self._end_slice(topics[done:])

    def _end_slice(self, left: tuple[Topic, ...]) -> None:
        if left or self._touched:
            self._event_loop().call_soon(self._go_on, left)
            return
        self._flush_is_due = False
        self._rest()
        if self._dirty:
            self._wake()

    def _rest(self) -> None:
        """Until the next flush as long as this one took: then handshakes, answers and, on a full machine, everybody else have half of the time."""
        now = self.now()
        rest_s = min(now - self._flushed_at_s, limits.FLUSH_REST_S_MAX)
        self._next_flush_s = max(self._flushed_at_s + self._tick_s, now + rest_s)

    def _distribute(self, topic: Topic) -> None:
        if not topic.subscribers or not topic.is_waiting:
            return
        data, touched = topic.take(), self._touched
        if not data:
            return
        for connection in topic.subscribers:
            if connection.backlog is not None:
                connection.hold(topic.newest, data)
            elif (pending := connection.pending) is None:
                connection.pending = [data]
                touched.append(connection)
            else:
                pending.append(data)
        self.delivered += len(topic.subscribers)

    def _write_some(self) -> None:
        touched = self._touched
        for _ in range(min(len(touched), limits.FLUSH_SLICE)):
            touched.popleft().write_pending()

    # ---- time

    def after(self, delay_s: float, call: Callable[[], None]) -> None:
        """Call once, up to WHEEL_TURN_S late."""
        if self._wheel is None:
            self._wheel = TimerWheel(limits.WHEEL_TURN_S, limits.WHEEL_SLOTS, self.now())
        self._wheel.after(delay_s, call, self.now())

    def _start_turning(self) -> None:
        if self._turning is None:
            self._turning = self._event_loop().call_later(limits.WHEEL_TURN_S, self._turn)

    def _turn(self) -> None:
        assert self._wheel is not None
        self._turning = None
        if self.sockets:
            self._wheel.turn(self.now())
            self._start_turning()
        else:
            self._wheel = None  # nobody is left for whom a call could matter


def _give_up(conversation: Conversation, connection: Connection) -> None:
    if not conversation.authenticated and not connection.is_ending:
        conversation.too_late()
