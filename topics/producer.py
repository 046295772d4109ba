"""Post orders straight to the log: the producer library for third parties.

    from topics import OrderProducer

    with OrderProducer("127.0.0.1:9092", key_file=Path("producer-1.json")) as producer:
        producer.new_order(account=7, cl_ord_id="a-1", symbol="AAPL", side="buy", order_qty="100", price="180.05")
        producer.replace(account=7, cl_ord_id="a-1", symbol="AAPL", order_qty="80", price="180.10")
        producer.cancel(account=7, cl_ord_id="a-1")
        producer.new_order_list(account=7, symbol="AAPL", contingency_type="oco", orders=[
            {"cl_ord_id": "a-2", "side": "sell", "order_qty": 50, "ord_type": "limit", "price": "190"},
            {"cl_ord_id": "a-3", "side": "sell", "order_qty": 50, "ord_type": "stop", "stop_px": "170"},
        ])
    # here every command is in the log; DeliveryFailed says which is not

Commands are batched per account shard into one frame, for at most `linger_ms` or until there are `frame_rows` of them. What happens to an
order afterwards, refusals included, is in `account.events`. The commands of one account stay in order.
"""

import os
import secrets
import socket
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final, Self, Unpack

import numpy as np
from confluent_kafka import KafkaError, KafkaException, Message, Producer

from schemas.codec import Header, Rows, encode_frame
from schemas.enums import ContingencyType
from schemas.errors import OutcryError, ServiceUnavailable
from schemas.instruments import InstrumentTable, load_instruments
from schemas.limits import CL_ORD_ID_MAX_BYTES, FRAME_BYTES_MAX, FRAME_ROWS_MAX
from topics.catalogue import ACCOUNT_COMMANDS
from topics.kafka_clients import native_client, no_answer
from topics.key_files import read_key
from topics.order_rows import (
    ROW_DTYPE,
    BadOrder,
    ListedOrder,
    OrderFields,
    ReplaceFields,
    Row,
    cancel_row,
    checked_cl_ord_id,
    frame_bounds,
    list_rows,
    named_order,
    order_row,
    replace_ids,
    replace_row,
)
from topics.partitioning import account_shard, split_by
from topics.record_codes import Sign

__all__ = ["ROW_DTYPE", "BadOrder", "BufferFull", "DeliveryFailed", "OrderProducer", "ProducerStats", "Undelivered", "partition_count"]

METADATA_TIMEOUT_S: Final = 10.0
DELIVERY_TIMEOUT_S: Final = 30.0
"""How long sending to Kafka is retried by default before a frame counts as not delivered."""


class BufferFull(OutcryError):
    """The buffer for commands that wait for the broker is full. Nothing of this call was accepted. Try again later."""


@dataclass(frozen=True)
class Undelivered:
    """One command that is not known to be in the log, and why. After a time-out it may be there anyway: send it again with its cl_ord_id."""

    account: int
    cl_ord_id: str
    order_id: int
    why: str


class DeliveryFailed(OutcryError):
    """Commands that are not known to be in the log: `undelivered` lists each."""

    def __init__(self, undelivered: Iterable[Undelivered]) -> None:
        self.undelivered = tuple(undelivered)
        first = self.undelivered[0]
        more = f" and {len(self.undelivered) - 1} more" if len(self.undelivered) > 1 else ""
        super().__init__(f"not delivered: account {first.account} cl_ord_id {first.cl_ord_id!r}{more}: {first.why}")


@dataclass(frozen=True)
class ProducerStats:
    """Counts since the start, in commands; `frames_sent` in Kafka records."""

    commands_taken: int
    commands_delivered: int
    commands_failed: int
    commands_waiting: int
    frames_sent: int


@dataclass(frozen=True)
class _Flight:
    """A frame between us and the broker."""

    rows: Rows
    cl_ord_ids: Rows

    def undelivered(self, why: str) -> list[Undelivered]:
        accounts, orders, texts = self.rows["account"].tolist(), self.rows["order_id"].tolist(), self.cl_ord_ids.tolist()
        return [Undelivered(a, t.decode("ascii", "replace"), o, why) for a, t, o in zip(accounts, texts, orders, strict=True)]


@dataclass
class _Counts:
    taken: int = 0
    delivered: int = 0
    failed: int = 0
    frames: int = 0

    @property
    def waiting(self) -> int:
        return self.taken - self.delivered - self.failed


class OrderProducer:
    """Batches commands into frames and posts them to `account.commands`. Safe to share between threads.

    kafka_url: bootstrap servers, perhaps with a login (schemas.logins). Up to `buffer_rows_max` commands may wait for the broker. If the buffer is full, a call waits
    `block_timeout_s` (0: not at all) and raises BufferFull. `on_delivery_error` is called from the producer's own thread with the list of
    commands that were given up after `delivery_timeout_s`. The next `flush` or `close` raises the same list.

    key_file: the key that operators have given (`outcry keys add`); without one nothing is signed, and the exchange takes that only where it has no keys.
    sign: the same for programs that have the keys of the exchange (topics.key_files).

    Raises ServiceUnavailable when the broker does not answer, OutcryError when the topic is not there.
    """

    def __init__(
        self,
        kafka_url: str,
        instruments: InstrumentTable | None = None,
        *,
        producer_id: str = "",
        linger_ms: float = 1.0,
        frame_rows: int = 400,
        buffer_rows_max: int = 200_000,
        block_timeout_s: float = 10.0,
        delivery_timeout_s: float = DELIVERY_TIMEOUT_S,
        on_delivery_error: Callable[[list[Undelivered]], None] | None = None,
        key_file: Path | None = None,
        sign: Sign | None = None,
    ) -> None:
        if key_file is not None and sign is not None:
            raise ValueError("key_file and sign: give one of them")
        assert 0 < frame_rows <= FRAME_ROWS_MAX and frame_rows <= buffer_rows_max
        self.producer_id = producer_id or f"producer-{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(3)}"
        if "/" in self.producer_id:
            raise ValueError("producer_id must not contain '/': such names mark the exchange's own shards")
        self._instruments = instruments if instruments is not None else load_instruments(None)
        self._linger_s, self._frame_rows = linger_ms / 1000, frame_rows
        self._buffer_rows_max, self._block_timeout_s = buffer_rows_max, block_timeout_s
        self._delivery_timeout_s, self._on_delivery_error = delivery_timeout_s, on_delivery_error
        self._sign = sign if key_file is None else read_key(key_file).headers
        self._kafka = Producer(_kafka_config(kafka_url, self.producer_id, delivery_timeout_s))
        self.account_shards = partition_count(self._kafka, ACCOUNT_COMMANDS.name, kafka_url)
        self._changed = threading.Condition()
        self._pending: list[list[Row]] = [[] for _ in range(self.account_shards)]
        self._pending_ids: list[list[bytes]] = [[] for _ in range(self.account_shards)]
        self._pending_origs: list[list[bytes]] = [[] for _ in range(self.account_shards)]
        self._pending_since = 0.0
        self._counts = _Counts()
        self._in_flight: dict[int, _Flight] = {}
        self._failures: list[Undelivered] = []
        self._closing = self._stopped = False
        self._thread = threading.Thread(target=self._run, name=f"{self.producer_id}-io", daemon=True)
        self._thread.start()

    # ---- what callers use

    def new_order(self, *, account: int, cl_ord_id: str, symbol: str, **order: Unpack[OrderFields]) -> None:
        """Buffer one order; see OrderFields for its fields. Raises BadOrder (a ValueError) naming the field, and BufferFull."""
        row = order_row(self._instruments, account, symbol, **order)
        self._take(account, [row], [checked_cl_ord_id(cl_ord_id)])

    def new_order_list(self, *, account: int, symbol: str, contingency_type: str | ContingencyType, orders: Sequence[ListedOrder]) -> None:
        """Buffer the orders of a list, which stay together in one frame: all of them are accepted, or none.

        OCO: two limit or stop orders of one side; an execution or the end of one cancels the other. OTO: an order, and a second one that becomes
        active with the executed quantity of the first. BRACKET: an order, its take-profit (limit) and its stop-loss. Raises as `new_order`.
        """
        rows = list_rows(self._instruments, account, symbol, contingency_type, orders)
        texts = [checked_cl_ord_id(order["cl_ord_id"]) for order in orders]
        if len(set(texts)) < len(texts):
            raise BadOrder("cl_ord_id", "the orders of a list need different ones")
        self._take(account, rows, texts)

    def replace(self, *, account: int, symbol: str, cl_ord_id: str = "", order_id: int = 0, **changes: Unpack[ReplaceFields]) -> None:
        """Buffer a replace of one order, named by its cl_ord_id or its order_id. Fields that are not given stay.

        The order keeps its order_id. It keeps its cl_ord_id unless `new_cl_ord_id` gives it another, which is valid once the book has replaced it.
        `order_qty` is the new total and is required. Raises BadOrder and BufferFull.
        """
        text, orig = replace_ids(cl_ord_id, order_id, changes.get("new_cl_ord_id", ""))
        row = replace_row(self._instruments, account, symbol, order_id, **changes)
        self._take(account, [row], [text], [orig])

    def cancel(self, *, account: int, cl_ord_id: str = "", order_id: int = 0) -> None:
        """Buffer the cancel of one order, named by its cl_ord_id or its order_id. Raises BadOrder and BufferFull."""
        text = named_order(cl_ord_id, order_id)
        self._take(account, [cancel_row(account, order_id)], [text])

    def new_orders(self, rows: Rows, cl_ord_ids: Rows) -> None:
        """Post many commands at once: rows of `ROW_DTYPE` (lots, ticks, instrument numbers) and their cl_ord_ids (an S-array).

        Frames hold up to FRAME_ROWS_MAX rows here; rows of one list (consecutive, with the same list_id) stay in one frame. Values are not
        checked: the account shard refuses bad ones, with an event. Rows without `transact_time` get the current time. Raises BufferFull before
        any row is accepted.
        """
        if rows.dtype != ROW_DTYPE:
            raise BadOrder("rows", "dtype is not producer.ROW_DTYPE")
        if cl_ord_ids.dtype.kind != "S" or len(cl_ord_ids) != len(rows) or cl_ord_ids.dtype.itemsize > CL_ORD_ID_MAX_BYTES:
            raise BadOrder("cl_ord_ids", f"must be an S-array of the same length, at most {CL_ORD_ID_MAX_BYTES} bytes wide")
        stamped = rows.copy()
        stamped["transact_time"][stamped["transact_time"] == 0] = time.time_ns()
        with self._changed:
            self._wait_for_room(len(rows))
            self._counts.taken += len(rows)
            for shard, index in split_by(stamped["account"], self.account_shards):
                self._send_pending(shard)  # what came before stays before
                of_shard, texts = stamped[index], cl_ord_ids[index]
                for start, end in frame_bounds(of_shard["list_id"], FRAME_ROWS_MAX):
                    self._send(shard, of_shard[start:end], texts[start:end])

    def flush(self, timeout_s: float | None = None) -> None:
        """Return when everything accepted so far is in the log. Raises DeliveryFailed listing what is not (or not known to be)."""
        timeout_s = self._delivery_timeout_s + 5 if timeout_s is None else timeout_s
        deadline = time.monotonic() + timeout_s
        with self._changed:
            self._send_all_pending()
            while self._in_flight and (left := deadline - time.monotonic()) > 0:
                self._changed.wait(left)
            failures, self._failures = self._failures, []
            for flight in self._in_flight.values():
                failures += flight.undelivered(f"no answer from the broker within {timeout_s:g} s")
        if failures:
            raise DeliveryFailed(failures)

    def close(self, timeout_s: float | None = None) -> None:
        """Flush and stop; raises DeliveryFailed as `flush` does. A second call does nothing."""
        with self._changed:
            if self._closing:
                return
            self._closing = True
        try:
            self.flush(timeout_s)
        finally:
            self._stopped = True
            self._thread.join()
            self._kafka.purge()

    def stats(self) -> ProducerStats:
        """How many commands were accepted, delivered, given up, and are waiting."""
        with self._changed:
            counts = self._counts
            return ProducerStats(counts.taken, counts.delivered, counts.failed, counts.waiting, counts.frames)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        try:
            self.close()
        except DeliveryFailed as failure:
            if error is None:
                raise
            error.add_note(str(failure))  # the caller's own error comes first

    # ---- inside; all below run with the lock held, unless they say otherwise

    def _take(self, account: int, rows: list[Row], cl_ord_ids: list[bytes], orig_cl_ord_ids: list[bytes] | None = None) -> None:
        """Rows of one account that go into one frame. Takes the lock itself."""
        with self._changed:
            self._wait_for_room(len(rows))
            self._counts.taken += len(rows)
            shard = account_shard(account, self.account_shards)
            if not self._pending_since:
                self._pending_since = time.monotonic()
                self._changed.notify_all()
            if len(self._pending[shard]) + len(rows) > self._frame_rows:
                self._send_pending(shard)
            self._pending[shard] += rows
            self._pending_ids[shard] += cl_ord_ids
            self._pending_origs[shard] += orig_cl_ord_ids or [b""] * len(rows)
            if len(self._pending[shard]) >= self._frame_rows:
                self._send_pending(shard)

    def _wait_for_room(self, rows: int) -> None:
        if rows > self._buffer_rows_max:
            raise BufferFull(f"{rows} commands at once, and the buffer holds {self._buffer_rows_max}")
        deadline = time.monotonic() + self._block_timeout_s
        while not self._closing and self._counts.waiting + rows > self._buffer_rows_max:
            left = deadline - time.monotonic()
            if left <= 0:
                raise BufferFull(f"{self._counts.waiting} commands wait for the broker, no room for {rows} more")
            self._changed.wait(left)
        if self._closing:
            raise RuntimeError("the producer is closed")

    def _send_all_pending(self) -> None:
        for shard in range(self.account_shards):
            self._send_pending(shard)
        self._pending_since = 0.0

    def _send_pending(self, shard: int) -> None:
        if not self._pending[shard]:
            return
        rows = np.array(self._pending[shard], ROW_DTYPE)
        cl_ord_ids = np.array(self._pending_ids[shard], "S")
        origs = np.array(self._pending_origs[shard], "S") if any(self._pending_origs[shard]) else None
        self._pending[shard], self._pending_ids[shard], self._pending_origs[shard] = [], [], []
        self._send(shard, rows, cl_ord_ids, origs)

    def _send(self, shard: int, rows: Rows, cl_ord_ids: Rows, orig_cl_ord_ids: Rows | None = None) -> None:
        self._counts.frames += 1
        number = self._counts.frames
        header = Header(self.producer_id, source_offset=number, created_at=time.time_ns())
        frame = encode_frame("order_command_frame", header, rows, cl_ord_ids, orig_cl_ord_ids)
        self._in_flight[number] = _Flight(rows, cl_ord_ids)
        try:
            headers = None if self._sign is None else self._sign(ACCOUNT_COMMANDS.name, shard, frame)
            self._kafka.produce(
                ACCOUNT_COMMANDS.name, frame, partition=shard, on_delivery=partial(self._on_delivery, number), headers=headers
            )
        except (KafkaException, BufferError) as error:
            self._settle(number, str(error))

    def _on_delivery(self, number: int, error: KafkaError | None, message: Message) -> None:
        """Called by `poll`, in our own thread and without the lock."""
        with self._changed:
            failed = self._settle(number, error.str() if error is not None else "")
        if failed and self._on_delivery_error is not None:
            self._on_delivery_error(failed)

    def _settle(self, number: int, why: str) -> list[Undelivered]:
        flight = self._in_flight.pop(number)
        failed = flight.undelivered(why) if why else []
        self._counts.failed += len(failed)
        self._counts.delivered += len(flight.rows) - len(failed)
        self._failures += failed
        self._changed.notify_all()
        return failed

    def _run(self) -> None:
        """The producer's thread: sends batches that are due, collects delivery reports. It does not hold the lock while it polls."""
        while not self._stopped:
            with self._changed:
                if self._pending_since and time.monotonic() - self._pending_since >= self._linger_s:
                    self._send_all_pending()
                elif not self._pending_since and not self._in_flight:
                    self._changed.wait(0.1)
                    continue
            self._kafka.poll(self._linger_s if self._linger_s > 0 else 0.001)
        self._kafka.poll(0)


def partition_count(kafka: Producer, topic: str, kafka_url: str) -> int:
    """How many partitions the broker has for the topic. Raises ServiceUnavailable, or OutcryError if there is no such topic."""
    try:
        known = kafka.list_topics(timeout=METADATA_TIMEOUT_S).topics
    except KafkaException as error:
        raise ServiceUnavailable(f"Kafka at {kafka_url} does not answer: {error}{no_answer(kafka_url)}") from error
    if topic not in known:
        raise OutcryError(f"Kafka at {kafka_url} has no topic {topic}: create it with `outcry topics create`")
    return len(known[topic].partitions)


def _kafka_config(kafka_url: str, client_id: str, delivery_timeout_s: float) -> dict[str, Any]:
    return {
        **native_client(kafka_url),
        "client.id": client_id,
        "enable.idempotence": True,
        "acks": "all",
        "linger.ms": 0,  # frames are gathered here already
        "message.max.bytes": FRAME_BYTES_MAX + 65_536,
        "queue.buffering.max.kbytes": 1 << 20,
        "delivery.timeout.ms": int(delivery_timeout_s * 1000),
        "allow.auto.create.topics": False,
    }
